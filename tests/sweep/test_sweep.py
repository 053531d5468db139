"""Sweeps: ranges from options, trials in the pools of runs, a selection without scored labels, resuming after a stop."""

from __future__ import annotations

import tomllib

import numpy as np
import pytest
from command_line import tlbench
from plugin_files import plugged
from tiny_suite import CPU, SUITE, blobs

from tlbench import api, methods, records, sweep
from tlbench.errors import TlbenchError
from tlbench.runner import local
from tlbench.sweep import Range, search_space

pytest.importorskip("optuna", reason="the extra `sweep` is not installed")
pytestmark = pytest.mark.filterwarnings("ignore::optuna.exceptions.ExperimentalWarning", "ignore::ResourceWarning")

PEAK = '''
class Peak(ShallowMethod):
    """Nearest centre, blurred by |x - 2|: held-out source samples are classified best where x is 2."""
    reads = frozenset({"source"})
    x: float = Field(0.5, ge=-4, le=4, description="the option")
    kind: bool = Field(False, description="another")
    def fit(self, task: Task) -> Predictor:
        def predict(x: Tensor) -> Tensor:
            distance = (x[:, None, :] - 3 * torch.eye(3, 4)).square().sum(dim=2)
            return 20 * abs(self.x - 2) * torch.sin(1e3 * distance) - distance
        return predict
'''


@pytest.fixture
def suite_file(tmp_path, monkeypatch):
    monkeypatch.setenv("TLBENCH_CACHE", "off")
    for name, seed in (("a", 1), ("b", 2)):
        samples = blobs(seed, 300)
        np.savez(tmp_path / f"{name}.npz", x=samples.x.numpy(), y=samples.y.numpy())
    file = tmp_path / "tiny.toml"
    text = SUITE.replace("seeds = [0]", "seeds = [0, 1]\nsource_held_out = 0.2")
    file.write_text(text + "[methods.peak]\n[methods.dann]\n", encoding="utf-8")
    with plugged(tmp_path, "peak", PEAK):
        yield file


def run_here(plan, results):
    return list(local.run(plan, results, CPU))


def test_ranges_that_options_declare():
    space = search_space("dann", {})
    assert space["weight"] == Range("float", 0.1, 10.0, log=True)
    assert space["hidden"] == Range("int", 64, 1024, log=True)
    assert search_space("dann", {"weight": 3.0})["weight"].high == pytest.approx(30)
    assert search_space("mean_teacher", {})["decay"] == Range("float", 0.0, 1.0)


def test_every_searchable_option_stays_within_its_bounds():
    """Both ends of every declared range are values that the method takes."""
    for name in methods.method_names():
        try:
            space = search_space(name, {})
        except TlbenchError:
            continue
        for option, range_ in space.items():
            kind = {"int": int, "float": float}.get(range_.kind)
            for end in range_.choices or (kind(range_.low), kind(range_.high)):
                methods.method_options(name, {option: end})


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("wieght=1:2", "Did you mean 'weight'"),
        ("weight", "Write NAME=LOW:HIGH"),
        ("weight=3:1", "The low end must be below the high end"),
        ("weight=0:1:log", "above 0 on a logarithmic scale"),
        ("weight=-1:1", "greater than or equal to 0"),
        ("weight=a:b", "could not convert"),
        ("hidden=1.5|x", "invalid literal"),
    ],
)
def test_a_range_that_cannot_be_searched(text, words):
    with pytest.raises(TlbenchError, match=words):
        search_space("dann", {}, [text])


def test_written_ranges_are_searched_and_no_others():
    space = search_space("dann", {}, ["weight=0.5:2:log", "hidden=8|16"])
    assert space == {"weight": Range("float", 0.5, 2.0, log=True), "hidden": Range("choice", choices=(8, 16))}
    assert search_space("fine_tune", {}, ["gradual=true|false"])["gradual"].choices == (True, False)


def test_a_sweep_selects_what_is_best_on_held_out_source_samples(suite_file, tmp_path):
    suite, reported = api.load_suite(suite_file), []
    result = sweep.run_sweep(
        suite,
        "peak",
        25,
        tmp_path / "study",
        suite_file.parent,
        run_here,
        on_trial=lambda *trial: reported.append(trial),
        parallel_trials=2,
    )
    assert result.trials == 25 and len(reported) == 25 and result.failed == 0
    assert abs(result.options["x"] - 2) < 0.5 and result.value > 0.9
    assert result.value == max(value for _, value, _ in reported)
    entry = tomllib.loads(result.to_toml("tuned"))["methods"]["tuned"]
    assert entry.pop("method") == "peak"
    assert methods.method_options("peak", entry) == methods.method_options("peak", result.options)


def test_no_scored_label_has_an_influence_on_the_selection(suite_file, tmp_path):
    """Other labels of all target samples: the same trials, the same values, the same selection."""
    chosen = []
    for attempt in range(2):
        samples = blobs(2, 300)
        y = samples.y if attempt == 0 else (samples.y + 1) % 3
        np.savez(suite_file.parent / "b.npz", x=samples.x.numpy(), y=y.numpy())
        result = sweep.run_sweep(
            api.load_suite(suite_file),
            "dann",
            3,
            tmp_path / f"study{attempt}",
            suite_file.parent,
            run_here,
            ranges={"weight": Range("float", 0.1, 10, log=True)},
            seeds=[0],
        )
        accuracies = [r.scores.target_accuracy for r in records.read_all(tmp_path / f"study{attempt}")]
        chosen.append((result.options, accuracies))
    assert chosen[0][0] == chosen[1][0]
    assert chosen[0][1] != chosen[1][1]


def test_a_stopped_sweep_resumes(suite_file, tmp_path):
    suite, ran = api.load_suite(suite_file), []

    def stopping(plan, results):
        for record in local.run(plan, results, CPU):
            ran.append((record.entry, record.seed))
            if len(ran) == 5:
                raise KeyboardInterrupt
        return [r for r in records.read_all(results) if r.entry in plan.suite.methods]

    def resuming(plan, results):
        ran.extend((case.entry, case.seed) for case in plan.pending)
        return run_here(plan, results)

    with pytest.raises(KeyboardInterrupt):
        sweep.run_sweep(suite, "peak", 6, tmp_path / "study", suite_file.parent, stopping)
    result = sweep.run_sweep(suite, "peak", 6, tmp_path / "study", suite_file.parent, resuming)
    assert result.trials == 6
    assert sorted(ran) == sorted((f"peak.trial-{n}", seed) for n in range(6) for seed in (0, 1))  # no case twice
    again = sweep.run_sweep(suite, "peak", 6, tmp_path / "study", suite_file.parent, resuming)
    assert again == result and len(ran) == 12


def test_a_rule_that_the_suite_does_not_allow(suite_file, tmp_path):
    suite = api.load_suite(suite_file)
    with pytest.raises(
        TlbenchError, match=r"Unknown selection rule 'target_entropy'.*allows source_validation \(protocol.selection\)"
    ):
        sweep.run_sweep(suite, "peak", 1, tmp_path / "study", suite_file.parent, run_here, rule="target_entropy")
    suite_file.write_text(suite_file.read_text().replace("[net]", 'selection = ["target_entropy"]\n[net]'))
    result = sweep.run_sweep(api.load_suite(suite_file), "dann", 1, tmp_path / "other", suite_file.parent, run_here, seeds=[0])
    assert result.rule.name == "target_entropy" and result.value > 0


def test_a_sweep_without_a_value_says_where_to_look(suite_file, tmp_path):
    suite_file.write_text(suite_file.read_text().replace("source_held_out = 0.2", "source_held_out = 0.0"))
    with pytest.raises(TlbenchError, match="None of 2 trials ended with a value"):
        sweep.run_sweep(api.load_suite(suite_file), "peak", 2, tmp_path / "study", suite_file.parent, run_here)


def test_another_search_in_the_same_folder_is_refused(suite_file, tmp_path):
    suite = api.load_suite(suite_file)
    sweep.run_sweep(suite, "peak", 1, tmp_path / "study", suite_file.parent, run_here)
    with pytest.raises(TlbenchError, match="Choose another folder for this one with --out"):
        sweep.run_sweep(suite, "dann", 1, tmp_path / "study", suite_file.parent, run_here)


def test_the_command(suite_file, tmp_path):
    suite_file.write_text(suite_file.read_text().replace("[methods.peak]\n", ""))  # a plugin of this process
    mine = tmp_path / "mine.toml"
    mine.write_text(suite_file.read_text().replace('"tiny"', '"mine"'))
    words = ("sweep", suite_file, "--method", "coral", "--trials", "2", "--option", "weight=1:100:log", "--seed", "0")
    words += ("--out", tmp_path / "study", "--into", mine)
    done = tlbench(*words, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    entry = api.load_suite(mine).methods["coral_tuned"]
    assert entry.method == "coral" and 1 <= entry.options["weight"] <= 100
    assert done.stdout == (tmp_path / "study" / "chosen.toml").read_text()
    done = tlbench(*words, cwd=tmp_path)
    assert (
        done.returncode == 2 and "There is a method entry coral_tuned already" in done.stderr and "Traceback" not in done.stderr
    )
