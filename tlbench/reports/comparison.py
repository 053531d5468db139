"""Two results directories compared cell by cell, such as before and after a change, or here and on another machine."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import pandas as pd

from tlbench.errors import TlbenchError
from tlbench.reports import estimates
from tlbench.reports.frames import latest_records
from tlbench.reports.score_cube import ScoreCube, cube_values, score_cube
from tlbench.reports.statistics import intervals
from tlbench.reports.statistics.intervals import MIN_SEEDS, Array, Estimate
from tlbench.reports.table import (
    EQUAL,
    VERDICT_UNIT,
    VERDICTS,
    Table,
    bounds,
    estimate_texts,
    mark_columns,
    pair_texts,
    text_cells,
    tidy,
)
from tlbench.reports.tables import captions, short_captions


def compare(a: pd.DataFrame, b: pd.DataFrame, names: tuple[str, str] = ("A", "B")) -> list[Table]:
    """A table for each suite (and version) in both frames: B minus A for each entry and pair that both have.

    Args:
        a: the records of the first results directory, from `reports.frame`.
        b: the records of the second.
        names: the names of the two in captions and messages.

    Raises:
        TlbenchError: no suite is in both frames, or a suite has no entry and pair in common or another metric in each.
    """
    key = ["suite", "suite_version"]
    suites_of_b = dict(list(b.groupby(key, sort=False)))
    tables = [_table(of_a, suites_of_b[suite], names) for suite, of_a in a.groupby(key, sort=False) if suite in suites_of_b]
    if not tables:
        suites = [
            "; ".join(f"{suite} v{version}" for suite, version in frame[key].drop_duplicates().to_numpy().tolist())
            for frame in (a, b)
        ]
        holds = [f"{name} holds {of or 'no records'}" for name, of in zip(names, suites, strict=True)]
        raise TlbenchError(f"The directories have no suite in common: {holds[0]}, {holds[1]}.")
    return tables


@dataclass(frozen=True, eq=False)
class _Comparison:
    """B minus A of the common entries (M) and pairs (P).

    `deltas` are the differences; where no seed is in both, `deltas.values` are the scores of B instead, and `paired` is
    False. `mark_MP` is 1 where B is significantly better, -1 where it is significantly worse, else 0; `equal_MP` marks the
    cells whose scores are equal to the last digit.
    """

    deltas: ScoreCube
    paired: bool
    mean_a_M: Array
    mean_b_M: Array
    mean: Estimate
    cell: Estimate
    mark_MP: Array
    verdict_M: Array
    equal_MP: npt.NDArray[np.bool_]
    time_ratio_M: Array


def _comparison(a: pd.DataFrame, b: pd.DataFrame, cube_a: ScoreCube, cube_b: ScoreCube, names: tuple[str, str]) -> _Comparison:
    entries, pairs = _common(cube_b.entries, cube_a.entries), _common(cube_a.pairs, cube_b.pairs)
    if entries.empty or pairs.empty:
        raise TlbenchError(f"{cube_a.name}: {names[0]} and {names[1]} have no method entry and pair in common.")
    seeds = _common(cube_a.seeds, cube_b.seeds)
    paired = len(seeds) > 0
    of_a, of_b = (_subset(cube, entries, pairs, seeds if paired else cube.seeds) for cube in (cube_a, cube_b))
    of_a = replace(of_a, domains=of_b.domains)
    deltas = replace(
        of_b,
        decimals=max(cube_a.decimals, cube_b.decimals),
        floor_P=np.maximum(of_a.floor_P, of_b.floor_P),
        single_M=of_a.single_M & of_b.single_M,
    )
    if paired:
        deltas = replace(deltas, values=of_b.values - of_a.values)
        tests, mean = estimates.cell_tests(deltas), estimates.mean_over_pairs(deltas)
        cell, mark_MP = tests.estimate, tests.mark
    else:
        cell, mean = _welch(of_a, of_b)
        mark_MP = intervals.verdicts(cell, deltas.direction, deltas.floor_P)
    return _Comparison(
        deltas=deltas,
        paired=paired,
        mean_a_M=estimates.mean_over_pairs(of_a).mean,
        mean_b_M=estimates.mean_over_pairs(of_b).mean,
        mean=mean,
        cell=cell,
        mark_MP=mark_MP,
        verdict_M=estimates.verdicts(deltas, mean),
        equal_MP=(deltas.values == 0).all(axis=-1) if paired else np.zeros(cell.mean.shape, dtype=bool),
        time_ratio_M=_time_ratio(a, b, of_a, of_b) if paired else np.full(len(entries), np.nan),
    )


def _table(a: pd.DataFrame, b: pd.DataFrame, names: tuple[str, str]) -> Table:
    cube_a, cube_b = score_cube(a), score_cube(b)
    if cube_a.metric != cube_b.metric:
        raise TlbenchError(f"{cube_a.name}: {names[0]} is scored by {cube_a.metric} and {names[1]} by {cube_b.metric}.")
    comparison = _comparison(a, b, cube_a, cube_b, names)
    cells = _cells(comparison)
    marks = {"verdict": [VERDICTS.get(verdict, "") for verdict in comparison.verdict_M]}
    of_pairs = zip(comparison.deltas.pairs, comparison.mark_MP.T, strict=True)
    marks |= {str(pair): [VERDICTS.get(mark, "") for mark in mark_M] for pair, mark_M in of_pairs}
    of_directories = [f"{letter}: {name}, {_machines(of)}." for letter, name, of in zip("AB", names, (a, b), strict=True)]
    how = _method_sentences(comparison)
    missing = (
        _changed_cases(a, b),
        _only_in_one(cube_a.entries, cube_b.entries, names, "Entries"),
        _only_in_one(cube_a.pairs, cube_b.pairs, names, "Pairs"),
    )
    return Table(
        suite=cube_a.name,
        kind="compare",
        title=f"{cube_a.name}: {comparison.deltas.measure.title}, B minus A",
        caption=captions.join_sentences(*of_directories, *how, *missing),
        line=short_captions.comparison_line(comparison.deltas, paired=comparison.paired),
        notes=captions.join_sentences(*of_directories, *how[1:-1], *missing),
        section="intervals-and-tests",
        cells=cells,
        data=_data(comparison),
        metric=cube_a.metric,
        marks=mark_columns(cells, marks),
    )


def _method_sentences(comparison: _Comparison) -> list[str]:
    """The sentences of the caption on how the differences were computed and tested."""
    how, test = "not paired, because no seed is in both (Welch's t)", "the 95 % CI of the cell excludes zero"
    if comparison.paired:
        seeds = captions.plural(len(comparison.deltas.seeds), "seed")
        how, test = f"paired by pair and seed ({seeds} in both)", captions.SIGNIFICANCE
    equal_MP = comparison.equal_MP
    return [
        f"B minus A in {comparison.deltas.delta_unit}, {how}; ± margin of error of the 95 % CI from {MIN_SEEDS} seeds on, "
        "which covers other seeds on these pairs.",
        captions.shared_draws(comparison.deltas),
        captions.single_runs(comparison.deltas),
        f"{int(equal_MP.sum())} of {equal_MP.size} cells are equal to the last digit." if comparison.paired else "",
        f"*: significantly better or worse ({test}).",
    ]


def _cells(comparison: _Comparison) -> pd.DataFrame:
    deltas = comparison.deltas
    no_margin_M = np.full(len(deltas.entries), np.nan)
    return text_cells(
        deltas.entries,
        {
            "A": estimate_texts(Estimate(comparison.mean_a_M, no_margin_M), deltas.decimals),
            "B": estimate_texts(Estimate(comparison.mean_b_M, no_margin_M), deltas.decimals),
            "B - A": estimate_texts(comparison.mean, deltas.decimals, signed=True),
            "verdict": [
                EQUAL if all(equal_P) else VERDICTS.get(verdict, "")
                for equal_P, verdict in zip(comparison.equal_MP, comparison.verdict_M, strict=True)
            ],
            "train time B / A": ["" if np.isnan(ratio) else f"{ratio:.2f}" for ratio in comparison.time_ratio_M.tolist()],
        }
        | pair_texts(deltas, comparison.cell, comparison.mark_MP),
    )


def _data(comparison: _Comparison) -> pd.DataFrame:
    deltas = comparison.deltas
    return tidy(
        deltas,
        "B minus A",
        deltas.entries,
        of_entry={
            "a": (comparison.mean_a_M, deltas.measure.unit),
            "b": (comparison.mean_b_M, deltas.measure.unit),
            **bounds(comparison.mean, deltas.delta_unit),
            "verdict": (comparison.verdict_M, VERDICT_UNIT),
            "train_time_ratio": (comparison.time_ratio_M, "B / A"),
        },
        of_cell={
            **bounds(comparison.cell, deltas.delta_unit),
            "mark": (comparison.mark_MP, VERDICT_UNIT),
        },
    )


def _common(first: pd.Index, second: pd.Index) -> pd.Index:
    return first[first.isin(second)]


def _subset(cube: ScoreCube, entries: pd.Index[str], pairs: pd.Index[str], seeds: pd.Index[int]) -> ScoreCube:
    """Some entries, pairs and seeds of a cube, in the given order."""
    pair_indices = cube.pairs.get_indexer(pairs)
    indices = np.ix_(cube.entries.get_indexer(entries), pair_indices, cube.seeds.get_indexer(seeds))
    domains = tuple(cube.domains[index] for index in pair_indices)
    return replace(
        cube,
        entries=entries,
        pairs=pairs,
        seeds=seeds,
        domains=domains,
        values=cube.values[indices],
        floor_P=cube.floor_P[pair_indices],
        single_M=cube.single_M[cube.entries.get_indexer(entries)],
    )


def _welch(of_a: ScoreCube, of_b: ScoreCube) -> tuple[Estimate, Estimate]:
    """The differences of cells (M, P) and of entries (M,) with Welch's 95 % CI, for unpaired seeds.

    There is none where the seeds of both are copies of one run.
    Welch, Biometrika 34, 1947. https://doi.org/10.1093/biomet/34.1-2.28
    """
    difference_MP, v_2MP, df_2 = _welch_terms(of_a.values, of_b.values)
    margin_MP = intervals.satterthwaite_margin(np.moveaxis(v_2MP, 0, -1), df_2)
    difference_MQ, v_2MQ, _ = _welch_terms(of_a.distinct().values, of_b.distinct().values)
    pairs = v_2MQ.shape[-1]
    v_MK = np.concatenate(list(v_2MQ), axis=1)
    margin_M = intervals.satterthwaite_margin(v_MK, np.repeat(df_2, pairs)) / pairs
    if min(df_2) < MIN_SEEDS - 1:
        margin_MP, margin_M = np.full_like(margin_MP, np.nan), np.full_like(margin_M, np.nan)
    single_M = of_a.single_M & of_b.single_M
    cell = Estimate(difference_MP, np.where(single_M[:, None], np.nan, margin_MP))
    return cell, Estimate(difference_MQ.mean(axis=1), np.where(single_M, np.nan, margin_M))


def _welch_terms(a_MPS: Array, b_MPS: Array) -> tuple[Array, Array, Array]:
    """The differences of means (M, P), the variances of the two means (2, M, P), and their degrees of freedom (2,)."""
    (mean_a, variance_a), (mean_b, variance_b) = intervals.moments(a_MPS), intervals.moments(b_MPS)
    count = a_MPS.shape[-1], b_MPS.shape[-1]
    return mean_b - mean_a, np.stack([variance_a / count[0], variance_b / count[1]]), np.array(count) - 1.0


def _time_ratio(a: pd.DataFrame, b: pd.DataFrame, of_a: ScoreCube, of_b: ScoreCube) -> Array:
    """The median over cases of the training time of B divided by that of A (M,)."""
    seconds = []
    for frame, cube in ((a, of_a), (b, of_b)):
        records = latest_records(frame)
        in_cube = records["entry"].isin(cube.entries) & records["pair"].isin(cube.pairs) & records["seed"].isin(cube.seeds)
        seconds.append(cube_values(cube, records[in_cube], "train_seconds").reshape(len(cube.entries), -1))
    with np.errstate(divide="ignore", invalid="ignore"):
        ratios = pd.DataFrame(seconds[1] / seconds[0]).replace([np.inf, -np.inf], np.nan)
    return ratios.median(axis=1).to_numpy(dtype=np.float64)


def _machines(frame: pd.DataFrame) -> str:
    """The machines and the versions of the software behind the records of a frame."""
    records = latest_records(frame)
    changed = records["dirty"].fillna(False).map({True: " with changes", False: ""})
    records = records.assign(commit=records["commit"].str[:10] + changed)
    texts = []
    for columns in (["device", "cpu", "cores", "precision"], ["torch"], ["tlbench", "commit"]):
        values = records[columns].astype(object)
        kinds = values.where(values.notna(), None).drop_duplicates().to_numpy().tolist()
        texts.append(
            captions.short_list([" ".join(str(value) for value in kind if value is not None) for kind in kinds], " and ")
        )
    machine, torch, code = texts
    return f"{machine}, torch {torch}, tlbench {code}"


def _changed_cases(a: pd.DataFrame, b: pd.DataFrame) -> str:
    """The sentence that counts the cases whose identities differ, which were not the same experiment."""
    case = ["entry", "pair", "seed"]
    both = latest_records(a)[[*case, "identity"]].merge(latest_records(b)[[*case, "identity"]], on=case, suffixes=("_a", "_b"))
    changed = both[both["identity_a"] != both["identity_b"]]
    if changed.empty:
        return ""
    entries = captions.short_list([str(entry) for entry in changed["entry"].unique()])
    return f"{len(changed)} of {len(both)} cases differ in options, protocol, method version or data, in {entries}."


def _only_in_one(of_a: pd.Index, of_b: pd.Index, names: tuple[str, str], noun: str) -> str:
    """The sentence on the entries or pairs that only one of the directories has."""
    only = [
        f"only in {name}: {captions.short_list(list(own[~own.isin(others)]))}"
        for name, own, others in ((names[0], of_a, of_b), (names[1], of_b, of_a))
        if not own.isin(others).all()
    ]
    return f"{noun} {'; '.join(only)}." if only else ""
