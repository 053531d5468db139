"""Where a selection rule ranks by its mean regret, on other suites on file and in published tables."""

from __future__ import annotations

import pandas as pd

from tlbench.reports import published_regrets
from tlbench.reports.statistics.regrets import rule_regrets

TRIVIAL = ("last", "random", "step_0", "k_labels_1", "k_labels_5", "k_labels_10")
"""Rules that are references, so that none of them has a rank."""


def adapting_cases(chosen: pd.DataFrame) -> pd.DataFrame:
    """The cases of methods that adapt, beside an unadapted candidate."""
    return chosen[~chosen["is_baseline"].astype(bool) & chosen["unadapted"].notna()]


def ranked_rules(adapting: pd.DataFrame) -> list[str]:
    """The rules without target labels, the one of the smallest mean regret first.

    Args:
        adapting: from `adapting_cases`, of one suite.
    """
    regrets = rule_regrets(adapting.rename(columns={"unadapted": "reference"}))
    return [str(rule) for rule in regrets.index if rule not in TRIVIAL]


def ranks_elsewhere(rule: str, chosen: pd.DataFrame, suite: str, version: int) -> str:
    """A sentence on where a rule ranks elsewhere; empty where there is no other suite or table that has it.

    Args:
        rule: the name of a rule.
        chosen: from `reports.rule_selections`, of all suites.
        suite: the suite that is left out.
        version: its version.
    """
    orders: dict[str, list[str]] = {}
    adapting = adapting_cases(chosen)
    for (name, number), of_suite in adapting.groupby(["suite", "suite_version"], sort=False):
        if (name, number) != (suite, version):
            orders[f"on {name}"] = ranked_rules(of_suite)
    for name in published_regrets.names():
        table = published_regrets.load(name)
        orders[f"in {table.title.split(',')[0]}"] = table.ranking()
    ranks = [f"{order.index(rule) + 1} of {len(order)} {where}" for where, order in orders.items() if rule in order]
    return f"Elsewhere it ranks {', '.join(ranks)}." if ranks else ""
