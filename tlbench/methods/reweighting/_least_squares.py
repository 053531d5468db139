"""What uLSIF and RuLSIF share: centres, the grids of width and ridge, and the fit at the best of them."""

from __future__ import annotations

from pydantic import Field
from torch import Tensor

from tlbench.methods.reweighting import ReweightingMethod
from tlbench.solvers import density_ratios, kernels, nystrom
from tlbench.terms import Labelled, Task


class LeastSquaresRatio(ReweightingMethod):
    """w(x) = sum_l theta_l k(x, c_l), centres c_l from the target, theta = max(0, (H + ridge I)^-1 h).

    Width and ridge are those of the least score on rows left out, over the median rule's gamma times 4^-2 to 4^2 and over
    10^-3 to 10.
    """

    centres: int = Field(100, ge=1, description="b, how many target rows carry a kernel")
    gamma: float | None = Field(None, gt=0, description="kernel exp(-gamma d^2); by default chosen on rows left out")
    ridge: float | None = Field(None, ge=0, description="lambda; by default chosen on rows left out")

    def target_share(self) -> float:
        """Of the target in the denominator."""
        return 0.0

    def scores(self, phi_source_NB: Tensor, phi_target_MB: Tensor, ridges: list[float]) -> list[float]:
        """The score of each ridge; rows stand in an order that follows what they hold, so the first of them are any."""
        raise NotImplementedError

    def weights(self, source: Labelled, target_MD: Tensor, task: Task) -> Tensor:
        """Fit at the width and ridge that are given or chosen."""
        centres = nystrom.random_landmarks(target_MD, self.centres)
        one, two = source.x[nystrom.content_order(source.x)], target_MD[nystrom.content_order(target_MD)]
        middle = nystrom.median_gamma(source.x, target_MD)
        gammas = [self.gamma] if self.gamma else [middle * 4.0**k for k in range(-2, 3)]
        ridges = [self.ridge] if self.ridge is not None else [10.0**k for k in (-3, -2, -1, 0, 1)]
        chosen = (gammas[0], ridges[0])
        if len(gammas) * len(ridges) > 1:
            if min(len(one), len(two)) < density_ratios.FOLDS:
                self.note(f"fewer than {density_ratios.FOLDS} rows to leave out some: median rule, ridge 0.1 where not given")
                chosen = (self.gamma or middle, 0.1 if self.ridge is None else self.ridge)
            else:
                tried: dict[tuple[float, float], float] = {}
                for gamma in gammas:
                    near, far = kernels.gram(one, centres, gamma), kernels.gram(two, centres, gamma)
                    tried |= {(gamma, r): s for r, s in zip(ridges, self.scores(near, far, ridges), strict=True)}
                chosen = min(tried, key=tried.__getitem__)
        near, far = kernels.gram(source.x, centres, chosen[0]), kernels.gram(target_MD, centres, chosen[0])
        return near @ density_ratios.ulsif(*density_ratios.moments(near, far, self.target_share()), chosen[1])
