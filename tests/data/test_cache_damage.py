"""Every kind of damage to an entry of the cache: it is made anew with a note, or its samples are whole."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from benchmarks import damage, damage_kinds
from tlbench.data import cache, checksums, source_files


@pytest.fixture(scope="module")
def trial(tmp_path_factory: pytest.TempPathFactory) -> Iterator[damage.Trial]:
    yield damage.Trial(tmp_path_factory.mktemp("trial"))


@pytest.fixture(scope="module")
def folders(trial: damage.Trial) -> dict[tuple[str, str], Path]:
    """A cache for each kind of entry and of damage; the entry is verified, and its stamps are noted."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cache, "SMALL_BYTES", 1)
        return trial.prepare([*damage_kinds.DAMAGES, "none"])


@pytest.fixture(autouse=True)
def small_domains(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cache, "SMALL_BYTES", 1)


@pytest.mark.parametrize("name", list(damage_kinds.DAMAGES))
@pytest.mark.parametrize("kind", damage.KINDS)
def test_a_damaged_entry_is_made_anew_with_a_note(
    trial: damage.Trial, folders: dict[tuple[str, str], Path], kind: str, name: str
) -> None:
    expected = damage.INTACT if name in damage_kinds.HARMLESS else damage.RENEWED
    assert trial.result(kind, name, folders[kind, name]) == expected


def test_there_are_enough_kinds_and_a_wrong_domain_is_seen(trial: damage.Trial, tmp_path: Path) -> None:
    assert len(damage_kinds.DAMAGES) - len(damage_kinds.HARMLESS) >= 32
    (tmp_path / "plain").mkdir()
    other = damage.Trial(tmp_path / "plain")
    assert damage.same(other.base, trial.base)
    other.base.samples.y[0] = 2 - other.base.samples.y[0] // 2
    assert not damage.same(other.base, trial.base)


@pytest.mark.parametrize("kind", damage.KINDS)
def test_arrays_are_read_once_for_a_stamp(
    trial: damage.Trial, folders: dict[tuple[str, str], Path], kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, read = folders[kind, "none"], []
    crc32 = checksums.crc32
    monkeypatch.setattr(checksums, "crc32", lambda path: read.append(path.name) or crc32(path))
    assert damage.same(trial.load(kind, folder), trial.expected[kind]) and read == []
    file = trial.entry(folder) / "samples.y.npy"
    os.utime(file, (1000, 1000))
    trial.load(kind, folder)
    assert read == ["samples.y.npy"]


def test_damage_below_the_stamps_is_seen_when_entries_are_verified_anew(trial: damage.Trial, tmp_path: Path) -> None:
    """A bit that flips on the disk changes no stamp; here the note states the stamps of the damaged file."""
    trial.load("domain", tmp_path)
    entry = trial.entry(tmp_path)
    assert cache.damaged_entries(tmp_path) == {}
    file = entry / "samples.x.npy"
    noted = checksums.read_json(entry / damage_kinds.NOTE)
    damage_kinds.flip(file)
    stat = file.stat()
    noted[str(file)][1:] = [stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns, stat.st_ino]
    checksums.write_json(entry / damage_kinds.NOTE, noted)
    later = stat.st_ctime_ns + 2 * checksums.CLOCK_TICK_NS
    os.utime(entry / damage_kinds.NOTE, ns=(later, later))
    assert not damage.same(trial.load("domain", tmp_path), trial.base)  # this is what no stamp can tell
    assert [*cache.damaged_entries(tmp_path)] == [entry]


def test_an_entry_that_was_rewritten_with_its_checksums_is_seen_by_its_fingerprint(trial: damage.Trial, tmp_path: Path) -> None:
    trial.load("domain", tmp_path)
    damage_kinds.forge(trial.entry(tmp_path), damage_kinds.X, lambda x: 255 - x)
    (reason,) = cache.damaged_entries(tmp_path).values()
    assert "another fingerprint" in reason


def test_a_read_only_cache_is_read(trial: damage.Trial, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    trial.load("domain", tmp_path)
    before = trial.computed

    def refused(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(checksums, "write_json", refused)
    monkeypatch.setattr(os, "utime", refused)
    assert damage.same(trial.load("domain", tmp_path), trial.base) and trial.computed == before


def test_notes_of_checksums_are_believed_only_where_they_are_whole(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_bytes(b"content")
    expected = source_files.file_hashes([file], tmp_path)
    (note,) = (tmp_path / "notes").iterdir()
    content = json.loads(note.read_text())
    content[str(file)][0] = "0" * 64
    later = file.stat().st_ctime_ns + 2 * checksums.CLOCK_TICK_NS

    def pipe() -> None:
        note.unlink()
        os.mkfifo(note)

    for spoil in (lambda: note.write_text(json.dumps(content)), lambda: damage_kinds.nested(note), pipe):
        spoil()
        os.utime(note, ns=(later, later))
        assert source_files.file_hashes([file], tmp_path) == expected
        assert note.is_file()


def test_listing_and_pruning_get_by_with_junk(trial: damage.Trial, tmp_path: Path) -> None:
    trial.load("domain", tmp_path)
    entry = trial.entry(tmp_path)
    damage_kinds.junk_beside(entry)
    (entry / "dangling").symlink_to("nowhere")
    for name, make in {"deep": damage_kinds.nested, "pipe": os.mkfifo}.items():
        (entry.parent / name).mkdir()
        make(entry.parent / name / damage_kinds.CARD)
    (entry.parent / "link").symlink_to(entry)
    assert [one.path for one in cache.entries(tmp_path)] == [entry]
    assert cache.prune(tmp_path) > 0 and cache.entries(tmp_path) == []
    assert not [path for path in entry.parent.iterdir() if path.suffix != ".lock"]


def test_a_copied_cache_is_verified_anew(trial: damage.Trial, tmp_path: Path) -> None:
    trial.load("features", tmp_path / "one")
    shutil.copytree(tmp_path / "one", tmp_path / "other")
    before = trial.computed
    assert damage.same(trial.load("features", tmp_path / "other"), trial.expected["features"]) and trial.computed == before
    damage_kinds.rewrite(trial.entry(tmp_path / "other") / "samples.x.npy", np.zeros_like)
    trial.load("features", tmp_path / "other")
    assert trial.computed == before + 1
