"""Tables on a terminal with colours, by rich."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rich.console import Console
from rich.text import Text

from tlbench.reports.formats.output import cells_of, marks_of
from tlbench.reports.formats.plain_text import Block, Cells, blocks, caption, heading, padded, title
from tlbench.reports.table import Table

STYLES = {"best": "bold", "second": "underline", "better": "green", "worse": "red", "front": "bold", "n.s.": "dim"}
"""Mark -> style of rich; a sign, a star or a word of the table always says the same as a colour."""


def show(tables: Sequence[Table], console: Console) -> None:
    """Print tables; the columns of one that is wider than the console continue in further blocks below."""
    for table in tables:
        console.print(_text(table, console.width), highlight=False, no_wrap=True, overflow="ignore", crop=False)


def _text(table: Table, width: int) -> Text:
    cells, marks = cells_of(table), marks_of(table)
    gap = Text("\n" if table.groups else "\n\n")
    bodies = [
        Text("\n").join(_lines(cells, marks, block, table.groups)) for block in blocks(cells, width, grouped=bool(table.groups))
    ]
    below = Text("\n".join(caption(table, width)), style="dim")
    return Text.assemble(gap.join([Text(title(table, width), style="bold"), *bodies, below]), "\n")


def _lines(cells: Cells, marks: Cells, block: Block, groups: Sequence[str]) -> Iterator[Text]:
    """The lines of a block, as those of plain text."""
    gap = " " * block.gap
    header, *body = padded(cells, block)
    yield Text(gap.join(header).rstrip(), style="bold")
    yield Text(gap.join("\u2500" * width for width in block.widths), style="dim")
    for number, (texts, line_marks) in enumerate(zip(body, marks[1:], strict=True)):
        if first := heading(groups, number):
            yield Text(first, style="italic cyan")
        words = [line_marks[column].split() for column in block.columns]
        yield Text(gap).join(
            Text(text, style=" ".join(STYLES[word] for word in of if word in STYLES))
            for text, of in zip(texts, words, strict=True)
        )
