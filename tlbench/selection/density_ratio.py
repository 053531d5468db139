"""Density ratios of target to source at held-out source samples."""

from __future__ import annotations

import numpy as np

from tlbench.errors import TlbenchError
from tlbench.selection.facts import Array


def classifier_ratio(source: Array, evaluated: Array, target: Array, regularization: float) -> Array:
    """Density ratios p_target / p_source at held-out source samples, by a logistic regression that tells the domains.

    The objective is that of scikit-learn, C = 1 / `regularization`, minimised by Newton's method until the largest entry of the
    gradient is at most 1e-8; scikit-learn warns (ConvergenceWarning) where 1,000 iterations do not reach that.

    Args:
        source: (k, D), features of source samples that the classifier learns from.
        evaluated: (n, D), features at which the ratio is wanted.
        target: (m, D), features of target samples that the classifier learns from.
        regularization: weight of half the squared norm of the coefficients.

    Returns:
        (n,), k / m times the odds of "target", whose logarithms are clipped to [-300, 300].
    """
    from sklearn.linear_model import LogisticRegression

    if not regularization > 0:
        raise TlbenchError(f"Option regularization is {regularization}. It is greater than 0.")
    domains = np.r_[np.zeros(len(source)), np.ones(len(target))]
    classifier = LogisticRegression(C=1 / regularization, solver="newton-cholesky", tol=1e-8, max_iter=1000)
    classifier.fit(np.concatenate((source, target)), domains)
    return len(source) / len(target) * np.exp(np.clip(classifier.decision_function(evaluated), -300.0, 300.0))


def kernel_log_ratio(source: Array, target: Array, bandwidth: float) -> Array:
    """Logarithms of p_target / p_source at the source samples, both densities by Gaussian kernels of one bandwidth.

    The source density at a sample includes the kernel of this sample.
    """
    from sklearn.neighbors import KernelDensity

    if not bandwidth > 0:
        raise TlbenchError(f"Option bandwidth is {bandwidth}. It is greater than 0.")
    target_density, source_density = (KernelDensity(bandwidth=bandwidth).fit(samples) for samples in (target, source))
    return target_density.score_samples(source) - source_density.score_samples(source)


def controlled_mean(weights: Array, losses: Array) -> float:
    """The mean of w l with w as a control variate of known mean 1: mean(w l) + eta (mean(w) - 1), eta = -cov(w l, w) / var(w).

    Where all weights are equal, or there is one sample, eta is 0.
    """
    weighted = weights * losses
    if len(weights) < 2 or np.ptp(weights) == 0:
        return float(weighted.mean())
    covariance = np.cov(weighted, weights)
    eta = -covariance[0, 1] / covariance[1, 1]
    return float(weighted.mean() + eta * (weights.mean() - 1))
