"""Saved benches: ours and those of pytest-benchmark, read into times by name, so that two files can be compared."""

from __future__ import annotations

import json
import statistics
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tlbench.errors import TlbenchError

KIND = "tlbench bench"
"""Says in a JSON file what it is."""


@dataclass(frozen=True)
class Time:
    """Seconds of one thing: the median, and quartiles where the file has them."""

    median: float
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class Saved:
    """A file of times."""

    path: Path
    times: dict[str, Time]
    where: dict[str, Any]
    """What must be alike for times to be compared: the machine and the settings."""


def read_bench(path: Path) -> Saved:
    """A file by `tlbench bench --out` or by `pytest --benchmark-json`.

    Raises:
        TlbenchError: no such file, not JSON, or neither of the two.
    """
    try:
        raw = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise TlbenchError(f"no file {path}; `tlbench bench --out FILE` and `make bench` write one") from error
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise TlbenchError(f"{path}: cannot be read as JSON: {error}") from error
    try:
        if isinstance(raw, dict) and raw.get("kind") == KIND:
            return _ours(path, raw)
        if isinstance(raw, dict) and "benchmarks" in raw:
            return _pytest_benchmark(path, raw)
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise TlbenchError(f"{path}: a saved bench with a part missing or of another kind: {error!r}") from error
    raise TlbenchError(f"{path}: neither by `tlbench bench --out` nor by pytest-benchmark (`--benchmark-json`)")


def _ours(path: Path, raw: dict[str, Any]) -> Saved:
    """Seconds a row of training and of prediction, by method."""
    times = {}
    for row in raw["rows"]:
        cost, name = row["cost"], row["method"]
        if cost["step_seconds_median"] is not None:
            times[f"{name}: training step"] = Time(cost["step_seconds_median"])
        for at_once, rate in (cost["predict_rates"] or {}).items():
            if int(at_once) <= 64:  # the largest that fits is another number on another day
                times[f"{name}: prediction, {at_once} at once"] = Time(int(at_once) / rate)
    machine = {key: raw["machine"][key] for key in ("device", "cpu", "cores", "torch")}
    return Saved(path, times, {**machine, "threads": raw["threads"], **raw["settings"]})


def _pytest_benchmark(path: Path, raw: dict[str, Any]) -> Saved:
    """Seconds of each benchmark; of one that took contenders in turn (`extra_info.seconds`), of each contender's rounds."""
    times = {}
    for one in raw["benchmarks"]:
        contenders = one.get("extra_info", {}).get("seconds")
        if contenders is None:
            times[one["fullname"]] = Time(one["stats"]["median"], one["stats"]["q1"], one["stats"]["q3"])
            continue
        for name, rounds in contenders.items():
            low, median, high = statistics.quantiles(rounds, n=4, method="inclusive")
            times[f"{one['fullname']}: {name}"] = Time(median, low, high)
    cpu = raw["machine_info"].get("cpu", {})
    return Saved(path, times, {"cpu": cpu.get("brand_raw"), "cores": cpu.get("count")})
