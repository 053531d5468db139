"""What a method reads, as tables abbreviate it, so that gains that took labels are told from those that took none."""

from __future__ import annotations

from dataclasses import replace

import pandas as pd

from tlbench.reports.frames import latest_records
from tlbench.reports.table import Table

SYMBOLS = {"source": "S", "target": "T", "target_labeled": "L", "stream": "St"}
"""The splits that a method may read, as the column `reads` abbreviates them."""


def symbols(reads: str) -> str:
    """The splits that a record says were read, abbreviated: "S T" for "source+target"."""
    names = [name for name in reads.split("+") if name]
    return " ".join([symbol for name, symbol in SYMBOLS.items() if name in names] + [n for n in names if n not in SYMBOLS])


def reads_texts(records: pd.DataFrame, entries: pd.Index[str]) -> list[str]:
    """The column `reads`: what each entry read in its last finished case; blank without one.

    Args:
        records: at most one record per case.
        entries: those of the table.
    """
    done = records[records["status"] == "done"]
    last = done.drop_duplicates("entry", keep="last").set_index("entry")["reads"].reindex(entries)
    return [symbols(reads) if isinstance(reads, str) else "" for reads in last]


def with_reads(table: Table, frame: pd.DataFrame) -> Table:
    """The table with the column `reads` behind its summary columns and before those of pairs; unchanged if it would be blank.

    Args:
        table: a table with a line for each method entry.
        frame: the records of its suite.
    """
    texts = reads_texts(latest_records(frame), table.cells.index)
    if not any(texts):
        return table
    pairs = set(table.data["pair"].dropna())
    at = next((at for at, column in enumerate(table.cells.columns) if column in pairs), len(table.cells.columns))
    cells, marks = table.cells.copy(), None if table.marks is None else table.marks.copy()
    cells.insert(at, "reads", texts)
    if marks is not None:
        marks.insert(at, "reads", "")
    return replace(table, cells=cells, marks=marks)
