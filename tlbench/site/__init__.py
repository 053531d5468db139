"""Tables -> a static page: one file that asks for nothing from elsewhere, for a file system or any host."""

from __future__ import annotations

import os
from itertools import groupby
from pathlib import Path

import pandas as pd
from jinja2 import Environment, StrictUndefined

from tlbench.reports import Table, legible, tables
from tlbench.terms import TlbenchError

__all__ = ["build"]

_TEMPLATE = "index.html.j2"


def build(frame: pd.DataFrame, out: Path) -> Path:
    """Write all tables of the frame to `out`/index.html, whole or not at all, and return its path.

    Raises TlbenchError for a frame without records and for a place that can't be written to.
    """
    suites = [(suite, list(made)) for suite, made in groupby(tables(frame), key=lambda table: table.suite)]
    page = _page(suites, records=len(frame), last=str(frame["finished"].max()))
    path, part = out / "index.html", out / f".index.html.{os.getpid()}.part"
    try:
        out.mkdir(parents=True, exist_ok=True)
        try:
            part.write_text(page, encoding="utf-8")
            part.replace(path)
        finally:
            part.unlink(missing_ok=True)
    except OSError as error:
        raise TlbenchError(f"can't write the page to {out}: {error.strerror}; name another directory") from error
    return path


def _page(suites: list[tuple[str, list[Table]]], records: int, last: str) -> str:
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.filters["legible"] = lambda text: legible(str(text))
    template = environment.from_string(Path(__file__).with_name(_TEMPLATE).read_text(encoding="utf-8"))
    return template.render(suites=suites, records=records, last=last)
