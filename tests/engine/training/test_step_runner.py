"""Compiled and captured steps give the losses of eager ones; what can't be compiled or captured says why."""

from __future__ import annotations

import contextlib
import types
import warnings

import pytest
import torch
from engine_runs import (
    ATTRIBUTE_METHOD,
    run_done,
    short_suite,
    train_losses,
)
from plugin_files import plugged
from tiny_suite import CPU

from tlbench.engine.training import compiled_loss, cuda_graph, step_runner
from tlbench.engine.training import loop as loop


@pytest.mark.filterwarnings("ignore")  # those of the compiler
def test_a_compiled_step_gives_the_same_losses(monkeypatch):
    """Traced, differentiated and run as one graph; torch's code generator, which takes long to start, is for the benchmarks."""
    monkeypatch.setattr(compiled_loss, "COMPILER", {"backend": "aot_eager"})
    (plain,), _ = train_losses("dann", short_suite(schedule="cosine"))
    (compiled,), notes = train_losses("dann", short_suite(schedule="cosine", compile="step"))
    assert notes == [] and compiled == pytest.approx(plain, abs=2e-4)


@pytest.mark.filterwarnings("ignore")
def test_what_can_not_be_compiled_runs_eagerly_and_says_so(tmp_path):
    body = (
        "class Looks(DeepMethod):\n    reads = frozenset({'source'})\n    def loss(self, step: Step) -> Tensor:\n"
        "        weight = 2.0 if float(step.progress) > 0.5 else 1.0\n        return weight * self.supervised(step)\n"
    )
    with plugged(tmp_path, "looks", body) as name:
        plain, asked_for = run_done(name, short_suite()), run_done(name, short_suite(compile="step"))
    assert asked_for.scores == plain.scores and asked_for.identity == plain.identity
    assert plain.notes == () and len(asked_for.notes) == 1 and asked_for.notes[0].startswith("compile off: ")


def test_a_graph_needs_a_gpu_and_auto_is_silent():
    plain, graph = run_done("dann", short_suite()), run_done("dann", short_suite(compile="graph"))
    assert plain.notes == () and graph.notes == ("graph off: CUDA graphs need a CUDA device",)
    assert plain.scores == graph.scores and plain.cost.compile_seconds is None


@pytest.fixture
def replayed(monkeypatch):
    """Steps take their number from the device, as a captured one does; what is captured is done instead of replayed."""
    captured = []
    monkeypatch.setattr(step_runner, "may_capture", lambda choice, device: choice == "graph")
    monkeypatch.setattr(step_runner, "capture", lambda step, stream: captured.append(1) or step)
    return captured


@pytest.mark.parametrize("name", ["dann", "mcd", "mean_teacher", "linear_probe", "fine_tune", "coral", "adabn"])
def test_the_step_that_a_graph_replays_gives_the_same_losses(name, replayed):
    options = {"mean_teacher": {"weight": 0.0}, "fine_tune": {"freeze": 1}}.get(name, {})
    # views of mean_teacher are drawn on the device, which is the host here; of what is frozen batch statistics stand still
    settings = {"schedule": "inverse", "steps": 120, "net": {"batch_norm": True}}
    (plain,), _ = train_losses(name, short_suite(**settings), options=options)
    (graph,), notes = train_losses(name, short_suite(compile="graph", **settings), options=options)
    assert notes == [] and len(replayed) == sum(steps >= step_runner.MIN_CAPTURE_STEPS for steps in _phase_steps(name, 120))
    assert graph == pytest.approx(plain, abs=5e-3) and graph[:20] == pytest.approx(plain[:20], abs=1e-5)


def _phase_steps(name: str, steps: int) -> list[int]:
    return [60, 60] if name in {"linear_probe", "fine_tune"} else [steps]


@pytest.mark.parametrize(
    ("name", "options", "steps", "words"),
    [
        ("shot", {}, 120, "passes over all samples are repeated between the steps"),
        ("fine_tune", {"gradual": True}, 120, "layers are frozen in some steps only"),
        ("pcgrad", {}, 60, "random numbers are drawn on the host"),
        ("source_only", {}, 20, "the phase has 20 steps, fewer than 50"),
        ("keeps", {}, 60, "a step changes attributes that are no buffers"),
    ],
)
def test_what_can_not_be_captured_says_why(name, options, steps, words, replayed, tmp_path):
    with plugged(tmp_path, "keeps", ATTRIBUTE_METHOD):
        (plain,), _ = train_losses(name, short_suite(steps=steps), options=options)
        (graph,), notes = train_losses(name, short_suite(steps=steps, compile="graph"), options=options)
    assert f"graph off: {words}" in " ".join(notes)
    # the optimizer of graphs rounds differently, which the pseudo-labels of shot amplify
    assert graph == pytest.approx(plain, abs=1e-2 if name == "shot" else 1e-4)


def test_a_step_that_synchronises_is_not_captured(replayed, monkeypatch):
    checked = []

    @contextlib.contextmanager
    def synchronizes(device, enabled):
        checked.append(enabled)
        yield ["dann.py:3", "dann.py:3", "net.py:7"] if enabled else []

    (plain,), _ = train_losses("dann", short_suite())
    monkeypatch.setattr(step_runner, "host_synchronizations", synchronizes)
    (graph,), notes = train_losses("dann", short_suite(compile="graph"))
    assert notes == ["graph off: a step synchronises host and device (dann.py:3, net.py:7)"]
    assert checked == [False] * (step_runner.EAGER_STEPS - 1) + [True] + [False] * (60 - step_runner.EAGER_STEPS)
    assert not replayed and graph == pytest.approx(plain, abs=1e-5)


def test_the_lines_that_synchronise_are_listed(monkeypatch):
    """By torch's own warnings, which a GPU gives in this mode; other warnings go on."""
    modes = [0]
    monkeypatch.setattr(torch.cuda, "get_sync_debug_mode", lambda: modes[-1])
    monkeypatch.setattr(torch.cuda, "set_sync_debug_mode", modes.append)
    with pytest.warns(UserWarning, match="something else"), cuda_graph.host_synchronizations(torch.device("cuda")) as lines:
        warnings.warn("called a synchronizing CUDA operation (Triggered internally)", stacklevel=1)
        warnings.warn("something else", stacklevel=1)
        assert lines == []
    assert modes == [0, "warn", 0] and len(lines) == 1 and lines[0].startswith("test_step_runner.py:")
    with cuda_graph.host_synchronizations(CPU) as lines:
        assert modes == [0, "warn", 0] and lines == []


@pytest.mark.parametrize("defect", ["nothing", "twice", "no update"])
def test_a_replay_that_gives_other_numbers_is_not_used(defect, replayed, monkeypatch):
    def broken(step, stream):
        def replay():
            if defect == "twice":
                step()
            if defect != "nothing":
                before = [parameter.detach().clone() for parameter in watched.method.parameters()]
                step()
                if defect == "no update":
                    with torch.no_grad():
                        for parameter, old in zip(watched.method.parameters(), before, strict=True):
                            parameter.copy_(old)

        return replay

    class Watched(step_runner.StepRunner):
        def __init__(self, method, *rest, **named):
            watched.method = method
            super().__init__(method, *rest, **named)

    watched = types.SimpleNamespace()
    (plain,), _ = train_losses("dann", short_suite())
    monkeypatch.setattr(step_runner, "capture", broken)
    monkeypatch.setattr(loop, "StepRunner", Watched)
    (graph,), notes = train_losses("dann", short_suite(compile="graph"))
    assert notes == ["graph off: a replayed step gave other numbers than an eager step"]
    assert graph == pytest.approx(plain, abs=1e-4)
