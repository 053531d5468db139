"""The declared group of each sample, as an index into the groups of a domain."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tlbench.data.labels.classes import encode_labels, listed
from tlbench.errors import TlbenchError


def group_indices(group: Any, groups: Sequence[str]) -> NDArray[np.int64] | None:
    """The group of each sample (N,) as indices into the groups of the main samples.

    Raises:
        TlbenchError: a group that no main sample has.
    """
    if group is None or not groups:
        return None
    names, indices = encode_labels(np.asarray(group))
    index_of = {name: index for index, name in enumerate(groups)}
    if unknown := [name for name in names if name not in index_of]:
        raise TlbenchError(f"The group {unknown[0]!r} is not among those of the main samples: {listed(groups)}.")
    return np.array([index_of[name] for name in names], dtype=np.int64)[indices]
