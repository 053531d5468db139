"""Column files: Parquet, Arrow IPC (file or stream) and Feather, told apart by their first bytes."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from tlbench.data.decoding import files, tables
from tlbench.data.decoding.arrays import ReaderResult
from tlbench.errors import TlbenchError, did_you_mean

if TYPE_CHECKING:
    import pandas as pd


class Options(tables.TableOptions, strict=True):
    """Which columns are what; see the keys of all tables."""


def read(options: Options, root: Path) -> ReaderResult:
    """Rows (N, D), or (N, ...) from one column of lists, and labels (N,).

    Raises:
        TlbenchError: no such file or column, not a whole file of these formats, or more cells than are allowed.
    """
    return tables.read(options, root, _frame)


def _frame(path: Path, needed: list[str] | None) -> pd.DataFrame:
    from pyarrow import ipc, memory_map
    from pyarrow import parquet as pq

    with files.guarded_reading(path, "Parquet or Arrow"):
        with path.open("rb") as stream:
            head = stream.read(6)
        if head[:4] == b"PAR1":
            with pq.ParquetFile(path) as file:
                names = file.schema_arrow.names
                _allowed(path, file.metadata.num_rows, names, file.metadata)
                table = file.read(columns=_there(path, needed, names))
        elif head in (b"ARROW1", b"\xff\xff\xff\xff" + head[4:]):
            with memory_map(str(path)) as stream:
                opened = ipc.open_file(stream) if head == b"ARROW1" else ipc.open_stream(stream)
                table = opened.read_all()
                if needed is not None:
                    table = table.select(_there(path, needed, table.column_names))
        else:
            raise TlbenchError(f"{path}: not a Parquet, Arrow or Feather file (its first bytes are not those of one)")
        table.validate(full=True)  # offsets of a damaged file may point anywhere, and its texts may be none
        return table.to_pandas(ignore_metadata=True)


def _there(path: Path, needed: list[str] | None, names: list[str]) -> list[str] | None:
    for name in needed or ():
        if name not in names:
            raise TlbenchError(f"{path}: There is no column {name!r}. {did_you_mean(name, names)}")
    return needed


def _allowed(path: Path, rows: int, names: list[str], metadata: Any) -> None:
    """Hold what the file says it unpacks to, before anything is unpacked."""
    unpacked = sum(metadata.row_group(i).total_byte_size for i in range(metadata.num_row_groups))
    if rows * len(names) > tables.CELLS_LIMIT or unpacked > files.UNPACKED_LIMIT_BYTES:
        raise TlbenchError(
            f"{path}: says {rows} rows of {len(names)} columns, {unpacked / 2**30:.1f} GiB unpacked; more than is allowed"
        )
