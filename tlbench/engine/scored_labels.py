"""The labels of the scored samples of a case, and the scores that its stored predictions have against them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch

from tlbench.engine.data.splits import scored_samples
from tlbench.engine.data.tasks import with_shared_tasks
from tlbench.engine.measurement import seed_facts
from tlbench.engine.runtime import metrics
from tlbench.engine.runtime.position_metrics import position_scores
from tlbench.engine.runtime.seeds import seed_of
from tlbench.passages import Passages
from tlbench.suite import Suite
from tlbench.terms import IGNORED, Case, Domain, LabeledTask, Labelled


@dataclass(frozen=True)
class ScoredLabels:
    """The labels of the N scored samples of a case: no method sees them, and `check` compares stored predictions with them."""

    samples: Labelled
    """Indices of the target's samples (N,) in the place of x; y is (N,) class indices, or (N, K) targets of a regression."""
    classes: tuple[str, ...]
    groups: tuple[str, ...]
    targets: tuple[str, ...]
    open_set: bool = False
    tasks: tuple[LabeledTask, ...] = ()
    position_task: str = ""
    """tokens, pixels or spans, where positions have labels: y is then (N, P), and predictions are of those that have one."""
    passages: Passages | None = None
    """The texts of the samples, where answers are spans of them."""

    @property
    def y(self) -> torch.Tensor:
        """The labels in the order of stored predictions: (N,), (N, K), or (M,) of the positions that have a label."""
        y = self.samples.y
        return y[y != IGNORED] if self.position_task else y

    def scores(self, predicted: np.ndarray) -> dict[str, Any]:
        """The scores of predictions of the samples by the names of `Scores`, computed as the engine computes them.

        Args:
            predicted: class indices (N,), or (M,) of positions; or numbers (N, K) of a regression.
        """
        y = self.samples.y
        if self.tasks:
            return dict(metrics.task_scores(torch.tensor(predicted), y, self.tasks))
        if not self.classes:
            return dict(metrics.regression_scores(torch.tensor(predicted), y, self.targets))
        predicted_N = torch.from_numpy(predicted.astype(np.int64))
        if self.position_task:
            predicted_NP = torch.full_like(y, IGNORED)
            predicted_NP[y != IGNORED] = predicted_N
            return position_scores(predicted_NP, y, self.classes, self.position_task, self.passages)
        scores: dict[str, Any] = {
            **metrics.classification_scores(predicted_N, y, self.classes, open_set=self.open_set),
            "per_group_accuracy": None,
        }
        if self.samples.group is not None:
            scores["per_group_accuracy"] = metrics.per_group_accuracy(predicted_N, y, self.samples.group, self.groups)
        return scores


def scored_labels(case: Case, suite: Suite, domains: Mapping[str, Domain]) -> ScoredLabels:
    """The labels of the scored samples of a case.

    Args:
        case: a case of the suite.
        suite: its protocol.
        domains: the loaded domains of the pair, by name.

    Raises:
        TlbenchError: the protocol can't be followed on these domains.
    """
    fingerprints = {name: domains[name].fingerprint for name in (*case.sources, case.target)}
    seed_case, seed_fingerprints = seed_facts(case, suite, fingerprints)
    seed = partial(seed_of, seed_case, fingerprints=seed_fingerprints)
    target = domains[case.target]
    sources = [domains[name] for name in case.sources]
    samples, classes = scored_samples(sources, target, suite.protocol_of(case.target), seed)
    tasks = with_shared_tasks(sources, target)[1].tasks
    return ScoredLabels(
        samples,
        classes.target,
        target.groups,
        target.targets,
        classes.open_set,
        tasks,
        target.position_task,
        None if target.passages is None else target.passages[samples.x],
    )
