"""AdaBN: every weight stays, and the statistics of batch normalisation are replaced by the target's.

Li, Wang, Shi, Liu and Hou, Revisiting batch normalization for practical domain adaptation, 2016.
https://arxiv.org/abs/1603.04779
"""

from __future__ import annotations

from torch import Tensor
from torch.nn.modules.batchnorm import _BatchNorm

from tlbench.errors import NotApplicableError
from tlbench.methods.base import DeepMethod, Passes, Phase
from tlbench.nn.batch_statistics import PooledStatistics
from tlbench.terms import Step


class AdaBN(DeepMethod):
    """Source training, then one pass over the target in chunks of 512 samples, whose statistics are pooled by their sizes."""

    version = 2
    reads = frozenset({"source", "target"})
    soft_labels = True
    tasks = frozenset({"classification", "regression"})

    def build(self) -> None:
        """Collect the batch-normalisation layers of the network."""
        self.norms = [module for module in self.net.modules() if isinstance(module, _BatchNorm)]

    def phases(self) -> tuple[Phase, ...]:
        """Source training; then a phase without steps, which passes over the target.

        Raises:
            NotApplicableError: The backbone has no batch normalisation.
        """
        if not self.norms:
            raise NotApplicableError(
                "The backbone has no batch normalisation, whose statistics adabn replaces. Choose a backbone with batch norm."
            )
        source, target = frozenset({"source"}), frozenset({"target"})
        return Phase(self.loss, source), Phase(None, frozenset(), 0.0, begin=self.measure, passes=target)

    def loss(self, step: Step) -> Tensor:
        """CE(source)."""
        return self.supervised(step)

    def measure(self, passes: Passes) -> None:
        """Measure all layers in one pass: each sees the batch statistics of the layers before it.

        Raises:
            NotApplicableError: The target has one sample, which has no batch statistics.
        """
        statistics = [PooledStatistics(norm) for norm in self.norms]
        passes.map("target", self._forward)
        for pooled in statistics:
            pooled.store()

    def _forward(self, x: Tensor) -> Tensor:
        for norm in self.norms:
            norm.train()
        try:
            features: Tensor = self.net.backbone(x)
        except ValueError as error:
            if len(x) > 1:
                raise
            raise NotApplicableError("The target has one sample, and adabn measures a variance. Grant two at least.") from error
        return features
