"""Tables as plain text: columns as wide as their cells, text to the left, numbers to the right, headings of groups between."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from tlbench.escaping import escape_control
from tlbench.reports.table import Table

Cells = list[list[str]]
"""The header and the lines of a table, each with its name first."""

_NUMBER = re.compile(r"[-+±]?\d")
_CAPTION_WIDTH = 100
"""The width in characters to which captions are wrapped."""
_MIN_NAME = 12
"""The number of characters to which a name is shortened so that a grouped table fits."""
NARROW = 80
"""The width in characters of a terminal of the usual size."""
_GLUE = "\0"
"""Stands for a space that is not broken at."""


@dataclass(frozen=True)
class Block:
    """The columns of a table that stand side by side: their indices, the name's first, their widths, and the gap between."""

    columns: list[int]
    widths: list[int]
    gap: int


def blocks(cells: Cells, width: int, *, grouped: bool = False) -> list[Block]:
    """The blocks of a table: the names, then as many columns as fit into the width, at least one; blank columns are left out.

    A grouped table is one block: its gaps shrink where it is wider than `NARROW`, and its names where it does not fit.
    """
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    blank = [at for at in range(1, len(widths)) if len(cells) > 1 and not any(line[at] for line in cells[1:])]
    everything = [at for at in range(len(widths)) if at not in blank]
    if grouped:
        shown = [widths[at] for at in everything]
        for gap, limit in ((2, min(width, NARROW)), (1, width)):
            if sum(shown) + gap * (len(shown) - 1) <= limit:
                return [Block(everything, shown, gap)]
        name = width - sum(shown[1:]) - (len(shown) - 1)
        if name >= min(_MIN_NAME, shown[0]):
            return [Block(everything, [name, *shown[1:]], 1)]
    columns: list[list[int]] = [[0]]
    used = widths[0]
    for at in everything[1:]:
        if len(columns[-1]) > 1 and used + 2 + widths[at] > width:
            columns.append([0])
            used = widths[0]
        columns[-1].append(at)
        used += 2 + widths[at]
    return [Block(block, [widths[at] for at in block], 2) for block in columns]


def is_text(cells: Cells, column: int) -> bool:
    """Whether a column holds names or words, which are aligned to the left, and no number."""
    return column == 0 or not any(_NUMBER.match(line[column]) for line in cells[1:])


def shortened(text: str, width: int) -> str:
    """A name, with its end left out where it is longer than the width."""
    return text if len(text) <= width else text[: width - 1] + "…"


def padded(cells: Cells, block: Block) -> Cells:
    """The cells of a block at the widths of their columns, the header first."""
    left = [is_text(cells, column) for column in block.columns]
    layout = list(zip(block.columns, block.widths, left, strict=True))
    shown = ([(shortened(line[column], width), width, to_left) for column, width, to_left in layout] for line in cells)
    return [[text.ljust(width) if to_left else text.rjust(width) for text, width, to_left in line] for line in shown]


def heading(groups: Sequence[str], line: int) -> str:
    """The heading that stands before a line of a table: that of a group before its first line, else nothing."""
    if not groups or (line and groups[line] == groups[line - 1]):
        return ""
    return f"{escape_control(groups[line])}:"


def _lines(cells: Cells, block: Block, groups: Sequence[str]) -> Iterator[str]:
    """The lines of a block: header, rule, and the lines of the table with the heading of each group before its first."""
    gap = " " * block.gap
    header, *body = padded(cells, block)
    yield gap.join(header).rstrip()
    yield gap.join("-" * width for width in block.widths)
    for number, texts in enumerate(body):
        if first := heading(groups, number):
            yield first
        yield gap.join(texts).rstrip()


def caption(table: Table, width: int) -> list[str]:
    """The caption wrapped for a terminal: its line and the notes below or, where a table has no line, all of it.

    A grouped table has its pointer to the documentation in the last line of the command.
    """
    pointer = f"See {table.pointer}." if table.pointer and not table.groups else ""
    paragraphs = [f"{table.line} {pointer}".rstrip(), table.notes] if table.line else [table.caption]
    return [_filled(escape_control(paragraph), min(width, _CAPTION_WIDTH)) for paragraph in paragraphs if paragraph]


def title(table: Table, width: int) -> str:
    """The title wrapped for a terminal."""
    return _filled(escape_control(table.title), width)


def _filled(text: str, width: int) -> str:
    """Text wrapped for a terminal; a number and its unit stay together."""
    return textwrap.fill(text.replace(" %", _GLUE + "%"), width, break_on_hyphens=False).replace(_GLUE, " ")


def render_table(table: Table, cells: Cells, width: int) -> str:
    """A table with its title and its caption; `cells` are its cells, escaped."""
    grouped = bool(table.groups)
    bodies = ["\n".join(_lines(cells, block, table.groups)) for block in blocks(cells, width, grouped=grouped)]
    gap = "\n" if grouped else "\n\n"
    return gap.join([title(table, width), *bodies, "\n".join(caption(table, width))]) + "\n"
