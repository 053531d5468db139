"""Scores of the candidates of a suite, joined with what they reach: sources by records or classifiers, backbones by probes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from tlbench import transferability
from tlbench.errors import TlbenchError, unknown_name
from tlbench.transferability.evaluation import evaluate
from tlbench.transferability.inputs import Floats
from tlbench.transferability.samples import DomainSamples, Samples, with_backbone

if TYPE_CHECKING:
    from tlbench.suite import Suite

OF_SOURCES = (
    *("mmd", "frechet", "a_distance", "coral", "otdd", "leep", "nce", "labeled_accuracy"),
    *("source_size", "source_accuracy"),
)
"""The scores of a source; leep and nce are of the probabilities of a logistic regression of the source."""
OF_BACKBONES = (*transferability.score_names("models"), "model_size")
"""The scores of a backbone; leep and nce only where it has a head, which frozen features do not show."""
PROBE_SPLITS = 3
"""Halves of a target by chance on which backbones are scored, each with a linear probe tested on the other half."""


@dataclass(frozen=True, eq=False)
class Scored:
    """Scores of the candidates of T targets, and what they reach."""

    targets: tuple[str, ...]
    candidates: tuple[str, ...]
    scores: Mapping[str, Floats]
    """By name, (T, K); NaN where a target lacks a candidate."""
    truth_TK: Floats
    """Accuracies in per cent; NaN where a target lacks a candidate."""
    truth: str
    """What the truth is, in a few words."""

    def evaluation(self) -> pd.DataFrame:
        """Each score judged by regret and weighted tau, beside the trivial ones; `evaluation.evaluate` has the columns."""
        return evaluate(self.scores, self.truth_TK, self.targets, self.candidates)

    def reads_target_labels(self, score: str) -> bool:
        """Whether a score reads labels of the target."""
        return score in transferability.score_names() and "target_labels" in transferability.score_class(score).reads


def score_sources(suite: Suite, root: Path, frame: pd.DataFrame, entry: str = "", scores: Sequence[str] = ()) -> Scored:
    """Score each source of a suite for each of its targets, beside what a method entry reached from it in the records.

    Args:
        suite: a suite of classification with pairs of one source, and two sources or more for a target.
        root: the data root.
        frame: its records, from `reports.frame`.
        entry: the method entry whose accuracies are the truth; empty: the baseline of the suite.
        scores: names of scores; empty: all of `OF_SOURCES`, otdd where POT is installed.

    Raises:
        TlbenchError: there are no such records, or no target with two sources.
    """
    from tlbench.reports.frames import latest_records

    entry = entry or suite.protocol.baseline or "source_only"
    done = latest_records(frame)
    done = done[(done["status"] == "done") & (done["suite_version"] == suite.version)]
    if entry not in set(done["entry"]):
        raise TlbenchError(unknown_name(f"method entry with records of suite {suite.name}", entry, sorted(set(done["entry"]))))
    done = done[(done["entry"] == entry) & ~done["sources"].str.contains("+", regex=False)]
    metric = str(done["metric"].iloc[0]) if len(done) else "target_accuracy"
    table = 100 * done.pivot_table(index="target", columns="sources", values=metric, aggfunc="mean")
    table = table[table.notna().sum(axis=1) > 1]
    if table.empty:
        raise TlbenchError(f"No target of suite {suite.name} has two sources with records of {entry}. Run more pairs.")
    samples = DomainSamples(suite, sorted({*table.index, *table.columns}), root)
    names, truth = _names(scores, OF_SOURCES), table.to_numpy(dtype=np.float64)
    values = {name: np.full(table.shape, np.nan) for name in names}
    for column, source in enumerate(table.columns):
        classifier: _Classifier | None = None  # features of the source are the same for each target
        for line, target in enumerate(table.index):
            if np.isnan(truth[line, column]):
                continue
            (of_source,), of_target = samples.of_pair([source], target)
            if classifier is None and {"leep", "nce", "source_accuracy"} & set(names):
                classifier = _source_classifier(of_source)
            for name, value in _scores_of_source(of_source, of_target, classifier, names).items():
                values[name][line, column] = value
    return Scored(tuple(table.index), tuple(table.columns), values, truth, f"{metric} of {entry} in the records")


def score_all_pairs(suite: Suite, root: Path, scores: Sequence[str] = ()) -> Scored:
    """Score each domain of a suite as a source for each other, beside what a logistic regression of the source reaches there.

    Half of a target by chance is scored, the other half tests the logistic regression, which is trained on all samples of the
    source. No record is read, and the pairs of the suite do not count.

    Args:
        suite: a suite of classification with three domains or more.
        root: the data root.
        scores: names of scores; empty: all of `OF_SOURCES`, otdd where POT is installed.

    Raises:
        TlbenchError: the suite has fewer than three domains, or their samples cannot be compared.
    """
    domains = sorted(suite.domains)
    if len(domains) < 3:
        raise TlbenchError(f"Suite {suite.name} has {len(domains)} domains. A ranking of sources takes three.")
    samples, names = DomainSamples(suite, domains, root), _names(scores, OF_SOURCES)
    truth = np.full((len(domains), len(domains)), np.nan)
    values = {name: truth.copy() for name in names}
    for column, source in enumerate(domains):
        classifier: _Classifier | None = None  # features of the source are the same for each target
        for line, target in enumerate(domains):
            if target == source:
                continue
            (of_source,), of_target = samples.of_pair([source], target)
            classifier = classifier or _source_classifier(of_source)
            scored, rest = _split(of_target, 0)
            truth[line, column] = 100 * _accuracy(classifier.predictor, rest)
            for name, value in _scores_of_source(of_source, scored, classifier, names).items():
                values[name][line, column] = value
    what = "accuracy of a logistic regression of the source on the other half of the target"
    return Scored(tuple(domains), tuple(domains), values, truth, what)


def score_backbones(suite: Suite, root: Path, backbones: Mapping[str, Mapping[str, Any]], scores: Sequence[str] = ()) -> Scored:
    """Score frozen backbones for each domain of a suite, beside a linear probe.

    Half of a domain is scored and trains the probe, the other half tests it; the mean is over `PROBE_SPLITS` such halves.

    Args:
        suite: a suite of classification of images, series or texts.
        root: the data root.
        backbones: by name, tables like `[net]` of a suite.
        scores: names of scores; empty: all of `OF_BACKBONES`.

    Raises:
        TlbenchError: a backbone cannot be built, or fewer than two are given.
    """
    if len(backbones) < 2:
        raise TlbenchError(f"{len(backbones)} backbones are given. A ranking takes two or more.")
    names = [name for name in _names(scores, OF_BACKBONES) if scores or name not in ("leep", "nce")]
    targets = sorted(suite.domains)
    truth = np.zeros((len(targets), len(backbones)))
    values = {name: np.zeros(truth.shape) for name in names}
    for column, table in enumerate(backbones.values()):
        changed = with_backbone(suite, table)
        samples = DomainSamples(changed, targets, root)
        size = _parameters(changed, root, targets[0]) if "model_size" in names else 0
        for line, target in enumerate(targets):
            for split in range(PROBE_SPLITS):
                scored, rest = _split(samples.of_domain(target), split)
                truth[line, column] += 100 * _accuracy(_logistic_regression(scored, rounds=1000), rest) / PROBE_SPLITS
                arrays: dict[str, Any] = {
                    "target_features": scored.features,
                    "target_labels": scored.labels,
                    "parameters": size,
                }
                for name in names:
                    values[name][line, column] += transferability.score(name, **arrays) / PROBE_SPLITS
    return Scored(tuple(targets), tuple(backbones), values, truth, "accuracy of a linear probe on the other half of the target")


def _names(scores: Sequence[str], available: Sequence[str]) -> list[str]:
    """The chosen scores; an unknown one, or one that these candidates do not have, is an error."""
    for name in scores:
        if name not in available:
            raise TlbenchError(unknown_name("score of these candidates", name, available))
    if scores:
        return list(scores)
    from importlib.util import find_spec

    return [name for name in available if name != "otdd" or find_spec("ot") is not None]


def _logistic_regression(train: Samples, rounds: int = 300) -> Any:
    """A logistic regression of scaled features, with so many rounds of its solver at most."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    return make_pipeline(StandardScaler(), LogisticRegression(max_iter=rounds)).fit(train.features, train.labels)


def _accuracy(classifier: Any, test: Samples) -> float:
    """The share of samples whose class is predicted."""
    return float((classifier.predict(test.features) == test.labels).mean())


@dataclass(frozen=True)
class _Classifier:
    """A logistic regression of a source, and its cross-validated accuracy there."""

    predictor: Any
    source_accuracy: float


def _source_classifier(source: Samples) -> _Classifier:
    """The classifier of a source; classes of one sample do not count in its accuracy."""
    several = np.bincount(source.labels)[source.labels] > 1
    own: dict[str, Any] = {"target_features": source.features[several], "target_labels": source.labels[several]}
    return _Classifier(_logistic_regression(source), transferability.score("linear_probe", **own))


def _scores_of_source(
    source: Samples, target: Samples, classifier: _Classifier | None, names: Sequence[str]
) -> dict[str, float]:
    """The named scores of a source for a target; leep, nce and source_accuracy need the classifier of the source."""
    arrays: dict[str, Any] = {
        "source_features": source.features,
        "source_labels": source.labels,
        "target_features": target.features,
        "target_labels": target.labels,
    }
    if classifier is not None:
        arrays["source_probabilities"] = classifier.predictor.predict_proba(target.features)
        arrays["source_accuracy"] = classifier.source_accuracy
    return {name: transferability.score(name, **arrays) if name != "source_size" else float(source.total) for name in names}


def _split(target: Samples, split: int) -> tuple[Samples, Samples]:
    """Two halves of a target by chance, with the same shares of classes unless one of them has a single sample."""
    from sklearn.model_selection import train_test_split

    counts = np.unique(target.labels, return_counts=True)[1]
    shares = target.labels if counts.min() > 1 else None
    indices = train_test_split(np.arange(len(target.labels)), test_size=0.5, random_state=split, stratify=shares)
    scored, rest = (Samples(target.features[index], target.labels[index], len(index)) for index in indices)
    return scored, rest


def _parameters(suite: Suite, root: Path, domain: str) -> int:
    """The number of parameters of the backbone of a suite."""
    from tlbench import runner
    from tlbench.engine.frozen import new_backbone

    loaded = runner.plan.with_files(suite, root, set(suite.methods))
    shape = tuple(runner.load_domains(suite, [domain], root)[domain].samples.x.shape[1:])
    return sum(parameter.numel() for parameter in new_backbone(loaded, shape, "fp32").parameters())
