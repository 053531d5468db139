"""pytest-benchmark's fixed number of rounds, with types; and contenders in turn, so that ratios come from one run."""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import torch
from pytest_benchmark.fixture import BenchmarkFixture

T = TypeVar("T")

SHORT = bool(os.environ.get("SHORT"))
"""The short form, for CI: fewer rounds and steps; its times are kept, not judged."""

now = time.process_time if os.environ.get("PROCESSOR_TIME") else time.perf_counter
"""PROCESSOR_TIME=1 with one thread: what other programs on the machine disturb least; it is blind to waiting and to workers."""


def rounds(full: int) -> int:
    """So many rounds, or two in the short form."""
    return 2 if SHORT else full


def timed(
    benchmark: BenchmarkFixture,
    function: Callable[..., T],
    *arguments: object,
    rounds: int,
    setup: Callable[[], tuple[tuple[object, ...], dict[str, object]]] | None = None,
) -> T:
    """Time `function` so many times after one untimed round; what the last one gave. `setup` makes fresh arguments."""
    last: T = benchmark.pedantic(  # type: ignore[no-untyped-call]
        function, arguments, setup=setup, rounds=rounds, warmup_rounds=1
    )
    return last


class Alternation:
    """Contenders in turn, round after round, nobody always first; seconds of every round after an untimed one.

    Two readings of a ratio: `paired` is the median over the rounds of the ratio within each, `medians` the ratio of the two
    medians. Where they differ, the run was too noisy. `pause` seconds go by before each: threads of the libraries that the one
    before used go on spinning for a while, which contenders of some milliseconds would pay for.
    """

    def __init__(self, contenders: Mapping[str, Callable[[], Callable[[], Any]]], pause: float = 0.0) -> None:
        self._contenders, self._pause = contenders, pause
        self.seconds: dict[str, list[float]] = {name: [] for name in contenders}
        self._rounds = 0

    def run(self, benchmark: BenchmarkFixture, rounds: int) -> None:
        timed(benchmark, self._run_round, rounds=rounds)
        self.seconds = {name: values[-rounds:] for name, values in self.seconds.items()}

    def _run_round(self) -> None:
        names = list(self._contenders)
        at = self._rounds % len(names)
        self._rounds += 1
        for name in (*names[at:], *names[:at]):
            run = self._contenders[name]()
            time.sleep(self._pause)
            start = now()
            run()
            self.seconds[name].append(now() - start)

    def add_ratios(self, benchmark: BenchmarkFixture, steps: int) -> None:
        """Seconds a step of each contender's rounds go into the JSON; `tlbench bench --compare` looks at those."""
        benchmark.extra_info["seconds"] = {name: [s / steps for s in values] for name, values in self.seconds.items()}

    def median(self, name: str) -> float:
        return statistics.median(self.seconds[name])

    def ratio(self, a: str, b: str) -> dict[str, float]:
        pairs = zip(self.seconds[a], self.seconds[b], strict=True)
        return {"paired": statistics.median(x / y for x, y in pairs), "medians": self.median(a) / self.median(b)}

    def against(self, benchmark: BenchmarkFixture, steps: int) -> str:
        """The contenders `engine` and `reference loop`, added to the benchmark and returned as text: milliseconds a step of both, and their ratio."""
        ratio = self.ratio("engine", "reference loop")
        benchmark.extra_info["ratio"] = ratio
        self.add_ratios(benchmark, steps)
        engine, hand = (1000 * self.median(name) / steps for name in ("engine", "reference loop"))
        return (
            f"engine {engine:8.3f} ms, reference loop {hand:8.3f} ms a step; engine / reference loop "
            f"{ratio['paired']:.3f} paired, {ratio['medians']:.3f} of the medians "
            f"({len(self.seconds['engine'])} rounds of {steps} steps, {torch.get_num_threads()} threads)"
        )
