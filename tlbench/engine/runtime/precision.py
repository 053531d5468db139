"""The numeric precision of the steps: the suite or the device decides it, and the record states it.

Under bf16 the backbone alone runs in bf16. Heads, losses and optimizers always compute in float32, so that covariances,
kernels and eigenvectors of features keep the precision of their papers.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import torch
from torch import nn

from tlbench.nn.net import Backbone
from tlbench.suite import Training


def resolve_precision(training: Training, device: torch.device) -> str:
    """`fp32`, `tf32` or `bf16`, by `train.precision`: "auto" is bf16 on a GPU that has it, and "tf32" is fp32 on a CPU."""
    if training.precision == "auto":
        return "bf16" if device.type == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False) else "fp32"
    return "fp32" if training.precision == "tf32" and device.type != "cuda" else training.precision


def set_backbone_precision(module: nn.Module, precision: str) -> None:
    """Set the precision of all backbones in a module; later copies of them inherit it."""
    for submodule in module.modules():
        if isinstance(submodule, Backbone):
            submodule.autocast = torch.bfloat16 if precision == "bf16" else None


@contextlib.contextmanager
def matmul_precision(precision: str, device: torch.device) -> Iterator[None]:
    """Run float32 products on a CUDA device in TF32 inside the block if that is the precision, and in full float32 otherwise.

    cuDNN then uses its deterministic convolutions only, for others add up in an arbitrary order.
    """
    if device.type != "cuda":
        yield
        return
    matmul, cudnn = torch.backends.cuda.matmul, torch.backends.cudnn
    before = matmul.allow_tf32, cudnn.allow_tf32, cudnn.deterministic, cudnn.benchmark
    matmul.allow_tf32 = cudnn.allow_tf32 = precision == "tf32"
    cudnn.deterministic, cudnn.benchmark = True, False
    try:
        yield
    finally:
        matmul.allow_tf32, cudnn.allow_tf32, cudnn.deterministic, cudnn.benchmark = before
