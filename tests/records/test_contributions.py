"""Rows from others: what is wrong with one is all said at once, joining loses nothing, and a sample is run again."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from command_line import tlbench
from tiny_suite import CPU, SUITE, record, write_domains
from typer.testing import CliRunner

from tlbench import api, checks, cli, records
from tlbench.checks import rerun
from tlbench.errors import TlbenchError
from tlbench.records import merge
from tlbench.terms import Scores

THREE = SUITE.replace("seeds = [0]", "seeds = [0, 1, 2]").replace('list = ["a:b"]', 'list = ["a:b", "b:a"]')


@pytest.fixture(scope="module")
def ran(tmp_path_factory) -> Path:
    """A folder with a suite, its data, and its results, run here."""
    folder = tmp_path_factory.mktemp("ran")
    write_domains(folder)
    (folder / "tiny.toml").write_text(THREE)
    api.run(folder / "tiny.toml", results=folder / "results", device="cpu")
    return folder


@pytest.fixture
def file(ran, tmp_path) -> Path:
    """A copy of the row that is held to the suite, with a clean commit, and the other row beside it."""
    folder = tmp_path / "results" / "tiny"
    for path in (ran / "results" / "tiny").rglob("*"):
        if path.is_file() and path.suffix in (".jsonl", ".npz"):
            to = folder / path.relative_to(ran / "results" / "tiny")
            to.parent.mkdir(parents=True, exist_ok=True)
            to.write_bytes(path.read_bytes())
    rewrite(folder / "coral.jsonl", lambda number, facts: facts["code"].update(commit="abc", dirty=False))
    return folder / "coral.jsonl"


def rewrite(file, change) -> None:
    """Change the facts of every line of a results file; a line whose change gives False is left out."""
    lines = []
    for number, line in enumerate(file.read_text(encoding="utf-8").splitlines()):
        facts = json.loads(line)
        if change(number, facts) is not False:
            lines.append(json.dumps(facts))
    file.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")


def said_of(file, suite) -> str:
    with pytest.raises(TlbenchError) as raised:
        checks.check_contribution(file, suite)
    return str(raised.value)


def test_a_row_that_keeps_all_promises(ran, file):
    kept = checks.check_contribution(file, api.load_suite(ran / "tiny.toml"))
    assert kept[0].startswith("6 records, 6 done") and "2 pairs, 3 seeds each, no case twice" in kept


CHANGES = {
    "another hash": (lambda n, r: r.update(suite_hash="x"), "suite_hash: 6 records have 'x', the suite has"),
    "another baseline": (
        lambda n, r: r.update(baseline="dann"),
        "baseline: 6 records have 'dann', the suite has 'source_only'",
    ),
    "another version": (lambda n, r: r.update(suite_version=7), "suite_version: 7 is later than the suite's, 1"),
    "no such version": (lambda n, r: r.update(suite_version=7), "records of version 7, and suite tiny is at version 1"),
    "an option": (
        lambda n, r: r["options"].update(weight=3.0),
        "6 records have other options than the suite, such as {'weight': 3.0}",
    ),
    "another method": (lambda n, r: r.update(method="dann"), "the records are of dann, in the suite it is coral"),
    "an identity": (lambda n, r: r.update(identity=f"{n}"), "6 records are not of the case that they say, such as a:b seed 0"),
    "a missing pair": (lambda n, r: r["target"] != "a", "pairs: no record of b:a"),
    "a missing seed": (lambda n, r: n != 0, "seeds: a:b has 2 that did not fail; 3 at least"),
    "a strange pair": (
        lambda n, r: n == 0 and r.update(target="c", data={"a": "1", "c": "2"}),
        "pairs: 'a:c' is none of suite tiny",
    ),
    "a failure": (
        lambda n, r: n == 0 and r.update(status="failed", reason="it diverged", scores={}, cost={}),
        "a:b seed 0 failed: it diverged",
    ),
    "uncommitted code": (lambda n, r: r["code"].update(dirty=True), "commit: 6 records are of uncommitted code"),
    "other data": (lambda n, r: n == 0 and r["data"].update(a="0" * 16), "data: 2 different contents of domain a"),
    "data of one's own": (lambda n, r: r["data"].update(a="0" * 16), "domain a is not that of the other rows of the suite"),
    "fewer rows": (
        lambda n, r: r["scores"].update(scored_samples=30, target_accuracy=0.5, predictions=None),
        "of one and the same target data (a:b",
    ),
    "no whole row": (
        lambda n, r: r["scores"].update(target_accuracy=0.123),
        "target_accuracy 0.123 of 60 scored rows is no whole",
    ),
    "a score": (lambda n, r: r["scores"].update(macro_f1=1.5), "record 3: a score outside 0 to 1"),
    "other predictions": (
        lambda n, r: r["scores"].update(target_accuracy=(61 - n) / 60 - 1 / 60),
        "of 60 rows right, its target_accuracy is",
    ),
    "lost predictions": (
        lambda n, r: r["scores"].update(predictions="0" * 16),
        "its predictions 0000000000000000 are not beside it",
    ),
    "no machine": (lambda n, r: r["machine"].update(cores=0, torch="new"), "record 1: torch 'new', which is no version"),
    "no cores": (lambda n, r: r["machine"].update(cores=0), "record 1: 0 processor cores"),
    "a GPU without a driver": (lambda n, r: r["machine"].update(device="H200", cuda=None), "device 'H200' without a driver"),
    "time": (lambda n, r: r["cost"].update(train_seconds=1e6), "1000000.0 s of training in a case that took"),
    "speed": (lambda n, r: r["cost"].update(train_samples_per_second=-1.0), "train_samples_per_second -1, which is below zero"),
}


@pytest.mark.parametrize("name", CHANGES)
def test_what_is_wrong_is_said(ran, file, name):
    change, words = CHANGES[name]
    rewrite(
        file,
        lambda number, facts: (
            change(number, facts) if name in ("a missing pair", "a missing seed") else [change(number, facts)]
        ),
    )
    assert words in said_of(file, api.load_suite(ran / "tiny.toml"))


def test_all_that_is_wrong_is_said_at_once(ran, file):
    def change(number, facts):
        facts["code"]["dirty"] = True
        facts["suite_hash"] = "x"
        facts["scores"]["macro_f1"] = 2.0
        return number != 5

    rewrite(file, change)
    lines = file.read_text(encoding="utf-8").splitlines()
    file.write_text("\n".join([*lines, lines[0]]) + "\n", encoding="utf-8")
    said = said_of(file, api.load_suite(ran / "tiny.toml"))
    for words in ("uncommitted code", "suite_hash", "score outside", "2 records of one case", "b:a has 2 that did not fail"):
        assert words in said, words


def test_check_on_the_command_line_takes_the_suite_by_name_or_by_folder(ran, file):
    done = CliRunner().invoke(cli.app, ["check", str(file), "--suite", str(ran / "tiny.toml")])
    assert done.exit_code == 0 and "ok  2 pairs, 3 seeds each" in done.output
    done = CliRunner().invoke(cli.app, ["check", str(file)])
    assert done.exit_code == 0 and "no suite 'tiny' ships" in done.output
    moved = file.parent.with_name("quickstart")
    file.parent.rename(moved)
    done = tlbench("check", moved / "coral.jsonl", cwd=ran)
    assert done.returncode == 2 and "Traceback" not in done.stderr
    for words in ("belongs in another file", "pairs: no record of upright:rotated", "'a:b' is none of suite quickstart"):
        assert words in done.stderr


def test_check_takes_several_files_and_says_what_is_wrong_with_all(ran, file):
    other = file.with_name("other.jsonl")
    other.write_text("no record\n", encoding="utf-8")
    done = tlbench("check", ran / "tiny.toml", other, "none.toml", file, cwd=ran)
    assert done.returncode == 2 and "Traceback" not in done.stderr
    assert f"{other}:" in done.stderr and "no file none.toml" in done.stderr
    assert "ok  suite tiny" in done.stdout and f"{file}\nok  " in done.stdout


# --- merge ----------------------------------------------------------------------------------------------------------


def written(folder, *some):
    for one in some:
        (folder / one.suite).mkdir(parents=True, exist_ok=True)
        records.append(folder, one)
    return folder


def test_a_merge_loses_nothing_and_overwrites_nothing(tmp_path):
    same, mine = record(0), record(1)
    theirs = record(1, scores=Scores(target_accuracy=0.75))
    one, two = written(tmp_path / "one", same, mine), written(tmp_path / "two", same, theirs, record(2, suite="other"))
    out = written(tmp_path / "out", record(9))
    before = records.file_of(out, "tiny", "source_only").read_bytes()
    merged = merge.merge([one, two], out)
    assert (merged.written, merged.already_present) == (4, 1)
    assert records.file_of(out, "tiny", "source_only").read_bytes().startswith(before)
    assert [r.seed for r in records.read_all(out, ("tiny",))] == [9, 0, 1, 1]
    assert [r.seed for r in records.read_all(out, ("other",))] == [2]
    (conflict,) = merged.conflicts
    assert (conflict.first, conflict.second) == (mine, theirs)
    assert "seed 1: target_accuracy 0.5 and 0.75" in str(conflict)
    after = records.file_of(out, "tiny", "source_only").read_bytes()
    assert merge.merge([one, two, out], out).written == 0
    assert records.file_of(out, "tiny", "source_only").read_bytes() == after


def test_one_finding_twice_is_no_conflict(tmp_path):
    first = record(0)
    there = record(0, machine=first.machine.model_copy(update={"torch": "3"}), finished="2024-01-02T00:00:00.000+00:00")
    retried = record(1, status="failed", reason="no memory", scores=Scores()), record(1)
    one, two = written(tmp_path / "a", first, retried[0]), written(tmp_path / "b", there, retried[1])
    merged = merge.merge([one, two], tmp_path / "out")
    assert merged.written == 4 and merged.conflicts == ()
    assert "torch 2 and 3" in merge.differences(first, there)


def test_predictions_come_along(ran, tmp_path):
    merge.merge([ran / "results"], tmp_path)
    found = [record for record in records.read_all(tmp_path) if record.scores.predictions]
    assert found and all(records.predictions(tmp_path, record) is not None for record in found)
    assert [r.identity for r in records.read_all(tmp_path)] == [r.identity for r in records.read_all(ran / "results")]


def test_a_merge_of_broken_files_writes_nothing_and_says_all(tmp_path):
    one, two = written(tmp_path / "one", record(0)), written(tmp_path / "two", record(1))
    (one / "tiny" / "source_only.jsonl").write_text("rubbish\n")
    (two / "tiny" / "dann.jsonl").write_bytes((two / "tiny" / "source_only.jsonl").read_bytes())
    with pytest.raises(TlbenchError) as raised:
        merge.merge([one, two, tmp_path / "none"], tmp_path / "out")
    said = str(raised.value)
    assert "There is no results directory" in said and "Not JSON" in said and "belong in another file" in said
    assert not (tmp_path / "out").exists()


def test_merge_on_the_command_line_shows_conflicts_and_ends_with_1(tmp_path):
    written(tmp_path / "one", record(0))
    written(tmp_path / "two", record(0, scores=Scores(target_accuracy=0.25)))
    done = tlbench("merge", "one", "two", "--out", "both", cwd=tmp_path)
    assert done.returncode == 1 and "2 records written to both" in done.stdout
    assert "conflict: tiny v1 source_only a:b seed 0: target_accuracy 0.5 and 0.25" in done.stderr


# --- verify ---------------------------------------------------------------------------------------------------------


def test_what_ran_here_comes_out_the_same_here(ran):
    suite = api.load_suite(ran / "tiny.toml")
    found = list(rerun.verify(ran / "results" / "tiny" / "coral.jsonl", suite, ran, CPU, sample=4))
    assert [one.verdict for one in found] == ["same"] * 4 and found[0].machine == {}
    assert [one.filed.pair for one in found].count("a:b") == 2  # one of each pair before a second of any


def test_noise_and_difference_are_told_apart(ran):
    (filed, *_) = records.read(ran / "results" / "tiny" / "source_only.jsonl")
    here = filed.model_copy(update={"status": "failed", "scores": Scores()})
    assert rerun.compare(filed, here, 1.0).verdict == "different"

    def at(value: float):
        return filed.model_copy(update={"scores": Scores(target_accuracy=value, scored_samples=60)})

    assert rerun.compare(at(0.5), at(0.5), 0.0).verdict == "same"
    assert rerun.compare(at(0.5), at(0.5 + 2 / 60), 0.0).verdict == "within noise"  # two rows
    assert rerun.compare(at(0.5), at(0.5 + 3 / 60), 0.0).verdict == "different"
    assert rerun.compare(at(0.5), at(0.5 + 3 / 60), 0.1).verdict == "within noise"


def test_the_noise_is_that_of_one_more_seed():
    some = [record(seed, scores=Scores(target_accuracy=value)) for seed, value in enumerate((0.5, 0.6, 0.7))]
    # Student's t for 0.975 with 2 degrees of freedom, times sqrt(2) times the standard deviation 0.1
    assert rerun._noise(some) == pytest.approx(4.302652730 * 2**0.5 * 0.1)
    assert rerun._noise(some[:1]) == 0.0


def test_verify_says_what_keeps_a_case_from_being_run_again(ran, file):
    rewrite(file, lambda n, r: r["data"].update(a="0" * 16))
    with pytest.raises(TlbenchError, match="domain a: its content here is"):
        list(rerun.verify(file, api.load_suite(ran / "tiny.toml"), ran, CPU))
    rewrite(file, lambda n, r: r.update(suite_hash="x"))
    with pytest.raises(TlbenchError, match=r"has the hash .*, on file x"):
        list(rerun.verify(file, api.load_suite(ran / "tiny.toml"), ran, CPU))


def test_verify_on_the_command_line(ran, file):
    rewrite(file, lambda n, r: (r["machine"].update(torch="1.0"), r["scores"].update(target_accuracy=0.0, predictions=None)))
    words = ("verify", file, "--suite", ran / "tiny.toml", "--data", ran, "--device", "cpu", "--sample", "1")
    done = tlbench(*words, cwd=ran)
    assert done.returncode == 1 and done.stdout.startswith("different") and "another machine: torch on file 1.0" in done.stdout
    assert (
        "within noise: the two values differ by no more than" in done.stdout
        and "1 of 1 cases come out different" in done.stderr
    )
