"""Cases of a results file run again: same, within noise, or different."""

from __future__ import annotations

from pathlib import Path

import pytest
from command_line import tlbench
from tiny_results import results_file_of, rewrite, run_tiny_suite
from tiny_suite import CPU, record

from tlbench import api, records
from tlbench.checks import rerun
from tlbench.errors import TlbenchError
from tlbench.terms import Scores


@pytest.fixture(scope="module")
def ran(tmp_path_factory) -> Path:
    """A folder with the tiny suite, its data and its results."""
    return run_tiny_suite(tmp_path_factory.mktemp("ran"))


@pytest.fixture
def file(ran, tmp_path) -> Path:
    """A copy of coral's results with a clean commit, and source_only's results beside it."""
    return results_file_of(ran, tmp_path)


def test_a_case_of_this_machine_comes_out_the_same(ran):
    suite = api.load_suite(ran / "tiny.toml")
    reruns = list(rerun.verify(ran / "results" / "tiny" / "coral.jsonl", suite, ran, CPU, sample=4))
    assert [one.verdict for one in reruns] == ["same"] * 4 and reruns[0].machine_differences == {}
    assert [one.on_file.pair for one in reruns].count("a:b") == 2  # one of each pair before a second of any


def test_noise_and_differences_are_distinguished(ran):
    (on_file, *_) = records.read(ran / "results" / "tiny" / "source_only.jsonl")
    here = on_file.model_copy(update={"status": "failed", "scores": Scores()})
    assert rerun.compare(on_file, here, 1.0).verdict == "different"

    def at(value: float):
        return on_file.model_copy(update={"scores": Scores(target_accuracy=value, scored_samples=60)})

    assert rerun.compare(at(0.5), at(0.5), 0.0).verdict == "same"
    assert rerun.compare(at(0.5), at(0.5 + 2 / 60), 0.0).verdict == "within noise"  # two samples
    assert rerun.compare(at(0.5), at(0.5 + 3 / 60), 0.0).verdict == "different"
    assert rerun.compare(at(0.5), at(0.5 + 3 / 60), 0.1).verdict == "within noise"


def test_the_noise_is_that_of_one_more_seed():
    some = [record(seed, scores=Scores(target_accuracy=value)) for seed, value in enumerate((0.5, 0.6, 0.7))]
    # Student's t for 0.975 with 2 degrees of freedom, times sqrt(2) times the standard deviation 0.1
    assert rerun._noise(some) == pytest.approx(4.302652730 * 2**0.5 * 0.1)
    assert rerun._noise(some[:1]) == 0.0


def test_verify_reports_why_a_case_cannot_be_run_again(ran, file):
    rewrite(file, lambda n, r: r["data"].update(a="0" * 16))
    with pytest.raises(TlbenchError, match=r"Domain a has the fingerprint .* here and 0000000000000000 on file"):
        list(rerun.verify(file, api.load_suite(ran / "tiny.toml"), ran, CPU))
    rewrite(file, lambda n, r: r.update(suite_hash="x"))
    with pytest.raises(TlbenchError, match=r"has the hash .* here and x on file"):
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
