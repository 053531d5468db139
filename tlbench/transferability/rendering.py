"""The evaluation of the scores of a suite as text, Markdown or JSON."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from tabulate import tabulate

from tlbench.escaping import escape_control
from tlbench.reports.statistics.intervals import MIN_DOMAINS
from tlbench.transferability.candidates import Scored

HEADER = ("score", "reads target labels", "regret", "worst", "weighted tau", "best chosen", "gain on trivial")


def render(scored: Scored, title: str, format: str = "text") -> str:
    """The table of an evaluation, what the candidates reach, and a caption; the format is text or markdown."""
    style = "pipe" if format == "markdown" else "simple"
    evaluation = scored.evaluation()
    lines = [
        [
            str(score),
            "yes" if scored.reads_target_labels(str(score)) else "no",
            with_margin(line["regret"], line["regret_margin"], 2),
            f"{line['worst_regret']:.2f}",
            with_margin(line["weighted_tau"], line["weighted_tau_margin"], 2),
            f"{line['best_chosen']:.3g} / {line['targets']:.0f}",
            with_margin(line["gain_on_trivial"], line["gain_on_trivial_margin"], 2, signed=True),
        ]
        for score, line in evaluation.to_dict("index").items()
    ]
    truth = [
        [escape_control(target), *("" if math.isnan(value) else f"{value:.1f}" for value in values)]
        for target, values in zip(scored.targets, scored.truth_TK.tolist(), strict=True)
    ]
    caption = (
        f"Truth: {escape_control(scored.truth)}, in per cent. Regret: what the candidate with the highest score falls short of "
        "the best one, in points, mean over targets and the worst. Gain on trivial: less regret than the best of the scores "
        f"that look at no sample of the target. {_margins(scored)}"
    )
    width = len(HEADER) - 2
    blocks = [
        escape_control(title),
        tabulate(lines, HEADER, tablefmt=style, disable_numparse=True, colalign=("left", "left", *["right"] * width)),
        tabulate(
            truth,
            ["target", *map(escape_control, scored.candidates)],
            tablefmt=style,
            disable_numparse=True,
            colalign=("left", *["right"] * len(scored.candidates)),
        ),
        caption,
    ]
    return "\n\n".join(blocks) + "\n"


def _margins(scored: Scored) -> str:
    """What the margins are, or why there are none."""
    if not set(scored.targets) & set(scored.candidates):
        return "The margins are of 95 % CIs over targets of this kind."
    if np.isfinite(scored.evaluation()["regret_margin"]).any():
        return (
            "The margins are of 95 % CIs for other domains of this kind (jackknife: each domain is left out as a target and as "
            "a source at once)."
        )
    return f"There is no 95 % CI: the jackknife over domains takes {MIN_DOMAINS}, and two sources of each target that are left."


def as_json(scored: Scored, suite: str) -> dict[str, Any]:
    """The same numbers unrounded; what is missing is null."""
    return {
        "suite": suite,
        "truth": scored.truth,
        "targets": list(scored.targets),
        "candidates": list(scored.candidates),
        "accuracies": finite_values(scored.truth_TK.tolist()),
        "scores": {name: finite_values(values.tolist()) for name, values in scored.scores.items()},
        "evaluation": {
            str(name): {"reads_target_labels": scored.reads_target_labels(str(name)), **finite_values(line)}
            for name, line in scored.evaluation().to_dict("index").items()
        },
    }


def with_margin(value: float, margin: float, decimals: int, *, signed: bool = False) -> str:
    """A number with its margin, as in "1.20 ± 0.30".

    Args:
        value: the number.
        margin: its margin of error; NaN: none is shown.
        decimals: the decimals of both.
        signed: whether a positive number has a plus.
    """
    number = f"{value:+.{decimals}f}" if signed else f"{value:.{decimals}f}"
    return number if math.isnan(margin) else f"{number} ± {margin:.{decimals}f}"


def finite_values(value: Any) -> Any:
    """Nested values with None in the place of NaN."""
    if isinstance(value, dict):
        return {key: finite_values(one) for key, one in value.items()}
    if isinstance(value, list):
        return [finite_values(one) for one in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
