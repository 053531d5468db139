"""Networks of other libraries as backbones: they run as they are, and their layers are grouped into stages in order."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

from torch import Tensor, nn

from tlbench.nn.net import Backbone

STAGES = 5
"""A network is split into so many stages at most, as a ResNet is: its first layers and four groups of blocks."""
DOMINANT_SHARE = 0.5
"""A module that holds more of the parameters than this is looked into, for it is no block of the network but its body."""


class WholeNetwork(Backbone):
    """A network that runs by its own forward pass: inputs (B, ...) -> features (B, D).

    Args:
        network: returns features (B, D).
        width: D, the width of the features.
        stages: groups of its modules from inputs to features, with every parameter in one of them. None: `grouped_layers`.
    """

    def __init__(self, network: nn.Module, width: int, stages: list[nn.Module] | None = None) -> None:
        nn.Module.__init__(self)
        self.network = network
        self.width = width
        self.autocast = None
        self.positions = None
        # a plain list: the parameters are registered once, as those of `network`
        self.stages = grouped_layers(network) if stages is None else stages

    def _run_stages(self, x: Tensor) -> Tensor:
        features: Tensor = self.network(x)
        return features

    def stage_outputs(self, x: Tensor) -> list[Tensor]:
        """Inputs (B, ...) -> the outputs (B, ...) of the last module of each stage; the last are the features (B, D)."""
        outputs: list[Tensor] = []

        def append_output(_: nn.Module, __: Any, output: Any) -> None:
            outputs.append(output[0] if isinstance(output, tuple) else output)

        last_modules = [[*stage.children()][-1] if isinstance(stage, nn.ModuleList) else stage for stage in self.stages[:-1]]
        handles = [module.register_forward_hook(append_output) for module in last_modules]
        try:
            features = self.forward(x)
        finally:
            for handle in handles:
                handle.remove()
        return [*(output.float() for output in outputs), features]


class OwnParameters(nn.Module):
    """The parameters that a module holds itself, beside those of its children, such as the class token of a ViT.

    They are those of the module at any time, also after they were replaced, as for a program of vmapped seeds.

    Args:
        module: it stays where it is in its network.
    """

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self._parameters = module._parameters  # the mapping itself


class ThreeChannels(nn.Module):
    """Images (B, 1 or 3, height, width) -> (B, 3, height, width)."""

    def forward(self, x: Tensor) -> Tensor:
        """Grey images are repeated, without a copy."""
        return x.expand(-1, 3, -1, -1) if x.shape[1] == 1 else x


def grouped_layers(network: nn.Module, stages: int = STAGES) -> list[nn.Module]:
    """The layers of a network in the order of their registration, in groups of about as many blocks.

    Sequences are looked into, and so is a module that holds most of the parameters; what remains are the blocks. Modules
    without parameters go with the block before them, and the parameters of a module that is looked into with the block after.

    Args:
        network: any network whose modules are registered in the order in which they run, as those of torchvision and timm are.
        stages: the number of groups, or fewer where the network has fewer blocks.
    """
    total = sum(parameter.numel() for parameter in network.parameters())
    blocks: list[list[nn.Module]] = []
    pending: list[nn.Module] = []
    for module in _blocks(network, total):
        if isinstance(module, OwnParameters):
            pending.append(module)
        elif any(True for _ in module.parameters()) or not blocks:
            blocks.append([*pending, module])
            pending = []
        else:
            blocks[-1].append(module)
    blocks[-1] = [*pending, *blocks[-1]]
    count = min(stages, len(blocks))
    bounds = [round(index * len(blocks) / count) for index in range(count + 1)]
    return [
        nn.ModuleList(module for block in blocks[start:end] for module in block) for start, end in itertools.pairwise(bounds)
    ]


def _blocks(module: nn.Module, total: int) -> Iterator[nn.Module]:
    """The blocks of a module: itself, or those of its children where it is a sequence or holds most parameters."""
    parameter_count = sum(parameter.numel() for parameter in module.parameters())
    children = [*module.children()]
    is_body = isinstance(module, nn.Sequential | nn.ModuleList) or parameter_count > DOMINANT_SHARE * total
    if not children or not is_body:
        yield module
        return
    if any(True for _ in module.parameters(recurse=False)):
        yield OwnParameters(module)
    for child in children:
        yield from _blocks(child, total)
