"""Photographs in a folder or a tar archive, `<domain>/<class>/*`: the folder of an image is its class."""

from __future__ import annotations

import functools
import os
import tarfile
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Annotated, NamedTuple

import numpy as np
from pydantic import Field

from tlbench.data.decoding import files, images
from tlbench.data.decoding.arrays import ReaderResult
from tlbench.data.decoding.images import EncodedImage
from tlbench.errors import TlbenchError, did_you_mean

SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".gif", ".tif", ".tiff", ".webp", ".ppm", ".pgm"})
IMAGE_LIMIT_BYTES = 256 * 2**20
ENCODED_LIMIT_BYTES = 256 * 2**30


class Options(images.ImageOptions, strict=True):
    """Where the images are, and what size they get."""

    path: Annotated[str, Field(description="the folder or the tar archive, relative to the data root")]
    domain: Annotated[str, Field(description="the folder inside that holds the classes; '' where path holds them")] = ""


def read(options: Options, root: Path) -> ReaderResult:
    """Byte images (N, channels, side, side), sorted by class and name, and the names of their folders (N,).

    Raises:
        TlbenchError: no such folder, an archive that is damaged or has links or paths that leave it, images that don't decode.
    """
    inside = PurePosixPath(options.domain)
    if inside.is_absolute() or ".." in inside.parts:
        raise TlbenchError(f"domain {options.domain!r} leaves {options.path!r}")
    there = root / options.path
    path = files.find(root, options.path, folder=not there.is_file())
    found = sorted(_listed(path, inside) if path.is_file() else _lying(path, inside))
    if not found:
        raise TlbenchError(f"{path}: no image in folders <class>/* under {options.domain or '.'!r}")
    encoded = _archived(path, found) if path.is_file() else _filed(found)
    x, good, notes = images.decode(encoded, len(found), options)
    return ReaderResult(x, np.array([one.label for one in found])[good], notes=notes)


def sources(options: Options, root: Path) -> list[Path]:
    """The archive, or the files below the folder of the domain: those of the other domains beside it are not read."""
    if any(PurePosixPath(path).is_absolute() or ".." in PurePosixPath(path).parts for path in (options.path, options.domain)):
        return []
    if (archive := root / options.path).is_file():
        return [archive]
    return sorted(file for file in (archive / options.domain).rglob("*") if file.is_file())


class Found(NamedTuple):
    """An image that was found: its class, its name below the domain, and where its bytes are."""

    label: str
    name: str
    file: str
    """The file, or the member of the archive."""
    begin: int = 0
    size: int = 0


def _filed(found: list[Found]) -> Iterator[EncodedImage]:
    for row, one in enumerate(found):
        yield EncodedImage(row, one.name, Path(one.file).read_bytes)


def _archived(path: Path, found: list[Found]) -> Iterator[EncodedImage]:
    """The images of an archive: by their places if it is plain, in its own order if it is packed."""
    with path.open("rb") as stream:
        zipped = stream.read(2) == b"\x1f\x8b"
        for row, one in enumerate(() if zipped else found):
            stream.seek(one.begin)
            yield EncodedImage(row, one.name, functools.partial(bytes, stream.read(one.size)))
    if not zipped:
        return
    rows = {one.begin: (row, one.name) for row, one in enumerate(found)}
    yield from files.guarded_items(path, "tar", _unpacked(path, rows))


def _unpacked(path: Path, rows: dict[int, tuple[int, str]]) -> Iterator[EncodedImage]:
    with files.open_unzipped(path) as unpacked, tarfile.open(fileobj=unpacked, mode="r:") as archive:
        for member in archive:
            if member.offset_data in rows and member.isfile():
                row, name = rows[member.offset_data]
                held = archive.extractfile(member)
                content = b"" if held is None else held.read()
                if len(content) != member.size:
                    raise TlbenchError(f"{path}: ends within {member.name!r}; truncated")
                yield EncodedImage(row, name, functools.partial(bytes, content))


def _lying(path: Path, inside: PurePosixPath) -> Iterator[Found]:
    """The images in a folder."""
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
                if not one.is_file():  # to open a pipe would wait for ever
                    raise TlbenchError(f"{one} is no plain file (a link to nothing, a pipe or a device); take it away")
                size += (more := one.stat().st_size)
                _allowed(one, more, size)
                yield Found(label, str(one.relative_to(home)), str(one))


def _listed(path: Path, inside: PurePosixPath) -> Iterator[Found]:
    """The images in a tar archive, gzip or plain; nothing is unpacked to disk."""
    depth, size, tops = len(inside.parts), 0, set()
    with path.open("rb") as plain:
        zipped = plain.read(2) == b"\x1f\x8b"
    with (
        files.guarded_reading(path, "tar"),
        files.open_unzipped(path) as stream,
        tarfile.open(fileobj=stream, mode="r:") as archive,
    ):
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
                if not zipped and member.offset_data + member.size > path.stat().st_size:
                    raise TlbenchError(f"{path}: ends within {member.name!r}; truncated")
                place = (member.offset_data, member.size)
                yield Found(name.parts[depth], str(name.relative_to(inside)), member.name, *place)
        stream.seek(
            archive.offset
        )  # tarfile takes an archive that is cut between two members, or damaged there, for a whole one
        if stream.read(tarfile.BLOCKSIZE) != bytes(tarfile.BLOCKSIZE):
            raise TlbenchError(
                f"{path}: not a whole tar file: no mark of its end at byte {archive.offset}; truncated or damaged"
            )
        if not size and tops:
            raise TlbenchError(
                f"{path}: There is no folder {str(inside)!r} with images. {did_you_mean(str(inside), sorted(tops))}"
            )


def _allowed(path: Path, size: int, together: int) -> None:
    if size > IMAGE_LIMIT_BYTES or together > ENCODED_LIMIT_BYTES:
        raise TlbenchError(f"{path}: {max(size, together)} bytes of images are more than is allowed")
