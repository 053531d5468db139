"""pytest-benchmark with a fixed number of rounds, and contenders that alternate, so that ratios come from one run."""

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
"""Whether this is the short form, for CI: fewer rounds and steps, and no limit on times."""

now = time.process_time if os.environ.get("PROCESSOR_TIME") else time.perf_counter
"""With PROCESSOR_TIME=1, the processor time of this process, which other programs disturb least; use it with one thread.

It does not count sleeping, input and output, or worker processes.
"""


def rounds(full: int) -> int:
    """The number of rounds: `full`, or two in the short form."""
    return 2 if SHORT else full


def timed(
    benchmark: BenchmarkFixture,
    function: Callable[..., T],
    *arguments: object,
    rounds: int,
    setup: Callable[[], tuple[tuple[object, ...], dict[str, object]]] | None = None,
) -> T:
    """Time a function in several rounds after an untimed one, and return the result of the last round.

    Args:
        benchmark: the fixture of pytest-benchmark.
        function: the function that is timed.
        arguments: its arguments.
        rounds: how many rounds are timed.
        setup: makes new (args, kwargs) before each round, in place of `arguments`.
    """
    result: T = benchmark.pedantic(  # type: ignore[no-untyped-call]
        function, arguments, setup=setup, rounds=rounds, warmup_rounds=1
    )
    return result


class Alternation:
    """Contenders that run one after the other in each round; each round starts with the next one. The first round is untimed.

    A ratio is given in two forms: `paired` is the median over rounds of the ratio within each round, `medians` the ratio of the
    two medians. Where they differ, the run was too noisy.

    Args:
        contenders: by name, a function that prepares a run, untimed, and returns the function that is timed.
        pause: seconds of sleep before each run. Threads of the libraries of the run before go on spinning for a while, which
            would slow contenders that take some milliseconds.
    """

    def __init__(self, contenders: Mapping[str, Callable[[], Callable[[], Any]]], pause: float = 0.0) -> None:
        self._contenders, self._pause = contenders, pause
        self.seconds: dict[str, list[float]] = {name: [] for name in contenders}
        self._rounds = 0

    def run(self, benchmark: BenchmarkFixture, rounds: int) -> None:
        """Run one untimed round and then `rounds` timed ones."""
        timed(benchmark, self._run_round, rounds=rounds)
        self.seconds = {name: values[-rounds:] for name, values in self.seconds.items()}

    def _run_round(self) -> None:
        names = list(self._contenders)
        first = self._rounds % len(names)
        self._rounds += 1
        for name in (*names[first:], *names[:first]):
            run = self._contenders[name]()
            time.sleep(self._pause)
            start = now()
            run()
            self.seconds[name].append(now() - start)

    def save_seconds(self, benchmark: BenchmarkFixture, steps: int = 1) -> None:
        """Save the seconds per step of every round in the JSON, by contender; `tlbench bench --compare` compares those."""
        benchmark.extra_info["seconds"] = {name: [s / steps for s in values] for name, values in self.seconds.items()}

    def median(self, name: str) -> float:
        """The median of a contender's seconds."""
        return statistics.median(self.seconds[name])

    def ratio(self, a: str, b: str) -> dict[str, float]:
        """The seconds of contender `a` over those of `b`, in both forms."""
        pairs = zip(self.seconds[a], self.seconds[b], strict=True)
        return {"paired": statistics.median(x / y for x, y in pairs), "medians": self.median(a) / self.median(b)}

    def compare_with_reference(self, benchmark: BenchmarkFixture, steps: int) -> str:
        """Save seconds and ratio of the contenders `engine` and `reference loop`, and return them as text."""
        ratio = self.ratio("engine", "reference loop")
        benchmark.extra_info["ratio"] = ratio
        self.save_seconds(benchmark, steps)
        engine, reference = (1000 * self.median(name) / steps for name in ("engine", "reference loop"))
        return (
            f"engine {engine:8.3f} ms, reference loop {reference:8.3f} ms per step; engine / reference loop "
            f"{ratio['paired']:.3f} paired, {ratio['medians']:.3f} of the medians "
            f"({len(self.seconds['engine'])} rounds of {steps} steps, {torch.get_num_threads()} threads)"
        )
