"""AdaBN: keep every weight, replace the statistics of batch normalisation by the target's.

Li et al., Revisiting batch normalization for practical domain adaptation, 2016. https://arxiv.org/abs/1603.04779
"""

from __future__ import annotations

from torch import Tensor
from torch.nn.modules.batchnorm import _BatchNorm

from tlbench.errors import NotApplicableError
from tlbench.methods.base import DeepMethod, Passes, Phase
from tlbench.terms import Step


class AdaBN(DeepMethod):
    """Source training, then one pass over the target: each statistic is the plain average over its chunks of 512 rows."""

    reads = frozenset({"source", "target"})
    tasks = frozenset({"classification", "regression"})

    def build(self) -> None:
        """Needs a backbone with batch normalisation."""
        self.norms = [module for module in self.net.modules() if isinstance(module, _BatchNorm)]

    def phases(self) -> tuple[Phase, ...]:
        """Source; then a pass without steps."""
        if not self.norms:
            raise NotApplicableError("adabn replaces statistics of batch normalisation, and the backbone has none")
        source, target = frozenset({"source"}), frozenset({"target"})
        return Phase(self.loss, source), Phase(None, frozenset(), 0.0, begin=self.measure, passes=target)

    def loss(self, step: Step) -> Tensor:
        """CE(source)."""
        return self.supervised(step)

    def measure(self, rows: Passes) -> None:
        """All layers at once: each sees the batch statistics of the layers before it."""
        for norm in self.norms:
            norm.reset_running_stats()
            norm.momentum = None  # torch's word for the plain average
        rows.map("target", self._through)

    def _through(self, x: Tensor) -> Tensor:
        for norm in self.norms:
            norm.train()
        features: Tensor = self.net.backbone(x)
        return features
