"""Deep methods that are trained on the toy task of the contract checks."""

from __future__ import annotations

import torch

from tlbench import checks
from tlbench.methods.base import DeepMethod
from tlbench.terms import Task


def fit_deep(name: str, task: Task | None = None, steps: int = 20, **options) -> DeepMethod:
    """A deep method after its training."""
    fitted = checks.fit_method(name, task or checks.toy_task(), options, steps)
    assert isinstance(fitted.method, DeepMethod)
    return fitted.method


def stages(method: DeepMethod) -> list[dict[str, torch.Tensor]]:
    """The state of each stage of the backbone."""
    return [dict(stage.state_dict()) for stage in method.net.backbone.stages]


def is_same(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> bool:
    return all(torch.equal(a[key], b[key]) for key in a)
