"""The table of accuracy over the stream, and its plot."""

from __future__ import annotations

import numpy as np
import pytest
from toy_records import record, value

from tlbench import plots, reports
from tlbench.plots.stream import stream_curves

WINDOWS = {"source_only": [0.5] * 8, "tent": [0.8, 0.8, 0.6, 0.6, 0.4, 0.4, 0.2, 0.2]}


def streamed(**more):
    """Records of two entries on two streams; the second seed is 0.1 better in each window."""
    costs = {"source_only": {}, "tent": {"stream_peak_memory_bytes": 3 * 2**20}}
    return [
        record(
            entry,
            pair,
            seed,
            scores={"target_accuracy": float(np.mean(windows)), "online_accuracy": [w + 0.1 * seed for w in windows]},
            cost={"predict_samples_per_second": 500.0, **costs[entry]},
            **more,
        )
        for entry, windows in WINDOWS.items()
        for pair in ("a:b", "a:b>c")
        for seed in range(2)
    ]


def test_quarters_and_windows_are_means_over_seeds():
    (table,) = reports.tables(reports.frame(streamed()), "stream")
    assert [value(table, "tent", f"quarter_{q}", "a:b") for q in (1, 2, 3, 4)] == pytest.approx([85, 65, 45, 25])
    assert [value(table, "tent", f"window_{w}", "a:b>c") for w in (1, 8)] == pytest.approx([85, 25])
    assert table.cells.loc["tent", "a:b"] == "85 65 45 25"
    assert value(table, "tent", "milliseconds_per_sample") == pytest.approx(2.0)
    assert value(table, "tent", "stream_peak_memory_bytes") == 3 * 2**20
    assert value(table, "source_only", "stream_peak_memory_bytes") is None


def test_a_suite_without_a_stream_has_no_such_table():
    assert reports.tables(reports.frame([record(), record("tent")]), "stream") == []
    mixed = reports.frame([*streamed()[:4], record("tent", "a:b", 0)])
    (table,) = reports.tables(mixed, "stream")
    assert list(table.cells.index) == ["source_only"]


def test_a_stream_is_a_panel_with_a_curve_for_each_entry():
    (table,) = reports.tables(reports.frame(streamed()), "stream")
    with plots.styled():
        figure = stream_curves(table)
    assert [axes.get_title() for axes in figure.axes] == ["a:b", "a:b>c"]
    heights = {line.get_label(): list(line.get_ydata()) for line in figure.axes[0].lines}
    assert heights["tent"] == pytest.approx([85, 85, 65, 65, 45, 45, 25, 25])
    assert list(figure.axes[0].lines[0].get_xdata()) == pytest.approx([6.25 + 12.5 * k for k in range(8)])
    records = streamed()
    assert "stream" in {plot.kind for plot in plots.suite_plots([table], "source_only", plots.traces(records))}
