"""What each selection rule chooses among the candidates of every case, from the files beside the records."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from tlbench import selection
from tlbench.records.rule_numbers import Candidates, candidates_of, facts_of, number_of
from tlbench.reports.statistics.intervals import Array
from tlbench.terms import Record

COLUMNS = (
    *("suite", "suite_version", "entry", "method", "pair", "seed", "rule", "is_baseline"),
    *("accuracy", "oracle", "mean", "worst", "unadapted", "last", "chose_unadapted", "chose_worst", "spearman", "accepts"),
    *("configuration", "trials", "trial_seconds"),
)
"""Of one rule on one case, shares: the accuracy of the candidate that it chose, the cross-fitted oracle, the mean and the worst
of the candidates, the unadapted one and the last one; the weighted Spearman correlation; and whether the last candidate has a
higher number than the unadapted one. What compares with the unadapted candidate is missing where there is none. Of tuned
entries, the name of the trial that was chosen ("unadapted": none), the number of trials, and the seconds that all trained."""
TRIAL = re.compile(r"(.+)\.trial-(\d+)")
"""The name of a trial of a method entry."""
WHOLE = ("positions", "labeled", "source_labels", "mixed_partners")
"""The arrays that all candidates of a case share."""
LABELS = (1, 5, 10)
"""The labelled samples a class of the rules `k_labels_<k>`."""
Indices = np.ndarray[Any, np.dtype[np.int64]]


def rule_selections(results: Path, records: Iterable[Record]) -> pd.DataFrame | None:
    """What each rule chooses on every finished case whose candidates are on file; None where there is no such case.

    Candidates are the unadapted model and the checkpoints. Where a case has no unadapted candidate of its own, it is the last
    one of the baseline on the same pair and seed. Of a tie the earliest is chosen, and one without a finite number last.

    The trials of a tuning are one entry, whose candidates are the finished models of all its trials; "last" is that of the
    first trial, which has the options of the suite.

    Args:
        results: the results directory.
        records: its records; of several records of a case the one that finished last counts.

    Raises:
        TlbenchError: a file is damaged.
    """
    latest = latest_records_of_candidates(records)
    lines: list[tuple[Any, ...]] = []
    for (suite, version, pair, seed, entry), record in latest.items():
        if TRIAL.fullmatch(entry):
            continue
        case = candidates_of(results, record)
        base = latest.get((suite, version, pair, seed, record.baseline))
        if case is None:
            continue
        is_baseline = entry == record.baseline
        if not is_baseline and base is not None and bool(case["adapted"].all()):
            case = with_unadapted(case, candidates_of(results, base))
        facts = suite, version, entry, record.method, pair, seed
        lines += [(*facts, rule, is_baseline, *values, "", 0, np.nan) for rule, _, values in _choices(case, seed)]
    lines += _tuned_lines(results, latest)
    return pd.DataFrame(lines, columns=list(COLUMNS)) if lines else None


def latest_records_of_candidates(records: Iterable[Record]) -> dict[tuple[Any, ...], Record]:
    """The latest finished record with candidates by suite, its version, pair, seed and entry."""
    latest: dict[tuple[Any, ...], Record] = {}
    for record in sorted(records, key=lambda one: one.finished):
        if record.status == "done" and record.scores.label_free_facts and record.scores.sealed_facts:
            latest[record.suite, record.suite_version, record.pair, record.seed, record.entry] = record
    return latest


def with_unadapted(case: Candidates, base: Candidates | None) -> Candidates:
    """The candidates with the last one of the baseline before them, where both are of the same samples."""
    both = None if base is None else _joined(_last_of(base), case)
    if both is None:
        return case
    return {**both, "step": np.r_[0, case["step"]], "adapted": np.r_[0, case["adapted"]]}


def _last_of(case: Candidates) -> Candidates:
    """The last candidate alone."""
    return {name: array if name in WHOLE else array[-1:] for name, array in case.items()}


def _joined(first: Candidates, second: Candidates) -> Candidates | None:
    """The candidates of two cases one after the other; None where they are of other samples."""
    if not np.array_equal(first["positions"], second["positions"]):
        return None
    shared = [name for name in second if name in first and first[name].shape[1:] == second[name].shape[1:]]
    if not {"correct", "labeled_losses"} <= {*shared}:
        return None
    return {name: second[name] if name in WHOLE else np.concatenate((first[name], second[name])) for name in shared}


def _tuned_lines(results: Path, latest: Mapping[tuple[Any, ...], Record]) -> Iterator[tuple[Any, ...]]:
    """The lines of tuned entries, whose candidates are the finished models of their trials, the suite's own options last.

    Args:
        results: the results directory.
        latest: from `latest_records_of_candidates`.
    """
    tuned: dict[tuple[Any, ...], dict[int, Record]] = {}
    for (*cell, entry), record in latest.items():
        if (match := TRIAL.fullmatch(entry)) is not None:
            tuned.setdefault((*cell, match[1]), {})[int(match[2])] = record
    for (suite, version, pair, seed, entry), trials in tuned.items():
        pool: dict[str, np.ndarray[Any, Any]] | None = None
        names: list[str] = []
        for number in sorted(trials, reverse=True):
            case = candidates_of(results, trials[number])
            both = None if case is None else _last_of(case) if pool is None else _joined(pool, _last_of(case))
            if both is not None:
                pool, names = both, [*names, f"trial-{number}"]
        if pool is None:
            continue
        record = next(iter(trials.values()))
        is_baseline = entry == record.baseline
        pool = {**pool, "step": np.arange(1, len(names) + 1), "adapted": np.ones(len(names), dtype=np.uint8)}
        base = latest.get((suite, version, pair, seed, f"{record.baseline}.trial-0"))
        if not is_baseline and base is not None:
            pool = with_unadapted(pool, candidates_of(results, base))
        names = ["unadapted"] * (len(pool["step"]) - len(names)) + names
        seconds = sum(one.cost.train_seconds or 0.0 for one in trials.values())
        facts = suite, version, entry, record.method, pair, seed
        for rule, chosen, values in _choices(pool, seed):
            yield (*facts, rule, is_baseline, *values, names[chosen], len(trials), seconds)


def _choices(case: Candidates, seed: int) -> Iterator[tuple[str, int, tuple[Any, ...]]]:
    """What each rule that has numbers here chooses: the candidate, and what is said of it in the order of `COLUMNS`."""
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
            chosen,
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
    pool = [facts_of(case, number, seed) for number in range(len(case["step"]))]
    for name in selection.rule_names():
        if f"rule_{name}" in case:
            yield name, case[f"rule_{name}"].astype(float), none
        elif {*selection.make_rule(name).required()} <= pool[-1].keys():
            yield name, np.array([number_of(name, facts) for facts in pool]), none
    classes = case["target_outputs"].shape[2] - 1 if "target_outputs" in case else len(case["labeled"]) // max(LABELS)
    for labels in LABELS:
        count = labels * classes
        yield (
            f"k_labels_{labels}",
            -case["labeled_losses"][:, :count].astype(float).mean(1),
            case["labeled"][:count].astype(np.int64),
        )


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
