"""Declared distribution shifts: several domains from one data set.

A shift is a function `(x, y, rng, *, options)` of samples x (N, ...), class labels y (N,) and a random generator; it leaves
its inputs unchanged. It returns changed samples and labels `(x, y)`, or it selects: then it returns the indices (M,) of the
selected samples. A shift that reads files takes the data root as a fourth parameter `root`. To add a shift, add a function
to a module of this package and its name below. The random generator follows from the kind and the seed alone, so that the
parts of `part` are disjoint whatever their index, and the domains of a severity sweep differ in severity alone.
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
from tlbench.data.shifts.common import Indices
from tlbench.data.shifts.images import blend, blur, color, colour_jitter, contrast, inversion, noise, occlusion, rotation, zoom
from tlbench.data.shifts.resampling import Labels, biased_sample, concept_shift, covariate_shift, label_shift, part, subsample
from tlbench.data.shifts.series import drift, rate_change, sensor_rotation
from tlbench.data.shifts.vectors import missing, scaling, subspace_shift

__all__ = [
    "CLASS_LABEL_KINDS",
    "FEATURE_BASED_KINDS",
    "GEOMETRIC_KINDS",
    "SELECTION_KINDS",
    "apply_shift",
    "biased_sample",
    "blend",
    "blur",
    "color",
    "colour_jitter",
    "concept_shift",
    "contrast",
    "covariate_shift",
    "drift",
    "generator",
    "inversion",
    "label_shift",
    "missing",
    "names",
    "noise",
    "occlusion",
    "part",
    "rate_change",
    "registry",
    "rotation",
    "scaling",
    "sensor_rotation",
    "subsample",
    "subspace_shift",
    "summaries",
    "zoom",
]


class SeededOptions(PlainOptions):
    """The options of every shift, beside its own."""

    seed: int = 0


CLASS_LABEL_KINDS = frozenset({"label_shift", "concept_shift", "color"})
"""Shifts of class labels, or by them, which regression does not have."""
GEOMETRIC_KINDS = frozenset({"rotation", "zoom", "blend"})
"""Shifts that move the pixels of images, or mix in others."""
FEATURE_BASED_KINDS = frozenset({"biased_sample", "covariate_shift", "concept_shift"})
"""Shifts that select or relabel samples by their features."""
SELECTION_KINDS = frozenset({"part", "label_shift", "biased_sample", "covariate_shift"})
"""Shifts that select samples and change none."""

registry = FunctionRegistry(__name__, ("x", "y", "rng"), SeededOptions)
names = registry.names
summaries = registry.summaries


def generator(kind: str, seed: int) -> np.random.Generator:
    """The random generator of a use (a kind of shift) and a seed; it is the same on every machine."""
    digest = hashlib.sha256(f"{kind}:{seed}".encode()).digest()
    return np.random.default_rng(int.from_bytes(digest[:16], "big"))


def apply_shift(kind: str, options: Mapping[str, Any], x: Any, y: Labels, root: Path) -> tuple[Any, Labels, Indices | None]:
    """Apply one shift.

    Args:
        kind: the name of the shift.
        options: its checked options, with the seed.
        x: samples (N, ...).
        y: class labels (N,).
        root: the data root, for a shift that reads files.

    Returns:
        The samples (M, ...) and labels (M,) after the shift, and the indices (M,) that it selected; None where it selects none.

    Raises:
        TlbenchError: the shift does not apply to such samples, no sample remains, or files of the data root can't be read.
    """
    own = {name: value for name, value in options.items() if name != "seed"}
    function = registry.function(kind)
    arguments: tuple[Any, ...] = (x, y, generator(kind, options["seed"]))
    if "root" in inspect.signature(function).parameters:
        arguments = (*arguments, root)
    result = function(*arguments, **own)
    return (*result, None) if isinstance(result, tuple) else (mapped_arrays.take(x, result), y[result], result)
