"""The limits of a device, measured on it by large matrix products and large copies; datasheets are not used."""

from __future__ import annotations

import functools
from collections.abc import Callable

import torch

from tlbench.clock import Clock
from tlbench.engine.runtime.precision import matmul_precision

_PRODUCT = {"cpu": (512, 2048, 0.01), "cuda": (2048, 16384, 0.005)}
"""Device type -> smallest and largest side of the square matrices, and the seconds that a large enough product takes."""
_COPY_BYTES = {"cpu": 2**27, "cuda": 2**30}
_REPETITIONS = 4


@functools.cache
def peak_matmul_flops(device: torch.device, precision: str) -> float:
    """Floating-point operations per second of square matrix products: the best over growing sizes.

    Args:
        device: a CPU (all threads that torch uses) or a CUDA device.
        precision: `fp32`, `tf32` (on CUDA) or `bf16`.
    """
    side, largest, enough_seconds = _PRODUCT.get(device.type, _PRODUCT["cpu"])
    dtype = torch.bfloat16 if precision == "bf16" else torch.float32
    source = torch.Generator(device).manual_seed(0)
    best = 0.0
    while True:
        a, b = (torch.randn(side, side, generator=source, device=device).to(dtype) for _ in range(2))
        out = torch.empty_like(a)
        with matmul_precision(precision, device):
            seconds = shortest_seconds(device, functools.partial(torch.mm, a, b, out=out))
        best = max(best, 2 * side**3 / seconds)
        del a, b, out
        if device.type == "cuda":
            torch.cuda.empty_cache()  # memory that torch caches would count as memory of the first case
        if seconds >= enough_seconds or side >= largest:
            return best
        side *= 2


@functools.cache
def peak_copy_bytes(device: torch.device) -> float:
    """Bytes per second, read and written, of a copy within the device's memory: the best of several copies."""
    size = _COPY_BYTES.get(device.type, _COPY_BYTES["cpu"])
    a = torch.ones(size, dtype=torch.uint8, device=device)
    b = torch.zeros_like(a)
    return 2 * size / shortest_seconds(device, lambda: b.copy_(a))


def shortest_seconds(device: torch.device, work: Callable[[], object]) -> float:
    """The shortest time of several calls in seconds, after a first call for warm-up."""
    work()
    seconds = []
    for _ in range(_REPETITIONS):
        clock = Clock(device)
        with clock.measure("work"):
            work()
        seconds.append(clock.seconds["work"])
    return min(seconds)
