"""tlbench from Python: run suites, read their results, list what there is, and fit one method on arrays of your own."""

from __future__ import annotations

from tlbench.api.arrays import fit
from tlbench.api.lists import list_methods, list_suites
from tlbench.api.models import load_model
from tlbench.api.runs import report, run
from tlbench.session import load_suite

__all__ = ["fit", "list_methods", "list_suites", "load_model", "load_suite", "report", "run"]
