"""Data sets of the hub and of local files, read by the library datasets."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from domain_tables import declaration_errors, load_domain, refused_domain
from reader_files import COMMIT, HUB, ROWS, encoded_image

from tlbench import data


@pytest.mark.parametrize("path", ["d.parquet", "d.csv", "d.jsonl"])
def test_datasets_reads_local_files(root: Path, path: str) -> None:
    table = {"reader": "datasets", "path": path, "label": "y", "features": ["a", "b"], "group": "sex"}
    domain = load_domain(table, root)
    assert domain.samples.x.tolist() == [[r["a"], r["b"]] for r in ROWS] and domain.samples.y.tolist() == [0, 1, 1, 0]
    assert domain.samples.group is not None and domain.samples.group.tolist() == [0, 1, 0, 1]
    assert len(load_domain(table | {"where": {"year": {"min": 2003}}}, root).samples) == 2
    assert "There is no column 'bb'. Did you mean 'b'?" in refused_domain(table | {"features": ["bb"]}, root)
    assert "column 'sex' holds texts ('F'), not numbers" in refused_domain(table | {"features": ["sex"], "group": None}, root)
    words = {key: value for key, value in table.items() if key != "features"} | {"text": "sex", "size": 32}
    assert load_domain(words, root).samples.x.shape == (4, 32)


def test_datasets_reads_an_image_folder(photos: Path) -> None:
    table = {"reader": "datasets", "path": "photos/web", "image": "image", "label": "label", "size": 8}
    domain = load_domain(table, photos)
    assert domain.classes == ("cat", "dog") and domain.samples.x.shape == (4, 3, 8, 8)
    assert domain.samples.x[0, :, 0, 0].tolist() == [0, 200, 30]


def test_an_image_cell_cannot_name_a_file_outside(tmp_path: Path) -> None:
    import datasets

    (tmp_path / "secret.png").write_bytes(encoded_image("red"))
    (tmp_path / "things").mkdir()
    features = datasets.Features({"image": datasets.Image(), "y": datasets.Value("int64")})
    rows = {"image": [{"bytes": None, "path": str(tmp_path / "secret.png")}], "y": [0]}
    import pyarrow.parquet as pq

    table = datasets.Dataset.from_dict(rows, features=features).data.table
    pq.write_table(table, tmp_path / "things" / "train.parquet")
    declared = {"reader": "datasets", "path": "things", "image": "image", "label": "y", "size": 8}
    assert "is no file of the data set's folder" in refused_domain(declared, tmp_path)


def test_a_hub_data_set_is_found_below_the_root_or_named(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import huggingface_hub.constants

    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(root / "cache"))
    message = refused_domain(HUB, root)
    assert f"'someone/things' at {COMMIT} is not on this machine, and --download is not given" in message
    assert (
        f"hf download someone/things --repo-type dataset --revision {COMMIT} --local-dir hub/someone/things/{COMMIT}" in message
    )
    folder = root / "hub" / "someone" / "things" / COMMIT
    folder.mkdir(parents=True)
    (root / "d.parquet").rename(folder / "train.parquet")
    assert load_domain(HUB, root).samples.x.shape == (4, 2)
    assert "not a whole data set" in refused_domain(HUB | {"split": "test"}, root)
    own = data.readers.get("datasets")
    options = own.Options.model_validate({key: value for key, value in HUB.items() if key != "reader"})
    assert own.sources(options, root) == [folder / "train.parquet"]  # type: ignore[attr-defined]
    (folder / "train.parquet").unlink()
    (folder / "things.py").write_text("raise SystemExit('code of a data set was run')")
    assert "not a whole data set" in refused_domain(HUB, root)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"revision": "main"}, "revision = 'main' "),
        ({"revision": None}, "hub needs a revision (the commit, 40 hex digits)"),
        ({"path": "d.csv"}, "Give either hub = 'owner/name' or path"),
        ({"text": "a"}, "Give one of image, text and features"),
        ({"features": None, "text": "a"}, "image and text need a size"),
        ({"hub": "../things"}, "hub = '../things' "),
    ],
)
def test_errors_in_the_keys_of_datasets(change: dict[str, Any], message: str) -> None:
    table = {key: value for key, value in (HUB | change).items() if value is not None}
    if change.get("hub") == "../things":
        table["hub"] = "../things/more"
        message = "hub = '../things/more' "
    assert any(message in sentence for sentence in declaration_errors(table)), declaration_errors(table)
