"""The files that a declaration reads, and their checksums."""

from __future__ import annotations

import contextlib
import hashlib
import json
import tempfile
from pathlib import Path
from typing import Any

from tlbench.data import readers
from tlbench.data.declaration import DataSource, Declaration
from tlbench.data.decoding import files
from tlbench.errors import TlbenchError


def files_of(declaration: Declaration, root: Path) -> list[Path] | None:
    """All files that a domain is made of, or None if that can't be known.

    A reader may say so itself, by `sources(options, root) -> list[Path]`; else it is every file, and every file below a
    folder, that its options name. Those of shifts are found likewise.
    """
    found = dict.fromkeys(file for shift in declaration.shifts for file in _named(shift.options, root))
    for part in filter(None, (declaration.main, declaration.test)):
        if not (own := _files(part, root)):
            return None
        found |= dict.fromkeys(own)
    return sorted(found)


def _files(part: DataSource, root: Path) -> list[Path]:
    reader = readers.get(part.reader)
    if callable(own := getattr(reader, "sources", None)):
        return list(own(reader.Options.model_validate(part.options), root))
    return _named(part.options, root)


def _named(options: Any, root: Path) -> list[Path]:
    """The files, and those below a folder, that the texts among some options name."""
    found: list[Path] = []
    for text in files.nested_texts(options):
        with contextlib.suppress(OSError, ValueError, NotImplementedError):  # too long for a name, or no path at all
            if not text.strip(" ./") or Path(text).is_absolute() or ".." in Path(text).parts:
                continue
            for path in root.glob(text) if set(text) & set("*?[") else [root / text]:
                found += [path] if path.is_file() else sorted(file for file in path.rglob("*") if file.is_file())
    return found


def file_hashes(paths: list[Path], folder: Path | None = None) -> dict[Path, str]:
    """The sha256 of each file.

    A file is not read again if `folder` holds a note of it with the same size and times, and its last change is older
    than the note by two seconds (two changes within one tick of a file system's clock look alike).
    """
    note = None if folder is None else folder / "notes" / f"{digest([str(path.absolute()) for path in paths])}.json"
    written, known = _note(note)
    found: dict[str, list[Any]] = {}
    for file in paths:
        facts = file.stat()
        stamp = [facts.st_size, facts.st_mtime_ns, facts.st_ctime_ns, facts.st_ino]
        old = known.get(str(file))
        settled = max(facts.st_mtime_ns, facts.st_ctime_ns) < written - 2 * 10**9
        if settled and isinstance(old, list) and old[1:] == stamp:
            found[str(file)] = old
        else:
            with file.open("rb") as stream:
                found[str(file)] = [hashlib.file_digest(stream, "sha256").hexdigest(), *stamp]
    if note is not None and any(known.get(path) is not entry for path, entry in found.items()):
        with contextlib.suppress(OSError):
            note.parent.mkdir(parents=True, exist_ok=True)
            with tempfile.NamedTemporaryFile("w", dir=note.parent, delete=False) as stream_:
                json.dump(found, stream_)
            Path(stream_.name).replace(note)
    return {Path(path): str(entry[0]) for path, entry in found.items()}


def _note(path: Path | None) -> tuple[int, dict[str, Any]]:
    """When a note was written, in nanoseconds, and what it says; a damaged one says nothing."""
    with contextlib.suppress(OSError, ValueError):
        if path is not None and isinstance(held := json.loads(path.read_text(encoding="utf-8")), dict):
            return path.stat().st_mtime_ns, held
    return 0, {}


def verify_checksums(declaration: Declaration, root: Path, folder: Path | None = None) -> int:
    """Hold the files of a declaration to the checksums that it states (`sha256 = {"path" = "64 hex digits"}`).

    Returns:
        How many files have a checksum.

    Raises:
        TlbenchError: with every file that is missing or another one, and what it is.
    """
    stated = declaration.sha256
    wrong, found = [], {}
    for path, said in stated.items():
        try:
            found[path] = (files.find(root, path), said.lower())
        except TlbenchError as error:
            wrong.append(str(error))
    sums = file_hashes([file for file, _ in found.values()], folder)
    for path, (file, said) in found.items():
        if sums[file] != said:
            wrong.append(
                f"file {path!r} has the sha256 {sums[file]}, and the suite states {said}; "
                "it is damaged or another version: fetch it again, or state the new checksum"
            )
    if wrong:
        raise TlbenchError("\n".join(wrong))
    return len(found)


def digest(value: Any) -> str:
    """32 hex digits of sha256 over the canonical JSON of a value."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:32]
