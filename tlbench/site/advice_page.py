"""The advice on a suite as a page, in the style of the site; the page requests nothing from elsewhere."""

from __future__ import annotations

from pathlib import Path

import tlbench
from tlbench.site.output_files import Writer, slug
from tlbench.transferability.advice_output import Recommendation


def write_advice(recommendation: Recommendation, out: Path) -> Path:
    """Write the page and what it needs to a folder, and return the path of the page.

    Raises:
        TlbenchError: the folder cannot be written to.
    """
    writer = Writer(out, {"version": tlbench.__version__})
    writer.assets()
    levels = [(name, f"{level:.1f}") for name, level in recommendation.backbone.levels.items()]
    path = f"recommendation-{slug(recommendation.suite)}.html"
    return out / writer.page("advice.html.j2", path, advice=recommendation, sections=recommendation.sections(), levels=levels)
