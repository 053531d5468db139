"""Unsupervised transfer of a suite as text, Markdown or JSON."""

from __future__ import annotations

from typing import Any

import numpy as np
from tabulate import tabulate

from tlbench.escaping import escape_control
from tlbench.transferability.clustering import MAX_ITERATIONS, METRICS, SEEDS, STARTS, VARIANTS, Clustered
from tlbench.transferability.rendering import finite_values, with_margin

TITLES = {"nmi": "NMI", "ari": "ARI", "accuracy": "accuracy"}


def render(clustered: Clustered, title: str, format: str = "text") -> str:
    """The table, the accuracy of each pair, and a caption; the format is text or markdown."""
    style = "pipe" if format == "markdown" else "simple"
    first = "features" if clustered.reference is not None else "backbone"
    columns = {
        TITLES[metric]: [with_margin(*one, 1) for one in zip(*clustered.means(metric), strict=True)] for metric in METRICS
    }
    if clustered.reference is not None:
        of_seeds, of_domains = clustered.deltas("accuracy")
        texts = [with_margin(*one, 1, signed=True) for one in zip(*of_seeds, strict=True)]
        others = ["" if np.isnan(margin) else f"± {margin:.1f}" for margin in of_domains.margin]
        is_other = [line != clustered.reference for line in clustered.lines]
        columns[f"accuracy - {clustered.reference}"] = [
            text if shown else "" for text, shown in zip(texts, is_other, strict=True)
        ]
        columns["new domains"] = [text if shown else "" for text, shown in zip(others, is_other, strict=True)]
    lines = [[escape_control(name), *values] for name, *values in zip(clustered.lines, *columns.values(), strict=True)]
    accuracies = clustered.values["accuracy"].mean(axis=-1)
    of_pairs = [
        [escape_control(pair), *(f"{value:.1f}" for value in values)]
        for pair, values in zip(clustered.pairs, accuracies.T.tolist(), strict=True)
    ]
    shown = (
        ([first, *columns], lines),
        (["pair" if clustered.reference else "target", *map(escape_control, clustered.lines)], of_pairs),
    )
    tables = [
        tabulate(cells, header, tablefmt=style, disable_numparse=True, colalign=("left", *["right"] * (len(header) - 1)))
        for header, cells in shown
    ]
    return "\n\n".join([escape_control(title), *tables, _caption(clustered)]) + "\n"


def as_json(clustered: Clustered, suite: str) -> dict[str, Any]:
    """The scores of each line, pair and seed in per cent, and what the table shows of them; what is missing is null."""
    lines: dict[str, dict[str, Any]] = {name: {} for name in clustered.lines}
    for metric in METRICS:
        for name, mean, margin in zip(clustered.lines, *clustered.means(metric), strict=True):
            lines[name][metric] = {"mean": float(mean), "margin": float(margin)}
    if clustered.reference is not None:
        of_seeds, of_domains = clustered.deltas("accuracy")
        for name, delta, margin, other in zip(clustered.lines, *of_seeds, of_domains.margin, strict=True):
            lines[name]["delta"] = {"mean": float(delta), "margin": float(margin), "new_domains_margin": float(other)}
    content = {
        "suite": suite,
        "reference": clustered.reference,
        "pairs": list(clustered.pairs),
        "scores": {metric: values.tolist() for metric, values in clustered.values.items()},
        "lines": lines,
        "unconverged": clustered.stopped,
    }
    return dict(finite_values(content))


def _caption(clustered: Clustered) -> str:
    variants = "; ".join(f"{name}: {what}" for name, what in VARIANTS.items())
    sentences = [
        f"k-means with as many clusters as classes, best of {STARTS} starts, {SEEDS} seeds; labels of source and target only "
        "score the clusters, in per cent. Accuracy: under the best one-to-one assignment of clusters to classes.",
        "The margins are of 95 % CIs for other starts on the same samples.",
    ]
    if clustered.reference is not None:
        sentences.append(f"New domains: margin of the delta for other domains of this kind. Features: {variants}.")
    if clustered.stopped:
        sentences.append(f"{clustered.stopped} runs of k-means did not converge in {MAX_ITERATIONS} iterations.")
    return " ".join(sentences)
