"""The data of the interactive chart of a suite's page: the numbers of its tables of accuracy against cost."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from tlbench.metrics import METRICS
from tlbench.reports import Table, escape_control

COSTS = (
    ("train_seconds", "training time of a case", "s", True, 1.0),
    ("train_samples_per_second", "training throughput", "samples/s", False, 1.0),
    ("predict_samples_per_second", "prediction throughput", "samples/s", False, 1.0),
    ("peak_memory_bytes", "peak memory", "MiB", True, 2.0**-20),
    ("energy_joules", "energy", "J", True, 1.0),
)
"""Quantity, its title, its unit on the axis, whether less is better, and the factor to that unit."""


def accuracy_and_cost(tables: Sequence[Table], baseline: str | None) -> dict[str, Any] | None:
    """Machines with their points, and the costs that were measured; None where no table has two entries with both."""
    machines = []
    measured: set[str] = set()
    metric = ""
    for table in (table for table in tables if table.kind == "frontier"):
        wide = table.data.pivot(index="entry", columns="quantity", values="value").reindex(table.cells.index)
        points = []
        for entry, record in zip(wide.index, wide.to_dict("records"), strict=True):
            value = {str(key): None if np.isnan(number) else float(number) for key, number in record.items()}
            costs = {key: factor * cost for key, _, _, _, factor in COSTS if (cost := value.get(key)) is not None}
            measured |= set(costs)
            shown = {
                "name": escape_control(str(entry)),
                "baseline": entry == baseline,
                "score": value.get("score"),
                "delta": value.get("delta"),
            }
            points.append({**shown, **costs})
        if sum(point["score"] is not None for point in points) > 1:
            machines.append({"title": escape_control(table.title.split(" on ", 1)[-1]), "rows": points})
            metric = table.metric
    if not machines or not measured:
        return None
    of = METRICS[metric]
    costs_shown = [
        {"key": key, "title": title, "unit": unit, "less": less} for key, title, unit, less, _ in COSTS if key in measured
    ]
    return {"machines": machines, "costs": costs_shown, "metric": of.title, "unit": of.unit, "higher": of.higher_is_better}
