"""The 14 operations of RandAugment, in the order and with the strengths of torchvision."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from tlbench.nn.augmentation import colors, geometry
from tlbench.nn.augmentation.selected import Operation

LEVELS = 30
"""The largest magnitude."""


def _factor(change: Operation) -> Operation:
    """An operation of a factor 1 + amount, from one of a factor."""
    return lambda x, amount: change(x, 1 + amount)


OPERATIONS: dict[str, Operation | None] = {
    "identity": None,
    "shear_x": geometry.shear_x,
    "shear_y": geometry.shear_y,
    "translate_x": geometry.translate_x,
    "translate_y": geometry.translate_y,
    "rotate": geometry.rotate,
    "brightness": _factor(colors.brightness),
    "saturation": _factor(colors.saturation),
    "contrast": _factor(colors.contrast),
    "sharpness": _factor(colors.sharpness),
    "posterize": colors.posterize,
    "solarize": colors.solarize,
    "autocontrast": colors.autocontrast,
    "equalize": colors.equalize,
}
SIGNED = 10
"""The amounts of the first ten operations get a random sign."""
_STRENGTHS: dict[str, Callable[[float, int, int], float]] = {
    "shear_x": lambda level, height, width: 0.3 * level,
    "shear_y": lambda level, height, width: 0.3 * level,
    "translate_x": lambda level, height, width: 150 / 331 * width * level,
    "translate_y": lambda level, height, width: 150 / 331 * height * level,
    "rotate": lambda level, height, width: 30 * level,
    "posterize": lambda level, height, width: 8 - round(4 * level),
    "solarize": lambda level, height, width: 1 - level,
    **{name: lambda level, height, width: 0.9 * level for name in ("brightness", "saturation", "contrast", "sharpness")},
}


def strengths(magnitude: int, height: int, width: int) -> Tensor:
    """The amount of each operation (14,) at a magnitude from 0 to 30, for images of a height and width."""
    level = magnitude / LEVELS
    return torch.tensor([_STRENGTHS[name](level, height, width) if name in _STRENGTHS else 0.0 for name in OPERATIONS])


def draw(
    shape: tuple[int, ...], magnitude: int, image_shape: tuple[int, ...], source: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Draw operations and their amounts.

    Args:
        shape: how many are drawn.
        magnitude: their strength, from 0 to 30.
        image_shape: channels, height and width of an image.
        source: of the random numbers.

    Returns:
        The index of each operation, and its amount, both of that shape.
    """
    choice = torch.randint(len(OPERATIONS), shape, generator=source)
    sign = 1 - 2 * torch.randint(2, shape, generator=source)
    amount = strengths(magnitude, *image_shape[1:])[choice]
    return choice, torch.where(choice < SIGNED, amount * sign, amount)
