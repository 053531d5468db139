"""What a deep method learns last: its number of parameters, and the bytes that a target adds to the network of the source."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from tlbench.engine.training.optimizer import parameters_by_group
from tlbench.methods.base import DeepMethod, Group


def trainable_parameters(method: DeepMethod) -> int:
    """The number of parameters that learn in the last phase of a method, or on the stream; groups at scale 0 are frozen.

    The last phase is one that has a loss or names the modules that it sets.
    """
    return sum(tensor.numel() for tensor in learned_parameters(_groups_by_phase(method)[-1]))


def adapter_bytes(method: DeepMethod) -> int | None:
    """The bytes of the parameters that learn last, and of the batch statistics that move with them.

    A target needs so many bytes beside the network of the source. None where a method has one phase, so that there is no such
    network. Buffers that no checkpoint has, such as the numbers of positions in a text, are not counted.
    """
    by_phase = _groups_by_phase(method)
    if len(by_phase) == 1:
        return None
    groups = by_phase[-1]
    owners = {id(b): number for number, group in enumerate(groups) for module in group.modules for b in _stored_buffers(module)}
    buffers = [
        buffer
        for number, group in enumerate(groups)
        if _learns(group)
        for module in group.modules
        for buffer in _stored_buffers(module)
        if owners[id(buffer)] == number
    ]
    return sum(tensor.numel() * tensor.element_size() for tensor in [*learned_parameters(groups), *buffers])


def _stored_buffers(module: nn.Module) -> list[Tensor]:
    """The buffers that a state dict of the module holds."""
    stored = {id(tensor) for tensor in module.state_dict(keep_vars=True).values()}
    return [buffer for buffer in module.buffers() if id(buffer) in stored]


def _groups_by_phase(method: DeepMethod) -> list[Sequence[Group]]:
    """The groups of each phase in which parameters learn; the stream comes last."""
    everything: Sequence[Group] = (Group((method,)),)
    by_phase = [phase.groups or everything for phase in method.phases() if phase.loss is not None or phase.groups is not None]
    online = method.online()
    if online is not None:
        by_phase.append(online.groups)
    return by_phase or [everything]


def learned_parameters(groups: Sequence[Group]) -> list[Tensor]:
    """The parameters of some groups that learn at some progress of their phase."""
    by_group = zip(groups, parameters_by_group(groups), strict=True)
    return [parameter for group, parameters in by_group if _learns(group) for parameter in parameters]


def _learns(group: Group) -> bool:
    """Whether a group has a rate other than 0 at some progress."""
    return any(
        (group.scale(progress) if callable(group.scale) else group.scale) != 0 for progress in (0.0, 0.25, 0.5, 0.75, 1.0)
    )
