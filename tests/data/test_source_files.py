"""The files of a domain, and notes of their hashes."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from domain_tables import declare_domain

from tlbench.data import checksums, source_files

NPZ = {"reader": "npz", "path": "a.npz", "x": "x", "y": "y", "test": {"path": "b.npz"}}


def test_an_old_file_is_not_hashed_twice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "file"
    file.write_bytes(b"data")
    known = source_files.file_hashes([file], tmp_path)
    (note,) = (tmp_path / "notes").iterdir()
    stamp = file.stat().st_mtime_ns + 3 * 10**9
    os.utime(note, ns=(stamp, stamp))  # as if it had been noted three seconds after the file was written
    monkeypatch.setattr(checksums.hashlib, "file_digest", lambda *_: pytest.fail("hashed again"))
    assert source_files.file_hashes([file], tmp_path) == known
    monkeypatch.undo()
    file.write_bytes(b"DATA")
    assert source_files.file_hashes([file], tmp_path) != known


def test_a_file_changed_within_a_tick_is_hashed_again(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_bytes(b"data")
    facts = file.stat()
    known = source_files.file_hashes([file], tmp_path)
    file.write_bytes(b"DATA")
    os.utime(file, ns=(facts.st_atime_ns, facts.st_mtime_ns))
    assert source_files.file_hashes([file], tmp_path) != known


def test_a_damaged_note_is_ignored(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_bytes(b"data")
    known = source_files.file_hashes([file], tmp_path)
    (note,) = (tmp_path / "notes").iterdir()
    for damage in ("", "[]", "{", json.dumps({str(file): "x"}), json.dumps({str(file): []})):
        note.write_text(damage)
        assert source_files.file_hashes([file], tmp_path) == known


def test_a_folder_stands_for_all_files_below_it(tmp_path: Path) -> None:
    declaration = declare_domain(NPZ | {"path": "folder"})
    (tmp_path / "folder" / "cat").mkdir(parents=True)
    for name in ("folder/cat/1.png", "folder/2.png", "b.npz"):
        (tmp_path / name).write_bytes(b"x")
    paths = source_files.files_of(declaration, tmp_path)
    assert paths is not None and {str(path.relative_to(tmp_path)) for path in paths} == {
        "folder/cat/1.png",
        "folder/2.png",
        "b.npz",
    }
    assert source_files.files_of(declare_domain(NPZ | {"path": "../b.npz"}), tmp_path) is None
