"""A run with candidates, whose files of predictions and facts are packed."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from packed_results import run_with_candidates


@pytest.fixture(scope="session")
def ran(tmp_path_factory) -> Path:
    """The folder of the run; no test changes it."""
    return run_with_candidates(tmp_path_factory.mktemp("ran"))


@pytest.fixture
def folder(ran, tmp_path) -> Path:
    """A copy of it."""
    shutil.copytree(ran, tmp_path / "copy")
    return tmp_path / "copy"
