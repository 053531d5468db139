"""`tlbench run`: a whole run as a real process, runs that follow on it, plans, and cases that fail."""

from __future__ import annotations

import json
import os
import pty
import shutil
import subprocess
import sys

import pytest
from command_line import tlbench
from results_on_file import contents, statuses

from tlbench import records, session
from tlbench.cli import run as cli_run
from tlbench.suite import shipped_suites


def test_a_run(first_run):
    folder, done = first_run
    assert done.returncode == 0, done.stderr
    lines = done.stderr.splitlines()
    assert lines[0].startswith("tiny: 5 cases to run on cpu, 0 on file; started ")
    assert lines[1].startswith("[1/5] source_only a:b seed 0: accuracy ") and " s; " in lines[1]
    assert (
        lines[-1] == "[5/5] skipped: target_only a:b seed 0: target_only reads target_labeled, which the suite does not grant"
    )
    assert "left" in lines[1] and len(lines) == 6
    assert statuses(folder) == {
        "coral": ["done"],
        "nearest_neighbor": ["done"],
        "source_only": ["done"],
        "strong": ["done"],
        "target_only": ["skipped"],
    }
    assert done.stdout.startswith("tiny v1: target accuracy, 1 pair, 1 seed; baseline source_only: ")
    assert done.stdout.endswith("more: tlbench report tiny --table accuracy|transfer|throughput|...\n")
    for entry in statuses(folder):
        assert entry in done.stdout
    for name in statuses(folder):
        file = folder / "results" / "tiny" / f"{name}.jsonl"
        assert [r.entry for r in records.read(file)] == [name]
    (strong,) = records.read(folder / "results" / "tiny" / "strong.jsonl")
    assert (strong.method, strong.options) == ("coral", {"weight": 5.0})
    # the first optimizer of a process imports much of torch: seconds that no case is billed for
    (first,) = records.read(folder / "results" / "tiny" / "source_only.jsonl")
    assert first.cost.train_seconds < 0.5


def test_a_second_run_runs_nothing(first_run, copy_of_run):
    done = tlbench("run", "tiny.toml", "--no-tables", cwd=copy_of_run)
    assert done.returncode == 0 and done.stdout == ""
    assert done.stderr == "tiny: nothing to run, 5 cases are on file\n"
    assert contents(copy_of_run) == contents(first_run[0])


def test_filters_select_cases_and_data_come_from_elsewhere(first_run, copy_of_run):
    (copy_of_run / "data").mkdir()
    for name in "ab":
        (copy_of_run / f"{name}.npz").rename(copy_of_run / "data" / f"{name}.npz")
    methods = ("--method", "strong", "--method", "coral")
    seeds = ("--seed", "5", "--seed", "0")
    done = tlbench("run", "tiny.toml", *methods, "--pair", "a:b", *seeds, "--data", "data", cwd=copy_of_run)
    assert done.returncode == 0, done.stderr
    assert "2 cases to run on cpu, 2 on file" in done.stderr
    before, after = contents(first_run[0]), contents(copy_of_run)
    for name in ("coral.jsonl", "strong.jsonl"):
        assert after.pop(name).startswith(before.pop(name))
        assert [r.seed for r in records.read(copy_of_run / "results" / "tiny" / name)] == [0, 5]
    assert after == before


def test_a_plan_lists_what_would_run_and_writes_nothing(copy_of_run):
    shutil.rmtree(copy_of_run / "results")
    methods = ("--method", "strong", "--method", "nearest_neighbor")
    done = tlbench("run", "tiny.toml", "--plan", "--seed", "0", "--seed", "3", *methods, cwd=copy_of_run)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("tiny: 4 cases to run, 0 on file\n")
    assert "strong" in done.stdout and "a:b" in done.stdout and "\nabout " in done.stdout
    assert "cases could not be estimated" in done.stdout
    assert sorted(p.name for p in copy_of_run.iterdir()) == ["a.npz", "b.npz", "tiny.toml"]


def test_all_suites_are_those_whose_data_are_here(copy_of_run, capsys):
    """The plans come one at a time; a suite without data is left out by name, and the rest is counted at the end."""
    opened = session.open_session(results=copy_of_run / "results")
    here = session.load_suite(copy_of_run / "tiny.toml")
    (copy_of_run / "elsewhere.toml").write_text(
        (copy_of_run / "tiny.toml").read_text().replace("a.npz", "missing.npz").replace('"tiny"', '"elsewhere"')
    )
    without_data = session.load_suite(copy_of_run / "elsewhere.toml")
    plans = [*cli_run._plans_of_all(opened.plan, [without_data, here])]
    assert [plan.suite.name for plan in plans] == ["tiny"]
    assert "elsewhere is left out: " in capsys.readouterr().err
    cli_run._print_plans(iter(plans), opened, None, total=True)
    assert capsys.readouterr().out.splitlines()[-1].startswith("1 suites with data here: 0 cases to run, about 0 s here")
    assert set(cli_run._names((), True)) == set(shipped_suites())


@pytest.mark.parametrize(("words", "said"), [((), "--all runs all of them"), (("quickstart", "--all"), "Leave the names out")])
def test_names_of_suites_or_all_of_them(words, said, tmp_path):
    done = tlbench("run", *words, cwd=tmp_path)
    assert done.returncode == 2 and said in done.stderr and "Traceback" not in done.stderr


def test_a_plan_says_which_records_are_of_other_software(copy_of_run):
    assert "other software" not in tlbench("run", "tiny.toml", "--plan", cwd=copy_of_run).stdout
    file = copy_of_run / "results" / "tiny" / "coral.jsonl"
    facts = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
    for one in facts:
        one["machine"]["torch"], one["code"]["tlbench"] = "1.9.0", "0.0.1"
    file.write_text("".join(f"{json.dumps(one)}\n" for one in facts), encoding="utf-8")
    done = tlbench("run", "tiny.toml", "--plan", cwd=copy_of_run)
    assert done.returncode == 0, done.stderr
    assert f"{len(facts)} of the " in done.stdout and f": {len(facts)} of torch 1.9.0, tlbench 0.0.1." in done.stdout
    assert "--fresh runs them again" in done.stdout


def test_a_terminal_gets_a_bar(copy_of_run):
    shutil.rmtree(copy_of_run / "results")
    ours, theirs = pty.openpty()
    done = subprocess.Popen(
        [sys.executable, "-m", "tlbench", "run", "tiny.toml"],
        cwd=copy_of_run,
        stdout=subprocess.PIPE,
        stderr=theirs,
        env={**os.environ, "OMP_NUM_THREADS": "1", "TERM": "xterm", "COLUMNS": "160"},
    )
    os.close(theirs)
    shown = b""
    try:
        while chunk := os.read(ours, 65536):
            shown += chunk
    except OSError:  # the other end is closed
        pass
    os.close(ours)
    out = done.communicate(timeout=60)[0].decode()
    text = shown.decode()
    assert done.returncode == 0, text
    assert "5/5" in text and "Traceback" not in text and "tiny" in text and "━" in text
    assert "target accuracy" in out and statuses(copy_of_run)["strong"] == ["done"]


def test_a_broken_last_line_is_set_aside_and_its_case_runs_again(first_run, copy_of_run):
    file = copy_of_run / "results" / "tiny" / "coral.jsonl"
    file.write_bytes(file.read_bytes()[:-100])
    done = tlbench("run", "tiny.toml", cwd=copy_of_run)
    assert done.returncode == 0
    assert "coral.jsonl: The last line is broken. It is moved to coral.jsonl.broken-1" in done.stderr
    assert "1 cases to run on cpu, 4 on file" in done.stderr
    before, after = contents(first_run[0]), contents(copy_of_run)
    whole = before.pop("coral.jsonl")
    assert after.pop("coral.jsonl.broken-1") == whole[:-100]
    old, new = (records.from_line(text.decode()) for text in (whole, after.pop("coral.jsonl")))
    assert new.scores == old.scores and new.identity == old.identity
    assert after == before and "coral" in done.stdout


def test_a_diverging_method_fails_and_the_others_are_done(copy_of_run):
    file = copy_of_run / "tiny.toml"
    file.write_text(file.read_text().replace("weight = 5.0", "weight = 1e300"))
    methods = ("--method", "strong", "--method", "source_only", "--method", "nearest_neighbor")
    done = tlbench("run", "tiny.toml", *methods, "--seed", "1", cwd=copy_of_run)
    assert done.returncode == 1
    assert statuses(copy_of_run)["source_only"] == statuses(copy_of_run)["nearest_neighbor"] == ["done", "done"]
    assert statuses(copy_of_run)["strong"] == ["done", "failed"]
    last = records.read(copy_of_run / "results" / "tiny" / "strong.jsonl")[-1]
    assert last.reason.startswith("The loss is ") and "Lower train.lr or the weight" in last.reason
    assert f"failed: strong a:b seed 1: {last.reason}" in done.stderr
    assert done.stderr.splitlines()[-1].startswith("1 failed; ")
    assert "strong" in done.stdout and "source_only" in done.stdout
