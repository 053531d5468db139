"""How good a score is, judged as it is used: what choosing by it costs, beside what scores without a look at the target cost.

Shapes: T targets, K candidates, a pre-trained model or a source each. A candidate that a target lacks is NaN, such as a source
that is the target itself.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from tlbench.errors import TlbenchError
from tlbench.reports.statistics import intervals

Floats = NDArray[np.float64]

COLUMNS = (
    *("regret", "regret_margin", "worst_regret", "weighted_tau", "weighted_tau_margin", "best_chosen", "targets"),
    *("gain_on_trivial", "gain_on_trivial_margin"),
)
"""The columns of `evaluate`. Margins are those of 95 % CIs, NaN below three targets or below four domains."""
TRIVIAL = ("random", "mean_on_others", "model_size", "source_size", "source_accuracy")
"""The scores that a score has to beat."""


def regret_at_one(scores_K: Any, truth_K: Any) -> float:
    """What the candidate with the highest score falls short of the best one, in units of the truth.

    Candidates that tie for the highest score are chosen with equal chance.

    Raises:
        TlbenchError: fewer than two candidates have both a score and a truth.
    """
    scores_K, truth_K = _both(scores_K, truth_K)
    return float(truth_K.max() - truth_K[scores_K == scores_K.max()].mean())


def weighted_tau(scores_K: Any, truth_K: Any) -> float:
    """Kendall's tau with additive hyperbolic weights, averaged over the ranks of both: agreement at the top counts most.

    It is 0 where all scores or all truths tie. Vigna, A weighted correlation index for rankings with ties, WWW 2015.
    https://arxiv.org/abs/1404.3325

    Raises:
        TlbenchError: fewer than two candidates have both a score and a truth.
    """
    from scipy.stats import weightedtau

    scores_K, truth_K = _both(scores_K, truth_K)
    tau = float(weightedtau(scores_K, truth_K).statistic)
    return 0.0 if np.isnan(tau) else tau


def mean_on_others(truth_TK: Floats) -> Floats:
    """The score (T, K) of each candidate for each target: the mean of its truths on the other targets, never its own.

    Targets are first centered by the mean of their candidates, so that a candidate is not preferred for easier targets.
    """
    centered = truth_TK - np.nanmean(truth_TK, axis=1, keepdims=True)
    scores = np.full(truth_TK.shape, np.nan)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # a candidate of one target has no mean on others
        for target in range(len(truth_TK)):
            scores[target] = np.nanmean(np.delete(centered, target, axis=0), axis=0)
    return scores


def evaluate(
    scores: Mapping[str, Floats], truth_TK: Any, targets: Sequence[str] = (), candidates: Sequence[str] = ()
) -> pd.DataFrame:
    """One line for each score, with the columns `COLUMNS`, in the order of their regrets.

    `random` and `mean_on_others` are added: the first is what a choice by chance has on average. `gain_on_trivial` is how much
    less regret a score has than the trivial one with the least regret, paired by target.

    Where candidates are domains that are targets, too, targets are not independent: margins are then of a jackknife over D
    domains. Each is left out as a target and as a candidate at once, theta_d is the mean over the targets that are left, and
    margin = t(0.975; D - 1) sqrt((D - 1) / D sum_d (theta_d - mean theta)^2), with no interval below `intervals.MIN_DOMAINS`.
    Without domains in common margins are Student's over targets.

    Args:
        scores: by name, a number (T, K) of each candidate for each target.
        truth_TK: what the candidates reach.
        targets: the names of the targets.
        candidates: the names of the candidates; those that are targets are the same domains.

    Raises:
        TlbenchError: shapes differ, or a target has fewer than two candidates.
    """
    truth_TK = np.asarray(truth_TK, dtype=np.float64)
    for name, scores_TK in scores.items():
        if np.shape(scores_TK) != truth_TK.shape:
            raise TlbenchError(f"Scores of {name} have shape {np.shape(scores_TK)}, and the truth has {truth_TK.shape}.")
    judged = _judged(scores, truth_TK)
    left_out = _without_each_domain(scores, truth_TK, targets, candidates) if set(targets) & set(candidates) else None
    best_trivial = min((name for name in TRIVIAL if name in judged), key=lambda name: float(judged[name][0].mean()))
    lines = {}
    for name in sorted(judged, key=lambda name: float(judged[name][0].mean())):
        regret_T, tau_T = judged[name]
        columns = {"regret": regret_T, "weighted_tau": tau_T, "gain_on_trivial": judged[best_trivial][0] - regret_T}
        line = {"worst_regret": regret_T.max(), "targets": float(len(truth_TK))}
        line["best_chosen"] = float((regret_T <= intervals.TOLERANCE).sum()) if name != "random" else _chance_of_best(truth_TK)
        for column, values_T in columns.items():
            line[column], line[f"{column}_margin"] = _estimate(values_T)
        if left_out is not None:
            means_D = {
                "regret": [one[name][0].mean() for one in left_out],
                "weighted_tau": [one[name][1].mean() for one in left_out],
                "gain_on_trivial": [(one[best_trivial][0] - one[name][0]).mean() for one in left_out],
            }
            line |= {f"{column}_margin": _jackknife_margin(values) for column, values in means_D.items()}
        lines[name] = line
    return pd.DataFrame.from_dict(lines, orient="index", columns=list(COLUMNS)).rename_axis("score")


def _judged(scores: Mapping[str, Floats], truth_TK: Floats) -> dict[str, tuple[Floats, Floats]]:
    """The regret (T,) and the weighted tau (T,) of each score, `mean_on_others` and `random` among them."""
    judged = {}
    for name, scores_TK in {**scores, "mean_on_others": mean_on_others(truth_TK)}.items():
        per_target = list(zip(scores_TK, truth_TK, strict=True))
        judged[name] = (
            np.array([regret_at_one(of_scores, of_truth) for of_scores, of_truth in per_target]),
            np.array([weighted_tau(of_scores, of_truth) for of_scores, of_truth in per_target]),
        )
    judged["random"] = np.nanmax(truth_TK, axis=1) - np.nanmean(truth_TK, axis=1), np.zeros(len(truth_TK))
    return judged


def _without_each_domain(
    scores: Mapping[str, Floats], truth_TK: Floats, targets: Sequence[str], candidates: Sequence[str]
) -> list[dict[str, tuple[Floats, Floats]]]:
    """`_judged` without each domain in turn; targets that have fewer than two candidates then are left out.

    Empty where too few domains can be left out, or where without one of them there is no ranking of two targets.
    """
    domains = sorted({*targets, *candidates})
    if len(domains) < intervals.MIN_DOMAINS:
        return []
    judged = []
    for domain in domains:
        columns = np.array([name != domain for name in candidates])
        several = (np.isfinite(truth_TK[:, columns])).sum(axis=1) > 1
        lines = np.array([name != domain for name in targets]) & several
        if lines.sum() < 2:
            return []
        reduced = {name: np.asarray(scores_TK)[lines][:, columns] for name, scores_TK in scores.items()}
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)
            try:
                judged.append(_judged(reduced, truth_TK[lines][:, columns]))
            except TlbenchError:  # a candidate of a single target has no mean on others
                return []
    return judged


def _jackknife_margin(means_D: Sequence[float]) -> float:
    """The margin of error of a mean, from its values without each of D domains; NaN below four."""
    count = len(means_D)
    if count < intervals.MIN_DOMAINS:
        return float("nan")
    variance = (count - 1) * float(np.var(means_D))
    return float(intervals.t_quantile(np.array(count - 1.0)) * np.sqrt(variance))


def _chance_of_best(truth_TK: Floats) -> float:
    """The number of targets whose best candidate a choice by chance hits on average."""
    best = truth_TK >= np.nanmax(truth_TK, axis=1, keepdims=True)
    return float((best.sum(axis=1) / np.isfinite(truth_TK).sum(axis=1)).sum())


def _estimate(values_T: Floats) -> tuple[float, float]:
    """The mean over targets and its margin of error."""
    mean, margin = intervals.over_seeds(values_T[None, None, :])
    return float(mean[0, 0]), float(margin[0, 0])


def _both(scores_K: Any, truth_K: Any) -> tuple[Floats, Floats]:
    """The candidates that have both numbers."""
    scores_K, truth_K = (np.asarray(values, dtype=np.float64) for values in (scores_K, truth_K))
    if scores_K.shape != truth_K.shape or scores_K.ndim != 1:
        raise TlbenchError(
            f"Scores have shape {scores_K.shape} and truths {truth_K.shape}. Pass one number for each candidate."
        )
    present = np.isfinite(scores_K) & np.isfinite(truth_K)
    if present.sum() < 2:
        raise TlbenchError(f"{present.sum()} candidates have a score and a truth. A ranking takes two.")
    return scores_K[present], truth_K[present]
