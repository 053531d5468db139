"""A folder for the library `datasets`, held to itself: its card may name files anywhere, also in a network."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from tlbench.data.decoding import files
from tlbench.errors import TlbenchError

CARDS = ("README.md", ".huggingface.yaml")
PACKED = (".zip", ".bz2", ".xz", ".zst", ".lz4", ".7z", ".rar", ".tgz")
PIECE_BYTES = 2**20


def card(folder: Path) -> None:
    """Hold what the card of a folder says of its files to that folder. Nothing is opened but the card.

    Raises:
        TlbenchError: a card that can't be read, or that names a file elsewhere.
    """
    import yaml  # type: ignore[import-untyped]
    from huggingface_hub import RepoCard

    for name in CARDS:
        if not (place := folder / name).is_file():
            continue
        with files.guarded_reading(place, "card of a data set"):
            held: Any = place.read_text(encoding="utf-8")
            if name == CARDS[0]:
                held = RepoCard(held, ignore_metadata_errors=True).data.to_dict()  # type: ignore[no-untyped-call]
            else:
                held = yaml.safe_load(held) or {}
            configs = held.get("configs")
        for text in files.texts(configs):
            if "://" in text or "::" in text or PurePosixPath(text).is_absolute() or ".." in PurePosixPath(text).parts:
                raise TlbenchError(f"{place}: names {text!r}, which leaves the data set's folder; refused")


def check_local(found: Mapping[Any, Any] | None, home: Path) -> None:
    """Hold the files that a data set is made of to the folder that they belong in, and packed ones to an honest size.

    Args:
        found: split -> paths, as the library found them.
        home: the folder.

    Raises:
        TlbenchError: a file elsewhere, or a packed one that can't be held.
    """
    real = home.resolve()
    for path in dict.fromkeys(Path(str(path)) for paths in (found or {}).values() for path in paths):
        if not path.resolve().is_relative_to(real):
            raise TlbenchError(f"{path} is a link that leaves {home}; refused")
        if path.name.lower().endswith(PACKED):
            raise TlbenchError(f"{path}: packed; unpack it, for what it unpacks to can't be held to a size")
        if path.suffix.lower() == ".gz":
            with files.guarded_reading(path, "gzip"), files.unzipped(path) as stream:
                while stream.read(PIECE_BYTES):
                    pass
