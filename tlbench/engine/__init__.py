"""Case -> Record: build, fit, predict, score, and measure the cost."""

from __future__ import annotations

from tlbench.engine.case import check_pairs, failed_record, run_case, run_seeds, warm_up
from tlbench.engine.fitting import FittedMethod, fit, predict_scored
from tlbench.engine.measurement import is_vmapped
from tlbench.engine.runtime.device import device_of
from tlbench.engine.runtime.identity import contents, identities, identity, stated_identity
from tlbench.engine.vmap_trial import vmap_pays

__all__ = [
    "FittedMethod",
    "check_pairs",
    "contents",
    "device_of",
    "failed_record",
    "fit",
    "identities",
    "identity",
    "is_vmapped",
    "predict_scored",
    "run_case",
    "run_seeds",
    "stated_identity",
    "vmap_pays",
    "warm_up",
]
