"""Each switch of the engine - precision, compile, graph, resident, together, frozen - leaves the numbers what they are."""

from __future__ import annotations

import contextlib
import dataclasses
import math
import threading
import warnings

import numpy as np
import pytest
import torch
from command_line import tlbench
from plugin_files import plugged
from tiny_suite import SUITE, blobs, case, domain, suite, write_domains

from tlbench import engine, methods, records
from tlbench.checks.toy_task import toy_samples
from tlbench.engine import frozen
from tlbench.engine.data import storage
from tlbench.engine.data.inputs import Inputs
from tlbench.engine.data.storage import SampleStore, Subset
from tlbench.engine.fitting import prepare_training
from tlbench.engine.measurement import PreparedCase
from tlbench.engine.runtime.precision import matmul_precision, resolve_precision
from tlbench.engine.runtime.seeds import seeded_rng
from tlbench.engine.training import cuda_graph, step_runner
from tlbench.engine.training import loop as train_module
from tlbench.engine.training.loop import train_learners
from tlbench.engine.training.optimizer import PhaseOptimizer
from tlbench.errors import NotApplicableError, TlbenchError
from tlbench.methods.base import Group, Phase
from tlbench.nn.gradient_reversal import reversal_schedule
from tlbench.suite import Network, Training
from tlbench.terms import Domain, Labelled

CPU = torch.device("cpu")


def domains() -> dict[str, Domain]:
    return {
        "a": domain("a", toy_samples(1)),
        "b": domain("b", toy_samples(2, shift=0.7), toy_samples(5, 90, shift=0.7)),
        "c": domain("c", toy_samples(7, 60, shift=0.2)),
    }


def asked(net=None, protocol=None, **train):
    """A short suite with switches set."""
    return suite(
        protocol={"target_labels": 3, "scored": "test", "grants": ["source", "target", "stream"], **(protocol or {})},
        net=net or {},
        train={"steps": 60, "lr": 0.01, "batch": 16, **train},
        methods={"source_only": {}},
    )


def losses(name: str, chosen, count: int = 1, **changes) -> tuple[list[list[float]], list[str]]:
    """All losses of some seeds, trained in one program where there are several, and the notes."""
    held = domains()
    places = [PreparedCase(case(name, **{"seed": seed, **changes}), chosen, held, CPU) for seed in range(count)]
    ready = [prepare_training(at.case, at.suite, at.parts.granted, at.seed, CPU) for at in places]
    with seeded_rng(0, CPU):
        outcomes = train_learners([one.learner for one in ready], chosen.train, ready[0].inputs, places[0].watch)
    return [outcome.losses for outcome in outcomes], outcomes[0].notes


def run(name: str, chosen, **changes):
    record = engine.run_case(case(name, **changes), chosen, domains(), CPU)
    assert record.status == "done", record.reason
    return record


# --- precision ------------------------------------------------------------------------------------------------------

SEES = (
    "SEEN = []\nclass Sees(DeepMethod):\n    reads = frozenset({'source', 'target'})\n"
    "    def loss(self, step: Step) -> Tensor:\n"
    "        features, _ = self.net.features(step.source.x, step.target)\n"
    "        SEEN.append((features.dtype, (features @ features.T).dtype, self.net.head(features).dtype))\n"
    "        return F.cross_entropy(self.net.head(features), step.source.y)\n"
)


def test_bf16_is_of_the_backbone_alone(tmp_path):
    with plugged(tmp_path, "sees", SEES) as name:
        record = run(name, asked(precision="bf16"))
        assert set(methods.method_class(name).loss.__globals__["SEEN"]) == {(torch.float32,) * 3}
    assert record.machine.precision == "bf16"


@pytest.mark.parametrize("name", ["dan", "coral", "mean_teacher"])
def test_bf16_changes_losses_by_its_rounding(name):
    plain, half = run(name, asked()), run(name, asked(precision="bf16"))
    assert (plain.machine.precision, half.machine.precision) == ("fp32", "bf16")
    assert plain.identity != half.identity
    both = [[point.loss for point in record.scores.trace] for record in (plain, half)]
    assert both[0] != both[1] and both[0] == pytest.approx(both[1], rel=0.1, abs=0.02)
    assert half.scores.target_accuracy == pytest.approx(plain.scores.target_accuracy, abs=0.05)


def test_precision_says_what_ran():
    assert [resolve_precision(Training(precision=p), CPU) for p in ("auto", "fp32", "tf32", "bf16")] == [
        "fp32",
        "fp32",
        "fp32",
        "bf16",
    ]
    assert run("nearest_neighbor", asked(precision="bf16")).machine.precision == "fp32"


def test_a_gpu_computes_as_asked_and_the_same_each_time():
    """torch's settings, which can be set without a GPU; they are put back."""

    def settings():
        cudnn = torch.backends.cudnn
        return torch.backends.cuda.matmul.allow_tf32, cudnn.allow_tf32, cudnn.deterministic, cudnn.benchmark

    before = settings()
    for precision in ("fp32", "tf32", "bf16"):
        with matmul_precision(precision, torch.device("cuda")):
            assert settings() == (precision == "tf32", precision == "tf32", True, False)
        assert settings() == before
    with matmul_precision("tf32", CPU):
        assert settings() == before


# --- compiled and captured --------------------------------------------------------------------------------------------


@pytest.mark.filterwarnings("ignore")  # those of the compiler
def test_a_compiled_step_gives_the_same_losses(monkeypatch):
    """Traced, differentiated and run as one graph; torch's code generator, which takes long to start, is for the benchmarks."""
    monkeypatch.setattr(step_runner, "COMPILER", {"backend": "aot_eager"})
    (plain,), _ = losses("dann", asked(schedule="cosine"))
    (compiled,), notes = losses("dann", asked(schedule="cosine", compile="step"))
    assert notes == [] and compiled == pytest.approx(plain, abs=2e-4)


@pytest.mark.filterwarnings("ignore")
def test_what_can_not_be_compiled_runs_as_written_and_says_so(tmp_path):
    body = (
        "class Looks(DeepMethod):\n    reads = frozenset({'source'})\n    def loss(self, step: Step) -> Tensor:\n"
        "        weight = 2.0 if float(step.progress) > 0.5 else 1.0\n        return weight * self.supervised(step)\n"
    )
    with plugged(tmp_path, "looks", body) as name:
        plain, asked_for = run(name, asked()), run(name, asked(compile="step"))
    assert asked_for.scores == plain.scores and asked_for.identity == plain.identity
    assert plain.notes == () and len(asked_for.notes) == 1 and asked_for.notes[0].startswith("compile off: ")


def test_a_graph_needs_a_gpu_and_auto_is_silent():
    plain, graph = run("dann", asked()), run("dann", asked(compile="graph"))
    assert plain.notes == () and graph.notes == ("graph off: CUDA graphs need a CUDA device",)
    assert plain.scores == graph.scores and plain.cost.compile_seconds is None


@pytest.fixture
def replayed(monkeypatch):
    """Steps take their number from the device, as a captured one does; what is captured is done instead of replayed."""
    captured = []
    monkeypatch.setattr(step_runner, "on_device", lambda choice, device: choice == "graph")
    monkeypatch.setattr(step_runner, "capture", lambda step, stream: captured.append(1) or step)
    return captured


@pytest.mark.parametrize("name", ["dann", "mcd", "mean_teacher", "linear_probe", "fine_tune", "coral", "adabn"])
def test_the_step_that_a_graph_replays_gives_the_same_losses(name, replayed):
    options = {"mean_teacher": {"weight": 0.0}, "fine_tune": {"freeze": 1}}.get(name, {})
    # views of mean_teacher are drawn on the device, which is the host here; of what is frozen batch statistics stand still
    settings = {"schedule": "inverse", "steps": 120, "net": {"batch_norm": True}}
    (plain,), _ = losses(name, asked(**settings), options=options)
    (graph,), notes = losses(name, asked(compile="graph", **settings), options=options)
    assert notes == [] and len(replayed) == sum(phase_steps >= step_runner.SHORT for phase_steps in _phases(name, 120))
    assert graph == pytest.approx(plain, abs=5e-3) and graph[:20] == pytest.approx(plain[:20], abs=1e-5)


def _phases(name: str, steps: int) -> list[int]:
    return [60, 60] if name in {"linear_probe", "fine_tune"} else [steps]


STATE = (
    "class Keeps(DeepMethod):\n    reads = frozenset({'source'})\n    def build(self):\n        self.last = None\n"
    "    def loss(self, step: Step) -> Tensor:\n        loss = self.supervised(step)\n"
    "        self.last = loss.detach()\n        return loss\n"
)


@pytest.mark.parametrize(
    ("name", "options", "steps", "words"),
    [
        ("shot", {}, 120, "passes over all rows are made anew between the steps"),
        ("fine_tune", {"gradual": True}, 120, "layers are opened or frozen on the way"),
        ("pcgrad", {}, 60, "random numbers are drawn on the host"),
        ("source_only", {}, 20, "the phase has 20 steps, fewer than 50"),
        ("keeps", {}, 60, "a step changes attributes that are no buffers"),
    ],
)
def test_what_can_not_be_captured_says_why(name, options, steps, words, replayed, tmp_path):
    with plugged(tmp_path, "keeps", STATE):
        (plain,), _ = losses(name, asked(steps=steps), options=options)
        (graph,), notes = losses(name, asked(steps=steps, compile="graph"), options=options)
    assert f"graph off: {words}" in " ".join(notes) and graph == pytest.approx(plain, abs=1e-4)


def test_a_step_that_waits_is_not_captured(replayed, monkeypatch):
    looked = []

    @contextlib.contextmanager
    def waits(device, looks):
        looked.append(looks)
        yield ["dann.py:3", "dann.py:3", "net.py:7"] if looks else []

    (plain,), _ = losses("dann", asked())
    monkeypatch.setattr(step_runner, "host_synchronizations", waits)
    (graph,), notes = losses("dann", asked(compile="graph"))
    assert notes == ["graph off: a step waits for the device (dann.py:3, net.py:7)"]
    assert looked == [False] * (step_runner.TRIED - 1) + [True] + [False] * (60 - step_runner.TRIED)
    assert not replayed and graph == pytest.approx(plain, abs=1e-5)


def test_the_lines_that_wait_are_told(monkeypatch):
    """By torch's own warnings, which a GPU gives in this mode; other warnings go on."""
    modes = [0]
    monkeypatch.setattr(torch.cuda, "get_sync_debug_mode", lambda: modes[-1])
    monkeypatch.setattr(torch.cuda, "set_sync_debug_mode", modes.append)
    with pytest.warns(UserWarning, match="something else"), cuda_graph.host_synchronizations(torch.device("cuda")) as found:
        warnings.warn("called a synchronizing CUDA operation (Triggered internally)", stacklevel=1)
        warnings.warn("something else", stacklevel=1)
        assert found == []
    assert modes == [0, "warn", 0] and len(found) == 1 and found[0].startswith("test_switches.py:")
    with cuda_graph.host_synchronizations(CPU) as found:
        assert modes == [0, "warn", 0] and found == []


@pytest.mark.parametrize("wrong", ["nothing", "twice", "no update"])
def test_a_replay_that_gives_other_numbers_is_not_used(wrong, replayed, monkeypatch):
    def broken(step, stream):
        def replay():
            if wrong == "twice":
                step()
            if wrong != "nothing":
                before = [parameter.detach().clone() for parameter in held.method.parameters()]
                step()
                if wrong == "no update":
                    with torch.no_grad():
                        for parameter, old in zip(held.method.parameters(), before, strict=True):
                            parameter.copy_(old)

        return replay

    class Watched(step_runner.StepRunner):
        def __init__(self, method, *rest, **named):
            held.method = method
            super().__init__(method, *rest, **named)

    held = type("Held", (), {})()
    (plain,), _ = losses("dann", asked())
    monkeypatch.setattr(step_runner, "capture", broken)
    monkeypatch.setattr(train_module, "StepRunner", Watched)
    (graph,), notes = losses("dann", asked(compile="graph"))
    assert notes == ["graph off: a replayed step gave other numbers than the step as it is written"]
    assert graph == pytest.approx(plain, abs=1e-4)


def test_rates_of_all_steps_are_those_of_each():
    net = torch.nn.ModuleList([torch.nn.Linear(2, 2), torch.nn.Linear(2, 2)])
    groups = (Group((net[0],)), Group((net[1],), lambda progress: 2 * progress + 1))
    training = Training(steps=10, schedule="cosine", lr=0.1)
    rates = PhaseOptimizer(net, Phase(None, frozenset(), groups=groups), training, on_device=True)
    table = rates.table(10)
    for step in range(10):
        rates.set(step / 10)
        now = [float(held["lr"]) for held in rates.optimizer.param_groups]
        lr = 0.05 * (1 + math.cos(math.pi * step / 10))
        assert now == pytest.approx([lr, lr * (0.2 * step + 1)]) and table[step].tolist() == pytest.approx(now)
    late = PhaseOptimizer(
        net, Phase(None, frozenset(), groups=(groups[0], Group((net[1],), lambda p: float(p > 0.5)))), training
    )
    assert late.table(10) is None


def test_nothing_to_learn_is_not_applicable():
    with pytest.raises(NotApplicableError, match="nothing learns"):
        PhaseOptimizer(torch.nn.Linear(2, 2), Phase(None, frozenset(), groups=(Group((torch.nn.ReLU(),)),)), Training())


def test_the_ramp_of_a_tensor_is_that_of_a_number():
    for progress in (0.0, 0.1, 0.5, 0.99):
        assert float(reversal_schedule(torch.tensor(progress), 10.0)) == pytest.approx(
            reversal_schedule(progress, 10.0), abs=1e-6
        )


def test_a_rate_of_zero_on_the_stream_moves_no_parameter():
    found = [run("tent", asked(net={"batch_norm": True}), options={"lr": lr}) for lr in (0.0, 1e-9)]
    assert found[0].scores.target_accuracy == found[1].scores.target_accuracy


# --- rows on the host -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("sources", [("a",), ("a", "c")], ids=len)
@pytest.mark.parametrize("name", ["dann", "shot", "tent", "nearest_neighbor"])
def test_rows_that_stay_on_the_host_give_the_same_scores(name, sources):
    net = {"batch_norm": True}
    here, there = (run(name, asked(net=net, resident=choice), sources=sources) for choice in ("on", "off"))
    assert here.scores == there.scores and here.identity == there.identity
    assert here.notes == tuple(note for note in there.notes if "mapped" not in note) != there.notes
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("batches")]


def test_the_thread_ends_with_a_training_that_fails(tmp_path):
    body = (
        "class Bad(DeepMethod):\n    reads = frozenset({'source'})\n    def loss(self, step: Step) -> Tensor:\n"
        "        return self.supervised(step) * float('nan')\n"
    )
    with plugged(tmp_path, "bad", body) as name:
        record = engine.run_case(case(name), asked(resident="off"), domains(), CPU)
    assert record.status == "failed" and "the loss is nan at step 1 of 60" in record.reason
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("batches")]


def test_a_store_gives_rows_by_number(tmp_path, monkeypatch):
    tensors = [torch.arange(12.0).view(6, 2), 100 + torch.arange(8.0).view(4, 2)]
    whole, numbers = torch.cat(tensors), torch.tensor([[9, 0], [5, 6]])
    for resident in (True, False):
        store = SampleStore(tensors, CPU, resident)
        assert store.shape == (2,) and torch.equal(store.take(numbers), whole[numbers])
    part = Subset(store, torch.tensor([7, 1, 3]), y=torch.tensor([0, 1, 2]))
    assert torch.equal(part.x, whole[[7, 1, 3]]) and torch.equal(part[torch.tensor([2, 0])].x, whole[[3, 7]])
    assert [len(chunk) for chunk in part.chunks(2)] == [2, 1] and part[torch.tensor([2])].y.tolist() == [2]


def test_pages_of_a_mapped_file_are_given_back(tmp_path, monkeypatch):
    np.save(tmp_path / "x.npy", np.arange(2**20, dtype=np.uint8).reshape(-1, 1024))
    mapped = torch.from_numpy(np.load(tmp_path / "x.npy", mmap_mode="c"))
    if storage._mapped_file(mapped) is None:
        pytest.skip("this system has no /proc/self/maps")
    start, length = storage._mapped_file(mapped)
    assert mapped.data_ptr() <= start and start + length <= mapped.data_ptr() + mapped.nbytes and length > 2**20 - 2**14
    assert storage._mapped_file(torch.zeros(2**20)) is None
    monkeypatch.setattr(storage, "_READ_BYTES", 1000)
    store, given = SampleStore([mapped], CPU, resident=False), []
    give_back = storage._release_pages
    monkeypatch.setattr(storage, "_release_pages", lambda *span: given.append(span) or give_back(*span))
    numbers = torch.tensor([3, 1000])
    expected = mapped[numbers].clone()
    for _ in range(2):
        assert torch.equal(store.take(numbers), expected)
    assert given == [(start, length)] * 2
    told = []
    advise = storage._advise
    monkeypatch.setattr(storage, "_advise", lambda *span: told.append((span, advise(*span))))
    store.announce(torch.tensor([0, 1023]))
    first, last = mapped.data_ptr(), mapped[1023].data_ptr()
    for row, ((at, size, _), done) in zip((first, last), told, strict=True):
        assert at <= row and row + 1024 <= at + size and at % 4096 == 0 and done == 0
    large = torch.from_numpy(np.load(tmp_path / "x.npy", mmap_mode="c").reshape(8, -1))  # of small rows pages are kept
    for x, spans in ((mapped, []), (large, [storage._mapped_file(large)] * 2)):
        given.clear()
        store, expected = SampleStore([x], CPU, resident=True), x[torch.tensor([7, 1])].clone()
        for _ in range(2):
            assert torch.equal(store.take(torch.tensor([7, 1])), expected)
        assert given == spans


def test_what_fits_lives_on_the_device(monkeypatch):
    tensor = torch.zeros(1000, dtype=torch.uint8)
    monkeypatch.setattr(storage, "free_bytes", lambda device: 1999)
    assert not storage.is_resident("auto", [tensor], CPU) and storage.is_resident("on", [tensor], CPU)
    monkeypatch.setattr(storage, "free_bytes", lambda device: 2000)
    assert storage.is_resident("auto", [tensor, tensor], CPU) and not storage.is_resident("off", [tensor], CPU)
    monkeypatch.setattr(storage, "free_bytes", lambda device: None)
    assert storage.is_resident("auto", [tensor], CPU)


# --- seeds together -----------------------------------------------------------------------------------------------------

TOGETHER = ("source_only", "dann", "cdan", "coral", "dan", "mcc", "fine_tune", "joint", "multi_task", "target_only")


@pytest.mark.parametrize("name", TOGETHER)
def test_seeds_together_give_the_losses_of_seeds_alone(name):
    """To 1e-5 over 40 steps; rounding grows with a game's length, and with Adam on gradients that are nothing but rounding."""
    chosen = asked(steps=40)
    joint, notes = losses(name, chosen, count=3)
    for seed, found in enumerate(joint):
        (alone,), _ = losses(name, chosen, seed=seed)
        assert found == pytest.approx(alone, abs=1e-5), seed
    assert notes == []


def test_records_of_seeds_together_are_those_of_seeds_alone():
    chosen, cases = asked(vmap_seeds="on", trace=2), [case("coral", seed=seed) for seed in range(3)]
    joint = engine.run_seeds(cases, chosen, domains(), CPU)
    for found, one in zip(joint, cases, strict=True):
        alone = run("coral", chosen, seed=one.seed)
        assert found.identity == alone.identity and found.seed == one.seed
        assert found.scores.target_accuracy == pytest.approx(alone.scores.target_accuracy, abs=0.02)
        assert found.scores.source_accuracy == pytest.approx(alone.scores.source_accuracy, abs=0.1)
        assert [p.loss for p in found.scores.trace] == pytest.approx([p.loss for p in alone.scores.trace], abs=1e-4)
        assert found.notes[0].startswith("3 seeds trained together: train and compile seconds and energy are a share")
        assert found.cost.train_seconds == joint[0].cost.train_seconds and alone.notes == ()


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("fixmatch", "random operation"),
        ("mcd", "game of several turns"),
        ("mean_teacher", "follows each of its steps"),
        ("pcgrad", "a gradient for each of several losses"),
        ("adabn", "passes over all rows"),
        ("keeps", "changes attributes"),
    ],
)
def test_seeds_that_stay_apart_say_why(name, words, tmp_path):
    chosen = asked(vmap_seeds="on", steps=10, net={"batch_norm": True})
    with plugged(tmp_path, "keeps", STATE):
        joint = engine.run_seeds([case(name, seed=seed) for seed in (0, 1)], chosen, domains(), CPU)
        alone = [engine.run_case(case(name, seed=seed), chosen, domains(), CPU) for seed in (0, 1)]
    assert [found.scores for found in joint] == [one.scores for one in alone]
    assert all("seeds apart: " in found.notes[-1] and words in found.notes[-1] for found in joint)


def test_a_seed_that_diverges_leaves_the_others_be(tmp_path):
    body = (
        "class Some(DeepMethod):\n    reads = frozenset({'source'})\n    def loss(self, step: Step) -> Tensor:\n"
        "        first = self.net.head.bias[0].detach()\n"
        "        return self.supervised(step) + torch.where(first > 0, torch.inf, 0.0)\n"
    )
    chosen = asked(vmap_seeds="on", net={"hidden": [4]}, steps=5)
    with plugged(tmp_path, "some", body) as name:
        cases = [case(name, seed=seed) for seed in range(6)]
        alone = [engine.run_case(one, chosen, domains(), CPU) for one in cases]
        joint = engine.run_seeds(cases, chosen, domains(), CPU)
    assert {one.status for one in alone} == {"done", "failed"}
    assert [found.status for found in joint] == [one.status for one in alone]
    assert [found.reason for found in joint] == [one.reason for one in alone]


@pytest.mark.parametrize("choice", ["on", "off"])
def test_a_run_trains_the_seeds_of_a_case_together(choice, tmp_path):
    text = SUITE.replace("seeds = [0]", "seeds = [0, 1, 2]").replace("steps = 5", f'steps = 5\nvmap_seeds = "{choice}"')
    write_domains(tmp_path)
    (tmp_path / "tiny.toml").write_text(text, encoding="utf-8")
    words = ("run", "tiny.toml", "--data", ".", "--results", "out", "--device", "cpu")
    done = tlbench(*words, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    found = records.read_all(tmp_path / "out")
    assert sorted((one.entry, one.seed) for one in found) == [
        (row, seed) for row in ("coral", "source_only") for seed in range(3)
    ]
    assert {bool(one.notes) for one in found} == {choice == "on"}
    assert all((tmp_path / "out").rglob("*.npz")) and all(one.cost.wall_seconds for one in found)
    assert all(records.predictions(tmp_path / "out", one) is not None for one in found)
    assert tlbench(*words, cwd=tmp_path).returncode == 0 and len(records.read_all(tmp_path / "out")) == 6


def test_cases_that_differ_in_more_than_their_seed_are_refused():
    with pytest.raises(ValueError, match="seed alone"):
        engine.run_seeds([case("dann"), case("coral")], asked(), domains(), CPU)
    skipped = engine.run_seeds(
        [case("dann", seed=s) for s in (0, 1)], asked(vmap_seeds="on", protocol={"grants": ["source"]}), domains(), CPU
    )
    assert [record.status for record in skipped] == ["skipped", "skipped"]


# --- a frozen backbone -----------------------------------------------------------------------------------------------------

FROZEN = {"backbone": "mlp", "hidden": [12, 5], "frozen": True}


@pytest.fixture
def cached(tmp_path, monkeypatch):
    """A cache, and the number of rows that went through a frozen backbone."""
    monkeypatch.setenv("TLBENCH_CACHE", str(tmp_path / "cache"))
    extracted, seen = frozen._extract_features, []
    monkeypatch.setattr(frozen, "_extract_features", lambda domain, *rest: seen.append(domain.name) or extracted(domain, *rest))
    return seen


def test_features_are_made_once_for_all_methods_seeds_and_runs(cached):
    held = domains()
    chosen = asked(net=FROZEN, steps=5)
    for name in ("source_only", "coral", "nearest_neighbor"):
        for seed in (0, 1):
            record = engine.run_case(case(name, seed=seed), chosen, held, CPU)
            assert record.status == "done", record.reason
            assert record.notes == ("the backbone is frozen: the head alone learns from its features, and speeds are of that",)
            assert record.cost.feature_seconds is not None and record.cost.feature_seconds > 0
    assert cached == ["a", "b"]
    again = engine.run_case(case("source_only"), chosen, domains(), CPU)  # as another process would: from the disk
    assert cached == ["a", "b"] and again.cost.feature_seconds == record.cost.feature_seconds
    other = engine.run_case(case("source_only"), asked(net={**FROZEN, "hidden": [12, 6]}, steps=5), held, CPU)
    assert other.status == "done" and cached == ["a", "b"] * 2


def test_features_of_the_cache_give_the_numbers_of_those_made_anew(cached, monkeypatch):
    chosen = asked(net={**FROZEN, "bottleneck": 4})
    made, kept = run("dann", chosen), run("dann", chosen)
    monkeypatch.setenv("TLBENCH_CACHE", "off")
    assert made.scores == kept.scores == run("dann", chosen).scores
    assert cached == ["a", "b"] * 2 and "a bottleneck of 4 learns" in made.notes[0]


def test_a_method_on_a_frozen_backbone_sees_its_features(cached):
    """The same numbers as on domains whose rows are the features; the backbone's start has nothing to do with the seed."""
    chosen, held = asked(net=FROZEN), domains()
    plain = asked(net={"backbone": "features"})
    plain = dataclasses.replace(plain, net=Network(backbone="features"))
    _, seen = frozen.with_frozen_features(chosen, {name: held[name] for name in "ab"}, CPU)
    for name in ("source_only", "nearest_neighbor", "logistic"):
        for seed in (0, 1):
            one = engine.run_case(case(name, seed=seed), chosen, held, CPU)
            two = engine.run_case(case(name, seed=seed), plain, seen.domains, CPU)
            assert one.scores == two.scores and one.identity != two.identity
    assert seen.domains["a"].samples.x.shape == (120, 5) and seen.domains["a"].samples.x.dtype == torch.float32
    assert seen.domains["b"].fingerprint == held["b"].fingerprint


def test_images_go_through_a_frozen_backbone_as_through_one_that_learns():
    images = Labelled(torch.randint(0, 256, (20, 1, 16, 16), dtype=torch.uint8), torch.arange(20) % 3)
    net = Network.model_validate({"backbone": "lenet", "frozen": True, "mean": 0.3, "std": 0.2})
    chosen = dataclasses.replace(asked(), net=net)
    _, seen = frozen.with_frozen_features(chosen, {"i": domain("i", images)}, CPU)
    backbone, _ = frozen._frozen_backbone(chosen, (1, 16, 16), "fp32")
    with torch.no_grad():
        expected = backbone(Inputs(net, channels_last=True)(images.x))
    assert torch.allclose(seen.domains["i"].samples.x, expected, atol=1e-5)


def test_what_moves_features_alone_has_nothing_to_learn_from_frozen_ones():
    record = engine.run_case(case("mcd"), asked(net=FROZEN, steps=5), domains(), CPU)
    assert record.status == "skipped" and "a turn of this method has nothing to learn" in record.reason
    assert run("mcd", asked(net={**FROZEN, "bottleneck": 4}, steps=5)).status == "done"


def test_a_bottleneck_is_of_a_frozen_backbone():
    from tlbench.nn import backbones

    assert backbones.suite_errors({"net": {"backbone": "mlp", "bottleneck": 4}}) == [
        "net.bottleneck: a layer on frozen features; it needs frozen = true"
    ]
    with pytest.raises(TlbenchError, match="takes vectors"):
        backbones.build_backbone("features", (1, 8, 8), {})
    assert blobs(1).x.ndim == 2
