"""RuLSIF: least squares for the relative density ratio, which is bounded where the plain one is not.

Yamada, Suzuki, Kanamori, Hachiya and Sugiyama, Relative density-ratio estimation for robust distribution comparison, NIPS 2011.
https://arxiv.org/abs/1106.4729
"""

from __future__ import annotations

from pydantic import Field
from torch import Tensor

from tlbench.methods.reweighting._least_squares import FOLDS, LeastSquaresRatio
from tlbench.solvers.reweighting import least_squares_ratio


class RULSIF(LeastSquaresRatio):
    """uLSIF of p_t / (alpha p_t + (1 - alpha) p_s), which is at most 1 / alpha: flatter than the importance weight, and biased.

    Width and ridge are chosen by 5 folds of both domains.
    """

    alpha: float = Field(0.1, ge=0, lt=1, description="share of the target in the denominator; 0 is uLSIF")

    def target_share(self) -> float:
        """The option alpha."""
        return self.alpha

    def scores(self, phi_source_NB: Tensor, phi_target_MB: Tensor, ridges: list[float]) -> list[float]:
        """Cross-validation over 5 folds."""
        return least_squares_ratio.cross_validation_scores(phi_source_NB, phi_target_MB, ridges, self.alpha, FOLDS)
