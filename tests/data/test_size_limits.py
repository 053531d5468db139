"""Inputs that would take minutes or all memory, or end in a traceback: each is one sentence, or takes linear time."""

from __future__ import annotations

import io
import json
import tarfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from domain_tables import declaration_errors, load_domain, refused_domain
from PIL import Image

from tlbench.data import preview
from tlbench.data.decoding import feature_encoders, tables

CSV = {"reader": "csv", "path": "d.csv", "label": "y"}
NPY = {"reader": "npy", "x": "x.npy", "y": "y.npy"}


@pytest.fixture(autouse=True)
def _soon() -> Iterator[None]:
    """Each of these takes seconds where it took minutes."""
    start = time.perf_counter()
    yield
    assert time.perf_counter() - start < 60


@pytest.mark.parametrize("fit", [{}, {"fit": {"path": "d.csv"}}])
def test_one_hot_columns_of_ids_are_refused(tmp_path: Path, fit: dict[str, object]) -> None:
    (tmp_path / "d.csv").write_text("name,y\n" + "".join(f"n{i},{i % 2}\n" for i in range(30_000)))
    message = refused_domain(CSV | {"encode": "onehot"} | fit, tmp_path)
    assert "The column 'name' holds 30,000 categories" in message and "leave it out by features" in message


def test_many_columns_of_categories_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "d.csv").write_text("b,c,y\n" + "".join(f"n{i % 7},m{i % 9},{i % 2}\n" for i in range(100)))
    assert load_domain(CSV | {"encode": "onehot"}, tmp_path).samples.x.shape == (100, 16)
    monkeypatch.setattr(feature_encoders, "DENSE_LIMIT_BYTES", 8 * 1500)
    message = refused_domain(CSV | {"encode": "onehot"}, tmp_path)
    assert "The 16 categories of 2 columns take" in message and "Leave the column 'c' out" in message


def test_a_million_columns_are_refused(tmp_path: Path) -> None:
    count = 200_000
    (tmp_path / "d.csv").write_text(",".join(f"c{i}" for i in range(count)) + ",y\n" + "0," * count + "a\n")
    assert "The file has 200,001 columns, and 131,072 are allowed" in refused_domain(CSV, tmp_path)
    (tmp_path / "d.jsonl").write_text(json.dumps({f"c{i}": 0 for i in range(count)} | {"y": 1}) + "\n")
    jsonl = {"reader": "jsonl", "path": "d.jsonl", "label": "y"}
    assert "The file has 200,001 columns" in refused_domain(jsonl, tmp_path)
    assert load_domain(jsonl | {"features": ["c7"]}, tmp_path).samples.x.shape == (1, 1)


@pytest.mark.parametrize("count", [2_000, 50_000])
def test_a_key_for_each_json_line_is_refused(tmp_path: Path, count: int, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "d.jsonl").write_text("".join(f'{{"k{i}": 1, "y": 0}}\n' for i in range(count)))
    if count == 2_000:
        monkeypatch.setattr(tables, "CELLS_LIMIT", 10**6)
    message = refused_domain({"reader": "jsonl", "path": "d.jsonl", "label": "y"}, tmp_path)
    assert "different keys, and most lines lack most of them" in message


def test_lines_to_skip_are_limited(tmp_path: Path) -> None:
    (tmp_path / "d.csv").write_text("# a comment\nx,y\n1,a\n2,b\n")
    assert any("skip = 1000000000000000000 " in error for error in declaration_errors(CSV | {"skip": 10**18}))
    assert load_domain(CSV | {"skip": 1}, tmp_path).samples.x.tolist() == [[1], [2]]
    for skip in (4, 10**6):
        assert f"The file has 4 lines, and skip = {skip:,} leaves none" in refused_domain(CSV | {"skip": skip}, tmp_path)


@pytest.mark.parametrize("content", ["<t>" * 10**5, "</t>" * 10**5 + "<t>" * 10**5])
def test_tags_that_are_never_closed_take_linear_time(tmp_path: Path, content: str) -> None:
    (tmp_path / "a.txt").write_text(content)
    assert "The file may be truncated" in refused_domain({"reader": "text", "files": {"a": "a.txt"}, "tag": "t"}, tmp_path)


@pytest.mark.parametrize("name", ["README.md", ".huggingface.yaml"])
@pytest.mark.parametrize("cycle", [False, True])
def test_aliases_of_a_card_that_stand_for_too_much_are_refused(tmp_path: Path, name: str, cycle: bool) -> None:
    (tmp_path / "things").mkdir()
    (tmp_path / "things" / "train.csv").write_text("a,y\n1,0\n2,1\n")
    levels = [f"l{i}: &l{i} [{', '.join([f'*l{i - 1}'] * 9)}]" for i in range(1, 30)]
    card = "\n".join(["l0: &l0 [x]", *levels, "configs: &c [*c]" if cycle else "configs: *l29"])
    (tmp_path / "things" / name).write_text(f"---\n{card}\n---\n" if name == "README.md" else card)
    table = {"reader": "datasets", "path": "things", "label": "y", "features": ["a"]}
    assert "The aliases of the card stand for more than 1,000,000 values" in refused_domain(table, tmp_path)


@pytest.mark.parametrize("size", ["-512", "-1", "-99999999999", "99999999999999999999", "1e5", "abc"])
def test_sizes_in_a_tar_archive_that_can_not_be_are_refused(tmp_path: Path, size: str) -> None:
    with tarfile.open(tmp_path / "a.tar", "w", format=tarfile.PAX_FORMAT) as archive:
        for i in range(3):
            stream = io.BytesIO()
            Image.new("L", (4, 4)).save(stream, "PNG")
            member = tarfile.TarInfo(f"c/{i}.png")
            member.size = len(stream.getvalue())
            member.pax_headers = {"size": size} if i == 1 else {}
            archive.addfile(member, io.BytesIO(stream.getvalue()))
    refused_domain({"reader": "images", "path": "a.tar", "size": 4}, tmp_path)


@pytest.mark.parametrize("order", ["<", ">"])
def test_numbers_that_are_no_characters_are_refused(tmp_path: Path, order: str) -> None:
    np.save(tmp_path / "x.npy", np.ones((3, 2)))
    np.save(tmp_path / "y.npy", np.array(["a", "b", "c"], dtype=f"{order}U1"))
    assert load_domain(NPY, tmp_path).classes == ("a", "b", "c")
    content = (tmp_path / "y.npy").read_bytes()
    (tmp_path / "y.npy").write_bytes(content[:-4] + (b"\0\0\x11\0" if order == "<" else b"\0\x11\0\0"))
    assert "The texts hold 0x110000, which is no character of Unicode" in refused_domain(NPY, tmp_path)
    (tmp_path / "y.npy").write_bytes(content[:-4] + (b"\0\xd8\0\0" if order == "<" else b"\0\0\xd8\0"))
    assert "holds half a character" in refused_domain(NPY, tmp_path)


@pytest.mark.parametrize(
    "values", [[1e9] * 9, [1e30] * 9, [3.0] * 9, [1e9, 1e9 + 64] * 4, [-3e38, 3e38] * 4, [1e-40, 2e-40] * 4]
)
def test_targets_of_any_spread_are_drawn(tmp_path: Path, values: list[float]) -> None:
    np.save(tmp_path / "x.npy", np.random.default_rng(0).normal(size=(len(values), 2)))
    np.save(tmp_path / "y.npy", np.array(values))
    domain = load_domain(NPY | {"task": "regression"}, tmp_path)
    preview.contact_sheet([domain, domain], tmp_path / "sheet.png")
    assert (tmp_path / "sheet.png").stat().st_size > 2000
