"""Where the cache of decoded domains is: named by the environment, switched off, or in the user's cache."""

from __future__ import annotations

from pathlib import Path

import pytest

from tlbench.data import cache


def test_where_the_cache_is(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("TLBENCH_CACHE", str(tmp_path))
    assert cache.cache_folder() == tmp_path
    monkeypatch.setenv("TLBENCH_CACHE", "off")
    assert cache.cache_folder() is None
    monkeypatch.delenv("TLBENCH_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache.cache_folder() == tmp_path / "tlbench"
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert cache.cache_folder() == Path.home() / ".cache" / "tlbench"
