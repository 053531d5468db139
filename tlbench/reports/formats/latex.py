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


def floats(title: str, caption: str, bodies: Sequence[str]) -> str:
    """A float for each body (`latex_raw` of tabulate); the first has the caption, the others are marked as continued."""
    tables = []
    for number, body in enumerate(bodies):
        rules = iter(("\\toprule", "\\midrule", "\\bottomrule"))
        lines = "\n".join(next(rules) if line.strip() == "\\hline" else line.rstrip() for line in body.splitlines())
        text = f"{escaped(title)}, continued." if number else f"{escaped(title)}. {escaped(caption)}"
        tables.append(
            f"{NEEDS}\n\\begin{{table}}\n\\centering\\small\n\\caption{{{text}}}\\smallskip\n{lines}\n\\end{{table}}\n"
        )
    return "\n".join(tables)


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
