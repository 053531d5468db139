"""Equal weights: the sum of the losses.

Caruana, Multitask learning, Machine Learning 1997. https://doi.org/10.1023/A:1007379606734
"""

from __future__ import annotations

from torch import Tensor

from tlbench.balancers.base import LossBalancer


class Equal(LossBalancer):
    """The baseline of all balancers: sum_i L_i."""

    def loss(self, losses_K: Tensor, present_K: Tensor) -> Tensor:
        """The sum."""
        return losses_K.sum()
