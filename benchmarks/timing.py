"""pytest-benchmark's fixed number of rounds, with types."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from pytest_benchmark.fixture import BenchmarkFixture

T = TypeVar("T")


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
