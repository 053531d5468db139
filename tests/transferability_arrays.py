"""Arrays of one candidate and one target, for the tests of transferability scores."""

from __future__ import annotations

import numpy as np


def random_arrays() -> dict[str, np.ndarray]:
    """Features that depend on their class, and probabilities of six source classes; numpy fixes the stream of RandomState."""
    rng, labels = np.random.RandomState(0), np.arange(120) % 4
    features = rng.normal(size=(120, 10)) + 0.7 * rng.normal(size=(4, 10))[labels]
    wide = rng.normal(size=(120, 150)) + 0.5 * rng.normal(size=(4, 150))[labels]
    logits = rng.normal(size=(120, 6)) + rng.normal(size=(4, 6))[labels]
    probabilities = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    values = features[:, :2] @ rng.normal(size=(2, 3)) + rng.normal(size=(120, 3))
    return {"labels": labels, "features": features, "wide": wide, "probabilities": probabilities, "values": values}


ARRAYS = random_arrays()
CANDIDATE = {
    "target_features": ARRAYS["features"],
    "target_labels": ARRAYS["labels"],
    "target_values": ARRAYS["values"],
    "source_probabilities": ARRAYS["probabilities"],
    "source_features": ARRAYS["features"][:80] + 0.5,
    "source_labels": ARRAYS["labels"][:80],
    "source_accuracy": 0.9,
    "parameters": 1000,
    "other_accuracies": [0.5, 0.7],
    "seed": 0,
}
"""Every array, by name."""
