"""Data sets of the Hugging Face hub at a pinned revision, or local folders and files, read by the library `datasets`.

Without `--download` nothing is fetched: a hub data set must be below the data root or in the hub's own cache. Data sets that
bring code of their own are refused.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

import numpy as np
from pydantic import Field, model_validator

from tlbench.data import sample_selection
from tlbench.data.decoding import datasets_folders, files, folders, images, table_options, tables
from tlbench.data.decoding.arrays import Array, ReaderResult
from tlbench.data.labels.classes import listed
from tlbench.data.readers import text
from tlbench.errors import TlbenchError, did_you_mean
from tlbench.terms import Strict

if TYPE_CHECKING:
    import pandas as pd

BUILDERS = {".parquet": "parquet", ".csv": "csv", ".json": "json", ".jsonl": "json", ".arrow": "arrow"}
"""The suffix of local files -> the name of their builder in `datasets`."""


LIBRARIES = ("datasets", "pyarrow", "pandas", "pillow", "scikit-learn", "transformers", "torch")

READ_ROWS = 1000
"""Rows that are read at a time."""


class Options(Strict, strict=True):
    """The data set, and its columns; the samples are the column `image`, or the column `text`, or the columns `features`."""

    hub: Annotated[str, Field(pattern=r"^[\w.-]+/[\w.-]+$", description="the id of the data set, as owner/name")] | None = None
    revision: (
        Annotated[str, Field(pattern="^[0-9a-f]{40}$", description="the commit of the data set, 40 hex digits")] | None
    ) = None
    path: (
        Annotated[table_options.Paths, Field(description="a folder, or files of one kind, relative to the data root")] | None
    ) = None
    config: Annotated[str, Field(description="the configuration, where a data set has several")] | None = None
    split: Annotated[str, Field(description="the split of the data set")] = "train"
    label: Annotated[table_options.Labels, Field(description="the column of the labels, or a list of columns of targets")]
    group: Annotated[str, Field(description="the column of the groups, for worst-group accuracy")] | None = None
    where: Annotated[
        sample_selection.Where, Field(description="rows to select: column = value, list of values or { min, max }")
    ] = Field(default_factory=dict)
    image: Annotated[str, Field(description="the column of the images")] | None = None
    text: Annotated[str, Field(description="the column of the texts")] | None = None
    features: Annotated[list[str], Field(min_length=1, description="the columns of numbers, or one of lists")] | None = None
    size: Annotated[int, Field(gt=0, le=2**22, description="pixels of images, or features of texts")] | None = None
    crop: Annotated[int, Field(gt=0, le=4096, description="pixels of the square that is cut from the centre")] | None = None
    mode: Annotated[Literal["rgb", "grey"], Field(description="three channels or one")] = "rgb"
    skip_bad: Annotated[bool, Field(description="whether images that don't decode are left out")] = False
    words: Annotated[
        Literal["hashed", "tfidf", "encoder"], Field(description="the features of texts: hashed counts, tf-idf, or an encoder")
    ] = "hashed"
    ngrams: Annotated[int, Field(ge=1, le=5, description="the longest n-gram of words that is a feature")] = 1
    encoder: Annotated[str, Field(description="the folder of the sentence encoder, relative to the data root")] | None = None
    fit: Annotated[Literal["source"], Field(description="what tf-idf is fitted on: the source of a pair")] = "source"
    above: (
        Annotated[float, Field(allow_inf_nan=False, description="labels become 1 from this number on, and 0 below it")] | None
    ) = None

    @model_validator(mode="after")
    def _one_of_each(self) -> Self:
        if (self.hub is None) == (self.path is None):
            raise ValueError("Give either hub = 'owner/name' or path = a folder or files.")
        if (self.hub is None) != (self.revision is None):
            raise ValueError("hub needs a revision (the commit, 40 hex digits), and path takes none.")
        if sum(columns is not None for columns in (self.image, self.text, self.features)) != 1:
            raise ValueError("Give one of image, text and features.")
        if self.size is None and (self.image or (self.text and self.words != "encoder")):
            raise ValueError("image and text need a size.")
        if (self.encoder is None) == (self.words == "encoder"):
            raise ValueError("words = 'encoder' needs encoder = a folder, and the other way round.")
        if self.above is not None and len(self.label) > 1:
            raise ValueError("above needs label to be one column.")
        if self.image and self.size and self.size > 4096:
            raise ValueError("size must be at most 4096 pixels.")
        return self


def read(options: Options, root: Path) -> ReaderResult:
    """Byte images, features of texts, or samples (N, ...), and labels (N,), by name where the data set names its classes.

    Raises:
        TlbenchError: a data set that is not on this machine (with what to fetch and where it belongs), a column that is not
            there, or rows without a label, a text or an image.
    """
    folder, data_set = _open_data_set(options, root)
    frame = _read_frame(data_set, options, folder)
    selected = sample_selection.select(frame, options.where)
    y = tables.label_columns(selected, options.label)
    if options.above is not None:
        y = (tables.number_columns(selected, options.label)[:, 0] >= options.above).astype(np.int64)
    group = None if options.group is None else tables.label_columns(selected, [options.group], "group")
    targets, reading = tuple(options.label), _reading(data_set, options, len(selected), len(frame))
    if options.image is not None:
        image_options = images.ImageOptions(
            size=options.size or 1, crop=options.crop, mode=options.mode, skip_bad=options.skip_bad
        )
        encoded = _encoded_images(data_set, options.image, folder, selected.index.to_numpy())
        x, decoded, notes = images.decode(encoded, len(selected), image_options)
        return ReaderResult(x, y[decoded], None if group is None else group[decoded], notes, targets, reading=reading)
    if options.text is not None:
        texts = text.checked_texts(selected[options.text].tolist(), options.text)
        blank = text.blank_texts(texts)
        x = text.text_features(texts, options.words, options.size or 1, options.ngrams, options.encoder, root)
        return ReaderResult(x, y, group, targets=targets, left_out=blank, reading=reading)
    return ReaderResult(tables.number_columns(selected, options.features or []), y, group, targets=targets, reading=reading)


def _reading(data_set: Any, options: Options, selected: int, rows: int) -> tuple[str, ...]:
    """What is read of a data set, for `data show`."""
    used = [*([options.image] if options.image else []), *_columns_without_image(options)]
    others = [name for name in data_set.features if name not in used]
    left_out = f"; left out: {listed(others)}" if others else ""
    return (f"the columns read are {listed(used)}{left_out}", f"{selected:,} of {rows:,} rows")


def sources(options: Options, root: Path) -> list[Path]:
    """The files below the data root, those of a sentence encoder among them; none for a data set in the hub's own cache."""
    paths = [root / _hub_folder(options)] if options.hub is not None else [root / path for path in options.path or []]
    own = [file for path in paths for file in folders.files_below(path)]
    return own + folders.files_below(root / options.encoder) if own and options.encoder is not None else own


def _hub_folder(options: Options) -> str:
    """The folder of a hub data set, relative to the data root."""
    return f"hub/{options.hub}/{options.revision}"


def _open_data_set(options: Options, root: Path) -> tuple[Path, Any]:
    """The folder that image files may be in, and the data set with images still encoded; no row is read yet."""
    from datasets import Image

    paths = options.path or []
    if len(paths) > 1 and (inner := [path for path in paths if (root / path).is_dir()]):
        raise TlbenchError(
            f"path names {len(paths)} paths, and {inner[0]!r} is a folder. Name one folder, which is a whole data set, or "
            "files of one kind."
        )
    folder = home = root / paths[0] if len(paths) == 1 else root
    if options.hub is not None:
        folder, home = _hub_snapshot(options, root)
    with files.guarded_reading(folder, "data set"):
        if options.hub is not None:
            data_set = _open_folder(folder, home, options)
        elif (root / paths[0]).is_dir():
            home = files.find(root, paths[0], folder=True)
            data_set = _open_folder(home, home, options)
        else:
            home, data_set = root, _open_files([files.find(root, path) for path in paths], options)
        if data_set.features is None:
            data_set = data_set._resolve_features()
        for name in [*_columns_without_image(options), *([options.image] if options.image else [])]:
            if name not in data_set.features:
                raise TlbenchError(f"There is no column {name!r}. {did_you_mean(name, data_set.features)}")
        return home, data_set if options.image is None else data_set.cast_column(options.image, Image(decode=False))


def _open_folder(folder: Path, home: Path, options: Options) -> Any:
    """The data set of a folder, whose files must lie in `home`."""
    from datasets import load_dataset_builder

    datasets_folders.check_card(folder)
    builder = load_dataset_builder(str(folder), name=options.config)
    if hasattr(builder.config, "converters"):  # text tables, of which pandas would read 007 as 7
        builder.config.converters = dict.fromkeys(_text_columns(options), str)
    datasets_folders.check_local(builder.config.data_files, home)
    return builder.as_streaming_dataset(split=options.split)


def _open_files(paths: list[Path], options: Options) -> Any:
    """The data set of files of one kind."""
    from datasets import load_dataset

    suffixes = {path.suffix for path in paths}
    if len(suffixes) != 1 or not suffixes <= set(BUILDERS):
        raise TlbenchError(f"path must name files of one kind ({', '.join(BUILDERS)}), not {', '.join(sorted(suffixes))}.")
    kind, split = BUILDERS[suffixes.pop()], options.split
    as_written = {"converters": dict.fromkeys(_text_columns(options), str)} if kind == "csv" else {}
    data_files = {split: [str(path) for path in paths]}
    return load_dataset(kind, data_files=data_files, split=split, streaming=True, **as_written)


def _text_columns(options: Options) -> list[str]:
    """The columns whose cells are read as they are written."""
    named = [*options.label, options.group, options.text, *options.where]
    return [name for name in dict.fromkeys(named) if name is not None and name not in (options.features or ())]


def _columns_without_image(options: Options) -> list[str]:
    """All needed columns but that of the images."""
    optional = [name for name in (options.group, options.text) if name is not None]
    return list(dict.fromkeys([*options.label, *optional, *(options.features or ()), *options.where]))


def _read_frame(data_set: Any, options: Options, folder: Path) -> pd.DataFrame:
    """The needed columns but that of the images, which may exceed the memory."""
    import pandas as pd

    needed, features = _columns_without_image(options), data_set.features
    with files.guarded_reading(folder, "data set"):
        cells: dict[str, list[Any]] = {name: [] for name in needed}
        for batch in data_set.select_columns(needed).iter(batch_size=READ_ROWS):  # row by row would take 0.2 ms each
            for name in needed:
                cells[name] += batch[name]
        frame = tables.dates_as_texts(pd.DataFrame(cells, columns=needed))
        if not len(frame):
            raise TlbenchError(f"{folder}: The data set holds no row.")
        for name in needed:
            if hasattr(features[name], "int2str") and frame[name].notna().all():
                if (frame[name] < 0).any():
                    raise TlbenchError(
                        f"The column {name!r} has rows without a label (-1). Choose a split with labels; this one is "
                        f"{options.split!r}."
                    )
                frame[name] = np.array(features[name].names, dtype=object)[frame[name].to_numpy()]
    return frame


def _encoded_images(data_set: Any, name: str, folder: Path, rows: Array) -> Iterator[images.EncodedImage]:
    """The encoded images of some rows (N,), one after the other."""
    sample_of = {int(row): index for index, row in enumerate(rows)}
    for row, cells in enumerate(files.guarded_items(folder, "data set", data_set.select_columns([name]))):
        if row in sample_of:
            content = _image_bytes(cells[name], folder, row)
            yield images.EncodedImage(sample_of[row], f"row {row}", functools.partial(bytes, content))


def _hub_snapshot(options: Options, root: Path) -> tuple[Path, Path]:
    """The folder of a hub data set, and the folder that its links may lead to."""
    from huggingface_hub import snapshot_download

    own = _hub_folder(options)
    if (root / own).is_dir():
        folder = files.find(root, own, folder=True)
        return folder, folder
    try:
        folder = Path(
            snapshot_download(
                str(options.hub),
                repo_type="dataset",
                revision=options.revision,
                local_files_only=not files.download_allowed(),
            )
        )
    except Exception as error:  # the hub's client raises its own exceptions and those of its HTTP library
        problem = "could not be fetched" if files.download_allowed() else "is not on this machine, and --download is not given"
        raise TlbenchError(
            f"The hub data set {options.hub!r} at {options.revision} {problem} ({type(error).__name__}). "
            "On a machine with a network, run "
            f"`hf download {options.hub} --repo-type dataset --revision {options.revision} --local-dir {own}`, "
            f"and put that folder below the data root {root}."
        ) from error
    return folder, folder.parents[1]


def _image_bytes(cell: Any, folder: Path, row: int) -> bytes:
    """The encoded image of a cell: the cell holds its bytes, or names a file in the data set's own folder."""
    if isinstance(cell, dict) and isinstance(cell.get("bytes"), bytes):
        return bytes(cell["bytes"])
    location = cell.get("path") if isinstance(cell, dict) else None
    if not isinstance(location, str):
        raise TlbenchError(f"Row {row} holds no image.")
    path = Path(location).resolve()
    if not path.is_relative_to(folder.resolve()) or not path.is_file():
        raise TlbenchError(
            f"The image of row {row} is {location!r}, which is no file of the data set's folder {folder}. It is refused."
        )
    return path.read_bytes()
