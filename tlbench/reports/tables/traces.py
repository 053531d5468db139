"""Training curves: the traces of a suite's records by step, over all pairs and seeds of an entry."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import pandas as pd

from tlbench.terms import Record

QUANTITIES: Mapping[str, str] = {
    "loss": "training loss",
    "source_validation_accuracy": "held-out source accuracy (%)",
    "target_entropy": "entropy on target samples (nats)",
}
"""The quantities of a trace, none of them computed from target labels, and their labels on an axis."""


def traces(records: Iterable[Record]) -> pd.DataFrame:
    """The training curves of the records of one suite.

    Returns:
        A long frame with the columns `entry`, `step`, `quantity`, `median`, `low` and `high`: median and quartiles over the
        cases of the entry that have the step. It is empty where no record has a trace.
    """
    points = [
        (record.entry, point.step, quantity, value * (100.0 if quantity == "source_validation_accuracy" else 1.0))
        for record in records
        if record.status == "done"
        for point in record.scores.trace
        for quantity in QUANTITIES
        if (value := getattr(point, quantity)) is not None
    ]
    long = pd.DataFrame(points, columns=["entry", "step", "quantity", "value"]).astype({"value": "float64"})
    values = long.groupby(["entry", "step", "quantity"], sort=False)["value"]
    curves = pd.DataFrame({"median": values.median(), "low": values.quantile(0.25), "high": values.quantile(0.75)})
    return curves.reset_index()
