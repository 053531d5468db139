"""The features that methods of a suite give source and target samples, from saved models or from a run of the cases."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy.typing as npt
import torch

from tlbench import session
from tlbench.api.models import LoadedModel, load_model
from tlbench.data import resolve_data_root
from tlbench.engine.data.storage import Subset
from tlbench.engine.measurement import PreparedCase
from tlbench.errors import TlbenchError
from tlbench.methods.base import DeepMethod
from tlbench.plots.features import FeatureView
from tlbench.records.models import model_file
from tlbench.runner import RunPlan
from tlbench.runner.worker import Job, Worker
from tlbench.terms import Case, Record

MAX_SAMPLES = 500
"""Samples of a domain that are drawn, at random; more make a picture slower and no clearer."""
Array = npt.NDArray[Any]


@dataclass(frozen=True)
class FeatureViews:
    """The views of one pair and seed, and what all of them show."""

    views: tuple[FeatureView, ...]
    labels: tuple[Array, Array] | None
    """Class indices of the source and the target samples; None where labels are no classes."""
    classes: tuple[str, ...]
    suite: str
    pair: str
    seed: int

    @property
    def heading(self) -> str:
        """Suite, pair, seed, and the numbers of samples."""
        source, target = len(self.views[0].source_ND), len(self.views[0].target_MD)
        return f"{self.suite}: {self.pair}, seed {self.seed}; n = {source} source and {target} target samples"


def feature_views(
    name: str | Path,
    entries: Sequence[str],
    *,
    pair: str = "",
    seed: int | None = None,
    samples: int = MAX_SAMPLES,
    results: Path = Path("results"),
    data: Path | None = None,
    device: str = "auto",
    plugins: Sequence[Path] = (),
) -> FeatureViews:
    """The features before any method, under the baseline and under some method entries of a suite.

    A case whose record names a model is not run again; another one is run here, and nothing of it is written.

    Args:
        name: a suite file, or the name of a shipped suite.
        entries: method entries beside the baseline; they must be deep, for others have no features.
        pair: such as "a:b"; empty: the first of the suite.
        seed: a seed number; None: the first of the suite.
        samples: the most samples of a domain.
        results: the results directory with saved models.
        data: the data root; None: TLBENCH_DATA, else the folder of the suite file.
        device: auto, cpu, cuda or cuda:N.
        plugins: Python files with methods outside the package.

    Raises:
        TlbenchError: there is no such suite, entry or pair, an entry is shallow or fails, or the suite grants no source.
    """
    opened = session.open_session(device=device, results=results, data=data, plugins=plugins)
    loaded = session.load_suite(name)
    baseline = loaded.protocol.baseline
    chosen = [entry for entry in dict.fromkeys([baseline, *entries]) if entry in loaded.methods or entry in entries]
    pairs, seeds = [pair] if pair else [], [] if seed is None else [seed]
    cases = loaded.cases(chosen, pairs, seeds)
    first = cases[0]
    cases = [case for case in cases if (case.pair, case.seed) == (first.pair, first.seed)]
    (plan,) = opened.plan([loaded], methods=chosen, pairs=[first.pair], seeds=[first.seed], write=False, save_models=True)
    prepared = PreparedCase(first, plan.suite, plan.domains, opened.device)
    if prepared.case_data.granted.source is None or prepared.case_data.granted.tasks:
        raise TlbenchError(f"{loaded.name} has no source samples with classes or one target. Choose another suite.")
    source, target = (_drawn(one, samples) for one in (prepared.case_data.granted.source, prepared.case_data.scored))
    x_source, x_target = source.x, target.x
    views = [FeatureView("inputs", _flat(x_source), _flat(x_target))]
    root = resolve_data_root(data, plan.suite.path)
    for entry in chosen:
        record = _record(plan, next(case for case in cases if case.entry == entry), results, str(opened.device))
        model = _model(record, results, root, str(opened.device))
        if not isinstance(model.method, DeepMethod):
            if entry in entries:
                raise TlbenchError(f"{entry} is a shallow method and has no network with features. Choose a deep method.")
            continue
        source_ND, target_MD = (model.features_of_inputs(x, model.method) for x in (x_source, x_target))
        score = record.scores.target_accuracy
        views.append(FeatureView(entry if score is None else f"{entry}, {100 * score:.1f} %", source_ND, target_MD))
    labels, classes = _labels(prepared, source, target)
    return FeatureViews(tuple(views), labels, classes, f"{loaded.name} v{loaded.version}", first.pair, first.seed)


def _labels(prepared: PreparedCase, source: Subset, target: Subset) -> tuple[tuple[Array, Array] | None, tuple[str, ...]]:
    """The class indices of the drawn samples, and the names of the classes; none for a regression."""
    if prepared.case_data.granted.regression:
        return None, ()
    assert source.y is not None and target.y is not None
    return (source.y.cpu().numpy(), target.y.cpu().numpy()), prepared.case_data.classes


def _record(plan: RunPlan, case: Case, results: Path, device: str) -> Record:
    """The record of a case with its model: from the results directory, else from a run here."""
    for record in plan.on_file:
        if record.entry == case.entry and record.model is not None:
            return record if model_file(results, record.suite, record.model).is_file() else _run(plan, case, device)
    return _run(plan, case, device)


def _run(plan: RunPlan, case: Case, device: str) -> Record:
    record = Worker(plan.worker_setup(), device, dict(plan.domains)).run(Job(case, ""))
    if record.model is None:
        reason = record.reason or "; ".join(note for note in record.notes if "model" in note)
        raise TlbenchError(f"{case.entry} on {case.pair}: The case gave no model to draw: {reason}")
    return record


def _model(record: Record, results: Path, root: Path, device: str) -> LoadedModel:
    return load_model(record, results=results, data=root, device=device)


def _drawn(subset: Subset, most: int) -> Subset:
    """At most so many samples, at random and the same ones each time."""
    order = torch.randperm(len(subset), generator=torch.Generator().manual_seed(0))
    return subset[order[:most].sort().values]


def _flat(x: torch.Tensor) -> Array:
    flat: Array = x.flatten(1).float().cpu().numpy()
    return flat
