"""Rendered shapes with a label for each pixel (task = "pixels"): discs, squares and triangles on a shaded background."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import numpy as np
from pydantic import Field

from tlbench.data.decoding.arrays import Array, ReaderResult
from tlbench.terms import Strict

SHAPES = ("background", "disc", "square", "triangle")
"""The class of each pixel."""


class Options(Strict, strict=True):
    """How many images are rendered, how large, and with how many shapes."""

    count: Annotated[int, Field(ge=1, le=100_000, description="N, the number of images")] = 200
    size: Annotated[int, Field(ge=16, le=512, description="pixels of each side")] = 48
    shapes: Annotated[int, Field(ge=1, le=16, description="shapes in an image; later ones hide earlier ones")] = 4
    seed: Annotated[int, Field(ge=0, description="the seed of the images")] = 0


def read(options: Options, root: Path) -> ReaderResult:
    """Byte images (N, 3, size, size), and the name of the shape at each pixel (N, size * size)."""
    rng = np.random.default_rng(options.seed)
    rendered = [_render(options.size, options.shapes, rng) for _ in range(options.count)]
    x, y = (np.stack(arrays) for arrays in zip(*rendered, strict=True))
    return ReaderResult(x, np.array(SHAPES)[y.reshape(len(y), -1)], reading=(f"{options.count:,} rendered images",))


def _render(size: int, count: int, rng: np.random.Generator) -> tuple[Array, Array]:
    """An image (3, size, size) of bytes, and the class (size, size) of each pixel."""
    y_HW, x_HW = np.mgrid[:size, :size] / size
    slope = rng.uniform(-40, 40, size=2)
    shade_HW = rng.uniform(60, 190) + slope[0] * (x_HW - 0.5) + slope[1] * (y_HW - 0.5)
    image = np.repeat(shade_HW[None], 3, axis=0)
    labels = np.zeros((size, size), dtype=np.int64)
    for _ in range(count):
        kind = int(rng.integers(1, len(SHAPES)))
        inside_HW = _inside(kind, x_HW - rng.uniform(0.1, 0.9), y_HW - rng.uniform(0.1, 0.9), rng)
        image[:, inside_HW] = rng.uniform(0, 255, size=3)[:, None]
        labels[inside_HW] = kind
    return np.clip(image, 0, 255).astype(np.uint8), labels


def _inside(kind: int, x_HW: Array, y_HW: Array, rng: np.random.Generator) -> Array:
    """Which pixels lie in a shape around the origin, of a random size and turn."""
    radius, angle = rng.uniform(0.1, 0.22), rng.uniform(0, 2 * np.pi)
    u_HW, v_HW = x_HW * np.cos(angle) - y_HW * np.sin(angle), x_HW * np.sin(angle) + y_HW * np.cos(angle)
    if kind == 1:
        return np.asarray(u_HW**2 + v_HW**2 < radius**2)
    if kind == 2:
        return np.asarray((np.abs(u_HW) < 0.8 * radius) & (np.abs(v_HW) < 0.8 * radius))
    edge_HW = np.sqrt(3) * np.abs(u_HW) + v_HW
    return np.asarray((v_HW > -0.6 * radius) & (edge_HW < 1.2 * radius))
