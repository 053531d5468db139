"""The log-likelihood of labels under a classifier that knows them by the source's classes alone."""

from __future__ import annotations

import numpy as np

from tlbench.transferability.inputs import Array, Floats


def log_expected_prediction(probabilities: Floats, indices: Array, classes: int) -> float:
    """mean log sum_z p(z | x) p(y | z), with p(y | z) from the same samples; a z without mass adds nothing.

    Args:
        probabilities: p(z | x) of each sample (m, Z).
        indices: the classes y of the samples (m,).
        classes: their number C.
    """
    joint = np.zeros((classes, probabilities.shape[1]))
    np.add.at(joint, indices, probabilities)
    mass = joint.sum(axis=0)
    conditional = joint / np.where(mass > 0, mass, 1.0)
    return float(np.log((probabilities * conditional[indices]).sum(axis=1)).mean())
