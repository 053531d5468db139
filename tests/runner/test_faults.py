"""Runs that are killed, run out of disk or run twice: each finished case has one record, and nothing else is left."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import time
from pathlib import Path

import command_line
import pytest
from command_line import CommandServer, start_tlbench, tlbench
from tiny_suite import SUITE, case, record, write_domains

from tlbench import records, runner
from tlbench.terms import Cost

ENTRIES = """
[methods.source_only]
[methods.nearest_neighbor]
[methods.ridge]
[methods.wide]
method = "ridge"
c = 5.0
"""


@pytest.fixture(scope="module")
def command_server() -> CommandServer:
    """Where runs are forked."""
    return command_line.command_server()


def folder_with(folder: Path, seeds: int) -> Path:
    """A folder with a suite of 4 method entries, two pairs and so many seeds, whose cases take milliseconds."""
    folder.mkdir()
    write_domains(folder)
    text = SUITE.partition("[methods.source_only]")[0].replace("seeds = [0]", f"seeds = {[*range(seeds)]}")
    text = text.replace('list = ["a:b"]', 'list = ["a:b", "b:a"]').replace("steps = 5", "steps = 2\ntrace = 0")
    (folder / "tiny.toml").write_text(text + ENTRIES)
    return folder


def facts(folder: Path) -> list[tuple[object, ...]]:
    """The facts of records that depend on no clock, in the order of their cases, duplicates twice."""
    written = records.read_all(folder / "results")
    for one in written:  # predictions are on the disk before the line that names them
        assert records.predictions(folder / "results", one) is not None
    return sorted((r.entry, r.pair, r.seed, r.identity, r.status, r.scores.model_dump_json()) for r in written)


def leftovers(folder: Path) -> list[str]:
    """The files of the results folder that are no records, no predictions and not the lock."""
    results = folder / "results" / "tiny"
    known = {".lock", "predictions"}
    return sorted(p.name for p in results.rglob("*") if p.suffix not in {".jsonl", ".npz"} and p.name not in known)


@pytest.fixture(scope="module")
def undisturbed(command_server: CommandServer, tmp_path_factory: pytest.TempPathFactory) -> list[tuple[object, ...]]:
    """160 cases, about as many as the quickstart has, run in one go."""
    folder = folder_with(tmp_path_factory.mktemp("whole") / "whole", seeds=20)
    command_server.start(folder)
    assert command_server.ended() == 0
    assert len(facts(folder)) == 160 and leftovers(folder) == []
    return facts(folder)


def test_a_hundred_kills_lose_and_double_nothing(command_server, undisturbed, tmp_path):
    """SIGKILL while planning, running and writing; the records on file are a subset of all after each, and all in the end."""
    folder = folder_with(tmp_path / "killed", seeds=20)
    rng = random.Random(0)
    killed = 0
    for _ in range(100):
        run = command_server.start(folder)
        if rng.random() < 0.85:
            words = command_server.until("planned", "ended")
            assert words[0] == "planned"
        time.sleep(rng.uniform(0, 0.05))
        with contextlib.suppress(ProcessLookupError):
            os.kill(run, signal.SIGKILL)
        ending = command_server.ended()
        assert ending in (-signal.SIGKILL, 0)
        killed += ending != 0
    assert killed >= 80  # most kills came while cases were pending
    command_server.start(folder)
    assert command_server.ended() == 0
    assert facts(folder) == undisturbed
    assert [name for name in leftovers(folder) if "broken" not in name] == []


def test_two_runs_on_one_directory_share_the_work(command_server, tmp_path):
    """Twenty times: both end well, every case has one record."""
    whole = folder_with(tmp_path / "whole", seeds=2)
    command_server.start(whole)
    assert command_server.ended() == 0
    expected = facts(whole)
    for number in range(20):
        folder = folder_with(tmp_path / str(number), seeds=2)
        command_server.start(folder)
        command_server.start(folder)
        assert [command_server.ended(), command_server.ended()] == [0, 0]
        assert facts(folder) == expected and leftovers(folder) == []
    assert len(expected) == 16


# --- disks, folders and clocks --------------------------------------------------------------------------------------


def test_a_full_disk_ends_the_run_with_a_reason_and_whole_lines(tmp_path):
    """No file may grow beyond a limit, as on a disk that is full: what was finished stays, and the next run goes on."""
    folder = folder_with(tmp_path / "full", seeds=3)
    words = ("run", "tiny.toml", "--no-tables", "--device", "cpu")
    process = start_tlbench(*words, cwd=folder, files_up_to=9000)
    out, err = process.communicate(timeout=120)
    assert process.returncode == 2 and "Traceback" not in err and out == ""
    assert "source_only.jsonl: The record can't be written: " in err and err.endswith(". Correct that and run again.\n")
    before = facts(folder)
    assert 0 < len(before) < 24 and leftovers(folder) == []
    done = tlbench(*words, cwd=folder)
    assert done.returncode == 0, done.stderr
    assert f"{len(before)} on file" in done.stderr
    assert len(facts(folder)) == 24 and set(before) < set(facts(folder))


@pytest.mark.skipif(os.geteuid() == 0, reason="root writes to read-only folders too")
def test_a_read_only_directory_ends_the_run_before_any_case(tmp_path):
    folder = folder_with(tmp_path / "locked", seeds=1)
    (folder / "results").mkdir(mode=0o555)
    done = tlbench("run", "tiny.toml", cwd=folder)
    assert done.returncode == 2 and "Permission denied. Choose another with --results DIR" in done.stderr


def test_a_folder_that_is_a_file_ends_the_run_before_any_case(tmp_path):
    folder = folder_with(tmp_path / "odd", seeds=1)
    (folder / "results").write_text("")
    done = tlbench("run", "tiny.toml", cwd=folder)
    assert done.returncode == 2 and "Choose another with --results DIR" in done.stderr and "Traceback" not in done.stderr


def test_a_clock_that_was_set_back_breaks_nothing(tmp_path):
    """Records that end before they start: they load, they count as done, and no estimate is negative."""
    odd = record(1, started="2031-01-01T00:00:00.000+00:00", finished="1999-01-01T00:00:00.000+00:00")
    (tmp_path / "tiny").mkdir()
    records.append(tmp_path, odd)
    (loaded,) = records.read_all(tmp_path)
    assert loaded == odd and runner.wall_seconds(loaded) == 0.0
    timed = odd.model_copy(update={"cost": Cost(wall_seconds=2.5)})
    assert runner.wall_seconds(timed) == 2.5
    assert runner.estimate_seconds([case(seed=2)], [odd, timed, timed]) == (2.5, 0)
