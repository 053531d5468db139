"""What a device can do at most, measured on it: a large matrix product and a large copy. No datasheet is asked."""

from __future__ import annotations

import functools
from collections.abc import Callable

import torch

from tlbench.clock import Clock
from tlbench.engine.runtime.precision import matmul_precision

_PRODUCT = {"cpu": (512, 2048, 0.01), "cuda": (2048, 16384, 0.005)}
"""Device -> smallest and largest edge of the matrices, and the seconds from which on a product is large enough."""
_COPY_BYTES = {"cpu": 2**27, "cuda": 2**30}
_TIMES = 4


@functools.cache
def peak_matmul_flops(device: torch.device, precision: str) -> float:
    """Floating-point operations per second of a square matrix product: the best of several, of growing size.

    Args:
        device: a CPU (all threads that torch uses) or a CUDA device.
        precision: `fp32`, `tf32` (on CUDA) or `bf16`.
    """
    edge, last, enough = _PRODUCT.get(device.type, _PRODUCT["cpu"])
    dtype = torch.bfloat16 if precision == "bf16" else torch.float32
    source = torch.Generator(device).manual_seed(0)
    best = 0.0
    while True:
        a, b = (torch.randn(edge, edge, generator=source, device=device).to(dtype) for _ in range(2))
        out = torch.empty_like(a)
        with matmul_precision(precision, device):
            took = shortest(device, functools.partial(torch.mm, a, b, out=out))
        best = max(best, 2 * edge**3 / took)
        del a, b, out
        if device.type == "cuda":
            torch.cuda.empty_cache()  # what torch keeps would count as memory of the first case
        if took >= enough or edge >= last:
            return best
        edge *= 2


@functools.cache
def peak_copy_bytes(device: torch.device) -> float:
    """Bytes per second, read and written, of a copy within the device's memory: the best of several."""
    size = _COPY_BYTES.get(device.type, _COPY_BYTES["cpu"])
    a = torch.ones(size, dtype=torch.uint8, device=device)
    b = torch.zeros_like(a)
    return 2 * size / shortest(device, lambda: b.copy_(a))


def shortest(device: torch.device, work: Callable[[], object]) -> float:
    """The shortest time that some work took, in seconds, after a first one that is not looked at."""
    work()
    took = []
    for _ in range(_TIMES):
        clock = Clock(device)
        with clock.measure("work"):
            work()
        took.append(clock.seconds["work"])
    return min(took)
