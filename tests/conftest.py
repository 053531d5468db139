from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import settings

# tests leave no entry in the user's cache; those of the cache name a folder of their own
os.environ["TLBENCH_CACHE"] = "off"

# property tests try the same examples each time, so that a green run stays one; HYPOTHESIS_PROFILE=default draws new ones
settings.register_profile("repeatable", derandomize=True, database=None)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "repeatable"))


@pytest.fixture(scope="session")
def data_root() -> Path:
    """The folder of real data: TLBENCH_DATA, else ../shared/data beside the project."""
    root = Path(os.environ.get("TLBENCH_DATA") or Path(__file__).parents[2] / "shared" / "data")
    if not root.is_dir():
        pytest.skip(f"no data root {root}; set TLBENCH_DATA")
    return root
