"""Masks: images whose pixels are class numbers, at the size of the images that they belong to."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

import numpy as np

from tlbench.data.decoding import archives, files, image_files, pixels
from tlbench.data.decoding.arrays import Array
from tlbench.data.decoding.folders import hidden_note, is_hidden, suffix_note, walk
from tlbench.errors import TlbenchError, did_you_mean

PLAIN_MODES = ("1", "L", "P", "I", "I;16")
"""The modes of Pillow whose pixels are single whole numbers."""


def images_of_folders(path: Path, folders: Sequence[str]) -> tuple[dict[str, bytes], tuple[str, ...]]:
    """The images that lie in some folders of a folder or of a tar archive, by their names, sorted; notes on what is left out.

    Args:
        path: the folder or the archive.
        folders: the folders inside it.

    Raises:
        TlbenchError: a folder without images, a damaged archive, or links and names that leave it.
    """
    for folder in folders:
        if archives.leaves_archive(folder):
            raise TlbenchError(f"The folder {folder!r} leaves {path}. Name a folder inside it.")
    inside = [PurePosixPath(folder) for folder in folders]
    names, hidden = _names_in_archive(path) if path.is_file() else _names_in_folder(path)
    of_folders = [name for name in names if PurePosixPath(name).parent in inside]
    wanted = sorted(name for name in of_folders if image_files.has_image_suffix(name))
    notes = (
        *hidden_note(name for name in hidden if PurePosixPath(name).parent in inside),
        *suffix_note((name for name in of_folders if not image_files.has_image_suffix(name)), "no images"),
    )
    holding = {PurePosixPath(name).parent for name in wanted}
    if empty := [str(folder) for folder in inside if folder not in holding]:
        others = sorted({str(PurePosixPath(name).parent) for name in names})
        raise TlbenchError(f"{path}: There is no image in {empty[0]!r}. {did_you_mean(empty[0], others)}")
    if path.is_file():
        contents = archives.read_members(path, wanted)
        return {name: contents[name] for name in wanted}, notes
    return {name: files.find(path, name).read_bytes() for name in wanted}, notes


def _names_in_archive(path: Path) -> tuple[list[str], list[str]]:
    """The names of the files of an archive, and those of hidden ones."""
    with (
        files.guarded_reading(path, "tar"),
        files.open_unzipped(path) as stream,
        tarfile.open(fileobj=stream, mode="r:") as archive,
    ):
        names = [str(PurePosixPath(member.name)) for member in archive if member.isfile()]
    hidden = [name for name in names if any(map(is_hidden, PurePosixPath(name).parts))]
    return [name for name in names if not any(map(is_hidden, PurePosixPath(name).parts))], hidden


def _names_in_folder(path: Path) -> tuple[list[str], list[str]]:
    """The names of the files below a folder, and those of hidden files and folders."""
    names, hidden = ([one.relative_to(path).as_posix() for one in paths] for paths in walk(path, path))
    return names, hidden


def decode_mask(name: str, content: bytes, image_size: tuple[int, int], size: int) -> Array:
    """The class numbers (size, size) of a mask, resized to the nearest pixel.

    Args:
        name: of its file, for errors.
        content: the bytes of its file.
        image_size: width and height of its image.
        size: pixels of each side.

    Raises:
        TlbenchError: it is no image of one channel, or of another size than its image.
    """
    from PIL import Image

    try:
        with Image.open(io.BytesIO(content)) as mask:
            mask.load()
            transposition = pixels.orientation(mask)
            upright = mask if transposition is None else mask.transpose(transposition)
            mode, mask_size = upright.mode, upright.size
            values = np.asarray(upright)
    except Exception as error:  # decoders raise nearly anything on damaged bytes
        raise TlbenchError(f"The mask {name} does not decode ({type(error).__name__}: {error}).") from error
    if mode not in PLAIN_MODES or values.ndim != 2:
        raise TlbenchError(f"The mask {name} has the mode {mode}. A mask has one channel, a class number for each pixel.")
    if mask_size != image_size:
        raise TlbenchError(
            f"The mask {name} has {mask_size[0]}x{mask_size[1]} pixels, and its image {image_size[0]}x{image_size[1]}. Give "
            "both one size, for each pixel needs its label."
        )
    down, across = (np.arange(size) * side // size for side in values.shape)
    return values.astype(np.int64)[down][:, across]


def image_size(name: str, content: bytes) -> tuple[int, int]:
    """Width and height of an encoded image as it is decoded: upright, as its EXIF orientation says.

    Raises:
        TlbenchError: it does not decode.
    """
    from PIL import Image

    try:
        with Image.open(io.BytesIO(content)) as image:
            if image.format == "TIFF":
                image.load()  # which turns it upright
            transposition = pixels.orientation(image)
            return image.size if transposition is None else pixels.transposed_size(image.size, transposition)
    except Exception as error:  # decoders raise nearly anything on damaged bytes
        raise TlbenchError(f"The image {name} does not decode ({type(error).__name__}: {error}).") from error
