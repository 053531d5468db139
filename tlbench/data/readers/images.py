"""Photographs in a folder or a tar archive, `<domain>/<class>/*`: the folder of an image is its class."""

from __future__ import annotations

import os
import tarfile
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Annotated

import numpy as np
from pydantic import Field

from tlbench.data import files, images
from tlbench.data.arrays import Table
from tlbench.data.mistakes import way_out
from tlbench.terms import TlbenchError

SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".gif", ".tif", ".tiff", ".webp", ".ppm", ".pgm"})
IMAGE_LIMIT_BYTES = 256 * 2**20
ENCODED_LIMIT_BYTES = 8 * 2**30


class Options(images.ImageOptions, strict=True):
    """Where the images are, and what size they get."""

    path: Annotated[str, Field(description="the folder or the tar archive, relative to the data root")]
    domain: Annotated[str, Field(description="the folder inside that holds the classes; '' where path holds them")] = ""


def read(options: Options, root: Path) -> Table:
    """Byte images (N, channels, side, side), sorted by class and name, and the names of their folders (N,).

    Raises:
        TlbenchError: no such folder, an archive that is damaged or has links or paths that leave it, images that don't decode.
    """
    inside = PurePosixPath(options.domain)
    if inside.is_absolute() or ".." in inside.parts:
        raise TlbenchError(f"domain {options.domain!r} leaves {options.path!r}")
    there = root / options.path
    path = files.find(root, options.path, folder=not there.is_file())
    found = sorted(_archived(path, inside) if path.is_file() else _lying(path, inside))
    if not found:
        raise TlbenchError(f"{path}: no image in folders <class>/* under {options.domain or '.'!r}")
    x, good, notes = images.decoded([(name, held) for _, name, held in found], options)
    return Table(x, np.array([label for label, _, _ in found])[good], notes=notes)


def _lying(path: Path, inside: PurePosixPath) -> Iterator[tuple[str, str, bytes]]:
    """Class, name and bytes of each image in a folder."""
    real = path.resolve()
    home = files.find(path, str(inside), folder=True)
    size = 0
    for folder, folders, names in os.walk(home):
        for name in (*folders, *names):
            if not (one := Path(folder, name)).resolve().is_relative_to(real):
                raise TlbenchError(f"{one} is a link that leaves {path}")
        for name in names:
            one = Path(folder, name)
            label = one.relative_to(home).parts[0]
            if one.suffix.lower() in SUFFIXES and label != name:
                size += (more := one.stat().st_size)
                _allowed(one, more, size)
                yield label, str(one.relative_to(home)), one.read_bytes()


def _archived(path: Path, inside: PurePosixPath) -> Iterator[tuple[str, str, bytes]]:
    """Class, name and bytes of each image in a tar archive, gzip or plain; nothing is unpacked to disk."""
    depth, size, tops = len(inside.parts), 0, set()
    with files.reading(path, "tar"), files.unzipped(path) as stream, tarfile.open(fileobj=stream, mode="r:") as archive:
        for member in archive:
            name = PurePosixPath(member.name)
            if name.is_absolute() or ".." in name.parts or member.issym() or member.islnk() or member.isdev():
                raise TlbenchError(f"{path}: member {member.name!r} is a link, a device or leaves the archive; refused")
            if name.parts[:depth] != inside.parts:
                tops.add("/".join(name.parts[:depth]))
                continue
            if member.isfile() and name.suffix.lower() in SUFFIXES and len(name.parts) > depth + 1:
                size += member.size
                _allowed(path / name, member.size, size)
                held = archive.extractfile(member)
                content = b"" if held is None else held.read()
                if len(content) != member.size:
                    raise TlbenchError(f"{path}: ends within {member.name!r}; truncated")
                yield name.parts[depth], str(name.relative_to(inside)), content
        if not size and tops:
            raise TlbenchError(f"{path}: no folder {str(inside)!r} with images; {way_out(str(inside), sorted(tops))}")


def _allowed(path: Path, size: int, together: int) -> None:
    if size > IMAGE_LIMIT_BYTES or together > ENCODED_LIMIT_BYTES:
        raise TlbenchError(f"{path}: {max(size, together)} bytes of images are more than is allowed")
