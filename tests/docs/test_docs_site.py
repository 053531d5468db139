"""The documentation site builds without a warning: every page is in its navigation, every link and every reference resolves."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def build(*options: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", *options]
    environment = {**os.environ, "NO_MKDOCS_2_WARNING": "1"}
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=300, check=False)


def test_the_documentation_builds_without_a_warning(tmp_path):
    process = build("--site-dir", str(tmp_path / "site"))
    assert process.returncode == 0, process.stdout + process.stderr
    page = (tmp_path / "site" / "api" / "methods" / "index.html").read_text(encoding="utf-8")
    assert "DeepMethod" in page and "target_labeled" in page
    assert "load_suite" in (tmp_path / "site" / "api" / "index.html").read_text(encoding="utf-8")


def test_a_link_that_leads_nowhere_fails_the_build(tmp_path):
    text = (ROOT / "mkdocs.yml").read_text(encoding="utf-8")
    pages = tmp_path / "docs"
    pages.mkdir()
    (pages / "index.md").write_text("[nowhere](nowhere.md)\n", encoding="utf-8")
    head, _, _ = text.partition("nav:")
    (tmp_path / "mkdocs.yml").write_text(head, encoding="utf-8")
    process = build("--config-file", str(tmp_path / "mkdocs.yml"), "--site-dir", str(tmp_path / "site"))
    assert process.returncode != 0 and "nowhere.md" in process.stdout + process.stderr  # --quiet would hide it from --strict
