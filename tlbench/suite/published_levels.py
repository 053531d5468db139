"""Published levels: what others report for the baseline of a suite, so that a delta is read beside the level it starts from.

A suite file names them in `[[published]]`. They decide no number of a case and belong to no identity.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from tlbench.errors import unknown_name
from tlbench.metrics import METRICS
from tlbench.suite.schema import MEAN, Protocol, PublishedLevel


def with_metric(levels: Sequence[PublishedLevel], metric: str) -> tuple[PublishedLevel, ...]:
    """The levels, each with a metric: that of the suite where it names none."""
    return tuple(level if level.metric else level.model_copy(update={"metric": metric}) for level in levels)


def levels_in(raw: Mapping[str, Any]) -> tuple[PublishedLevel, ...]:
    """The levels in the tables of a valid suite file, as `tomllib` reads them."""
    protocol = raw.get("protocol", {})
    default = Protocol.model_validate({"task": protocol.get("task", "classification")}).metric
    levels = [PublishedLevel.model_validate(table) for table in raw.get("published", ())]
    return with_metric(levels, protocol.get("metric", default))


def level_errors(levels: Sequence[PublishedLevel], entries: Sequence[str], pairs: Sequence[str]) -> list[str]:
    """A sentence for each level that does not fit its suite.

    Args:
        levels: those of the suite, each with its metric.
        entries: the method entries of the suite.
        pairs: its pairs, as they are written.
    """
    errors = []
    for number, level in enumerate(levels):
        where = f"published[{number}]"
        if level.entry not in entries:
            errors.append(unknown_name("method entry", level.entry, entries, f"{where}.entry"))
        if level.metric not in METRICS:
            errors.append(unknown_name("metric", level.metric, METRICS, f"{where}.metric"))
        for pair, value in level.values.items():
            if pair not in (MEAN, *pairs):
                errors.append(unknown_name("pair", pair, [MEAN, *pairs], f"{where}.values"))
            if level.metric in METRICS and METRICS[level.metric].unit == "per cent" and (value > 100 or 0 < value < 1):
                errors.append(f"{where}.values.{pair} = {value:g} is not in per cent. Give it as tables show it, such as 83.8.")
    return errors
