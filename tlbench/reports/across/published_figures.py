"""Published figures beside those of the records: reproduced, off by so many points, or not tried."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from tlbench.metrics import METRICS
from tlbench.reports import published_tables
from tlbench.reports.across.methods import ALL_SUITES
from tlbench.reports.frames import SCORES, latest_records, suite_and_version
from tlbench.reports.score_cube import cube_values, score_cube
from tlbench.reports.statistics.intervals import MIN_SEEDS, Array, Estimate, moments, satterthwaite_margin
from tlbench.reports.table import Table, estimate_texts, number_text, tidy_lines
from tlbench.suite import MEAN, shipped_published_levels, shipped_suites, shipped_version

NOT_TRIED = "not tried"
REPRODUCED = "reproduced"
INSIDE, EQUAL = "inside the CI", "equal"
"""The verdicts on levels, which are no targets."""
FOLLOWED = "By the protocol of the publication (tlbench reproduce)"
LEVELS = "Levels of other networks or protocols, which suites name"
COLUMNS = ("entry", "pairs", "published", "here", "difference", "cells within", "verdict")
_ROUNDING = 1e-9
Cell = tuple[str, str, str]
"""The suite, the method entry, and the pair or `MEAN` for all pairs of the suite."""


@dataclass(frozen=True)
class PublishedFigure:
    """A published figure, or the figures of several pairs, whose mean is compared."""

    name: str
    entry: str
    """The method entry that is compared with it."""
    cells: Mapping[Cell, float]
    """The published values, in the unit of the metric."""
    metric: str = "target_accuracy"
    tolerance: float | None = None
    """The largest difference that counts as reproduced; None where none is declared."""
    of_cells: bool = False
    """Whether the tolerance is that of each cell; else it is that of the mean."""
    group: str = FOLLOWED
    departure: str = ""
    """Where the protocol departs from that of the suite, as the suite says."""

    @property
    def value(self) -> float:
        """The published mean."""
        return float(np.mean(list(self.cells.values())))

    @property
    def digits(self) -> int:
        """The decimals that were published."""
        return max(len(f"{value:.10g}".partition(".")[2]) for value in self.cells.values())


def declared_figures() -> list[PublishedFigure]:
    """All published figures that the package declares: those of published tables, and the levels that suites name."""
    of_tables = table_figures()
    compared = {cell[:2] for figure in of_tables for cell in figure.cells}
    return [*of_tables, *(one for one in level_figures() if not {cell[:2] for cell in one.cells} <= compared)]


def table_figures() -> list[PublishedFigure]:
    """The figures of published tables, one for each method of a table."""
    return [
        PublishedFigure(
            name=f"{name}: {of_method.name}, {of_method.source.partition(',')[0]}",
            entry=of_method.entry,
            cells={(table.suite_of(pair), of_method.entry_of(pair), pair): value for pair, value in of_method.figures.items()},
            tolerance=table.tolerance,
            of_cells=table.compared == "cells",
        )
        for name in published_tables.table_names()
        for table in (published_tables.load_table(name),)
        for of_method in table.rows
    ]


def level_figures() -> list[PublishedFigure]:
    """The published levels of all suites that ship; of one that has a mean, the mean alone."""
    figures = []
    for suite in shipped_suites():
        for level in shipped_published_levels(suite, shipped_version(suite) or 0):
            values = {MEAN: level.values[MEAN]} if MEAN in level.values else level.values
            figures.append(
                PublishedFigure(
                    name=f"{suite}: {level.source}, {level.network}",
                    entry=level.entry,
                    cells={(suite, level.entry, pair): value for pair, value in values.items()},
                    metric=level.metric,
                    group=LEVELS,
                    departure=level.note,
                )
            )
    return figures


def published_table(frame: pd.DataFrame, figures: Sequence[PublishedFigure]) -> list[Table]:
    """The table of published figures; none where there are none.

    Args:
        frame: from `reports.frame`.
        figures: those to compare, group by group.
    """
    if not figures:
        return []
    scores = {name: _Scores(of) for name, of in _comparable(frame)}
    compared = [_compare(figure, scores) for figure in figures]
    cells = pd.DataFrame(
        [[of.texts.get(column, "") for column in COLUMNS] for of in compared],
        index=pd.Index([figure.name for figure in figures], name="figure"),
        columns=list(COLUMNS),
        dtype=object,
    )
    line = (
        "Means over the same pairs, in per cent; ± margin of error of the 95 % CI over seeds. Reproduced: within the tolerance "
        "that tlbench reproduce states, or inside the CI. Not tried: no records here."
    )
    notes = _notes(figures, compared)
    return [
        Table(
            suite=ALL_SUITES,
            kind="published",
            title="Published figures",
            caption=f"{line} {notes}",
            cells=cells,
            data=_data(figures, compared),
            line=line,
            notes=notes,
            groups=tuple(figure.group for figure in figures),
        )
    ]


def _notes(figures: Sequence[PublishedFigure], compared: Sequence[_Comparison]) -> str:
    """How many figures are reproduced, and where protocols depart."""
    verdicts = [of.texts["verdict"] for figure, of in zip(figures, compared, strict=True) if figure.group == FOLLOWED]
    tried = sum(not verdict.startswith(NOT_TRIED) for verdict in verdicts)
    departures = dict.fromkeys(f"{of.name.partition(',')[0]}: {of.departure}" for of in figures if of.departure)
    sentences = [
        f"Of {len(verdicts)} figures by the protocol of the publication {tried} were tried; {verdicts.count(REPRODUCED)} are "
        "reproduced."
        if verdicts
        else "",
        "A level of another network or protocol is a comparison and no target: it is inside the CI, equal, or off.",
        f"Departures that suites state: {'; '.join(departures)}." if departures else "",
    ]
    return " ".join(filter(None, sentences))


def _comparable(frame: pd.DataFrame) -> Iterator[tuple[str, pd.DataFrame]]:
    """The records of each suite that ships, in the version that ships."""
    for _, of_suite in frame.groupby(["suite", "suite_version"], sort=False):
        name, version = suite_and_version(of_suite)
        if shipped_version(name) == version:
            yield name, of_suite


class _Scores:
    """The runs of one suite in any metric."""

    def __init__(self, frame: pd.DataFrame) -> None:
        self.cube = score_cube(frame)
        self.records = latest_records(frame)

    def runs(self, entry: str, pair: str, metric: str) -> list[Array]:
        """The scores (S,) of an entry on a pair, or on every pair that is really different; one run where seeds are copies.

        There is none where the suite lacks the entry, the pair or the metric.
        """
        cube = self.cube
        if metric != cube.metric:
            if metric not in SCORES:
                return []
            cube = replace(cube, values=METRICS[metric].factor * cube_values(cube, self.records, metric))
        entries = np.flatnonzero(cube.entries == entry)
        if not len(entries):
            return []
        at = int(entries[0])
        runs_PS = cube.distinct().values[at] if pair == MEAN else cube.values[at][np.asarray(cube.pairs == pair)]
        return [runs_S[:1] if cube.single_M[at] else runs_S for runs_S in runs_PS]


@dataclass(frozen=True)
class _Comparison:
    """The texts of a line by column, and the mean here with its margin of error; NaN where there is none."""

    texts: Mapping[str, str]
    own: Estimate


def _compare(figure: PublishedFigure, scores: Mapping[str, _Scores]) -> _Comparison:
    of_cells = [scores[cell[0]].runs(*cell[1:], figure.metric) if cell[0] in scores else [] for cell in figure.cells]
    present = [bool(runs) and all(np.isfinite(run_S).all() for run_S in runs) for runs in of_cells]
    texts = {"entry": figure.entry, "published": f"{figure.value:.{max(1, figure.digits)}f}"}
    pairs = sum(len(runs) for runs in of_cells) if all(present) else len(of_cells)
    if not (len(of_cells) == 1 and not present[0]):
        texts["pairs"] = str(pairs)
    if not all(present):
        verdict = f"{NOT_TRIED} ({sum(present)} of {len(present)} pairs here)" if any(present) else NOT_TRIED
        return _Comparison({**texts, "verdict": verdict}, Estimate(np.array([np.nan]), np.array([np.nan])))
    means_K = np.array([np.mean([run_S.mean() for run_S in runs]) for runs in of_cells])
    own = _mean([run_S for runs in of_cells for run_S in runs])
    difference = float(own.mean[0]) - figure.value
    limit = figure.tolerance if figure.of_cells and figure.tolerance is not None else 0.5 * 10.0**-figure.digits
    off_K = np.abs(np.round(means_K, 2) - np.array(list(figure.cells.values())))
    within_K = off_K <= limit + _ROUNDING
    decimals = max(1, figure.digits)
    texts |= {"here": estimate_texts(own, decimals)[0], "difference": number_text(difference, decimals, signed=True)}
    if figure.of_cells:
        texts["cells within"] = f"{within_K.sum()}/{len(within_K)}"
    verdict = f"off by {number_text(difference, decimals, signed=True)}"
    if figure.of_cells and not within_K.all():
        verdict = f"off by up to {off_K.max():.{decimals}f} in {(~within_K).sum()} cells"
    margin = float(own.margin[0])
    if _is_reproduced(figure, difference, margin, bool(within_K.all())):
        verdict = REPRODUCED if figure.group == FOLLOWED else EQUAL if np.isnan(margin) else INSIDE
    return _Comparison({**texts, "verdict": verdict}, own)


def _is_reproduced(figure: PublishedFigure, difference: float, margin: float, within: bool) -> bool:
    """Whether a figure counts as reproduced.

    Args:
        figure: the published figure.
        difference: the mean here minus that published.
        margin: the margin of error of the mean here; NaN where runs do not vary.
        within: whether every cell is within the tolerance of cells or, without one, equal to the last published digit.
    """
    if not np.isnan(margin) and abs(difference) <= margin:
        return True
    if figure.tolerance is not None and not figure.of_cells:
        return abs(round(difference, 2)) <= figure.tolerance + _ROUNDING
    return within and (figure.of_cells or np.isnan(margin))


def _mean(runs: Sequence[Array]) -> Estimate:
    """The mean over pairs of runs (S,), with the 95 % CI for other seeds; none where no pair was run with several seeds."""
    mean = np.array([np.mean([run_S.mean() for run_S in runs])])
    repeated = [run_S for run_S in runs if len(run_S) >= MIN_SEEDS]
    if not repeated or any(1 < len(run_S) < MIN_SEEDS for run_S in runs):
        return Estimate(mean, np.array([np.nan]))
    v_K = np.array([float(moments(run_S)[1]) / len(run_S) for run_S in repeated])
    df_K = np.array([len(run_S) - 1.0 for run_S in repeated])
    return Estimate(mean, satterthwaite_margin(v_K[None], df_K) / len(runs))


def _data(figures: Sequence[PublishedFigure], compared: Sequence[_Comparison]) -> pd.DataFrame:
    """The published mean, the mean here and its margin of error of each figure, in the columns `TIDY`."""
    lines = [
        (figure.name, quantity, value, METRICS[figure.metric].unit)
        for figure, of in zip(figures, compared, strict=True)
        for quantity, value in (
            ("published", figure.value),
            ("mean", float(of.own.mean[0])),
            ("margin", float(of.own.margin[0])),
        )
    ]
    names = ("entry", "quantity", "value", "unit")
    return tidy_lines(lines, names, suite=ALL_SUITES, suite_version=0, table="published")
