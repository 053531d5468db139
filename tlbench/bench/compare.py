"""Two saved benches -> which times got slower, and by how much."""

from __future__ import annotations

from dataclasses import dataclass

from tlbench.bench.saved_benches import Saved, Time

THRESHOLD = 0.05


@dataclass(frozen=True)
class Change:
    """One measurement in both files."""

    name: str
    old: Time
    new: Time
    threshold: float

    @property
    def ratio(self) -> float:
        """New median over old: above 1 is slower."""
        return self.new.median / self.old.median

    @property
    def verdict(self) -> str:
        """`slower` or `faster` where the medians differ by more than the threshold, else `same`.

        Where the quartiles are known and those of the two runs overlap, such a difference is `unclear`: the runs do not
        settle it.
        """
        if max(self.ratio, 1 / self.ratio) - 1 <= self.threshold:
            return "same"
        slower = self.ratio > 1
        first, then = (self.old, self.new) if slower else (self.new, self.old)
        if first.high is not None and then.low is not None and first.high >= then.low:
            return "unclear"
        return "slower" if slower else "faster"


@dataclass(frozen=True)
class Comparison:
    """The comparison of two saved benches."""

    changes: tuple[Change, ...]
    gone: tuple[str, ...]
    added: tuple[str, ...]
    unlike: tuple[str, ...]
    """Facts of machine and settings that differ; where there are any, the times say nothing about the code."""

    @property
    def slower(self) -> list[Change]:
        """Changes that are slower beyond the threshold, the worst first."""
        return sorted((c for c in self.changes if c.verdict == "slower"), key=lambda c: -c.ratio)


def compare(old: Saved, new: Saved, threshold: float = THRESHOLD) -> Comparison:
    """Compare the measurements that are in both files, in the order of the new one; name those that are in one alone."""
    return Comparison(
        changes=tuple(Change(name, old.times[name], new.times[name], threshold) for name in new.times if name in old.times),
        gone=tuple(name for name in old.times if name not in new.times),
        added=tuple(name for name in new.times if name not in old.times),
        unlike=tuple(
            f"{key}: {old.where.get(key)} before, {new.where.get(key)} now"
            for key in dict.fromkeys([*old.where, *new.where])
            if old.where.get(key) != new.where.get(key)
        ),
    )


def format_comparison(comparison: Comparison) -> str:
    """The comparison as text: one line per measurement, the slowest change first, then what could not be compared."""
    width = max((len(c.name) for c in comparison.changes), default=0)
    ordered = sorted(comparison.changes, key=lambda c: -c.ratio)
    lines = [
        f"{c.name:{width}}  {duration(c.old.median):>10} -> {duration(c.new.median):>10}  {c.ratio - 1:+7.1%}  {c.verdict}"
        for c in ordered
    ]
    lines += [f"{name}: no longer there" for name in comparison.gone]
    lines += [f"{name}: new" for name in comparison.added]
    lines += [f"not the same conditions: {fact}" for fact in comparison.unlike]
    slower = len(comparison.slower)
    counted = f"{slower} of {len(comparison.changes)} slower" if comparison.changes else "nothing is in both files"
    threshold = f" beyond {ordered[0].threshold:.0%}" if ordered else ""
    return "\n".join([*lines, counted + threshold])


def duration(seconds: float) -> str:
    """Seconds in the unit that fits."""
    for factor, unit in ((1, "s"), (1e3, "ms"), (1e6, "us")):
        if seconds * factor >= 1:
            return f"{seconds * factor:.3g} {unit}"
    return f"{seconds * 1e9:.3g} ns"
