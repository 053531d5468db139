"""Several tasks: which task a method helps and which it hurts against one network a task, and what a step costs."""

from __future__ import annotations

import json
from collections.abc import Mapping

import numpy as np
import pandas as pd

from tlbench.reports.frames import latest_records, latest_value
from tlbench.reports.score_cube import ScoreCube, score_cube
from tlbench.reports.statistics import intervals
from tlbench.reports.statistics.intervals import Array, Estimate
from tlbench.reports.table import (
    Table,
    bounds,
    count_texts,
    estimate_texts,
    number_text,
    text_cells,
    three_digits,
    tidy,
    tidy_subgroups,
)
from tlbench.reports.tables import captions

MOST_COLUMNS = 8
"""Up to so many tasks have a column each; of more the table names the best and the worst."""
CAPTION = (
    "delta_m: the mean over tasks of the relative change against {baseline} in per cent, of accuracy, or of the root mean "
    "squared error of a regression with its sign turned, so that more is better. "
    "Tasks hurt: those with a mean change below 0. {interval}"
    "ms per step: medians over finished cases, and their ratio to equal weights."
)


def tasks(frame: pd.DataFrame) -> list[Table]:
    """The table of tasks of one suite; none where its records are of a single task or its baseline has no finished case."""
    records = latest_records(frame)
    records = records[(records["status"] == "done") & records["per_task"].map(lambda value: isinstance(value, Mapping))]
    baseline = latest_value(frame, "baseline")
    if not len(records) or not (records["entry"] == baseline).any():
        return []
    scores = score_cube(frame)
    names = list(dict.fromkeys(name for by_task in records["per_task"] for name in by_task))
    values_MKPS, is_error_K = _values(scores, records, names)
    base_KPS = values_MKPS[scores.entries == baseline][0]
    with np.errstate(divide="ignore", invalid="ignore"):
        change_MKPS = 100 * (values_MKPS - base_KPS) / np.where(base_KPS == 0, np.nan, base_KPS)
    change_MKPS[:, is_error_K] *= -1
    is_other_M = np.asarray((scores.entries != baseline) & scores.entries.isin(records["entry"]))
    change_MKPS, entries = change_MKPS[is_other_M], scores.entries[is_other_M]
    if not len(entries):
        return []
    by_task = [intervals.over_pairs(change_MKPS[:, number]) for number in range(len(names))]
    task_MK = Estimate(*(np.stack([getattr(one, name) for one in by_task], axis=1) for name in ("mean", "margin")))
    mean = intervals.over_pairs(change_MKPS.mean(axis=1))
    hurt_M = np.where(np.isnan(task_MK.mean).any(axis=1), np.nan, (task_MK.mean < -intervals.TOLERANCE).sum(axis=1))
    cost_M, ratio_M = _step_costs(records, entries)
    cells = {
        "delta_m %": estimate_texts(mean, signed=True),
        "tasks hurt": count_texts(hurt_M, len(names)),
        "worst task": _extreme(task_MK, names, worst=True),
        **_task_columns(task_MK, names),
        "ms per step": three_digits(cost_M),
        "x equal": three_digits(ratio_M),
    }
    order = np.argsort(-np.nan_to_num(mean.mean, nan=-np.inf), kind="stable")
    of_entry = {
        **{f"delta_m_{key}": value for key, value in bounds(mean, "per cent, relative").items()},
        "tasks_hurt": (hurt_M, "tasks"),
        "tasks_hurt_share": (hurt_M / len(names), "share"),
        "step_milliseconds": (cost_M, "ms"),
        "step_ratio": (ratio_M, "times equal weights"),
    }
    data = [tidy(scores, "tasks", entries, of_entry, {})]
    of_task = {f"task_{key}": value for key, value in bounds(task_MK, "per cent, relative").items()}
    data.append(tidy_subgroups(scores, "tasks", entries, names, of_task))
    interval = "± margin of error of the 95 % CI, which covers other seeds. " if np.isfinite(mean.margin).any() else ""
    return [
        Table(
            suite=scores.name,
            kind="tasks",
            title=f"{scores.name}: {len(names)} tasks against {baseline}",
            caption=captions.join_sentences(CAPTION.format(baseline=baseline, interval=interval)),
            line=f"Change against {baseline} in per cent, relative; more is better{_margin_text(mean)}.",
            notes="delta_m: the mean over tasks. ms per step: median, and its ratio to that of equal weights.",
            cells=text_cells(entries, cells).iloc[order],
            data=pd.concat(data, ignore_index=True),
            metric=scores.metric,
        )
    ]


def _margin_text(mean: Estimate) -> str:
    """The clause that explains the margins of error, where there are any."""
    return "; ±: margin of error of the 95 % CI over seeds" if np.isfinite(mean.margin).any() else ""


def _values(scores: ScoreCube, records: pd.DataFrame, names: list[str]) -> tuple[Array, np.ndarray]:
    """The accuracy or the error of each task (M, K, P, S), NaN where a case is missing; and which tasks (K,) have errors."""
    pairs, seeds = [str(pair) for pair in scores.pairs], list(scores.seeds)
    values = np.full((len(scores.entries), len(names), len(pairs), len(seeds)), np.nan)
    is_error_K = np.zeros(len(names), dtype=bool)
    for entry, pair, seed, by_task in records[["entry", "pair", "seed", "per_task"]].itertuples(index=False):
        m, p, s = scores.entries.get_loc(entry), pairs.index(pair), seeds.index(seed)
        for name, one in by_task.items():
            number = names.index(name)
            is_error_K[number] = one["accuracy"] is None
            values[m, number, p, s] = one["rmse"] if one["accuracy"] is None else one["accuracy"]
    return values, is_error_K


def _step_costs(records: pd.DataFrame, entries: pd.Index[str]) -> tuple[Array, Array]:
    """The milliseconds of a step (M,), medians over cases, and their ratios to those of equal weights; NaN: not measured."""
    milliseconds = 1000 * records.groupby("entry", sort=False)["step_seconds_median"].median().astype("float64")
    equal = [
        str(entry)
        for entry, method, options in records[["entry", "method", "options"]].itertuples(index=False)
        if method == "balanced_tasks" and json.loads(options).get("balancer", "equal") == "equal"
    ]
    cost_M = milliseconds.reindex(entries).to_numpy(dtype=np.float64)
    ratio_M = cost_M / (float(milliseconds[equal[0]]) if equal else np.nan)
    return np.asarray(cost_M, dtype=np.float64), np.asarray(ratio_M, dtype=np.float64)


def _extreme(task_MK: Estimate, names: list[str], *, worst: bool) -> list[str]:
    """The worst (or the best) task of each entry with its change; blank where a task has none."""
    texts = []
    for mean_K in task_MK.mean:
        number = int(np.argmin(mean_K) if worst else np.argmax(mean_K))
        texts.append("" if np.isnan(mean_K).any() else f"{names[number]} {number_text(float(mean_K[number]), signed=True)}")
    return texts


def _task_columns(task_MK: Estimate, names: list[str]) -> dict[str, list[str]]:
    """A column for each task; of many tasks the best one of each entry."""
    if len(names) > MOST_COLUMNS:
        return {"best task": _extreme(task_MK, names, worst=False)}
    return {
        name: estimate_texts(Estimate(task_MK.mean[:, number], task_MK.margin[:, number]), signed=True)
        for number, name in enumerate(names)
    }
