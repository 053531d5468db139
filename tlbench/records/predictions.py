"""The predictions of a record: the file, or member of a pack, that its hash names, read as a stranger's file."""

from __future__ import annotations

import hashlib
import io
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tlbench.errors import TlbenchError
from tlbench.records.packs import read_content
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

    None where the record names no file, or the file is missing, has other content than its name states, or is of a regression.
    """
    return None if record.scores.predictions is None else predictions_named(results, record.suite, record.scores.predictions)


def predictions_named(results: Path, suite: str, name: str) -> tuple[np.ndarray, np.ndarray] | None:
    """The same by the name that a record of the suite states: a hash of the file's content."""
    return _classes(_content(results, suite, name), name)


def outputs(results: Path, record: Record) -> np.ndarray | None:
    """The predicted numbers (N, K) float32 of a record's scored samples, for K target columns of a regression.

    None where the record names no file, or the file is missing, has other content than its name states, or is of a
    classification. Records of regressions name files since these are written.
    """
    name = record.scores.predictions
    return None if name is None else _outputs(_content(results, record.suite, name), name)


def has_predictions(results: Path, record: Record) -> bool:
    """Whether the file that a record names is there, of a classification or of a regression."""
    return predictions(results, record) is not None or outputs(results, record) is not None


def are_predictions(content: bytes, name: str) -> bool:
    """Whether the bytes of a file are predictions with this name, of a classification or of a regression."""
    return _classes(content, name) is not None or _outputs(content, name) is not None


def _content(results: Path, suite: str, name: str) -> bytes:
    """The bytes of the file of a name; none where it is missing or can't be read."""
    if not name.isascii() or not name.isalnum() or len(name) > MAX_NAME_CHARACTERS:
        return b""
    try:
        return read_content(predictions_file(results, suite, name), MAX_FILE_BYTES)[1]
    except (FileNotFoundError, TlbenchError):
        return b""


def _classes(content: bytes, name: str) -> tuple[np.ndarray, np.ndarray] | None:
    """The class indices in the bytes of a file, and whether each is correct; None where they are not those of the name."""
    import numpy as np

    classes = (np.dtype(np.uint8), np.dtype(np.uint16))
    arrays = _arrays(content, {"predicted": classes, "right": classes[:1]})
    if arrays is None:
        return None
    predicted, packed = arrays
    if predicted.ndim != 1 or packed.shape != ((len(predicted) + 7) // 8,):
        return None
    facts = f"{predicted.dtype}{len(predicted)}".encode() + predicted.tobytes() + packed.tobytes()
    if hashlib.sha256(facts).hexdigest()[:16] != name:
        return None
    return predicted, np.unpackbits(packed, count=len(predicted)).astype(bool)


def _outputs(content: bytes, name: str) -> np.ndarray | None:
    """The predicted numbers in the bytes of a file; None where they are not those of the name."""
    import numpy as np

    arrays = _arrays(content, {"outputs": (np.dtype(np.float32),)})
    if arrays is None or arrays[0].ndim != 2:
        return None
    facts = f"{arrays[0].dtype}{arrays[0].shape}".encode() + arrays[0].tobytes()
    return arrays[0] if hashlib.sha256(facts).hexdigest()[:16] == name else None


def _arrays(content: bytes, members: Mapping[str, tuple[np.dtype[Any], ...]]) -> list[np.ndarray] | None:
    """The arrays in the bytes of a predictions file, with the types that each may have; None where it has no such arrays."""
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            return [_array(archive, f"{member}.npy", dtypes) for member, dtypes in members.items()]
    except Exception:  # zipfile and numpy raise nearly anything on a stranger's bytes; such a file has no predictions
        return None


def _array(archive: zipfile.ZipFile, member: str, dtypes: tuple[np.dtype[Any], ...]) -> np.ndarray:
    """An array of one of some types, whose header says no more than its bytes hold.

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
    shape, is_transposed, dtype = read_header(stream)
    if dtype not in dtypes or not 1 <= len(shape) <= 2 or (is_transposed and len(shape) > 1):
        raise ValueError("The array is no list of predictions.")
    return np.frombuffer(stream.getbuffer()[stream.tell() :], dtype).reshape(shape)  # which states how many bytes follow
