"""The regrets of selection rules that follow from the files of a publication, beside those on file here."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd
from tabulate import tabulate

from tlbench.reports.published_regrets import RegretTable

TOLERANCE = 0.1
"""The largest difference of two mean regrets that count as equal, in points."""


def is_reproduced(table: RegretTable, regrets: Mapping[str, pd.DataFrame]) -> bool:
    """Whether all mean regrets of a table are within `TOLERANCE` of those that follow from its files.

    Args:
        table: its figures.
        regrets: from `published_regrets.group_regrets`.
    """
    return all(
        group in regrets and rule in regrets[group].index and abs(float(regrets[group]["mean"][rule]) - figure) <= TOLERANCE
        for group, figures in table.figures.items()
        for rule, figure in figures.items()
    )


def text(table: RegretTable, regrets: Mapping[str, pd.DataFrame], format: str = "text") -> str:
    """A table of rules for each group: the mean regret computed and on file, the median, the worst, and harm.

    Args:
        table: the published table.
        regrets: from `published_regrets.group_regrets`.
        format: "text" or "markdown".
    """
    lines = [f"{table.title}: regret in points against {table.oracle}, computed / on file"]
    style = "pipe" if format == "markdown" else "simple"
    for group, of_group in regrets.items():
        cells = []
        for rule, row in of_group.iterrows():
            figure = table.figures[group].get(str(rule))
            mean = f"{row['mean']:.1f}" + ("" if figure is None else f" / {figure:.1f}")
            here = table.rules.get(str(rule), "")
            below = "" if pd.isna(row["below reference"]) else f"{row['below reference']:.0f} %"
            cells.append([str(rule), here, int(row["cells"]), mean, f"{row['median']:.1f}", f"{row['worst']:.1f}", below])
        headers = [f"rule ({group})", "rule here", "cells", "mean", "median", "worst", f"below {table.reference}"]
        lines += ["", tabulate(cells, headers, tablefmt=style, disable_numparse=True)]
    return "\n".join([*lines, "", f"Files of {table.url} at {table.commit[:12]}. Licence: {table.licence}."])
