"""Whether the seeds of a case train faster in one vmapped program: a trial of a few steps, on copies that are discarded."""

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

TRIAL_STEPS = 60
"""Steps of the trial, enough to replay a captured step several times."""
MAX_TIME_SHARE = 0.9
"""Vmapped seeds have to take less than this share of the time that the seeds take one after the other."""

_answers: dict[tuple[Any, ...], bool] = {}


def vmap_pays(cases: Sequence[Case], suite: Suite, domains: Mapping[str, Domain], device: torch.device) -> bool:
    """Whether to train cases that differ in their seed alone in one vmapped program.

    `train.vmap_seeds` decides, or for "auto" a trial on a GPU, which compares the last steps of a short training of all seeds
    with those of one seed. The answer is cached for cases of the same method, options and shapes. On a GPU the rounding of
    results may depend on it, and nothing else.

    Args:
        cases: the seeds of one case.
        suite: their suite.
        domains: the loaded domains of the pair, by name.
        device: where the cases run.
    """
    choice = suite.train.vmap_seeds
    if choice == "off" or not issubclass(methods.method_class(cases[0].method), DeepMethod):
        return False
    if choice == "on" or device.type != "cuda":
        return choice == "on"
    first = cases[0]
    shape = tuple(domains[first.target].samples.x.shape[1:])
    key = (first.method, repr(first.options), len(cases), shape, suite.hash, str(device))
    if key not in _answers:
        try:
            single, vmapped = (_step_seconds(group, suite, domains, device) for group in (cases[:1], cases))
            _answers[key] = vmapped < MAX_TIME_SHARE * len(cases) * single
        except Exception:  # whatever the method raises, its seeds raise it again one by one, and their records say so
            _answers[key] = False
    return _answers[key]


def _step_seconds(cases: Sequence[Case], suite: Suite, domains: Mapping[str, Domain], device: torch.device) -> float:
    """The median step time of a short training of several seeds in one program."""
    prepared = [PreparedCase(case, suite, domains, device) for case in cases]
    trainings = [prepare_training(one.case, one.suite, one.case_data.granted, one.seed, device) for one in prepared]
    short = suite.train.model_copy(update={"steps": min(TRIAL_STEPS, suite.train.steps), "trace": 0})
    learners = [training.learner for training in trainings]
    with seeded_rng(0, device), matmul_precision(prepared[0].precision, device):
        outcome = train_learners(learners, short, trainings[0].inputs, Clock(device))[0]
    seconds = outcome.throughput.seconds
    later = sorted(seconds[len(seconds) // 2 :])
    return later[len(later) // 2]
