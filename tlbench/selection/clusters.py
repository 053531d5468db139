"""Clusters of target features that start from the means of the predicted classes."""

from __future__ import annotations

import warnings

import numpy as np

from tlbench.errors import TlbenchError
from tlbench.selection.facts import Array


def class_clusters(logits: Array, features: Array) -> tuple[Array, Array]:
    """The predicted class and the cluster of each sample, by Lloyd's k-means of C clusters.

    Cluster c starts at the mean of the samples predicted as c, or at zero where there are none. Iterations end when no
    assignment changes, or at the 300th.

    Raises:
        TlbenchError: there are fewer samples than classes.
    """
    from sklearn.cluster import KMeans
    from sklearn.exceptions import ConvergenceWarning

    samples, classes = logits.shape
    if samples < classes:
        raise TlbenchError(f"There are {samples} target samples for {classes} clusters. Pass as many as classes, or more.")
    predicted = logits.argmax(1)
    centers = np.zeros((classes, features.shape[1]))
    for index in np.unique(predicted):
        centers[index] = features[predicted == index].mean(0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # fewer distinct samples than clusters: some stay empty
        clusters = KMeans(classes, init=centers, n_init=1, tol=0.0).fit(features).labels_
    return predicted, clusters
