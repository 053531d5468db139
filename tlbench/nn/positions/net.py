"""A network with an output for each position, in the form in which methods use a network with an output for each sample.

The backbone of a suite gives features (B, P, D). In training, `PositionBackbone` gives those of K drawn positions of each
sample, (B*K, D), and in prediction those of all positions, (B*P, D): to a method a position is a sample.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator

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
        self.counted: Tensor | None = None
        """(B, P) which positions of the samples of a batch count, inside `counted_positions`; None: all of them."""

    @property
    def stages(self) -> nn.ModuleList | list[nn.Module]:  # type: ignore[override]
        """The stages of the inner backbone."""
        return self.inner.stages

    def forward(self, x: Tensor) -> Tensor:
        """Network inputs -> features (B*K, D), or (B*P, D), in float32."""
        if not is_packed(x, self.shape):
            return self._of_samples(self.inner(x))
        samples, positions_BK = unpack(x, self.shape, self.count)
        return selected(self.inner(samples), positions_BK)

    def stage_outputs(self, x: Tensor) -> list[Tensor]:
        """The outputs of every stage; the last are the features as `forward` gives them."""
        if not is_packed(x, self.shape):
            *outputs, last = self.inner.stage_outputs(x)
            return [*outputs, self._of_samples(last)]
        samples, positions_BK = unpack(x, self.shape, self.count)
        *outputs, last = self.inner.stage_outputs(samples)
        return [*outputs, selected(last, positions_BK)]

    def vectors_of(self, x: Tensor) -> int:
        """The number of feature vectors of network inputs: K of each where positions are drawn, else those that count, or P."""
        if is_packed(x, self.shape):
            return len(x) * self.count
        if self.counted is not None and len(x) % len(self.counted) == 0:
            return int(self.counted.sum()) * (len(x) // len(self.counted))
        return len(x) * (self.positions or 1)

    def _of_samples(self, features_BPD: Tensor) -> Tensor:
        """The features (M, D) of those positions that count, or of all (B*P, D); of several views of a batch, one after one."""
        if self.counted is None or len(features_BPD) % len(self.counted):
            return features_BPD.flatten(0, 1)
        return features_BPD[self.counted.repeat(len(features_BPD) // len(self.counted), 1)]


@contextlib.contextmanager
def counted_positions(net: Net, counted_BP: Tensor | None) -> Iterator[None]:
    """Let a network give outputs of those positions alone that count, for whole samples inside the block.

    Args:
        net: the network; one with an output for each sample is left as it is.
        counted_BP: which positions of the B samples of each forward count; None: all of them.
    """
    backbone = net.backbone
    if counted_BP is None or not isinstance(backbone, PositionBackbone):
        yield
        return
    backbone.counted = counted_BP
    try:
        yield
    finally:
        backbone.counted = None


def selected(features_BPD: Tensor, positions_BK: Tensor) -> Tensor:
    """The features (B*K, D) of some positions (B, K) of each sample."""
    index_BKD = positions_BK[:, :, None].expand(-1, -1, features_BPD.shape[2])
    return features_BPD.gather(1, index_BKD).flatten(0, 1)


class PositionNet(Net):
    """Network inputs -> logits (B*K, C) of the drawn positions, or (B*P, C) of all.

    Args:
        backbone: a backbone of positions.
        classes: C.
        source_classes: the number of classes of the source where the target has others; None: C.
    """

    def __init__(self, backbone: PositionBackbone, classes: int, source_classes: int | None = None) -> None:
        super().__init__(backbone, classes, source_classes=source_classes)
        self.positions = backbone.positions or 1

    def features(self, *batches: Tensor) -> tuple[Tensor, ...]:
        """Features of several batches from one forward pass: each (B_i, ...) -> (B_i*K, D), or (B_i*P, D)."""
        backbone = self.backbone
        assert isinstance(backbone, PositionBackbone)
        features_MD: Tensor = backbone(concatenated(*batches))
        return tuple(torch.split(features_MD, [backbone.vectors_of(batch) for batch in batches]))

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
