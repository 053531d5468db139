"""What uLSIF and RuLSIF share: centres, the grids of width and ridge, and the fit at the best of them."""

from __future__ import annotations

from pydantic import Field
from torch import Tensor

from tlbench.methods.reweighting import ReweightingMethod
from tlbench.solvers import sampling
from tlbench.solvers.kernels import gaussian, nystrom
from tlbench.solvers.reweighting import least_squares_ratio
from tlbench.terms import Labelled, Task

FOLDS = 5


class LeastSquaresRatio(ReweightingMethod):
    """w(x) = sum_l theta_l k(x, c_l), centres c_l from the target, theta = max(0, (H + ridge I)^-1 h).

    Width and ridge are those of the least score on left-out samples, over the median rule's gamma times 4^-2 to 4^2 and over
    10^-3 to 10.
    """

    centres: int = Field(100, ge=1, description="b, number of target samples that are kernel centres")
    gamma: float | None = Field(None, gt=0, description="kernel exp(-gamma d^2); by default cross-validated")
    ridge: float | None = Field(None, ge=0, description="lambda; by default cross-validated")

    def target_share(self) -> float:
        """The share of the target in the denominator."""
        return 0.0

    def scores(self, phi_source_NB: Tensor, phi_target_MB: Tensor, ridges: list[float]) -> list[float]:
        """The score of each ridge on left-out samples; the samples are in a random order (`sampling.content_order`)."""
        raise NotImplementedError

    def weights(self, source: Labelled, target_MD: Tensor, task: Task) -> Tensor:
        """The fit at the width and the ridge that are set or chosen."""
        centers_BD = sampling.random_subset(target_MD, self.centres)
        source_order, target_order = sampling.content_order(source.x), sampling.content_order(target_MD)
        shuffled = source.x[source_order], target_MD[target_order]
        gamma, ridge = self._choose(*shuffled, centers_BD, nystrom.pooled_median_gamma(source.x, target_MD))
        phi_source, phi_target = gaussian.gram(source.x, centers_BD, gamma), gaussian.gram(target_MD, centers_BD, gamma)
        second_moment, mean = least_squares_ratio.moments(phi_source, phi_target, self.target_share())
        return phi_source @ least_squares_ratio.ratio_coefficients(second_moment, mean, ridge)

    def _choose(self, source_ND: Tensor, target_MD: Tensor, centers_BD: Tensor, median_gamma: float) -> tuple[float, float]:
        """Gamma and ridge, set or chosen."""
        gammas = [self.gamma] if self.gamma else [median_gamma * 4.0**k for k in range(-2, 3)]
        ridges = [self.ridge] if self.ridge is not None else [10.0**k for k in (-3, -2, -1, 0, 1)]
        if len(gammas) * len(ridges) == 1:
            return gammas[0], ridges[0]
        if min(len(source_ND), len(target_MD)) < FOLDS:
            self.note(
                f"The width is the median rule's and the ridge 0.1 where not set: a domain has fewer than {FOLDS} samples."
            )
            return self.gamma or median_gamma, 0.1 if self.ridge is None else self.ridge
        scores: dict[tuple[float, float], float] = {}
        for gamma in gammas:
            phi_source, phi_target = gaussian.gram(source_ND, centers_BD, gamma), gaussian.gram(target_MD, centers_BD, gamma)
            scores |= {(gamma, r): s for r, s in zip(ridges, self.scores(phi_source, phi_target, ridges), strict=True)}
        return min(scores, key=scores.__getitem__)
