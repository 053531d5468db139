"""The registry of readers, with those of third-party packages."""

from __future__ import annotations

from importlib import metadata
from pathlib import Path

import pytest
from domain_tables import declaration_errors, load_domain

from tlbench import data
from tlbench.errors import TlbenchError


def test_readers_of_third_party_packages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
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
    monkeypatch.setattr(data.readers, "_third_party", lambda: points)
    assert "theirs" in data.readers.names() and data.readers.names().count("npz") == 1
    assert load_domain({"reader": "theirs", "rows_": 3}, tmp_path).samples.x.shape == (3, 2)
    assert declaration_errors({"reader": "theirs", "row_": 3})
    assert load_domain({"reader": "scikit_learn", "name": "iris"}, tmp_path).classes[0] == "setosa"
    assert data.readers.summaries()["theirs"] == "Ones, as many as are asked for."
    assert "can't be imported" in data.readers.summaries()["gone"]
    with pytest.raises(TlbenchError, match=r"The reader 'none' .* needs a pydantic model `Options`"):
        data.readers.get("none")
    with pytest.raises(TlbenchError, match=r"The reader 'gone' .* can't be imported: ModuleNotFoundError"):
        data.readers.get("gone")
