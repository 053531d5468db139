"""Decoded images of any mode -> upright images with 8 bits per channel; deep values are scaled, never clipped."""

from __future__ import annotations

from typing import Any

import numpy as np
from PIL import Image

from tlbench.data.decoding.arrays import Array
from tlbench.errors import TlbenchError

ORIENTATION_TAG = 0x0112
"""The tag of EXIF and TIFF that says how an image is turned. https://www.cipa.jp/std/documents/e/DC-008-2012_E.pdf"""
TRANSPOSITIONS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""Orientation -> what turns an image upright; 1 is upright."""
UPRIGHTED = "are turned upright, as their EXIF orientation says"
INTEGERS = "of 32-bit integers are read as 16-bit values: 0 is black, 65535 white"
FLOATS = "of floating-point numbers are read as values in [0, 1]: 0 is black, 1 white"
"""Notes, after "N of M images"."""


def orientation(image: Image.Image) -> Image.Transpose | None:
    """What turns an opened image upright; None where it is upright, or where its EXIF data are damaged."""
    try:
        return TRANSPOSITIONS.get(image.getexif().get(ORIENTATION_TAG, 1))
    except Exception:  # damaged EXIF data raise nearly anything, and the pixels may be whole
        return None


def transposed_size(size: tuple[int, int], transposition: Image.Transpose) -> tuple[int, int]:
    """The size (width, height) after a transposition; the transposition back has the same effect on it."""
    swaps = {Image.Transpose.TRANSPOSE, Image.Transpose.TRANSVERSE, Image.Transpose.ROTATE_90, Image.Transpose.ROTATE_270}
    return (size[1], size[0]) if transposition in swaps else size


def plain(image: Image.Image) -> tuple[Image.Image, str | None]:
    """An image without transparency, on white as on a page, and with 8 bits per channel; and a note on how it was scaled.

    Raises:
        TlbenchError: values outside the range that is read.
    """
    if image.mode.startswith(("I", "F")):
        return _shallow(image)
    if image.mode in ("P", "PA", "LA", "RGBA", "La", "RGBa") or "transparency" in image.info:
        rgba = image.convert("RGBA")
        opaque = Image.new("RGB", image.size, "white")
        opaque.paste(rgba, mask=rgba.getchannel("A"))
        return opaque, None
    return image, None


def _shallow(image: Image.Image) -> tuple[Image.Image, str | None]:
    """A grey image of 16-bit or 32-bit integers or of floats, scaled to 8 bits."""
    values, note = np.asarray(image), None
    if image.mode == "F":
        bytes_HW, note = _bytes_of_floats(values), FLOATS
    else:
        is_16_bit = image.mode.startswith("I;16") or image.format in ("PNG", "PPM")  # whose 16 bits some Pillows widen to 32
        if not is_16_bit:
            _check_range(values)
            note = INTEGERS
        bytes_HW = (values.astype(np.int64) >> 8).astype(np.uint8)
    transparent: Any = image.info.get("transparency")
    if isinstance(transparent, int):
        bytes_HW = np.where(values == transparent, np.uint8(255), bytes_HW)
    return Image.fromarray(bytes_HW), note


def _check_range(values: Array) -> None:
    low, high = int(values.min()), int(values.max())
    if low < 0 or high > 0xFFFF or 0 < high <= 0xFF:
        raise TlbenchError(
            f"32-bit integers from {low} to {high}, where 16-bit values are read (0 is black, 65535 white, and a maximum of "
            "255 or less leaves open which range is meant); save it with 8 or 16 bits"
        )


def _bytes_of_floats(values: Array) -> Array:
    if not np.isfinite(values).all() or values.min() < 0 or values.max() > 1:
        raise TlbenchError(
            f"floating-point values from {values.min():g} to {values.max():g}, where values in [0, 1] are read; "
            "scale them, or save it with 8 or 16 bits"
        )
    return np.rint(values * 255).astype(np.uint8)
