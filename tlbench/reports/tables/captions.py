"""The sentences of captions: how a table was computed, what its intervals cover, and what is missing."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pandas as pd

from tlbench.reports.score_cube import ScoreCube
from tlbench.reports.statistics import intervals as statistics
from tlbench.reports.statistics.intervals import MIN_SEEDS
from tlbench.terms import WeightsSource

SELECTION = "Model selection: the last step of a fixed budget."

SIGNIFICANCE = "moderated t-tests; BH, FDR 5 %"
"""The test behind the marks of single pairs, classes and groups."""

SOFTWARE = ("torch", "tlbench")
"""The software whose version tells records apart: throughput is compared within one version of each."""

_MAX_NAMES = 8
"""The number of entries or reasons that a caption lists by name."""

_MAX_CHARACTERS = 200
"""The length at which a caption truncates a reason."""


def unit(cube: ScoreCube) -> str:
    """The metric with its unit, and a note where lower is better."""
    low = "" if cube.measure.higher_is_better else "; lower is better"
    return f"{cube.capitalized_title} in {cube.measure.unit}{low}"


def intervals(cube: ScoreCube, noun: str, *, deltas: bool = False) -> str:
    """The sentence on the margins of error of means and of pairs, or on why there are none.

    `noun` names the column of means; `deltas` is True where the cells of pairs are tested by moderated t.
    """
    seeds, pairs = len(cube.seeds), plural(len(cube.distinct().pairs), "pair")
    if seeds < MIN_SEEDS:
        means = "Single runs" if seeds == 1 else "Means over seeds"
        sentence = f"{means} ({plural(seeds, 'seed')}, {pairs}): no 95 % CI, which takes {MIN_SEEDS} seeds."
        return join_sentences(sentence, shared_draws(cube))
    per_pair = "moderated t" if deltas else "Student's t"
    return join_sentences(
        f"Means over {seeds} seeds ± margin of error of the 95 % CI ({per_pair} for a pair, Welch-Satterthwaite t for the "
        f"{noun} over {pairs}); {_covers()}",
        shared_draws(cube),
    )


def interval_of_means(cube: ScoreCube, noun: str) -> str:
    """As `intervals`, for a table without columns of single pairs."""
    if len(cube.seeds) < MIN_SEEDS:
        return intervals(cube, noun)
    return join_sentences(
        f"{noun.capitalize()} ± margin of error of the 95 % CI (Welch-Satterthwaite t); {_covers()}", shared_draws(cube)
    )


def shared_draws(cube: ScoreCube) -> str:
    """The sentence on pairs that were averaged because they share draws; empty where none do."""
    if not cube.shares_draws:
        return ""
    levels, pairs = plural(len(cube.pairs), "level"), plural(len(cube.distinct().pairs), "pair")
    return f"Levels of a sweep share draws and are averaged within each seed first: {levels} count as {pairs}."


def single_runs(cube: ScoreCube, *, tested: bool | None = None) -> str:
    """The sentence on entries whose seeds are copies of one run; empty where there are none.

    `tested` says in a table of deltas with marks whether their samples were tested; None: the table has no marks.
    """
    names = [str(entry) for entry in cube.entries[cube.single_M]]
    if not names:
        return ""
    sentence = f"Copies of one run in every seed, which count once and have no 95 % CI over seeds: {short_list(names)}"
    if tested is None:
        return f"{sentence}."
    return f"{sentence}; {'their * is from the exact McNemar test over the scored samples' if tested else 'no test'}."


def _covers() -> str:
    return "the CI covers other seeds on these pairs, not other domains."


def new_domains(cube: ScoreCube) -> str:
    """The sentence on the interval for new domains, or on why there is none."""
    domains = cube.distinct().domains
    removable = statistics.removable_domains(domains)
    if len(removable) < statistics.MIN_DOMAINS:
        count = plural(len(removable), "domain") if len(removable) else "no domain"
        return f"No 95 % CI for new domains: {count} can be left out, and the jackknife takes {statistics.MIN_DOMAINS}."
    if (removable.mean(axis=1) > 0.5).any():
        return "No 95 % CI for new domains: more than half of the pairs share one domain."
    shared = set.intersection(*map(set, domains))
    given = f", given {short_list(sorted(shared))}" if shared else ""
    return (
        f"New domains: margin of error of the 95 % CI for other domains of this kind{given} (delete-one-domain jackknife over "
        f"{len(removable)} domains)."
    )


def verdicts(cube: ScoreCube) -> str:
    """The sentences on the verdicts and on the counts of pairs in a table of deltas."""
    gain, loss = ("above", "below") if cube.measure.higher_is_better else ("below", "above")
    worse = f"Pairs worse: pairs with a delta {loss} zero"
    if len(cube.seeds) < MIN_SEEDS:
        return f"Without a 95 % CI there is no verdict. {worse}."
    return (
        f"Verdict: better or worse if the 95 % CI of the mean delta lies {gain} or {loss} zero; n.s.: no significant "
        "difference, it contains zero. "
        f"{worse} and, before the star, those that are significantly worse. *: significantly better or worse ({SIGNIFICANCE} "
        "over all cells of this table)."
    )


def sign_test_note(cube: ScoreCube) -> str:
    """A note where a sign test over seeds or over pairs can't reach the level 0.05, whatever the numbers."""
    alpha = 1 - statistics.CONFIDENCE
    counts = [("seed", len(cube.seeds)), ("pair", len(cube.distinct().pairs))]
    floors = [
        f"{smallest:g} over {plural(count, noun)}"
        for noun, count in counts
        if (smallest := statistics.smallest_sign_test_p(count)) > alpha
    ]
    return f"The smallest p-value of a sign test is {' and '.join(floors)}." if floors else ""


def incomplete_entries(cube: ScoreCube, measured_MP: npt.NDArray[np.bool_], absent: str) -> str:
    """The sentence that names the entries with missing cells and counts their pairs, as in "dann (4 of 12 pairs)".

    Args:
        cube: whose entries and pairs are the axes.
        measured_MP: whether each cell has a value.
        absent: what such entries lack in the table, such as "mean and rank".
    """
    count_M, pairs = measured_MP.sum(axis=1), len(cube.pairs)
    names = [f"{entry} ({count} of {pairs} pairs)" for entry, count in zip(cube.entries, count_M, strict=True) if count < pairs]
    noun = "incomplete entry" if len(names) == 1 else "incomplete entries"
    return f"{len(names)} {noun}, without {absent}: {short_list(names)}." if names else ""


def unfinished_cases(frame: pd.DataFrame) -> str:
    """The sentences that count failed and skipped cases, each reason once with its entries."""
    sentences = []
    for status in ("failed", "skipped"):
        cases = frame[frame["status"] == status]
        if cases.empty:
            continue
        reasons = cases.assign(reason=cases["reason"].fillna("no reason given"))
        entries = reasons.groupby("reason", sort=False)["entry"].unique()
        groups = [f"{_truncated(str(reason))} ({short_list(list(names))})" for reason, names in entries.items()]
        sentences.append(f"{len(cases)} of {plural(len(frame), 'case')} {status}: {short_list(groups, '; ')}.")
    return " ".join(sentences)


def mixed_inputs(frame: pd.DataFrame) -> str:
    """A warning where the records of an entry have different options, or those of a pair different data."""
    sentences = []
    for column, of in (("options", "entry"), ("data", "pair")):
        variants = frame.groupby(of, sort=False)[column].nunique()
        mixed = [str(name) for name in variants.index[variants > 1]]
        if mixed:
            sentences.append(f"Records with different {column} are mixed in {of} {short_list(mixed)}: run these again.")
    return " ".join(sentences)


def mixed_provenance(frame: pd.DataFrame) -> str:
    """The sentences that say where the finished records are of several software versions, machines, or states of the code."""
    done = frame[frame["status"] == "done"]
    sentences = []
    if len(versions := software_versions(done)) > 1:
        sentences.append(f"The records are of {len(versions)} software versions: {short_list(versions, '; ')}.")
    machines = done[["device", "cpu", "cores"]].astype(str).drop_duplicates()
    if len(machines) > 1:
        sentences.append(f"The records are from {len(machines)} machines: {short_list(sorted(set(machines['device'])))}.")
    dirty = done["dirty"].fillna(False).astype(bool)
    if dirty.any() and not dirty.all():
        entries = short_list(list(dict.fromkeys(done["entry"][dirty])))
        sentences.append(f"{dirty.sum()} of {plural(len(done), 'record')} are of uncommitted code: {entries}.")
    return " ".join(sentences)


def weights_sources(frame: pd.DataFrame) -> str:
    """The sentence on the pre-trained weights that the records state, each source once; empty where they state none."""
    stated = frame["weights_source"].dropna().unique()
    clauses = dict.fromkeys(WeightsSource.model_validate_json(text).text() for text in stated)
    return f"Pre-trained weights: {short_list(sorted(clauses), '; ')}." if clauses else ""


def software_versions(frame: pd.DataFrame) -> list[str]:
    """The software of some records in words, each version once: "torch 2.11.0, tlbench 0.1.0"."""
    versions = frame[list(SOFTWARE)].astype(str).drop_duplicates()
    return [
        ", ".join(f"{name} {number}" for name, number in zip(SOFTWARE, version, strict=True)) for version in versions.to_numpy()
    ]


def join_sentences(*sentences: str) -> str:
    """The sentences that are not empty, as one caption."""
    return " ".join(sentence for sentence in sentences if sentence)


def _truncated(text: str) -> str:
    text = " ".join(text.split()).rstrip(".")
    return text if len(text) <= _MAX_CHARACTERS else text[: _MAX_CHARACTERS - 1] + "…"


def short_list(names: Sequence[str], comma: str = ", ") -> str:
    """The first names of a list, and the number of the others."""
    more = len(names) - _MAX_NAMES
    return comma.join(names[:_MAX_NAMES]) + (f"{comma}and {more} more" if more > 0 else "")


def plural(count: int, noun: str) -> str:
    """A count with its noun, as in "1 pair" or "12 pairs"."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"
