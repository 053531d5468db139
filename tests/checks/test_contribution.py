"""Contract checks of a results file against its suite: all errors are reported at once, each as a sentence."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from command_line import tlbench
from tiny_results import THREE_SEEDS, results_file_of, rewrite, run_tiny_suite
from tiny_suite import NAMED, write_domains
from typer.testing import CliRunner

from tlbench import api, checks, cli, records
from tlbench.errors import TlbenchError
from tlbench.records import merge


@pytest.fixture(scope="module")
def ran(tmp_path_factory) -> Path:
    """A folder with the tiny suite, its data and its results."""
    return run_tiny_suite(tmp_path_factory.mktemp("ran"))


@pytest.fixture
def file(ran, tmp_path) -> Path:
    """A copy of coral's results with a clean commit, and source_only's results beside it."""
    return results_file_of(ran, tmp_path)


def error_of(file, suite) -> str:
    with pytest.raises(TlbenchError) as raised:
        checks.check_contribution(file, suite)
    return str(raised.value)


def test_a_file_that_follows_the_protocol_passes(ran, file):
    report = checks.check_contribution(file, api.load_suite(ran / "tiny.toml"))
    assert report[0] == "The records are plausible: 6 in all, 6 done."
    assert "It has 2 pairs with 3 seeds each, and no case twice." in report


CHANGES = {
    "another hash": (lambda n, r: r.update(suite_hash="x"), "suite_hash: 6 records have 'x', and the suite has"),
    "another baseline": (
        lambda n, r: r.update(baseline="dann"),
        "baseline: 6 records have 'dann', and the suite has 'source_only'.",
    ),
    "another version": (lambda n, r: r.update(suite_version=7), "suite_version: 7 is later than the suite's version, 1."),
    "no such version": (lambda n, r: r.update(suite_version=7), "The records are of version 7, and suite tiny has version 1."),
    "an option": (
        lambda n, r: r["options"].update(weight=3.0),
        "6 records have other options than the suite, such as {'weight': 3.0}",
    ),
    "another method": (lambda n, r: r.update(method="dann"), "The records are of dann, and the entry's method is coral."),
    "an identity": (
        lambda n, r: r.update(identity=f"{n}"),
        "6 records have an identity that does not follow from their case, such as a:b seed 0.",
    ),
    "a missing pair": (lambda n, r: r["target"] != "a", "pairs: There is no record of b:a."),
    "a missing seed": (lambda n, r: n != 0, "seeds: a:b has 2 seeds that did not fail. It takes 3 at least."),
    "a strange pair": (
        lambda n, r: n == 0 and r.update(target="c", data={"a": "1", "c": "2"}),
        "pairs: 'a:c' is no pair of suite tiny.",
    ),
    "a failure": (
        lambda n, r: n == 0 and r.update(status="failed", why="it diverged", scores={}, cost={}),
        "a:b seed 0 failed: it diverged",
    ),
    "uncommitted code": (lambda n, r: r["code"].update(dirty=True), "commit: 6 records are of uncommitted code"),
    "other data": (lambda n, r: n == 0 and r["data"].update(a="0" * 16), "data: Domain a has 2 different contents."),
    "data of another suite": (
        lambda n, r: r["data"].update(a="0" * 16),
        "data: Domain a is not that of the suite's other entries",
    ),
    "fewer scored samples": (
        lambda n, r: r["scores"].update(scored_rows=30, target_accuracy=0.5, predictions=None),
        "scored_rows: Records of the same target data (a:b",
    ),
    "no whole number of samples": (
        lambda n, r: r["scores"].update(target_accuracy=0.123),
        "target_accuracy 0.123 of 60 scored samples is no whole number",
    ),
    "a score": (
        lambda n, r: r["scores"].update(macro_f1=1.5),
        "line 3: Not a record: scores.macro_f1 = 1.5 should be less than or equal to 1.",
    ),
    "other predictions": (
        lambda n, r: r["scores"].update(target_accuracy=(61 - n) / 60 - 1 / 60),
        "of its 60 predictions are correct, and target_accuracy is",
    ),
    "lost predictions": (
        lambda n, r: r["scores"].update(predictions="0" * 16),
        "Its predictions 0000000000000000 are not beside it",
    ),
    "no machine": (lambda n, r: r["machine"].update(torch="new"), "records 1, 2, 3, 4, 5, 6: torch = 'new' is no version."),
    "no cores": (lambda n, r: r["machine"].update(cores=5000), "5, 6: The machine has 5000 processor cores"),
    "a GPU without a driver": (
        lambda n, r: r["machine"].update(device="H200", cuda=None),
        "The device 'H200' has neither a driver nor CUDA.",
    ),
    "time": (lambda n, r: r["cost"].update(train_seconds=1e6), "The training took 1000000.0 s of a case that took"),
    "speed": (
        lambda n, r: r["cost"].update(train_samples_per_second=-1.0),
        "line 1: Not a record: cost.train_samples_per_second = -1.0 should be greater than or equal to 0.",
    ),
}


@pytest.mark.parametrize("name", CHANGES)
def test_an_error_is_reported(ran, file, name):
    change, words = CHANGES[name]
    rewrite(
        file,
        lambda number, facts: (
            change(number, facts) if name in ("a missing pair", "a missing seed") else [change(number, facts)]
        ),
    )
    assert words in error_of(file, api.load_suite(ran / "tiny.toml"))


def test_records_of_an_earlier_version_of_a_method_are_to_be_run_again_and_no_error(ran, file, monkeypatch):
    """A record on file stays valid when the method's version is raised; one of a later version does not follow."""
    from tlbench.methods import method_class

    suite = api.load_suite(ran / "tiny.toml")
    monkeypatch.setattr(method_class("coral"), "version", method_class("coral").version + 2)
    assert checks.check_contribution(file, suite)[-1] == (
        "6 records of coral: they are of an earlier version of the method or of the engine. "
        "`tlbench run` runs these cases again."
    )
    monkeypatch.setattr(method_class("coral"), "version", 0)
    assert "6 records have an identity that does not follow from their case" in error_of(file, suite)


def test_options_that_have_been_renamed_since_are_those_of_the_suite(tmp_path):
    """A record states an option by its old name; the suite by its new one; they are compared, and the identity is the same."""
    text = THREE_SEEDS.replace("[methods.coral]", "[methods.fine_tune]\nbackbone_lr = 0.5").replace(
        "seeds = [0, 1, 2]", 'seeds = [0, 1, 2]\ntarget_labels = 2\ngrants = ["source", "target"]'
    )
    write_domains(tmp_path)
    (tmp_path / "tiny.toml").write_text(text)
    api.run(tmp_path / "tiny.toml", results=tmp_path / "results", device="cpu")
    file = tmp_path / "results" / "tiny" / "fine_tune.jsonl"
    suite = api.load_suite(tmp_path / "tiny.toml")
    today = records.read(file)

    def under_the_old_name(value: float):
        def change(number, facts):
            facts["code"].update(commit="abc", dirty=False)
            facts["options"].pop("backbone_lr", None)
            facts["options"]["trunk_lr"] = value

        return change

    rewrite(file, under_the_old_name(0.5))
    assert not any("earlier version" in sentence for sentence in checks.check_contribution(file, suite))
    (tmp_path / "other" / "tiny").mkdir(parents=True)
    for one in today:
        records.append(tmp_path / "other", one.model_copy(update={"code": records.read(file)[0].code}))
    merged = merge.merge([tmp_path / "other"], tmp_path / "results")
    assert (merged.written, merged.already_present) == (0, 6)
    rewrite(file, under_the_old_name(0.25))
    assert "6 records have other options than the suite, such as {'backbone_lr': 0.25}" in error_of(file, suite)


CONTENTS = {
    "a sweep": (
        lambda facts: facts.update(sweep_levels={"b": {"base": "a", "kind": "severity", "level": 3}}),
        "sweep_levels: 6 records have 'b: severity 3 of a', and the suite and the method give 'no sweep'.",
    ),
    "a backbone": (
        lambda facts: facts.update(backbone="torchvision:resnet18"),
        "contents: 6 records have the backbone torchvision:resnet18, and the suite gives mlp.",
    ),
    "weights": (
        lambda facts: facts.update(weights={"net.pt": "0" * 64}),
        "contents: 6 records state a hash of weights net.pt, which their case does not read here.",
    ),
    "a plug-in": (
        lambda facts: facts.update(plugins={"coral": "0" * 64}),
        "contents: 6 records state a hash of plug-in coral, which their case does not read here.",
    ),
    "a later engine": (
        lambda facts: facts["code"].update(engine=99),
        "code.engine: 6 records are of engine version 99, and this tlbench has version",
    ),
}


@pytest.mark.parametrize("name", CONTENTS)
def test_what_a_record_states_of_its_contents_is_compared(ran, file, name):
    change, words = CONTENTS[name]
    rewrite(file, lambda number, facts: change(facts))
    assert words in error_of(file, api.load_suite(ran / "tiny.toml"))


def test_all_errors_are_reported_at_once(ran, file):
    def change(number, facts):
        facts["code"]["dirty"] = True
        facts["suite_hash"] = "x"
        facts["scores"]["macro_f1"] = 0.123
        return number != 5

    rewrite(file, change)
    lines = file.read_text(encoding="utf-8").splitlines()
    file.write_text("\n".join([*lines, lines[0]]) + "\n", encoding="utf-8")
    message = error_of(file, api.load_suite(ran / "tiny.toml"))
    for words in ("uncommitted code", "suite_hash", "and macro_f1 is 0.123", "2 records of one case", "b:a has 2 seeds"):
        assert words in message, words


def test_check_on_the_command_line_takes_the_suite_by_name_or_by_folder(ran, file):
    done = CliRunner().invoke(cli.app, ["check", str(file), "--suite", str(ran / "tiny.toml")])
    assert done.exit_code == 0 and "ok  It has 2 pairs with 3 seeds each" in done.output
    done = CliRunner().invoke(cli.app, ["check", str(file)])
    assert done.exit_code == 0 and "'tiny' is no shipped suite" in done.output
    moved = file.parent.with_name("quickstart")
    file.parent.rename(moved)
    version = api.load_suite("quickstart").version
    rewrite(moved / "coral.jsonl", lambda number, facts: facts.update(suite_version=version))
    done = tlbench("check", moved / "coral.jsonl", cwd=ran)
    assert done.returncode == 2 and "Traceback" not in done.stderr
    for words in ("belongs in another file", "There is no record of upright:rotated", "'a:b' is no pair of suite quickstart"):
        assert words in done.stderr


def test_what_passes_is_printed_beside_the_errors_and_each_error_once(ran, file):
    rewrite(file, lambda number, facts: facts["machine"].update(cores=5000))
    done = tlbench("check", file, "--suite", ran / "tiny.toml", cwd=ran)
    assert done.returncode == 2 and done.stderr.count("The machine has 5000 processor cores") == 1
    assert "  records 1, 2, 3, 4, 5, 6: The machine has 5000" in done.stderr
    assert "ok  It has 2 pairs with 3 seeds each, and no case twice.\n" in done.stdout and "are plausible" not in done.stdout


def test_check_takes_several_files_and_reports_the_errors_of_all(ran, file):
    other = file.with_name("other.jsonl")
    other.write_text("no record\n", encoding="utf-8")
    done = tlbench("check", ran / "tiny.toml", other, "none.toml", file, cwd=ran)
    assert done.returncode == 2 and "Traceback" not in done.stderr
    assert f"{other}:" in done.stderr and "There is no file none.toml" in done.stderr
    assert "ok  Suite tiny" in done.stdout and f"{file}\nok  " in done.stdout


def test_a_method_that_reads_no_sample_and_has_a_list_of_options_passes(tmp_path):
    write_domains(tmp_path)
    embeddings = ", ".join(f"{c} = [{', '.join(str(float(c == column)) for column in range(4))}]" for c in range(3))
    three_seeds = NAMED.replace("seeds = [0]", "seeds = [0, 1, 2]")
    named = three_seeds.replace('backbone = "features"', f'backbone = "features"\nclass_embeddings = {{ {embeddings} }}')
    (tmp_path / "tiny.toml").write_text(named + '[methods.zero_shot]\ntemplates = ["{}", "{}"]\n')
    api.run(tmp_path / "tiny.toml", results=tmp_path / "results", device="cpu", methods=["zero_shot"])
    file = tmp_path / "results" / "tiny" / "zero_shot.jsonl"
    assert json.loads(file.read_text().splitlines()[0])["cost"]["train_samples_per_second"] == 0
    rewrite(file, lambda number, facts: facts["code"].update(commit="abc", dirty=False))
    report = checks.check_contribution(file, api.load_suite(tmp_path / "tiny.toml"))
    assert report[0] == "The records are plausible: 3 in all, 3 done."
