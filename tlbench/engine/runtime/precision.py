"""In what the steps compute: chosen by the suite or for the device, and stated in the record.

The backbone computes in bf16 where that is asked for; heads, losses and optimizers are always in float32, so that covariances,
kernels and eigenvectors of features stay what their papers say.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import torch
from torch import nn

from tlbench.nn.net import Backbone
from tlbench.suite import Training


def resolve_precision(training: Training, device: torch.device) -> str:
    """`fp32`, `tf32` or `bf16`: what `train.precision` says, for "auto" bf16 on a GPU that has it; tf32 is of CUDA alone."""
    if training.precision == "auto":
        return "bf16" if device.type == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False) else "fp32"
    return "fp32" if training.precision == "tf32" and device.type != "cuda" else training.precision


def set_backbone_precision(module: nn.Module, precision: str) -> None:
    """Let the backbones in a module compute in a precision; copies that are made of them later do so too."""
    for part in module.modules():
        if isinstance(part, Backbone):
            part.autocast = torch.bfloat16 if precision == "bf16" else None


@contextlib.contextmanager
def matmul_precision(precision: str, device: torch.device) -> Iterator[None]:
    """Inside, float32 products on a CUDA device run in TF32 if that is the precision, and else in full.

    cuDNN then takes those of its convolutions that give the same numbers each time: others add up in an order left to chance.
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
