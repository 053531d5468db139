"""Files of published data sets: 1-NN accuracies as published, shapes and classes as declared."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from domain_tables import load_domain

from tlbench.terms import Domain


def nearest_neighbour_accuracy(source: Domain, target: Domain) -> float:
    """1-NN accuracy in per cent."""
    nearest_indices = torch.cdist(target.samples.x.double(), source.samples.x.double()).argmin(1)
    return 100 * float((source.samples.y[nearest_indices] == target.samples.y).double().mean())


@pytest.mark.data
def test_office_caltech_surf_gives_the_published_figures(data_root: Path) -> None:
    table = {"reader": "mat", "x": "fts", "y": "labels", "prepare": ["row_sum", "zscore"]}
    names = {"C": "Caltech10", "A": "amazon", "W": "webcam", "D": "dslr"}
    domains = {k: load_domain(table | {"path": f"office_caltech10/surf/{n}_SURF_L10.mat"}, data_root) for k, n in names.items()}
    published = {
        "C": {"A": 23.70, "W": 25.76, "D": 25.48},
        "A": {"C": 26.00, "W": 29.83, "D": 25.48},
        "W": {"C": 19.86, "A": 22.96, "D": 59.24},
        "D": {"C": 26.27, "A": 28.50, "W": 63.39},
    }
    for source, accuracies in published.items():
        measured = {target: nearest_neighbour_accuracy(domains[source], domains[target]) for target in accuracies}
        assert measured == pytest.approx(accuracies, abs=0.01), source


@pytest.mark.data
@pytest.mark.parametrize(("file", "figure"), [("USPS_vs_MNIST", 44.70), ("MNIST_vs_USPS", 65.94)])
def test_digits_of_the_jda_paper_give_the_published_figures(data_root: Path, file: str, figure: float) -> None:
    table = {"reader": "mat", "path": f"digits_jda/{file}.mat", "columns": True, "prepare": ["l2"]}
    source, target = (load_domain(table | {"x": f"X_{side}", "y": f"Y_{side}"}, data_root) for side in ("src", "tar"))
    assert nearest_neighbour_accuracy(source, target) == pytest.approx(figure, abs=0.01)


@pytest.mark.data
def test_mnist_usps_and_amazon_load_as_declared(data_root: Path) -> None:
    folder = "mnist/{}-{}-ubyte.gz"
    test = {"images": folder.format("t10k", "images-idx3"), "labels": folder.format("t10k", "labels-idx1")}
    train = {"images": folder.format("train", "images-idx3"), "labels": folder.format("train", "labels-idx1")}
    mnist = load_domain({"reader": "idx", "test": test, **train}, data_root)
    assert mnist.samples.x.shape == (60000, 1, 28, 28) and mnist.samples.x.dtype == torch.uint8
    assert mnist.test is not None and len(mnist.test) == 10000 and mnist.samples.y[:5].tolist() == [5, 0, 4, 1, 9]

    table: Any = {"reader": "npz", "path": "usps/usps.npz", "x": "x_train", "y": "y_train", "shape": [1, 16, 16]}
    usps = load_domain(table | {"prepare": ["to_uint8", {"kind": "resize", "size": 28}]}, data_root)
    assert usps.samples.x.shape == (7291, 1, 28, 28) and usps.samples.x.dtype == torch.uint8
    assert usps.classes == mnist.classes

    path = "amazon_reviews/bow5000/books_train.svmlight.gz"
    books = load_domain({"reader": "svmlight", "path": path, "features": 5000}, data_root)
    assert books.samples.x.shape == (2000, 5000) and books.classes == ("-1", "1")
