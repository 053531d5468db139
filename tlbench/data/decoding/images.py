"""Encoded images -> byte images of one size, decoded in parallel threads (Pillow releases the GIL while it decodes).

A JPEG is decoded at the smallest scale of its transform that is not below the wanted size. A few encoded images are queued at a
time; decoded ones lie in memory or, if they are many, in a mapped file.
"""

from __future__ import annotations

import functools
import io
import math
import os
import warnings
from collections import Counter, deque
from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import Field

from tlbench.data.decoding import image_files, mapped_arrays, pixels
from tlbench.data.decoding.arrays import Array
from tlbench.errors import TlbenchError
from tlbench.terms import Strict

FORMATS = ("JPEG", "PNG", "BMP", "GIF", "TIFF", "WEBP", "PPM", "AVIF")
"""The formats that are tried, AVIF where Pillow was built with it; Pillow supports more, some of which start other programs."""
PIXELS_LIMIT = 64 * 2**20
"""Images of more pixels than this are refused before they are decoded."""
DECODED_LIMIT_BYTES = 256 * 2**30
QUEUED_IMAGES_PER_CORE = 8
SHOWN_ERRORS = 5
"""An error message names this many damaged images."""


class ImageOptions(Strict, strict=True):
    """The keys that every reader of encoded images has."""

    size: Annotated[int, Field(gt=0, le=4096, description="pixels to resize to: both sides, or with crop the shorter one")]
    crop: Annotated[int, Field(gt=0, le=4096, description="pixels of the square that is cut from the centre")] | None = None
    mode: Annotated[Literal["rgb", "grey"], Field(description="three channels or one")] = "rgb"
    full_decode: Annotated[
        bool, Field(description="whether JPEGs are decoded in full before they are resized, as for published weights; slower")
    ] = False
    skip_bad: Annotated[bool, Field(description="whether images that don't decode are left out")] = False


@dataclass(frozen=True)
class EncodedImage:
    """An image before it is decoded."""

    index: int
    """The index of its sample."""
    name: str
    """For error messages."""
    read_bytes: Callable[[], bytes]


def decode(images: Iterable[EncodedImage], count: int, options: ImageOptions) -> tuple[Array, Array, tuple[str, ...]]:
    """Decode images to one size.

    Args:
        images: one for each sample, in any order.
        count: the number of images N.
        options: size and mode of the decoded images.

    Returns:
        uint8 (M, channels, side, side), the sample indices (M,) of the images that decoded, and notes on the others.

    Raises:
        TlbenchError: some images don't decode (unless skip_bad is set), none does, or all of them take too much disk space.
    """
    side, channels = options.crop or options.size, 3 if options.mode == "rgb" else 1
    if options.crop is not None and options.crop > options.size:
        raise TlbenchError(f"crop = {options.crop} is larger than size = {options.size}; it must not be.")
    if (size_bytes := count * channels * side * side) > DECODED_LIMIT_BYTES:
        raise TlbenchError(
            f"{count} images of {side}x{side} take {size_bytes / 2**30:.1f} GiB, and {DECODED_LIMIT_BYTES / 2**30:g} GiB are "
            "allowed. Set a smaller size."
        )
    x = mapped_arrays.empty((count, channels, side, side), np.uint8)
    errors, note_of = _decode_into(x, images, options)
    note_counts = Counter(note for notes_of_one in note_of.values() for note in notes_of_one)
    notes = tuple(f"{n} of {count} images {note}" for note, n in sorted(note_counts.items()))
    if not errors:
        return x, np.arange(count), notes
    shown = "; ".join(errors[index] for index in sorted(errors)[:SHOWN_ERRORS])
    text = f"{len(errors)} of {count} images do not decode: {shown}{'; ...' if len(errors) > SHOWN_ERRORS else ''}"
    if not options.skip_bad:
        raise TlbenchError(f"{text}. Repair them, or set skip_bad = true to leave them out.")
    if len(errors) == count:
        raise TlbenchError(f"{text}. Check the path.")
    indices = np.setdiff1d(np.arange(count), list(errors))
    return mapped_arrays.take(x, indices), indices, (*notes, f"{text}; left out, as skip_bad says")


def _decode_into(
    x: Array, images: Iterable[EncodedImage], options: ImageOptions
) -> tuple[dict[int, str], dict[int, list[str]]]:
    """Write each decoded image to its index of x (N, channels, side, side), in threads.

    Returns:
        Index of a damaged image -> its name and what is wrong with it; index of another one -> notes on it, if any.
    """
    from PIL import UnidentifiedImageError

    errors: dict[int, str] = {}
    notes: dict[int, list[str]] = {}

    def decode_one(image: EncodedImage) -> None:
        content = b""
        try:
            content = image.read_bytes()
            x[image.index], notes_of_one = _decode_image(content, options)
            if notes_of_one:
                notes[image.index] = notes_of_one
        except TlbenchError as error:
            errors[image.index] = f"{image.name} ({error})"
        except UnidentifiedImageError:  # its own text holds a memory address
            errors[image.index] = f"{image.name} ({image_files.unread_reason(image.name, content, _installed_formats())})"
        except Exception as error:  # decoders raise nearly anything on damaged bytes
            errors[image.index] = f"{image.name} ({f'{type(error).__name__}: {error}'.splitlines()[0]})"

    pending: deque[Future[None]] = deque()
    images_per_release = max(1, mapped_arrays.CHUNK_BYTES // math.prod(x.shape[1:]))
    with warnings.catch_warnings(), ThreadPoolExecutor(_cores()) as pool:
        warnings.simplefilter("ignore")  # Pillow warns of unusual files that decode all the same
        for number, image in enumerate(images):
            pending.append(pool.submit(decode_one, image))
            if len(pending) > QUEUED_IMAGES_PER_CORE * _cores():
                pending.popleft().result()
            if number % images_per_release == 0:
                mapped_arrays.release(x)
        for future in pending:
            future.result()
    return errors, notes


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _decode_image(content: bytes, options: ImageOptions) -> tuple[Any, list[str]]:
    """One image as (channels, side, side), upright and with 8 bits per channel, and notes on what was done for it."""
    from PIL import Image

    mode = "RGB" if options.mode == "rgb" else "L"
    with Image.open(io.BytesIO(content), formats=_installed_formats()) as image:
        _check_pixels(image.size)
        if image.format == "TIFF":
            image.load()  # which turns it upright
        transposition = pixels.orientation(image)
        size = _target_size(image.size if transposition is None else pixels.transposed_size(image.size, transposition), options)
        if not options.full_decode:
            image.draft(mode, size if transposition is None else pixels.transposed_size(size, transposition))
        image.load()
        plain, note = pixels.plain(image)
        notes = [] if note is None else [note]
        if transposition is not None:
            plain = plain.transpose(transposition)
            notes.append(pixels.UPRIGHTED)
        if plain.mode != mode:
            plain = plain.convert(mode)
        if plain.size != size:
            plain = plain.resize(size, Image.Resampling.BILINEAR)
        if options.crop is not None:
            left, top = (size[0] - options.crop) // 2, (size[1] - options.crop) // 2
            plain = plain.crop((left, top, left + options.crop, top + options.crop))
        array = np.asarray(plain)
    return array[None] if array.ndim == 2 else array.transpose(2, 0, 1), notes


def _check_pixels(size: tuple[int, int]) -> None:
    if size[0] * size[1] > PIXELS_LIMIT:
        raise TlbenchError(f"{size[0]}x{size[1]} pixels are more than the {PIXELS_LIMIT} allowed")


def _target_size(size: tuple[int, int], options: ImageOptions) -> tuple[int, int]:
    """The size (width, height) to resize an upright image of `size` to, before it is cropped."""
    if options.crop is None:
        return options.size, options.size
    width, height = size
    shorter = min(width, height)
    target = (round(width * options.size / shorter), round(height * options.size / shorter))
    if target[0] * target[1] > PIXELS_LIMIT:
        raise TlbenchError(f"{width}x{height} pixels become {target[0]}x{target[1]}, more than the {PIXELS_LIMIT} allowed")
    return target


@functools.cache
def _installed_formats() -> tuple[str, ...]:
    from PIL import Image

    Image.init()
    return tuple(name for name in FORMATS if name in Image.OPEN)
