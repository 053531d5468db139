"""Every command of a tutorial runs, and prints what the page shows, but for numbers that depend on the machine."""

from __future__ import annotations

from pathlib import Path

import pytest
from docs_pages import TUTORIALS, run_step, steps, without_numbers, write_files

PAGES = sorted(page.name for page in TUTORIALS.glob("*.md"))
FAST = {"my-csv.md"}
"""The pages that take seconds; the others are in the job of slow tests."""


@pytest.mark.parametrize("name", [name if name in FAST else pytest.param(name, marks=pytest.mark.slow) for name in PAGES])
def test_a_tutorial_prints_what_it_shows(name, tmp_path):
    text = (TUTORIALS / name).read_text(encoding="utf-8")
    write_files(text, tmp_path)
    for step in steps(text):
        output = run_step(step, tmp_path)
        if step.output is not None:
            assert without_numbers(output) == without_numbers(step.output[3])


def test_every_page_is_found_and_has_a_command():
    assert len(PAGES) >= 6
    assert all(list(steps((TUTORIALS / name).read_text(encoding="utf-8"))) for name in PAGES)
    assert Path(TUTORIALS, next(iter(FAST))).is_file()
