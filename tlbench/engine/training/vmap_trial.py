"""Whether the seeds of a case are faster together: tried with a few steps, on copies that are thrown away."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch

from tlbench import methods
from tlbench.clock import Clock
from tlbench.engine.fitting import prepare_training
from tlbench.engine.measurement import PreparedCase
from tlbench.engine.runtime.precision import matmul_precision
from tlbench.engine.runtime.seeds import seeded_rng
from tlbench.engine.training.loop import train_learners
from tlbench.methods.base import DeepMethod
from tlbench.suite import Suite
from tlbench.terms import Case, Domain

STEPS = 60
"""Of the trial, enough for a captured step to be replayed some times."""
SHARE = 0.9
"""Together they have to take less than this share of the time that they take one after the other."""

_known: dict[tuple[Any, ...], bool] = {}


def vmap_pays(cases: Sequence[Case], suite: Suite, domains: Mapping[str, Domain], device: torch.device) -> bool:
    """Whether to train cases that differ in their seed alone in one program.

    `train.vmap_seeds` says so, or for "auto" a trial on a GPU: the last steps of a short training of all, against those of one.
    The answer is kept for cases of the same method, options and shapes; a GPU's rounding may follow it, nothing else does.
    """
    choice = suite.train.vmap_seeds
    if choice == "off" or not issubclass(methods.method_class(cases[0].method), DeepMethod):
        return False
    if choice == "on" or device.type != "cuda":
        return choice == "on"
    first = cases[0]
    shape = tuple(domains[first.target].samples.x.shape[1:])
    key = (first.method, repr(first.options), len(cases), shape, suite.hash, str(device))
    if key not in _known:
        try:
            one, all_ = (_step_seconds(some, suite, domains, device) for some in (cases[:1], cases))
            _known[key] = all_ < SHARE * len(cases) * one
        except Exception:  # whatever a method raises; alone they say what is wrong
            _known[key] = False
    return _known[key]


def _step_seconds(cases: Sequence[Case], suite: Suite, domains: Mapping[str, Domain], device: torch.device) -> float:
    """The usual step of a short training of some cases together."""
    places = [PreparedCase(case, suite, domains, device) for case in cases]
    ready = [prepare_training(at.case, at.suite, at.parts.granted, at.seed, device, None) for at in places]
    short = suite.train.model_copy(update={"steps": min(STEPS, suite.train.steps), "trace": 0})
    with seeded_rng(0, device), matmul_precision(places[0].precision, device):
        outcome = train_learners([one.learner for one in ready], short, ready[0].inputs, Clock(device))[0]
    later = sorted(outcome.speed.seconds[len(outcome.speed.seconds) // 2 :])
    return later[len(later) // 2]
