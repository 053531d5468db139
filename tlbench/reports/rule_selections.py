"""What each selection rule chooses among the candidates of every case, from the files beside the records."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from tlbench import selection
from tlbench.errors import TlbenchError
from tlbench.records.candidates import label_free_facts, sealed_facts
from tlbench.reports.statistics.intervals import Array
from tlbench.terms import Record

COLUMNS = (
    *("suite", "suite_version", "entry", "method", "pair", "seed", "rule", "is_baseline"),
    *("accuracy", "oracle", "mean", "worst", "unadapted", "last", "chose_unadapted", "chose_worst", "spearman", "accepts"),
)
"""Of one rule on one case, shares: the accuracy of the candidate that it chose, the cross-fitted oracle, the mean and the worst
of the candidates, the unadapted one and the last one; the weighted Spearman correlation; and whether the last candidate has a
higher number than the unadapted one. What compares with the unadapted candidate is missing where there is none."""
LABELS = (1, 5, 10)
"""The labelled samples a class of the rules `k_labels_<k>`."""
Candidates = dict[str, Array]
Indices = np.ndarray[Any, np.dtype[np.int64]]
"""The arrays of candidates, T of them along the first axis."""


def rule_selections(results: Path, records: Iterable[Record]) -> pd.DataFrame | None:
    """What each rule chooses on every finished case whose candidates are on file; None where there is no such case.

    Candidates are the unadapted model and the checkpoints. Where a case has no unadapted candidate of its own, it is the last
    one of the baseline on the same pair and seed. Of a tie the earliest
    is chosen, and a candidate without a finite number last.

    Args:
        results: the results directory.
        records: its records; of several records of a case the one that finished last counts.

    Raises:
        TlbenchError: a file is damaged.
    """
    latest = latest_records_of_candidates(records)
    lines: list[tuple[Any, ...]] = []
    for (suite, version, pair, seed, entry), record in latest.items():
        case = candidates_of(results, record)
        base = latest.get((suite, version, pair, seed, record.baseline))
        if case is None:
            continue
        is_baseline = entry == record.baseline
        if not is_baseline and base is not None and bool(case["adapted"].all()):
            case = with_unadapted(case, candidates_of(results, base))
        facts = suite, version, entry, record.method, pair, seed
        lines += [(*facts, rule, is_baseline, *values) for rule, values in _choices(case, seed)]
    return pd.DataFrame(lines, columns=list(COLUMNS)) if lines else None


def latest_records_of_candidates(records: Iterable[Record]) -> dict[tuple[Any, ...], Record]:
    """The latest finished record with candidates by suite, its version, pair, seed and entry."""
    latest: dict[tuple[Any, ...], Record] = {}
    for record in sorted(records, key=lambda one: one.finished):
        if record.status == "done" and record.scores.label_free_facts and record.scores.sealed_facts:
            latest[record.suite, record.suite_version, record.pair, record.seed, record.entry] = record
    return latest


def candidates_of(results: Path, record: Record) -> Candidates | None:
    """What is stored of the candidates of a record; None where a file is missing."""
    names = record.scores.label_free_facts, record.scores.sealed_facts
    facts = None if names[0] is None else label_free_facts(results, record.suite, names[0])
    sealed = None if names[1] is None else sealed_facts(results, record.suite, names[1])
    return None if facts is None or sealed is None else {**facts, **sealed}


def with_unadapted(case: Candidates, base: Candidates | None) -> Candidates:
    """The candidates with the last one of the baseline before them, where both are of the same samples."""
    if base is None or not np.array_equal(case["positions"], base["positions"]):
        return case
    shared = [name for name in case if name in base and case[name].shape[1:] == base[name].shape[1:]]
    whole = ("positions", "labeled", "source_labels", "mixed_partners")
    if not {"correct", "labeled_losses"} <= {*shared}:
        return case
    joined = {name: case[name] if name in whole else np.concatenate((base[name][-1:], case[name])) for name in shared}
    return {**joined, "step": np.r_[0, case["step"]], "adapted": np.r_[0, case["adapted"]]}


def _choices(case: Candidates, seed: int) -> Iterator[tuple[str, tuple[Any, ...]]]:
    """What each rule that has numbers here chooses, in the order of `COLUMNS`."""
    correct, unadapted = case["correct"], np.flatnonzero(case["adapted"] == 0)
    for rule, numbers, labeled in _numbers(case, seed):
        rest = np.setdiff1d(np.arange(correct.shape[1]), labeled)
        if not np.isfinite(numbers).any() or len(rest) < 2:
            continue
        accuracy = correct[:, rest].mean(1)
        ranked = np.where(np.isfinite(numbers), numbers, -np.inf)
        chosen = int(ranked.argmax())
        yield (
            rule,
            (
                *(accuracy[chosen], cross_fitted(correct[:, rest]), accuracy.mean(), accuracy.min()),
                *(accuracy[unadapted[0]] if len(unadapted) else np.nan, accuracy[-1]),
                *(float(chosen in unadapted), float(accuracy[chosen] == accuracy.min() < accuracy.max())),
                weighted_spearman(ranked, accuracy),
                float(ranked[-1] > ranked[unadapted[0]]) if len(unadapted) else np.nan,
            ),
        )


def _numbers(case: Candidates, seed: int) -> Iterator[tuple[str, Array, Indices]]:
    """The name of each rule, its numbers (T,) of the candidates, and the scored samples whose labels it read."""
    none = np.array([], dtype=np.int64)
    pool = [_facts(case, number, seed) for number in range(len(case["step"]))]
    for name in selection.rule_names():
        if f"rule_{name}" in case:
            yield name, case[f"rule_{name}"].astype(float), none
        elif {*selection.make_rule(name).required()} <= pool[-1].keys():
            yield name, np.array([_number(name, facts) for facts in pool]), none
    classes = case["target_outputs"].shape[2] - 1 if "target_outputs" in case else len(case["labeled"]) // max(LABELS)
    for labels in LABELS:
        count = labels * classes
        yield (
            f"k_labels_{labels}",
            -case["labeled_losses"][:, :count].astype(float).mean(1),
            case["labeled"][:count].astype(np.int64),
        )


def rule_number(case: Candidates, rule: str, position: int, seed: int) -> float:
    """The number of one candidate under a rule; NaN where it has none.

    Args:
        case: the candidates.
        rule: the name of a rule that reads no label of a target sample.
        position: of the candidate.
        seed: of the case.
    """
    if f"rule_{rule}" in case:
        return float(case[f"rule_{rule}"][position])
    return _number(rule, _facts(case, position, seed))


def _number(rule: str, facts: dict[str, Any]) -> float:
    """The number of a rule; NaN where it has none."""
    try:
        return selection.score(rule, **{name: facts[name] for name in selection.make_rule(rule).required()})
    except (TlbenchError, KeyError, np.linalg.LinAlgError):
        return float("nan")


def _facts(case: Candidates, number: int, seed: int) -> dict[str, Any]:
    """What rules may read of one candidate, by the names of `selection.Facts`."""
    facts: dict[str, Any] = {"step": int(case["step"][number]), "seed": abs(seed)}
    for side in ("source", "target"):
        if (outputs := case.get(f"{side}_outputs")) is not None and np.isfinite(outputs[number]).all():
            facts[f"{side}_logits"] = logits_of(outputs[number])
    if "source_logits" in facts:
        facts["source_labels"] = case["source_labels"]
    if "target_logits" in facts:
        pool = case["target_outputs"]
        facts["pool_logits"] = np.stack([logits_of(one) for one in pool if np.isfinite(one).all()])
        mixed = case.get("mixed_classes")
        if mixed is not None and mixed[number].max() < facts["target_logits"].shape[1]:
            facts["mixed_logits"] = np.eye(facts["target_logits"].shape[1])[mixed[number]]
            facts["mixed_indices"] = np.stack((np.arange(mixed.shape[1]), case["mixed_partners"]), axis=1)
    return facts


def logits_of(outputs: Array) -> Array:
    """The class scores (n, C) of stored outputs (n, C + 1)."""
    return outputs[:, :-1].astype(np.float64) + outputs[:, -1:].astype(np.float64)


def cross_fitted(correct: Array) -> float:
    """The accuracy of the candidate that is the best on one half of the samples, on the other half, and the other way round."""
    shares = correct[:, ::2].mean(1), correct[:, 1::2].mean(1)
    return float((shares[1][shares[0].argmax()] + shares[0][shares[1].argmax()]) / 2)


def weighted_spearman(numbers: Array, accuracy: Array) -> float:
    """The correlation of ranks, weighted by the square of the larger normalised dense rank; NaN where one side is constant.

    Musgrave, Belongie and Lim, Three new validators and a large-scale benchmark ranking for unsupervised domain adaptation,
    2022. https://arxiv.org/abs/2208.07360
    """
    from scipy.stats import rankdata

    dense = [rankdata(values, method="dense") for values in (numbers, accuracy)]
    if min(ranks.max() for ranks in dense) < 2:
        return float("nan")
    weights = np.maximum(*(ranks / ranks.max() for ranks in dense)) ** 2
    first, second = (rankdata(values) for values in (numbers, accuracy))
    centered = [ranks - np.average(ranks, weights=weights) for ranks in (first, second)]
    covariance = np.average(centered[0] * centered[1], weights=weights)
    return float(covariance / np.sqrt(np.prod([np.average(one**2, weights=weights) for one in centered])))
