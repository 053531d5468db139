"""Accuracy over the stream: how a method fares in each quarter of it, and what a sample costs there."""

from __future__ import annotations

import numpy as np
import pandas as pd

from tlbench.reports.frames import latest_records
from tlbench.reports.score_cube import score_cube
from tlbench.reports.statistics.intervals import Array
from tlbench.reports.table import Table, text_cells, three_digits, tidy
from tlbench.reports.tables import captions

QUARTERS = 4
WINDOW = "window_"
"""Begins the quantity of a window of the stream, before its number."""
_MIB = 2**20


def streams(frame: pd.DataFrame) -> list[Table]:
    """The table of accuracy over the stream of one suite: quarters by pair, milliseconds a sample, and memory.

    It is made where a suite declares a stream of four windows at least; the values are means over seeds, and the costs medians
    over the finished cases.
    """
    measured = latest_records(frame)
    windows = measured["online_accuracy"].map(lambda values: isinstance(values, list) and len(values) >= QUARTERS)
    measured = measured[(measured["status"] == "done") & windows]
    if not len(measured):
        return []
    scores = score_cube(frame)
    entries = scores.entries[scores.entries.isin(measured["entry"])]
    pairs = [str(pair) for pair in scores.pairs]
    count = int(measured["online_accuracy"].map(len).max())
    windows_MPW, quarters_MPQ = (np.full((len(entries), len(pairs), size), np.nan) for size in (count, QUARTERS))
    for key, cell in measured.groupby(["entry", "pair"], sort=False):
        of_seeds = 100 * np.array(cell["online_accuracy"].to_list())
        where = entries.get_loc(str(key[0])), pairs.index(str(key[1]))
        windows_MPW[where][: of_seeds.shape[1]] = of_seeds.mean(axis=0)
        quarters_MPQ[where] = [quarter.mean() for quarter in np.array_split(of_seeds.mean(axis=0), QUARTERS)]
    by_entry = measured.groupby("entry", sort=False)[["predict_samples_per_second", "stream_peak_memory_bytes"]].median()
    by_entry = by_entry.reindex(entries)
    milliseconds_M = 1000 / by_entry["predict_samples_per_second"].to_numpy(dtype=np.float64)
    memory_M = by_entry["stream_peak_memory_bytes"].to_numpy(dtype=np.float64)
    columns = {pair: [_quarters_text(one) for one in quarters_MPQ[:, number]] for number, pair in enumerate(pairs)}
    costs = {"ms per sample": three_digits(milliseconds_M), "stream peak MiB": three_digits(memory_M / _MIB)}
    of_entry = {"milliseconds_per_sample": (milliseconds_M, "ms"), "stream_peak_memory_bytes": (memory_M, "bytes")}
    of_cell = {f"quarter_{q + 1}": (quarters_MPQ[:, :, q], "per cent") for q in range(QUARTERS)}
    of_cell |= {f"{WINDOW}{w + 1}": (windows_MPW[:, :, w], "per cent") for w in range(count)}
    return [
        Table(
            suite=scores.name,
            kind="stream",
            title=f"{scores.name}: accuracy over the stream",
            caption=captions.join_sentences(
                "Accuracy in per cent in each quarter of the stream, in the order of the samples, means over seeds.",
                "Milliseconds and peak memory while the stream is predicted, adaptation included: medians over finished cases.",
                "Blank memory: the method does not adapt on the stream.",
            ),
            line="Accuracy in per cent in the four quarters of the stream, means over seeds; costs are medians.",
            notes="Blank memory: the method does not adapt on the stream.",
            cells=text_cells(entries, {**columns, **costs}),
            data=tidy(scores, "stream", entries, of_entry, of_cell),
            metric=scores.metric,
        )
    ]


def _quarters_text(quarters_Q: Array) -> str:
    return "" if np.isnan(quarters_Q).any() else " ".join(f"{value:.0f}" for value in quarters_Q)
