"""Images in a folder or a tar archive, `<domain>/<class>/*`; the class of an image is the name of its folder."""

from __future__ import annotations

import functools
import tarfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Annotated, NamedTuple

import numpy as np
from pydantic import Field

from tlbench.data.decoding import archives, files, folders, image_files, images
from tlbench.data.decoding.arrays import ReaderResult
from tlbench.data.decoding.images import EncodedImage
from tlbench.errors import TlbenchError, did_you_mean

IMAGE_LIMIT_BYTES = 256 * 2**20
"""The limit of one encoded image."""
ENCODED_LIMIT_BYTES = 256 * 2**30
"""The limit of all encoded images of a domain."""


LIBRARIES = ("pillow",)


class Options(images.ImageOptions, strict=True):
    """The folder or archive of the images, and their size."""

    path: Annotated[str, Field(description="the folder or the tar archive, relative to the data root")]
    domain: Annotated[
        str, Field(description="the folder inside path that holds the folders of the classes; '': path itself")
    ] = ""


def read(options: Options, root: Path) -> ReaderResult:
    """Byte images (N, channels, side, side), sorted by class and name, and the names of their folders (N,).

    Raises:
        TlbenchError: a folder that is not there, a damaged archive, links or paths that leave it, or images that don't decode.
    """
    inside = PurePosixPath(options.domain)
    if inside.is_absolute() or ".." in inside.parts:
        raise TlbenchError(f"The domain {options.domain!r} leaves {options.path!r}. Name a folder inside it.")
    path = files.find(root, options.path, folder=not (root / options.path).is_file())
    left_out = LeftOut()
    entries = sorted(_list_archive(path, inside, left_out) if path.is_file() else _list_folder(path, inside, left_out))
    if not entries:
        raise TlbenchError(
            f"{path}: There is no image in folders <class>/* under {options.domain or '.'!r}. Set domain to their folder."
        )
    encoded = _images_of_archive(path, entries) if path.is_file() else _images_of_files(entries)
    x, decoded, notes = images.decode(encoded, len(entries), options)
    y = np.array([entry.label for entry in entries])[decoded]
    classes = {entry.label for entry in entries}
    cut = f", cut to {options.crop}" if options.crop else ""
    reading = (
        f"{len(y):,} of {len(entries):,} images in {len(classes)} folders of {str(path / inside)!r}",
        f"resized to {options.size} pixels{cut}, {'three channels' if options.mode == 'rgb' else 'one channel'}",
    )
    return ReaderResult(x, y, notes=(*left_out.notes(classes), *notes), reading=reading)


def sources(options: Options, root: Path) -> list[Path]:
    """The archive, or the files below the folder of the domain; files of other domains are not read.

    Raises:
        TlbenchError: a link leaves the folder, or leads to a folder that holds it.
    """
    if any(PurePosixPath(path).is_absolute() or ".." in PurePosixPath(path).parts for path in (options.path, options.domain)):
        return []
    if (archive := root / options.path).is_file():
        return [archive]
    folder = archive / options.domain
    return [file for file in folders.walk(folder, archive)[0] if file.is_file()] if folder.is_dir() else []


@dataclass
class LeftOut:
    """The names of files below the folder of a domain that are not read."""

    hidden: list[str] = field(default_factory=list)
    beside: list[str] = field(default_factory=list)
    """Images that lie in no folder of a class."""
    others: list[str] = field(default_factory=list)
    """Files in the folders of classes that are no images."""

    def notes(self, classes: Sequence[str] | set[str]) -> tuple[str, ...]:
        """Notes on what is left out.

        Args:
            classes: the classes that have an image.
        """
        beside = (f"{len(self.beside)} images lie in no folder of a class and are left out",) if self.beside else ()
        empty = sorted({PurePosixPath(name).parts[0] for name in self.others} - set(classes))
        no_class = (f"the folders {', '.join(empty)} hold no image and are no classes",) if empty else ()
        others = folders.suffix_note(self.others, "no images")
        return (*folders.hidden_note(self.hidden), *others, *beside, *no_class)


class ImageEntry(NamedTuple):
    """An image to read: its class, its name below the domain, and where its bytes are."""

    label: str
    name: str
    file: str
    """The file, or the member of the archive."""
    offset: int = 0
    """Where its bytes begin in the archive."""
    size: int = 0
    """The number of its bytes in the archive."""


def _images_of_files(entries: list[ImageEntry]) -> Iterator[EncodedImage]:
    for index, entry in enumerate(entries):
        yield EncodedImage(index, entry.name, Path(entry.file).read_bytes)


def _images_of_archive(path: Path, entries: list[ImageEntry]) -> Iterator[EncodedImage]:
    """The images of an archive: read at their offsets from a plain one, and in the archive's order from a gzip one."""
    with path.open("rb") as stream:
        zipped = stream.read(2) == b"\x1f\x8b"
        for index, entry in enumerate(() if zipped else entries):
            stream.seek(entry.offset)
            yield EncodedImage(index, entry.name, functools.partial(bytes, stream.read(entry.size)))
    if not zipped:
        return
    entry_at = {entry.offset: (index, entry.name) for index, entry in enumerate(entries)}
    yield from files.guarded_items(path, "tar", _images_of_gzip_archive(path, entry_at))


def _images_of_gzip_archive(path: Path, entry_at: dict[int, tuple[int, str]]) -> Iterator[EncodedImage]:
    with files.open_unzipped(path) as unpacked, tarfile.open(fileobj=unpacked, mode="r:") as archive:
        for member in archive:
            if member.offset_data in entry_at and member.isfile():
                index, name = entry_at[member.offset_data]
                extracted = archive.extractfile(member)
                content = b"" if extracted is None else extracted.read()
                if len(content) != member.size:
                    raise TlbenchError(f"{path}: The archive ends within {member.name!r}; it is truncated.")
                yield EncodedImage(index, name, functools.partial(bytes, content))


def _list_folder(path: Path, inside: PurePosixPath, left_out: LeftOut) -> Iterator[ImageEntry]:
    """The images in a folder; links that leave it are refused."""
    home = files.find(path, str(inside), folder=True)
    paths, hidden = folders.walk(home, path)
    left_out.hidden += [str(one.relative_to(home)) for one in hidden]
    total = 0
    for one in paths:
        name = one.relative_to(home)
        if not one.is_file():  # opening a pipe would block for ever
            raise TlbenchError(f"{one} is no plain file (a broken link, a pipe or a device). Remove it.")
        if not image_files.has_image_suffix(one.name):
            with files.guarded_reading(one, "image"), one.open("rb") as stream:
                is_image = image_files.is_image(stream.read(image_files.HEAD_BYTES))
        else:
            is_image = True
        if not is_image:
            left_out.others += [str(name)] if len(name.parts) > 1 else []
        elif len(name.parts) == 1:
            left_out.beside.append(str(name))
        else:
            size = one.stat().st_size
            total += size
            _check_sizes(one, size, total)
            yield ImageEntry(name.parts[0], str(name), str(one))


def _list_archive(path: Path, inside: PurePosixPath, left_out: LeftOut) -> Iterator[ImageEntry]:
    """The images in a tar archive, plain or gzip; nothing is unpacked to disk."""
    depth, total, other_folders = len(inside.parts), 0, set()
    with path.open("rb") as plain:
        zipped = plain.read(2) == b"\x1f\x8b"
    with (
        files.guarded_reading(path, "tar"),
        files.open_unzipped(path) as stream,
        tarfile.open(fileobj=stream, mode="r:") as archive,
    ):
        for member in archive:
            name = PurePosixPath(member.name)
            archives.check_member(path, member)
            if name.parts[:depth] != inside.parts:
                other_folders.add("/".join(name.parts[:depth]))
                continue
            if member.isfile() and _is_image_of_class(archive, member, name.parts[depth:], left_out):
                total += member.size
                _check_sizes(path / name, member.size, total)
                if not zipped and member.offset_data + member.size > path.stat().st_size:
                    raise TlbenchError(f"{path}: The archive ends within {member.name!r}; it is truncated.")
                own_name = str(name.relative_to(inside))
                yield ImageEntry(name.parts[depth], own_name, member.name, member.offset_data, member.size)
        archives.check_end(path, stream, archive.offset)
        if not total and other_folders:
            raise TlbenchError(
                f"{path}: There is no folder {str(inside)!r} with images. {did_you_mean(str(inside), sorted(other_folders))}"
            )


def _is_image_of_class(archive: tarfile.TarFile, member: tarfile.TarInfo, names: Sequence[str], left_out: LeftOut) -> bool:
    """Whether a file of an archive, whose path below the domain is `names`, is an image in the folder of a class."""
    if any(map(folders.is_hidden, names)):
        left_out.hidden.append("/".join(names))
        return False
    is_image = image_files.has_image_suffix(names[-1])
    if not is_image and (extracted := archive.extractfile(member)) is not None:
        is_image = image_files.is_image(extracted.read(image_files.HEAD_BYTES))
    if len(names) > 1 and not is_image:
        left_out.others.append("/".join(names))
    elif is_image and len(names) == 1:
        left_out.beside.append(names[0])
    return is_image and len(names) > 1


def _check_sizes(path: Path, size: int, total: int) -> None:
    if size > IMAGE_LIMIT_BYTES or total > ENCODED_LIMIT_BYTES:
        raise TlbenchError(
            f"{path}: The image has {size} bytes, and all images so far {total}. At most {IMAGE_LIMIT_BYTES} and "
            f"{ENCODED_LIMIT_BYTES} are allowed."
        )
