"""What `train.augment` declares, as functions of stored samples and of parameters that are drawn ahead of the steps."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from tlbench.errors import TlbenchError
from tlbench.nn.augmentation import colors, geometry, mixing, rand_augment, series
from tlbench.nn.augmentation.selected import apply_selected
from tlbench.suite.augmentation import (
    MIXING_KINDS,
    AnyKind,
    Color,
    Crop,
    CutMix,
    Flip,
    Jitter,
    MixUp,
    RandAugment,
    RandomResizedCrop,
    Rotation,
    Scaling,
)

ATTEMPTS = 10
"""A rectangle is drawn so often; where none fits, it is the largest one at the centre."""
APPLIES_TO = {"jitter": ("vectors", "series"), "scaling": ("series",), "mixup": ("vectors", "series", "images")}
"""What kinds change that do not change images alone."""
COLORS = {"brightness": colors.brightness, "contrast": colors.contrast, "saturation": colors.saturation, "hue": colors.hue}


class Pipeline:
    """The declared augmentation of samples of one shape.

    Args:
        kinds: `train.augment`.
        shape: of a sample.

    Raises:
        TlbenchError: an augmentation does not apply to samples of this shape.
    """

    def __init__(self, kinds: Sequence[AnyKind], shape: tuple[int, ...]) -> None:
        check_shape(kinds, shape)
        self._kinds = [kind for kind in kinds if kind.kind not in MIXING_KINDS]
        self._alphas: dict[str, float] = {kind.kind: kind.alpha for kind in kinds if isinstance(kind, MixUp | CutMix)}
        self._shape = shape
        self._counts = [DRAWS[kind.kind](kind, (1,), shape, torch.Generator()).shape[-1] for kind in self._kinds]
        """The numbers of parameters of the kinds."""

    @property
    def mixes(self) -> bool:
        """Whether labelled samples are mixed."""
        return bool(self._alphas)

    def draw(self, shape: tuple[int, ...], source: torch.Generator) -> Tensor:
        """Draw the parameters of the views of so many samples: (*shape, P), of all kinds one after the other."""
        columns = [DRAWS[kind.kind](kind, shape, self._shape, source).float() for kind in self._kinds]
        if self._alphas:
            columns.append(mixing.draw(shape, self._alphas, self._shape, source))
        return torch.cat(columns, dim=-1)

    def views(self, x: Tensor, parameters: Tensor) -> Tensor:
        """Stored samples (B, ...) -> views of them, before any mixing; bytes stay bytes where no kind needs floats.

        Args:
            x: stored samples.
            parameters: (B, P).
        """
        first = 0
        for kind, count in zip(self._kinds, self._counts, strict=True):
            x = VIEWS[kind.kind](kind, x, parameters[:, first : first + count])
            first += count
        return _unit(x) if self._alphas else x

    def mixed_samples(self, x: Tensor, parameters: Tensor, batch_size: int) -> Tensor:
        """Views (B, ...) -> mixed samples; see `mixing.mixed_samples`."""
        return mixing.mixed_samples(x, parameters[:, -mixing.COLUMNS :], batch_size)

    def mixed_labels(self, y: Tensor, parameters: Tensor, batch_size: int, classes: int) -> Tensor:
        """Labels (B,) -> class probabilities (B, C), mixed as the samples are.

        Args:
            y: classes (B,) int64, or targets (B, K) of a regression, which stay targets.
            parameters: (B, P).
            batch_size: samples of a batch.
            classes: C, the number of classes.
        """
        return mixing.mixed_labels(y, parameters[:, -mixing.COLUMNS :], batch_size, classes)


def check_shape(kinds: Sequence[AnyKind], shape: tuple[int, ...], *, tokens: bool = False) -> None:
    """Check that an augmentation applies to samples of a shape.

    Args:
        kinds: `train.augment`.
        shape: of a sample.
        tokens: whether the samples are token ids.

    Raises:
        TlbenchError: it does not.
    """
    sort = "token ids" if tokens else {1: "vectors", 2: "series", 3: "images"}.get(len(shape), "samples")
    for position, kind in enumerate(kinds):
        where = f"train.augment[{position}]: {kind.kind}"
        if sort not in APPLIES_TO.get(kind.kind, ("images",)):
            others = [name for name, sorts in APPLIES_TO.items() if sort in sorts]
            way_out = f"Leave it out; for {sort} there are {' and '.join(others)}." if len(others) > 1 else "Leave it out."
            raise TlbenchError(
                f"{where} changes {' and '.join(APPLIES_TO.get(kind.kind, ('images',)))}, and the samples are {sort}. {way_out}"
            )
        if isinstance(kind, Crop) and kind.fill == "reflect" and kind.padding >= min(shape[1:]):
            raise TlbenchError(
                f"{where} can't mirror {kind.padding} pixels of images of {shape[1]}x{shape[2]}. Set a smaller padding."
            )
        if isinstance(kind, Color | RandAugment) and shape[0] not in (1, 3):
            raise TlbenchError(f"{where} changes images of one or three channels, and these have {shape[0]}. Leave it out.")


def _unit(x: Tensor) -> Tensor:
    """Stored images as floats in [0, 1]; other samples as floats."""
    return x.to(torch.float32).div_(255) if x.dtype == torch.uint8 else x.float()


def _draw_crop(kind: Crop, shape: tuple[int, ...], sample: tuple[int, ...], source: torch.Generator) -> Tensor:
    return torch.randint(2 * kind.padding + 1, (*shape, 2), generator=source)


def _crop(kind: Crop, x: Tensor, parameters: Tensor) -> Tensor:
    return geometry.padded_crop(x, parameters[:, 0], parameters[:, 1], kind.padding, kind.fill)


def _draw_flip(kind: Flip, shape: tuple[int, ...], sample: tuple[int, ...], source: torch.Generator) -> Tensor:
    return torch.rand((*shape, 1), generator=source) < kind.probability


def _flip(kind: Flip, x: Tensor, parameters: Tensor) -> Tensor:
    return geometry.mirrored(x, parameters[:, 0] > 0, -1 if kind.direction == "horizontal" else -2)


def _draw_rotation(kind: Rotation, shape: tuple[int, ...], sample: tuple[int, ...], source: torch.Generator) -> Tensor:
    return (2 * torch.rand((*shape, 1), generator=source) - 1) * kind.degrees


def _rotation(kind: Rotation, x: Tensor, parameters: Tensor) -> Tensor:
    return geometry.rotate(_unit(x), parameters[:, 0])


def _draw_color(kind: Color, shape: tuple[int, ...], sample: tuple[int, ...], source: torch.Generator) -> Tensor:
    """For each of the declared changes its place in the order, then the amount of each."""
    names = _color_names(kind)
    order = torch.rand((*shape, len(names)), generator=source).argsort(dim=-1)
    bound = torch.tensor([getattr(kind, name) for name in names])
    center = torch.tensor([float(name != "hue") for name in names])
    return torch.cat([order, center + (2 * torch.rand((*shape, len(names)), generator=source) - 1) * bound], dim=-1)


def _color(kind: Color, x: Tensor, parameters: Tensor) -> Tensor:
    names, x = _color_names(kind), _unit(x)
    order, amounts = parameters[:, : len(names)].long(), parameters[:, len(names) :]
    for choice in order.unbind(1):
        x = apply_selected(x, [COLORS[name] for name in names], choice, amounts.gather(1, choice[:, None])[:, 0])
    return x


def _color_names(kind: Color) -> list[str]:
    return [name for name in COLORS if getattr(kind, name)]


def _draw_resized_crop(
    kind: RandomResizedCrop, shape: tuple[int, ...], sample: tuple[int, ...], source: torch.Generator
) -> Tensor:
    """Top, left, height and width of a rectangle (*shape, 4)."""
    height, width = sample[1:]
    low, high = kind.scale
    area = height * width * (low + (high - low) * torch.rand((*shape, ATTEMPTS), generator=source))
    low, high = math.log(kind.ratio[0]), math.log(kind.ratio[1])
    ratio = (low + (high - low) * torch.rand((*shape, ATTEMPTS), generator=source)).exp()
    w, h = (area * ratio).sqrt().round(), (area / ratio).sqrt().round()
    fits = (w >= 1) & (w <= width) & (h >= 1) & (h <= height)
    first = fits.int().argmax(dim=-1, keepdim=True)
    w, h = (size.gather(-1, first)[..., 0] for size in (w, h))
    fallback_w = min(width, round(height * kind.ratio[1])) if width / height > kind.ratio[1] else width
    fallback_h = min(height, round(width / kind.ratio[0])) if width / height < kind.ratio[0] else height
    fits_once = fits.any(dim=-1)
    w, h = torch.where(fits_once, w, float(fallback_w)), torch.where(fits_once, h, float(fallback_h))
    position = torch.rand((*shape, 2), generator=source)
    top, left = (position[..., 0] * (height - h + 1)).floor(), (position[..., 1] * (width - w + 1)).floor()
    top = torch.where(fits_once, top, ((height - h) / 2).floor())
    left = torch.where(fits_once, left, ((width - w) / 2).floor())
    return torch.stack([top, left, h, w], dim=-1)


def _resized_crop(kind: RandomResizedCrop, x: Tensor, parameters: Tensor) -> Tensor:
    return geometry.resized_crop(_unit(x), parameters)


def _draw_rand_augment(kind: RandAugment, shape: tuple[int, ...], sample: tuple[int, ...], source: torch.Generator) -> Tensor:
    return torch.cat(rand_augment.draw((*shape, kind.operations), kind.magnitude, sample, source), dim=-1)


def _rand_augment(kind: RandAugment, x: Tensor, parameters: Tensor) -> Tensor:
    x = _unit(x)
    choices, amounts = parameters.split(kind.operations, dim=1)
    for choice, amount in zip(choices.unbind(1), amounts.unbind(1), strict=True):
        x = apply_selected(x, list(rand_augment.OPERATIONS.values()), choice, amount)
    return x


def _draw_jitter(kind: Jitter, shape: tuple[int, ...], sample: tuple[int, ...], source: torch.Generator) -> Tensor:
    return torch.randint(series.SEEDS, (*shape, 1), generator=source)


def _jitter(kind: Jitter, x: Tensor, parameters: Tensor) -> Tensor:
    return series.jittered(x.float(), parameters[:, 0], kind.sigma)


def _draw_scaling(kind: Scaling, shape: tuple[int, ...], sample: tuple[int, ...], source: torch.Generator) -> Tensor:
    return 1 + kind.sigma * torch.randn((*shape, sample[0]), generator=source)


def _scaling(kind: Scaling, x: Tensor, parameters: Tensor) -> Tensor:
    return series.scaled(x.float(), parameters)


DRAWS: dict[str, Callable[..., Tensor]] = {
    "crop": _draw_crop,
    "flip": _draw_flip,
    "rotation": _draw_rotation,
    "color": _draw_color,
    "random_resized_crop": _draw_resized_crop,
    "rand_augment": _draw_rand_augment,
    "jitter": _draw_jitter,
    "scaling": _draw_scaling,
}
"""By kind: its declaration, how many to draw (...), the shape of a sample and a generator -> parameters (..., P)."""
VIEWS: dict[str, Callable[..., Tensor]] = {
    "crop": _crop,
    "flip": _flip,
    "rotation": _rotation,
    "color": _color,
    "random_resized_crop": _resized_crop,
    "rand_augment": _rand_augment,
    "jitter": _jitter,
    "scaling": _scaling,
}
"""By kind: its declaration, samples (B, ...) and their parameters (B, P) -> views (B, ...)."""
