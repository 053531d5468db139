"""Files of others, opened by one guarded reader: a plain file, up to a size, of JSON that is not nested without end.

Results directories come from strangers. A FIFO or a device would hang a command or fill the memory, and so would a line of
gigabytes; the readers of data have limits of their own in `tlbench.data.decoding.files`.
"""

from __future__ import annotations

import contextlib
import json
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

from tlbench.errors import TlbenchError

MAX_NESTING = 100
"""The levels of lists and tables in a JSON text."""


def read_plain(path: Path, limit_bytes: int, offset: int = 0) -> bytes:
    """The bytes of a plain file, from an offset on; links to plain files are followed.

    Args:
        path: the file.
        limit_bytes: a file with more bytes behind the offset is refused, and not read.
        offset: the bytes at its start that are left out.

    Raises:
        FileNotFoundError: there is no such file.
        TlbenchError: it is a folder, a FIFO, a device or a socket, it is too large, or it can't be read.
    """
    with open_plain(path) as file:
        size_bytes = os.fstat(file.fileno()).st_size - offset
        file.seek(offset)
        content = file.read(limit_bytes + 1) if size_bytes <= limit_bytes else None
    if content is None or len(content) > limit_bytes:
        raise TlbenchError(f"{path}: The file has more than {limit_bytes:,} bytes, and is not read. Split it or remove it.")
    return content


@contextlib.contextmanager
def open_plain(path: Path) -> Iterator[BinaryIO]:
    """Open a plain file for reading; links to plain files are followed.

    Raises:
        FileNotFoundError: there is no such file.
        TlbenchError: it is a folder, a FIFO, a device or a socket, or it can't be read.
    """
    try:
        _require_plain(path, path.stat().st_mode)  # before opening, for that alone can act on a device
        handle = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
        with os.fdopen(handle, "rb") as file:
            _require_plain(path, os.fstat(handle).st_mode)
            yield file
    except FileNotFoundError:
        raise
    except OSError as error:
        raise TlbenchError(f"{path}: The file can't be read: {error.strerror}.") from error


def _require_plain(path: Path, mode: int) -> None:
    kinds = {stat.S_ISDIR: "folder", stat.S_ISFIFO: "FIFO", stat.S_ISSOCK: "socket"}
    if not stat.S_ISREG(mode):
        kind = next((name for test, name in kinds.items() if test(mode)), "device")
        raise TlbenchError(f"{path}: This is a {kind}, and not a plain file. Remove it or name another file.")


def parse_json(text: str) -> Any:
    """The value of a JSON text.

    Raises:
        json.JSONDecodeError: it is no JSON; the text is cut off, for instance.
        TlbenchError: it is JSON that no program writes on purpose: nested without end, numbers of thousands of digits, or half
            a surrogate pair.
    """
    try:
        value = json.loads(text)
        if _depth(value) > MAX_NESTING:
            raise RecursionError
        json.dumps(value, ensure_ascii=False).encode()
    except json.JSONDecodeError:
        raise
    except RecursionError as error:
        raise TlbenchError(f"JSON nested deeper than {MAX_NESTING} levels is not read.") from error
    except UnicodeEncodeError as error:
        raise TlbenchError("A text holds half of a surrogate pair, which is no character.") from error
    except ValueError as error:  # Python converts integers of up to 4,300 digits
        raise TlbenchError("A number has thousands of digits.") from error
    return value


def _depth(value: Any) -> int:
    """The levels of nested lists and tables."""
    level, values = 0, [value]
    while values := [item for item in values if isinstance(item, dict | list)]:
        level += 1
        values = [inner for item in values for inner in (item.values() if isinstance(item, dict) else item)]
    return level
