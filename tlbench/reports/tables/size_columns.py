"""The columns of sizes in the table of throughput: what a method trains last, and what a target needs."""

from __future__ import annotations

import numpy as np

from tlbench.reports.statistics.intervals import Array
from tlbench.reports.table import three_digits

SIZES = {
    "trainable_parameters": ("trained parameters", "parameters", ((1e9, "B"), (1e6, "M"), (1e3, "k"))),
    "adapter_bytes": ("adapter", "bytes", ((2**30, "GiB"), (2**20, "MiB"), (2**10, "KiB"))),
}
"""The sizes of what a method trains last: quantity -> the name of its column, its unit, and larger units by their factors."""
_SMALLEST_SHOWN = 0.01
"""A column of sizes is in the largest unit in which all of them are at least this."""
CAPTION = (
    "Trained parameters: those that learn last. Adapter: these and the batch statistics that move with them, which a target "
    "needs beside the network of the source; blank for a method of one phase."
)
"""The sentences on these columns."""


def size_columns(medians: dict[str, Array]) -> dict[str, list[str]]:
    """The columns of trained parameters and of the adapter's size, where they were measured."""
    columns = {}
    for quantity, (name, plain, units) in SIZES.items():
        values_M = medians[quantity]
        if not np.isfinite(values_M).any():
            continue
        smallest = np.nanmin(np.where(values_M > 0, values_M, np.inf))
        factor, unit = next((pair for pair in units if smallest / pair[0] >= _SMALLEST_SHOWN), (1, ""))
        columns[f"{name} {unit or plain}".removesuffix(" parameters")] = three_digits(values_M / factor)
    return columns
