"""Targets of a regression: numbers in one column or several, from every reader that has labels; and groups of samples."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pandas as pd
import pytest
import scipy.io
import torch
from domain_tables import load_domain, refused_domain
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tlbench import data
from tlbench.data import preview
from tlbench.data.divergence import measure_divergence
from tlbench.data.labels import classes as labels
from tlbench.errors import TlbenchError
from tlbench.terms import Domain

X = np.arange(24, dtype=np.float64).reshape(12, 2)
MARKS = np.linspace(-3, 3, 12)
HOURS = np.arange(12) * 1.5
quick = settings(deadline=None, max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])


def declared(table: dict[str, Any]) -> data.Declaration:
    declaration, errors = data.declare("d", table, {"task": "regression"})
    assert declaration is not None, errors
    return declaration


def load(table: dict[str, Any], root: Path) -> Domain:
    return load_domain({"task": "regression"} | table, root)


def refused(table: dict[str, Any], root: Path) -> str:
    return refused_domain({"task": "regression"} | table, root)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    frame = pd.DataFrame({"a": X[:, 0], "b": X[:, 1], "mark": MARKS, "hours": HOURS, "school": list("pq") * 6})
    frame.to_csv(tmp_path / "d.csv", index=False)
    frame.to_parquet(tmp_path / "d.parquet")
    frame.to_json(tmp_path / "d.jsonl", orient="records", lines=True)
    arrays_ = {"x": X, "mark": MARKS, "hours": HOURS[:, None], "both": np.stack([MARKS, HOURS], axis=1)}
    np.savez(tmp_path / "d.npz", **arrays_)
    np.save(tmp_path / "x.npy", X)
    np.save(tmp_path / "both.npy", arrays_["both"])
    scipy.io.savemat(tmp_path / "d.mat", arrays_)
    with h5py.File(tmp_path / "d.h5", "w") as file:
        for name, array in arrays_.items():
            file[name] = array
    return tmp_path


TABLE = {"features": ["a", "b"], "label": ["mark", "hours"]}
BOTH = [
    {"reader": "csv", "path": "d.csv"} | TABLE,
    {"reader": "parquet", "path": "d.parquet"} | TABLE,
    {"reader": "jsonl", "path": "d.jsonl"} | TABLE,
    {"reader": "datasets", "path": "d.parquet"} | TABLE,
    *(
        {"reader": r, "path": f"d.{s}", "x": "x", "y": ["mark", "hours"]}
        for r, s in (("npz", "npz"), ("mat", "mat"), ("hdf5", "h5"))
    ),
]


@pytest.mark.parametrize("table", BOTH, ids=lambda t: t["reader"])
def test_several_columns_are_targets_from_every_reader(root: Path, table: dict[str, Any]) -> None:
    domain = load(table, root)
    assert domain.targets == ("mark", "hours") and domain.classes == ()
    assert domain.samples.y.dtype == torch.float32 and domain.samples.y.shape == (12, 2)
    assert torch.equal(domain.samples.y, torch.from_numpy(np.stack([MARKS, HOURS], axis=1)).float())
    key = "y" if "y" in table else "label"
    one = load(table | {key: "hours"}, root)
    assert one.targets == ("hours",) and one.samples.y[:, 0].tolist() == HOURS.tolist()
    assert one.fingerprint != load(table | {key: "mark"}, root).fingerprint


def test_one_array_may_hold_them_all(root: Path) -> None:
    for table in (
        {"reader": "npz", "path": "d.npz", "x": "x", "y": "both"},
        {"reader": "npy", "x": "x.npy", "y": "both.npy"},
        {"reader": "mat", "path": "d.mat", "x": "x", "y": "both"},
    ):
        assert load(table, root).targets == ("target_0", "target_1")


def test_without_the_task_several_columns_are_an_error(root: Path) -> None:
    declaration, _ = data.declare("d", BOTH[0], {})
    assert declaration is not None
    with pytest.raises(TlbenchError, match=r"2 columns of labels are targets of a regression\. Set task = 'regression'"):
        data.load(declaration, root)


@pytest.mark.parametrize(
    ("column", "message"),
    [
        (["x"] * 12, "target 'mark' holds 'x' in sample 0"),
        ([*MARKS[:-1], "late"], "target 'mark' holds 'late' in sample 11"),
        ([*MARKS[:-1], None], "column 'mark' lacks a label in 1 of 12 rows"),
        ([*MARKS[:-1], np.inf], "1 targets are missing or not finite in single precision, first 'mark' in sample 11"),
        ([*MARKS[:-1], 1e300], "1 targets are missing or not finite"),
    ],
)
def test_targets_are_finite_numbers(tmp_path: Path, column: list[Any], message: str) -> None:
    pd.DataFrame({"a": X[:, 0], "mark": column}).to_csv(tmp_path / "d.csv", index=False)
    assert message in refused({"reader": "csv", "path": "d.csv", "label": "mark"}, tmp_path)
    with pytest.raises(TlbenchError, match=r"y holds complex128; the targets of a regression must be numbers"):
        labels.target_array(np.ones(3) * 1j)
    with pytest.raises(TlbenchError, match="one number per sample"):
        labels.target_array(np.ones((3, 2, 2)))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"classes": [0, 1]}, "The key 'classes' is for class labels, and with task = 'regression' labels are numbers"),
        ({"label_map": {"a": "b"}}, "The key 'label_map' is for class labels"),
        ({"shifts": [{"kind": "label_shift", "alpha": 1.0}]}, "shifts[0] (label_shift): This shift is for class labels"),
        (
            {"shifts": ["inversion", {"kind": "concept_shift", "share": 0.1}]},
            "shifts[1] (concept_shift): This shift is for",
        ),
        ({"task": "ranking"}, "task: Unknown value 'ranking'. Available: classification, regression"),
        ({"label": []}, "label = [] "),
    ],
)
def test_errors_in_the_table_of_a_regression(change: dict[str, Any], message: str) -> None:
    _, errors = data.declare("d", BOTH[0] | {"task": "regression"} | change, {})
    assert any(message in sentence for sentence in errors), errors


@given(
    shifts=st.lists(
        st.sampled_from(
            [
                {"kind": "part", "index": 1, "of": 2},
                {"kind": "covariate_shift", "strength": 1.0, "share": 0.7},
                {"kind": "covariate_shift", "strength": 1.0, "share": 1.0},
                {"kind": "biased_sample", "gamma": 0.01},
                {"kind": "missing", "share": 0.0},
            ]
        ),
        max_size=3,
    ),
    limit=st.integers(6, 12),
    regression=st.booleans(),
)
@quick
def test_labels_targets_and_groups_stay_with_their_samples(root: Path, shifts: list[Any], limit: int, regression: bool) -> None:
    """Whatever selects samples, each keeps its own label, targets and group."""
    table = {"reader": "csv", "path": "d.csv", "features": ["a", "b"], "group": "school", "samples": limit, "shifts": shifts}
    label = {"task": "regression", "label": ["mark", "hours"]} if regression else {"label": "hours"}
    declaration, errors = data.declare("d", table | label, {})
    assert declaration is not None, errors
    try:
        domain = data.load(declaration, root)
    except TlbenchError as error:
        assert "leaves none of" in str(error)
        return
    index = (domain.samples.x[:, 0] / 2).long()
    assert len(set(index.tolist())) == len(index) <= limit and domain.groups == ("p", "q")
    assert domain.samples.group is not None and torch.equal(domain.samples.group, index % 2)
    if regression:
        assert torch.allclose(domain.samples.y[:, 1], index * 1.5)
    else:
        assert [float(domain.classes[y]) for y in domain.samples.y.tolist()] == (index * 1.5).tolist()


def test_a_regression_is_shown_and_compared(root: Path, tmp_path: Path) -> None:
    domain = load(BOTH[0], root)
    text = preview.summary_text(declared(BOTH[0]), domain)
    assert "targets      2: mark 0 ± 1.883 (-3 to 3), hours 8.25 ± 5.178 (0 to 16.5)" in text
    assert measure_divergence([domain], domain).label_shift is None
    for shape in (None, [1, 2, 1], [2, 1]):
        table = BOTH[0] if shape is None else BOTH[0] | {"shape": shape}
        preview.contact_sheet([load(table, root)] * 2, tmp_path / "sheet.png")
        assert (tmp_path / "sheet.png").stat().st_size > 2000


def test_cells_of_matlab_are_tasks(tmp_path: Path) -> None:
    x, y = np.empty((1, 3), dtype=object), np.empty((1, 3), dtype=object)
    for task, count in enumerate((2, 3, 1)):
        x[0, task], y[0, task] = np.full((count, 2), task), np.full((count, 1), 10.0 * task)
    scipy.io.savemat(tmp_path / "d.mat", {"x": x, "y": y, "plain": np.ones((2, 2)), "odd": x[:, :1]})
    table = {"reader": "mat", "path": "d.mat", "x": "x", "y": "y", "cells": [3, 1]}
    domain = load(table, tmp_path)
    assert domain.samples.x[:, 0].tolist() == [2, 0, 0] and domain.samples.y[:, 0].tolist() == [20, 0, 0]
    assert domain.groups == ("1", "3") and domain.samples.group is not None and domain.samples.group.tolist() == [1, 0, 0]
    assert "'y' has 3 cells, and cells names 4" in refused(table | {"cells": [4], "x": "y"}, tmp_path)
    assert "'odd' has 1 cells, and cells names 2" in refused(table | {"cells": [2], "x": "odd"}, tmp_path)
    assert "'plain' is no cell array, but numbers (2, 2)" in refused(table | {"x": "plain"}, tmp_path)
    bare = {key: value for key, value in table.items() if key != "cells"}
    assert "'x' is a cell array of 3" in refused(bare, tmp_path)
