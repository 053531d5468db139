"""Saved benches, ours and those of pytest-benchmark, read as times by name, so that two files can be compared."""

from __future__ import annotations

import json
import statistics
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tlbench.errors import TlbenchError
from tlbench.plain_files import parse_json, read_plain

_SETTINGS_OF_OLD = {"trunk": "backbone", "rows": "samples"}
"""Settings of schema 1, and what they are called now."""
MAX_FILE_BYTES = 2**26
KIND = "tlbench bench"
"""Identifies a saved bench of tlbench among JSON files."""


@dataclass(frozen=True)
class Time:
    """Seconds of one measurement: the median, and quartiles where the file has them."""

    median: float
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class Saved:
    """The times of a saved bench."""

    path: Path
    times: dict[str, Time]
    where: dict[str, Any]
    """Machine and settings; times are comparable where they agree."""


def read_bench(path: Path) -> Saved:
    """A file by `tlbench bench --out` or by `pytest --benchmark-json`.

    Raises:
        TlbenchError: no such file, not JSON, or neither of the two.
    """
    try:
        content = read_plain(path, MAX_FILE_BYTES)
    except FileNotFoundError as error:
        raise TlbenchError(f"There is no file {path}. `tlbench bench --out FILE` and `make bench` write one.") from error
    try:
        raw = parse_json(content.decode())
    except (UnicodeDecodeError, json.JSONDecodeError, TlbenchError) as error:
        raise TlbenchError(f"{path}: The file can't be read as JSON: {error}.") from error
    try:
        if isinstance(raw, dict) and raw.get("kind") == KIND:
            return _ours(path, raw)
        if isinstance(raw, dict) and "benchmarks" in raw:
            return _pytest_benchmark(path, raw)
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise TlbenchError(f"{path}: The saved bench lacks a key or holds a value of another type: {error!r}.") from error
    raise TlbenchError(
        f"{path}: The file is neither from `tlbench bench --out` nor from pytest-benchmark (`--benchmark-json`)."
    )


def _ours(path: Path, raw: dict[str, Any]) -> Saved:
    """Seconds of a training step and of a prediction, by method."""
    raw = upgraded(raw)
    times = {}
    for measured in raw["methods"]:
        cost, name = measured["cost"], measured["method"]
        if cost["step_seconds_median"] is not None:
            times[f"{name}: training step"] = Time(cost["step_seconds_median"])
        for batch, rate in (cost["predict_rates"] or {}).items():
            if int(batch) <= 64:  # the largest batch that fits differs from day to day
                times[f"{name}: prediction, {batch} at once"] = Time(int(batch) / rate)
    machine = {key: raw["machine"][key] for key in ("device", "cpu", "cores", "torch")}
    return Saved(path, times, {**machine, "threads": raw["threads"], **raw["settings"]})


def upgraded(bench: dict[str, Any]) -> dict[str, Any]:
    """A saved bench of any schema, with the keys of today's."""
    if bench["schema"] >= 2:
        return bench
    settings = {_SETTINGS_OF_OLD.get(key, key): value for key, value in bench["settings"].items()}
    methods = [
        {
            **{("reason" if key == "why" else key): value for key, value in measured.items()},
            "cost": {key.replace("optimiser", "optimizer"): value for key, value in measured["cost"].items()},
        }
        for measured in bench["rows"]
    ]
    return {**bench, "settings": settings, "methods": methods}


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
