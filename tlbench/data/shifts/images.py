"""Shifts of images (N, channels, height, width), bytes or floats; what comes out keeps their type and range."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from pydantic import Field

from tlbench.data.decoding.arrays import Array
from tlbench.data.function_registry import options_rule
from tlbench.data.shifts.common import Finite, Labels, NotNegative, Positive, Share, images_of, limits, repainted
from tlbench.errors import TlbenchError


def rotation(x: Any, y: Labels, rng: np.random.Generator, *, degrees: Finite) -> tuple[Array, Labels]:
    """Turn images counter-clockwise by `degrees` about their centre (bilinear); corners get the darkest value."""
    x = images_of(x, "rotation")
    return (x.copy() if degrees % 360 == 0 else _moved(x, degrees=degrees)), y


def zoom(x: Any, y: Labels, rng: np.random.Generator, *, factor: Positive) -> tuple[Array, Labels]:
    """Show images `factor` times as large about their centre (bilinear): cut above 1, framed by the darkest value below."""
    x = images_of(x, "zoom")
    return (x.copy() if factor == 1 else _moved(x, factor=factor)), y


def inversion(x: Any, y: Labels, rng: np.random.Generator) -> tuple[Array, Labels]:
    """Turn images into their negatives: dark becomes bright within the range of the images."""
    x = images_of(x, "inversion")
    low, high = limits(x)
    return (255 - x if x.dtype == np.uint8 else np.clip(high - (x - low), low, high)), y


def noise(x: Any, y: Labels, rng: np.random.Generator, *, sigma: NotNegative) -> tuple[Array, Labels]:
    """Add Gaussian noise to images; `sigma` is its standard deviation as a share of their range (which clips it)."""
    x = images_of(x, "noise")
    low, high = limits(x)
    spread = np.float32(sigma * (high - low))
    return repainted(x, lambda part: part + spread * rng.standard_normal(part.shape, dtype=np.float32)), y


def blur(x: Any, y: Labels, rng: np.random.Generator, *, sigma: NotNegative) -> tuple[Array, Labels]:
    """Blur images with a Gaussian of standard deviation `sigma` in pixels (edges are mirrored)."""
    from scipy import ndimage

    x = images_of(x, "blur")
    return repainted(x, lambda part: np.asarray(ndimage.gaussian_filter(part, (0, 0, sigma, sigma)))), y


def contrast(x: Any, y: Labels, rng: np.random.Generator, *, factor: NotNegative) -> tuple[Array, Labels]:
    """Stretch (`factor` above 1) or flatten (below 1) each image about its own mean, clipped to the range."""

    def stretched(part: Array) -> Array:
        mean = part.mean(axis=(1, 2, 3), keepdims=True)
        return np.asarray(mean + np.float32(factor) * (part - mean))

    return repainted(images_of(x, "contrast"), stretched), y


def colour_jitter(x: Any, y: Labels, rng: np.random.Generator, *, strength: Share) -> tuple[Array, Labels]:
    """Change brightness, contrast, saturation and hue of each image at random; `strength` bounds all four.

    The factors of brightness, contrast and saturation are uniform in 1 -+ strength, the hue turns by at most strength
    times 180 degrees about the grey axis (in YIQ, as television does). Grey images have brightness and contrast only.
    """
    x = images_of(x, "colour_jitter")
    low, _ = limits(x)

    def jittered(part: Array) -> Array:
        draws = strength * rng.uniform(-1, 1, (4, len(part), 1, 1, 1)).astype(np.float32)
        brightness, stretch, saturation, turn = 1 + draws[0], 1 + draws[1], 1 + draws[2], np.pi * draws[3, :, 0, 0, 0]
        part = low + brightness * (part - low)
        mean = part.mean(axis=(1, 2, 3), keepdims=True)
        part = mean + stretch * (part - mean)
        if part.shape[1] != 3:
            return np.asarray(part)
        luma = np.einsum("c,nchw->nhw", _YIQ[0], part)[:, None]
        cos, sin = np.cos(turn), np.sin(turn)
        zero, one = np.zeros_like(turn), np.ones_like(turn)
        turned = np.stack([one, zero, zero, zero, cos, -sin, zero, sin, cos], axis=1).reshape(-1, 3, 3)
        colour = np.einsum("nij,njhw->nihw", (np.linalg.inv(_YIQ) @ turned @ _YIQ).astype(np.float32), part)
        return np.asarray(luma + saturation * (colour - luma))

    return repainted(x, jittered), y


_YIQ = np.array([[0.299, 0.587, 0.114], [0.596, -0.274, -0.322], [0.211, -0.523, 0.312]])
"""RGB -> luma and two of colour (NTSC, 1953)."""


def occlusion(x: Any, y: Labels, rng: np.random.Generator, *, share: Share) -> tuple[Array, Labels]:
    """Cover a box of `share` of each image's area with the middle of their range, at a random place within the image."""
    x = images_of(x, "occlusion")
    low, high = limits(x)
    height, width = x.shape[2:]
    tall, wide = round(math.sqrt(share) * height), round(math.sqrt(share) * width)
    down, right = np.arange(height), np.arange(width)

    def covered(part: Array) -> Array:
        place = rng.random((2, len(part), 1))
        top, left = np.floor(place[0] * (height - tall + 1)), np.floor(place[1] * (width - wide + 1))
        rows, columns = (down >= top) & (down < top + tall), (right >= left) & (right < left + wide)
        hidden = (rows[:, :, None] & columns[:, None, :])[:, None]
        return np.where(hidden, np.float32((float(low) + float(high)) / 2), part)

    return repainted(x, covered), y


@options_rule(lambda o: "domain is a folder inside path; give path too" if o.domain and o.path is None else None)
def blend(
    x: Any,
    y: Labels,
    rng: np.random.Generator,
    root: Path | None = None,
    *,
    amount: Share = 1.0,
    path: str | None = None,
    domain: str = "",
    pixels: Annotated[int, Field(gt=0, le=4096)] = 128,
    smooth: Positive = 2.0,
    colour: bool = False,
) -> tuple[Array, Labels]:
    """Put images before backgrounds as MNIST-M does, |image - patch|; `amount` is the brightness of the patches, from 0 to 1.

    Patches are cut at random from the photographs of a folder or tar archive `path` (`<domain>/<class>/*`), shown with
    `pixels` on their shorter side; without a path they are noise, smoothed over `smooth` pixels. `colour` gives grey
    images three channels first.

    Ganin et al., Domain-adversarial training of neural networks, JMLR 2016.
    """
    x = images_of(x, "blend")
    if colour and x.shape[1] == 1:
        x = np.repeat(x, 3, axis=1)
    low, high = limits(x)
    photographs = None if path is None else _photographs(root, path, domain, max(pixels, *x.shape[2:]), x.shape[1])

    def blended(part: Array) -> Array:
        patches = _noise(part.shape, smooth, rng) if photographs is None else _cut(photographs, part.shape, rng)
        return np.asarray(low + np.abs(part - low - np.float32(amount * (high - low)) * patches))

    return repainted(x, blended), y


def _photographs(root: Path | None, path: str, domain: str, pixels: int, channels: int) -> Array:
    """Photographs as bytes (M, channels, pixels, pixels)."""
    from tlbench.data.readers import images

    if channels not in (1, 3):
        raise TlbenchError(f"shift blend takes patches for images of 1 or 3 channels, these have {channels}")
    mode: Any = {1: "grey", 3: "rgb"}[channels]
    options = images.Options(path=path, domain=domain, size=pixels, crop=pixels, mode=mode)
    return np.asarray(images.read(options, root or Path()).x)


def _cut(photographs: Array, shape: tuple[int, ...], rng: np.random.Generator) -> Array:
    """Random patches (n, channels, height, width) in [0, 1], each from a random photograph."""
    count, _, height, width = shape
    side = photographs.shape[-1]
    chosen = rng.integers(len(photographs), size=count)
    top, left = rng.integers(side - height + 1, size=count), rng.integers(side - width + 1, size=count)
    patches = [photographs[number, :, i : i + height, j : j + width] for number, i, j in zip(chosen, top, left, strict=True)]
    return np.stack(patches).astype(np.float32) / 255


def _noise(shape: tuple[int, ...], smooth: float, rng: np.random.Generator) -> Array:
    """Smooth noise (n, channels, height, width) in [0, 1]: each channel of an image reaches from 0 to 1."""
    from scipy import ndimage

    field = ndimage.gaussian_filter(rng.standard_normal(shape, dtype=np.float32), (0, 0, smooth, smooth), mode="wrap")
    field -= field.min(axis=(2, 3), keepdims=True)
    top = field.max(axis=(2, 3), keepdims=True)
    return np.asarray(field / np.where(top == 0, 1, top))


def _moved(x: Array, degrees: float = 0.0, factor: float = 1.0) -> Array:
    """Images turned counter-clockwise and enlarged about their centre; what is uncovered gets the darkest value."""
    import torch
    from torchvision.transforms.v2 import functional

    low, _ = limits(x)
    bilinear = functional.InterpolationMode.BILINEAR

    def moved(part: Array) -> Array:
        image, fill = torch.from_numpy(part), [float(low)] * part.shape[1]
        if factor == 1:
            return np.asarray(functional.rotate(image, degrees, interpolation=bilinear, fill=fill).numpy())
        zoomed = functional.affine(image, -degrees, [0, 0], factor, [0.0, 0.0], interpolation=bilinear, fill=fill)
        return np.asarray(zoomed.numpy())

    return repainted(x, moved)
