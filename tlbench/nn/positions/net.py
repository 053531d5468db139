"""A network with an output for each position, in the form in which methods use a network with an output for each sample.

The backbone of a suite gives features (B, P, D). In training, `PositionBackbone` gives those of K drawn positions of each
sample, (B*K, D), and in prediction those of all positions, (B*P, D): to a method a position is a sample.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from tlbench.errors import NotApplicableError
from tlbench.nn.augmentation.views import with_noise
from tlbench.nn.net import Backbone, Net, concatenated
from tlbench.nn.positions.packing import is_packed, pack, unpack


class PositionBackbone(Backbone):
    """Network inputs with K drawn positions each -> features (B*K, D); network inputs alone -> features (B*P, D).

    Args:
        backbone: network inputs (B, *shape) -> features (B, P, D); it stays the owner of its stages.
        shape: of a sample.
        count: K.
    """

    def __init__(self, backbone: Backbone, shape: tuple[int, ...], count: int) -> None:
        nn.Module.__init__(self)
        if backbone.positions is None:
            raise ValueError("The backbone gives one feature vector for each sample.")
        self.inner, self.shape, self.count = backbone, shape, count
        self.width, self.positions = backbone.width, backbone.positions
        self.autocast = None  # the inner backbone casts

    @property
    def stages(self) -> nn.ModuleList | list[nn.Module]:  # type: ignore[override]
        """The stages of the inner backbone."""
        return self.inner.stages

    def forward(self, x: Tensor) -> Tensor:
        """Network inputs -> features (B*K, D), or (B*P, D), in float32."""
        if not is_packed(x, self.shape):
            features_BPD: Tensor = self.inner(x)
            return features_BPD.flatten(0, 1)
        samples, positions_BK = unpack(x, self.shape, self.count)
        return selected(self.inner(samples), positions_BK)

    def stage_outputs(self, x: Tensor) -> list[Tensor]:
        """The outputs of every stage; the last are the features as `forward` gives them."""
        if not is_packed(x, self.shape):
            *outputs, last = self.inner.stage_outputs(x)
            return [*outputs, last.flatten(0, 1)]
        samples, positions_BK = unpack(x, self.shape, self.count)
        *outputs, last = self.inner.stage_outputs(samples)
        return [*outputs, selected(last, positions_BK)]

    def per_sample(self, x: Tensor) -> int:
        """The feature vectors of each sample: K where positions are drawn, else P."""
        return self.count if is_packed(x, self.shape) else self.positions or 1


def selected(features_BPD: Tensor, positions_BK: Tensor) -> Tensor:
    """The features (B*K, D) of some positions (B, K) of each sample."""
    index_BKD = positions_BK[:, :, None].expand(-1, -1, features_BPD.shape[2])
    return features_BPD.gather(1, index_BKD).flatten(0, 1)


class PositionNet(Net):
    """Network inputs -> logits (B*K, C) of the drawn positions, or (B*P, C) of all.

    Args:
        backbone: a backbone of positions.
        classes: C.
    """

    def __init__(self, backbone: PositionBackbone, classes: int) -> None:
        super().__init__(backbone, classes)
        self.positions = backbone.positions or 1

    def features(self, *batches: Tensor) -> tuple[Tensor, ...]:
        """Features of several batches from one forward pass: each (B_i, ...) -> (B_i*K, D), or (B_i*P, D)."""
        backbone = self.backbone
        assert isinstance(backbone, PositionBackbone)
        features_MD: Tensor = backbone(concatenated(*batches))
        return tuple(torch.split(features_MD, [len(batch) * backbone.per_sample(batch) for batch in batches]))

    def view(self, x: Tensor, other: Tensor, transform: Callable[[Tensor, Tensor], Tensor]) -> Tensor:
        """The samples x after a function of them and of other samples; the drawn positions of x stay.

        Raises:
            NotApplicableError: the samples are token ids, with which nothing is computed.
        """
        if x.dtype == torch.int32:
            raise NotApplicableError("the method computes with samples, and these are token ids")
        backbone = self.backbone
        assert isinstance(backbone, PositionBackbone)
        if is_packed(other, backbone.shape):
            other = unpack(other, backbone.shape, backbone.count)[0]
        if not is_packed(x, backbone.shape):
            return transform(x, other)
        samples, positions_BK = unpack(x, backbone.shape, backbone.count)
        return pack(transform(samples, other), positions_BK)

    def weak_view(self, x: Tensor) -> Tensor:
        """Samples with noise of 0.1 standard deviations; token ids as they are, so that only dropout differs."""
        return x if x.dtype == torch.int32 else self.view(x, x, lambda samples, _: with_noise(samples, 0.1))
