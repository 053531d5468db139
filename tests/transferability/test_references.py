"""Each score is held to numbers of its authors, or of TLLib, on the same arrays.

They were computed once, in double precision:
- LogME at 56551ca94a32 (https://github.com/thuml/LogME) and TLLib at c4aa59eb5656
  (https://github.com/thuml/Transfer-Learning-Library), with numba's decorator left out;
- SFDA at 3b7edf76bd68 (https://github.com/TencentARC/SFDA), whose power iteration is exact to 1e-8 on `stretched`;
- GBC of google-research at 1d4d2f1aa6f2 (stable_transfer/transferability/gbc.py), its TensorFlow functions replaced by those of
  NumPy of the same names; NLEEP by TLLib's LEEP of scikit-learn's mixture, as stable_transfer/transferability/nleep.py does.
"""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.spatial.distance import cdist
from transferability_arrays import ARRAYS, CANDIDATE

from tlbench import transferability
from tlbench.errors import TlbenchError

STRETCHED = 0.3 * ARRAYS["features"] * np.where(np.arange(10) == 0, 2, 1)
AS_TLLIB = {"tolerance": 0.01, "guard": 0.0, "max_iterations": 11}
CASES = [
    ("logme", {}, "features", -0.5287777591117312),  # LogME
    ("logme", {"regression": True}, "features", -1.5333294429585262),  # LogME
    ("logme", AS_TLLIB, "features", -0.5287778073599454),  # TLLib
    ("logme", AS_TLLIB | {"regression": True}, "features", -1.5333296323598269),  # TLLib
    ("leep", {}, "features", -1.0604334286205153),  # TLLib and LogME
    ("nce", {}, "features", -0.9304064522983845),  # TLLib and LogME
    ("h_score", {}, "features", 1.2860215071045646),  # TLLib
    ("h_score", {}, "wide", 2.999999999999991),  # TLLib
    ("h_score_shrunk", {}, "features", 0.973089763854827),  # TLLib
    ("h_score_shrunk", {}, "wide", 2.647092534259734),  # TLLib
    ("transrate", {}, "features", 1.0264149540793213),  # TLLib
    ("transrate", {}, "wide", 365.1772288505368),  # TLLib
    ("gbc", {"covariance": "diagonal"}, "features", -4.205342604065226),  # google-research
    ("sfda", {"shrinkage": 0.1}, "features", 0.44876526316708265),  # SFDA
    ("sfda", {}, "stretched", 0.44277396229028315),  # SFDA
    ("nleep", {"components": 2, "variance": 1.0, "random_state": 123}, "features", -0.9306830907002428),  # see above
]


@pytest.mark.parametrize(("name", "options", "features", "reference"), CASES)
@pytest.mark.parametrize("kind", [np.asarray, torch.as_tensor])
def test_a_score_gives_the_number_of_the_reference(name, options, features, reference, kind):
    arrays = CANDIDATE | {"target_features": STRETCHED if features == "stretched" else ARRAYS[features]}
    value = transferability.score(name, options=options, **{key: kind(array) for key, array in arrays.items()})
    assert value == pytest.approx(reference, rel=1e-6)


def test_logme_of_more_features_than_samples_is_that_of_tllib_and_the_truncated_one_is_that_of_logme():
    arrays = CANDIDATE | {"target_features": ARRAYS["wide"]}
    with pytest.warns(UserWarning, match="did not reach its tolerance in 11 iterations"):
        value = transferability.score("logme", options=AS_TLLIB, **arrays)
    assert value == pytest.approx(0.037747519652918005, rel=1e-6)  # TLLib
    with pytest.warns(UserWarning, match="did not reach its tolerance in 11 iterations"):
        value = transferability.score("logme", options={"determinant": "truncated", "max_iterations": 11}, **arrays)
    assert value == pytest.approx(1.0150279234609871, rel=1e-6)  # LogME
    # the evidence of a column of labels by the density of its Gaussian is at most the number: the fixed point is the maximum
    features, column = ARRAYS["wide"], (ARRAYS["labels"] == 0).astype(float)
    exact = transferability.score(
        "logme", options={"regression": True, "tolerance": 1e-9}, target_features=features, target_values=column[:, None]
    )
    from scipy.stats import multivariate_normal

    evidence = max(
        multivariate_normal(cov=np.eye(120) / beta + features @ features.T / alpha).logpdf(column) / 120
        for alpha in np.geomspace(100, 3000, 40)
        for beta in np.geomspace(5, 500, 40)
    )
    assert exact == pytest.approx(evidence, abs=2e-3) and exact > evidence - 1e-4


def test_the_spherical_gbc_counts_the_logarithm_of_every_dimension():
    features, labels = ARRAYS["features"], ARRAYS["labels"]
    variances = [features[labels == c].var(axis=0).mean() for c in range(4)]
    means = [features[labels == c].mean(axis=0) for c in range(4)]
    overlaps = []
    for c in range(4):
        for other in range(4):
            mixed = (variances[c] + variances[other]) / 2
            distance = np.square(means[c] - means[other]).sum() / mixed / 8
            distance += 5 * np.log(mixed / np.sqrt(variances[c] * variances[other]))
            overlaps.append((c != other) * np.exp(-distance))
    # google-research gives -4.8316918491591165, for it counts the logarithm once
    assert transferability.score("gbc", **CANDIDATE) == pytest.approx(-sum(overlaps), rel=1e-9)


def test_knn_is_a_vote_of_the_nearest():
    features, labels = ARRAYS["features"], ARRAYS["labels"]
    distances = cdist(features, features)
    np.fill_diagonal(distances, np.inf)
    nearest = labels[distances.argmin(axis=1)]
    value = transferability.score("knn", options={"neighbors": 1, "distance": "euclidean"}, **CANDIDATE)
    assert value == (nearest == labels).mean()
    # of two neighbours of different classes the nearer one decides
    assert transferability.score("knn", options={"neighbors": 2, "distance": "euclidean"}, **CANDIDATE) == value


@pytest.mark.parametrize(("name", "doubled"), [("a_distance", 1), ("mmd", 1), ("coral", 1), ("frechet", 1), ("otdd", 2)])
def test_a_distance_of_two_domains_is_zero_for_equal_ones_and_known_for_a_shift(name, doubled):
    pytest.importorskip("ot")
    features, labels, moved = ARRAYS["features"], ARRAYS["labels"], np.eye(10)[0] * 3
    options = {"components": False, "random_state": 1}
    same = {"source_features": features, "source_labels": labels, "target_features": features, "target_labels": labels}
    apart = same | {"source_features": features + moved}
    equal, shifted = (transferability.score(name, options=options, **arrays) for arrays in (same, apart))
    if name in ("frechet", "otdd"):  # a shift by v costs |v|^2 for the means, and as much for those of the classes
        assert equal == pytest.approx(0, abs=1e-6) and shifted == pytest.approx(-9 * doubled, abs=1e-6)
    elif name == "coral":  # covariances do not see a shift
        assert equal == pytest.approx(0, abs=1e-12) and shifted == pytest.approx(0, abs=1e-12)
    else:
        assert shifted < min(equal, 0) - 0.2


def test_the_a_distance_is_balanced():
    rng = np.random.RandomState(1)
    value = transferability.score(
        "a_distance", source_features=rng.normal(size=(800, 5)), target_features=rng.normal(size=(200, 5))
    )
    assert -0.3 < value <= 0


def test_otdd_without_pot_says_how_to_install_it(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "ot", None)
    with pytest.raises(TlbenchError, match=r"pip install tlbench\[ot\]"):
        transferability.score("otdd", **CANDIDATE)
