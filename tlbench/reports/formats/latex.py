"""Tables as LaTeX with booktabs: the best of a column is bold, the second underlined, stars are superscripts."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence

_ESCAPED = {char: f"\\{char}" for char in "&%$#_{}"} | {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    '"': r"\textquotedbl{}",
    "[": "{[}",  # after a line's \\ a bracket or a star would be an argument
    "]": "{]}",
    "*": "{*}",
    "±": r"$\pm$",
    "…": r"\dots{}",
}
_LETTERS = "ßæÆøØåÅœŒ"
"""Letters that every LaTeX font has, besides accented ones."""

_MAX_FLOATS = 12
"""LaTeX holds few unprocessed floats; after so many without text between them it needs a page break."""

_MAX_PAGE_LINES = 55
"""The number of lines of a page."""

NEEDS = r"% needs \usepackage{booktabs}, and \usepackage[T1]{fontenc} for quotation marks in names"


def escaped(text: str) -> str:
    """Text escaped for LaTeX; a character that its usual fonts lack is shown by its code point."""
    return re.sub(r"(?<![^ ])-(?=\d)", "$-$", "".join(_ESCAPED.get(char) or _known(char) for char in text))


def _known(char: str) -> str:
    if char.isascii() or char in _LETTERS or re.match(r"00[46-7][0-9A-F] 03", unicodedata.decomposition(char)):
        return char
    return f"\\texttt{{U+{ord(char):04X}}}"


def cell(text: str) -> str:
    """A cell, escaped, with a star at its end as a superscript."""
    stem, star = (text[:-2], "*") if text.endswith(" *") else (text, "")
    return escaped(stem) + r"\textsuperscript{*}" * bool(star)


def emphasized(text: str, marks: Sequence[str]) -> str:
    """A cell with its marks: the best is bold, the second underlined."""
    if "best" in marks:
        return rf"\textbf{{{text}}}"
    return rf"\underline{{{text}}}" if "second" in marks else text


def heading(text: str, columns: int) -> str:
    """The line of a table that heads a group."""
    return rf"\multicolumn{{{columns}}}{{l}}{{\emph{{{escaped(text)}}}}} \\"


def with_headings(body: str, headings: Sequence[str]) -> str:
    """A body (`latex_raw` of tabulate) with the heading of a group before each line that has one."""
    rest, result, in_body = iter(headings), [], 0
    for line in body.splitlines():
        in_body += line.strip() == "\\hline"
        if in_body == 2 and line.rstrip().endswith("\\\\") and (text := next(rest, "")):
            result.append(heading(text, line.replace("\\&", "").count("&") + 1))
        result.append(line)
    return "\n".join(result)


def floats(caption: str, notes: str, label: str, bodies: Sequence[str]) -> str:
    """A float with the bodies (`latex_raw` of tabulate) one below the other; beyond a page it is continued in another.

    Args:
        caption: the short caption of the first.
        notes: sentences below the last body; empty for none.
        label: follows `tab:`.
        bodies: the tables.
    """
    pages: list[list[str]] = [[]]
    for body in map(_with_rules, bodies):
        if pages[-1] and sum(map(_line_count, [*pages[-1], body])) > _MAX_PAGE_LINES:
            pages.append([])
        pages[-1].append(body)
    tables = []
    for number, page in enumerate(pages):
        head = f"\\caption{{{escaped(caption)}}}\\label{{tab:{label}}}" if not number else "\\caption[]{Continued.}"
        last = f"\n\n\\smallskip{{\\footnotesize {escaped(notes)}\\par}}" if notes and number == len(pages) - 1 else ""
        text = "\n\n\\medskip\n".join(page)
        tables.append(
            f"{NEEDS}\n\\begin{{table}}\n\\centering\\small\\setlength{{\\tabcolsep}}{{4pt}}\n{head}\\smallskip\n{text}{last}\n"
            "\\end{table}\n"
        )
    return "\n".join(tables)


def _with_rules(body: str) -> str:
    """A body with the rules of booktabs."""
    rules = iter(("\\toprule", "\\midrule", "\\bottomrule"))
    return "\n".join(next(rules) if line.strip() == "\\hline" else line.rstrip() for line in body.splitlines())


def _line_count(body: str) -> int:
    return body.count("\n") + 1


def join_tables(tables: Sequence[str]) -> str:
    """Tables one after the other, with page breaks where there would be too many floats without text between them."""
    texts, count = [], 0
    for table in tables:
        count += table.count("\\begin{table}")
        if count > _MAX_FLOATS:
            texts.append("\\clearpage % too many floats without text between them\n")
            count = table.count("\\begin{table}")
        texts.append(table)
    return "\n".join(texts)
