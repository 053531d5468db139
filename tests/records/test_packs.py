"""Packs of predictions and facts: the same bytes each time, the same results as loose files, and nothing lost."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest
from command_line import tlbench
from packed_results import files, loaded
from results_on_file import contents

from tlbench import api, records, reports
from tlbench.errors import TlbenchError
from tlbench.records import merge, packing, packs
from tlbench.records.candidates import sealed_facts
from tlbench.runner.case_locks import CaseLocks
from tlbench.session import load_suite

NAME = "0123456789abcdef.npz"


def test_packed_results_read_as_loose_ones_do_and_a_run_computes_nothing_again(folder, ran):
    results, suite = folder / "results", load_suite(folder / "tiny.toml")
    before, loose, lines = loaded(results), files(results), contents(folder)
    words = "report", "--results", "results", "--table", "negative_transfer", "--suite", "tiny.toml"
    report = tlbench(*words, cwd=folder).stdout
    chosen = reports.rule_selections(ran / "results", records.read_all(results))
    done = tlbench("results", "pack", "--suite", "tiny.toml", cwd=folder)
    assert done.stdout == f"tiny: {len(loose)} files packed into 4\n" and done.stderr == ""
    packed = files(results)
    assert sorted(packed) == [f"{kind}/{entry}.zip" for kind in sorted(packs.KINDS) for entry in ("coral", "source_only")]
    assert loaded(results) == before and tlbench(*words, cwd=folder).stdout == report
    assert reports.rule_selections(results, records.read_all(results)).equals(chosen)
    api.run(suite, results=results, device="cpu")
    assert contents(folder) == lines and files(results) == packed
    assert tlbench("results", "unpack", cwd=folder, TLBENCH_CACHE="off").returncode == 0
    assert files(results) == loose


def test_packs_have_the_same_bytes_in_one_step_and_in_several(folder):
    results = folder / "results"
    loose = files(results)
    packing.pack(results, "tiny")
    at_once = files(results)
    assert packing.pack(results, "tiny") == packing.PackResult(0, 0, (), 0) and files(results) == at_once
    packing.unpack(results, "tiny")
    for name in sorted(loose)[::2]:
        (results / "tiny" / name).unlink()
    packing.pack(results, "tiny")
    for name in sorted(loose)[::2]:
        (results / "tiny" / name).write_bytes(loose[name])  # as a run does that goes on
    before = loaded(results)
    packing.pack(results, "tiny")
    assert files(results) == at_once and loaded(results) == before
    with zipfile.ZipFile(results / "tiny" / "facts" / "coral.zip") as archive:
        assert archive.testzip() is None and archive.namelist() == sorted(archive.namelist())
        assert {f"facts/{name}": archive.read(name) for name in archive.namelist()}.items() <= loose.items()


@pytest.mark.parametrize("step", range(0, 30, 6))
def test_a_stop_between_renaming_and_removing_loses_nothing(folder, monkeypatch, step):
    results, removed = folder / "results", []
    before, unlink = loaded(results), Path.unlink

    def interrupted(path: Path, missing_ok: bool = False) -> None:
        if len(removed) == step:
            raise KeyboardInterrupt
        removed.append(path.name)
        unlink(path, missing_ok)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "unlink", interrupted)
        with pytest.raises(KeyboardInterrupt):
            packing.pack(results, "tiny")
    assert len(removed) == step and loaded(results) == before
    (results / "tiny" / "facts" / ".coral.zip.new").write_bytes(b"PK")  # a process that was killed before it renamed
    packing.pack(results, "tiny")
    records.prepare(results, "tiny")
    assert len(files(results)) == 4 and loaded(results) == before


def test_two_entries_that_share_a_file_both_keep_it(folder):
    results = folder / "results"
    loose = len(files(results))
    shared = [record for record in records.read_all(results) if record.entry == "coral"]
    names = {f"{record.scores.predictions}.npz" for record in shared}
    for record in shared:
        records.append(results, record.model_copy(update={"entry": "twin"}))
    assert packing.pack(results, "tiny").files == loose
    for entry in ("coral", "twin"):
        assert {*packs.members(packs.pack_file(results, "tiny", "predictions", entry))} == names
    records.prune_records(results, "tiny", lambda of_file: range(len(of_file)) if of_file[0].entry == "coral" else ())
    packs.pack_file(results, "tiny", "predictions", "coral").unlink()
    assert all(records.predictions(results, record) is not None for record in shared)
    twins = [record.model_copy(update={"entry": "later"}) for record in shared[:2]]
    for record in twins:
        records.append(results, record)  # its files are in the pack of twin
    packing.pack(results, "tiny")
    packs.pack_file(results, "tiny", "predictions", "twin").unlink()
    assert all(records.predictions(results, record) is not None for record in twins)


def test_pruning_drops_members_that_no_record_names_and_only_counts_without_yes(folder):
    results = folder / "results"
    first, *others = [record for record in records.read_all(results) if record.entry == "coral"]
    packing.pack(results, "tiny")
    (results / "tiny" / "predictions" / NAME).write_bytes(b"of no record")
    before = files(results)
    assert records.prune_records(results, "tiny", lambda of_file: [0], only_count=True) == 2
    assert "would go" in tlbench("results", "prune", "--suite", "tiny.toml", cwd=folder).stdout
    assert files(results) == before and "1 that no record names stay" in tlbench("results", "pack", cwd=folder).stdout
    records.prune_records(results, "tiny", lambda of_file: [of_file.index(first)] if first in of_file else [])
    assert records.predictions(results, first) is None and not (results / "tiny" / "predictions" / NAME).exists()
    assert all(records.predictions(results, record) is not None for record in others)
    assert sealed_facts(results, "tiny", first.scores.sealed_facts) is None
    records.prune_records(results, "tiny", lambda of_file: range(len(of_file)))
    assert files(results) == {}


def test_a_merge_takes_members_of_packs_and_what_is_packed_there_stays(folder, ran, tmp_path):
    packing.pack(folder / "results", "tiny")
    out = tmp_path / "out"
    merge.merge([folder / "results"], out)
    assert files(out) == files(ran / "results") and loaded(out) == loaded(ran / "results")
    packing.pack(out, "tiny")
    packed = files(out)
    (out / "tiny" / "coral.jsonl").unlink()
    merge.merge([ran / "results"], out)
    assert files(out) == packed == files(folder / "results")


def test_a_pack_is_refused_while_a_run_is_at_work(folder, monkeypatch):
    results = folder / "results"
    before = files(results)
    locks = CaseLocks(results / "tiny")
    assert locks.acquire("0" * 16)
    done = tlbench("results", "pack", "--suite", "tiny.toml", cwd=folder)
    assert (
        done.returncode == 2
        and done.stderr == "tlbench: results: A run is at work on tiny. Pack or unpack when it has ended.\n"
    )
    monkeypatch.setattr(packing, "LOCK_SECONDS", 0.0)
    with records.lock(results / "tiny"), pytest.raises(TlbenchError, match="Another process writes to this suite"):
        packing.pack(results, "tiny")
    assert files(results) == before


def test_the_directory_of_a_pack_is_read_once_and_again_when_the_pack_has_changed(folder, monkeypatch):
    results, readings = folder / "results", []
    packing.pack(results, "tiny")
    packs._directories.clear()
    read_directory = packs._read_directory
    monkeypatch.setattr(packs, "_read_directory", lambda handle: readings.append(handle.name) or read_directory(handle))
    before = loaded(results)
    assert loaded(results) == before and len(readings) == 4
    first, packed = records.read_all(results)[0], files(results)
    records.prune_records(results, "tiny", lambda of_file: [0] if of_file[0] == first else [])
    assert len(readings) == 4  # pruning reads no directory again, and writes packs that have less anew
    changed = sum(content != packed[name] for name, content in files(results).items())
    assert changed and loaded(results) == before[1:] and 4 < len(readings) <= 4 + changed  # files of two entries are read once
