"""The files of a case's candidates, `<results>/<suite>/facts/<sha256>.npz` or members of packs, read as a stranger's files.

One file holds what selection rules may read, another one the predictions of scored samples. `engine.candidates.packing` says
which arrays are in them.
"""

from __future__ import annotations

import hashlib
import io
import re
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tlbench.errors import TlbenchError
from tlbench.records.packs import read_content

if TYPE_CHECKING:
    import numpy as np

MAX_FACTS_BYTES, MAX_FACTS_ARRAY_BYTES, MAX_ARRAYS = 2**24, 2**26, 64
"""Larger files, arrays that unpack to more, and files of more arrays are refused."""
DTYPES = frozenset({"uint8", "uint16", "uint32", "int32", "float16", "float32"})
"""The types that the arrays may have."""


def facts_file(results: Path, suite: str, name: str) -> Path:
    """The file of candidates that a record names."""
    return results / suite / "facts" / f"{name}.npz"


def label_free_facts(results: Path, suite: str, name: str) -> dict[str, np.ndarray[Any, Any]] | None:
    """What selection rules may read of T candidates, by name; None where there is no such file.

    Raises:
        TlbenchError: its content is another than its name states, or its arrays do not fit each other.
    """
    origin, arrays = _arrays(facts_file(results, suite, name), name)
    if arrays is not None and (error := _label_free_error(arrays)):
        raise TlbenchError(f"{origin}: {error} Run the case again.")
    return arrays


def sealed_facts(results: Path, suite: str, name: str) -> dict[str, np.ndarray[Any, Any]] | None:
    """The predictions of n scored samples by T candidates, by name, with `correct` (T, n) as bool; None without such a file.

    Raises:
        TlbenchError: its content is another than its name states, or its arrays do not fit each other.
    """
    import numpy as np

    origin, arrays = _arrays(facts_file(results, suite, name), name)
    if arrays is None:
        return None
    if error := _sealed_error(arrays):
        raise TlbenchError(f"{origin}: {error} Run the case again.")
    count = arrays["predicted"].shape[1]
    return {**arrays, "correct": np.unpackbits(arrays["correct"], axis=1, count=count).astype(bool)}


def are_facts(content: bytes, name: str) -> bool:
    """Whether the bytes of a file are those that its name states."""
    return hashlib.sha256(content).hexdigest() == name


def _arrays(file: Path, name: str) -> tuple[Path, dict[str, np.ndarray[Any, Any]] | None]:
    """Where a file lies whose sha256 is its name, and its arrays, None without the file; no object of Python is in them.

    Raises:
        TlbenchError: the content is another, or is no file of arrays.
    """
    import numpy as np

    if not re.fullmatch(r"[0-9a-f]{64}", name):
        return file, None
    try:
        origin, content = read_content(file, MAX_FACTS_BYTES)
    except FileNotFoundError:
        return file, None
    if not are_facts(content, name):
        raise TlbenchError(f"{origin}: The file has another sha256 than its name. Run the case again.")
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            members = archive.infolist()
        if len(members) > MAX_ARRAYS or any(member.file_size > MAX_FACTS_ARRAY_BYTES for member in members):
            raise ValueError("too many arrays, or too large ones")
        with np.load(io.BytesIO(content), allow_pickle=False) as loaded:
            arrays = {key: loaded[key] for key in loaded.files}
    except Exception as error:  # zipfile and numpy raise nearly anything on a stranger's bytes
        raise TlbenchError(f"{origin}: The file holds no facts of candidates ({type(error).__name__}).") from error
    if unfit := [key for key, array in arrays.items() if str(array.dtype) not in DTYPES or array.size == 0]:
        raise TlbenchError(f"{origin}: The array {unfit[0]!r} is empty or of the type {arrays[unfit[0]].dtype}.")
    return origin, arrays


def _label_free_error(arrays: dict[str, np.ndarray[Any, Any]]) -> str:
    """What is wrong with the arrays that rules read, as a sentence; empty where nothing is."""
    import numpy as np

    step, adapted = arrays.get("step"), arrays.get("adapted")
    if step is None or adapted is None or step.ndim != 1 or step.shape != adapted.shape:
        return "It has no steps of candidates."
    if (step < 0).any() or (np.diff(step) < 0).any() or (adapted > 1).any():
        return "Its steps are negative, or not in their order."
    for name, array in arrays.items():
        per_candidate = name not in ("source_labels", "mixed_partners")
        if per_candidate and len(array) != len(step):
            return f"Its {name} are of {len(array)} candidates, and there are {len(step)}."
        if name.endswith("_outputs"):
            if array.ndim != 3 or array.shape[2] < 3 or (array[:, :, :-1] > 0).any():
                return f"Its {name} are no log-probabilities."
            labels = arrays.get("source_labels")
            if name.startswith("source") and (labels is None or labels.shape != array.shape[1:2]):
                return "Its source samples have no labels."
            if name.startswith("source") and labels is not None and labels.max() > array.shape[2] - 2:
                return "Its source labels are out of range."
    partners, mixed = arrays.get("mixed_partners"), arrays.get("mixed_classes")
    if mixed is not None and (partners is None or partners.shape != mixed.shape[1:] or partners.max() >= len(partners)):
        return "Its mixed samples have no partners."
    return ""


def _sealed_error(arrays: dict[str, np.ndarray[Any, Any]]) -> str:
    """What is wrong with the predictions of candidates, as a sentence; empty where nothing is."""
    names = ("positions", "predicted", "correct", "labeled", "labeled_losses")
    if missing := [name for name in names if name not in arrays]:
        return f"It lacks {missing[0]}."
    predicted, labeled = arrays["predicted"], arrays["labeled"]
    if predicted.ndim != 2 or arrays["positions"].shape != predicted.shape[1:]:
        return "Its predictions are not of its samples."
    if arrays["correct"].shape != (len(predicted), (predicted.shape[1] + 7) // 8):
        return "It does not say of each prediction whether it is correct."
    if labeled.ndim != 1 or labeled.max() >= predicted.shape[1]:
        return "Its labelled samples are out of range."
    if arrays["labeled_losses"].shape != (len(predicted), len(labeled)) or (arrays["labeled_losses"] < 0).any():
        return "Its losses are not those of its labelled samples."
    return ""
