"""One training step of DANN with LeNet, 128 + 128 rows of 28x28, fp32, CPU: the engine's, by hand, and script-style.

All compute the same losses from the same start and the same rows; that is asserted. Times are printed and saved, never
asserted: they belong to the machine.
"""

from __future__ import annotations

import copy
import functools
import statistics
import time
from collections.abc import Callable, Iterator

import pytest
import torch
from pytest_benchmark.fixture import BenchmarkFixture

from benchmarks import by_hand
from benchmarks.by_hand import Model
from benchmarks.scripted import Images, Script
from benchmarks.timing import timed
from tlbench.clock import Clock
from tlbench.engine.inputs import Inputs
from tlbench.engine.train import train
from tlbench.methods.adversarial.dann import Dann
from tlbench.nn import trunks
from tlbench.nn.net import Net
from tlbench.suite import Network, Training
from tlbench.terms import Labelled, Task

ROWS, BATCH, CLASSES = 10_000, 128, 10
STEPS = 20
"""Steps of one timed run: optimiser, row numbers and all else that a run needs are timed with it."""
ROUNDS = 7
SEEDS = {"batches source 0": 1, "batches target 0": 2}
SCRIPTED = ("PIL + DataLoader", "PIL + DataLoader, 2 workers", "PNG + PIL + DataLoader")
NAMES = ("engine", "by hand", "by hand, contiguous", *SCRIPTED)

Ready = Callable[[], list[float]]
"""Trains from the common start and gives the losses: what is timed."""


class Bench:
    """The data, the common start, and each contender made ready: fresh weights, nothing trained."""

    def __init__(self) -> None:
        torch.manual_seed(0)
        x, self.target = _blobs(), _blobs()
        self.source = Labelled(x, x.float().sum((1, 2)).argmax(1) * CLASSES // 28)  # where the most ink stands
        net = Net(trunks.build("lenet", (1, 28, 28), {}), CLASSES)
        self._start = Dann(net, **Dann.Options().model_dump())
        self.contenders: dict[str, Callable[[int], Ready]] = {
            "engine": self._engine,
            "by hand": lambda steps: self._by_hand(steps, channels_last=True),
            "by hand, contiguous": lambda steps: self._by_hand(steps, channels_last=False),
            SCRIPTED[0]: lambda steps: self._script(steps, encoded=False, workers=0),
            SCRIPTED[1]: lambda steps: self._script(steps, encoded=False, workers=2),
            SCRIPTED[2]: lambda steps: self._script(steps, encoded=True, workers=0),
        }

    def _engine(self, steps: int) -> Ready:
        method = copy.deepcopy(self._start)
        method.to(memory_format=torch.channels_last)  # as engine.fit does for convolutions
        task = Task(CLASSES, source=self.source, target=self.target)
        training = Training(steps=steps, batch=BATCH, trace=0)
        inputs, clock = Inputs(Network(), channels_last=True), Clock(torch.device("cpu"))
        return lambda: train(method, task, training, inputs, clock, SEEDS.__getitem__).losses

    def _by_hand(self, steps: int, channels_last: bool) -> Ready:
        model = Model(self._start.parameters(), channels_last)
        source, seeds = (self.source.x, self.source.y), (SEEDS["batches source 0"], SEEDS["batches target 0"])
        return lambda: by_hand.train(model, source, self.target, seeds, steps=steps, batch=BATCH, channels_last=channels_last)

    def _script(self, steps: int, encoded: bool, workers: int) -> Ready:
        seeds = (SEEDS["batches source 0"], SEEDS["batches target 0"])
        model = Model(self._start.parameters(), channels_last=False)
        source, target = self._images[encoded]
        return Script(model, source, target, seeds, steps=steps, batch=BATCH, workers=workers).train

    @functools.cached_property
    def _images(self) -> dict[bool, tuple[Images, Images]]:
        """Source and target as images in memory, and as PNG files in memory."""
        none = torch.zeros(ROWS, dtype=torch.int64)
        return {e: (Images(self.source.x, self.source.y, e), Images(self.target, none, e)) for e in (False, True)}


def _blobs() -> torch.Tensor:
    """Smooth strokes on black, about as hard to compress as handwritten digits: uint8 (ROWS, 1, 28, 28)."""
    coarse = torch.nn.functional.interpolate(torch.rand(ROWS, 1, 5, 5), size=(28, 28), mode="bilinear")
    return ((coarse - 0.6).clamp_(min=0) * 637).to(torch.uint8)


@pytest.fixture(scope="module")
def bench() -> Iterator[Bench]:
    yield Bench()


@pytest.mark.parametrize("name", [name for name in NAMES if "workers" not in name])  # those start some batches ahead
def test_all_compute_the_same_losses(bench: Bench, name: str) -> None:
    steps = 10
    expected = bench.contenders["by hand"](steps)()
    assert bench.contenders[name](steps)() == pytest.approx(expected, abs=1e-4)
    assert expected[-1] < expected[0] - 0.01  # something is learnt, so something is compared


@pytest.mark.benchmark(group=f"DANN, LeNet, {BATCH} + {BATCH} rows of 28x28: {STEPS} steps")
@pytest.mark.parametrize("name", NAMES)
def test_step(bench: Bench, benchmark: BenchmarkFixture, name: str) -> None:
    def ready() -> tuple[tuple[Ready], dict[str, object]]:
        return (bench.contenders[name](STEPS),), {}

    timed(benchmark, lambda run: run(), setup=ready, rounds=3)
    if benchmark.stats is not None:
        benchmark.extra_info["milliseconds_per_step"] = 1000 * benchmark.stats.stats.median / STEPS


def test_ratios(bench: Bench, benchmark: BenchmarkFixture, capsys: pytest.CaptureFixture[str]) -> None:
    """All contenders in turn, round after round. Two readings of a ratio: where they differ, the run was too noisy.

    `paired` is the median over the rounds of the ratio within each, `medians` the ratio of the two medians.
    """
    milliseconds: dict[str, list[float]] = {name: [] for name in NAMES}

    def turn() -> None:
        at = len(milliseconds[NAMES[0]]) % len(NAMES)
        for name in (*NAMES[at:], *NAMES[:at]):  # nobody always goes first
            run = bench.contenders[name](STEPS)
            start = time.perf_counter()
            run()
            milliseconds[name].append(1000 * (time.perf_counter() - start) / STEPS)

    timed(benchmark, turn, rounds=ROUNDS)
    milliseconds = {name: values[-ROUNDS:] for name, values in milliseconds.items()}  # without the warm-up
    per_step = {name: statistics.median(values) for name, values in milliseconds.items()}
    fastest = min(SCRIPTED, key=per_step.__getitem__)
    against = {"by hand": "aim: at most 1.05", "by hand, contiguous": "", fastest: "aim: at most 0.60"}
    ratios = {
        f"engine / {name}": {
            "paired": statistics.median(a / b for a, b in zip(milliseconds["engine"], milliseconds[name], strict=True)),
            "medians": per_step["engine"] / per_step[name],
        }
        for name in against
    }
    benchmark.extra_info["ratios"] = ratios
    benchmark.extra_info["milliseconds_per_step"] = milliseconds
    with capsys.disabled():
        print(f"\n\nDANN, LeNet, {BATCH} + {BATCH} rows of 28x28, fp32, {torch.get_num_threads()} threads, ", end="")
        print(f"torch {torch.__version__}; medians of {len(milliseconds['engine'])} alternating rounds of {STEPS} steps")
        for name, value in per_step.items():
            print(f"  {name:28} {value:7.1f} ms a step ({min(milliseconds[name]):.1f} to {max(milliseconds[name]):.1f})")
        for (name, ratio), aim in zip(ratios.items(), against.values(), strict=True):
            print(f"  {name:36} {ratio['paired']:.3f} paired, {ratio['medians']:.3f} of the medians   {aim}")
