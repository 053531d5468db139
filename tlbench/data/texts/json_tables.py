"""Tables in a JSON file, plain or gzip: a list of lists or of objects, or an object that holds such lists by split."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tlbench.data.decoding import files, tables
from tlbench.data.labels.classes import listed
from tlbench.errors import TlbenchError, did_you_mean

if TYPE_CHECKING:
    import pandas as pd

LIMIT_BYTES = 512 * 2**20
"""A JSON file is read as a whole; one that unpacks to more bytes is refused."""


def frame_reader(splits: Sequence[str], encoding: str) -> tables.FrameReader:
    """The function that reads one file as a data frame, whose cells stay as they are written.

    The columns are the keys of the objects, or "0", "1", ... where the lines of the table are lists.

    Args:
        splits: the names of the lists that are read one after the other; none where the file is one list.
        encoding: the encoding of the text.
    """

    def read_frame(path: Path, needed: list[str] | None) -> pd.DataFrame:
        import pandas as pd

        items = [item for one in _lists(path, splits, encoding) for item in one]
        tables_of_items = [_as_table(path, number, item) for number, item in enumerate(items)]
        names = list(dict.fromkeys(name for table in tables_of_items for name in table))
        tables.check_columns(path, len(names))
        if needed is not None and not set(needed) <= set(names):
            return pd.DataFrame(index=range(len(items)), columns=names)  # the error will name the missing one
        columns = names if needed is None else needed
        return pd.DataFrame({name: pd.Series([t.get(name) for t in tables_of_items], dtype=object) for name in columns})

    return read_frame


def _lists(path: Path, splits: Sequence[str], encoding: str) -> list[list[Any]]:
    """The lists of a file that `splits` names, or the file itself.

    Raises:
        TlbenchError: the file is no JSON, too large, or holds no such list.
    """
    with files.guarded_reading(path, "json"), files.open_unzipped(path) as stream:
        content = stream.read(LIMIT_BYTES + 1)
        if len(content) > LIMIT_BYTES:
            raise TlbenchError(f"{path}: The file holds more than {LIMIT_BYTES:,} bytes. Write it as JSON lines (.jsonl).")
        try:
            value = json.loads(content.decode(encoding))
        except (UnicodeError, LookupError) as error:
            raise TlbenchError(f"{path}: {error}. Set encoding, as in encoding = 'latin-1'.") from error
    if isinstance(value, list) and not splits:
        return [value]
    if not isinstance(value, dict):
        rule = "it has no splits. Leave out split." if isinstance(value, list) else "it must hold a list, or lists by split."
        raise TlbenchError(f"{path}: The file holds a {type(value).__name__}, and {rule}")
    if not splits:
        raise TlbenchError(f"{path}: The file holds an object of {listed([*value])}. Name lists in it by split.")
    for split in splits:
        if split not in value:
            raise TlbenchError(f"{path}: There is no split {split!r}. {did_you_mean(split, value)}")
        if not isinstance(value[split], list):
            raise TlbenchError(f"{path}: The split {split!r} is a {type(value[split]).__name__}, not a list.")
    return [value[split] for split in splits]


def _as_table(path: Path, number: int, item: Any) -> dict[str, Any]:
    """Column -> cell of one item of a list."""
    if isinstance(item, dict):
        return item
    if isinstance(item, list):
        return {str(index): cell for index, cell in enumerate(item)}
    raise TlbenchError(
        f"{path}: The item {number} (counted from 0) is a {type(item).__name__}. Each must be a list such as [text, label], or "
        "an object {...}."
    )
