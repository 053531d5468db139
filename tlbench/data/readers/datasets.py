"""Data of the Hugging Face hub pinned to a revision, or local folders and files, through the library `datasets`.

Nothing is fetched without `--download`: a hub data set is looked for below the data root and in the hub's own cache. Data
sets that bring code of their own are refused.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

import numpy as np
from pydantic import Field, model_validator

from tlbench.data import sample_selection
from tlbench.data.decoding import datasets_folders, files, images, tables
from tlbench.data.decoding.arrays import Array, ReaderResult
from tlbench.data.readers import text
from tlbench.errors import TlbenchError, did_you_mean
from tlbench.terms import Strict

if TYPE_CHECKING:
    import pandas as pd

BUILDERS = {".parquet": "parquet", ".csv": "csv", ".json": "json", ".jsonl": "json", ".arrow": "arrow"}


class Options(Strict, strict=True):
    """Which data set, and which of its columns are what: rows are the column `image`, or `text`, or `features`."""

    hub: Annotated[str, Field(pattern=r"^[\w.-]+/[\w.-]+$", description="the id of the data set, as owner/name")] | None = None
    revision: (
        Annotated[str, Field(pattern="^[0-9a-f]{40}$", description="the commit of the data set, 40 hex digits")] | None
    ) = None
    path: Annotated[tables.Paths, Field(description="a folder, or files of one kind, relative to the data root")] | None = None
    config: Annotated[str, Field(description="the configuration, where a data set has several")] | None = None
    split: Annotated[str, Field(description="the split")] = "train"
    label: Annotated[tables.Labels, Field(description="the column of the labels, or a list of columns of targets")]
    group: Annotated[str, Field(description="the column of the groups, for worst-group accuracy")] | None = None
    where: Annotated[sample_selection.Where, Field(description="rows to keep")] = Field(default_factory=dict)
    image: Annotated[str, Field(description="the column of the images")] | None = None
    text: Annotated[str, Field(description="the column of the texts")] | None = None
    features: Annotated[list[str], Field(min_length=1, description="the columns of numbers, or one of lists")] | None = None
    size: Annotated[int, Field(gt=0, le=2**22, description="pixels of images, or features of texts")] | None = None
    crop: Annotated[int, Field(gt=0, le=4096, description="pixels of the square that is cut from the centre")] | None = None
    mode: Annotated[Literal["rgb", "grey"], Field(description="three channels or one")] = "rgb"
    skip_bad: Annotated[bool, Field(description="whether images that don't decode are left out")] = False
    words: Annotated[
        Literal["hashed", "tfidf", "encoder"], Field(description="texts become hashed counts, tf-idf, or what an encoder says")
    ] = "hashed"
    ngrams: Annotated[int, Field(ge=1, le=5, description="the longest run of words that is a feature")] = 1
    encoder: Annotated[str, Field(description="the folder of the sentence encoder, relative to the data root")] | None = None
    fit: Annotated[Literal["source"], Field(description="what tf-idf learns from: the source of a pair")] = "source"
    above: (
        Annotated[float, Field(allow_inf_nan=False, description="labels become 1 from this number on, and 0 below it")] | None
    ) = None

    @model_validator(mode="after")
    def _one_of_each(self) -> Self:
        if (self.hub is None) == (self.path is None):
            raise ValueError("give either hub = 'owner/name' or path = a folder or files")
        if (self.hub is None) != (self.revision is None):
            raise ValueError("hub needs a revision (the commit, 40 hex digits), and path takes none")
        if sum(part is not None for part in (self.image, self.text, self.features)) != 1:
            raise ValueError("give one of image, text and features")
        if self.size is None and (self.image or (self.text and self.words != "encoder")):
            raise ValueError("image and text need a size")
        if (self.encoder is None) == (self.words == "encoder"):
            raise ValueError("words = 'encoder' and encoder = a folder belong together")
        if self.above is not None and len(self.label) > 1:
            raise ValueError("above is for one column of labels")
        if self.image and self.size and self.size > 4096:
            raise ValueError("size is at most 4096 pixels")
        return self


def read(options: Options, root: Path) -> ReaderResult:
    """Byte images, sparse counts of words, or rows (N, ...), and labels (N,) by name where the data set names its classes.

    Raises:
        TlbenchError: a data set that is not here (with what to fetch and where it belongs), no such column, or bad rows.
    """
    home, opened = _opened(options, root)
    frame = _frame(opened, options, home)
    kept = sample_selection.select(frame, options.where)
    y = tables.label_columns(kept, options.label)
    if options.above is not None:
        y = (tables.number_columns(kept, options.label)[:, 0] >= options.above).astype(np.int64)
    group = None if options.group is None else tables.label_columns(kept, [options.group], "group")
    held = tuple(options.label)
    if options.image is not None:
        wanted = images.ImageOptions(size=options.size or 1, crop=options.crop, mode=options.mode, skip_bad=options.skip_bad)
        encoded = _images(opened, options.image, home, kept.index.to_numpy())
        x, good, notes = images.decode(encoded, len(kept), wanted)
        return ReaderResult(x, y[good], None if group is None else group[good], notes, held)
    if options.text is not None:
        texts = kept[options.text].tolist()
        if odd := [i for i, one in enumerate(texts) if not isinstance(one, str)]:
            raise TlbenchError(f"column {options.text!r} holds no text in {len(odd)} rows, first in row {odd[0]}")
        x = text.rows(texts, options.words, options.size or 1, options.ngrams, options.encoder, root)
        return ReaderResult(x, y, group, targets=held)
    return ReaderResult(tables.number_columns(kept, options.features or []), y, group, targets=held)


def sources(options: Options, root: Path) -> list[Path]:
    """The files below the data root; none for a hub data set that lies in the hub's own cache."""
    places = [root / _own(options)] if options.hub is not None else [root / path for path in options.path or []]
    return [file for place in places for file in ([place] if place.is_file() else sorted(place.rglob("*"))) if file.is_file()]


def _own(options: Options) -> str:
    return f"hub/{options.hub}/{options.revision}"


def _opened(options: Options, root: Path) -> tuple[Path, Any]:
    """The folder that images may lie in, and the data set, images still encoded; no row is read yet."""
    from datasets import Image, load_dataset, load_dataset_builder

    place = home = root
    if options.hub is not None:
        place, home = _hub(options, root)
    elif len(options.path or []) == 1:
        place = root / (options.path or [""])[0]
    with files.guarded_reading(place, "data set"):
        if options.hub is not None or (root / (options.path or [""])[0]).is_dir():
            if options.hub is None:
                place = home = files.find(root, (options.path or [""])[0], folder=True)
            datasets_folders.check_card(place)
            builder = load_dataset_builder(str(place), name=options.config)
            datasets_folders.check_local(builder.config.data_files, home)
            found = builder.as_streaming_dataset(split=options.split)
        else:
            paths = [files.find(root, path) for path in options.path or []]
            kinds = {path.suffix for path in paths}
            if len(kinds) != 1 or not kinds <= set(BUILDERS):
                raise TlbenchError(f"path must name files of one kind ({', '.join(BUILDERS)}), not {', '.join(sorted(kinds))}")
            held = {options.split: [str(path) for path in paths]}
            found = load_dataset(BUILDERS[kinds.pop()], data_files=held, split=options.split, streaming=True)
        if found.features is None:
            found = found._resolve_features()
        for name in [*_plain(options), *([options.image] if options.image else [])]:
            if name not in found.features:
                raise TlbenchError(f"There is no column {name!r}. {did_you_mean(name, found.features)}")
        return home, found if options.image is None else found.cast_column(options.image, Image(decode=False))


def _plain(options: Options) -> list[str]:
    """All columns that are needed but that of the images."""
    more = [name for name in (options.group, options.text) if name is not None]
    return list(dict.fromkeys([*options.label, *more, *(options.features or ()), *options.where]))


def _frame(opened: Any, options: Options, home: Path) -> pd.DataFrame:
    """The needed columns but that of the images, which may be more than memory holds."""
    import pandas as pd

    needed, features = _plain(options), opened.features
    with files.guarded_reading(home, "data set"):
        frame = tables.dates_as_texts(pd.DataFrame.from_records(list(opened.select_columns(needed)), columns=needed))
        if not len(frame):
            raise TlbenchError(f"{home}: holds no row")
        for name in needed:
            if hasattr(features[name], "int2str") and frame[name].notna().all():
                if (frame[name] < 0).any():
                    raise TlbenchError(f"column {name!r} has rows without a label (-1); is {options.split!r} a labelled split?")
                frame[name] = np.array(features[name].names, dtype=object)[frame[name].to_numpy()]
    return frame


def _images(opened: Any, name: str, home: Path, rows: Array) -> Iterator[images.EncodedImage]:
    """The encoded images of some rows, one after the other."""
    place = {int(row): number for number, row in enumerate(rows)}
    for row, cells in enumerate(files.guarded_items(home, "data set", opened.select_columns([name]))):
        if row in place:
            yield images.EncodedImage(place[row], f"row {row}", functools.partial(bytes, _bytes(cells[name], home, row)))


def _hub(options: Options, root: Path) -> tuple[Path, Path]:
    """The folder of a hub data set, and the folder that its links may lead to."""
    from huggingface_hub import snapshot_download

    own = _own(options)
    if (root / own).is_dir():
        folder = files.find(root, own, folder=True)
        return folder, folder
    try:
        folder = Path(
            snapshot_download(
                str(options.hub), repo_type="dataset", revision=options.revision, local_files_only=not files.download_allowed()
            )
        )
    except Exception as error:  # the hub's client raises its own and those of its http library
        why = "could not be fetched" if files.download_allowed() else "is not on this machine, and --download is not given"
        raise TlbenchError(
            f"hub data set {options.hub!r} at {options.revision} {why} ({type(error).__name__}); on a machine with a network: "
            f"hf download {options.hub} --repo-type dataset --revision {options.revision} --local-dir {own}, "
            f"and put that folder below the data root {root}"
        ) from error
    return folder, folder.parents[1]


def _bytes(cell: Any, home: Path, row: int) -> bytes:
    """The encoded image of a cell: held in the table, or in a file of the data set's own folder."""
    if isinstance(cell, dict) and isinstance(cell.get("bytes"), bytes):
        return bytes(cell["bytes"])
    given = cell.get("path") if isinstance(cell, dict) else None
    if not isinstance(given, str):
        raise TlbenchError(f"row {row} holds no image")
    path = Path(given).resolve()
    if not path.is_relative_to(home.resolve()) or not path.is_file():
        raise TlbenchError(f"the image of row {row} is {given!r}, which is no file of the data set's folder {home}; refused")
    return path.read_bytes()
