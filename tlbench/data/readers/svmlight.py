"""svmlight (libsvm) text files, plain or gzip: per line a label and pairs index:value; they become sparse samples."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Self

import numpy as np
from pydantic import Field, model_validator

from tlbench.data.decoding import array_files, files
from tlbench.data.decoding.array_files import Piece
from tlbench.data.decoding.arrays import ReaderResult
from tlbench.data.labels.classes import listed
from tlbench.errors import TlbenchError
from tlbench.terms import Strict

PATH_KEYS = array_files.PATH_KEYS
LIBRARIES = ("scikit-learn", "scipy")


class Options(Strict, strict=True):
    """The files, and their number of features (which the format does not store)."""

    path: Annotated[array_files.Paths, Field(description="the svmlight file, or a list, relative to the data root")] | None = (
        None
    )
    files: (
        Annotated[array_files.ByClass, Field(description="class = file or list of files, whose own labels are not used")] | None
    ) = None
    features: Annotated[int, Field(gt=0, description="the number of features, the same for all domains")]
    zero_based: Annotated[bool, Field(description="whether the first feature has the index 0")] = True

    @model_validator(mode="after")
    def _one_origin(self) -> Self:
        if (self.path is None) == (self.files is None):
            raise ValueError("Give either path = a file (or a list), or files = { class = file }.")
        return self


def read(options: Options, root: Path) -> ReaderResult:
    """Sparse samples (N, features) float32 and labels (N,).

    Raises:
        TlbenchError: a file that is not there, is damaged or empty, or an index outside the features.
    """
    pieces = [(path, _read_file(files.find(root, path), options)) for path in options.path or []]
    for label, paths in (options.files or {}).items():
        for path in paths:
            x = _read_file(files.find(root, path), options).x
            pieces.append((path, Piece(x, array_files.constant_labels(x, label))))
    piece = array_files.joined(pieces)
    empty = options.features - len(np.unique(piece.x.indices))
    reading = f"samples {listed([name for name, _ in pieces])}, {array_files.described(piece.x)}"
    labels = "the class is that of the file, and labels in the files are left out" if options.files else "labels of the lines"
    zeros = (f"{empty:,} of {options.features:,} features are 0 in all samples",) if empty else ()
    return ReaderResult(piece.x, piece.y, reading=(f"{reading}; {labels}", *zeros))


def _read_file(path: Path, options: Options) -> Piece:
    from scipy import sparse
    from sklearn.datasets import load_svmlight_file

    with files.guarded_reading(path, "svmlight"), files.open_unzipped(path) as stream:
        x, y = load_svmlight_file(stream, n_features=options.features, zero_based=options.zero_based, dtype=np.float32)
    if not len(y):
        raise TlbenchError(f"{path}: The file holds no sample.")
    return Piece(sparse.csr_array(x), y)
