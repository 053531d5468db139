"""Selection rules over all suites with candidates on file: the mean regret of each, and against the last step."""

from __future__ import annotations

import numpy as np
import pandas as pd

from tlbench.reports.across.methods import ALL_SUITES
from tlbench.reports.statistics.intervals import MIN_SEEDS, Estimate, moments, satterthwaite_margin
from tlbench.reports.table import Table, estimate_texts, number_text, tidy_lines
from tlbench.reports.tables.captions import plural
from tlbench.reports.tables.rule_ranks import TRIVIAL, adapting_cases

LAST = "last"
"""The rule that others are compared with: it takes the last step of the budget."""


def rule_table(chosen: pd.DataFrame | None) -> list[Table]:
    """The table of the rules that every suite with candidates has; none without candidates on file.

    Args:
        chosen: from `reports.rule_selections`.
    """
    regrets = _regrets(chosen)
    if regrets.empty:
        return []
    suites = list(regrets["suite"].unique())
    of_rule = {str(rule): of for rule, of in regrets.groupby("rule") if of["suite"].nunique() == len(suites)}
    means = {rule: over_cases(of, "regret") for rule, of in of_rule.items()}
    order = sorted(means, key=lambda rule: (float(means[rule].mean[0]), rule))
    versus = {rule: over_cases(of, "against_last") for rule, of in of_rule.items()}
    columns: dict[str, list[str]] = {
        "regret": [estimate_texts(means[rule])[0] for rule in order],
        "against last": ["" if rule == LAST else estimate_texts(versus[rule], signed=True)[0] for rule in order],
        "refused %": [number_text(100 * float(over_cases(of_rule[rule], "refused").mean[0]), 0) for rule in order],
    }
    for suite in suites if len(suites) > 1 else ():
        of_suite = {rule: over_cases(of[of["suite"] == suite], "regret") for rule, of in of_rule.items()}
        columns[suite] = [number_text(float(of_suite[rule].mean[0])) for rule in order]
    cells = pd.DataFrame(columns, index=pd.Index(order, name="rule"), dtype=object)
    line = (
        "Regret: accuracy of the oracle, which reads target labels, minus that of the selected candidate, in points, over the "
        "methods that adapt; ± margin of error of the 95 % CI for other seeds on these pairs."
    )
    notes = (
        f"{best_rule(chosen)} Against last: regret minus that of the last step; below zero is a gain. Refused: share of the "
        "cases in which the rule selects the unadapted model."
    )
    numbers = [(rule, "regret", float(means[rule].mean[0]), "percentage points") for rule in order]
    names = ("subgroup", "quantity", "value", "unit")
    return [
        Table(
            suite=ALL_SUITES,
            kind="rules",
            title=f"Selection rules on {plural(len(suites), 'suite')} with candidates",
            caption=f"{line} {notes}",
            cells=cells,
            data=tidy_lines(numbers, names, suite=ALL_SUITES, suite_version=0, table="rules", entry=""),
            line=line,
            notes=notes,
        )
    ]


def best_rule(chosen: pd.DataFrame | None) -> str:
    """A sentence on the rule without target labels that has the lowest mean regret; empty without candidates on file.

    Args:
        chosen: from `reports.rule_selections`.
    """
    regrets = _regrets(chosen)
    suites = regrets["suite"].nunique()
    means = {
        str(rule): over_cases(of, "regret")
        for rule, of in regrets.groupby("rule")
        if of["suite"].nunique() == suites and rule not in set(TRIVIAL) - {LAST}
    }
    ranked = sorted((rule for rule in means if rule != LAST), key=lambda rule: (float(means[rule].mean[0]), rule))
    if not ranked:
        return ""
    best = ranked[0]
    refusing = ", which always refuses to adapt," if (regrets[regrets["rule"] == best]["refused"] == 1).all() else ""
    over = f"{plural(suites, 'suite')} with candidates"
    last = f"; the last step loses {estimate_texts(means[LAST])[0]}" if LAST in means else ""
    return (
        f"Of the {len(ranked)} rules without target labels, {best}{refusing} has the lowest mean regret on {over}: it loses "
        f"{estimate_texts(means[best])[0]} points to the oracle (95 % CI for other seeds on these pairs){last}."
    )


def over_cases(cases: pd.DataFrame, column: str) -> Estimate:
    """The mean of a column over suites of the means over their pairs, with the 95 % CI for other seeds on these pairs.

    A cell is the mean over the methods of a pair and a seed. Pairs weigh equally within a suite, and suites equally.

    Args:
        cases: with the columns suite, pair, seed and the one that is averaged.
        column: a column of numbers.
    """
    cells = cases.groupby(["suite", "pair", "seed"])[column].mean()
    suites = cells.index.get_level_values("suite").unique()
    means, v, df = [], [], []
    for suite in suites:
        of_pairs = [of.to_numpy(dtype=np.float64) for _, of in cells[suite].groupby(level="pair")]
        weight = 1.0 / (len(suites) * len(of_pairs))
        for runs_S in of_pairs:
            means.append(weight * runs_S.mean())
            v.append(weight**2 * float(moments(runs_S)[1]) / len(runs_S))
            df.append(len(runs_S) - 1.0)
    mean = np.array([sum(means)])
    if min(df, default=0.0) < MIN_SEEDS - 1:
        return Estimate(mean, np.array([np.nan]))
    return Estimate(mean, satterthwaite_margin(np.array([v]), np.array(df)))


def _regrets(chosen: pd.DataFrame | None) -> pd.DataFrame:
    """The regret in points of each rule on each case of a method that adapts, and that minus the regret of the last step."""
    columns = ["suite", "pair", "seed", "entry", "rule", "regret", "against_last", "refused"]
    if chosen is None:
        return pd.DataFrame(columns=columns)
    cases = adapting_cases(chosen)
    cases = cases.assign(
        suite=cases["suite"].astype(str) + " v" + cases["suite_version"].astype(str),
        regret=100 * (cases["oracle"] - cases["accuracy"]),
        against_last=100 * (cases["last"] - cases["accuracy"]),
        refused=cases["chose_unadapted"],
    )
    return cases[columns]
