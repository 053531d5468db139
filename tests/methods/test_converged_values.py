"""Accuracies of shallow methods on shipped suites at the optimum of their solvers."""

from __future__ import annotations

import pytest

import tlbench

LOGISTIC = {
    ("rotated_digits", "upright:turned_s15"): 72.37,
    ("rotated_digits", "upright:turned_s45"): 17.51,
    ("rotated_digits", "upright:turned_s60"): 12.06,
}
"""Those of scikit-learn's LogisticRegression at tol = 1e-12 on the same arrays, in per cent."""


def accuracy(tmp_path, suite: str, pair: str, entry: str, **arguments) -> float:
    """Target accuracy in per cent; the record has no note on the solver."""
    frame = tlbench.run(suite, results=tmp_path, device="cpu", methods=[entry], pairs=[pair], seeds=[0], **arguments)
    assert frame["status"].tolist() == ["done"]
    assert not [record for record in tmp_path.rglob("*.jsonl") if "stopped after" in record.read_text(encoding="utf-8")]
    return round(100 * float(frame["target_accuracy"].iloc[0]), 2)


@pytest.mark.parametrize(("suite", "pair"), LOGISTIC)
def test_the_logistic_regression_of_scikit_learns_digits(suite, pair, tmp_path, monkeypatch):
    monkeypatch.setenv("TLBENCH_CACHE", "off")
    assert accuracy(tmp_path, suite, pair, "logistic") == LOGISTIC[suite, pair]


@pytest.mark.data
@pytest.mark.parametrize("entry", ["logistic", "coral_logistic"])
def test_the_logistic_regression_of_the_digits_of_the_jda_paper(entry, data_root, tmp_path, monkeypatch):
    if not (data_root / "digits_jda" / "MNIST_vs_USPS.mat").is_file():
        pytest.skip(f"no digits_jda/MNIST_vs_USPS.mat in {data_root}")
    monkeypatch.setenv("TLBENCH_CACHE", "off")
    assert accuracy(tmp_path, "digits_jda", "mnist:usps", entry, data=data_root) == 51.89
