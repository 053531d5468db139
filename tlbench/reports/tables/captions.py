"""What stands below a table: the question that its intervals answer, what they rest on, and what is missing."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pandas as pd

from tlbench.reports.score_cube import Cube
from tlbench.reports.statistics import intervals as statistics
from tlbench.reports.statistics.intervals import SEEDS_NEEDED

SELECTION = "Selection rule: the last step of a fixed budget."

_SHOWN = 8
"""How many rows or reasons a caption lists by name."""

_LONGEST = 200
"""Characters of a reason that a caption shows."""


def unit(cube: Cube) -> str:
    """What is measured, and which way is good where that is not up."""
    low = "" if cube.measure.higher_is_better else "; lower is better"
    return f"{cube.titled} in {cube.measure.unit}{low}"


def intervals(cube: Cube, noun: str, *, deltas: bool = False) -> str:
    """What the numbers after ± are, or why there are none. `noun` names the column of means."""
    seeds, pairs = len(cube.seeds), plural(len(cube.pairs), "pair")
    if seeds == 1:
        return f"One seed, {pairs}: no interval."
    if seeds < SEEDS_NEEDED:
        return f"Means of {seeds} seeds, {pairs}: too few seeds for an interval, which takes {SEEDS_NEEDED}."
    per_pair = "moderated t over the seeds of a pair" if deltas else "t over the seeds of a pair"
    return (
        f"Means of {seeds} seeds ± half of the 95 % interval ({per_pair}; Welch-Satterthwaite over {pairs}), "
        f"{_asks(noun)} It does not speak of other domains."
    )


def interval_of_means(cube: Cube, noun: str) -> str:
    """As `intervals`, for a table that has no column of a single pair."""
    if len(cube.seeds) < SEEDS_NEEDED:
        return intervals(cube, noun)
    return f"{noun.capitalize()} ± half of the 95 % interval (Welch-Satterthwaite), {_asks(noun)}"


def _asks(noun: str) -> str:
    return f"which asks: would other seeds give this {noun} on these pairs?"


def new_domains(cube: Cube) -> str:
    """What the interval for new domains asks, or why it is not there."""
    count = len(statistics.deletable(cube.domains))
    if count < statistics.DOMAINS_NEEDED:
        said = f"{plural(count, 'domain')} can be left out" if count else "no domain can be left out"
        return f"For new domains: not estimable ({said} in turn, it takes {statistics.DOMAINS_NEEDED})."
    if (statistics.deletable(cube.domains).mean(axis=1) > 0.5).any():
        return "For new domains: not estimable (more than half of the pairs share one domain)."
    held = set.intersection(*map(set, cube.domains))
    given = f" and {listed(sorted(held))}" if held else ""
    return f"New domains: would other domains of this kind{given} give it too? Jackknife over {count} domains left out in turn."


def verdicts(cube: Cube) -> str:
    """What the columns of a delta table mean."""
    side = "below" if cube.measure.higher_is_better else "above"
    hurt = f"Pairs hurt: pairs with a delta {side} zero"
    if len(cube.seeds) < SEEDS_NEEDED:
        return f"No interval, so no verdict. {hurt}."
    gain, loss = ("above", "below") if cube.measure.higher_is_better else ("below", "above")
    return (
        f"Helps, hurts: the interval of the mean delta lies {gain}, {loss} zero; undecided: it holds zero. {hurt}, and of them "
        f"those that surely do. A star: the pair surely helps or hurts, by {MODERATED} over all cells of this table."
    )


MODERATED = "moderated t with a false discovery rate of 5 %"
"""How single pairs, classes and groups are marked, in words."""


def reach(cube: Cube) -> str:
    """A note where no test over seeds or over pairs can reach the level 0.05, whatever the numbers."""
    blocks = (("seed", len(cube.seeds)), ("pair", len(cube.pairs)))
    short = [(noun, count) for noun, count in blocks if statistics.sign_test_floor(count) > 1 - statistics.CONFIDENCE]
    if not short:
        return ""
    said = [f"over {plural(count, noun)} its p is never below {statistics.sign_test_floor(count):g}" for noun, count in short]
    return f"Too few for a sign test: {' and '.join(said)}."


def incomplete(cube: Cube, complete_RP: npt.NDArray[np.bool_], absent: str) -> str:
    """Which rows have blanks, and how many pairs they have, as in "dann (4 of 12 pairs)"."""
    whole_R, pairs = complete_RP.sum(axis=1), len(cube.pairs)
    of = zip(cube.entries, whole_R, strict=True)
    named = [f"{row} ({whole} of {pairs} pairs)" for row, whole in of if whole < pairs]
    if not named:
        return ""
    return f"{plural(len(named), 'incomplete row')}, without {absent}: {listed(named)}."


def ended(frame: pd.DataFrame) -> str:
    """How many cases failed or were skipped, for which reasons and in which rows; each reason once."""
    parts = []
    for status in ("failed", "skipped"):
        some = frame[frame["status"] == status]
        if some.empty:
            continue
        reasons = some.assign(reason=some["reason"].fillna("no reason given")).groupby("reason", sort=False)["entry"].unique()
        said = [f"{_short(str(why))} ({listed(list(rows))})" for why, rows in reasons.items()]
        parts.append(f"{len(some)} of {plural(len(frame), 'case')} {status}: {listed(said, '; ')}.")
    return " ".join(parts)


def mixtures(frame: pd.DataFrame) -> str:
    """A warning where one row mixes options, or one pair mixes versions of its data."""
    parts = []
    for what, of in (("options", "entry"), ("data", "pair")):
        kinds = frame.groupby(of, sort=False)[what].nunique()
        mixed = [str(name) for name in kinds.index[kinds > 1]]
        if mixed:
            parts.append(f"Not one and the same {what} in {of} {listed(mixed)}: run these again before you compare.")
    return " ".join(parts)


def joined(*parts: str) -> str:
    """The parts that say something, as one caption."""
    return " ".join(part for part in parts if part)


def _short(text: str) -> str:
    text = " ".join(text.split()).rstrip(".")
    return text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…"


def listed(names: Sequence[str], comma: str = ", ") -> str:
    """Names in a row, the first few of many."""
    more = len(names) - _SHOWN
    return comma.join(names[:_SHOWN]) + (f"{comma}and {more} more" if more > 0 else "")


def plural(count: int, noun: str) -> str:
    """As in "1 pair", "12 pairs"."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"
