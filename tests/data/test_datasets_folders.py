"""Local folders of the library `datasets`: a card may name files of its folder only."""

from __future__ import annotations

import gzip
import zipfile
from pathlib import Path

import pytest
from domain_tables import load_domain, refused_domain

from tlbench.data.decoding import files

FOLDER = {"reader": "datasets", "path": "set", "label": "y", "features": ["a"]}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "root" / "set").mkdir(parents=True)
    (tmp_path / "root" / "set" / "train.csv").write_text("a,y\n1,0\n2,1\n")
    (tmp_path / "secret.csv").write_text("a,y\n7,0\n8,1\n")
    return tmp_path / "root" / "set"


def test_a_card_may_choose_files_of_its_folder(folder: Path) -> None:
    (folder / "other.csv").write_text("a,y\n5,0\n6,1\n")
    card = '---\nconfigs:\n- config_name: default\n  data_files:\n  - {split: train, path: "tr*.csv"}\n---\nWords.\n'
    (folder / "README.md").write_text(card)
    assert load_domain(FOLDER, folder.parent).samples.x.tolist() == [[1], [2]]


@pytest.mark.parametrize(
    "path",
    ["../../secret.csv", "{secret}", "https://example.invalid/x.csv", "hf://datasets/a/b/x.csv", "zip://x.csv::../a.zip"],
)
@pytest.mark.parametrize("card", ["README.md", ".huggingface.yaml"])
def test_a_card_may_not_name_files_elsewhere_or_on_the_web(folder: Path, card: str, path: str) -> None:
    path = path.format(secret=folder.parents[1] / "secret.csv")
    text = f'configs:\n- config_name: default\n  data_files: "{path}"\n'
    (folder / card).write_text(f"---\n{text}---\n" if card.endswith(".md") else text)
    assert f"names {path!r}, which leaves the data set's folder" in refused_domain(FOLDER, folder.parent)


@pytest.mark.parametrize("text", ["---\nconfigs: {a: [\n---\n", "---\nconfigs: 3\n---\n", "\xff"])
def test_a_damaged_card_is_a_clear_error(folder: Path, text: str) -> None:
    (folder / "README.md").write_bytes(text.encode("latin-1"))
    assert "not a whole" in refused_domain(FOLDER, folder.parent)


def test_links_and_archives_of_a_folder(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "train.csv").unlink()
    (folder / "train.csv").symlink_to(folder.parents[1] / "secret.csv")
    assert "is a link that leaves" in refused_domain(FOLDER, folder.parent)
    (folder / "train.csv").unlink()
    with zipfile.ZipFile(folder / "train.zip", "w") as archive:
        archive.writestr("train.csv", "a,y\n1,0\n2,1\n")
    assert "train.zip: The file is an archive" in refused_domain(FOLDER, folder.parent)
    (folder / "train.zip").unlink()
    (folder / "train.csv.gz").write_bytes(gzip.compress(b"a,y\n" + b"1,1\n" * 2**20))
    assert len(load_domain(FOLDER, folder.parent).samples) == 2**20
    monkeypatch.setattr(files, "BOMB_BYTES", 2**20)
    monkeypatch.setattr(files, "BOMB_RATIO", 100)
    assert "decompression bomb" in refused_domain(FOLDER, folder.parent)
