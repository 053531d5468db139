"""Encoded images -> byte images of one size, decoded in parallel threads (Pillow lets go of the interpreter to decode).

A JPEG is decoded at the smallest scale of its transform that is not below the size that is wanted.
"""

from __future__ import annotations

import io
import os
import warnings
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import Field

from tlbench.data.arrays import Array
from tlbench.terms import Strict, TlbenchError

FORMATS = ("JPEG", "PNG", "BMP", "GIF", "TIFF", "WEBP", "PPM")
"""What is tried on the bytes of an image; Pillow knows many more, some of which start other programs."""
PIXELS_LIMIT = 64 * 2**20
"""Images of more pixels than this are refused before they are decoded."""
DECODED_LIMIT_BYTES = 16 * 2**30
SHOWN = 5
"""Bad images that a message names."""


class ImageOptions(Strict, strict=True):
    """The keys that every reader of encoded images has."""

    size: Annotated[int, Field(gt=0, le=4096, description="pixels to resize to: both sides, or with crop the shorter one")]
    crop: Annotated[int, Field(gt=0, le=4096, description="pixels of the square that is cut from the centre")] | None = None
    mode: Annotated[Literal["rgb", "grey"], Field(description="three channels or one")] = "rgb"
    skip_bad: Annotated[bool, Field(description="whether images that don't decode are left out")] = False


Encoded = tuple[str, bytes]
"""The name of an image, for messages, and its bytes."""


def decoded(images: Sequence[Encoded], options: ImageOptions) -> tuple[Array, Array, tuple[str, ...]]:
    """Encoded images -> uint8 (M, channels, side, side), the numbers (M,) of those that decoded, and notes on the others.

    Raises:
        TlbenchError: images that don't decode (unless skip_bad), none that does, or more than memory should hold.
    """
    side, channels = options.crop or options.size, 3 if options.mode == "rgb" else 1
    if options.crop is not None and options.crop > options.size:
        raise TlbenchError(f"crop = {options.crop} is larger than size = {options.size}")
    if (size := len(images) * channels * side * side) > DECODED_LIMIT_BYTES:
        raise TlbenchError(f"{len(images)} images of {side}x{side} take {size / 2**30:.1f} GiB; set a smaller size")
    x = np.empty((len(images), channels, side, side), dtype=np.uint8)

    def one(number: int) -> str | None:
        try:
            x[number] = _pixels(images[number][1], options)
        except TlbenchError as error:
            return str(error)
        except Exception as error:  # decoders raise nearly anything on damaged bytes
            return f"{type(error).__name__}: {error}".splitlines()[0]
        return None

    with warnings.catch_warnings(), ThreadPoolExecutor(_cores()) as pool:
        warnings.simplefilter("ignore")  # Pillow's remarks on odd but whole files
        said = list(pool.map(one, range(len(images))))
    bad = [number for number, text in enumerate(said) if text is not None]
    if not bad:
        return x, np.arange(len(images)), ()
    shown = "; ".join(f"{images[number][0]} ({said[number]})" for number in bad[:SHOWN])
    text = f"{len(bad)} of {len(images)} images do not decode: {shown}{'; ...' if len(bad) > SHOWN else ''}"
    if not options.skip_bad:
        raise TlbenchError(f"{text}; mend them, or set skip_bad = true to go on without them")
    if len(bad) == len(images):
        raise TlbenchError(text)
    good = np.setdiff1d(np.arange(len(images)), bad)
    return x[good], good, (f"{text}; left out, as skip_bad says",)


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
