"""All advice on a suite as lines of text and as JSON."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from tlbench.transferability.backbone_advice import BackboneAdvice
from tlbench.transferability.recommendation import BASELINE, Advice, TrackRecord
from tlbench.transferability.source_advice import SourceAdvice

LIMITS = "The evidence is of classifications of any kind of data; no accuracy on yours follows from it."


@dataclass(frozen=True)
class Recommendation:
    """What to do on a suite: method, source and backbone, with the record of such advice on the method."""

    suite: str
    labels: int
    """The labelled target samples of each class that the advice counts on."""
    method: Advice
    record: TrackRecord | None
    source: SourceAdvice
    backbone: BackboneAdvice

    def sections(self) -> list[tuple[str, list[str]]]:
        """The headings and sentences of the advice."""
        return [
            ("Method", [_headline(self.method), *_method_lines(self.method)]),
            ("Record", _record_lines(self.record)),
            ("Source", _source_lines(self.source)),
            ("Backbone", [self.backbone.backbone or "cannot tell", self.backbone.why]),
            ("Limits", [LIMITS]),
        ]

    def as_json(self) -> Mapping[str, Any]:
        """The same as a mapping; what is not known is null."""
        return {
            "suite": self.suite,
            "labels": self.labels,
            "advice": asdict(self.method),
            "record": None if self.record is None else asdict(self.record),
            "source": {**vars(self.source), "sources": dict(self.source.sources), "record": dict(self.source.record)},
            "backbone": {**vars(self.backbone), "levels": dict(self.backbone.levels)},
        }


def text(recommendation: Recommendation) -> str:
    """The advice and its record as lines of text."""
    labels = f" with {recommendation.labels} labels a class" if recommendation.labels else ""
    lines = [f"{recommendation.suite}{labels}: {_headline(recommendation.method)}"]
    for heading, sentences in recommendation.sections():
        shown = sentences[1:] if heading == "Method" else sentences
        lines += [f"{heading.lower()}: {sentence}" for sentence in shown]
    return "\n".join(lines) + "\n"


def _headline(advice: Advice) -> str:
    """What to do in a few words."""
    return {None: "cannot tell", BASELINE: "do not adapt (source_only)"}.get(advice.method, f"adapt with {advice.method}")


def _method_lines(advice: Advice) -> list[str]:
    """Why, and what to expect."""
    if advice.gain is None:
        return [advice.why]
    return [
        advice.why,
        f"delta of the best method to {BASELINE}: {advice.gain:+.1f} points on average, {advice.low:+.1f} to "
        f"{advice.high:+.1f} on another data set (80 %); it hurt {100 * (advice.hurt or 0):.0f} % of pairs; "
        f"{advice.train_seconds:.2g} s a training.",
    ]


def _record_lines(record: TrackRecord | None) -> list[str]:
    """How often the advice was right, beside the trivial choices."""
    if record is None:
        return ["no suite has enough other data sets to be advised from."]
    name, gain = record.best_trivial
    return [
        f"each suite from other data sets: right on {record.right} of {record.suites} suites; mean gain over "
        f"{record.data_sets} data sets {record.gain:+.2f} points, "
        f"always {BASELINE} +0.00, always the best method on average {record.gain_of_always_best:+.2f}, a method by chance "
        f"{record.gain_of_random:+.2f}, the best of each suite {record.gain_of_oracle:+.2f}.",
        f"best trivial choice: {name}, {gain:+.2f}; the advice {'gains more' if record.gain > gain else 'does not gain more'}.",
    ]


def _source_lines(advice: SourceAdvice) -> list[str]:
    """Which source for which target, why, and the record of that."""
    if advice.score is None:
        return [f"cannot tell. {advice.why}"]
    chosen = ", ".join(f"{source} for {target}" for target, source in advice.sources.items())
    lines = [chosen or f"choose by {advice.score}; with --data it is computed on your data.", advice.why]
    record = advice.record
    return [
        *lines,
        f"each data set from the others: regret {record['score']:.1f} points, best trivial score {record['best_trivial']:.1f}, "
        f"chance {record['random']:.1f}.",
    ]
