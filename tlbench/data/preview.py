"""What a domain holds, for a reader: a summary in words, and a contact sheet of pictures."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from tlbench.data import divergence, shifts
from tlbench.data.declaration import Declaration
from tlbench.data.fitted_features import fit_features
from tlbench.errors import TlbenchError
from tlbench.terms import IGNORED, Domain

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MAX_CLASSES, MAX_DOMAINS, IMAGES_PER_LINE = 12, 8, 12
"""Classes and domains that a sheet shows, and images in a line of it, which several domains share."""
MAX_POINTS = 600
"""Samples of a domain in a scatter plot."""
ALL_SAMPLES = "all samples"
"""The label of a regression's only line of examples, where a classification has one line per class."""


def summary_text(declaration: Declaration, domain: Domain) -> str:
    """A domain in a few lines: samples, shape, classes with counts, licence and origin, fingerprint."""
    x, y = domain.samples.x, domain.samples.y
    kind = {4: "images", 3: "series"}.get(x.ndim, "vectors")
    lines = [
        ("samples", f"{len(y):,}" + (f", and {len(domain.test):,} test samples" if domain.test is not None else "")),
        ("shape", f"{' x '.join(map(str, x.shape[1:]))} ({kind}, {str(x.dtype).removeprefix('torch.')})"),
        _label_line(domain),
        ("licence", declaration.licence or "not stated"),
        ("citation", declaration.citation or "not stated"),
        ("source", declaration.source or "not stated"),
        ("fingerprint", domain.fingerprint),
    ]
    if (group := domain.samples.group) is not None:
        sizes = np.bincount(group.numpy(), minlength=len(domain.groups))
        lines.insert(3, ("groups", f"{len(sizes)}, of {sizes.min():,} to {sizes.max():,} samples"))
    if domain.unfitted is not None:
        lines.insert(2, ("features", "fitted on the source of each pair; shown as fitted on the domain's own samples"))
    lines += [("read", text) for text in domain.reading]
    lines += [("note", note) for note in domain.notes]
    return "\n".join([domain.name, *(f"  {name:12} {value}" for name, value in lines)])


def _label_line(domain: Domain) -> tuple[str, str]:
    """What the labels are, and how many: tasks, targets or classes."""
    if domain.tasks:
        counts = domain.samples.y.isfinite().sum(dim=0).tolist()
        kinds = [f"{len(task.classes)} classes" if task.classes else "regression" for task in domain.tasks]
        texts = [f"{task.name} ({kind}, {n:,} labels)" for task, kind, n in zip(domain.tasks, kinds, counts, strict=True)]
        return "tasks", f"{len(texts)}: " + ", ".join(texts[:8]) + (f", and {len(texts) - 8} more" if len(texts) > 8 else "")
    return ("targets", _target_statistics(domain)) if domain.targets else ("classes", _class_counts(domain))


def _labels(domain: Domain) -> Any:
    """The class indices (N,) of samples, or (M,) of those positions that have a label."""
    y = domain.samples.y.numpy()
    return y[y != IGNORED] if domain.position_task else y


def _class_counts(domain: Domain) -> str:
    counts = np.bincount(_labels(domain), minlength=len(domain.classes))
    texts = [f"{name} {count:,}" for name, count in zip(domain.classes, counts, strict=True)]
    return f"{len(texts)}: " + ", ".join(texts[:20]) + (f", and {len(texts) - 20} more" if len(texts) > 20 else "")


def _target_statistics(domain: Domain) -> str:
    """Mean, standard deviation and range of each target of a regression."""
    y_NK = domain.samples.y.double().numpy()
    texts = [
        f"{name} {y.mean():.4g} ± {y.std():.4g} ({y.min():.4g} to {y.max():.4g})"
        for name, y in zip(domain.targets[:8], y_NK.T, strict=False)
    ]
    return f"{len(domain.targets)}: " + ", ".join(texts)


def contact_sheet(domains: Sequence[Domain], path: Path, title: str = "") -> None:
    """Write a PNG of domains of one kind: examples of each class for images and series, summaries for vectors.

    Raises:
        TlbenchError: the file can't be written.
    """
    from matplotlib.figure import Figure

    count, domains = len(domains), _fit_for_display(domains[:MAX_DOMAINS])
    names = list(dict.fromkeys(name for domain in domains for name in domain.classes))[:MAX_CLASSES] or [ALL_SAMPLES]
    figure = Figure(layout="constrained", dpi=110)
    if title:
        figure.suptitle(title + (f" ({MAX_DOMAINS} of {count} domains)" if count > MAX_DOMAINS else ""))
    draw = {4: _draw_images, 3: _draw_series}.get(domains[0].samples.x.ndim, _draw_vectors)
    draw(figure, domains, names)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(path)
    except OSError as error:
        raise TlbenchError(f"{path} can't be written ({error}). Name another folder by --out.") from error


def _fit_for_display(domains: Sequence[Domain]) -> Sequence[Domain]:
    """Domains with unfitted features as fitted on the first one with the same columns; other domains unchanged."""
    displayed: list[Domain] = []
    for domain in domains:
        for source in (other for other in domains if other.unfitted is not None and domain.unfitted is not None):
            with contextlib.suppress(TlbenchError):  # the columns differ
                domain = fit_features([source], domain)[1]
                break
        displayed.append(domain)
    return displayed


def _examples(domain: Domain, name: str, count: int) -> Any:
    """Up to `count` random samples of a class, which are the same each time."""
    if name not in (*domain.classes, ALL_SAMPLES):
        return []
    indices = np.arange(len(domain.samples))
    if name in domain.classes:
        has_class = domain.samples.y.numpy() == domain.classes.index(name)
        indices = np.flatnonzero(has_class.reshape(len(indices), -1).any(axis=1))
    selected = np.sort(shifts.generator("sheet", 0).permutation(indices)[:count])
    return domain.samples.x.numpy()[selected]


def _draw_images(figure: Figure, domains: Sequence[Domain], names: Sequence[str]) -> None:
    """A line for each class, a block of columns for each domain."""
    columns = max(2, IMAGES_PER_LINE // len(domains))
    figure.set_size_inches(1.4 + 0.72 * columns * len(domains), 0.8 + 0.72 * len(names))
    blocks = figure.subplots(1, len(domains), squeeze=False)[0]
    side = max(max(domain.samples.x.shape[2:]) for domain in domains)
    cell = min(side, 96) + 2
    for axes, domain in zip(blocks, domains, strict=True):
        board = np.ones((cell * len(names), cell * columns, 3))
        for line, name in enumerate(names):
            for column, image in enumerate(_examples(domain, name, columns)):
                top, left = line * cell + 1, column * cell + 1
                board[top : top + cell - 2, left : left + cell - 2] = _to_rgb(image, cell - 2, domain)
        axes.imshow(board, interpolation="nearest", aspect="equal")
        axes.set_title(domain.name, fontsize=10)
        axes.set_xticks([])
        axes.set_yticks([])
        for edge in axes.spines.values():
            edge.set_visible(False)
    blocks[0].set_yticks([cell * (line + 0.5) for line in range(len(names))], names, fontsize=9)
    blocks[0].tick_params(length=0)


def _to_rgb(image: Any, size: int, domain: Domain) -> Any:
    """An image (channels, height, width) as (size, size, 3) of values in [0, 1], resampled by the nearest pixel."""
    channels, height, width = image.shape
    y_indices, x_indices = (np.arange(size) * side // size for side in (height, width))
    image = image[:, y_indices][:, :, x_indices].astype(np.float64)
    if domain.samples.x.numpy().dtype == np.uint8:
        image = image / 255
    else:
        low, high = float(image.min()), float(image.max())
        image = (image - low) / ((high - low) or 1.0)
    image = image[:3] if channels >= 3 else image[:1].repeat(3, axis=0)
    return image.transpose(1, 2, 0)


def _draw_series(figure: Figure, domains: Sequence[Domain], names: Sequence[str]) -> None:
    """A line of panels for each class, a column for each domain: the first three channels of one example."""
    figure.set_size_inches(1 + 2.6 * len(domains), 0.8 + 1.1 * len(names))
    panels = figure.subplots(len(names), len(domains), squeeze=False, sharex="col")
    for column, domain in enumerate(domains):
        for line, name in enumerate(names):
            axes = panels[line][column]
            for series in _examples(domain, name, 1):
                # the longer axis is time, whichever way the series are stored
                axes.plot((series if series.shape[0] > series.shape[1] else series.T)[:, :3], linewidth=0.8)
            axes.tick_params(labelsize=7)
            if column == 0:
                axes.set_ylabel(name, rotation=0, ha="right", va="center", fontsize=9)
            if line == 0:
                axes.set_title(domain.name, fontsize=10)


def _draw_vectors(figure: Figure, domains: Sequence[Domain], names: Sequence[str]) -> None:
    """Above: class shares, and the mean of each feature; below: each domain on the first two principal components."""
    figure.set_size_inches(max(8.0, 2.5 * len(domains)), 6.2)
    grid = figure.add_gridspec(2, 1)
    above, below = figure.add_subfigure(grid[0]), figure.add_subfigure(grid[1])
    shares, means = above.subplots(1, 2)
    _draw_labels(shares, domains, names)
    shares.set_ylim(0, shares.get_ylim()[1] * 1.25)  # leaves space for the legend
    shares.legend(fontsize=8, ncols=min(len(domains), 4), loc="upper center", frameon=False)
    shares.tick_params(labelsize=8)
    samples = [divergence.subsample(domain, MAX_POINTS) for domain in domains]
    _draw_feature_means(means, domains, samples)
    _draw_projections(below, domains, samples)


def _draw_feature_means(axes: Any, domains: Sequence[Domain], samples: Sequence[Any]) -> None:
    """The mean of each feature, a line for each domain; `samples` (N, D) of each domain give the scale."""
    axes.tick_params(labelsize=8)
    spread = float(np.mean([x_ND.std(axis=0).mean() for x_ND in samples])) or 1.0
    for domain in domains:
        mean = domain.samples.x.numpy().mean(axis=0, dtype=np.float64)
        axes.plot(mean, linewidth=0.8, marker="." if len(mean) < 30 else "", alpha=0.8)
    low, high = axes.get_ylim()
    axes.set_ylim(min(low, -0.1 * spread), max(high, 0.1 * spread))  # else rounding looks like a difference
    if max(abs(low), abs(high)) < 1e-3 * spread:
        text = "all 0: each domain is scaled by its own samples"
        axes.text(0.5, 0.7, text, transform=axes.transAxes, ha="center", fontsize=9)
    axes.set_title("mean of each feature", fontsize=10)
    axes.set_xlabel("feature", fontsize=8)


def _draw_projections(figure: Any, domains: Sequence[Domain], samples: Sequence[Any]) -> None:
    """A scatter plot of each domain on the first two principal components of all domains with as many features."""
    panels = figure.subplots(1, len(domains), squeeze=False, sharex=True, sharey=True)[0]
    projected: list[Any] = [None] * len(domains)
    for width in {x_ND.shape[1] for x_ND in samples}:  # domains with other features have components of their own
        numbers = [number for number, x_ND in enumerate(samples) if x_ND.shape[1] == width]
        for number, z_N2 in zip(numbers, _project([samples[number] for number in numbers]), strict=True):
            projected[number] = z_N2
    for axes, domain, z_N2 in zip(panels, domains, projected, strict=True):
        y = domain.samples.y.numpy()[divergence.subsample_indices(domain, MAX_POINTS)]
        y = y[:, 0] if domain.position_task else y
        color: dict[str, Any] = {"c": y[:, 0], "cmap": "viridis"} if domain.targets else {"c": y % 10, "vmin": 0, "vmax": 9}
        axes.scatter(z_N2[:, 0], z_N2[:, 1], s=6, linewidths=0, **{"cmap": "tab10", **color})
        axes.set_title(domain.name, fontsize=10)
        axes.tick_params(labelsize=7)
    low, high = np.percentile(np.concatenate(projected), [1, 99], axis=0)
    margin = 0.15 * (high - low) + 1e-9  # a few outliers would shrink all other samples to one point
    panels[0].set_xlim(low[0] - margin[0], high[0] + margin[0])
    panels[0].set_ylim(low[1] - margin[1], high[1] + margin[1])
    panels[0].set_ylabel("second component", fontsize=8)
    meaning = "value" if domains[0].targets else "class"
    panels[0].set_xlabel(f"first component (a colour is a {meaning}; outliers are cut off)", fontsize=8)


def _draw_labels(axes: Any, domains: Sequence[Domain], names: Sequence[str]) -> None:
    """The share of each class, or the density of the first target of a regression."""
    for number, domain in enumerate(domains):
        if domain.targets:
            values = domain.samples.y[:, 0].double().numpy()
            axes.hist(values, bins=_bin_edges(values), density=True, histtype="step", label=domain.name)
            continue
        y = _labels(domain)
        shares = np.bincount(y, minlength=len(domain.classes)) / len(y)
        heights = [shares[domain.classes.index(name)] if name in domain.classes else 0 for name in names]
        offset = 0.8 * (number + 0.5) / len(domains) - 0.4
        axes.bar(np.arange(len(names)) + offset, heights, 0.8 / len(domains), label=domain.name)
    if domains[0].targets:
        axes.set_title(f"density of the target {domains[0].targets[0]}", fontsize=10)
        return
    axes.set_xticks(range(len(names)), names, rotation=45 if max(map(len, names)) > 3 else 0, fontsize=8)
    axes.set_title("share of each class", fontsize=10)


def _bin_edges(values: Any, bins: int = 30) -> Any:
    """The edges of a histogram; values that are all equal, or nearly so, get bins that are wide enough to differ."""
    low, high = float(values.min()), float(values.max())
    margin = 0.0 if high - low > 1e-9 * max(abs(low), abs(high)) else max(0.5, 1e-3 * max(abs(low), abs(high)))
    return np.linspace(low - margin, high + margin, bins + 1)


def _project(samples: Sequence[Any]) -> list[Any]:
    """Samples (N, D) of each domain on the first two principal components of all samples pooled: (N, 2) each."""
    pooled = np.concatenate(samples)
    std = pooled.std(axis=0)
    pooled = (pooled - pooled.mean(axis=0)) / np.where(std == 0, 1, std)
    if pooled.shape[1] == 1 or not pooled.any():
        z = np.concatenate([pooled[:, :1], np.zeros((len(pooled), 1))], axis=1)
    else:
        from sklearn.decomposition import PCA

        z = PCA(2, random_state=0).fit_transform(pooled)
    return np.split(z, np.cumsum([len(x_ND) for x_ND in samples])[:-1])
