"""A bench -> a table: fastest training first, the device's limits on the last row."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from tabulate import tabulate

from tlbench.escaping import escape_control

FORMATS = {"text": "simple", "markdown": "pipe"}
_MIB = 2**20


def render(bench: Mapping[str, Any], format: str = "text") -> str:
    """The table of a bench, its conditions above and the meaning of its columns below; `format` is one of `FORMATS`."""
    rows = sorted(bench["methods"], key=lambda row: -(row["cost"]["train_samples_per_second"] or 0.0))
    done = [row for row in rows if row["status"] == "done"]
    header = [
        *("method", "train/s", "step ms", "p95", "data %", "fwd+bwd %", "optim %"),
        *("predict/s: 1", "64", "largest", "batch", "peak MiB", "MFLOP", "GFLOP/s", "limit %"),
    ]
    gpu = any(row["cost"]["energy_joules"] is not None for row in done)
    header += ["reserved MiB", "J"] if gpu else []
    cells = [[escape_control(row["method"]), *(figure(value) for value in table_values(row["cost"], gpu))] for row in done]
    cells.append(_limit(bench, done, len(header)))
    width = len(header) - 1
    table = tabulate(
        cells, headers=header, tablefmt=FORMATS[format], disable_numparse=True, colalign=("left", *["right"] * width)
    )
    left_out = [
        f"{row['method']}: {row['status']}, {escape_control(row['reason'] or '')}" for row in rows if row["status"] != "done"
    ]
    notes = [f"{row['method']}: {escape_control(note)}" for row in done for note in row["notes"]]
    return "\n\n".join(filter(None, [_title(bench), table, _caption(bench), "\n".join([*left_out, *notes])])) + "\n"


def table_values(cost: Mapping[str, Any], gpu: bool) -> list[float | None]:
    """The numbers of a method in the order of the table's columns; None where nothing was measured."""
    step = cost["step_seconds_median"]
    rates = {int(n): rate for n, rate in (cost["predict_rates"] or {}).items()}
    most = max((n for n in rates if n > 64), default=None)
    per_second = _product(cost["train_flops_per_sample"], cost["train_samples_per_second"])
    # shares of the mean step: the median would let them pass 100 %
    mean = _mean_step(cost)
    return [
        cost["train_samples_per_second"],
        _product(step, 1e3),
        _product(cost["step_seconds_p95"], 1e3),
        *(
            None if mean is None else _product(cost[f"step_{stage}_seconds"], 100 / mean)
            for stage in ("data", "forward_backward", "optimizer")
        ),
        rates.get(1),
        rates.get(64),
        None if most is None else rates[most],
        most,
        _product(cost["peak_memory_bytes"], 1 / _MIB),
        _product(cost["train_flops_per_sample"], 1e-6),
        _product(per_second, 1e-9),
        _product(per_second, 100 / cost["device_flops_per_second"]) if cost["device_flops_per_second"] else None,
        *([_product(cost["peak_reserved_bytes"], 1 / _MIB), cost["energy_joules"]] if gpu else []),
    ]


def _mean_step(cost: Mapping[str, Any]) -> float | None:
    """Mean seconds of a step: the sum of its timed stages, or the median step where that is longer."""
    stages = [cost[f"step_{stage}_seconds"] for stage in ("data", "forward_backward", "optimizer")]
    known = [seconds for seconds in stages if seconds is not None]
    return max(sum(known), cost["step_seconds_median"] or 0.0) if known else None


def _limit(bench: Mapping[str, Any], done: list[Any], columns: int) -> list[str]:
    precision = done[0]["precision"] if done else "fp32"
    limit = bench["limits"]["flops_per_second"].get(precision)
    cells = ["limit of the device"] + [""] * (columns - 1)
    cells[13:15] = [figure(_product(limit, 1e-9)), "100"]
    return cells


def _title(bench: Mapping[str, Any]) -> str:
    s, machine = bench["settings"], bench["machine"]
    shape = "x".join(map(str, s["shape"]))
    device = f"{machine['device']} ({machine['cpu']}, {bench['threads']} threads)"
    return escape_control(
        f"backbone {s['backbone']}, samples of {shape}, batch {s['batch']} of each split, {s['steps']} steps; {device}, "
        f"torch {machine['torch']}"
    )


def _caption(bench: Mapping[str, Any]) -> str:
    limits = bench["limits"]
    products = ", ".join(f"{name} {figure(v / 1e9)} GFLOP/s" for name, v in limits["flops_per_second"].items())
    lines = [
        f"Limits measured on the device: matrix product {products}; copy {figure(limits['copy_bytes_per_second'] / 1e9)} GB/s.",
        "train/s: source and target samples per second through the backbone, without warm-up, compilation and capture. Step:",
        "median and 95th percentile. data, fwd+bwd, optim: shares of a step. predict/s: samples per second at batch 1, at 64",
        "and at the largest batch that the device holds. MFLOP: of one sample, forward and backward. limit: GFLOP/s of a large",
        "matrix product. Blank: not measured, such as the stages of a step that runs as one graph.",
    ]
    return "\n".join(lines)


def _product(a: float | None, b: float | None) -> float | None:
    return None if a is None or b is None else a * b


def figure(value: float | None) -> str:
    """Three significant digits, whole from 100 on; what was not measured is blank."""
    if value is None or not math.isfinite(value):
        return ""
    return f"{value:,.0f}" if value >= 99.95 or value == int(value) else f"{value:#.3g}"
