"""Tables: the same rows in any format, selected, encoded and labelled as declared; and errors in their keys."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from domain_tables import declaration_errors, load_domain, refused_domain
from hypothesis import given
from hypothesis import strategies as st
from reader_files import CSV, ROWS, quick

from tlbench.terms import Labelled

SAME = [
    CSV,
    CSV | {"path": "d.csv.gz"},
    CSV | {"path": "d.tsv", "separator": "\t"},
    CSV | {"path": "bare.csv", "header": False, "names": ["a", "b", "sex", "year", "y"]},
    CSV | {"path": "bare.csv", "header": False, "label": 4},
    {"reader": "parquet", "path": "d.parquet", "label": "y"},
    {"reader": "parquet", "path": "d.feather", "label": "y"},
    {"reader": "parquet", "path": "d.arrow", "label": "y"},
    {"reader": "jsonl", "path": "d.jsonl", "label": "y"},
]


@pytest.mark.parametrize("table", SAME, ids=lambda t: f"{t['path']}-{t['label']}")
def test_the_same_rows_in_any_format_are_the_same_domain(root: Path, table: dict[str, Any]) -> None:
    domain = load_domain(table, root)
    assert domain.samples.x.tolist() == [[r["a"], r["b"], r["year"]] for r in ROWS]
    assert domain.classes == ("no", "yes") and domain.samples.y.tolist() == [0, 1, 1, 0]
    assert domain.samples.group is None
    a, b = ("0", "1") if table["label"] == 4 else ("a", "b")
    assert load_domain(table | {"features": [b, a]}, root).samples.x.tolist() == [[r["b"], r["a"]] for r in ROWS]


@pytest.mark.parametrize(
    ("where", "expected"),
    [
        ({"sex": "F"}, [0, 2]),
        ({"sex": ["F", "M"]}, [0, 1, 2, 3]),
        ({"year": 2002}, [1]),
        ({"year": {"min": 2002, "max": 2003}}, [1, 2]),
        ({"year": {"min": 2003}, "sex": "M"}, [3]),
        ({"sex": {"max": "L"}}, [0, 2]),
    ],
)
@pytest.mark.parametrize("table", SAME[::5], ids=lambda t: t["reader"])
def test_where_selects_rows(root: Path, table: dict[str, Any], where: dict[str, Any], expected: list[int]) -> None:
    assert load_domain(table | {"features": ["a"], "where": where}, root).samples.x[:, 0].tolist() == [
        ROWS[i]["a"] for i in expected
    ]


def test_columns_of_where_and_group_are_no_features(root: Path) -> None:
    domain = load_domain(CSV | {"where": {"year": {"max": 2003}}, "group": "sex"}, root)
    assert domain.samples.x.shape == (3, 2)
    assert domain.samples.group is not None and domain.samples.group.tolist() == [0, 1, 0]
    assert domain.fingerprint != load_domain(CSV | {"where": {"year": {"max": 2003}}, "features": ["a", "b"]}, root).fingerprint
    assert load_domain(CSV | {"group": "sex", "samples": 2}, root).samples.group is not None
    part = domain.samples[torch.tensor([1])]
    assert isinstance(part, Labelled) and part.group is not None and part.group.tolist() == [1]


@given(
    rows=st.lists(
        st.tuples(st.floats(-1e6, 1e6), st.integers(-5, 5), st.sampled_from(["p", "q", "r s"])), min_size=1, max_size=12
    ),
    low=st.integers(-5, 5),
    wanted=st.sets(st.sampled_from(["p", "q", "r s"]), min_size=1),
)
@quick
def test_where_selects_the_rows_that_python_selects(tmp_path: Path, rows: list[Any], low: int, wanted: set[str]) -> None:
    (tmp_path / "d.csv").write_text("a,b,c,y\n" + "".join(f"{a!r},{b},{c},0\n" for a, b, c in rows))
    (tmp_path / "d.jsonl").write_text("".join(json.dumps({"a": a, "b": b, "c": c, "y": 0}) + "\n" for a, b, c in rows))
    expected = [a for a, b, c in rows if b >= low and c in wanted]
    where = {"features": ["a"], "where": {"b": {"min": low}, "c": sorted(wanted)}}
    for table in (CSV, {"reader": "jsonl", "path": "d.jsonl", "label": "y"}):
        if expected:
            assert load_domain(table | where, tmp_path).samples.x.tolist() == torch.tensor(expected).float()[:, None].tolist()
        else:
            assert "where selects none of" in refused_domain(table | where, tmp_path)


def test_several_files_are_one_domain(root: Path) -> None:
    assert len(load_domain(CSV | {"path": ["d.csv", "d.csv.gz"]}, root).samples) == 8
    (root / "other.csv").write_text("a,c,y\n1,2,no\n")
    assert "other.csv: The file has other columns than d.csv: b, c, sex, year" in refused_domain(
        CSV | {"path": ["d.csv", "other.csv"]}, root
    )


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"label": "yy"}, "There is no column 'yy'. Did you mean 'y'?"),
        ({"features": ["aa"]}, "There is no column 'aa'. Did you mean 'a'?"),
        ({"group": "sexx"}, "There is no column 'sexx'. Did you mean 'sex'?"),
        ({"where": {"yer": 1}}, "There is no column 'yer'. Did you mean 'year'?"),
        ({"where": {"sex": "X"}}, "where selects none of 4 rows at sex = 'X'. The values of this column are F, M"),
        ({"where": {"sex": {"min": 3}}}, "column 'sex' holds texts, and the range"),
        ({"where": {"year": "late"}}, "where selects none of 4 rows at year = 'late'. The values of this column are 2001"),
        ({"features": ["a", "sex"]}, "column 'sex' holds texts ('F'). Set encode = 'onehot'"),
        ({"features": ["a", "y"]}, "The label 'y' is among the features"),
        ({"categories": {"sex": ["F"]}}, "column 'sex' holds 'M', which is not among its categories F"),
        ({"path": "none.csv"}, "file 'none.csv' is not there"),
        ({"path": "../d.csv"}, "leaves the data root"),
        ({"header": False, "names": ["a"]}, "not a whole csv file"),
        ({"names": ["a"]}, "Set header = false"),
    ],
)
def test_bad_tables_are_named(root: Path, change: dict[str, Any], message: str) -> None:
    assert message in refused_domain(CSV | change, root)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"where": {"a": {"mim": 1}}}, "The range for 'a' must be { min = ..., max = ... }"),
        ({"where": {"a": {"min": 1, "max": "b"}}}, "The bounds for 'a' must both be numbers or both texts"),
        ({"where": {"a": []}}, "The condition for 'a' must be a value, a list of values"),
        ({"where": {"a": [[1]]}}, "The condition for 'a' must be a value, a list of values"),
        ({"path": []}, "path = [] "),
        ({"encode": "hot"}, "encode: Unknown value 'hot'. Did you mean 'onehot'?"),
        ({"drop_others": True}, "drop_others, unknown and keep need the key classes"),
        ({"drop_others": True, "unknown": True, "classes": ["a"]}, "can't both be set"),
        ({"keep": ["b"], "classes": ["a"]}, "keep names 'b', which is not among the classes"),
    ],
)
def test_errors_in_the_keys_of_tables(change: dict[str, Any], message: str) -> None:
    assert any(message in sentence for sentence in declaration_errors(CSV | change)), declaration_errors(CSV | change)


def test_a_where_on_a_column_of_lists_selects_nothing(tmp_path: Path) -> None:
    (tmp_path / "d.jsonl").write_text('{"x": [1, 2], "y": 0}\n{"x": [3, 4], "y": 1}')
    table = {"reader": "jsonl", "path": "d.jsonl", "label": "y", "features": ["x"], "where": {"x": 1}}
    assert "where selects none of 2 rows at x = 1. The values of this column are [1, 2], [3, 4]" in refused_domain(
        table, tmp_path
    )


def test_dates_are_texts_as_in_a_text_table(tmp_path: Path) -> None:
    import pandas as pd

    days = pd.to_datetime(["2001-01-01", "2002-01-01", None])
    frame = pd.DataFrame({"a": [1.0, 2.0, 3.0], "day": days, "date": [day.date() for day in days], "y": [0, 1, 1]})
    frame.to_parquet(tmp_path / "d.parquet")
    for table in ({"reader": "parquet", "path": "d.parquet", "label": "y"}, HUB_LIKE):
        assert load_domain(table | {"features": ["a"], "where": {"day": "2002-01-01"}}, tmp_path).samples.x.tolist() == [[2]]
        assert load_domain(
            table | {"features": ["a"], "where": {"date": {"max": "2001-12-31"}}}, tmp_path
        ).samples.x.tolist() == [[1]]
        assert "column 'day' holds texts" in refused_domain(table | {"features": ["a", "day"]}, tmp_path)
    assert load_domain({"reader": "parquet", "path": "d.parquet", "label": "y"}, tmp_path).samples.x.shape == (3, 1)


HUB_LIKE = {"reader": "datasets", "path": "d.parquet", "label": "y"}


def test_a_column_of_lists_is_samples_of_any_shape(tmp_path: Path) -> None:
    (tmp_path / "d.jsonl").write_text('{"x": [[1, 2], [3, 4]], "y": 0}\n{"x": [[5, 6], [7, 8]], "y": 1}')
    table = {"reader": "jsonl", "path": "d.jsonl", "label": "y"}
    assert load_domain(table, tmp_path).samples.x.tolist() == [[[1, 2], [3, 4]], [[5, 6], [7, 8]]]


def test_categories_and_imputed_values_are_fitted_on_the_rows_that_fit_names(root: Path) -> None:
    (root / "s.csv").write_text("n,c,y\n1,p,0\n3,q,1\n,p,1\n")
    (root / "t.csv").write_text("n,c,y\n,r,0\n9,q,1\n,,1\n")
    table = CSV | {"encode": "onehot", "impute": "mean"}
    fit = {"fit": {"path": "s.csv"}}
    assert load_domain(table | {"path": "s.csv"}, root).samples.x.tolist() == [[1, 1, 0], [3, 0, 1], [2, 1, 0]]
    assert load_domain(table | {"path": "t.csv"} | fit, root).samples.x.tolist() == [[2, 0, 0], [9, 0, 1], [2, 0, 0]]
    declared = {"categories": {"c": ["", "p", "q", "r"]}, "features": ["c"]}
    assert load_domain(table | {"path": "t.csv"} | declared, root).samples.x.tolist() == [
        [0, 0, 0, 1],
        [0, 0, 1, 0],
        [1, 0, 0, 0],
    ]
    narrow = {"fit": {"path": "s.csv", "where": {"c": "p"}}}
    assert load_domain(table | {"path": "t.csv"} | narrow, root).samples.x.tolist() == [[1, 0], [9, 0], [1, 0]]


def test_labels_are_mapped_and_sets_of_classes_chosen(root: Path) -> None:
    (root / "d.csv").write_text("a,y\n" + "".join(f"{i},{y}\n" for i, y in enumerate("abcdab")))
    assert load_domain(CSV | {"label_map": {"c": "a", "d": "b"}}, root).samples.y.tolist() == [0, 1, 0, 1, 0, 1]
    dropped = load_domain(CSV | {"classes": ["b", "a"], "drop_others": True}, root)
    assert dropped.samples.y.tolist() == [1, 0, 1, 0] and dropped.samples.x[:, 0].tolist() == [0, 1, 4, 5]
    opened = load_domain(CSV | {"classes": ["b", "a"], "unknown": True}, root)
    assert opened.classes == ("b", "a", "unknown") and opened.samples.y.tolist() == [1, 0, 2, 2, 1, 0]
    partial = load_domain(CSV | {"classes": list("abcd"), "keep": ["d", "b"]}, root)
    assert partial.classes == tuple("abcd") and partial.samples.y.tolist() == [1, 3, 1]
    assert "drop_others leaves no samples" in refused_domain(CSV | {"classes": ["z"], "drop_others": True}, root)


@pytest.mark.data
def test_adult_and_gas_drift_are_declarable(data_root: Path) -> None:
    names = "age work weight education years marital job relationship race sex gain loss hours country income"
    adult = {
        "reader": "csv",
        "path": "adult/adult.data.gz",
        "header": False,
        "names": names.split(),
        "label": "income",
        "encode": "onehot",
        "where": {"sex": "Male"},
        "group": "race",
        "fit": {"path": "adult/adult.data.gz", "where": {"sex": "Female"}},
        "label_map": {"<=50K.": "<=50K", ">50K.": ">50K"},
        "test": {"path": "adult/adult.test.gz", "skip": 1},
    }
    domain = load_domain(adult, data_root)
    assert domain.classes == ("<=50K", ">50K") and len(domain.samples) == 21790
    assert domain.test is not None and len(domain.test) == 10860
    assert domain.samples.group is not None and domain.samples.group.max() == 4

    gas = {"reader": "csv", "path": "gas_drift/batch4.dat", "header": False, "label": 0}
    features = [str(i) for i in range(2, 130)]
    domain = load_domain(gas | {"features": features}, data_root)
    assert domain.samples.x.shape == (161, 128) and "Ethanol" in domain.classes
