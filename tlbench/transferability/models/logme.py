"""LogME: the log maximum evidence of a Bayesian linear model of the labels, per sample, averaged over classes.

You, Liu, Wang and Long, LogME: practical assessment of pre-trained models for transfer learning, ICML 2021.
https://arxiv.org/abs/2102.11005
You, Liu, Zhang, Wang, Jordan and Long, Ranking and tuning pre-trained models, JMLR 2022. https://arxiv.org/abs/2110.10545

With more features than samples the code of the later paper leaves (D - N) log(alpha) out of the log-determinant: an option.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import numpy as np

from tlbench.errors import TlbenchError
from tlbench.transferability.base import TransferabilityScore
from tlbench.transferability.inputs import Floats, Inputs, class_indices


@dataclass(frozen=True)
class LogME(TransferabilityScore):
    """The evidence at the fixed point of prior precision alpha and noise precision beta."""

    reads = ("target_features", "target_labels")
    regression: bool = False
    """Read `target_values` in the place of labels."""
    tolerance: float = 1e-3
    """The relative change of alpha / beta at which the fixed point is reached."""
    max_iterations: int = 1000
    """The authors stop after 11, where the fixed point may be far; a warning says so."""
    guard: float = 1e-5
    """Added to the squared weights and residuals, which may be 0."""
    determinant: str = "full"
    """`truncated` counts singular values alone in the log-determinant, as the authors' later code does."""

    def required(self) -> tuple[str, ...]:
        """Labels, or numbers for regression."""
        return ("target_features", "target_values") if self.regression else self.reads

    def value(self, inputs: Inputs) -> float:
        """The mean over classes, or over columns."""
        self.require(self.tolerance > 0, "tolerance", "above 0")
        self.require(self.max_iterations > 0, "max_iterations", "1 or more")
        self.require(self.guard >= 0, "guard", "0 or more")
        self.require(self.determinant in ("full", "truncated"), "determinant", "full or truncated")
        features = inputs.target_features
        u, singular, _ = np.linalg.svd(features, full_matrices=False)
        rank = int((singular > singular[0] * max(features.shape) * np.finfo(float).eps).sum())
        if not rank:
            raise TlbenchError(
                "All target_features are 0, so LogME has nothing to explain labels by. Leave this candidate out."
            )
        if self.regression:
            columns = inputs.target_values
        else:
            indices, classes = class_indices(inputs.target_labels)
            columns = np.eye(classes)[indices]
        return float(np.mean([self._evidence(u[:, :rank].T @ y, y, singular[:rank] ** 2, features.shape) for y in columns.T]))

    def _evidence(self, projected: Floats, y: Floats, squared: Floats, shape: tuple[int, int]) -> float:
        """The evidence of one column y (N,) from its projections on the singular vectors, per sample."""
        samples, features = shape
        outside = max(float(y @ y - projected @ projected), 0.0)
        alpha = beta = 1.0
        for _ in range(self.max_iterations):
            ratio = alpha / beta
            effective = (squared / (squared + ratio)).sum()
            weights2 = np.square(np.sqrt(squared) * projected / (ratio + squared)).sum()
            residual2 = np.square(projected * ratio / (ratio + squared)).sum() + outside
            if not (weights2 + self.guard) * (residual2 + self.guard) > 0:
                raise TlbenchError("A linear model fits these labels exactly, and guard is 0. Set guard above 0.")
            alpha, beta = effective / (weights2 + self.guard), (samples - effective) / (residual2 + self.guard)
            if beta <= 0:
                raise TlbenchError("There are as many effective weights as samples. Pass more samples than features.")
            if abs(alpha / beta - ratio) <= self.tolerance * ratio:
                break
        else:
            warnings.warn(f"LogME did not reach its tolerance in {self.max_iterations} iterations.", UserWarning, stacklevel=2)
        free = len(squared) if self.determinant == "truncated" else features
        log_determinant = np.log(alpha + beta * squared).sum() + (free - len(squared)) * np.log(alpha)
        fit = features * np.log(alpha) + samples * np.log(beta / (2 * np.pi)) - log_determinant
        return float((fit - beta * residual2 - alpha * weights2) / (2 * samples))
