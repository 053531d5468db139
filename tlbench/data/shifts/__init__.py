"""Declared distribution shifts: domains made to order from one data set.

A shift is a function `(x, y, rng, *, options)` that leaves its inputs as they are. It gives changed rows and labels `(x, y)`,
or it chooses: then it gives the numbers of the rows that stay. One that reads files takes the data root as a fourth argument
`root`. Adding a function to a file here, and its name below, adds a shift. The
generator follows from the kind and the seed alone, so `part` cuts the same parts whatever its index, and a ladder of
severities differs in nothing but severity.
"""

from __future__ import annotations

import hashlib
import inspect
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from tlbench.data.decoding import mapped_arrays
from tlbench.data.function_registry import FunctionRegistry, PlainOptions
from tlbench.data.shifts.images import blend, blur, colour_jitter, contrast, inversion, noise, occlusion, rotation, zoom
from tlbench.data.shifts.resampling import Labels, biased_sample, concept_shift, covariate_shift, label_shift, part, subsample
from tlbench.data.shifts.series import drift, rate_change, sensor_rotation
from tlbench.data.shifts.vectors import missing, scaling, subspace_shift

__all__ = [
    "BY_FEATURES",
    "CHOICES",
    "OF_LABELS",
    "apply_shifts",
    "biased_sample",
    "blend",
    "blur",
    "colour_jitter",
    "concept_shift",
    "contrast",
    "covariate_shift",
    "drift",
    "generator",
    "inversion",
    "kinds",
    "label_shift",
    "missing",
    "names",
    "noise",
    "occlusion",
    "part",
    "rate_change",
    "rotation",
    "scaling",
    "sensor_rotation",
    "subsample",
    "subspace_shift",
    "summaries",
    "zoom",
]


class Seeded(PlainOptions):
    """What every shift takes beside its own options."""

    seed: int = 0


OF_LABELS = frozenset({"label_shift", "concept_shift"})
"""Kinds that are about class labels."""
BY_FEATURES = frozenset({"biased_sample", "covariate_shift", "concept_shift"})
"""Kinds that choose rows, or labels, by the features of the rows."""
CHOICES = frozenset({"part", "label_shift", "biased_sample", "covariate_shift"})
"""Kinds that choose rows and change none."""

kinds = FunctionRegistry(__name__, ("x", "y", "rng"), Seeded)
names = kinds.names
summaries = kinds.summaries


def generator(kind: str, seed: int) -> np.random.Generator:
    """The generator of a use (a kind of shift) and a seed, the same on every machine."""
    digest = hashlib.sha256(f"{kind}:{seed}".encode()).digest()
    return np.random.default_rng(int.from_bytes(digest[:16], "big"))


def apply_shifts(kind: str, options: Mapping[str, Any], x: Any, y: Labels, root: Path) -> tuple[Any, Labels, Labels | None]:
    """One shift, with checked options (the seed is one of them).

    Returns:
        Rows and labels after it, and the numbers (M,) of the rows that it chose; None where all stay in their places.

    Raises:
        TlbenchError: rows that the shift is not for, no row left, or files of the data root that can't be read.
    """
    own = {name: value for name, value in options.items() if name != "seed"}
    function = kinds.function(kind)
    given = (x, y, generator(kind, options["seed"]))
    if "root" in inspect.signature(function).parameters:
        given = (*given, root)  # type: ignore[assignment]
    made = function(*given, **own)
    return (*made, None) if isinstance(made, tuple) else (mapped_arrays.take(x, made), y[made], made)
