"""NumPy files (.npy), one of samples and one of labels, or one or several for each class; pickled objects are refused."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Self

import numpy as np
from pydantic import Field, model_validator

from tlbench.data.decoding import array_files, files
from tlbench.data.decoding.array_files import Piece
from tlbench.data.decoding.arrays import ReaderResult
from tlbench.data.decoding.axes import Axes, oriented
from tlbench.data.labels.classes import listed
from tlbench.errors import TlbenchError
from tlbench.terms import Strict

PATH_KEYS = ("x", "y")


class Options(Strict, strict=True):
    """The files of the samples and of the labels."""

    x: Annotated[
        array_files.Paths | array_files.ByClass,
        Field(description="the .npy file of the samples, or a list, relative to the data root; or class = file, without y"),
    ]
    y: Annotated[array_files.Paths, Field(description="the .npy file of the labels, or one for each file of x")] | None = None
    axes: Annotated[Axes, Field(description="what each axis of x is, as in 'NHWC'; default: samples come first")] | None = None

    @model_validator(mode="after")
    def _labels_for_each_file(self) -> Self:
        if isinstance(self.x, dict) != (self.y is None):
            raise ValueError("Give either y = a file of labels, or x = { class = file }.")
        if self.y is not None and len(self.x) != len(self.y):
            raise ValueError(f"x names {len(self.x)} files and y {len(self.y)}. Each file of x needs one of y.")
        return self


def read(options: Options, root: Path) -> ReaderResult:
    """The arrays, mapped from disk (copy on write) where there is one file of each.

    Raises:
        TlbenchError: a file that is not there, is damaged, or holds pickled objects.
    """
    pieces: list[tuple[str, Piece]] = []

    def add(path: str, y_path: str | None, label: str = "") -> None:
        x, notes = oriented(_array(files.find(root, path)), options.axes, path)
        y = array_files.constant_labels(x, label) if y_path is None else _array(files.find(root, y_path))
        pieces.append((path, Piece(x, y, notes=notes)))

    if isinstance(options.x, dict):
        for label, paths in options.x.items():
            for path in paths:
                add(path, None, label)
    else:
        for path, y_path in zip(options.x, options.y or [], strict=True):
            add(path, y_path)
    piece = array_files.joined(pieces)
    labels = "the class is that of the file" if options.y is None else f"labels {', '.join(options.y)}"
    reading = f"samples {listed([name for name, _ in pieces])}, {array_files.described(piece.x)}; {labels}"
    return ReaderResult(piece.x, piece.y, notes=piece.notes, reading=(reading,))


def _array(path: Path) -> Any:
    with files.guarded_reading(path, "npy"), path.open("rb") as stream:
        if stream.read(6) != b"\x93NUMPY":
            raise TlbenchError(f"{path}: This is not an npy file. Write one with numpy.save.")
        try:
            return np.load(path, mmap_mode="c", allow_pickle=False)
        except ValueError as error:
            if "Python objects" not in str(error) and "allow_pickle" not in str(error):
                raise
            raise TlbenchError(
                f"{path}: The file holds pickled objects, which are never loaded. Save plain numbers or texts."
            ) from error
