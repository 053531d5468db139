"""Vmapped seeds: several seeds of a case train in one program, with stacked parameters and one vectorised loss.

Each seed starts from its own network and draws its own batches, as when it trains alone. Optimizers work element by element, so
that no seed influences another. Results agree with those of single seeds up to rounding.
"""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call, vmap

from tlbench.engine.training.module_attributes import attributes_of
from tlbench.errors import NotVmappableError, TlbenchError
from tlbench.methods.base import DeepMethod, Phase
from tlbench.terms import SPLITS, Labelled, Step


def why_not_vmappable(phases: Sequence[Phase]) -> str | None:
    """The reason why the seeds of a method can't be vmapped, as far as the phases tell it before the first step."""
    for phase in phases:
        if phase.begin is not None:
            return "it passes over all samples outside the steps"
        if isinstance(phase.loss, tuple):
            return "its steps make alternating updates"
        if phase.combine is not None:
            return "it combines the gradients of several losses"
        if phase.after is not None:
            return "it calls a function after each step"
    return None


def stack_methods(methods: Sequence[DeepMethod]) -> DeepMethod:
    """One module whose parameters and buffers (S, ...) are those of all S methods, stacked along a first axis."""
    template = copy.deepcopy(methods[0])
    stacked: dict[int, Tensor] = {}
    for target, *modules in zip(template.modules(), *(method.modules() for method in methods), strict=True):
        for name, parameter in target._parameters.items():
            if parameter is not None and id(parameter) not in stacked:
                values = torch.stack([_tensor(module._parameters, name).detach() for module in modules])
                stacked[id(parameter)] = nn.Parameter(values, parameter.requires_grad)
            target._parameters[name] = None if parameter is None else stacked[id(parameter)]
        for name, buffer in target._buffers.items():
            if buffer is not None:
                target._buffers[name] = torch.stack([_tensor(module._buffers, name) for module in modules])
    return template


def unstack_methods(template: DeepMethod, methods: Sequence[DeepMethod]) -> None:
    """Copy the parameters and buffers of each seed from the stacked module into its own method."""
    stacked = {**dict(template.named_parameters()), **dict(template.named_buffers())}
    with torch.no_grad():
        for number, method in enumerate(methods):
            for name, tensor in (*method.named_parameters(), *method.named_buffers()):
                tensor.copy_(stacked[name][number])


def vmapped_phase(phase: Phase, template: DeepMethod) -> Phase:
    """The phase with a loss from stacked batches (S, B, ...) to the losses (S,) of the seeds."""
    assert callable(phase.loss)
    return dataclasses.replace(phase, loss=_VmappedLoss(template, phase.loss))


class _VmappedLoss:
    """A stacked step -> the losses (S,) of the seeds."""

    def __init__(self, template: DeepMethod, loss: Callable[[Step], Any]) -> None:
        self._functional = _FunctionalLoss(template, loss)
        self._is_first = True

    def __call__(self, step: Step) -> Tensor:
        """Compute the losses (S,) of a step whose tensors are (S, B, ...).

        Raises:
            NotVmappableError: the loss can't be vectorised: it draws random numbers, reads a value or changes attributes.
        """
        parameters, buffers = dict(self._functional.named_parameters()), dict(self._functional.named_buffers())
        attributes = attributes_of(self._functional) if self._is_first else {}
        try:
            losses: Tensor = vmap(self._one_seed(step.progress), randomness="error")(parameters, buffers, _tensors(step))
        except TlbenchError:
            raise
        except Exception as error:  # torch raises errors of many types for what it can't vectorise
            if not self._is_first:
                raise
            raise NotVmappableError(" ".join(str(error).split())[:160]) from error
        if self._is_first and attributes != attributes_of(self._functional):
            raise NotVmappableError("a step changes attributes that are no buffers")
        self._is_first = False
        return losses

    def _one_seed(self, progress: Any) -> Callable[..., Tensor]:
        def loss_of_seed(
            parameters: Mapping[str, Tensor], buffers: Mapping[str, Tensor], tensors: Mapping[str, Tensor]
        ) -> Tensor:
            loss: Tensor = functional_call(self._functional, (dict(parameters), dict(buffers)), (tensors, progress))
            return loss

        return loss_of_seed


class _FunctionalLoss(nn.Module):
    """A loss as a module, so that `functional_call` can replace the tensors of its method."""

    def __init__(self, method: DeepMethod, loss: Callable[[Step], Any]) -> None:
        super().__init__()
        self.method = method
        self.loss = loss

    def forward(self, tensors: Mapping[str, Tensor], progress: Any) -> Any:
        """The loss of a step that is given as its tensors by name."""
        batches: dict[str, Any] = {}
        for split in SPLITS:
            facts = {key.removeprefix(f"{split}."): value for key, value in tensors.items() if key.startswith(f"{split}.")}
            if facts:
                batches[split] = Labelled(**facts) if "y" in facts else facts["x"]
        indices = {key.removeprefix("indices."): value for key, value in tensors.items() if key.startswith("indices.")}
        return self.loss(Step(**batches, indices=indices, progress=progress))


def _tensors(step: Step) -> dict[str, Tensor]:
    """All tensors of a step by name."""
    named = {f"indices.{split}": indices for split, indices in step.indices.items()}
    for split in SPLITS:
        batch: Labelled | Tensor | None = getattr(step, split)
        if isinstance(batch, Labelled):
            facts = {"x": batch.x, "y": batch.y, "domain": batch.domain, "group": batch.group}
            named |= {f"{split}.{fact}": value for fact, value in facts.items() if value is not None}
        elif batch is not None:
            named[f"{split}.x"] = batch
    return named


def _tensor(tensors: Mapping[str, Tensor | None], name: str) -> Tensor:
    tensor = tensors[name]
    assert tensor is not None
    return tensor
