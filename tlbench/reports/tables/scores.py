"""The tables of scores: the metric of the suite, and the deltas against its baselines."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from tlbench.reports import estimates
from tlbench.reports.frames import latest_records, latest_value
from tlbench.reports.published_levels import LevelComparison, level_comparisons, level_sentence
from tlbench.reports.score_cube import ScoreCube, score_cube
from tlbench.reports.statistics import intervals, ties
from tlbench.reports.statistics.intervals import Array, Estimate
from tlbench.reports.statistics.moderated import ModeratedT
from tlbench.reports.table import (
    EQUAL,
    VERDICT_UNIT,
    VERDICTS,
    Quantities,
    Table,
    best_two,
    bounds,
    estimate_texts,
    mark_columns,
    number_text,
    pair_texts,
    seed_counts,
    text_cells,
    tidy,
)
from tlbench.reports.tables import captions, short_captions
from tlbench.reports.tables.expected_precision import precision_note
from tlbench.suite import Suite


def accuracy(frame: pd.DataFrame, margin: float | None = None) -> Table:
    """The table of the suite's metric: mean over pairs, interquartile mean, rank, and every pair.

    Args:
        frame: the records of one suite, from `reports.frame`.
        margin: a desired margin of error in units of the metric; the caption says how many seeds it takes.

    Raises:
        TlbenchError: the frame has no records, or records of more than one suite or version.
    """
    scores = score_cube(frame)
    cell, mean, new = estimates.cell_means(scores), estimates.mean_over_pairs(scores), estimates.mean_for_new_domains(scores)
    iqm_M, rank_M = intervals.interquartile_mean(scores.values), ties.ranks(mean.mean, scores.direction, scores.floor)
    cells = text_cells(
        scores.entries,
        {
            "mean": estimate_texts(mean, scores.decimals),
            **new_domains_texts(scores, new),
            "IQM": estimate_texts(Estimate(iqm_M, np.full_like(iqm_M, np.nan)), scores.decimals),
            "rank": ["" if np.isnan(rank) else f"{rank:g}" for rank in rank_M],
        }
        | pair_texts(scores, cell),
    )
    best = {"mean": mean.mean, "IQM": iqm_M} | dict(zip(map(str, scores.pairs), cell.mean.T, strict=True))
    unit, latest = scores.measure.unit, latest_records(frame)
    return Table(
        suite=scores.name,
        kind="accuracy",
        title=f"{scores.name}: {scores.measure.title}",
        caption=captions.join_sentences(
            f"{captions.unit(scores)}; pairs are source:target.",
            captions.intervals(scores, "mean"),
            captions.single_runs(scores),
            captions.new_domains(scores),
            "IQM: interquartile mean of all runs.",
            captions.SELECTION,
            captions.incomplete_entries(scores, np.isfinite(cell.mean), "mean and rank"),
            captions.unfinished_cases(latest),
            captions.weights_sources(latest),
            captions.mixed_inputs(latest),
            captions.mixed_provenance(latest),
            precision_note(scores, "mean", margin),
        ),
        line=short_captions.scores_line(scores),
        notes=short_captions.scores_notes(scores, latest, margin),
        cells=cells,
        levels=scores.levels,
        data=tidy(
            scores,
            "accuracy",
            scores.entries,
            {**bounds(mean, unit), **new_domains_bounds(new, unit), "iqm": (iqm_M, unit), "rank": (rank_M, "rank")},
            of_cell={**bounds(cell, unit), **seed_counts(scores)},
        ),
        metric=scores.metric,
        marks=mark_columns(
            cells, {name: best_two(values_M, scores.direction, scores.floor) for name, values_M in best.items()}
        ),
    )


def new_domains_texts(scores: ScoreCube, new: Estimate) -> dict[str, list[str]]:
    """The column of margins of error for new domains; no column where they are not estimable."""
    if np.isnan(new.margin).all():
        return {}
    return {"new domains": ["" if np.isnan(margin) else f"± {margin:.{scores.decimals}f}" for margin in new.margin.tolist()]}


def new_domains_bounds(new: Estimate, unit: str) -> Quantities:
    """The bounds of the 95 % CI for new domains as quantities."""
    mean, margin = new
    return {"new_domains_low": (mean - margin, unit), "new_domains_high": (mean + margin, unit)}


def baselines(frame: pd.DataFrame, scores: ScoreCube) -> Iterator[tuple[str, str]]:
    """The baselines of the tables of deltas, each with the name of its delta; those without another entry are left out.

    They are the suite's baseline and, where target labels are granted, each entry of the method `target_only`. A delta
    against `target_only` is called transfer delta, a delta against anything else adaptation delta.
    """
    target_only = {"target_only", *frame.loc[frame["method"] == "target_only", "entry"]}
    names = [] if (baseline := latest_value(frame, "baseline")) is None else [str(baseline)]
    if latest_value(frame, "target_labels"):
        names += [str(entry) for entry in scores.entries if entry in target_only and entry not in names]
    for name in names:
        if (scores.entries != name).any():
            yield name, "transfer delta" if name in target_only else "adaptation delta"


def transfer(
    frame: pd.DataFrame, margin: float | None = None, flips: pd.DataFrame | None = None, suites: Iterable[Suite] = ()
) -> list[Table]:
    """The tables of deltas, one for each of the `baselines` of one suite; none for a suite without a baseline.

    Args:
        frame: the records of one suite, from `reports.frame`.
        margin: a desired margin of error in units of the metric; the captions say how many seeds it takes.
        flips: from `reports.negative_flips`; without them single runs of deterministic entries have no test.
        suites: those of `reports.tables`.
    """
    scores = score_cube(frame)
    levels = level_comparisons(scores, latest_records(frame), suites)
    return [
        _delta_table(frame, deltas_against(scores, baseline, flips), (scores, levels), (baseline, name), margin)
        for baseline, name in baselines(frame, scores)
    ]


@dataclass(frozen=True, eq=False)
class Deltas:
    """Deltas paired by pair and seed, with what the table shows of them; NaN for an entry with a missing cell.

    `better_M` and `worse_M` count the pairs with a gain and with a loss, the `significantly_` fields those that are
    significant. `tie_M` marks the entries that tie with the baseline in every run. `worst_pair` names the pair with the lowest
    gain of each entry, whose delta is `worst_M`.
    """

    cube: ScoreCube
    mean: Estimate
    verdict_M: Array
    tie_M: Array
    tests: ModeratedT
    better_M: Array
    worse_M: Array
    significantly_better_M: Array
    significantly_worse_M: Array
    worst_pair: dict[str, str]
    worst_M: Array


def deltas_against(scores: ScoreCube, baseline: str, flips: pd.DataFrame | None) -> Deltas:
    """The deltas of all other entries against a baseline, with their tests; `flips` are those of `transfer`."""
    deltas = scores.minus(baseline)
    tests = estimates.cell_tests(deltas, estimates.mcnemar_p(deltas, baseline, flips))
    mean = estimates.mean_over_pairs(deltas)
    complete_M, gain_MP = np.isfinite(mean.mean), deltas.direction * tests.mean
    tested_M = complete_M & np.isfinite(tests.mark).all(axis=1)
    worst_index_M = np.argmin(np.where(np.isnan(gain_MP), np.inf, gain_MP), axis=1)
    return Deltas(
        cube=deltas,
        mean=mean,
        verdict_M=estimates.verdicts(deltas, mean),
        tie_M=estimates.no_difference(deltas),
        tests=tests,
        better_M=np.where(complete_M, (gain_MP > deltas.floor_P).sum(axis=1), np.nan),
        worse_M=np.where(complete_M, (gain_MP < -deltas.floor_P).sum(axis=1), np.nan),
        significantly_better_M=np.where(tested_M, (tests.mark == 1.0).sum(axis=1), np.nan),
        significantly_worse_M=np.where(tested_M, (tests.mark == -1.0).sum(axis=1), np.nan),
        worst_pair=dict(zip(deltas.entries, deltas.pairs[worst_index_M], strict=True)),
        worst_M=np.where(complete_M, tests.mean[np.arange(len(worst_index_M)), worst_index_M], np.nan),
    )


def _delta_table(
    frame: pd.DataFrame,
    deltas: Deltas,
    minuends: tuple[ScoreCube, Sequence[LevelComparison]],
    names: tuple[str, str],
    margin: float | None,
) -> Table:
    """The table of deltas against one baseline.

    Args:
        frame: the records of the suite.
        deltas: the deltas.
        minuends: the scores that they are differences of, and the published levels of the suite.
        names: the baseline, and the name of the delta.
        margin: as of `transfer`.
    """
    (scores, levels), (baseline, name) = minuends, names
    cube, cells = deltas.cube, _delta_cells(deltas)
    best_M = best_two(deltas.mean.mean, cube.direction, cube.floor)
    words = [VERDICTS.get(verdict, "") for verdict in deltas.verdict_M]
    marks = {"mean delta": [f"{best} {word}".strip() for best, word in zip(best_M, words, strict=True)], "verdict": words}
    of_pairs = zip(cube.pairs, deltas.tests.mark.T, strict=True)
    marks |= {str(pair): [VERDICTS.get(mark, "") for mark in mark_M] for pair, mark_M in of_pairs}
    level, latest = level_sentence(scores, levels, baseline), latest_records(frame)
    missing = captions.incomplete_entries(cube, np.isfinite(deltas.tests.mean), "mean delta and verdict")
    if not (scores.entries == baseline).any():
        missing = f"There is no record of {baseline} yet, so every delta is blank."
    return Table(
        suite=scores.name,
        kind="transfer",
        title=f"{scores.name}: {name} against {baseline}",
        caption=captions.join_sentences(
            f"{scores.capitalized_title} minus that of {baseline}, paired by pair and seed, in {cube.delta_unit}.",
            level,
            "" if scores.measure.higher_is_better else "Lower is better: a delta below zero is a gain.",
            captions.intervals(cube, "mean delta", deltas=True),
            captions.verdicts(cube),
            captions.single_runs(cube, tested=bool(np.isfinite(deltas.tests.mark[cube.single_M]).any())),
            captions.sign_test_note(cube),
            captions.SELECTION,
            missing,
            captions.unfinished_cases(latest),
            captions.mixed_inputs(latest),
            captions.mixed_provenance(latest),
            precision_note(cube, "mean delta", margin),
        ),
        line=short_captions.deltas_line(scores, cube, baseline),
        notes=short_captions.deltas_notes(cube, latest, level, missing, margin),
        cells=cells,
        data=_delta_data(deltas, f"{name} against {baseline}"),
        metric=scores.metric,
        marks=mark_columns(cells, marks),
        published=tuple(level for level in levels if level.level.entry == baseline),
    )


def _delta_cells(deltas: Deltas) -> pd.DataFrame:
    cube = deltas.cube
    return text_cells(
        cube.entries,
        {
            "mean delta": estimate_texts(deltas.mean, cube.decimals, signed=True),
            "verdict": [
                EQUAL if tie else VERDICTS.get(verdict, "") for tie, verdict in zip(deltas.tie_M, deltas.verdict_M, strict=True)
            ],
            "pairs better": _pair_counts(deltas.better_M, deltas.significantly_better_M, len(cube.pairs)),
            "pairs worse": _pair_counts(deltas.worse_M, deltas.significantly_worse_M, len(cube.pairs)),
            "worst pair": [
                "" if np.isnan(delta) else f"{deltas.worst_pair[entry]} {number_text(delta, cube.decimals, signed=True)}"
                for entry, delta in zip(cube.entries, deltas.worst_M, strict=True)
            ],
        }
        | pair_texts(cube, deltas.tests.estimate, deltas.tests.mark),
    )


def _delta_data(deltas: Deltas, table: str) -> pd.DataFrame:
    cube, tests, unit = deltas.cube, deltas.tests, deltas.cube.delta_unit
    data = tidy(
        cube,
        table,
        cube.entries,
        of_entry={
            **bounds(deltas.mean, unit),
            "verdict": (deltas.verdict_M, VERDICT_UNIT),
            "pairs_better": (deltas.better_M, "pairs"),
            "pairs_worse": (deltas.worse_M, "pairs"),
            "pairs_significantly_better": (deltas.significantly_better_M, "pairs"),
            "pairs_significantly_worse": (deltas.significantly_worse_M, "pairs"),
            "worst": (deltas.worst_M, unit),
        },
        of_cell={
            **bounds(tests.estimate, unit),
            **seed_counts(cube),
            "mark": (tests.mark, VERDICT_UNIT),
            "p": (tests.p, "p, adjusted"),
        },
    )
    return data.assign(pair=data["pair"].where(data["quantity"] != "worst", data["entry"].map(deltas.worst_pair)))


def _pair_counts(count_M: Array, significant_M: Array, pairs: int) -> list[str]:
    """Counts of pairs as in "7 / 12, 5 *", with those that are significant before the star, if any."""
    return [
        "" if np.isnan(count) else f"{count:.0f} / {pairs}" + (f", {significant:.0f} *" if significant > 0 else "")
        for count, significant in zip(count_M.tolist(), significant_M.tolist(), strict=True)
    ]
