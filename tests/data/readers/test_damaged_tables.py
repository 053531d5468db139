"""Tables with bad contents, truncated or damaged: each is an error that says what is wrong."""

from __future__ import annotations

import contextlib
import gzip
from pathlib import Path

import pytest
from domain_tables import load_domain, refused_domain
from hypothesis import given
from hypothesis import strategies as st
from reader_files import CSV, quick

from tlbench.data.decoding import files
from tlbench.errors import TlbenchError


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a,y\n1,0\n2\n", "column 'y' lacks a label in 1 of 2 rows"),
        ("a,y\n1,0\n2,1,3\n", "not a whole csv file"),
        ("a,y\n1,0,7\n2,1,3\n", "not a whole csv file"),
        ("a,y\n", "holds no row"),
        ("", "not a whole csv file"),
        ("a,a,y\n1,2,3\n", "Two columns are called 'a'."),
        ("a,y\n1,\n2,1\n", "column 'y' lacks a label in 1 of 2 rows"),
        ("a,y\n?,0\n2,1\n", "1 numbers are missing, first in column 'a'. Set impute = 'median'"),
        ("a,y\ninf,0\n2,1\n", "1 features are NaN or infinite"),
        ("a,y\n" + "1,0\n" * 20 + "x1,1\n", "column 'a' holds numbers, and 'x1' in row 20"),
        ("b,y\nx,0\nz,1\n", "no column of numbers beside 'y'"),
        ("a;y\n1;0\n2;1\n", "There is only one column, 'a;y'. Set separator = \";\"."),
        ("a\ty\n1\t0\n2\t1\n", 'Set separator = "\\t".'),
        ("a,y\n" + "9" * 400 + ",0\n1,1\n", "column 'a' holds a number that is too large"),
    ],
)
def test_bad_contents_of_csv(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "d.csv").write_text(text)
    assert message in refused_domain(CSV, tmp_path)


def test_another_encoding_is_named(tmp_path: Path) -> None:
    (tmp_path / "d.csv").write_bytes("a,y\n1,caf\xe9\n2,tea\n".encode("latin-1"))
    assert "Set encoding, as in encoding = 'latin-1'." in refused_domain(CSV, tmp_path)
    assert load_domain(CSV | {"encoding": "latin-1"}, tmp_path).classes == ("café", "tea")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[1]\n", "Line 1 is not an object"),
        ('{"a": 1, "y": 0}\n\n{"a"', "Line 3 is not JSON"),
        ("[" * 100_000, "Line 1 is not JSON"),
        ('{"x": [1, 2], "y": 0}\n{"x": [1], "y": 1}', "column 'x' holds lists of mixed shapes"),
        ('{"a": 1, "y": 0}\n{"a": NaN, "y": 1}', "1 numbers are missing"),
        ('{"a": 1' + "0" * 400 + ', "y": 0}\n{"a": 2, "y": 1}', "column 'a' holds a number that is too large"),
        ('{"x": null, "y": 0}\n{"x": [1], "y": 1}', "column 'x' holds lists of mixed shapes"),
    ],
)
def test_bad_json_lines(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "d.jsonl").write_text(text)
    assert message in refused_domain({"reader": "jsonl", "path": "d.jsonl", "label": "y"}, tmp_path)


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
    assert "cut" in refused_domain({"reader": reader, "path": "cut", "label": "y"}, root)


@pytest.mark.parametrize("file", ["d.parquet", "d.feather", "d.arrow"])
@given(place=st.integers(0, 10_000), flip=st.integers(1, 255))
@quick
def test_a_damaged_byte_of_a_table_gives_rows_or_a_clear_error(root: Path, file: str, place: int, flip: int) -> None:
    whole = bytearray((root / file).read_bytes())
    whole[place % len(whole)] ^= flip
    (root / "damaged").write_bytes(whole)
    with contextlib.suppress(TlbenchError):
        load_domain({"reader": "parquet", "path": "damaged", "label": "y"}, root)


def test_decompression_bombs_are_refused_domain(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "BOMB_BYTES", 2**20)
    (tmp_path / "d.csv").write_bytes(gzip.compress(b"a,y\n" + b"1,1\n" * 2**20))
    assert "as decompression bombs do" in refused_domain(CSV, tmp_path)
