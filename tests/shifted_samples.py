"""What the tests of shifts share: samples of each kind, options of each shift, and strategies of property tests."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from tlbench.data import shifts

quick = settings(deadline=None, max_examples=40)
seeds = st.integers(0, 2**32)
labels = npst.arrays(np.int64, st.integers(1, 200), elements=st.integers(0, 4))
images = npst.arrays(np.uint8, st.tuples(st.integers(1, 4), st.sampled_from([1, 3]), st.integers(1, 9), st.integers(1, 9)))
floats = npst.arrays(np.float32, (3, 1, 5, 4), elements=st.floats(-4, 4, width=32, allow_subnormal=False))

RNG = np.random.default_rng(0)
IMAGES = RNG.integers(0, 256, (30, 1, 8, 8), dtype=np.uint8)
VECTORS = RNG.normal(size=(60, 4))
SERIES = RNG.normal(size=(20, 6, 32))
OPTIONS: dict[str, Any] = {
    "rotation": {"degrees": 30.0},
    "inversion": {},
    "noise": {"sigma": 0.2},
    "blur": {"sigma": 1.0},
    "contrast": {"factor": 0.5},
    "color": {"disagreement": 0.2},
    "colour_jitter": {"strength": 0.5},
    "zoom": {"factor": 0.7},
    "occlusion": {"share": 0.2},
    "blend": {},
    "part": {"index": 0, "of": 3},
    "label_shift": {"alpha": 1.0},
    "biased_sample": {"gamma": 0.1},
    "scaling": {"factor": 2.0},
    "missing": {"share": 0.3},
    "covariate_shift": {"strength": 1.0},
    "concept_shift": {"share": 0.3},
    "subspace_shift": {"degrees": 40.0},
    "sensor_rotation": {"degrees": 40.0},
    "rate_change": {"factor": 1.3},
    "drift": {"sigma": 0.5},
}
ON_IMAGES = {"rotation", "inversion", "noise", "blur", "contrast", "color", "colour_jitter", "zoom", "occlusion", "blend"}
ON_VECTORS = {"biased_sample", "scaling", "missing", "subspace_shift"}
ON_SERIES = {"sensor_rotation", "rate_change", "drift"}
FIXED = {"rotation", "inversion", "blur", "contrast", "zoom", "scaling", "rate_change", "concept_shift"}
"""Kinds whose samples do not depend on the seed (the labels of concept_shift do)."""
NEUTRAL: dict[str, Any] = {
    "rotation": {"degrees": 0.0},
    "noise": {"sigma": 0.0},
    "blur": {"sigma": 0.0},
    "contrast": {"factor": 1.0},
    "colour_jitter": {"strength": 0.0},
    "zoom": {"factor": 1.0},
    "occlusion": {"share": 0.0},
    "blend": {"amount": 0.0},
    "subspace_shift": {"degrees": 0.0},
    "sensor_rotation": {"degrees": 0.0},
    "rate_change": {"factor": 1.0},
    "drift": {"sigma": 0.0},
    "scaling": {"factor": 1.0},
    "missing": {"share": 0.0},
    "concept_shift": {"share": 0.0},
    "covariate_shift": {"strength": 3.0, "share": 1.0},
}


def apply(kind: str, x: Any, y: Any, seed: int = 0, **options: Any) -> tuple[Any, Any]:
    """Samples and labels after a shift."""
    result = shifts.registry.function(kind)(x, y, shifts.generator(kind, seed), **options)
    assert isinstance(result, tuple) == (kind not in shifts.SELECTION_KINDS)
    return result if isinstance(result, tuple) else (x[result], y[result])


def samples_for(kind: str) -> tuple[Any, Any]:
    """Samples that a shift applies to, and three classes, or the two that `color` has."""
    x = IMAGES if kind in ON_IMAGES else SERIES if kind in ON_SERIES else VECTORS
    return x, np.arange(len(x)) % (2 if kind == "color" else 3)
