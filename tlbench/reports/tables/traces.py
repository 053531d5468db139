"""Training curves: what the traces of a suite's records say by step, over all pairs and seeds of a row."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import pandas as pd

from tlbench.terms import Record

QUANTITIES: Mapping[str, str] = {
    "loss": "training loss",
    "source_validation_accuracy": "held-out source accuracy (%)",
    "target_entropy": "entropy on target rows (nats)",
}
"""What a trace may hold, none of it from target labels, and how an axis names it."""


def traces(records: Iterable[Record]) -> pd.DataFrame:
    """Long frame: row, step, quantity, and the median, lower and upper quartile over the cases of the row that have the step.

    Empty where no record has a trace. Takes records of one suite.
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
    by = long.groupby(["entry", "step", "quantity"], sort=False)["value"]
    made = pd.DataFrame({"median": by.median(), "low": by.quantile(0.25), "high": by.quantile(0.75)})
    return made.reset_index()
