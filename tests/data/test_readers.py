"""Readers: each format with files made here, each bad input, and the real data where they are."""

from __future__ import annotations

import contextlib
import gzip
import io
import json
import struct
import sys
import tarfile
from importlib import metadata
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import torch
from domain_tables import declaration_errors as mistakes
from domain_tables import load_domain as load
from domain_tables import refused_domain as refused
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from tlbench import data
from tlbench.data.decoding import files, images
from tlbench.errors import TlbenchError
from tlbench.terms import Labelled

CSV = {"reader": "csv", "path": "d.csv", "label": "y"}
quick = settings(deadline=None, max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])

ROWS = [
    {"a": 1.0, "b": 2, "sex": "F", "year": 2001, "y": "no"},
    {"a": 2.5, "b": 3, "sex": "M", "year": 2002, "y": "yes"},
    {"a": 3.0, "b": 5, "sex": "F", "year": 2003, "y": "yes"},
    {"a": 4.0, "b": 7, "sex": "M", "year": 2004, "y": "no"},
]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    import pandas as pd
    import pyarrow as pa
    from pyarrow import feather, ipc

    frame = pd.DataFrame(ROWS)
    frame.to_csv(tmp_path / "d.csv", index=False)
    frame.to_csv(tmp_path / "d.tsv", index=False, sep="\t")
    frame.to_csv(tmp_path / "bare.csv", index=False, header=False)
    (tmp_path / "d.csv.gz").write_bytes(gzip.compress((tmp_path / "d.csv").read_bytes()))
    (tmp_path / "d.jsonl").write_text("\n".join(map(json.dumps, ROWS)) + "\n")
    frame.to_parquet(tmp_path / "d.parquet")
    table = pa.Table.from_pandas(frame)
    feather.write_feather(table, str(tmp_path / "d.feather"))
    with ipc.new_stream(str(tmp_path / "d.arrow"), table.schema) as writer:
        writer.write_table(table)
    return tmp_path


# --- tables ---

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
    domain = load(table, root)
    assert domain.samples.x.tolist() == [[r["a"], r["b"], r["year"]] for r in ROWS]
    assert domain.classes == ("no", "yes") and domain.samples.y.tolist() == [0, 1, 1, 0]
    assert domain.samples.group is None
    a, b = ("0", "1") if table["label"] == 4 else ("a", "b")
    assert load(table | {"features": [b, a]}, root).samples.x.tolist() == [[r["b"], r["a"]] for r in ROWS]


@pytest.mark.parametrize(
    ("where", "kept"),
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
def test_where_selects_rows(root: Path, table: dict[str, Any], where: dict[str, Any], kept: list[int]) -> None:
    assert load(table | {"features": ["a"], "where": where}, root).samples.x[:, 0].tolist() == [ROWS[i]["a"] for i in kept]


def test_columns_of_where_and_group_are_no_features(root: Path) -> None:
    domain = load(CSV | {"where": {"year": {"max": 2003}}, "group": "sex"}, root)
    assert domain.samples.x.shape == (3, 2)
    assert domain.samples.group is not None and domain.samples.group.tolist() == [0, 1, 0]
    assert domain.fingerprint != load(CSV | {"where": {"year": {"max": 2003}}, "features": ["a", "b"]}, root).fingerprint
    assert load(CSV | {"group": "sex", "samples": 2}, root).samples.group is not None
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
def test_where_keeps_the_rows_that_python_keeps(tmp_path: Path, rows: list[Any], low: int, wanted: set[str]) -> None:
    (tmp_path / "d.csv").write_text("a,b,c,y\n" + "".join(f"{a!r},{b},{c},0\n" for a, b, c in rows))
    (tmp_path / "d.jsonl").write_text("".join(json.dumps({"a": a, "b": b, "c": c, "y": 0}) + "\n" for a, b, c in rows))
    kept = [a for a, b, c in rows if b >= low and c in wanted]
    where = {"features": ["a"], "where": {"b": {"min": low}, "c": sorted(wanted)}}
    for table in (CSV, {"reader": "jsonl", "path": "d.jsonl", "label": "y"}):
        if kept:
            assert load(table | where, tmp_path).samples.x.tolist() == torch.tensor(kept).float()[:, None].tolist()
        else:
            assert "where selects none of" in refused(table | where, tmp_path)


def test_several_files_are_one_domain(root: Path) -> None:
    assert len(load(CSV | {"path": ["d.csv", "d.csv.gz"]}, root).samples) == 8
    (root / "other.csv").write_text("a,c,y\n1,2,no\n")
    assert "other.csv: The file has other columns than d.csv: b, c, sex, year" in refused(CSV | {"path": ["d.csv", "other.csv"]}, root)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"label": "yy"}, "There is no column 'yy'. Did you mean 'y'?"),
        ({"features": ["aa"]}, "There is no column 'aa'. Did you mean 'a'?"),
        ({"group": "sexx"}, "There is no column 'sexx'. Did you mean 'sex'?"),
        ({"where": {"yer": 1}}, "There is no column 'yer'. Did you mean 'year'?"),
        ({"where": {"sex": "X"}}, "where selects none of 4 rows at sex = 'X'. The values of this column are F, M"),
        ({"where": {"sex": {"min": 3}}}, "column 'sex' holds texts, and the range"),
        ({"where": {"year": "late"}}, "column 'year' holds numbers, not 'late'"),
        ({"features": ["a", "sex"]}, "column 'sex' holds texts ('F'). Set encode = 'onehot'"),
        ({"features": ["a", "y"]}, "The label 'y' is among the features"),
        ({"categories": {"sex": ["F"]}}, "column 'sex' holds 'M', which is not among its categories F"),
        ({"path": "none.csv"}, "file 'none.csv' is not there"),
        ({"path": "../d.csv"}, "leaves the data root"),
        ({"header": False, "names": ["a"]}, "not a whole csv file"),
        ({"names": ["a"]}, "set header = false"),
    ],
)
def test_bad_tables_are_named(root: Path, change: dict[str, Any], said: str) -> None:
    assert said in refused(CSV | change, root)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"where": {"a": {"mim": 1}}}, "for 'a' a range is { min = ..., max = ... }"),
        ({"where": {"a": {"min": 1, "max": "b"}}}, "min and max must both be numbers or both texts"),
        ({"where": {"a": []}}, "for 'a' must be a value, a list of values"),
        ({"where": {"a": [[1]]}}, "for 'a' must be a value, a list of values"),
        ({"path": []}, "path = [] "),
        ({"encode": "hot"}, "encode = 'hot' should be 'onehot'"),
        ({"drop_others": True}, "drop_others, unknown and keep need the key classes"),
        ({"drop_others": True, "unknown": True, "classes": ["a"]}, "can't both be set"),
        ({"keep": ["b"], "classes": ["a"]}, "keep names 'b', which is not among the classes"),
    ],
)
def test_mistakes_in_the_keys_of_tables(change: dict[str, Any], said: str) -> None:
    assert any(said in sentence for sentence in mistakes(CSV | change)), mistakes(CSV | change)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a,y\n1,0\n2\n", "column 'y' lacks a label in 1 of 2 rows"),
        ("a,y\n1,0\n2,1,3\n", "not a whole csv file"),
        ("a,y\n1,0,7\n2,1,3\n", "not a whole csv file"),
        ("a,y\n", "holds no row"),
        ("", "not a whole csv file"),
        ("a,a,y\n1,2,3\n", "column 'a' is there twice"),
        ("a,y\n1,\n2,1\n", "column 'y' lacks a label in 1 of 2 rows"),
        ("a,y\n?,0\n2,1\n", "1 numbers are missing, first in column 'a'. Set impute = 'median'"),
        ("a,y\ninf,0\n2,1\n", "1 features are NaN or infinite"),
        ("a,y\n" + "1,0\n" * 20 + "x1,1\n", "column 'a' holds numbers, and 'x1' in row 20"),
        ("b,y\nx,0\nz,1\n", "no column of numbers beside 'y'"),
        ("a;y\n1;0\n2;1\n", "one column, 'a;y'; set separator = \";\""),
        ("a\ty\n1\t0\n2\t1\n", 'set separator = "\\t"'),
        ("a,y\n" + "9" * 400 + ",0\n1,1\n", "column 'a' holds a number that is too large"),
    ],
)
def test_bad_contents_of_csv(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "d.csv").write_text(text)
    assert said in refused(CSV, tmp_path)


def test_another_encoding_is_named(tmp_path: Path) -> None:
    (tmp_path / "d.csv").write_bytes("a,y\n1,caf\xe9\n2,tea\n".encode("latin-1"))
    assert "set encoding, as in encoding = 'latin-1'" in refused(CSV, tmp_path)
    assert load(CSV | {"encoding": "latin-1"}, tmp_path).classes == ("café", "tea")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[1]\n", "line 1 is not an object"),
        ('{"a": 1, "y": 0}\n\n{"a"', "line 3 is not JSON"),
        ("[" * 100_000, "line 1 is not JSON"),
        ('{"x": [1, 2], "y": 0}\n{"x": [1], "y": 1}', "column 'x' holds lists of mixed shapes"),
        ('{"a": 1, "y": 0}\n{"a": NaN, "y": 1}', "1 numbers are missing"),
        ('{"a": 1' + "0" * 400 + ', "y": 0}\n{"a": 2, "y": 1}', "column 'a' holds a number that is too large"),
        ('{"x": null, "y": 0}\n{"x": [1], "y": 1}', "column 'x' holds lists of mixed shapes"),
    ],
)
def test_bad_json_lines(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "d.jsonl").write_text(text)
    assert said in refused({"reader": "jsonl", "path": "d.jsonl", "label": "y"}, tmp_path)


def test_a_where_on_a_column_of_lists_selects_nothing(tmp_path: Path) -> None:
    (tmp_path / "d.jsonl").write_text('{"x": [1, 2], "y": 0}\n{"x": [3, 4], "y": 1}')
    table = {"reader": "jsonl", "path": "d.jsonl", "label": "y", "features": ["x"], "where": {"x": 1}}
    assert "where selects none of 2 rows at x = 1. The values of this column are [1, 2], [3, 4]" in refused(table, tmp_path)


def test_dates_are_texts_as_in_a_text_table(tmp_path: Path) -> None:
    import pandas as pd

    days = pd.to_datetime(["2001-01-01", "2002-01-01", None])
    frame = pd.DataFrame({"a": [1.0, 2.0, 3.0], "day": days, "date": [day.date() for day in days], "y": [0, 1, 1]})
    frame.to_parquet(tmp_path / "d.parquet")
    for table in ({"reader": "parquet", "path": "d.parquet", "label": "y"}, HUB_LIKE):
        assert load(table | {"features": ["a"], "where": {"day": "2002-01-01"}}, tmp_path).samples.x.tolist() == [[2]]
        assert load(table | {"features": ["a"], "where": {"date": {"max": "2001-12-31"}}}, tmp_path).samples.x.tolist() == [[1]]
        assert "column 'day' holds texts" in refused(table | {"features": ["a", "day"]}, tmp_path)
    assert load({"reader": "parquet", "path": "d.parquet", "label": "y"}, tmp_path).samples.x.shape == (3, 1)


HUB_LIKE = {"reader": "datasets", "path": "d.parquet", "label": "y"}


def test_a_column_of_lists_is_rows_of_any_shape(tmp_path: Path) -> None:
    (tmp_path / "d.jsonl").write_text('{"x": [[1, 2], [3, 4]], "y": 0}\n{"x": [[5, 6], [7, 8]], "y": 1}')
    table = {"reader": "jsonl", "path": "d.jsonl", "label": "y"}
    assert load(table, tmp_path).samples.x.tolist() == [[[1, 2], [3, 4]], [[5, 6], [7, 8]]]


def test_categories_and_fillings_come_from_the_rows_that_fit_names(root: Path) -> None:
    (root / "s.csv").write_text("n,c,y\n1,p,0\n3,q,1\n,p,1\n")
    (root / "t.csv").write_text("n,c,y\n,r,0\n9,q,1\n,,1\n")
    table = CSV | {"encode": "onehot", "impute": "mean"}
    fit = {"fit": {"path": "s.csv"}}
    assert load(table | {"path": "s.csv"}, root).samples.x.tolist() == [[1, 1, 0], [3, 0, 1], [2, 1, 0]]
    assert load(table | {"path": "t.csv"} | fit, root).samples.x.tolist() == [[2, 0, 0], [9, 0, 1], [2, 0, 0]]
    declared = {"categories": {"c": ["", "p", "q", "r"]}, "features": ["c"]}
    assert load(table | {"path": "t.csv"} | declared, root).samples.x.tolist() == [[0, 0, 0, 1], [0, 0, 1, 0], [1, 0, 0, 0]]
    narrow = {"fit": {"path": "s.csv", "where": {"c": "p"}}}
    assert load(table | {"path": "t.csv"} | narrow, root).samples.x.tolist() == [[1, 0], [9, 0], [1, 0]]


def test_labels_are_mapped_and_sets_of_classes_chosen(root: Path) -> None:
    (root / "d.csv").write_text("a,y\n" + "".join(f"{i},{y}\n" for i, y in enumerate("abcdab")))
    assert load(CSV | {"label_map": {"c": "a", "d": "b"}}, root).samples.y.tolist() == [0, 1, 0, 1, 0, 1]
    dropped = load(CSV | {"classes": ["b", "a"], "drop_others": True}, root)
    assert dropped.samples.y.tolist() == [1, 0, 1, 0] and dropped.samples.x[:, 0].tolist() == [0, 1, 4, 5]
    opened = load(CSV | {"classes": ["b", "a"], "unknown": True}, root)
    assert opened.classes == ("b", "a", "unknown") and opened.samples.y.tolist() == [1, 0, 2, 2, 1, 0]
    partial = load(CSV | {"classes": list("abcd"), "keep": ["d", "b"]}, root)
    assert partial.classes == tuple("abcd") and partial.samples.y.tolist() == [1, 3, 1]
    assert "drop_others leaves no samples" in refused(CSV | {"classes": ["z"], "drop_others": True}, root)


@pytest.mark.parametrize("file", ["d.csv.gz", "d.parquet", "d.feather", "d.arrow"])
@given(share=st.floats(0, 1, exclude_max=True))
@quick
def test_a_packed_table_cut_anywhere_is_a_clear_error(root: Path, file: str, share: float) -> None:
    whole = (root / file).read_bytes()
    cut = whole[: int(share * len(whole))]
    if file == "d.arrow" and len(cut) >= len(whole) - 8:
        return  # the mark of the end of a stream may be left out
    (root / "cut").write_bytes(cut)
    reader = "csv" if file == "d.csv.gz" else "parquet"
    assert "cut" in refused({"reader": reader, "path": "cut", "label": "y"}, root)


@pytest.mark.parametrize("file", ["d.parquet", "d.feather", "d.arrow"])
@given(place=st.integers(0, 10_000), flip=st.integers(1, 255))
@quick
def test_a_damaged_byte_of_a_table_gives_rows_or_a_clear_error(root: Path, file: str, place: int, flip: int) -> None:
    whole = bytearray((root / file).read_bytes())
    whole[place % len(whole)] ^= flip
    (root / "damaged").write_bytes(whole)
    with contextlib.suppress(TlbenchError):
        load({"reader": "parquet", "path": "damaged", "label": "y"}, root)


def test_decompression_bombs_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "BOMB_BYTES", 2**20)
    (tmp_path / "d.csv").write_bytes(gzip.compress(b"a,y\n" + b"1,1\n" * 2**20))
    assert "as decompression bombs do" in refused(CSV, tmp_path)


# --- archives of arrays, series ---


def test_npz_selects_rows_and_has_groups(tmp_path: Path) -> None:
    np.savez(
        tmp_path / "d.npz", x=np.arange(8.0).reshape(4, 2), y=[0, 1, 0, 1], subject=[1, 1, 2, 3], site=["a", "b", "b", "b"]
    )
    table = {"reader": "npz", "path": "d.npz", "x": "x", "y": "y", "group": "site"}
    domain = load(table | {"where": {"subject": [1, 3]}}, tmp_path)
    assert domain.samples.x[:, 0].tolist() == [0, 2, 6]
    assert domain.samples.group is not None and domain.samples.group.tolist() == [0, 1, 1]
    assert "where selects none of 4 rows" in refused(table | {"where": {"site": "c"}}, tmp_path)
    assert "There is no array 'sit'. Did you mean 'site'?" in refused(table | {"group": "sit"}, tmp_path)
    assert "it needs one value for each row" in refused(table | {"where": {"x": 1}}, tmp_path)


def test_npz_bombs_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "BOMB_BYTES", 2**20)
    np.savez_compressed(tmp_path / "d.npz", x=np.zeros((2**20, 2)), y=np.zeros(2**20))
    assert "as decompression bombs do" in refused({"reader": "npz", "path": "d.npz", "x": "x", "y": "y"}, tmp_path)


def test_npy_files(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", np.arange(6.0).reshape(3, 2))
    np.save(tmp_path / "y.npy", np.array(["a", "b", "a"]))
    np.save(tmp_path / "o.npy", np.array([{}, {}, {}], dtype=object))
    table = {"reader": "npy", "x": "x.npy", "y": "y.npy"}
    assert load(table, tmp_path).samples.x.tolist() == [[0, 1], [2, 3], [4, 5]]
    assert "pickled objects, which are never loaded" in refused(table | {"y": "o.npy"}, tmp_path)
    (tmp_path / "cut.npy").write_bytes((tmp_path / "x.npy").read_bytes()[:-8])
    assert "not a whole npy file" in refused(table | {"x": "cut.npy"}, tmp_path)
    (tmp_path / "junk.npy").write_bytes(b"junk")
    assert "not an npy file" in refused(table | {"x": "junk.npy"}, tmp_path)


SERIES = {"reader": "series", "path": "d.npz", "x": "x_1", "y": "y_1", "layout": "channel_time"}


def test_series_of_either_layout(tmp_path: Path) -> None:
    x = np.random.default_rng(0).normal(size=(4, 3, 8))
    turned = x.transpose(0, 2, 1)
    np.savez(tmp_path / "d.npz", x_1=x, y_1=[0, 1, 0, 1], x_2=turned, y_2=[[1], [0], [0], [1]], flat=x[0], short=x[:, :, :5])
    first = load(SERIES, tmp_path)
    assert first.samples.x.shape == (4, 3, 8) and first.samples.x.dtype == torch.float32
    second = load(SERIES | {"x": "x_2", "y": "y_2", "layout": "time_channel"}, tmp_path)
    assert torch.equal(first.samples.x, second.samples.x)
    assert len(load(SERIES | {"x": ["x_1", "x_1"], "y": ["y_1", "y_2"]}, tmp_path).samples) == 8
    for change, said in (
        ({"x": "flat"}, "windows must be numbers with a time and a channel axis"),
        ({"x": ["x_1", "short"], "y": ["y_1", "y_1"]}, "short has windows (3, 5), x_1 (3, 8)"),
        ({"x": ["x_1", "x_1"]}, "x names 2 keys and y 1"),
        ({"x": "x_3"}, "There is no array 'x_3'. Did you mean"),
    ):
        assert said in refused(SERIES | change, tmp_path)
    assert any("layout = 'channel' should be" in sentence for sentence in mistakes(SERIES | {"layout": "channel"}))


@pytest.mark.data
def test_ucihar_and_wisdm_are_declarable(data_root: Path) -> None:
    ucihar = load(SERIES | {"path": "ucihar/ucihar_adatime_subjects_f32.npz", "x": "x_train_2", "y": "y_train_2"}, data_root)
    assert ucihar.samples.x.shape[1:] == (9, 128) and len(ucihar.classes) == 6
    table = {"path": "wisdm/wisdm_36subjects_f32.npz", "layout": "time_channel", "x": "x_train_2", "y": "y_train_2"}
    assert load(SERIES | table, data_root).samples.x.shape[1:] == (3, 128)


# --- images ---

IMAGES = {"reader": "images", "path": "photos", "domain": "web", "size": 8}


def encoded(colour: Any, size: tuple[int, int] = (20, 10), kind: str = "PNG", mode: str = "RGB") -> bytes:
    stream = io.BytesIO()
    Image.new(mode, size, colour).save(stream, kind)
    return stream.getvalue()


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Two domains of two classes in a folder, and the same in two archives."""
    for domain, shade in (("web", 0), ("art", 100)):
        for label in ("cat", "dog"):
            folder = tmp_path / "photos" / domain / label
            folder.mkdir(parents=True)
            (folder / "a.png").write_bytes(encoded((shade, 200, 30)))
            (folder / "b.jpg").write_bytes(encoded((shade, 200, 30), kind="JPEG"))
            (folder / "notes.txt").write_text("no image")
    for name, mode in (("photos.tar", "w"), ("photos.tar.gz", "w:gz")):
        with tarfile.open(tmp_path / name, mode) as archive:  # type: ignore[call-overload]
            archive.add(tmp_path / "photos", "photos")
    return tmp_path


def test_folders_and_archives_of_images(photos: Path) -> None:
    domain = load(IMAGES, photos)
    assert domain.samples.x.shape == (4, 3, 8, 8) and domain.samples.x.dtype == torch.uint8
    assert domain.classes == ("cat", "dog") and domain.samples.y.tolist() == [0, 0, 1, 1]
    assert domain.samples.x[0, :, 0, 0].tolist() == [0, 200, 30]
    for path in ("photos.tar", "photos.tar.gz"):
        assert load(IMAGES | {"path": path, "domain": "photos/web"}, photos).fingerprint == domain.fingerprint
    assert load(IMAGES | {"path": "photos/art", "domain": "", "mode": "grey"}, photos).samples.x.shape == (4, 1, 8, 8)
    assert load(IMAGES | {"crop": 6}, photos).samples.x.shape == (4, 3, 6, 6)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"domain": "webb"}, "'webb' is not there"),
        ({"domain": "../photos/web"}, "leaves 'photos'"),
        ({"domain": "web/cat"}, "no image in folders <class>/*"),
        ({"path": "photo"}, "folder 'photo' is not there"),
        ({"path": "photos.tar", "domain": "photos/webb"}, "Did you mean 'photos/web'?"),
        ({"crop": 9}, "crop = 9 is larger than size = 8"),
    ],
)
def test_images_that_are_not_there(photos: Path, change: dict[str, Any], said: str) -> None:
    assert said in refused(IMAGES | change, photos)


def test_images_that_do_not_decode_are_named_and_counted(photos: Path) -> None:
    whole = (photos / "photos/web/cat/b.jpg").read_bytes()
    (photos / "photos/web/cat/b.jpg").write_bytes(whole[: len(whole) // 2])
    (photos / "photos/web/dog/c.png").write_bytes(b"junk")
    text = refused(IMAGES, photos)
    assert "2 of 5 images do not decode" in text and "cat/b.jpg" in text and "dog/c.png" in text and "skip_bad" in text
    with pytest.warns(UserWarning, match="2 of 5 images do not decode"):
        assert load(IMAGES | {"skip_bad": True}, photos).samples.y.tolist() == [0, 1, 1]


def test_hostile_images_are_refused(photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (photos / "secret.png").write_bytes(encoded("red"))
    (photos / "photos/web/cat/z.png").symlink_to(photos / "secret.png")
    assert "is a link that leaves" in refused(IMAGES, photos)
    (photos / "photos/web/cat/z.png").unlink()
    monkeypatch.setattr(images, "PIXELS_LIMIT", 199)
    assert "20x10 pixels are more than the 199 allowed" in refused(IMAGES, photos)


@pytest.mark.parametrize("kind", ["link", "hard", "up", "absolute", "device"])
def test_hostile_archives_are_refused(tmp_path: Path, kind: str) -> None:
    with tarfile.open(tmp_path / "photos", "w") as archive:
        member = tarfile.TarInfo({"up": "web/../../a.png", "absolute": "/web/a/b.png"}.get(kind, "web/cat/a.png"))
        member.linkname = "/etc/passwd"
        member.type = {"link": tarfile.SYMTYPE, "hard": tarfile.LNKTYPE, "device": tarfile.CHRTYPE}.get(kind, tarfile.REGTYPE)
        archive.addfile(member)
    assert "is a link, a device or leaves the archive; refused" in refused(IMAGES, tmp_path)


@given(share=st.floats(0, 1, exclude_max=True))
@quick
def test_an_archive_cut_anywhere_is_a_clear_error_or_whole(photos: Path, share: float) -> None:
    whole = (photos / "photos.tar").read_bytes()
    (photos / "cut").write_bytes(whole[: int(share * len(whole))])
    with contextlib.suppress(TlbenchError):
        assert len(load(IMAGES | {"path": "cut", "domain": "photos/web"}, photos).samples) <= 4


@pytest.mark.parametrize(
    ("mode", "colour"), [("L", 7), ("RGBA", (7, 7, 7, 255)), ("P", 0), ("1", 0), ("I;16", 7 << 8), ("CMYK", (0, 0, 0, 0))]
)
def test_any_kind_of_image_becomes_rgb(mode: str, colour: Any) -> None:
    held = encoded(colour, mode=mode, kind="TIFF" if mode == "CMYK" else "PNG")
    x, good, notes = images.decode([images.EncodedImage(0, "a", lambda: held)], 1, images.ImageOptions(size=4))
    assert x.shape == (1, 3, 4, 4) and len(good) == 1 and notes == ()
    assert len(np.unique(x)) == 1


@pytest.mark.data
def test_office_caltech_and_pacs_photographs(data_root: Path) -> None:
    table = IMAGES | {"path": "office_caltech10/images.tar", "domain": "images/dslr", "size": 64, "crop": 56}
    domain = load(table, data_root)
    assert domain.samples.x.shape == (157, 3, 56, 56) and len(domain.classes) == 10
    path = "pacs_subset/pacs_first20_per_domain_class.tar"
    assert load(IMAGES | {"path": path, "domain": "PACS/sketch"}, data_root).samples.x.shape == (140, 3, 8, 8)


# --- texts ---

TEXT = {"reader": "text", "files": {"good": "good.txt", "bad": "bad.txt.gz"}, "size": 64}


@pytest.fixture
def texts(tmp_path: Path) -> Path:
    (tmp_path / "good.txt").write_text("a fine book\n\na good read\n")
    (tmp_path / "bad.txt.gz").write_bytes(gzip.compress(b"a dull book\n"))
    (tmp_path / "good.xml").write_bytes("<r><t>\nfine caf\xe9\n</t></r><r><t>good</t></r>".encode("latin-1"))
    (tmp_path / "t.csv").write_text("words,y,k\nfine book,1,a\ndull book,0,b\n")
    (tmp_path / "t.jsonl").write_text('{"words": "fine book", "y": 1, "k": "a"}\n{"words": "dull book", "y": 0, "k": "b"}\n')
    return tmp_path


def test_texts_by_class_are_counted(texts: Path) -> None:
    domain = load(TEXT, texts)
    assert domain.samples.x.shape == (3, 64) and domain.classes == ("bad", "good") and domain.samples.y.tolist() == [1, 1, 0]
    assert torch.allclose(domain.samples.x.norm(dim=1), torch.ones(3))
    xml = {"reader": "text", "files": {"g": ["good.xml", "good.xml"]}, "tag": "t", "encoding": "latin-1", "features": "tfidf"}
    assert load(xml, texts).samples.x.shape == (4, 3)
    assert "set encoding, as in encoding = 'latin-1'" in refused(xml | {"encoding": "utf-8"}, texts)
    assert "holds no text in <u>" in refused(xml | {"tag": "u"}, texts)
    (texts / "good.xml").write_text("<t>a</t><t>b")
    assert "<t> is opened 2 times and closed 1 times; truncated?" in refused(xml, texts)


@pytest.mark.parametrize("path", ["t.csv", "t.jsonl"])
def test_texts_of_a_table(texts: Path, path: str) -> None:
    table = {"reader": "text", "path": path, "column": "words", "label": "y", "group": "k", "size": 64}
    domain = load(table, texts)
    assert domain.samples.y.tolist() == [1, 0] and domain.samples.group is not None and domain.samples.group.tolist() == [0, 1]
    assert len(load(table | {"where": {"k": "b"}}, texts).samples) == 1
    assert "There is no column 'word'. Did you mean 'words'?" in refused(table | {"column": "word"}, texts)


def test_tfidf_learns_from_the_files_that_fit_names(texts: Path) -> None:
    table = TEXT | {"features": "tfidf", "files": {"bad": "bad.txt.gz"}}
    assert load(table, texts).samples.x.shape == (1, 2)
    assert load(table | {"fit": {"good": "good.txt"}}, texts).samples.x.shape == (1, 4)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"path": "t.csv"}, "give either files = { class = file } or path = a table"),
        ({"column": "words"}, "column, label, group and where are for a table"),
        ({"fit": {"a": "b"}}, "fit is for features = 'tfidf'"),
        ({"tag": "a b"}, "tag = 'a b' "),
        ({"files": {}}, "files = {} "),
    ],
)
def test_mistakes_in_the_keys_of_texts(change: dict[str, Any], said: str) -> None:
    assert any(said in sentence for sentence in mistakes(TEXT | change)), mistakes(TEXT | change)


@pytest.mark.data
def test_amazon_reviews_as_text(data_root: Path) -> None:
    files = {name: f"amazon_reviews/raw_text/kitchen/{name}.review.gz" for name in ("positive", "negative")}
    table = {"reader": "text", "files": files, "tag": "review_text", "encoding": "latin-1", "size": 256}
    assert load(table, data_root).samples.y.bincount().tolist() == [1000, 1000]


# --- HDF5 and MATLAB 7.3 ---

HDF5 = {"reader": "hdf5", "path": "d.h5", "x": "train/x", "y": "y"}


def test_hdf5_arrays(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "d.h5", "w") as file:
        file["train/x"] = np.arange(6.0).reshape(3, 2)
        file["y"] = [b"a", b"b", b"a"]
        file["g"] = [3, 4, 3]
        file["away"] = h5py.ExternalLink("other.h5", "x")
        file["soft"] = h5py.SoftLink("/y")
        file.create_dataset("huge", shape=(2**40,), chunks=(2**20,), dtype="f4")
        file.create_dataset("raw", (3, 2), dtype="f8", external=[("/etc/passwd", 0, 48)])
    domain = load(HDF5 | {"group": "g"}, tmp_path)
    assert domain.samples.x.tolist() == [[0, 1], [2, 3], [4, 5]] and domain.classes == ("a", "b")
    assert domain.samples.group is not None and domain.samples.group.tolist() == [0, 1, 0]
    for change, said in (
        ({"x": "train"}, "'train' is a group, not an array. It holds train/x"),
        ({"x": "train/xx"}, "There is no array 'train/xx'. Did you mean 'x'?"),
        ({"x": "away"}, "is a link; links are refused"),
        ({"x": "soft"}, "is a link; links are refused"),
        ({"x": "raw"}, "lies in another file; refused"),
        ({"x": "huge"}, "as decompression bombs do"),
    ):
        assert said in refused(HDF5 | change, tmp_path)
    assert load(HDF5 | {"where": {"g": {"max": 3}}}, tmp_path).samples.x.tolist() == [[0, 1], [4, 5]]
    assert load(HDF5 | {"where": {"y": "b"}, "group": "g"}, tmp_path).samples.x.tolist() == [[2, 3]]
    assert "where selects none of 3 rows" in refused(HDF5 | {"where": {"g": 5}}, tmp_path)
    assert "it needs one value for each row" in refused(HDF5 | {"where": {"train/x": 1}}, tmp_path)
    whole = (tmp_path / "d.h5").read_bytes()
    for share in (0, 3, 200, 1000, len(whole) - 1):
        (tmp_path / "cut.h5").write_bytes(whole[:share])
        assert "not a whole HDF5 file" in refused(HDF5 | {"path": "cut.h5"}, tmp_path)


def test_without_h5py_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "d.h5").write_bytes(b"")
    monkeypatch.setitem(sys.modules, "h5py", None)
    assert "pip install 'tlbench[hdf5]'" in refused(HDF5, tmp_path)


def test_matlab_7_3_is_read_in_matlabs_order(tmp_path: Path) -> None:
    path, x = tmp_path / "d.mat", np.array([[0.0, 1.0], [2.0, 0.0], [0.0, 3.0]])
    with h5py.File(path, "w", userblock_size=512) as file:
        file["x"], file["y"] = x.T, np.array([[1.0, 2.0, 1.0]])
        sparse = file.create_group("s")
        sparse["data"], sparse["ir"], sparse["jc"] = [2.0, 1.0, 3.0], [1, 0, 2], [0, 1, 3]
        sparse.attrs["MATLAB_sparse"] = 3
        refs = np.empty((1, 3), dtype=h5py.ref_dtype)
        for i, word in enumerate(("cat", "dog", "cat")):
            cell = file.create_dataset(f"#refs#/{i}", data=np.array([[ord(c)] for c in word], dtype=np.uint16))
            refs[0, i] = cell.ref
        file.create_dataset("names", data=refs, dtype=h5py.ref_dtype).attrs["MATLAB_class"] = np.bytes_("cell")
    with path.open("r+b") as stream:
        stream.write(b"MATLAB 7.3 MAT-file".ljust(124) + b"\0\2IM")
    table = {"reader": "mat", "path": "d.mat", "x": "x", "y": "y"}
    assert load(table, tmp_path).samples.x.tolist() == x.tolist() and load(table, tmp_path).classes == ("1", "2")
    assert load(table | {"x": "s"}, tmp_path).samples.x.tolist() == x.tolist()
    assert load(table | {"y": "names"}, tmp_path).classes == ("cat", "dog")
    assert "There is no array 'z'. Available: names, s, x, y" in refused(table | {"x": "z"}, tmp_path)


# --- torchvision ---


def test_torchvision_reads_files_in_place(tmp_path: Path) -> None:
    raw = tmp_path / "torchvision" / "MNIST" / "raw"
    raw.mkdir(parents=True)
    pixels = np.arange(2 * 28 * 28, dtype=np.uint8).reshape(2, 28, 28)
    for part in ("train", "t10k"):
        (raw / f"{part}-images-idx3-ubyte").write_bytes(struct.pack(">HBBIII", 0, 8, 3, *pixels.shape) + pixels.tobytes())
        (raw / f"{part}-labels-idx1-ubyte").write_bytes(struct.pack(">HBBI", 0, 8, 1, 2) + bytes([3, 7]))
    domain = load({"reader": "torchvision", "name": "MNIST"}, tmp_path)
    assert domain.samples.x.shape == (2, 1, 28, 28) and domain.samples.x.dtype == torch.uint8 and domain.classes == ("3", "7")
    assert torch.equal(domain.samples.x[:, 0], torch.from_numpy(pixels))

    folder = tmp_path / "torchvision" / "cifar-10-batches-bin"
    folder.mkdir()
    (folder / "test_batch.bin").write_bytes(bytes([3]) + bytes(3072) + bytes([9]) + bytes(3072))
    cifar = {"reader": "torchvision", "name": "CIFAR10", "split": "test"}
    assert load(cifar, tmp_path).classes == ("cat", "truck")
    (folder / "test_batch.bin").write_bytes(bytes(3000))
    assert "3000 bytes are no whole number of images" in refused(cifar, tmp_path)
    assert "data_batch_1.bin" in refused(cifar | {"split": "train"}, tmp_path)
    assert "--download can't: torchvision's own version is pickled" in refused(cifar | {"split": "train"}, tmp_path)

    (tmp_path / "torchvision/eurosat/2750/River").mkdir(parents=True)
    (tmp_path / "torchvision/eurosat/2750/River/a.jpg").write_bytes(encoded("blue", (64, 64), "JPEG"))
    assert load({"reader": "torchvision", "name": "EuroSAT"}, tmp_path).samples.x.shape == (1, 3, 64, 64)


@pytest.mark.parametrize("name", ["MNIST", "KMNIST", "USPS", "SVHN", "STL10", "CIFAR10"])
def test_torchvision_names_what_is_not_there(tmp_path: Path, name: str) -> None:
    table = {"reader": "torchvision", "name": name}
    assert "folder 'torchvision' is not there" in refused(table, tmp_path)
    (tmp_path / "torchvision").mkdir()
    said = refused(table, tmp_path)
    assert said.startswith(f"domains.d: {name} train: ") and f"into {tmp_path / 'torchvision'}" in said


# --- datasets ---

COMMIT = "0123456789abcdef0123456789abcdef01234567"
HUB = {"reader": "datasets", "hub": "someone/things", "revision": COMMIT, "label": "y", "features": ["a", "b"]}


@pytest.mark.parametrize("path", ["d.parquet", "d.csv", "d.jsonl"])
def test_datasets_reads_local_files(root: Path, path: str) -> None:
    table = {"reader": "datasets", "path": path, "label": "y", "features": ["a", "b"], "group": "sex"}
    domain = load(table, root)
    assert domain.samples.x.tolist() == [[r["a"], r["b"]] for r in ROWS] and domain.samples.y.tolist() == [0, 1, 1, 0]
    assert domain.samples.group is not None and domain.samples.group.tolist() == [0, 1, 0, 1]
    assert len(load(table | {"where": {"year": {"min": 2003}}}, root).samples) == 2
    assert "There is no column 'bb'. Did you mean 'b'?" in refused(table | {"features": ["bb"]}, root)
    assert "column 'sex' holds texts ('F'), not numbers" in refused(table | {"features": ["sex"], "group": None}, root)
    words = {key: value for key, value in table.items() if key != "features"} | {"text": "sex", "size": 32}
    assert load(words, root).samples.x.shape == (4, 32)


def test_datasets_reads_an_image_folder(photos: Path) -> None:
    table = {"reader": "datasets", "path": "photos/web", "image": "image", "label": "label", "size": 8}
    (photos / "photos/web/cat/notes.txt").unlink()
    (photos / "photos/web/dog/notes.txt").unlink()
    domain = load(table, photos)
    assert domain.classes == ("cat", "dog") and domain.samples.x.shape == (4, 3, 8, 8)
    assert domain.samples.x[0, :, 0, 0].tolist() == [0, 200, 30]


def test_an_image_cell_cannot_name_a_file_outside(tmp_path: Path) -> None:
    import datasets

    (tmp_path / "secret.png").write_bytes(encoded("red"))
    (tmp_path / "things").mkdir()
    features = datasets.Features({"image": datasets.Image(), "y": datasets.Value("int64")})
    rows = {"image": [{"bytes": None, "path": str(tmp_path / "secret.png")}], "y": [0]}
    import pyarrow.parquet as pq

    table = datasets.Dataset.from_dict(rows, features=features).data.table
    pq.write_table(table, tmp_path / "things" / "train.parquet")
    declared = {"reader": "datasets", "path": "things", "image": "image", "label": "y", "size": 8}
    assert "is no file of the data set's folder" in refused(declared, tmp_path)


def test_a_hub_data_set_is_found_below_the_root_or_named(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import huggingface_hub.constants

    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(root / "cache"))
    said = refused(HUB, root)
    assert f"'someone/things' at {COMMIT} is not on this machine, and --download is not given" in said
    assert f"hf download someone/things --repo-type dataset --revision {COMMIT} --local-dir hub/someone/things/{COMMIT}" in said
    folder = root / "hub" / "someone" / "things" / COMMIT
    folder.mkdir(parents=True)
    (root / "d.parquet").rename(folder / "train.parquet")
    assert load(HUB, root).samples.x.shape == (4, 2)
    assert "not a whole data set" in refused(HUB | {"split": "test"}, root)
    own = data.readers.get("datasets")
    options = own.Options.model_validate({key: value for key, value in HUB.items() if key != "reader"})
    assert own.sources(options, root) == [folder / "train.parquet"]  # type: ignore[attr-defined]
    (folder / "train.parquet").unlink()
    (folder / "things.py").write_text("raise SystemExit('code of a data set was run')")
    assert "not a whole data set" in refused(HUB, root)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"revision": "main"}, "revision = 'main' "),
        ({"revision": None}, "hub needs a revision (the commit, 40 hex digits)"),
        ({"path": "d.csv"}, "give either hub = 'owner/name' or path"),
        ({"text": "a"}, "give one of image, text and features"),
        ({"features": None, "text": "a"}, "image and text need a size"),
        ({"hub": "../things"}, "hub = '../things' "),
    ],
)
def test_mistakes_in_the_keys_of_datasets(change: dict[str, Any], said: str) -> None:
    table = {key: value for key, value in (HUB | change).items() if value is not None}
    if change.get("hub") == "../things":
        table["hub"] = "../things/more"
        said = "hub = '../things/more' "
    assert any(said in sentence for sentence in mistakes(table)), mistakes(table)


# --- readers of other packages ---


def test_readers_come_from_other_packages_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "their_reader.py").write_text(
        '"""Ones, as many as are asked for."""\nimport numpy as np\nfrom pydantic import BaseModel\n'
        "class Options(BaseModel, extra='forbid'):\n    rows_: int\n"
        "def read(options, root):\n    return np.ones((options.rows_, 2)), np.arange(options.rows_)\n"
    )
    (tmp_path / "no_reader.py").write_text("")
    monkeypatch.syspath_prepend(str(tmp_path))
    points = {
        name: metadata.EntryPoint(name, module, data.readers.GROUP)
        for name, module in (("theirs", "their_reader"), ("none", "no_reader"), ("gone", "not_installed"), ("npz", "no_reader"))
    }
    monkeypatch.setattr(data.readers, "_others", lambda: points)
    assert "theirs" in data.readers.names() and data.readers.names().count("npz") == 1
    assert load({"reader": "theirs", "rows_": 3}, tmp_path).samples.x.shape == (3, 2)
    assert mistakes({"reader": "theirs", "row_": 3})
    assert load({"reader": "scikit_learn", "name": "iris"}, tmp_path).classes[0] == "setosa"
    assert data.readers.summaries()["theirs"] == "Ones, as many as are asked for."
    assert "can't be imported" in data.readers.summaries()["gone"]
    with pytest.raises(TlbenchError, match=r"reader 'none' .* needs a pydantic model `Options`"):
        data.readers.get("none")
    with pytest.raises(TlbenchError, match=r"reader 'gone' .* can't be imported: ModuleNotFoundError"):
        data.readers.get("gone")


# --- real tables ---


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
    domain = load(adult, data_root)
    assert domain.classes == ("<=50K", ">50K") and len(domain.samples) == 21790
    assert domain.test is not None and len(domain.test) == 10860
    assert domain.samples.group is not None and domain.samples.group.max() == 4

    gas = {"reader": "csv", "path": "gas_drift/batch4.dat", "header": False, "label": 0}
    features = [str(i) for i in range(2, 130)]
    domain = load(gas | {"features": features}, data_root)
    assert domain.samples.x.shape == (161, 128) and "Ethanol" in domain.classes
