"""FDA: source images take the low-frequency amplitudes of target images, and with them their style; phases stay.

Yang and Soatto, FDA: Fourier domain adaptation for semantic segmentation, CVPR 2020. https://arxiv.org/abs/2004.05498
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor

from tlbench.methods.base import DeepMethod
from tlbench.nn.entropy import entropy
from tlbench.terms import Step


class FDA(DeepMethod):
    """CE(source in target style) + entropy_weight * mean over target samples of ((H / log C)^2 + 1e-8)^2.

    Each source sample takes the amplitudes of one target sample of the batch. The transform is that of height and width of
    images, of the time of series, and of the columns of vectors, whose order then matters.
    """

    reads = frozenset({"source", "target"})
    soft_labels = True
    band: int = Field(1, ge=0, description="frequencies up to this one are swapped on each axis; 0: the mean alone")
    entropy_weight: float = Field(0.005, ge=0, description="of the entropy on the target")

    def loss(self, step: Step) -> Tensor:
        """Both terms from one forward pass, a scalar."""
        styled = self.net.view(step.source.x, step.target, self.restyle)
        source_BD, target_BD = self.net.features(styled, step.target)
        task = F.cross_entropy(self.net.head(source_BD), step.source.y)
        share_B = entropy(self.net.head(target_BD)) / math.log(max(self.classes, 2))
        return task + self.entropy_weight * (share_B.square() + 1e-8).square().mean()

    def restyle(self, source: Tensor, target: Tensor) -> Tensor:
        """Samples (B, ...) with the low amplitudes of target samples (B', ...), in their order and over again (B, ...)."""
        axes = (-2, -1) if source.ndim == 4 else (-1,)
        if source.ndim == 2:
            self.note("fda took the columns of the vectors for a series.")
        order = torch.arange(len(source), device=source.device) % len(target)
        source_spectrum, target_spectrum = (torch.fft.fftn(x.float(), dim=axes) for x in (source, target[order]))
        frequencies = [torch.fft.fftfreq(n, 1 / n, device=source.device).abs() for n in source.shape[axes[0] :]]
        low = [frequency < self.band + 0.5 for frequency in frequencies]
        is_low = low[0] if len(low) == 1 else low[0][:, None] & low[1]
        swapped = torch.where(is_low, torch.polar(target_spectrum.abs(), source_spectrum.angle()), source_spectrum)
        return torch.fft.ifftn(swapped, dim=axes).real.to(source.dtype)
