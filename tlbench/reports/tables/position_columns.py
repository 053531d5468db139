"""The columns of positions per second in the table of throughput, where positions (tokens, pixels) have labels."""

from __future__ import annotations

import numpy as np
import pandas as pd

from tlbench.reports.statistics.intervals import Array
from tlbench.reports.table import three_digits

CAPTION = (
    "Positions: the tokens or pixels with a label, in training those that a step draws of each sample, in prediction all of a "
    "scored sample."
)
"""The sentence on these columns."""


def position_rates(group: pd.DataFrame, entries: pd.Index[str]) -> dict[str, Array]:
    """The medians (M,) of positions per second over the cases of each entry; empty where samples have one label each.

    Args:
        group: the finished cases.
        entries: M of them.
    """
    cases = group.astype(dict.fromkeys(("positions", "scored_positions", "scored_samples"), "float64"))
    scored = cases["scored_positions"] / cases["scored_samples"]
    rates = {
        "train_positions_per_second": cases["train_samples_per_second"] * cases["positions"],
        "predict_positions_per_second": cases["predict_samples_per_second"] * scored,
    }
    medians = {name: rate.groupby(cases["entry"], sort=False).median().reindex(entries) for name, rate in rates.items()}
    arrays = {name: median.to_numpy(dtype=np.float64) for name, median in medians.items()}
    return {name: rates_M for name, rates_M in arrays.items() if np.isfinite(rates_M).any()}


def position_columns(rates: dict[str, Array]) -> dict[str, list[str]]:
    """The columns of these rates."""
    return {name.split("_")[0] + " positions/s": three_digits(rates_M) for name, rates_M in rates.items()}
