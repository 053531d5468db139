"""Tables as LaTeX: booktabs, the best of a column bold, the second underlined, marks raised."""

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
"""Beside accented letters, what every LaTeX font has."""

_WAITING = 12

NEEDS = r"% needs \usepackage{booktabs}, and \usepackage[T1]{fontenc} for quotation marks in names"


def escaped(text: str) -> str:
    """Text that LaTeX prints as it is; a character that its usual fonts lack is shown by its code point."""
    return re.sub(r"(?<![^ ])-(?=\d)", "$-$", "".join(_ESCAPED.get(char) or _known(char) for char in text))


def _known(char: str) -> str:
    if char.isascii() or char in _LETTERS or re.match(r"00[46-7][0-9A-F] 03", unicodedata.decomposition(char)):
        return char
    return f"\\texttt{{U+{ord(char):04X}}}"


def cell(text: str) -> str:
    """A cell, escaped, a star at its end raised."""
    stem, star = (text[:-2], "*") if text.endswith(" *") else (text, "")
    return escaped(stem) + r"\textsuperscript{*}" * bool(star)


def emphasised(text: str, marks: Sequence[str]) -> str:
    """The best bold, the second underlined."""
    if "best" in marks:
        return rf"\textbf{{{text}}}"
    return rf"\underline{{{text}}}" if "second" in marks else text


def floats(title: str, caption: str, bodies: Sequence[str]) -> str:
    """A float for each body (`latex_raw` of tabulate); the first has the caption, the others say that they go on."""
    made = []
    for number, body in enumerate(bodies):
        rules = iter(("\\toprule", "\\midrule", "\\bottomrule"))
        lines = "\n".join(next(rules) if line.strip() == "\\hline" else line.rstrip() for line in body.splitlines())
        said = f"{escaped(title)}. {escaped(caption)}" if not number else f"{escaped(title)}, continued."
        made.append(f"{NEEDS}\n\\begin{{table}}\n\\centering\\small\n\\caption{{{said}}}\\smallskip\n{lines}\n\\end{{table}}\n")
    return "\n".join(made)


def joined(tables: Sequence[str]) -> str:
    """Tables one after the other; LaTeX keeps few floats waiting, so that many without text between them need a break."""
    made, waiting = [], 0
    for table in tables:
        waiting += table.count("\\begin{table}")
        if waiting > _WAITING:
            made.append("\\clearpage % too many floats without text between them\n")
            waiting = table.count("\\begin{table}")
        made.append(table)
    return "\n".join(made)
