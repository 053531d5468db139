"""Gradual unfreezing (ULMFiT): the stages start to learn one by one from the top, each at a lower rate than the one above.

Howard and Ruder, Universal language model fine-tuning for text classification, ACL 2018. https://arxiv.org/abs/1801.06146
"""

from __future__ import annotations

import functools

from pydantic import Field

from tlbench.methods.base import Group, Phase
from tlbench.methods.source_then_target import SourceThenTarget


class GradualUnfreezing(SourceThenTarget):
    """Fine-tuning with gradual unfreezing, discriminative rates, and a slanted triangular schedule over the second phase.

    The authors unfreeze one stage per epoch; here the last one is open after the share `opening` of the phase. The schedule
    multiplies the suite's own.
    """

    opening: float = Field(0.5, ge=0, le=1, description="share of the second phase after which all stages learn")
    decay: float = Field(2.6, gt=0, description="the rate of a stage is that of the one above, divided by it")
    cut: float = Field(0.1, gt=0, lt=1, description="share of the second phase in which the rate rises")
    ratio: float = Field(32.0, ge=1, description="the highest rate divided by the lowest")

    def phases(self) -> tuple[Phase, ...]:
        """The source; then the head and the stages, each from its start on."""
        from_top = [self.net.head, *reversed(self.net.backbone.stages)]
        groups = []
        for depth, module in enumerate(from_top):
            start = self.opening * depth / (len(from_top) - 1)
            scale = functools.partial(slanted_rate, start=start, highest=self.decay**-depth, cut=self.cut, ratio=self.ratio)
            groups.append(Group((module,), scale))
        return self.source_phase(), self.target_phase(tuple(groups))


def slanted_rate(progress: float, start: float, highest: float, cut: float, ratio: float) -> float:
    """The slanted triangular rate at a progress in [0, 1], and 0 before `start`.

    Args:
        progress: the progress of the phase.
        start: the progress from which the stage learns.
        highest: the highest rate, at the progress `cut`.
        cut: the share of the phase in which the rate rises.
        ratio: the highest rate divided by the lowest.
    """
    height = progress / cut if progress < cut else 1 - (progress - cut) / (1 - cut)
    return highest * (1 + height * (ratio - 1)) / ratio * (progress >= start)
