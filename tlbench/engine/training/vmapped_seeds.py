"""Several seeds of a case in one program: their parameters are stacked, and one vectorised loss gives one loss for each.

Each seed starts from its own network and draws its own batches, as when it is trained alone; optimizers work number by
number, so that no seed knows of the others. Results are those of seeds trained alone up to rounding.
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
    """Why the seeds of a method can't be trained together, as far as that can be told before a step."""
    for phase in phases:
        if phase.begin is not None:
            return "it passes over all rows outside the steps"
        if isinstance(phase.loss, tuple):
            return "its steps are a game of several turns"
        if phase.combine is not None:
            return "it combines a gradient for each of several losses"
        if phase.after is not None:
            return "something follows each of its steps"
    return None


def stack_methods(methods: Sequence[DeepMethod]) -> DeepMethod:
    """One module whose parameters and buffers hold those of all methods, stacked along a first axis of seeds."""
    template = copy.deepcopy(methods[0])
    made: dict[int, Tensor] = {}
    for places in zip(template.modules(), *(method.modules() for method in methods), strict=True):
        own, *each = places
        for name, held in own._parameters.items():
            if held is not None and id(held) not in made:
                together = torch.stack([_of(module._parameters, name).detach() for module in each])
                made[id(held)] = nn.Parameter(together, held.requires_grad)
            own._parameters[name] = None if held is None else made[id(held)]
        for name, buffer in own._buffers.items():
            if buffer is not None:
                own._buffers[name] = torch.stack([_of(module._buffers, name) for module in each])
    return template


def unstack_methods(template: DeepMethod, methods: Sequence[DeepMethod]) -> None:
    """Put each seed's numbers into its own method."""
    whole = {**dict(template.named_parameters()), **dict(template.named_buffers())}
    with torch.no_grad():
        for number, method in enumerate(methods):
            for name, own in (*method.named_parameters(), *method.named_buffers()):
                own.copy_(whole[name][number])


def vmapped_phase(phase: Phase, template: DeepMethod) -> Phase:
    """The phase with a loss that takes stacked batches (S, B, ...) and gives (S,): one loss for each seed."""
    assert callable(phase.loss)
    return dataclasses.replace(phase, loss=_Joined(template, phase.loss))


class _Joined:
    def __init__(self, template: DeepMethod, loss: Callable[[Step], Any]) -> None:
        self._bare = _Bare(template, loss)
        self._is_first = True

    def __call__(self, step: Step) -> Tensor:
        """A stacked step -> losses (S,).

        Raises:
            Apart: the loss does what can't be vectorised: it draws at random, looks at a value, or keeps state.
        """
        parameters, buffers = dict(self._bare.named_parameters()), dict(self._bare.named_buffers())
        before = attributes_of(self._bare) if self._is_first else {}
        try:
            losses: Tensor = vmap(self._alone(step.progress), randomness="error")(parameters, buffers, _tensors(step))
        except TlbenchError:
            raise
        except Exception as error:  # torch says in its own words what it can't vectorise
            if not self._is_first:
                raise
            raise NotVmappableError(" ".join(str(error).split())[:160]) from error
        if self._is_first and before != attributes_of(self._bare):
            raise NotVmappableError("a step changes attributes that are no buffers")
        self._is_first = False
        return losses

    def _alone(self, progress: Any) -> Callable[..., Tensor]:
        def alone(parameters: Mapping[str, Tensor], buffers: Mapping[str, Tensor], tensors: Mapping[str, Tensor]) -> Tensor:
            loss: Tensor = functional_call(self._bare, (dict(parameters), dict(buffers)), (tensors, progress))
            return loss

        return alone


class _Bare(nn.Module):
    """A method as a function of its tensors: `functional_call` puts others in their place."""

    def __init__(self, method: DeepMethod, loss: Callable[[Step], Any]) -> None:
        super().__init__()
        self.method = method
        self.loss = loss

    def forward(self, tensors: Mapping[str, Tensor], progress: Any) -> Any:
        parts: dict[str, Any] = {}
        for part in SPLITS:
            own = {key.removeprefix(f"{part}."): value for key, value in tensors.items() if key.startswith(f"{part}.")}
            if own:
                parts[part] = Labelled(**own) if "y" in own else own["x"]
        rows = {key.removeprefix("rows."): value for key, value in tensors.items() if key.startswith("rows.")}
        return self.loss(Step(**parts, indices=rows, progress=progress))


def _tensors(step: Step) -> dict[str, Tensor]:
    """All tensors of a step by name."""
    named = {f"rows.{part}": rows for part, rows in step.indices.items()}
    for name in SPLITS:
        part: Labelled | Tensor | None = getattr(step, name)
        if isinstance(part, Labelled):
            facts = {"x": part.x, "y": part.y, "domain": part.domain, "group": part.group}
            named |= {f"{name}.{fact}": value for fact, value in facts.items() if value is not None}
        elif part is not None:
            named[f"{name}.x"] = part
    return named


def _of(held: Mapping[str, Tensor | None], name: str) -> Tensor:
    tensor = held[name]
    assert tensor is not None
    return tensor
