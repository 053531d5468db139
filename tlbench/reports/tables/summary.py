"""The summary of a suite: one line a method, grouped by what it reads, in a table that fits a terminal of 80 columns."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import pandas as pd

from tlbench.metrics import REGRESSION_METRICS
from tlbench.reports import estimates
from tlbench.reports.frames import latest_records, latest_value
from tlbench.reports.published_levels import LevelComparison, level_comparisons, level_sentence
from tlbench.reports.score_cube import ScoreCube, score_cube
from tlbench.reports.statistics import intervals
from tlbench.reports.statistics.intervals import MIN_SEEDS, Array, Estimate
from tlbench.reports.table import (
    EQUAL,
    VERDICT_UNIT,
    VERDICTS,
    Table,
    best_two,
    bounds,
    estimate_texts,
    mark_columns,
    text_cells,
    tidy,
)
from tlbench.reports.tables import captions
from tlbench.reports.tables.cost import MACHINE, machine_groups, machine_text, medians_of
from tlbench.reports.tables.expected_precision import precision_note
from tlbench.reports.tables.read_splits import symbols
from tlbench.reports.tables.scores import Deltas, deltas_against
from tlbench.suite import Suite

READS_GROUPS = (
    "No samples",
    "Source (S)",
    "Source (S) and unlabelled target samples (T)",
    "Stream of target samples (St)",
    "Labelled target samples (L)",
)
"""What the methods of a group were granted and read, in the order of the groups."""
ADAPTS = READS_GROUPS[2:4]
"""The groups of methods that read target samples and none of their labels."""


def summary(
    frame: pd.DataFrame, flips: pd.DataFrame | None = None, suites: Iterable[Suite] = (), margin: float | None = None
) -> Table:
    """The summary of one suite: accuracy, delta with its verdict, significant pairs, and median costs of each method.

    Args:
        frame: the records of one suite, from `reports.frame`.
        flips: from `reports.negative_flips`; without them single runs of deterministic entries have no test.
        suites: those of `reports.tables`.
        margin: a desired margin of error of the mean delta in units of the metric; the notes say how many seeds it takes.

    Raises:
        TlbenchError: the frame has no records, or records of more than one suite or version.
    """
    scores, records = score_cube(frame), latest_records(frame)
    baseline = latest_value(frame, "baseline")
    shown = _shown(scores, records, None if baseline is None else str(baseline), flips)
    cells = _cells(shown)
    levels = level_comparisons(scores, records, suites)
    best = best_two(shown.mean_M, scores.direction, scores.floor)
    marks = {
        _metric_name(scores): best,
        "delta": [VERDICTS.get(verdict, "") for verdict in shown.verdict_M],
        "verdict": [VERDICTS.get(verdict, "") for verdict in shown.verdict_M],
    }
    line, notes = _legend(shown), _notes(shown, frame, margin)
    return Table(
        suite=scores.name,
        kind="summary",
        title=_title(shown, levels),
        caption=captions.join_sentences(f"{line.removesuffix('.')}.", notes),
        line=line,
        notes=notes,
        cells=cells,
        data=_data(shown),
        metric=scores.metric,
        marks=mark_columns(cells, marks),
        groups=tuple(shown.group_M),
        published=tuple(level for level in levels if level.level.entry == baseline),
    )


@dataclass(frozen=True, eq=False)
class _Summary:
    """What the table shows of M entries, which are sorted by group and then by their mean; NaN where it is blank."""

    scores: ScoreCube
    baseline: str | None
    deltas: Deltas | None
    entries: pd.Index[str]
    reads_M: list[str]
    group_M: list[str]
    mean_M: Array
    delta: Estimate
    verdict_M: Array
    tie_M: Array
    better_M: Array
    worse_M: Array
    costs: dict[str, Array]
    machine: str
    """The machine that the costs were measured on, where other entries were measured elsewhere."""


def _shown(scores: ScoreCube, records: pd.DataFrame, baseline: str | None, flips: pd.DataFrame | None) -> _Summary:
    done = records[records["status"] == "done"]
    last = done.drop_duplicates("entry", keep="last").set_index("entry")
    group_of = {str(entry): reads_group(str(reads)) for entry, reads in last["reads"].items()}
    entries = pd.Index(
        sorted((str(entry) for entry in scores.entries if entry in group_of), key=lambda entry: group_of[entry]), dtype=object
    )
    budgets = sorted({int(labels) for labels in done["target_labels"] if labels})
    index_M, regression = scores.entries.get_indexer(entries), scores.metric in REGRESSION_METRICS
    deltas = None if baseline is None or len(scores.entries) < 2 else deltas_against(scores, baseline, flips)
    blank_M = np.full(len(entries), np.nan)
    each = "in total" if regression or done["scored_positions"].notna().any() else "a class"

    def of_deltas(values_M: Array) -> Array:
        """The values of the entries of deltas, NaN for the baseline."""
        if deltas is None:
            return blank_M
        at_M = deltas.cube.entries.get_indexer(entries)
        return np.where(at_M >= 0, np.append(values_M.astype(np.float64), np.nan)[at_M], np.nan)

    costs, machine = _costs(done, entries)
    return _Summary(
        scores=scores,
        baseline=baseline,
        deltas=deltas,
        entries=entries,
        reads_M=[symbols(str(last.loc[entry, "reads"])) for entry in entries],
        group_M=[_heading(group_of[entry], budgets, each) for entry in entries],
        mean_M=estimates.mean_over_pairs(scores).mean[index_M],
        delta=Estimate(blank_M, blank_M) if deltas is None else Estimate(*map(of_deltas, deltas.mean)),
        verdict_M=blank_M if deltas is None else of_deltas(deltas.verdict_M),
        tie_M=blank_M if deltas is None else of_deltas(deltas.tie_M),
        better_M=blank_M if deltas is None else of_deltas(deltas.significantly_better_M),
        worse_M=blank_M if deltas is None else of_deltas(deltas.significantly_worse_M),
        costs=costs,
        machine=machine,
    )


def _costs(done: pd.DataFrame, entries: pd.Index[str]) -> tuple[dict[str, Array], str]:
    """The medians of costs (M,) on the machine with most records, and that machine where there is another."""
    columns = ("train_seconds", "train_samples_per_second")
    groups = machine_groups(done, MACHINE)
    if not groups:
        return {column: np.full(len(entries), np.nan) for column in columns}, ""
    most = max(groups, key=len)
    return medians_of(most, entries, columns), machine_text(most, groups, MACHINE) if len(groups) > 1 else ""


def reads_group(reads: str) -> int:
    """The number of the group in `READS_GROUPS` of a method that reads these splits."""
    names = set(filter(None, reads.split("+")))
    ranked = (("target_labeled", 4), ("stream", 3), ("target", 2))
    return next((number for name, number in ranked if name in names), 1 if names else 0)


def _heading(group: int, budgets: list[int], each: str) -> str:
    """The heading of a group, with the number of labels in that of labelled target samples."""
    if not budgets or group != len(READS_GROUPS) - 1:
        return READS_GROUPS[group]
    count = f"{budgets[0]}" if len(budgets) == 1 else f"{budgets[0]} to {budgets[-1]}"
    return f"{READS_GROUPS[group][:-1]}, {count} {each})"


def _metric_name(scores: ScoreCube) -> str:
    return scores.measure.short or scores.measure.title


def _title(shown: _Summary, levels: tuple[LevelComparison, ...]) -> str:
    """The suite, its metric, pairs and seeds, and the level of the baseline beside the published one."""
    scores = shown.scores
    pairs, seeds = captions.plural(len(scores.pairs), "pair"), captions.plural(len(scores.seeds), "seed")
    level = level_sentence(scores, levels, shown.baseline) if shown.baseline else ""
    level = level.replace(" per cent", " %").removesuffix(".")
    return f"{scores.name}: {scores.measure.title}, {pairs}, {seeds}" + (f"; baseline {level}" if level else "")


def _cells(shown: _Summary) -> pd.DataFrame:
    scores, no_margin_M = shown.scores, np.full(len(shown.entries), np.nan)
    delta_M = estimate_texts(shown.delta, scores.decimals, signed=True)
    is_baseline_M = shown.entries == shown.baseline
    verdict_M = [
        EQUAL if tie == 1 else VERDICTS.get(verdict, "") for tie, verdict in zip(shown.tie_M, shown.verdict_M, strict=True)
    ]
    pairs_M = [
        "" if np.isnan(better) else f"{better:.0f}/{worse:.0f}"
        for better, worse in zip(shown.better_M.tolist(), shown.worse_M.tolist(), strict=True)
    ]
    columns = {
        "reads": shown.reads_M,
        _metric_name(scores): estimate_texts(Estimate(shown.mean_M, no_margin_M), scores.decimals),
        "delta": ["baseline" if base else text for base, text in zip(is_baseline_M, delta_M, strict=True)],
        "verdict": verdict_M,
        "pairs": pairs_M,
        "train": [_duration(seconds) for seconds in shown.costs["train_seconds"].tolist()],
        "samples": [_rate(rate) for rate in shown.costs["train_samples_per_second"].tolist()],
    }
    optional = ("delta", "verdict", "pairs", "train", "samples")
    return text_cells(
        shown.entries,
        {name: texts for name, texts in columns.items() if name not in optional or set(texts) - {"", "baseline"}},
    )


def _duration(seconds: float) -> str:
    """A training time with two or three digits: "21 ms", "0.29 s", "35.1 s", "12.4 min", "3.5 h"."""
    for factor, unit in ((3600, "h"), (60, "min")):
        if seconds >= 2 * factor:
            return f"{seconds / factor:.1f} {unit}"
    if seconds < 0.0995:
        return f"{1000 * seconds:.0f} ms" if seconds >= 0.00995 else f"{1000 * seconds:.1f} ms"
    return "" if np.isnan(seconds) else f"{seconds:.1f} s" if seconds >= 9.995 else f"{seconds:.2f} s"


def _rate(rate: float) -> str:
    """Samples per second with three digits: "963/s", "70.6k/s", "1.25M/s"."""
    for factor, unit in ((1e6, "M"), (1e3, "k")):
        if rate >= 0.9995 * factor:
            value = rate / factor
            return f"{value:.0f}{unit}/s" if value >= 99.95 else f"{value:#.3g}{unit}/s"
    return "" if np.isnan(rate) or rate == 0 else f"{rate:.0f}/s" if rate >= 99.5 else f"{rate:#.3g}/s"


def _legend(shown: _Summary) -> str:
    """One line that explains the columns of numbers."""
    if shown.deltas is None:
        return "Mean over pairs and seeds; train and samples: medians of a case's training."
    if len(shown.scores.seeds) < MIN_SEEDS or np.isnan(shown.verdict_M).all():
        return f"Delta: against {shown.baseline}; no 95 % CI, which takes {MIN_SEEDS} seeds."
    low = "" if shown.scores.measure.higher_is_better else "lower is better; "
    return f"{low}±: 95 % CI; n.s.: no significant difference; pairs: better/worse (BH, FDR 5 %)"


def _notes(shown: _Summary, frame: pd.DataFrame, margin: float | None) -> str:
    """What is particular to these records."""
    scores, latest = shown.scores, latest_records(frame)
    minuends = (scores, "mean") if shown.deltas is None else (shown.deltas.cube, "mean delta")
    precision = precision_note(*minuends, margin) if margin is not None else ""
    return captions.join_sentences(
        captions.shared_draws(scores),
        captions.incomplete_entries(scores, np.isfinite(intervals.over_seeds(scores.values).mean), "mean and delta"),
        captions.unfinished_cases(latest),
        f"Costs are those on {shown.machine}; entries measured elsewhere have none here." if shown.machine else "",
        captions.mixed_inputs(latest),
        captions.mixed_provenance(latest),
        precision,
    )


def _data(shown: _Summary) -> pd.DataFrame:
    scores = shown.scores
    return tidy(
        scores,
        "summary",
        shown.entries,
        of_entry={
            "score": (shown.mean_M, scores.measure.unit),
            **bounds(shown.delta, scores.delta_unit),
            "verdict": (shown.verdict_M, VERDICT_UNIT),
            "pairs_significantly_better": (shown.better_M, "pairs"),
            "pairs_significantly_worse": (shown.worse_M, "pairs"),
            "train_seconds": (shown.costs["train_seconds"], "seconds"),
            "train_samples_per_second": (shown.costs["train_samples_per_second"], "samples/s"),
        },
        of_cell={},
    )
