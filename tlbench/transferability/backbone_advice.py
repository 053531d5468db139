"""Which backbone: those of the records of all suites on the same pairs of domains, compared without adaptation."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from statistics import mean

from tlbench.terms import Record
from tlbench.transferability.recommendation import BASELINE

MIN_PAIRS = 2
"""The pairs that two backbones must have in common."""


@dataclass(frozen=True)
class BackboneAdvice:
    """Which backbone, and why; without one nothing is known."""

    backbone: str | None
    why: str
    levels: Mapping[str, float] = field(default_factory=dict)
    """The mean accuracy of source_only in per cent on the common pairs, by backbone and suite, best first."""
    pairs: int = 0
    """The number of common pairs."""


def advise_backbone(records: Iterable[Record], suite: str, pairs: Collection[str]) -> BackboneAdvice:
    """The backbone with the highest accuracy of source_only on the pairs of a suite that all compared suites have.

    Pairs are the same where the names of their domains are, so that suites which read the same domains otherwise (as pixels, by
    another network) are compared.

    Args:
        records: records of several suites.
        suite: the name of the suite.
        pairs: its pairs.
    """
    scores: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    for record in records:
        accuracy = record.scores.target_accuracy
        if (
            record.status == "done"
            and record.method == BASELINE
            and record.backbone
            and accuracy is not None
            and record.pair in pairs
        ):
            stated = record.weights_source.name if record.weights_source is not None else ""
            scores[f"{record.backbone}{f', {stated}' if stated else ''} ({record.suite})"][record.pair].append(100 * accuracy)
    compared = {name: of for name, of in scores.items() if len(of) >= MIN_PAIRS}
    common = set.intersection(*(set(of) for of in compared.values())) if compared else set()
    if len(compared) < 2 or len(common) < MIN_PAIRS:
        return BackboneAdvice(
            None,
            f"The records have no two backbones on the pairs of {suite}. `tlbench transferability {suite} --backbones FILE` "
            "compares some on its data.",
        )
    levels = {name: mean(mean(of[pair]) for pair in sorted(common)) for name, of in compared.items()}
    ordered = dict(sorted(levels.items(), key=lambda item: -item[1]))
    best, second = list(ordered)[:2]
    why = (
        f"On {len(common)} pairs {BASELINE} reaches {ordered[best]:.1f} % with it, and {ordered[second]:.1f} % with the next "
        f"of {len(ordered)}."
    )
    return BackboneAdvice(best, why, ordered, len(common))
