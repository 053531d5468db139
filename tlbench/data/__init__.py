"""From a declaration to a Domain of tensors.

`declare` checks the tables of a suite without reading files; `load` reads, checks, shifts, prepares and fingerprints.
Importing this package imports neither torch nor scikit-learn nor SciPy.
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
