"""The predictions of a record: the file beside the records that its hash names, read as a stranger's file."""

from __future__ import annotations

import hashlib
import io
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING

from tlbench.plain_files import read_plain
from tlbench.terms import Record

if TYPE_CHECKING:
    import numpy as np

MAX_FILE_BYTES, MAX_ARRAY_BYTES = 2**26, 2**28
"""Larger predictions files, or files that unpack to more, are not read: 100 million scored samples fit."""
MAX_NAME_CHARACTERS = 64


def predictions_file(results: Path, suite: str, name: str) -> Path:
    """The file of the predictions that a record names."""
    return results / suite / "predictions" / f"{name}.npz"


def predictions(results: Path, record: Record) -> tuple[np.ndarray, np.ndarray] | None:
    """The predicted class indices (N,) of a record's scored samples, and whether each is correct (N,) bool.

    None where the record names no file, or the file is missing or has other content than its name states.
    """
    return None if record.scores.predictions is None else predictions_named(results, record.suite, record.scores.predictions)


def predictions_named(results: Path, suite: str, name: str) -> tuple[np.ndarray, np.ndarray] | None:
    """The same by the name that a record of the suite states: a hash of the file's content."""
    if not name.isascii() or not name.isalnum() or len(name) > MAX_NAME_CHARACTERS:
        return None
    import numpy as np

    try:
        content = read_plain(predictions_file(results, suite, name), MAX_FILE_BYTES)
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            predicted, packed = (_array(archive, f"{member}.npy") for member in ("predicted", "right"))
    except Exception:  # zipfile and numpy raise nearly anything on a stranger's bytes; such a file has no predictions
        return None
    if packed.dtype != np.uint8 or len(packed) != (len(predicted) + 7) // 8:
        return None
    facts = f"{predicted.dtype}{len(predicted)}".encode() + predicted.tobytes() + packed.tobytes()
    if hashlib.sha256(facts).hexdigest()[:16] != name:
        return None
    return predicted, np.unpackbits(packed, count=len(predicted)).astype(bool)


def _array(archive: zipfile.ZipFile, member: str) -> np.ndarray:
    """An array (N,) of uint8 or uint16, whose header says no more than its bytes hold.

    Raises:
        ValueError: it is another array, or unpacks to too much.
        KeyError: there is no such member.
    """
    import numpy as np

    if archive.getinfo(member).file_size > MAX_ARRAY_BYTES:
        raise ValueError("The array is too large.")
    stream = io.BytesIO(archive.read(member))
    version = np.lib.format.read_magic(stream)
    read_header = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}[version]
    shape, _, dtype = read_header(stream)
    array = np.frombuffer(stream.getbuffer()[stream.tell() :], np.uint8 if dtype == np.uint8 else np.uint16)
    if dtype not in (np.uint8, np.uint16) or shape != array.shape:
        raise ValueError("The array is no list of classes.")
    return array
