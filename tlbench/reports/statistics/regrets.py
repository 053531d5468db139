"""The regret of selection rules against an oracle: the same numbers for the records here and for published tables."""

from __future__ import annotations

import numpy as np
import pandas as pd

COLUMNS = ("cells", "mean", "median", "worst", "below reference")
"""Of one rule: the number of cells, three regrets in points, and the share in per cent of cells below the reference."""


def rule_regrets(choices: pd.DataFrame) -> pd.DataFrame:
    """The regret of each rule, by the name of the rule; the smallest mean comes first.

    The regret of a cell is the accuracy that the oracle chooses, minus that of the rule. Cells without one of the two are
    left out.

    Args:
        choices: one line a rule and cell, accuracies as shares: `rule`, `accuracy`, `oracle` and, where cells are compared
            with a model that is not adapted, its accuracy as `reference`.

    Returns:
        The columns `COLUMNS`; "below reference" is NaN where no cell has a reference.
    """
    cells = choices.assign(regret=100 * (choices["oracle"] - choices["accuracy"]))
    cells = cells[cells["regret"].notna()]
    if "reference" not in cells:
        cells = cells.assign(reference=np.nan)
    compared = cells[cells["reference"].notna()]
    below = 100 * (compared["accuracy"] < compared["reference"]).groupby(compared["rule"]).mean()
    grouped = cells.groupby("rule")["regret"]
    regrets = pd.DataFrame(
        {"cells": grouped.size(), "mean": grouped.mean(), "median": grouped.median(), "worst": grouped.max()}
    )
    regrets["below reference"] = below.reindex(regrets.index).astype(float)
    return regrets[list(COLUMNS)].sort_values("mean", kind="stable")
