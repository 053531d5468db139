"""What a domain holds, for a person: a card of text, and a sheet of pictures."""

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
from tlbench.terms import Domain

if TYPE_CHECKING:
    from matplotlib.figure import Figure

CLASSES, DOMAINS, EXAMPLES = 12, 8, 12
"""Classes and domains that a sheet shows, and pictures in a line of it (fewer of each domain where there are several)."""
POINTS = 600
ALL = "all rows"
"""What stands for a class where there are none."""


def summary_text(declaration: Declaration, domain: Domain) -> str:
    """A domain in a few lines: rows, shape, classes with counts, where it comes from, fingerprint."""
    x, y = domain.samples.x, domain.samples.y
    kind = {4: "images", 3: "series"}.get(x.ndim, "vectors")
    lines = [
        ("rows", f"{len(y):,}" + (f", and {len(domain.test):,} test rows" if domain.test is not None else "")),
        ("shape", f"{' x '.join(map(str, x.shape[1:]))} ({kind}, {str(x.dtype).removeprefix('torch.')})"),
        ("targets", _spread(domain)) if domain.targets else ("classes", _counted(domain)),
        ("licence", declaration.licence or "not stated"),
        ("citation", declaration.citation or "not stated"),
        ("source", declaration.source or "not stated"),
        ("fingerprint", domain.fingerprint),
    ]
    if (group := domain.samples.group) is not None:
        sizes = np.bincount(group.numpy(), minlength=len(domain.groups))
        lines.insert(3, ("groups", f"{len(sizes)}, of {sizes.min():,} to {sizes.max():,} rows"))
    if domain.unfitted is not None:
        lines.insert(2, ("features", "learned from the source of each pair; shown as learned from the domain's own rows"))
    lines += [("note", note) for note in domain.notes]
    return "\n".join([domain.name, *(f"  {name:12} {value}" for name, value in lines)])


def _counted(domain: Domain) -> str:
    counts = np.bincount(domain.samples.y.numpy(), minlength=len(domain.classes))
    said = [f"{name} {count:,}" for name, count in zip(domain.classes, counts, strict=True)]
    return f"{len(said)}: " + ", ".join(said[:20]) + (f", and {len(said) - 20} more" if len(said) > 20 else "")


def _spread(domain: Domain) -> str:
    """Mean, deviation and range of each target of a regression."""
    y_NK = domain.samples.y.double().numpy()
    said = [
        f"{name} {y.mean():.4g} ± {y.std():.4g} ({y.min():.4g} to {y.max():.4g})"
        for name, y in zip(domain.targets[:8], y_NK.T, strict=False)
    ]
    return f"{len(domain.targets)}: " + ", ".join(said)


def contact_sheet(domains: Sequence[Domain], path: Path, title: str = "") -> None:
    """Write a PNG of domains of one kind: examples of each class of images or series, summaries of vectors.

    Raises:
        TlbenchError: the file can't be written.
    """
    from matplotlib.figure import Figure

    many, domains = len(domains), _alike(domains[:DOMAINS])
    names = list(dict.fromkeys(name for domain in domains for name in domain.classes))[:CLASSES] or [ALL]
    figure = Figure(layout="constrained", dpi=110)
    if title:
        figure.suptitle(title + (f" ({DOMAINS} of {many} domains)" if many > DOMAINS else ""))
    draw = {4: _images, 3: _series}.get(domains[0].samples.x.ndim, _vectors)
    draw(figure, domains, names)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(path)
    except OSError as error:
        raise TlbenchError(f"{path} can't be written ({error}); --out names another folder") from error


def _alike(domains: Sequence[Domain]) -> Sequence[Domain]:
    """Domains whose features are to be learned, as the first one with the same columns would have them; others as they are."""
    shown: list[Domain] = []
    for domain in domains:
        for first in (one for one in domains if one.unfitted is not None and domain.unfitted is not None):
            with contextlib.suppress(TlbenchError):  # of other columns
                domain = fit_features([first], domain)[1]
                break
        shown.append(domain)
    return shown


def _examples(domain: Domain, name: str, count: int) -> Any:
    """Up to `count` random rows of a class, the same each time."""
    if name not in (*domain.classes, ALL):
        return []
    rows = np.arange(len(domain.samples))
    if name in domain.classes:
        rows = np.flatnonzero(domain.samples.y.numpy() == domain.classes.index(name))
    chosen = np.sort(shifts.generator("sheet", 0).permutation(rows)[:count])
    return domain.samples.x.numpy()[chosen]


def _images(figure: Figure, domains: Sequence[Domain], names: Sequence[str]) -> None:
    """A line for each class, a block of columns for each domain."""
    across = max(2, EXAMPLES // len(domains))
    figure.set_size_inches(1.4 + 0.72 * across * len(domains), 0.8 + 0.72 * len(names))
    blocks = figure.subplots(1, len(domains), squeeze=False)[0]
    side = max(max(domain.samples.x.shape[2:]) for domain in domains)
    cell = min(side, 96) + 2
    for axes, domain in zip(blocks, domains, strict=True):
        board = np.ones((cell * len(names), cell * across, 3))
        for line, name in enumerate(names):
            for column, image in enumerate(_examples(domain, name, across)):
                picture = _picture(image, cell - 2, domain)
                top, left = line * cell + 1, column * cell + 1
                board[top : top + cell - 2, left : left + cell - 2] = picture
        axes.imshow(board, interpolation="nearest", aspect="equal")
        axes.set_title(domain.name, fontsize=10)
        axes.set_xticks([])
        axes.set_yticks([])
        for edge in axes.spines.values():
            edge.set_visible(False)
    blocks[0].set_yticks([cell * (line + 0.5) for line in range(len(names))], names, fontsize=9)
    blocks[0].tick_params(length=0)


def _picture(image: Any, size: int, domain: Domain) -> Any:
    """An image (channels, height, width) as (size, size, 3) of 0 to 1, by the nearest pixel."""
    channels, height, width = image.shape
    rows, columns = (np.arange(size) * side // size for side in (height, width))
    image = image[:, rows][:, :, columns].astype(np.float64)
    if domain.samples.x.numpy().dtype == np.uint8:
        image = image / 255
    else:
        low, high = float(image.min()), float(image.max())
        image = (image - low) / ((high - low) or 1.0)
    image = image[:3] if channels >= 3 else image[:1].repeat(3, axis=0)
    return image.transpose(1, 2, 0)


def _series(figure: Figure, domains: Sequence[Domain], names: Sequence[str]) -> None:
    """A line of panels for each class, a column for each domain: the first channels of one example."""
    figure.set_size_inches(1 + 2.6 * len(domains), 0.8 + 1.1 * len(names))
    panels = figure.subplots(len(names), len(domains), squeeze=False, sharex="col")
    for column, domain in enumerate(domains):
        for line, name in enumerate(names):
            axes = panels[line][column]
            for row in _examples(domain, name, 1):
                axes.plot((row if row.shape[0] > row.shape[1] else row.T)[:, :3], linewidth=0.8)
            axes.tick_params(labelsize=7)
            if column == 0:
                axes.set_ylabel(name, rotation=0, ha="right", va="center", fontsize=9)
            if line == 0:
                axes.set_title(domain.name, fontsize=10)


def _vectors(figure: Figure, domains: Sequence[Domain], names: Sequence[str]) -> None:
    """Above: class shares, and the mean of each feature; below: each domain on the first two components of them all."""
    across = len(domains)
    figure.set_size_inches(max(8.0, 2.5 * across), 6.2)
    halves = figure.add_gridspec(2, 1)
    above, below = figure.add_subfigure(halves[0]), figure.add_subfigure(halves[1])
    shares, means = above.subplots(1, 2)
    _labels(shares, domains, names)
    shares.set_ylim(0, shares.get_ylim()[1] * 1.25)  # room for the legend
    shares.legend(fontsize=8, ncols=min(across, 4), loc="upper center", frameon=False)
    shares.tick_params(labelsize=8)
    means.tick_params(labelsize=8)
    samples = [divergence.sample(domain, POINTS) for domain in domains]
    spread = float(np.mean([sample.std(axis=0).mean() for sample in samples])) or 1.0
    for domain in domains:
        mean = domain.samples.x.numpy().mean(axis=0, dtype=np.float64)
        means.plot(mean, linewidth=0.8, marker="." if len(mean) < 30 else "", alpha=0.8)
    low, high = means.get_ylim()
    means.set_ylim(min(low, -0.1 * spread), max(high, 0.1 * spread))  # else rounding looks like a difference
    if max(abs(low), abs(high)) < 1e-3 * spread:
        means.text(0.5, 0.7, "all 0: each domain is scaled by its own rows", transform=means.transAxes, ha="center", fontsize=9)
    means.set_title("mean of each feature", fontsize=10)
    means.set_xlabel("feature", fontsize=8)
    panels = below.subplots(1, across, squeeze=False, sharex=True, sharey=True)[0]
    flat: list[Any] = [None] * across
    for width in {sample.shape[1] for sample in samples}:  # those of other columns have components of their own
        alike = [number for number, sample in enumerate(samples) if sample.shape[1] == width]
        for number, z in zip(alike, _plane([samples[number] for number in alike]), strict=True):
            flat[number] = z
    for axes, domain, z in zip(panels, domains, flat, strict=True):
        order = shifts.generator("apart", 0).permutation(len(domain.samples))[:POINTS]
        y = domain.samples.y.numpy()[order]
        hue: dict[str, Any] = {"c": y[:, 0], "cmap": "viridis"} if domain.targets else {"c": y % 10, "vmin": 0, "vmax": 9}
        axes.scatter(z[:, 0], z[:, 1], s=6, linewidths=0, **{"cmap": "tab10", **hue})
        axes.set_title(domain.name, fontsize=10)
        axes.tick_params(labelsize=7)
    low, high = np.percentile(np.concatenate(flat), [1, 99], axis=0)
    margin = 0.15 * (high - low) + 1e-9  # a few far rows would make points of all the others
    panels[0].set_xlim(low[0] - margin[0], high[0] + margin[0])
    panels[0].set_ylim(low[1] - margin[1], high[1] + margin[1])
    panels[0].set_ylabel("second component", fontsize=8)
    panels[0].set_xlabel(
        f"first component (a colour is a {'value' if domains[0].targets else 'class'}; far rows are cut off)", fontsize=8
    )


def _labels(axes: Any, domains: Sequence[Domain], names: Sequence[str]) -> None:
    """The share of each class, or how the first target of a regression is spread."""
    across = len(domains)
    for number, domain in enumerate(domains):
        if domain.targets:
            axes.hist(domain.samples.y[:, 0].numpy(), bins=30, density=True, histtype="step", label=domain.name)
            continue
        count = np.bincount(domain.samples.y.numpy(), minlength=len(domain.classes)) / len(domain.samples)
        held = [count[domain.classes.index(name)] if name in domain.classes else 0 for name in names]
        axes.bar(np.arange(len(names)) + 0.8 * (number + 0.5) / across - 0.4, held, 0.8 / across, label=domain.name)
    if domains[0].targets:
        axes.set_title(f"density of the target {domains[0].targets[0]}", fontsize=10)
        return
    axes.set_xticks(range(len(names)), names, rotation=45 if max(map(len, names)) > 3 else 0, fontsize=8)
    axes.set_title("share of each class", fontsize=10)


def _plane(samples: Sequence[Any]) -> list[Any]:
    """All samples on the first two principal components of them together."""
    both = np.concatenate(samples)
    std = both.std(axis=0)
    both = (both - both.mean(axis=0)) / np.where(std == 0, 1, std)
    if both.shape[1] == 1 or not both.any():
        z = np.concatenate([both[:, :1], np.zeros((len(both), 1))], axis=1)
    else:
        from sklearn.decomposition import PCA

        z = PCA(2, random_state=0).fit_transform(both)
    return np.split(z, np.cumsum([len(sample) for sample in samples])[:-1])
