"""Contract checks of methods, backbones, suites and results files; the tests and `tlbench check` run the same ones.

A check returns, or raises TlbenchError with the rule and what was seen instead.
"""

from __future__ import annotations

from tlbench.checks.backbone import BACKBONE_CHECKS, check_backbone
from tlbench.checks.contribution import check_contribution
from tlbench.checks.host_sync import host_syncs
from tlbench.checks.method import METHOD_CHECKS, check_method
from tlbench.checks.results import check_results
from tlbench.checks.suite import check_suite, check_suite_data, suite_warnings
from tlbench.checks.toy_task import fit_method, predict_scores, scores_after_fit, toy_samples, toy_suite, toy_task

__all__ = [
    "BACKBONE_CHECKS",
    "METHOD_CHECKS",
    "check_backbone",
    "check_contribution",
    "check_method",
    "check_results",
    "check_suite",
    "check_suite_data",
    "fit_method",
    "host_syncs",
    "predict_scores",
    "scores_after_fit",
    "suite_warnings",
    "toy_samples",
    "toy_suite",
    "toy_task",
]
