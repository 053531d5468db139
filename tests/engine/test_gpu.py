"""The engine's switches on a CUDA device: captured and compiled steps, bf16, samples sent from the host, vmapped seeds.

Written on a machine without one: each test says what it expects, and none has been seen to pass yet.
"""

from __future__ import annotations

import pytest
import torch
from plugin_files import LOOKS, LOOKS_AT, Cut, plugged
from tiny_suite import IMAGES, case, domain, suite

from tlbench import engine
from tlbench.checks.toy_task import toy_samples
from tlbench.engine.data.storage import SampleStore, is_resident, move_once
from tlbench.engine.runtime.precision import matmul_precision, resolve_precision
from tlbench.engine.training.checkpoint import Checkpointer, active_checkpointer
from tlbench.engine.training.cuda_graph import capture
from tlbench.suite import Training
from tlbench.terms import Labelled

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device: torch.cuda.is_available() is False"),
    pytest.mark.filterwarnings("ignore"),  # those of the compiler and of the capture
]
PLAIN = {"precision": "fp32", "compile": "off", "vmap_seeds": "off", "resident": "on"}


def cuda() -> torch.device:
    return torch.device("cuda", torch.cuda.current_device())


def domains():
    return {"a": domain("a", toy_samples(1)), "b": domain("b", toy_samples(2, shift=0.7), toy_samples(5, 300, shift=0.7))}


def run(name, net=None, options=None, on_step=None, **train):
    settings = {"steps": 120, "batch": 32, "lr": 0.01, "trace": 4, "schedule": "cosine", **PLAIN, **train}
    asked = suite(
        protocol={"scored": "test", "target_labels": 3, "grants": ["source", "target", "stream"]},
        net=net or {},
        train=settings,
        methods={"source_only": {}},
    )
    record = engine.run_case(case(name, options=options or {}), asked, domains(), cuda(), on_step)
    assert record.status == "done", record.reason
    return record


def curve(record):
    return [point.loss for point in record.scores.trace]


@pytest.mark.parametrize("name", ["source_only", "dann", "coral", "dan", "mcc", "mcd", "mean_teacher", "linear_probe"])
def test_a_captured_step_gives_the_same_losses(name):
    options = {"weight": 0.0} if name == "mean_teacher" else {}  # with views, its draws go on from another place
    plain, graph = run(name, options=options), run(name, options=options, compile="graph")
    assert not [note for note in graph.notes if note.startswith("graph off")]
    assert curve(graph) == pytest.approx(curve(plain), abs=1e-2)
    assert graph.scores.target_accuracy == pytest.approx(plain.scores.target_accuracy, abs=0.02)
    assert graph.cost.compile_seconds is not None and graph.identity == plain.identity


def test_batch_statistics_move_in_a_captured_step():
    plain, graph = (run("dann", net={"batch_norm": True}, compile=how) for how in ("off", "graph"))
    assert not [note for note in graph.notes if note.startswith("graph off")]
    assert graph.scores.target_accuracy == pytest.approx(plain.scores.target_accuracy, abs=0.03)


FROZEN = (
    "class Half(DeepMethod):\n    reads = frozenset({'source'})\n"
    "    def phases(self):\n"
    "        return (Phase(self.supervised, self.reads, groups=(Group((self.net.backbone,), 0.0), Group((self.net.head,)))),)\n"
)


def test_a_frozen_group_stays_as_it_is_in_a_captured_step(tmp_path):
    """At scale 0 batch statistics stand still, in a replayed step too."""
    with plugged(tmp_path, "half", FROZEN):
        plain, graph = (run("half", net={"batch_norm": True}, compile=how) for how in ("off", "graph"))
    assert not [note for note in graph.notes if note.startswith("graph off")]
    assert curve(graph) == pytest.approx(curve(plain), abs=1e-2)


def test_a_step_is_captured_on_a_device_that_is_not_the_first():
    if torch.cuda.device_count() < 2:
        pytest.skip(f"a second CUDA device is needed, and there is {torch.cuda.device_count()}")
    second = torch.device("cuda", 1)
    train = {"steps": 120, "batch": 32, "lr": 0.01, "trace": 4, **PLAIN}
    plain, graph = (
        engine.run_case(case("dann"), suite(protocol={"scored": "test"}, train={**train, "compile": how}), domains(), second)
        for how in ("off", "graph")
    )
    assert graph.status == "done" and not [note for note in graph.notes if note.startswith("graph off")], graph.reason
    assert curve(graph) == pytest.approx(curve(plain), abs=1e-2)


def test_the_measured_limit_keeps_no_memory():
    """What a case holds is its own: the large matrices of the limit are given back before it begins."""
    assert run("source_only").cost.peak_reserved_bytes < 2**29


@pytest.mark.parametrize(
    ("name", "options", "words"),
    [
        ("shot", {}, "passes over all samples are repeated"),
        ("fine_tune", {"gradual": True}, "layers are frozen in some steps"),
        ("pcgrad", {}, "random numbers are drawn on the host"),
    ],
)
def test_what_is_not_captured_says_why(name, options, words):
    plain, graph = run(name, options=options), run(name, options=options, compile="graph")
    assert any(note.startswith("graph off") and words in note for note in graph.notes)
    assert curve(graph) == pytest.approx(curve(plain), abs=1e-2)


def test_a_step_that_waits_is_not_captured_and_leaves_no_trace(tmp_path):
    with plugged(tmp_path, "looks", LOOKS):
        plain, graph = run("looks"), run("looks", compile="graph")
    assert graph.notes == (f"graph off: a step synchronises host and device ({LOOKS_AT})",)
    assert curve(graph) == pytest.approx(curve(plain), abs=1e-2)
    assert not [note for note in run("fixmatch", compile="graph").notes if " off: " in note]  # it draws on the device


def test_a_capture_that_fails_leaves_torch_as_it_was():
    where, table = torch.cuda.current_stream(), torch.ones(3, device=cuda())
    with pytest.raises(RuntimeError):
        capture(lambda: table.sum().item(), torch.cuda.Stream())
    assert torch.cuda.current_stream() == where
    assert torch.rand(3, device=cuda()).shape == (3,) and float(table.sum()) == 3.0


def test_a_compiled_step_gives_the_same_losses():
    plain, compiled = run("dann"), run("dann", compile="step")
    assert not [note for note in compiled.notes if note.startswith("compile off")]
    assert curve(compiled) == pytest.approx(curve(plain), abs=1e-2)


def test_auto_captures_and_says_nothing():
    record = run("dann", compile="auto")
    assert record.cost.compile_seconds is not None
    assert not [note for note in record.notes if " off: " in note]


def test_bf16_is_chosen_and_stated():
    if not torch.cuda.is_bf16_supported(including_emulation=False):
        pytest.skip("this device has no bf16")
    assert resolve_precision(Training(), cuda()) == "bf16"
    plain, half = run("dan"), run("dan", precision="auto")
    assert (plain.machine.precision, half.machine.precision) == ("fp32", "bf16")
    assert half.scores.target_accuracy == pytest.approx(plain.scores.target_accuracy, abs=0.05)


def test_products_are_in_full_unless_tf32_is_asked_for():
    a = torch.randn(512, 512, device=cuda())
    exact = a.double() @ a.double()
    errors = {}
    for precision in ("fp32", "tf32"):
        with matmul_precision(precision, cuda()):
            errors[precision] = float((a @ a - exact).abs().max())
    assert errors["fp32"] < 1e-3
    if torch.cuda.get_device_capability()[0] >= 8:
        assert errors["tf32"] > 2 * errors["fp32"]


@pytest.mark.parametrize("how", ["off", "graph"])
@pytest.mark.parametrize("name", ["dann", "mcd", "fixmatch"])
def test_a_case_run_twice_gives_the_same_numbers(name, how):
    def once():
        pixels = torch.randint(0, 256, (300, 1, 28, 28), generator=torch.Generator().manual_seed(3), dtype=torch.uint8)
        rows = Labelled(pixels, torch.arange(300) % 3)
        return engine.run_case(case(name), asked, {"a": domain("a", rows), "b": domain("b", rows, rows)}, cuda())

    train = {"steps": 80, "batch": 32, "trace": 4, **PLAIN, "compile": how}
    asked = suite(IMAGES, protocol={"scored": "test"}, net={"batch_norm": True}, train=train, methods={"source_only": {}})
    first, second = once(), once()
    assert first.status == "done" and first.scores == second.scores, first.reason


@pytest.mark.parametrize("how", ["off", "graph"])
@pytest.mark.parametrize("name", ["dann", "mean_teacher", "linear_probe"])
def test_a_case_goes_on_from_its_checkpoint(name, how, tmp_path):
    def kept(until):
        def on_step(done, total):
            if done > until:
                raise Cut

        checkpointer = Checkpointer(tmp_path / "case.pt", 0.0, {})
        token = active_checkpointer.set(checkpointer)
        try:
            return run(name, compile=how, on_step=on_step)
        finally:
            active_checkpointer.reset(token)

    whole = run(name, compile=how)
    for until in (30, 90):
        with pytest.raises(Cut):
            kept(until)
    again = kept(1000)
    assert any("resumed from a checkpoint" in note for note in again.notes)
    assert curve(again) == pytest.approx(curve(whole), abs=1e-2)
    assert again.scores.target_accuracy == pytest.approx(whole.scores.target_accuracy, abs=0.02)


@pytest.mark.parametrize("name", ["dann", "shot", "tent"])
def test_rows_sent_from_the_host_give_the_same_losses(name):
    here, there = (run(name, net={"batch_norm": True}, resident=where) for where in ("on", "off"))
    assert curve(there) == pytest.approx(curve(here), abs=1e-3)
    assert there.scores.target_accuracy == pytest.approx(here.scores.target_accuracy, abs=0.02)


def test_a_domain_is_on_the_device_once():
    tensor = torch.arange(12.0).view(6, 2)
    assert move_once(tensor, cuda()) is move_once(tensor, cuda()) and is_resident("auto", [tensor], cuda())
    assert SampleStore([tensor], cuda()).take(torch.tensor([3, 0], device=cuda())).tolist() == [[6.0, 7.0], [0.0, 1.0]]


@pytest.mark.parametrize("how", ["off", "graph"])
@pytest.mark.parametrize("name", ["dann", "coral"])
def test_vmapped_seeds_give_the_losses_of_single_seeds(name, how):
    settings = {"steps": 120, "batch": 32, "lr": 0.01, "trace": 4, **PLAIN, "compile": how}
    asked = suite(protocol={"scored": "test"}, train={**settings, "vmap_seeds": "on"}, methods={"source_only": {}})
    joint = engine.run_seeds([case(name, seed=seed) for seed in range(3)], asked, domains(), cuda())
    for seed, found in enumerate(joint):
        alone = engine.run_case(case(name, seed=seed), asked, domains(), cuda())
        assert found.notes and found.notes[0].startswith("3 vmapped seeds"), found.notes
        assert curve(found)[:2] == pytest.approx(curve(alone)[:2], abs=1e-2)  # later rounding grows: other kernels run
        assert found.scores.target_accuracy == pytest.approx(alone.scores.target_accuracy, abs=0.05)


def test_auto_tries_before_it_vmaps_seeds():
    asked = suite(protocol={"scored": "test"}, train={"steps": 120, "trace": 0}, methods={"source_only": {}})
    records = engine.run_seeds([case("dann", seed=seed) for seed in range(3)], asked, domains(), cuda())
    assert [record.status for record in records] == ["done"] * 3
