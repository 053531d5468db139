"""Shifts of images (N, channels, height, width), bytes or floats; the result has the same type and range."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from pydantic import Field

from tlbench.data.decoding import mapped_arrays
from tlbench.data.decoding.arrays import Array
from tlbench.data.function_registry import options_rule
from tlbench.data.shifts.common import CHUNK, Finite, Labels, NotNegative, Positive, Share, as_images, map_images, value_range
from tlbench.errors import TlbenchError


def rotation(x: Any, y: Labels, rng: np.random.Generator, *, degrees: Finite) -> tuple[Array, Labels]:
    """Rotate images counter-clockwise by `degrees` about their centre (bilinear); corners get the darkest value."""
    x = as_images(x, "rotation")
    return (x.copy() if degrees % 360 == 0 else _rotate_and_zoom(x, degrees=degrees)), y


def zoom(x: Any, y: Labels, rng: np.random.Generator, *, factor: Positive) -> tuple[Array, Labels]:
    """Enlarge images by `factor` about their centre (bilinear): cropped above 1, framed by the darkest value below 1."""
    x = as_images(x, "zoom")
    return (x.copy() if factor == 1 else _rotate_and_zoom(x, factor=factor)), y


def inversion(x: Any, y: Labels, rng: np.random.Generator) -> tuple[Array, Labels]:
    """Invert images: dark becomes bright within the range of the images."""
    x = as_images(x, "inversion")
    low, high = value_range(x)
    return (255 - x if x.dtype == np.uint8 else np.clip(high - (x - low), low, high)), y


def noise(x: Any, y: Labels, rng: np.random.Generator, *, sigma: NotNegative) -> tuple[Array, Labels]:
    """Add Gaussian noise to images; `sigma` is its deviation as a share of their range, to which the result is clipped."""
    x = as_images(x, "noise")
    low, high = value_range(x)
    spread = np.float32(sigma * (high - low))
    return map_images(x, lambda chunk: chunk + spread * rng.standard_normal(chunk.shape, dtype=np.float32)), y


def blur(x: Any, y: Labels, rng: np.random.Generator, *, sigma: NotNegative) -> tuple[Array, Labels]:
    """Blur images with a Gaussian of standard deviation `sigma` in pixels (edges are mirrored)."""
    from scipy import ndimage

    x = as_images(x, "blur")
    return map_images(x, lambda chunk: np.asarray(ndimage.gaussian_filter(chunk, (0, 0, sigma, sigma)))), y


def contrast(x: Any, y: Labels, rng: np.random.Generator, *, factor: NotNegative) -> tuple[Array, Labels]:
    """Stretch (`factor` above 1) or flatten (below 1) each image about its own mean, clipped to the range."""

    def stretched(chunk: Array) -> Array:
        mean = chunk.mean(axis=(1, 2, 3), keepdims=True)
        return np.asarray(mean + np.float32(factor) * (chunk - mean))

    return map_images(as_images(x, "contrast"), stretched), y


def colour_jitter(x: Any, y: Labels, rng: np.random.Generator, *, strength: Share) -> tuple[Array, Labels]:
    """Change brightness, contrast, saturation and hue of each image at random; `strength` bounds all four.

    The factors of brightness, contrast and saturation are uniform in 1 -+ strength; the hue rotates by at most strength
    times 180 degrees about the grey axis of the YIQ colour space. Grey images change in brightness and contrast only.
    """
    x = as_images(x, "colour_jitter")
    low, _ = value_range(x)

    def jittered(chunk: Array) -> Array:
        draws = strength * rng.uniform(-1, 1, (4, len(chunk), 1, 1, 1)).astype(np.float32)
        brightness, stretch, saturation, angle = 1 + draws[0], 1 + draws[1], 1 + draws[2], np.pi * draws[3, :, 0, 0, 0]
        chunk = low + brightness * (chunk - low)
        mean = chunk.mean(axis=(1, 2, 3), keepdims=True)
        chunk = mean + stretch * (chunk - mean)
        if chunk.shape[1] != 3:
            return np.asarray(chunk)
        luma = np.einsum("c,nchw->nhw", _YIQ[0], chunk)[:, None]
        cos, sin = np.cos(angle), np.sin(angle)
        zero, one = np.zeros_like(angle), np.ones_like(angle)
        rotation = np.stack([one, zero, zero, zero, cos, -sin, zero, sin, cos], axis=1).reshape(-1, 3, 3)
        colour = np.einsum("nij,njhw->nihw", (np.linalg.inv(_YIQ) @ rotation @ _YIQ).astype(np.float32), chunk)
        return np.asarray(luma + saturation * (colour - luma))

    return map_images(x, jittered), y


_YIQ = np.array([[0.299, 0.587, 0.114], [0.596, -0.274, -0.322], [0.211, -0.523, 0.312]])
"""The matrix from RGB to YIQ: luma and two chroma channels (NTSC, 1953)."""


def occlusion(x: Any, y: Labels, rng: np.random.Generator, *, share: Share) -> tuple[Array, Labels]:
    """Cover a box of `share` of each image's area with the middle of the value range, at a random position."""
    x = as_images(x, "occlusion")
    low, high = value_range(x)
    height, width = x.shape[2:]
    box_height, box_width = round(math.sqrt(share) * height), round(math.sqrt(share) * width)
    down, right = np.arange(height), np.arange(width)

    def covered(chunk: Array) -> Array:
        position = rng.random((2, len(chunk), 1))
        top, left = np.floor(position[0] * (height - box_height + 1)), np.floor(position[1] * (width - box_width + 1))
        in_height, in_width = (down >= top) & (down < top + box_height), (right >= left) & (right < left + box_width)
        hidden = (in_height[:, :, None] & in_width[:, None, :])[:, None]
        return np.where(hidden, np.float32((float(low) + float(high)) / 2), chunk)

    return map_images(x, covered), y


def color(
    x: Any, y: Labels, rng: np.random.Generator, *, disagreement: Share, label_noise: Share = 0.25
) -> tuple[Array, Labels]:
    """Color grey images of two classes by their labels, as ColoredMNIST does: the channel of the label has the image.

    First the labels of a share `label_noise` of the samples change to the other class. Then each image stands in the channel of
    its label, or with probability `disagreement` in that of the other class; the other channel gets the darkest value.

    Arjovsky et al., Invariant risk minimization, 2019. https://arxiv.org/abs/1907.02893
    """
    x = as_images(x, "color")
    if x.shape[1] != 1:
        raise TlbenchError(f"The shift color needs grey images of one channel, and these have {x.shape[1]}. Read them as grey.")
    if len(y) and y.max() > 1:
        raise TlbenchError("The shift color needs two classes. Merge classes by label_map, as digits below 5 and the others.")
    labels = y ^ (rng.random(len(y)) < label_noise)
    channel = labels ^ (rng.random(len(y)) < disagreement)
    low, _ = value_range(x)
    colored = mapped_arrays.empty((len(x), 2, *x.shape[2:]), x.dtype)
    for start in range(0, len(x), CHUNK):
        chunk = slice(start, start + CHUNK)
        colored[chunk] = np.where((np.arange(2) == channel[chunk, None])[:, :, None, None], x[chunk], low)
    return colored, labels


@options_rule(lambda o: "domain is a folder inside path. Give path too." if o.domain and o.path is None else None)
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
    """Blend images with background patches as MNIST-M does, |image - patch|; `amount` scales the patches, from 0 to 1.

    Patches are cut at random from the photographs of a folder or tar archive `path` (`<domain>/<class>/*`), resized to
    `pixels` on their shorter side; without a path they are noise, smoothed over `smooth` pixels. `colour` gives grey
    images three channels first.

    Ganin et al., Domain-adversarial training of neural networks, JMLR 2016. https://jmlr.org/papers/v17/15-239.html
    """
    x = as_images(x, "blend")
    if colour and x.shape[1] == 1:
        x = np.repeat(x, 3, axis=1)
    low, high = value_range(x)
    photographs = None if path is None else _photographs(root, path, domain, max(pixels, *x.shape[2:]), x.shape[1])

    def blended(chunk: Array) -> Array:
        if photographs is None:
            patches = _smooth_noise(chunk.shape, smooth, rng)
        else:
            patches = _random_patches(photographs, chunk.shape, rng)
        return np.asarray(low + np.abs(chunk - low - np.float32(amount * (high - low)) * patches))

    return map_images(x, blended), y


def _photographs(root: Path | None, path: str, domain: str, pixels: int, channels: int) -> Array:
    """Photographs as bytes (M, channels, pixels, pixels)."""
    from tlbench.data.readers import images

    if channels not in (1, 3):
        raise TlbenchError(
            f"The shift blend has patches for images of 1 or 3 channels, and the images have {channels}. "
            "Leave path out for patches of noise."
        )
    mode: Any = {1: "grey", 3: "rgb"}[channels]
    options = images.Options(path=path, domain=domain, size=pixels, crop=pixels, mode=mode)
    return np.asarray(images.read(options, root or Path()).x)


def _random_patches(photographs: Array, shape: tuple[int, ...], rng: np.random.Generator) -> Array:
    """Random patches (n, channels, height, width) in [0, 1], each from a random photograph."""
    count, _, height, width = shape
    side = photographs.shape[-1]
    picked = rng.integers(len(photographs), size=count)
    top, left = rng.integers(side - height + 1, size=count), rng.integers(side - width + 1, size=count)
    patches = [photographs[number, :, i : i + height, j : j + width] for number, i, j in zip(picked, top, left, strict=True)]
    return np.stack(patches).astype(np.float32) / 255


def _smooth_noise(shape: tuple[int, ...], smooth: float, rng: np.random.Generator) -> Array:
    """Smooth noise (n, channels, height, width); each channel of an image spans [0, 1]."""
    from scipy import ndimage

    field = ndimage.gaussian_filter(rng.standard_normal(shape, dtype=np.float32), (0, 0, smooth, smooth), mode="wrap")
    field -= field.min(axis=(2, 3), keepdims=True)
    top = field.max(axis=(2, 3), keepdims=True)
    return np.asarray(field / np.where(top == 0, 1, top))


def _rotate_and_zoom(x: Array, degrees: float = 0.0, factor: float = 1.0) -> Array:
    """Images rotated counter-clockwise and enlarged about their centre; uncovered pixels get the darkest value."""
    import torch
    from torchvision.transforms.v2 import functional

    low, _ = value_range(x)
    bilinear = functional.InterpolationMode.BILINEAR

    def transformed(chunk: Array) -> Array:
        image, fill = torch.from_numpy(chunk), [float(low)] * chunk.shape[1]
        if factor == 1:
            return np.asarray(functional.rotate(image, degrees, interpolation=bilinear, fill=fill).numpy())
        zoomed = functional.affine(image, -degrees, [0, 0], factor, [0.0, 0.0], interpolation=bilinear, fill=fill)
        return np.asarray(zoomed.numpy())

    return map_images(x, transformed)
