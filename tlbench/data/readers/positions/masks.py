"""Images with a label for each pixel (task = "pixels"): folders of images, and folders of masks under the same names."""

from __future__ import annotations

from pathlib import Path, PurePosixPath
from typing import Annotated

import numpy as np
from pydantic import Field

from tlbench.data.decoding import files, images, masks, table_options
from tlbench.data.decoding.arrays import ReaderResult
from tlbench.data.decoding.images import EncodedImage
from tlbench.errors import TlbenchError
from tlbench.terms import IGNORED, Strict

LIBRARIES = ("pillow",)


class Options(Strict, strict=True):
    """The folders of images and masks, and their size."""

    path: Annotated[str, Field(description="a folder or a tar archive (also .gz), relative to the data root")]
    images: Annotated[table_options.Paths, Field(description="the folder of the images inside path, or a list")]
    masks: Annotated[table_options.Paths, Field(description="the folder of the masks of each folder of images")]
    size: Annotated[int, Field(ge=8, le=1024, description="pixels of both sides to resize to; masks by the nearest pixel")]
    ignore: Annotated[int, Field(ge=0, description="the number of pixels of a mask that count nowhere")] | None = None


def read(options: Options, root: Path) -> ReaderResult:
    """Byte images (N, 3, size, size), and the class number of each pixel (N, size * size), negative where it counts nowhere.

    Raises:
        TlbenchError: a folder that is not there, an image without a mask, or a mask of another size or of several channels.
    """
    if len(options.images) != len(options.masks):
        raise TlbenchError("Each folder of images needs its folder of masks: give two lists of equal length.")
    path = files.find(root, options.path, folder=not (root / options.path).is_file())
    image_bytes, left_out = masks.images_of_folders(path, options.images)
    mask_bytes, left_out_masks = masks.images_of_folders(path, options.masks)
    folder_of = dict(zip(map(PurePosixPath, options.images), map(PurePosixPath, options.masks), strict=True))
    by_stem: dict[tuple[PurePosixPath, str], str] = {}
    for name in mask_bytes:
        key = PurePosixPath(name).parent, PurePosixPath(name).stem
        if key in by_stem:
            raise TlbenchError(f"{path}: The masks {by_stem[key]} and {name} belong to one image. Remove one of them.")
        by_stem[key] = name
    labels = []
    for name, content in image_bytes.items():
        key = folder_of[PurePosixPath(name).parent], PurePosixPath(name).stem
        if key not in by_stem:
            raise TlbenchError(f"{path}: The image {name} has no mask {key[0]}/{key[1]}.*. Add it, or remove the image.")
        of_image = masks.image_size(name, content)
        labels.append(masks.decode_mask(by_stem[key], mask_bytes[by_stem[key]], of_image, options.size).reshape(-1))
    y = np.stack(labels)
    if options.ignore is not None:
        y[y == options.ignore] = IGNORED
    encoded = [
        EncodedImage(index, name, lambda content=content: content)  # type: ignore[misc]
        for index, (name, content) in enumerate(image_bytes.items())
    ]
    x, _, notes = images.decode(encoded, len(encoded), images.ImageOptions(size=options.size))
    if unused := len(by_stem) - len(labels):
        left_out_masks = (*left_out_masks, f"{unused} masks belong to no image and are left out")
    reading = (f"{len(x):,} images and masks of {', '.join(options.images)}, resized to {options.size} pixels",)
    return ReaderResult(x, y, notes=(*left_out, *left_out_masks, *notes), reading=reading)
