"""Features of source and target samples in a plane, one panel a method: by t-SNE or PCA of both domains together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import matplotlib as mpl
import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from tlbench.plots import style

Projection = Literal["tsne", "pca"]
NAMES: dict[Projection, str] = {"tsne": "t-SNE", "pca": "PCA"}
CLASS_COLOURS = mpl.colormaps["tab10"].resampled(10)
MOST_CLASSES = 10
"""With more classes than colours, only the domains are coloured."""
PCA_COLUMNS = 50
"""t-SNE starts from so many principal components at most, as its authors advise."""
PERPLEXITY = 30.0
SEED = 0
Array = npt.NDArray[Any]


@dataclass(frozen=True)
class FeatureView:
    """What one method makes of source and target samples."""

    title: str
    source_ND: Array
    target_MD: Array


def feature_maps(
    views: Sequence[FeatureView],
    labels: tuple[Array, Array] | None,
    classes: Sequence[str],
    projection: Projection = "tsne",
    heading: str = "",
) -> Figure:
    """A panel for each view, coloured by domain above and by class below.

    Args:
        views: of the same samples.
        labels: class indices (N,) of the source and (M,) of the target samples; None: there are no classes.
        classes: the names of the classes.
        projection: t-SNE or PCA, fitted on the samples of both domains together; each panel has axes of its own.
        heading: the title of the figure.
    """
    by_class = labels is not None and 1 < len(classes) <= MOST_CLASSES
    lines = 2 if by_class else 1
    figure = Figure(figsize=(2.5 * len(views) + 1.3, 2.5 * lines + 0.5))
    panels = figure.subplots(lines, len(views), squeeze=False)
    figure.subplots_adjust(
        left=0.02, right=1 - 1.25 / figure.get_figwidth(), top=1 - 0.55 / figure.get_figheight(), bottom=0.03
    )
    figure.subplots_adjust(wspace=0.08, hspace=0.08)
    figure.text(0.02, 1 - 0.08 / figure.get_figheight(), heading, va="top", fontsize=9.5, fontweight="bold")
    for column, view in enumerate(views):
        source_N2, target_M2 = project(view.source_ND, view.target_MD, projection)
        panels[0][column].set_title(style.display_name(view.title, 44), fontsize=8)
        _scatter(panels[0][column], source_N2, style.COLOURS[0], "o")
        _scatter(panels[0][column], target_M2, style.COLOURS[1], "^")
        if by_class and labels is not None:
            for number in range(len(classes)):
                _scatter(panels[1][column], source_N2[labels[0] == number], to_hex(CLASS_COLOURS(number)), "o")
                _scatter(panels[1][column], target_M2[labels[1] == number], to_hex(CLASS_COLOURS(number)), "^")
    handles = [_handle("source", style.COLOURS[0], "o"), _handle("target", style.COLOURS[1], "^")]
    panels[0][-1].legend(handles=handles, loc="upper left", bbox_to_anchor=(1.02, 1.0), title="domain")
    if by_class:
        names = [style.display_name(name, 14) for name in classes]
        handles = [_handle(name, to_hex(CLASS_COLOURS(number)), "s") for number, name in enumerate(names)]
        panels[1][-1].legend(handles=handles, loc="upper left", bbox_to_anchor=(1.02, 1.0), title="class")
    return figure


def project(source_ND: Array, target_MD: Array, projection: Projection) -> tuple[Array, Array]:
    """Features of both domains in a plane (N, 2) and (M, 2), by one projection that is fitted on all of them."""
    from sklearn.decomposition import PCA
    from sklearn.manifold import TSNE

    features = np.concatenate([source_ND, target_MD]).astype(np.float64)
    if projection == "pca" or features.shape[1] > PCA_COLUMNS:
        count = min(2 if projection == "pca" else PCA_COLUMNS, *features.shape)
        features = PCA(count, svd_solver="full").fit_transform(features)
    if projection == "tsne":
        perplexity = min(PERPLEXITY, (len(features) - 1) / 3)
        features = TSNE(2, perplexity=perplexity, init="pca", random_state=SEED).fit_transform(features)
    if features.shape[1] < 2:
        features = np.pad(features, ((0, 0), (0, 2 - features.shape[1])))
    return features[: len(source_ND)], features[len(source_ND) :]


def _scatter(axes: Axes, points_N2: Array, color: str, marker: str) -> None:
    axes.scatter(points_N2[:, 0], points_N2[:, 1], s=7, c=color, marker=marker, alpha=0.55, linewidths=0)
    axes.set_xticks([])
    axes.set_yticks([])
    axes.spines[:].set_visible(True)


def _handle(label: str, color: str, marker: str) -> Line2D:
    return Line2D([], [], label=label, color=color, marker=marker, linestyle="none", markersize=4)
