"""Encoded images -> byte images of one size, decoded in parallel threads (Pillow lets go of the interpreter to decode).

A JPEG is decoded at the smallest scale of its transform that is not below the size that is wanted. Encoded images are held
a few at a time, decoded ones in memory or, if they are many, in a mapped file.
"""

from __future__ import annotations

import io
import os
import warnings
from collections import deque
from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import Field

from tlbench.data.decoding import mapped_arrays
from tlbench.data.decoding.arrays import Array
from tlbench.errors import TlbenchError
from tlbench.terms import Strict

FORMATS = ("JPEG", "PNG", "BMP", "GIF", "TIFF", "WEBP", "PPM")
"""What is tried on the bytes of an image; Pillow knows many more, some of which start other programs."""
PIXELS_LIMIT = 64 * 2**20
"""Images of more pixels than this are refused before they are decoded."""
DECODED_LIMIT_BYTES = 256 * 2**30
AHEAD = 8
"""Encoded images that are held for each core."""
SHOWN = 5
"""Bad images that a message names."""


class ImageOptions(Strict, strict=True):
    """The keys that every reader of encoded images has."""

    size: Annotated[int, Field(gt=0, le=4096, description="pixels to resize to: both sides, or with crop the shorter one")]
    crop: Annotated[int, Field(gt=0, le=4096, description="pixels of the square that is cut from the centre")] | None = None
    mode: Annotated[Literal["rgb", "grey"], Field(description="three channels or one")] = "rgb"
    skip_bad: Annotated[bool, Field(description="whether images that don't decode are left out")] = False


@dataclass(frozen=True)
class Encoded:
    """An image before it is decoded: the row that it becomes, its name for messages, and how to get at its bytes."""

    index: int
    name: str
    held: Callable[[], bytes]


def decode(images: Iterable[Encoded], count: int, options: ImageOptions) -> tuple[Array, Array, tuple[str, ...]]:
    """Encoded images -> uint8 (M, channels, side, side), the rows (M,) of those that decoded, and notes on the others.

    Args:
        images: one for each row, in any order.
        count: how many there are.
        options: what becomes of them.

    Raises:
        TlbenchError: images that don't decode (unless skip_bad), none that does, or more than a disk should hold.
    """
    side, channels = options.crop or options.size, 3 if options.mode == "rgb" else 1
    if options.crop is not None and options.crop > options.size:
        raise TlbenchError(f"crop = {options.crop} is larger than size = {options.size}")
    if (size := count * channels * side * side) > DECODED_LIMIT_BYTES:
        raise TlbenchError(f"{count} images of {side}x{side} take {size / 2**30:.1f} GiB; set a smaller size")
    from PIL import UnidentifiedImageError

    x = mapped_arrays.empty((count, channels, side, side), np.uint8)
    bad: dict[int, str] = {}

    def one(image: Encoded) -> None:
        try:
            x[image.index] = _pixels(image.held(), options)
        except TlbenchError as error:
            bad[image.index] = f"{image.name} ({error})"
        except UnidentifiedImageError:  # whose own text names a place in memory
            bad[image.index] = f"{image.name} (no image of a format that is read: {', '.join(FORMATS)})"
        except Exception as error:  # decoders raise nearly anything on damaged bytes
            bad[image.index] = f"{image.name} ({f'{type(error).__name__}: {error}'.splitlines()[0]})"

    waiting: deque[Future[None]] = deque()
    pace = max(1, mapped_arrays.CHUNK_BYTES // (channels * side * side))
    with warnings.catch_warnings(), ThreadPoolExecutor(_cores()) as pool:
        warnings.simplefilter("ignore")  # Pillow's remarks on odd but whole files
        for number, image in enumerate(images):
            waiting.append(pool.submit(one, image))
            if len(waiting) > AHEAD * _cores():
                waiting.popleft().result()
            if number % pace == 0:
                mapped_arrays.release(x)
        for rest in waiting:
            rest.result()
    if not bad:
        return x, np.arange(count), ()
    shown = "; ".join(bad[row] for row in sorted(bad)[:SHOWN])
    text = f"{len(bad)} of {count} images do not decode: {shown}{'; ...' if len(bad) > SHOWN else ''}"
    if not options.skip_bad:
        raise TlbenchError(f"{text}; mend them, or set skip_bad = true to go on without them")
    if len(bad) == count:
        raise TlbenchError(text)
    good = np.setdiff1d(np.arange(count), list(bad))
    return mapped_arrays.taken(x, good), good, (f"{text}; left out, as skip_bad says",)


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _pixels(held: bytes, options: ImageOptions) -> Any:
    """One image as (channels, side, side)."""
    from PIL import Image

    mode = "RGB" if options.mode == "rgb" else "L"
    with Image.open(io.BytesIO(held), formats=FORMATS) as image:
        width, height = image.size
        if width * height > PIXELS_LIMIT:
            raise TlbenchError(f"{width}x{height} pixels are more than the {PIXELS_LIMIT} allowed")
        shorter = min(width, height)
        wanted = (options.size, options.size)
        if options.crop is not None:
            wanted = (round(width * options.size / shorter), round(height * options.size / shorter))
            if wanted[0] * wanted[1] > PIXELS_LIMIT:
                raise TlbenchError(
                    f"{width}x{height} pixels become {wanted[0]}x{wanted[1]}, more than the {PIXELS_LIMIT} allowed"
                )
        image.draft(mode, wanted)
        image.load()
        plain: Image.Image = image
        if image.mode in ("P", "PA", "LA", "RGBA", "La", "RGBa") or "transparency" in image.info:
            alpha = image.convert("RGBA")  # what is clear shows white, as on a page
            plain = Image.new("RGB", image.size, "white")
            plain.paste(alpha, mask=alpha.getchannel("A"))
        elif image.mode.startswith("I;16"):
            plain = Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))
        if plain.mode != mode:
            plain = plain.convert(mode)
        if plain.size != wanted:
            plain = plain.resize(wanted, Image.Resampling.BILINEAR)
        if options.crop is not None:
            left, top = (wanted[0] - options.crop) // 2, (wanted[1] - options.crop) // 2
            plain = plain.crop((left, top, left + options.crop, top + options.crop))
        pixels = np.asarray(plain)
    return pixels[None] if pixels.ndim == 2 else pixels.transpose(2, 0, 1)
