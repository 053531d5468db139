"""Paths stay in the data root, and files that are missing or unreadable are named."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from domain_tables import refused_domain
from small_files import NPZ, X, Y

from tlbench import data
from tlbench.data.decoding import files
from tlbench.errors import TlbenchError


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("../d.npz", "leaves the data root"),
        ("a/../../d.npz", "leaves the data root"),
        ("/etc/passwd", "leaves the data root"),
        ("a\0b", "leaves the data root"),
        ("link.npz", "is a link that leaves the data root"),
        ("linked/d.npz", "is a link that leaves the data root"),
        ("ring", "in the data root"),
        ("x" * 5000, "in the data root"),
        ("folder", "is a folder, not a file"),
        ("none.npz", "is not there"),
    ],
)
def test_paths_stay_in_the_root(tmp_path: Path, path: str, message: str) -> None:
    root = tmp_path / "root"
    (root / "folder").mkdir(parents=True)
    np.savez(tmp_path / "d.npz", x=X, y=Y)
    (root / "link.npz").symlink_to(tmp_path / "d.npz")
    (root / "linked").symlink_to(tmp_path)
    (root / "ring").symlink_to(root / "ring")
    text = refused_domain(NPZ | {"path": path}, root)
    assert text.startswith("domains.d: ") and message in text and str(root) in text


def test_the_error_of_a_missing_file_names_the_way_out(tmp_path: Path) -> None:
    text = refused_domain(NPZ, tmp_path / "none")
    assert "'d.npz'" in text and str(tmp_path / "none") in text and "that folder does not exist" in text
    assert "--data DIR" in text and "TLBENCH_DATA" in text


def test_the_data_root_is_given_or_in_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TLBENCH_DATA", "/there")
    assert data.resolve_data_root(Path("here"), None) == Path("here") and data.resolve_data_root(None, None) == Path("/there")
    monkeypatch.delenv("TLBENCH_DATA")
    assert data.resolve_data_root(None, Path("suites/a.toml")) == Path("suites")


def test_an_unreadable_file_is_named(tmp_path: Path) -> None:
    with (
        pytest.raises(TlbenchError, match=r"d\.npz: The file may not be read by this user"),
        files.guarded_reading(tmp_path / "d.npz", "npz"),
    ):
        raise PermissionError(13, "Permission denied")
