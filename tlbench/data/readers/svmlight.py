"""svmlight (libsvm) text files, plain or gzip: per line a label and pairs index:value; they become sparse samples."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import numpy as np
from pydantic import Field

from tlbench.data.decoding import files
from tlbench.errors import TlbenchError
from tlbench.terms import Strict


class Options(Strict, strict=True):
    """The file, and its number of features (which the format does not store)."""

    path: Annotated[str, Field(description="the svmlight file, relative to the data root")]
    features: Annotated[int, Field(gt=0, description="the number of features, the same for all domains")]
    zero_based: Annotated[bool, Field(description="whether the first feature has the index 0")] = True


def read(options: Options, root: Path) -> tuple[Any, Any]:
    """Sparse samples (N, features) float32 and labels (N,).

    Raises:
        TlbenchError: a file that is not there, is damaged or empty, or an index outside the features.
    """
    from scipy import sparse
    from sklearn.datasets import load_svmlight_file

    path = files.find(root, options.path)
    with files.guarded_reading(path, "svmlight"), files.open_unzipped(path) as stream:
        x, y = load_svmlight_file(stream, n_features=options.features, zero_based=options.zero_based, dtype=np.float32)
    if not len(y):
        raise TlbenchError(f"{path}: The file holds no sample.")
    return sparse.csr_array(x), y
