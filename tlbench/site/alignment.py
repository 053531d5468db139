"""Numbers of a column aligned on their decimal points, by spaces that are as wide as a digit."""

from __future__ import annotations

import re
from collections.abc import Sequence

DIGIT, POINT = "\N{FIGURE SPACE}", "\N{PUNCTUATION SPACE}"
"""Spaces as wide as a digit and as a point, in a font with digits of one width."""

_NUMBER = re.compile(r"([-+]?)([\d,]+)(\.\d+)?(?: ± (\d+)(\.\d+)?)?([^±]*)", re.DOTALL)
_STARTS = re.compile(r"[-+±]?\d")
_BLANKS = re.compile(f"[{DIGIT}{POINT}]")


def is_text(texts: Sequence[str]) -> bool:
    """Whether a column holds names or words, which are aligned to the left, and no number."""
    return not any(_STARTS.match(text) for text in texts)


def aligned(texts: Sequence[str]) -> list[str]:
    """The cells of a column that is aligned to the right, padded so that points, margins of error and units stand in line.

    What is no number is unchanged, and a minus sign takes the place of a hyphen.
    """
    matches = [_NUMBER.fullmatch(text) for text in texts]
    numbers = [match for match in matches if match]
    if not numbers:
        return list(texts)
    fraction, whole_margin, margin_fraction, tail = (
        max(len(match[group] or "") for match in numbers) for group in (3, 4, 5, 6)
    )
    return [
        text
        if match is None
        else match[1].replace("-", "\N{MINUS SIGN}")
        + match[2]
        + (match[3] or "")
        + (_blank_fraction(match[3], fraction) + _margin(match, whole_margin, margin_fraction) if whole_margin else "")
        + match[6]  # a unit follows its number, and the space behind it
        + ("" if whole_margin else _blank_fraction(match[3], fraction))
        + DIGIT * (tail - len(match[6]))
        for text, match in zip(texts, matches, strict=True)
    ]


def plain(text: str) -> str:
    """The text of a cell before `aligned` padded it."""
    return _BLANKS.sub("", text).replace("\N{MINUS SIGN}", "-").strip()


def _blank_fraction(digits: str | None, width: int) -> str:
    """The space of the digits behind the point that a number lacks, and of the point."""
    if digits or not width:
        return DIGIT * (width - len(digits or ""))
    return POINT + DIGIT * (width - 1)


def _margin(match: re.Match[str], width: int, fraction_width: int) -> str:
    """A margin of error, or as much space."""
    whole, fraction = match[4], match[5]
    if whole is None:
        return f" {DIGIT} {DIGIT * width}{_blank_fraction(None, fraction_width)}"
    return f" ± {DIGIT * (width - len(whole))}{whole}{fraction or ''}{_blank_fraction(fraction, fraction_width)}"
