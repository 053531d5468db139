"""The files that the domain of a declaration is read from, and their checksums."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tlbench.data import checksums, readers
from tlbench.data.checksums import digest
from tlbench.data.declaration import DataSource, Declaration
from tlbench.data.decoding import files, folders
from tlbench.errors import TlbenchError


def files_of(declaration: Declaration, root: Path) -> list[Path] | None:
    """All files that a domain is read from, sorted; None if they can't be known.

    A reader may name them itself, by a function `sources(options, root) -> list[Path]`, or name the options that are paths, in
    `PATH_KEYS`; else they are every file that its options name. A folder stands for every file below it. Files of shifts are
    found in the same way.
    """
    try:
        paths = dict.fromkeys(path for shift in declaration.shifts for path in _named_files(shift.options, root))
        for source in filter(None, (declaration.main, declaration.test)):
            if not (source_paths := _files_of_source(source, root)):
                return None
            paths |= dict.fromkeys(source_paths)
    except TlbenchError:
        return None  # the error is that of reading the domain, which names it
    return sorted(paths)


def _files_of_source(source: DataSource, root: Path) -> list[Path]:
    reader = readers.get(source.reader)
    if callable(sources := getattr(reader, "sources", None)):
        return list(sources(reader.Options.model_validate(source.options), root))
    keys = getattr(reader, "PATH_KEYS", source.options)  # other texts, such as names of arrays, are no paths
    return _named_files([_option(source.options, key) for key in keys], root)


def _option(options: Mapping[str, Any], key: str) -> Any:
    """The value of an option: `fit.path` is the key path of the table fit, and `fit.*` that table; None without a table."""
    name, dot, inner = key.partition(".")
    value = options.get(name)
    if not dot:
        return value
    if not isinstance(value, Mapping):
        return None
    return value if inner == "*" else value.get(inner)


def _named_files(options: Any, root: Path) -> list[Path]:
    """The files that texts among the options name, and the files below folders that they name."""
    paths: list[Path] = []
    for text in files.nested_texts(options):
        with contextlib.suppress(OSError, ValueError, NotImplementedError):  # a text that is too long for a path, or is none
            if not text.strip(" ./") or Path(text).is_absolute() or ".." in Path(text).parts:
                continue
            for path in root.glob(text) if set(text) & set("*?[") else [root / text]:
                paths += folders.files_below(path)
    return paths


def file_hashes(paths: list[Path], folder: Path | None = None) -> dict[Path, str]:
    """The sha256 of each file.

    With a cache folder, hashes are noted there with the stamps of the files, see `checksums.noted_checksums`.
    """
    note = None if folder is None else folder / "notes" / f"{digest([str(path.absolute()) for path in paths])}.json"
    return {path: str(sha256) for path, sha256 in checksums.noted_checksums(paths, note, checksums.sha256).items()}


def verify_checksums(declaration: Declaration, root: Path, folder: Path | None = None) -> int:
    """Compare the files of a declaration with its checksums (`sha256 = {"path" = "64 hex digits"}`).

    Args:
        declaration: names the files, relative to the data root, with their checksums.
        root: the data root.
        folder: the cache folder, for `file_hashes`.

    Returns:
        The number of files with a checksum.

    Raises:
        TlbenchError: some files are missing or have another checksum; it names all of them, one a line.
    """
    errors: list[str] = []
    expected: dict[str, tuple[Path, str]] = {}
    for path, sha256 in declaration.sha256.items():
        try:
            expected[path] = (files.find(root, path), sha256.lower())
        except TlbenchError as error:
            errors.append(str(error))
    hashes = file_hashes([file for file, _ in expected.values()], folder)
    for path, (file, sha256) in expected.items():
        if hashes[file] != sha256:
            errors.append(
                f"The file {path!r} has the sha256 {hashes[file]}, and the suite states {sha256}: the file is damaged or of "
                "another version. Download it again, or state the new checksum."
            )
    if errors:
        raise TlbenchError("\n".join(errors))
    return len(expected)
