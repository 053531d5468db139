"""NCE: the negative conditional entropy of target labels given the source class that the model predicts.

Tran, Nguyen and Hassner, Transferability and hardness of supervised classification tasks, ICCV 2019.
https://arxiv.org/abs/1908.08142
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tlbench.transferability.base import TransferabilityScore
from tlbench.transferability.inputs import Inputs, class_indices


@dataclass(frozen=True)
class NCE(TransferabilityScore):
    """-H(Y | Z) in nats, with Z the most probable source class."""

    reads = ("source_probabilities", "target_labels")

    def value(self, inputs: Inputs) -> float:
        """At most 0; a source class that is never predicted adds nothing."""
        from scipy.special import xlogy

        indices, classes = class_indices(inputs.target_labels)
        joint = np.zeros((classes, inputs.source_probabilities.shape[1]))
        np.add.at(joint, (indices, inputs.source_probabilities.argmax(axis=1)), 1 / len(indices))
        mass = joint.sum(axis=0)
        return float(xlogy(joint, joint).sum() - xlogy(mass, mass).sum())
