"""Two results directories side by side, cell by cell: before and after a change, here and on another machine."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd

from tlbench.errors import TlbenchError
from tlbench.reports.frames import latest_done
from tlbench.reports.score_cube import Cube, cube, placed_scores
from tlbench.reports.statistics import intervals, moderated
from tlbench.reports.statistics.intervals import SEEDS_NEEDED, Array, Estimate
from tlbench.reports.table import (
    Table,
    bounds,
    mark_best,
    pair_texts,
    text_cells,
    texts,
    tidy,
)
from tlbench.reports.tables import captions

_WORDS = {1.0: "better", 0.0: "undecided", -1.0: "worse"}
_MARKS = {1.0: "helps", 0.0: "undecided", -1.0: "hurts"}


def compare(a: pd.DataFrame, b: pd.DataFrame, names: tuple[str, str] = ("A", "B")) -> list[Table]:
    """A table for each suite (and version) in both frames: B minus A for each row and pair that both have.

    Raises TlbenchError where no suite is in both.
    """
    key = ["suite", "suite_version"]
    of_b = dict(list(b.groupby(key, sort=False)))
    made = [_compared(part, of_b[suite], names) for suite, part in a.groupby(key, sort=False) if suite in of_b]
    if not made:
        has = ["; ".join(f"{suite} v{of}" for suite, of in one[key].drop_duplicates().to_numpy().tolist()) for one in (a, b)]
        raise TlbenchError(f"nothing to compare: {names[0]} holds {has[0] or 'no record'}, {names[1]} {has[1] or 'no record'}")
    return made


def _compared(a: pd.DataFrame, b: pd.DataFrame, names: tuple[str, str]) -> Table:
    one, other = cube(a), cube(b)
    if one.metric != other.metric:
        raise TlbenchError(f"{one.name}: {names[0]} is scored by {one.metric}, {names[1]} by {other.metric}")
    rows, pairs = _common(other.entries, one.entries), _common(one.pairs, other.pairs)
    if rows.empty or pairs.empty:
        raise TlbenchError(f"{one.name}: {names[0]} and {names[1]} have no method row and pair in common")
    seeds = _common(one.seeds, other.seeds)
    paired = len(seeds) > 0
    of_a, of_b = (_part(part, rows, pairs, seeds if paired else part.seeds) for part in (one, other))
    known, better = replace(of_b, decimals=max(one.decimals, other.decimals)), of_b.better
    if paired:
        known = replace(known, values=of_b.values - of_a.values)
        found, mean = moderated.marks(known.values, better), intervals.these_pairs(known.values)
        cell, mark_RP = found.estimate, found.mark
        how = f"paired by pair and seed ({captions.plural(len(seeds), 'seed')} in both)"
    else:
        cell, mean = _unpaired(of_a.values, of_b.values)
        mark_RP = intervals.verdicts(cell, better)
        how = "not paired, for they have no seed in common (Welch's t)"
    verdict_R = intervals.verdicts(mean, better)
    mean_a, mean_b = (intervals.these_pairs(part.values).mean for part in (of_a, of_b))
    same_RP = (known.values == 0).all(axis=-1) if paired else np.zeros(cell.mean.shape, dtype=bool)
    slower_R = _ratio(a, b, of_a, of_b) if paired else np.full(len(rows), np.nan)
    blank_R = np.full(len(rows), np.nan)
    cells = text_cells(
        rows,
        {
            "A": texts(Estimate(mean_a, blank_R), known.decimals),
            "B": texts(Estimate(mean_b, blank_R), known.decimals),
            "B - A": texts(mean, known.decimals, signed=True),
            "verdict": [
                "same" if all(same) else _WORDS.get(verdict, "") for same, verdict in zip(same_RP, verdict_R, strict=True)
            ],
            "train time B / A": ["" if np.isnan(ratio) else f"{ratio:.2f}" for ratio in slower_R.tolist()],
        }
        | pair_texts(known, cell, mark_RP),
    )
    unit = known.unit_of_deltas
    marks = {str(pair): [_MARKS.get(mark, "") for mark in of] for pair, of in zip(pairs, mark_RP.T, strict=True)}
    return Table(
        suite=one.name,
        kind="compare",
        title=f"{one.name}: {known.measure.title}, B minus A",
        caption=captions.joined(
            f"A: {names[0]}, {_machines(a)}. B: {names[1]}, {_machines(b)}.",
            f"B minus A in {unit}, {how}; ± half of the 95 % interval where {SEEDS_NEEDED} seeds allow one, which asks: would "
            "other seeds give this difference on these pairs?",
            f"{int(same_RP.sum())} of {same_RP.size} cells are equal to the last digit." if paired else "",
            "A star: surely better or worse"
            + (f", by {captions.MODERATED}." if paired else ": the cell's interval excludes zero."),
            _other_cases(a, b),
            _only(one.entries, other.entries, names, "entry"),
            _only(one.pairs, other.pairs, names, "pair"),
        ),
        cells=cells,
        data=tidy(
            known,
            "B minus A",
            rows,
            of_row={
                "a": (mean_a, known.measure.unit),
                "b": (mean_b, known.measure.unit),
                **bounds(mean, unit),
                "verdict": (verdict_R, "1 better, 0 undecided, -1 worse"),
                "train_time_ratio": (slower_R, "B / A"),
            },
            of_cell={**bounds(cell, unit), "mark": (mark_RP, "1 better, 0 undecided, -1 worse")},
        ),
        metric=one.metric,
        marks=mark_best(cells, {"verdict": [_MARKS.get(verdict, "") for verdict in verdict_R]} | marks),
    )


def _common(one: pd.Index, other: pd.Index) -> pd.Index:
    return one[one.isin(other)]


def _part(whole: Cube, rows: pd.Index[str], pairs: pd.Index[str], seeds: pd.Index[int]) -> Cube:
    """Some rows, pairs and seeds of a cube, in that order."""
    at = np.ix_(whole.entries.get_indexer(rows), whole.pairs.get_indexer(pairs), whole.seeds.get_indexer(seeds))
    domains = tuple(whole.domains[place] for place in whole.pairs.get_indexer(pairs))
    return replace(whole, entries=rows, pairs=pairs, seeds=seeds, domains=domains, values=whole.values[at])


def _unpaired(a_RPS: Array, b_RPS: Array) -> tuple[Estimate, Estimate]:
    """Differences of cells (R, P) and of rows (R,) whose seeds have nothing to do with each other (Welch 1947)."""
    (mean_a, square_a), (mean_b, square_b) = intervals.moments(a_RPS), intervals.moments(b_RPS)
    difference_RP, count = mean_b - mean_a, (a_RPS.shape[-1], b_RPS.shape[-1])
    half_RP, half_R = np.full_like(difference_RP, np.nan), np.full(len(difference_RP), np.nan)
    if min(count) >= SEEDS_NEEDED:
        v_2RP = np.stack([square_a / count[0], square_b / count[1]])
        df_2 = np.array([count[0] - 1.0, count[1] - 1.0])
        half_RP = intervals.satterthwaite(np.moveaxis(v_2RP, 0, -1), df_2)
        v_RK = np.concatenate(list(v_2RP), axis=1)
        half_R = intervals.satterthwaite(v_RK, np.repeat(df_2, v_2RP.shape[-1])) / v_2RP.shape[-1]
    return Estimate(difference_RP, half_RP), Estimate(difference_RP.mean(axis=1), half_R)


def _ratio(a: pd.DataFrame, b: pd.DataFrame, of_a: Cube, of_b: Cube) -> Array:
    """Median over cases of the training time under B divided by that under A (R,)."""
    seconds = []
    for frame, part in ((a, of_a), (b, of_b)):
        last = latest_done(frame)
        inside = last["entry"].isin(part.entries) & last["pair"].isin(part.pairs) & last["seed"].isin(part.seeds)
        seconds.append(placed_scores(part, last[inside], "train_seconds").reshape(len(part.entries), -1))
    with np.errstate(divide="ignore", invalid="ignore"):
        ratios = pd.DataFrame(seconds[1] / seconds[0]).replace([np.inf, -np.inf], np.nan)
    return ratios.median(axis=1).to_numpy(dtype=np.float64)


def _machines(frame: pd.DataFrame) -> str:
    """Where the records of a frame are from, and by which code."""
    last = latest_done(frame)
    changed = last["dirty"].fillna(False).map({True: " with changes", False: ""})
    last = last.assign(commit=last["commit"].str[:10] + changed)
    said = []
    for columns in (["device", "cpu", "cores", "precision"], ["torch"], ["tlbench", "commit"]):
        kinds = last[columns].astype(object).where(last[columns].notna(), None).drop_duplicates().to_numpy().tolist()
        said.append(captions.listed([" ".join(str(part) for part in kind if part is not None) for kind in kinds], " and "))
    machine, torch, code = said
    return f"{machine}, torch {torch}, tlbench {code}"


def _other_cases(a: pd.DataFrame, b: pd.DataFrame) -> str:
    """That options, data or protocol are not the same, where they are not."""
    case = ["entry", "pair", "seed"]
    both = latest_done(a)[[*case, "identity"]].merge(latest_done(b)[[*case, "identity"]], on=case, suffixes=("_a", "_b"))
    other = both[both["identity_a"] != both["identity_b"]]
    if other.empty:
        return ""
    rows = captions.listed([str(row) for row in other["entry"].unique()])
    return f"{len(other)} of {len(both)} cases differ in what was asked (options, protocol, method version or data), in {rows}."


def _only(one: pd.Index, other: pd.Index, names: tuple[str, str], noun: str) -> str:
    said = [
        f"only in {name}: {captions.listed(list(mine[~mine.isin(theirs)]))}"
        for name, mine, theirs in ((names[0], one, other), (names[1], other, one))
        if not mine.isin(theirs).all()
    ]
    return f"{noun.capitalize()}s {'; '.join(said)}." if said else ""
