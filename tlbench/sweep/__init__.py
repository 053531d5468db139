"""Hyperparameter search over a method's options, with trials selected by a rule that sees no scored sample.

Optuna (https://optuna.org) proposes trials, in a study stored in an SQLite file; the pools of `tlbench.runner` run them.
"""

from tlbench.sweep.rules import RULES, Rule, rules
from tlbench.sweep.search import SweepResult, run_sweep
from tlbench.sweep.search_space import Range, search_space
from tlbench.sweep.tuning import tune_by_rule, tuning_suites

__all__ = ["RULES", "Range", "Rule", "SweepResult", "rules", "run_sweep", "search_space", "tune_by_rule", "tuning_suites"]
