"""Which files are images: by their suffix, in upper or lower case, or by their first bytes where the suffix tells nothing."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import PurePosixPath

SUFFIXES = frozenset(
    {".jpg", ".jpeg", ".jpe", ".jfif", ".jif", ".mpo", ".png", ".apng", ".bmp", ".dib", ".gif", ".tif", ".tiff", ".webp"}
    | {".ppm", ".pgm", ".pbm", ".pnm", ".avif"}
)
"""Suffixes of the formats that are read."""
UNREAD_SUFFIXES = frozenset(
    {".heic", ".heif", ".hif", ".jp2", ".j2k", ".jpx", ".jxl", ".jxr", ".tga", ".psd", ".xcf", ".svg", ".eps", ".ico", ".exr"}
    | {".hdr", ".dds", ".pcx", ".qoi", ".dng", ".cr2", ".cr3", ".nef", ".arw", ".orf", ".rw2", ".raf", ".dcm"}
)
"""Suffixes of other formats of images: their files are images that can't be read, and not to be left out without a word."""
HEAD_BYTES = 16
"""So many first bytes of a file tell its format."""
_HEADS = (b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"GIF87a", b"GIF89a", b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
_HEIC_BRANDS = frozenset({b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1"})
_AVIF_BRANDS = frozenset({b"avif", b"avis"})


def has_image_suffix(name: str) -> bool:
    """Whether the suffix of a file is that of an image, of a format that is read or of one that isn't."""
    return PurePosixPath(name).suffix.lower() in SUFFIXES | UNREAD_SUFFIXES


def is_image(head: bytes) -> bool:
    """Whether the first bytes of a file are those of an image: JPEG, PNG, GIF, TIFF, WebP, BMP, AVIF or HEIC."""
    is_webp = head[:4] == b"RIFF" and head[8:12] == b"WEBP"
    is_bitmap = head[:2] == b"BM" and head[6:10] == bytes(4)
    return head.startswith(_HEADS) or is_webp or is_bitmap or _brand(head) in _HEIC_BRANDS | _AVIF_BRANDS


def unread_reason(name: str, content: bytes, formats: Sequence[str]) -> str:
    """Why an image is of no format that is read, and what to do about it.

    Args:
        name: the name of its file.
        content: its bytes, or the first of them.
        formats: the formats that are read.
    """
    suffix = PurePosixPath(name).suffix.lower()
    if _brand(content) in _HEIC_BRANDS or suffix in {".heic", ".heif", ".hif"}:
        return "HEIC images are not read; convert them to JPEG or PNG"
    if _brand(content) in _AVIF_BRANDS:
        return "this Pillow does not read AVIF; install Pillow 11.3 or later, or convert the images to JPEG or PNG"
    if suffix in UNREAD_SUFFIXES:
        return f"images of the format {suffix} are not read; convert them to JPEG or PNG"
    return f"not an image of a supported format: {', '.join(formats)}"


def _brand(head: bytes) -> bytes:
    """The brand of a file in the ISO base media format, such as AVIF and HEIC; empty for other files."""
    return head[8:12] if head[4:8] == b"ftyp" else b""
