"""What stands below a table: the question that its intervals answer, what they rest on, and what is missing."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pandas as pd

from tlbench.reports.frames import Cube
from tlbench.reports.statistics import SEEDS_NEEDED

SELECTION = "Selection rule: the last step of a fixed budget."

_SHOWN = 8
"""How many rows or reasons a caption lists by name."""

_LONGEST = 200
"""Characters of a reason that a caption shows."""


def intervals(cube: Cube, noun: str) -> str:
    """What the numbers after ± are, or why there are none. `noun` names the column of means."""
    seeds, pairs = len(cube.seeds), _plural(len(cube.pairs), "pair")
    if seeds == 1:
        return f"One seed, {pairs}: no interval."
    if seeds < SEEDS_NEEDED:
        return f"Means of {seeds} seeds, {pairs}: too few seeds for an interval, which takes {SEEDS_NEEDED}."
    return (
        f"Means of {seeds} seeds ± half of the 95 % interval (t over seeds; Welch-Satterthwaite over {pairs}), "
        f"which asks: would other seeds give this {noun} on these pairs? It does not speak of other domains."
    )


def verdicts(cube: Cube) -> str:
    """What the columns of a delta table mean."""
    hurt = "Pairs hurt: pairs with a delta below zero."
    if len(cube.seeds) < SEEDS_NEEDED:
        return f"No interval, so no verdict. {hurt}"
    said = "Helps, hurts: the interval of the mean delta lies above, below zero; undecided: it holds zero."
    return f"{said} {hurt} A star: the pair's own interval excludes zero."


def incomplete(cube: Cube, complete_RP: npt.NDArray[np.bool_], absent: str) -> str:
    """Which rows have blanks, and how many pairs they have, as in "dann (4 of 12 pairs)"."""
    whole_R, pairs = complete_RP.sum(axis=1), len(cube.pairs)
    of = zip(cube.rows, whole_R, strict=True)
    named = [f"{row} ({whole} of {pairs} pairs)" for row, whole in of if whole < pairs]
    if not named:
        return ""
    return f"{_plural(len(named), 'incomplete row')}, without {absent}: {_listed(named)}."


def ended(frame: pd.DataFrame) -> str:
    """How many cases failed or were skipped, for which reasons and in which rows; each reason once."""
    parts = []
    for status in ("failed", "skipped"):
        some = frame[frame["status"] == status]
        if some.empty:
            continue
        reasons = some.assign(why=some["why"].fillna("no reason given")).groupby("why", sort=False)["row"].unique()
        said = [f"{_short(str(why))} ({_listed(list(rows))})" for why, rows in reasons.items()]
        parts.append(f"{len(some)} of {_plural(len(frame), 'case')} {status}: {_listed(said, '; ')}.")
    return " ".join(parts)


def mixtures(frame: pd.DataFrame) -> str:
    """A warning where one row mixes options, or one pair mixes versions of its data."""
    parts = []
    for what, of in (("options", "row"), ("data", "pair")):
        kinds = frame.groupby(of, sort=False)[what].nunique()
        mixed = [str(name) for name in kinds.index[kinds > 1]]
        if mixed:
            parts.append(f"Not one and the same {what} in {of} {_listed(mixed)}: run these again before you compare.")
    return " ".join(parts)


def joined(*parts: str) -> str:
    """The parts that say something, as one caption."""
    return " ".join(part for part in parts if part)


def _short(text: str) -> str:
    text = " ".join(text.split()).rstrip(".")
    return text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…"


def _listed(names: Sequence[str], comma: str = ", ") -> str:
    more = len(names) - _SHOWN
    return comma.join(names[:_SHOWN]) + (f"{comma}and {more} more" if more > 0 else "")


def _plural(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"
