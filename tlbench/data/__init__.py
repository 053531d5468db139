"""A declaration -> a Domain of tensors.

`declare` checks the tables of a suite and reads nothing from disk; `load` reads, checks, shifts, prepares and
fingerprints. Importing this room imports neither torch nor scikit-learn nor scipy.
"""

from __future__ import annotations

from tlbench.data import cache, preparation, readers, shifts, source_files
from tlbench.data.declaration import Declaration, declare
from tlbench.data.decoding.files import resolve_data_root
from tlbench.data.duplicates import count_duplicates
from tlbench.data.fitted_features import fit_features
from tlbench.data.loading import load

__all__ = [
    "Declaration",
    "cache",
    "count_duplicates",
    "declare",
    "fit_features",
    "load",
    "preparation",
    "readers",
    "resolve_data_root",
    "shifts",
    "source_files",
]
