"""Unsupervised transfer: clusters of target samples in features that come from elsewhere, scored against the target's classes.

No label of the source or the target is read before the clusters are fixed; labels score them alone. There are as many clusters
as the target has classes. k-means runs to strict convergence (no sample changes its cluster) or to `MAX_ITERATIONS`.

Lloyd, Least squares quantization in PCM, IEEE Transactions on Information Theory 1982.
https://doi.org/10.1109/TIT.1982.1056489
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from tlbench.errors import TlbenchError
from tlbench.reports.statistics import intervals
from tlbench.reports.statistics.intervals import Estimate
from tlbench.suite.pairs import pair_label
from tlbench.transferability.inputs import Array, Floats
from tlbench.transferability.samples import DomainSamples, Samples, with_backbone

if TYPE_CHECKING:
    from tlbench.suite import Suite

SEEDS = 5
"""Runs of k-means for each pair, with other starts."""
STARTS = 10
"""Starts of a run of k-means, of which the one with the least inertia counts."""
MAX_ITERATIONS = 1000
COMPONENTS = 32
"""The largest number of principal components that samples are clustered in."""
VARIANTS = {
    "target": "scale and principal components of the target itself: no transfer",
    "source": "scale and principal components of the source",
    "both": "scale and principal components of source and target together",
    "source_clusters": "as source, and the clusters are those of the source samples, too",
    "chance": "clusters of target, dealt out to the samples by chance",
}
"""Where the features of the target, and the clusters, come from."""
METRICS = ("nmi", "ari", "accuracy")
"""Normalised mutual information, adjusted Rand index, and accuracy under the best assignment of clusters to classes."""


class ClusterScores(NamedTuple):
    """How well clusters agree with classes; 1 is the best of each."""

    nmi: float
    """Mutual information over the arithmetic mean of the two entropies."""
    ari: float
    """The share of pairs of samples on which both agree, adjusted for chance; 0 on average for clusters by chance."""
    accuracy: float
    """The share of samples in the class of their cluster, under the one-to-one assignment with the largest share."""


@dataclass(frozen=True, eq=False)
class Clustered:
    """Scores of clusters: M lines, `VARIANTS` or backbones, for P pairs or targets and S seeds of k-means."""

    lines: tuple[str, ...]
    pairs: tuple[str, ...]
    domains: tuple[tuple[str, ...], ...]
    """The domains of each pair."""
    values: Mapping[str, Floats]
    """By metric, (M, P, S), in per cent."""
    stopped: int
    """Runs of k-means that `MAX_ITERATIONS` ended before they converged."""
    reference: str | None = None
    """The line that the others are compared with."""

    def means(self, metric: str) -> Estimate:
        """The mean of each line (M,), and its margin over other starts of k-means on these pairs."""
        return intervals.over_pairs(self.values[metric])

    def deltas(self, metric: str) -> tuple[Estimate, Estimate]:
        """The deltas of each line (M,) to the reference: with margins for other starts, and for new domains."""
        base = self.values[metric][self.lines.index(str(self.reference))]
        delta_MPS = self.values[metric] - base
        return intervals.over_pairs(delta_MPS), intervals.new_domains(delta_MPS, self.domains)


def score_clusters(clusters: Any, labels: Any) -> ClusterScores:
    """How well clusters (N,) agree with labels (N,), both integers or names; neither the names nor their order matter.

    Kuhn, The Hungarian method for the assignment problem, 1955, finds the assignment of the accuracy
    (`scipy.optimize.linear_sum_assignment`); clusters beyond the number of classes are assigned to none.

    Raises:
        TlbenchError: there is no sample, or the numbers of samples differ.
    """
    from scipy.optimize import linear_sum_assignment
    from sklearn.metrics import adjusted_rand_score, normalized_mutual_info_score

    clusters, labels = np.asarray(clusters), np.asarray(labels)
    if clusters.ndim != 1 or clusters.shape != labels.shape or not len(labels):
        raise TlbenchError(
            f"Clusters have shape {clusters.shape} and labels {labels.shape}. Pass one of each for every sample."
        )
    cluster_N, class_N = (np.unique(names, return_inverse=True)[1] for names in (clusters, labels))
    counts = np.zeros((cluster_N.max() + 1, class_N.max() + 1), dtype=np.int64)
    np.add.at(counts, (cluster_N, class_N), 1)
    assigned = linear_sum_assignment(counts, maximize=True)
    return ClusterScores(
        float(normalized_mutual_info_score(class_N, cluster_N)),
        float(adjusted_rand_score(class_N, cluster_N)),
        float(counts[assigned].sum() / len(class_N)),
    )


def cluster(variant: str, source: Floats, target: Floats, clusters: int, seed: int = 0) -> tuple[Array, bool]:
    """Clusters (N,) of target samples, and whether k-means converged.

    Args:
        variant: one of `VARIANTS`, which says what source samples (M, D) are read for.
        source: features of source samples.
        target: features (N, D) of target samples.
        clusters: the number of clusters.
        seed: the seed of the starts of k-means.

    Raises:
        TlbenchError: the variant is unknown, or there are fewer samples than clusters.
    """
    return _clusters(variant, *_prepared(variant, source, target), clusters, seed)


def cluster_pairs(suite: Suite, root: Path) -> Clustered:
    """Each variant on each pair of a suite, at most 2,000 samples of a domain.

    Args:
        suite: a suite of classification; a frozen backbone gives the features, else they are the samples as vectors.
        root: the data root.

    Raises:
        TlbenchError: a domain cannot be loaded, or is no classification.
    """
    pairs = list(dict.fromkeys((*sources, target) for sources, target in suite.pairs))
    samples = DomainSamples(suite, sorted({name for pair in pairs for name in pair}), root)
    values, stopped = {metric: np.zeros((len(VARIANTS), len(pairs), SEEDS)) for metric in METRICS}, 0
    for column, (*names, name) in enumerate(pairs):
        sources, target = samples.of_pair(names, name)
        source = np.concatenate([one.features for one in sources])
        for line, variant in enumerate(VARIANTS):
            stopped += _fill(values, (line, column), variant, source, target)
    shown = tuple(pair_label((pair[:-1], pair[-1])) for pair in pairs)
    return Clustered(tuple(VARIANTS), shown, tuple(pairs), values, stopped, "target")


def cluster_backbones(suite: Suite, root: Path, backbones: Mapping[str, Mapping[str, Any]]) -> Clustered:
    """Clusters of each domain of a suite in the features of frozen backbones.

    Args:
        suite: a suite of classification of images, series or texts.
        root: the data root.
        backbones: by name, tables like `[net]` of a suite.

    Raises:
        TlbenchError: a backbone cannot be built, or there is none.
    """
    if not backbones:
        raise TlbenchError("No backbone is given. Name one or more in the file.")
    targets = sorted(suite.domains)
    values, stopped = {metric: np.zeros((len(backbones), len(targets), SEEDS)) for metric in METRICS}, 0
    for line, table in enumerate(backbones.values()):
        samples = DomainSamples(with_backbone(suite, table), targets, root)
        for column, name in enumerate(targets):
            target = samples.of_domain(name)
            stopped += _fill(values, (line, column), "target", target.features, target)
    return Clustered(tuple(backbones), tuple(targets), tuple((name,) for name in targets), values, stopped)


def _fill(values: Mapping[str, Floats], cell: tuple[int, int], variant: str, source: Floats, target: Samples) -> int:
    """Write the scores of a variant, and return how many of its runs did not converge."""
    prepared, stopped = _prepared(variant, source, target.features), 0
    for seed in range(SEEDS):
        clusters, converged = _clusters(variant, *prepared, len(np.unique(target.labels)), seed)
        stopped += not converged
        for metric, value in zip(METRICS, score_clusters(clusters, target.labels), strict=True):
            values[metric][(*cell, seed)] = 100 * value
    return stopped


def _prepared(variant: str, source: Floats, target: Floats) -> tuple[Floats, Floats]:
    """The samples that are grouped, and those of the target, both projected as the variant says."""
    if variant not in VARIANTS:
        raise TlbenchError(f"Unknown variant {variant!r}. Available: {', '.join(VARIANTS)}.")
    fitted_on = {"source": source, "source_clusters": source, "both": np.concatenate([source, target])}.get(variant, target)
    mean_D, deviation_D = fitted_on.mean(axis=0), fitted_on.std(axis=0)
    scale_D = np.where(deviation_D > 0, deviation_D, 1.0)  # a constant column says nothing of these samples
    axes_DK = _principal_axes((fitted_on - mean_D) / scale_D)
    samples_NK = ((target - mean_D) / scale_D) @ axes_DK
    return ((source - mean_D) / scale_D) @ axes_DK if variant == "source_clusters" else samples_NK, samples_NK


def _principal_axes(centered_ND: Floats) -> Floats:
    """The leading principal axes (D, K) of centered samples, K at most `COMPONENTS`, from the smaller Gram matrix."""
    from scipy.linalg import eigh

    by_samples = len(centered_ND) < centered_ND.shape[1]
    gram = centered_ND @ centered_ND.T if by_samples else centered_ND.T @ centered_ND
    values_K, vectors = eigh(gram, subset_by_index=[max(0, len(gram) - COMPONENTS), len(gram) - 1])
    varies = values_K > 1e-10 * max(values_K.max(), 1e-300)  # directions without variance are rounding errors
    if not by_samples:
        return np.asarray(vectors[:, varies])
    return np.asarray(centered_ND.T @ vectors[:, varies] / np.sqrt(values_K[varies]))


def _clusters(variant: str, grouped: Floats, samples: Floats, clusters: int, seed: int) -> tuple[Array, bool]:
    """The clusters of prepared samples, and whether k-means converged."""
    from sklearn.cluster import KMeans
    from sklearn.exceptions import ConvergenceWarning

    if len(grouped) < clusters:
        raise TlbenchError(f"{len(grouped)} samples are too few for {clusters} clusters.")
    means = KMeans(clusters, n_init=STARTS, max_iter=MAX_ITERATIONS, tol=0.0, random_state=seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # fewer distinct samples than clusters leave some empty
        means.fit(grouped)
    assigned_N: Array = means.predict(samples)
    if variant == "chance":
        assigned_N = np.random.default_rng(seed).permutation(assigned_N)
    return assigned_N, bool(means.n_iter_ < MAX_ITERATIONS)
