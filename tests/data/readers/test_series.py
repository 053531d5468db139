"""Time series in either layout."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from domain_tables import declaration_errors, load_domain, refused_domain

SERIES = {"reader": "series", "path": "d.npz", "x": "x_1", "y": "y_1", "layout": "channel_time"}


def test_series_of_either_layout(tmp_path: Path) -> None:
    x = np.random.default_rng(0).normal(size=(4, 3, 8))
    turned = x.transpose(0, 2, 1)
    np.savez(tmp_path / "d.npz", x_1=x, y_1=[0, 1, 0, 1], x_2=turned, y_2=[[1], [0], [0], [1]], flat=x[0], short=x[:, :, :5])
    first = load_domain(SERIES, tmp_path)
    assert first.samples.x.shape == (4, 3, 8) and first.samples.x.dtype == torch.float32
    second = load_domain(SERIES | {"x": "x_2", "y": "y_2", "layout": "time_channel"}, tmp_path)
    assert torch.equal(first.samples.x, second.samples.x)
    assert len(load_domain(SERIES | {"x": ["x_1", "x_1"], "y": ["y_1", "y_2"]}, tmp_path).samples) == 8
    for change, message in (
        ({"x": "flat"}, "Windows must be numbers with a time and a channel axis"),
        ({"x": ["x_1", "short"], "y": ["y_1", "y_1"]}, "The windows of 'short' are (3, 5), those of 'x_1' (3, 8)"),
        ({"x": ["x_1", "x_1"]}, "x names 2 keys and y 1"),
        ({"x": "x_3"}, "There is no array 'x_3'. Did you mean"),
        ({"labels_of_keys": [1, 2]}, "labels_of_keys has 2 labels and x 1 keys"),
    ):
        assert message in refused_domain(SERIES | change, tmp_path)
    assert any(
        "layout: Unknown value 'channel'." in sentence for sentence in declaration_errors(SERIES | {"layout": "channel"})
    )


def test_labels_of_keys_are_a_second_task(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    arrays = {f"x_{name}": rng.normal(size=(count, 3, 8)) for name, count in (("a", 4), ("b", 2))}
    np.savez(tmp_path / "data.npz", **arrays, y_a=[0, 1, 0, 1], y_b=[1, 0])
    table = {"reader": "series", "path": "data.npz", "layout": "channel_time", "x": ["x_a", "x_b"], "y": ["y_a", "y_b"]}
    tasks = {"activity": "classification", "subject": "classification"}
    domain = load_domain(table | {"labels_of_keys": [7, 2], "task": "multi_task", "tasks": tasks}, tmp_path)
    assert [(task.name, task.classes) for task in domain.tasks] == [("activity", ("0", "1")), ("subject", ("2", "7"))]
    assert domain.samples.y.tolist() == [[0, 1], [1, 1], [0, 1], [1, 1], [1, 0], [0, 0]]


@pytest.mark.data
def test_ucihar_and_wisdm_are_declarable(data_root: Path) -> None:
    ucihar = load_domain(
        SERIES | {"path": "ucihar/ucihar_adatime_subjects_f32.npz", "x": "x_train_2", "y": "y_train_2"}, data_root
    )
    assert ucihar.samples.x.shape[1:] == (9, 128) and len(ucihar.classes) == 6
    table = {"path": "wisdm/wisdm_36subjects_f32.npz", "layout": "time_channel", "x": "x_train_2", "y": "y_train_2"}
    assert load_domain(SERIES | table, data_root).samples.x.shape[1:] == (3, 128)
