"""Published figures, reproduced through the suite file and `tlbench.run`; they need the data root (marker `data`)."""

from __future__ import annotations

import numpy as np
import pytest

import tlbench
from tlbench import published

pytestmark = pytest.mark.data

NEAREST = {
    "caltech:amazon": 23.70,
    "caltech:webcam": 25.76,
    "caltech:dslr": 25.48,
    "amazon:caltech": 26.00,
    "amazon:webcam": 29.83,
    "amazon:dslr": 25.48,
    "webcam:caltech": 19.86,
    "webcam:amazon": 22.96,
    "webcam:dslr": 59.24,
    "dslr:caltech": 26.27,
    "dslr:amazon": 28.50,
    "dslr:webcam": 63.39,
}
"""1-NN on Office-Caltech10, SURF, in per cent, as published with two decimals."""

CORAL_SVM = {"webcam:caltech": 33.75, "webcam:dslr": 86.62, "dslr:amazon": 37.68, "dslr:webcam": 84.75}
"""CORAL and a linear SVM at C = 1, the same suite: the four quickest of the twelve pairs."""


@pytest.fixture
def office(data_root, monkeypatch):
    folder = data_root / "office_caltech10" / "surf"
    if missing := [n for n in ("Caltech10", "amazon", "webcam", "dslr") if not (folder / f"{n}_SURF_L10.mat").is_file()]:
        pytest.skip(f"no {missing[0]}_SURF_L10.mat in {folder}")
    monkeypatch.setenv("TLBENCH_CACHE", "off")
    return data_root


def accuracies(root, results, entry: str, pairs=()) -> dict[str, float]:
    """Target accuracy in per cent by pair, one seed (both entries are deterministic)."""
    frame = tlbench.run(
        "office_caltech10_surf", results=results, data=root, device="cpu", methods=[entry], pairs=pairs, seeds=[0]
    )
    assert (frame["status"] == "done").all(), frame["reason"].tolist()
    return dict(zip(frame["pair"], 100 * frame["target_accuracy"], strict=True))


def test_the_twelve_figures_of_the_nearest_neighbour(office, tmp_path):
    """To 0.01 points: the rounding of the published figures."""
    reproduced = accuracies(office, tmp_path, "nearest_neighbor")
    assert set(reproduced) == set(NEAREST)
    assert {pair: abs(reproduced[pair] - figure) < 0.0101 for pair, figure in NEAREST.items()} == dict.fromkeys(NEAREST, True)


def test_coral_with_a_linear_svm_beside_the_published_figures(office, tmp_path):
    """The entry `coral_svm` is near the published table, cell by cell, and not equal to it.

    Ours minus published, in points: C>A -3.97, C>W +0.68, C>D +1.91, A>C -1.25, A>W -5.09, A>D -1.91, W>C +1.78,
    W>A +0.10, W>D -1.27, D>C -0.54, D>A -0.10, D>W +0.67; means 46.63 and 47.38. So 1.8 points hold for the four pairs
    tried here and 5.1 for all twelve. The next test says where the difference is from.
    """
    reproduced = accuracies(office, tmp_path, "coral_svm", list(CORAL_SVM))
    for pair, figure in CORAL_SVM.items():
        assert abs(reproduced[pair] - figure) < 1.8, pair


def test_the_published_figures_are_those_of_a_similarity(office):
    """The published CORAL + SVM gives libsvm the similarity x A x' as its kernel, as the code of CORAL's authors does.

    The paper describes another procedure: source samples times A, then a linear SVM, as `coral_map` does. In plain
    numpy, with A = (C_s + I)^(-1/2) (C_t + I)^(1/2), the kernel gives the published figures to 0.01 points, and samples times
    A those of our entry.
    """
    from scipy.io import loadmat
    from sklearn.svm import SVC

    def load(name: str) -> tuple[np.ndarray, np.ndarray]:
        archive = loadmat(office / "office_caltech10" / "surf" / f"{name}_SURF_L10.mat")
        x = archive["fts"] / archive["fts"].sum(axis=1, keepdims=True)
        with np.errstate(invalid="ignore"):
            x = (x - x.mean(axis=0)) / x.std(axis=0, ddof=1)
        return np.nan_to_num(x), archive["labels"].ravel()

    def power(matrix: np.ndarray, exponent: float) -> np.ndarray:
        values, vectors = np.linalg.eigh(matrix)
        return (vectors * values**exponent) @ vectors.T

    domains = {name: load(name) for name in ("webcam", "dslr")}
    ours = {"dslr:webcam": 85.42, "webcam:dslr": 85.35}
    for pair, rounded in ours.items():
        (x, y), (target, labels) = (domains[name] for name in pair.split(":"))
        between = power(np.cov(x.T) + np.eye(800), -0.5) @ power(np.cov(target.T) + np.eye(800), 0.5)
        kernel = SVC(kernel="precomputed").fit(x @ between @ x.T, y).predict(target @ between.T @ x.T)
        assert 100 * (kernel == labels).mean() == pytest.approx(CORAL_SVM[pair], abs=0.0101)
        mapped = SVC(kernel="linear").fit(x @ between, y).predict(target)
        assert 100 * (mapped == labels).mean() == pytest.approx(rounded, abs=0.0101)


# the published tables, cell by cell, through `tlbench reproduce`


SECONDS_EACH = [pytest.param(name, marks=pytest.mark.slow) for name in ("TCA", "JDA", "EasyTL", "CORAL + linear SVM, C = 1")]
"""Rows of the table that take seconds each; the methods of the others are as many kinds."""


@pytest.mark.parametrize("name", ["1-NN", "PCA", "GFK", "EasyTL(c)", *SECONDS_EACH])
def test_every_cell_of_the_office_table(office, tmp_path, name):
    table = published.load_table("office_caltech10_surf")
    cells = published.run_table(table, results=tmp_path, data=office, device="cpu", rows=[name])
    assert len(cells) == 12
    assert [cell for cell in cells if not cell.within_tolerance] == []


def test_every_cell_of_the_digits_table(data_root, tmp_path, monkeypatch):
    if not (data_root / "digits_jda" / "MNIST_vs_USPS.mat").is_file():
        pytest.skip(f"no MNIST_vs_USPS.mat in {data_root / 'digits_jda'}")
    monkeypatch.setenv("TLBENCH_CACHE", "off")
    cells = published.run_table(published.load_table("mnist_usps_subset"), results=tmp_path, data=data_root, device="cpu")
    assert len(cells) == 8
    assert [cell for cell in cells if not cell.within_tolerance] == []
