"""A declaration -> a Domain of tensors.

`declare` checks the tables of a suite and reads nothing from disk; `load` reads, checks, shifts, prepares and
fingerprints. Importing this room imports neither torch nor scikit-learn nor scipy.
"""

from __future__ import annotations

from tlbench.data import cache, prepare, readers, shifts, sources
from tlbench.data.declaration import Declaration, declare
from tlbench.data.files import root_of
from tlbench.data.fitting import fitted
from tlbench.data.loading import load
from tlbench.data.repeats import duplicates

__all__ = [
    "Declaration",
    "cache",
    "declare",
    "duplicates",
    "fitted",
    "load",
    "prepare",
    "readers",
    "root_of",
    "shifts",
    "sources",
]
