"""A folder in which the tiny suite has run."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest
from command_line import fresh_tlbench
from tiny_suite import SUITE, write_domains

FIVE_ENTRIES = (
    SUITE
    + """
[methods.strong]
method = "coral"
weight = 5.0
[methods.nearest_neighbor]
[methods.target_only]
"""
)


@pytest.fixture(scope="session")
def first_run(tmp_path_factory) -> tuple[Path, subprocess.CompletedProcess[str]]:
    """A folder where a suite has run once, and how that run ended. Tests only read in it."""
    folder = tmp_path_factory.mktemp("first_run")
    write_domains(folder)
    (folder / "tiny.toml").write_text(FIVE_ENTRIES)
    return folder, fresh_tlbench("run", "tiny.toml", cwd=folder)


@pytest.fixture
def copy_of_run(first_run, tmp_path) -> Path:
    """A copy of that folder."""
    return Path(shutil.copytree(first_run[0], tmp_path / "copy"))


@pytest.fixture
def tiny(tmp_path) -> Path:
    """A folder with the tiny suite and its domains, where nothing has run."""
    write_domains(tmp_path)
    (tmp_path / "tiny.toml").write_text(SUITE)
    return tmp_path
