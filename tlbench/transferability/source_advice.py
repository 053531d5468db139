"""Which source for each target of a suite: by the score that lost least on other data sets, if less than the trivial ones."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from tlbench import transferability
from tlbench.transferability.data_sets import data_set_of
from tlbench.transferability.samples import DomainSamples

if TYPE_CHECKING:
    from tlbench.suite import Suite

REGRETS: Mapping[str, Mapping[str, float]] = tomllib.loads(
    Path(__file__).with_name("source_regrets.toml").read_text(encoding="utf-8")
)
"""By suite, one of a data set, the mean regret of each score in points."""
UNLABELED = ("frechet", "mmd", "a_distance", "coral")
TRIVIAL = ("source_size", "source_accuracy", "random")
"""The scores that look at no sample of the target."""
EVIDENCE_LABELS = 5
"""The labelled samples a class with which the regret of `labeled_accuracy` was measured; with fewer it is not used."""
MIN_DATA_SETS = 3
"""The other data sets with regrets that advice takes."""


@dataclass(frozen=True)
class SourceAdvice:
    """Which source for each target, and why; without a score nothing is known."""

    score: str | None
    why: str
    sources: Mapping[str, str] = field(default_factory=dict)
    """The source for each target."""
    regret: float | None = None
    """What choosing by the score lost on average against the best source of other data sets, in points."""
    trivial: str | None = None
    """The trivial score with the least regret there."""
    regret_of_trivial: float | None = None
    record: Mapping[str, float] = field(default_factory=dict)
    """The mean regret of the score chosen for each data set from the others, beside the best trivial one and chance."""


def choose_score(suite: str, labels: int = 0) -> SourceAdvice:
    """The score with the least mean regret on other data sets, or none where a trivial one has as little.

    Args:
        suite: the suite; regrets of its data set do not count.
        labels: the labelled target samples of each class.
    """
    others = {name: regrets for name, regrets in REGRETS.items() if data_set_of(name) != data_set_of(suite)}
    if len(others) < MIN_DATA_SETS:
        return SourceAdvice(None, f"There are regrets of {len(others)} other data sets, and advice takes {MIN_DATA_SETS}.")
    score, trivial = _best(others, _allowed(labels)), _best(others, TRIVIAL)
    regret, regret_of_trivial = (float(np.mean([one[name] for one in others.values()])) for name in (score, trivial))
    if regret >= regret_of_trivial:
        return SourceAdvice(None, f"No score chooses better than {trivial} on {len(others)} other data sets.")
    return SourceAdvice(
        score,
        f"On {len(others)} other data sets {score} lost {regret:.1f} points to the best source, and {trivial} "
        f"{regret_of_trivial:.1f}.",
        regret=regret,
        trivial=trivial,
        regret_of_trivial=regret_of_trivial,
        record=_record(labels),
    )


def advise_sources(suite: Suite, root: Path | None, labels: int = 0) -> SourceAdvice:
    """The source for each target of a suite that has several, by the chosen score on the data.

    Args:
        suite: a suite of classification.
        root: the data root; None: no data are looked at, and the advice names a score alone.
        labels: the labelled target samples of each class.

    Raises:
        TlbenchError: a domain cannot be loaded, or is no classification.
    """
    if suite.protocol.task != "classification":
        return SourceAdvice(None, f"Scores of sources are of classifications, and suite {suite.name} is none.")
    sources_of: dict[str, list[str]] = {}
    for sources, target in suite.pairs:
        if len(sources) == 1:
            sources_of.setdefault(target, []).append(sources[0])
    several = {target: names for target, names in sources_of.items() if len(names) > 1}
    if not several:
        return SourceAdvice(None, f"No target of suite {suite.name} has two sources to choose from.")
    advice = choose_score(suite.name, labels)
    if advice.score is None or root is None:
        return advice
    samples = DomainSamples(suite, sorted({*several, *(name for names in several.values() for name in names)}), root)
    options = {"labels": labels} if advice.score == "labeled_accuracy" else {}
    best: dict[str, str] = {}
    for target, names in several.items():
        values = []
        for name in names:
            (source,), of_target = samples.of_pair([name], target)
            arrays = {"source_features": source.features, "target_features": of_target.features}
            if options:
                arrays |= {"source_labels": source.labels, "target_labels": of_target.labels}
            values.append(transferability.score(advice.score, options=options, **arrays))
        best[target] = names[int(np.argmax(values))]
    return SourceAdvice(**{**vars(advice), "sources": best})


def _allowed(labels: int) -> tuple[str, ...]:
    """The scores that so many labels allow."""
    return (*UNLABELED, "labeled_accuracy") if labels >= EVIDENCE_LABELS else UNLABELED


def _best(suites: Mapping[str, Mapping[str, float]], names: tuple[str, ...]) -> str:
    """The score with the least mean regret; of several the first."""
    return min(names, key=lambda name: float(np.mean([regrets[name] for regrets in suites.values()])))


def _record(labels: int) -> dict[str, float]:
    """The mean regret on each suite of what the others choose."""
    regrets: dict[str, list[float]] = {"score": [], "best_trivial": [], "random": []}
    for suite, own in REGRETS.items():
        others = {name: of for name, of in REGRETS.items() if name != suite}
        regrets["score"].append(own[_best(others, _allowed(labels))])
        regrets["best_trivial"].append(own[_best(others, TRIVIAL)])
        regrets["random"].append(own["random"])
    return {name: float(np.mean(values)) for name, values in regrets.items()}
