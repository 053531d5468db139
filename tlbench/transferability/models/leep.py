"""LEEP: the log-likelihood of target labels given the probabilities of the source's classes.

Nguyen, Hassner, Seeger and Archambeau, LEEP: a new measure to evaluate transferability of learned representations, ICML 2020.
https://arxiv.org/abs/2002.12462
"""

from __future__ import annotations

from dataclasses import dataclass

from tlbench.transferability.base import TransferabilityScore
from tlbench.transferability.inputs import Inputs, class_indices
from tlbench.transferability.models._empirical import log_expected_prediction


@dataclass(frozen=True)
class LEEP(TransferabilityScore):
    """mean log sum_z p(z | x) p(y | z), with p(y | z) counted on the same samples."""

    reads = ("source_probabilities", "target_labels")

    def value(self, inputs: Inputs) -> float:
        """At most 0."""
        return log_expected_prediction(inputs.source_probabilities, *class_indices(inputs.target_labels))
