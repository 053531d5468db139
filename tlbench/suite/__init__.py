"""Suites: a TOML file becomes a checked Suite, which expands to a list of Cases.

This package does not know methods or backbones: callers pass functions that check their names and options.
"""

from __future__ import annotations

from tlbench.suite.hashing import digest
from tlbench.suite.loading import (
    SuiteCheck,
    load_suite,
    locate_suite,
    parse_suite,
    shipped_published_levels,
    shipped_suites,
    shipped_sweep_levels,
    shipped_version,
)
from tlbench.suite.pairs import SEQUENCE
from tlbench.suite.schema import MEAN, MethodEntry, NamedFile, Network, Protocol, PublishedLevel, Selection, Training
from tlbench.suite.streams import Stream
from tlbench.suite.suite import Suite
from tlbench.suite.sweeps import LabelBudget

__all__ = [
    "MEAN",
    "SEQUENCE",
    "LabelBudget",
    "MethodEntry",
    "NamedFile",
    "Network",
    "Protocol",
    "PublishedLevel",
    "Selection",
    "Stream",
    "Suite",
    "SuiteCheck",
    "Training",
    "digest",
    "load_suite",
    "locate_suite",
    "parse_suite",
    "shipped_published_levels",
    "shipped_suites",
    "shipped_sweep_levels",
    "shipped_version",
]
