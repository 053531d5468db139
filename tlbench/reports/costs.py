"""The tables of costs: speed, time, memory and energy."""

from __future__ import annotations

import numpy as np
import pandas as pd

from tlbench.reports import captions
from tlbench.reports.frames import Cube, counted, cube
from tlbench.reports.table import Table, figures, text_cells, tidy

_MACHINE = ("device", "cpu", "cores", "precision", "batch")
_UNITS = {
    "train_samples_per_second": "samples/s",
    "predict_samples_per_second": "samples/s",
    "train_seconds": "seconds",
    "peak_memory_bytes": "bytes",
    "energy_joules": "joules",
}
_MIB, _GIB = 2**20, 2**30


def throughput(frame: pd.DataFrame) -> list[Table]:
    """Medians over the cases done, one table per machine, precision and batch size; rows in the order of accuracy.

    A case that ran on two machines counts on both. Takes the frame of one suite.
    """
    scores = cube(frame)
    done = counted(frame, by=_MACHINE)
    done = done[done["status"] == "done"]
    groups = done.groupby(list(_MACHINE), sort=False, dropna=False)
    return [_costs(scores, group) for _, group in groups]


def _costs(scores: Cube, group: pd.DataFrame) -> Table:
    rows = scores.rows[scores.rows.isin(group["row"])]
    by_row = group.astype(dict.fromkeys(_UNITS, "float64")).groupby("row", sort=False)
    medians = by_row[list(_UNITS)].median().reindex(rows)
    value = {quantity: medians[quantity].to_numpy(dtype=np.float64) for quantity in _UNITS}
    cases_R = by_row.size().reindex(rows).to_numpy()
    large = bool((value["peak_memory_bytes"] >= _GIB).any())
    energy_read = bool(np.isfinite(value["energy_joules"]).any())
    text = {
        "cases": [str(cases) for cases in cases_R],
        "train samples/s": figures(value["train_samples_per_second"]),
        "predict samples/s": figures(value["predict_samples_per_second"]),
        "train seconds": figures(value["train_seconds"]),
        f"peak memory {'GiB' if large else 'MiB'}": figures(value["peak_memory_bytes"] / (_GIB if large else _MIB)),
        **({"energy J": figures(value["energy_joules"])} if energy_read else {}),
    }
    where = _where(group)
    return Table(
        suite=scores.name,
        kind="throughput",
        title=f"{scores.name}: throughput on {where}",
        caption=captions.joined(
            "Medians over the cases done; compare within one machine, precision and batch size: within this table.",
            "Train seconds of a solved method is its fit." if (group["kind"] == "solved").any() else "",
            "Blank: not measured." if medians[[c for c in _UNITS if c != "energy_joules"]].isna().any(axis=None) else "",
            "" if energy_read else "Energy: not readable on this machine.",
            captions.mixtures(group),
        ),
        cells=text_cells(rows, text),
        data=tidy(
            scores,
            f"throughput on {where}",
            rows,
            of_row={"cases": (cases_R, "cases")} | {quantity: (value[quantity], unit) for quantity, unit in _UNITS.items()},
            of_cell={},
        ),
    )


def _where(group: pd.DataFrame) -> str:
    """Machine, precision and batch size of a group, in words."""
    device, cpu, cores, precision, batch = (
        None if group[column].isna().iloc[0] else str(group[column].iloc[0]) for column in _MACHINE
    )
    host = ", ".join(part for part in (cpu, cores and f"{cores} core{'' if cores == '1' else 's'}") if part)
    return f"{device}{f' ({host})' if host else ''}, {precision}, {f'batch {batch}' if batch else 'no batches'}"
