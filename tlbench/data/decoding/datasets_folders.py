"""Local folders for the library `datasets`: the card of a folder may name files anywhere, even on the web; that is refused."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from tlbench.data.decoding import files
from tlbench.errors import TlbenchError

CARD_FILES = ("README.md", ".huggingface.yaml")
ARCHIVE_SUFFIXES = (".zip", ".bz2", ".xz", ".zst", ".lz4", ".7z", ".rar", ".tgz")
READ_BYTES = 2**20
CARD_NODES = 10**6
"""A card whose aliases stand for more values than this is refused: the library would write all of them out."""


def check_card(folder: Path) -> None:
    """Check that the card of a folder names files of that folder only. No file but the card is opened.

    Raises:
        TlbenchError: the card can't be read, or it names a file outside the folder.
    """
    import yaml  # type: ignore[import-untyped]
    from huggingface_hub import RepoCard

    for name in CARD_FILES:
        if not (path := folder / name).is_file():
            continue
        with files.guarded_reading(path, "card of a data set"):
            text = path.read_text(encoding="utf-8")
            metadata: Any
            if name == CARD_FILES[0]:
                metadata = RepoCard(text, ignore_metadata_errors=True).data.to_dict()  # type: ignore[no-untyped-call]
            else:
                metadata = yaml.safe_load(text) or {}
            if _expanded_size(metadata, {}) > CARD_NODES:
                raise TlbenchError(
                    f"{path}: The aliases of the card stand for more than {CARD_NODES:,} values. Write it without."
                )
            configs = metadata.get("configs")
        for named in files.nested_texts(configs):
            if "://" in named or "::" in named or PurePosixPath(named).is_absolute() or ".." in PurePosixPath(named).parts:
                raise TlbenchError(
                    f"{path}: The card names {named!r}, which leaves the data set's folder. Name files of the folder only."
                )


def _expanded_size(value: Any, sizes: dict[int, int]) -> int:
    """The number of values in nested tables and lists, where what an alias stands for counts each time.

    Args:
        value: tables, lists and plain values; an alias is the same object in several places.
        sizes: the size of each object that was counted, by its id; one that is being counted is larger than any card.
    """
    if not isinstance(value, Mapping | list | tuple):
        return 1
    if id(value) not in sizes:
        sizes[id(value)] = CARD_NODES + 1
        sizes[id(value)] = 1 + sum(
            _expanded_size(item, sizes) for item in (value.values() if isinstance(value, Mapping) else value)
        )
    return sizes[id(value)]


def check_local(data_files: Mapping[Any, Any] | None, folder: Path) -> None:
    """Check that the files of a data set lie in its folder, and that gzip files unpack to a plausible size.

    Args:
        data_files: split -> paths, as the library resolved them.
        folder: the folder of the data set.

    Raises:
        TlbenchError: a file outside the folder, an archive (its unpacked size is unknown), or a decompression bomb.
    """
    resolved_folder = folder.resolve()
    for path in dict.fromkeys(Path(str(path)) for paths in (data_files or {}).values() for path in paths):
        if not path.resolve().is_relative_to(resolved_folder):
            raise TlbenchError(f"{path}: The file is a link that leaves {folder}. Copy the file into the folder.")
        if path.name.lower().endswith(ARCHIVE_SUFFIXES):
            raise TlbenchError(f"{path}: The file is an archive, whose unpacked size can't be checked. Unpack it.")
        if path.suffix.lower() == ".gz":
            with files.guarded_reading(path, "gzip"), files.open_unzipped(path) as stream:
                while stream.read(READ_BYTES):
                    pass
