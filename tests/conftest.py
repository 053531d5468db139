from __future__ import annotations

import os
from pathlib import Path

import pytest

# tests leave no entry in the user's cache; those of the cache name a folder of their own
os.environ["TLBENCH_CACHE"] = "off"


@pytest.fixture(scope="session")
def data_root() -> Path:
    """The folder of real data: TLBENCH_DATA, else ../shared/data beside the project."""
    root = Path(os.environ.get("TLBENCH_DATA") or Path(__file__).parents[2] / "shared" / "data")
    if not root.is_dir():
        pytest.skip(f"no data root {root}; set TLBENCH_DATA")
    return root
