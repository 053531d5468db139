"""Labels: one name in any Unicode form, many classes in linear time, and targets that keep their differences."""

from __future__ import annotations

import time
import unicodedata
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from domain_tables import declaration_errors, load_domain, refused_domain

from tlbench.data.labels import classes as labels
from tlbench.errors import TlbenchError

CSV = {"reader": "csv", "path": "d.csv", "label": "y", "features": ["x"]}
COMPOSED, DECOMPOSED = (unicodedata.normalize(form, "café") for form in ("NFC", "NFD"))


def write_labels(root: Path, names: list[str]) -> None:
    (root / "d.csv").write_text("x,y\n" + "".join(f"{i},{name}\n" for i, name in enumerate(names)), encoding="utf-8")


def test_the_unicode_forms_of_a_name_are_one_class(tmp_path: Path) -> None:
    write_labels(tmp_path, [COMPOSED, DECOMPOSED, "tea"])
    assert load_domain(CSV, tmp_path).classes == (COMPOSED, "tea")
    for form in (COMPOSED, DECOMPOSED):
        domain = load_domain(CSV | {"classes": ["tea", form], "keep": [DECOMPOSED]}, tmp_path)
        assert domain.classes == ("tea", COMPOSED) and domain.samples.y.tolist() == [1, 1]
        assert load_domain(CSV | {"label_map": {form: "tea"}}, tmp_path).classes == ("tea",)
        assert load_domain(CSV | {"group": "y"}, tmp_path).groups == (COMPOSED, "tea")
    assert any("is there twice" in text for text in declaration_errors(CSV | {"classes": [COMPOSED, DECOMPOSED]}))


def test_an_id_column_as_label_takes_linear_time(tmp_path: Path) -> None:
    count = 60_000
    write_labels(tmp_path, [f"id{i}" for i in range(count)])
    start = time.perf_counter()
    domain = load_domain(CSV | {"label_map": {"id0": "id1"}}, tmp_path)
    assert len(domain.classes) == count - 1
    names = [f"id{i}" for i in range(count)]
    assert len(load_domain(CSV | {"classes": names[::-1]}, tmp_path).classes) == count
    assert "and 59,980 more" in refused_domain(CSV | {"classes": [*names, "z"]}, tmp_path)
    assert "drop_others" in refused_domain(CSV | {"classes": names[1:]}, tmp_path)
    assert time.perf_counter() - start < 30  # it took minutes


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"classes": ["a", "b", "c"]},
            "No sample has the class 'c'. The labels are a, b. A domain that lacks a class on purpose",
        ),
        ({"classes": ["a"]}, "Label 'b' (1 samples) is not among the 1 classes"),
    ],
)
def test_the_way_out_of_other_classes_is_named(tmp_path: Path, change: dict[str, Any], message: str) -> None:
    write_labels(tmp_path, ["a", "b"])
    text = refused_domain(CSV | change, tmp_path)
    assert message in text
    assert all(key in text for key in (("keep", "label_map") if "c" in change["classes"] else ("drop_others", "unknown")))


@pytest.mark.parametrize(
    "y",
    [
        1_700_000_000 + np.arange(40),  # seconds
        20_240_101 + np.arange(28),  # dates
        1e12 + np.linspace(0, 1, 9),
        np.array([2**53, 2**53 + 1]),
        [str(1_700_000_000 + i) for i in range(40)],
    ],
)
def test_targets_that_single_precision_merges_are_refused(y: Any) -> None:
    with pytest.raises(TlbenchError, match=r"can't tell the targets 'target' apart: .* Subtract a constant in the file"):
        labels.target_array(np.asarray(y))


@pytest.mark.parametrize(
    "y",
    [
        np.arange(40),
        np.array([3, 1, 2], dtype=np.uint8),
        1e9 * np.arange(40),
        np.linspace(0, 1, 10**5),
        np.full(9, 1e9 + 1),
        [0.1, 0.2],
    ],
)
def test_targets_that_keep_their_differences_are_taken(y: Any) -> None:
    targets, _ = labels.target_array(np.asarray(y))
    np.testing.assert_allclose(targets[:, 0], y, rtol=1e-6)
