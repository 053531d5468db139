"""Pictures: what they show is what the tables say, both files are there, and no name is more than text."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from dataclasses import replace
from itertools import combinations

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from site_records import HOSTILE, record

from tlbench import plots, reports
from tlbench.errors import TlbenchError
from tlbench.plots import curves, style
from tlbench.plots.cost import accuracy_and_cost
from tlbench.plots.critical_difference import critical_difference
from tlbench.plots.delta_heat_map import heat_map
from tlbench.plots.selection_gap import selection_gap
from tlbench.reports.tables.traces import traces
from tlbench.terms import Scores, TracePoint

ROWS = {"source_only": 0.6, "dann": 0.5, "coral": 0.7, HOSTILE: 0.65, r"$\frac$": 0.55}


def made(pairs=(("a", "b"), ("b", "a"), ("a", "c")), rows=ROWS, **changes):
    """Records of several rows; the seeds scatter a little, and each row has speeds of its own."""
    return [
        record(
            row,
            at + seed / 1000 - number / 50,
            seed,
            pair=pair,
            **{"cost": {"train_seconds": 1.0 + place, "train_samples_per_second": 1e5 / (1 + place)}, **changes},
        )
        for place, (row, at) in enumerate(rows.items())
        for number, pair in enumerate(pairs)
        for seed in range(3)
    ]


def tables(some, kind):
    return [table for table in reports.tables(reports.frame(some)) if table.kind == kind]


def texts(figure):
    return [text.get_text() for axes in figure.axes for text in axes.texts]


@pytest.fixture(autouse=True)
def inside():
    with plots.styled():
        yield


def test_a_heat_map_has_the_numbers_and_marks_of_its_table():
    (table,) = tables(made(), "transfer")
    figure = heat_map(table)
    shown = texts(figure)
    assert shown.count("\N{MINUS SIGN}10.0\N{THIN SPACE}▼") == 4 and shown.count("+10.0\N{THIN SPACE}▲") == 4
    names = [tick.get_text() for tick in figure.axes[0].get_xticklabels()]
    assert names == [style.display_name(row) for row in table.cells.index] and r"$\frac$" in names
    assert [tick.get_text() for tick in figure.axes[0].get_yticklabels()] == ["mean of all pairs", "a:b", "b:a", "a:c"]
    assert "percentage points" in figure.axes[1].get_xlabel()


def test_a_cell_that_is_missing_is_not_nought():
    some = [one for one in made() if (one.entry, one.pair) != ("dann", "a:b")]
    (table,) = tables(some, "transfer")
    shown = texts(heat_map(table))
    assert shown.count("\N{EN DASH}") == 2  # the cell and its row's mean
    assert heat_map(tables([one for one in made() if one.entry in ("dann", "coral")], "transfer")[0]) is None


def test_blue_is_better_also_where_lower_is_better():
    for metric, better in (("target_accuracy", 1), ("rmse", -1)):
        some = [
            one.model_copy(update={"metric": metric, "scores": Scores(target_accuracy=0.5, rmse=one.scores.target_accuracy)})
            if metric == "rmse"
            else one
            for one in made()
        ]
        (table,) = tables(some, "transfer")
        mesh = heat_map(table).axes[0].collections[0]
        value = np.ma.getdata(mesh.get_array())
        red, _, blue, _ = mesh.to_rgba(mesh.get_array().reshape(value.shape)).reshape(-1, 4).T
        gain = better * value.ravel()
        assert (blue[gain > 0.05] > red[gain > 0.05]).all() and (red[gain < -0.05] > blue[gain < -0.05]).all()


def test_the_critical_difference_diagram_has_every_rank_and_group():
    (table,) = tables(made(pairs=[(f"d{n}", "t") for n in range(8)]), "ranks")
    figure = critical_difference(table)
    shown = " ".join(texts(figure))
    for row, rank in zip(table.cells.index, table.cells["average rank"], strict=True):
        assert style.display_name(row) in shown and rank in shown
    assert "critical difference" in shown and "Friedman p" in shown
    groups = table.data.loc[table.data["quantity"] == "group", "subgroup"].nunique()
    bars = [line for line in figure.axes[0].lines if line.get_linewidth() == 2.6]
    assert len(bars) == groups > 0


def test_the_front_is_that_of_the_table_and_names_do_not_cover_each_other():
    (table,) = tables(made(), "frontier")
    figure = accuracy_and_cost(table, "source_only")
    left, right = figure.axes
    assert left.get_xscale() == right.get_xscale() == "log"
    assert "samples/s" in left.get_xlabel() and "(s)" in right.get_xlabel() and "per cent" in left.get_ylabel()
    front = {style.display_name(row, 22) for row in table.cells.index[table.cells["Pareto front"] == "yes"]}
    assert {text.get_text() for text in right.texts if text.get_fontweight() == "bold"} == front
    for axes in (left, right):
        boxes = [super(type(text), text).get_window_extent() for text in axes.texts]
        assert len(boxes) == len(ROWS)
        assert not any(one.overlaps(two) for one, two in combinations(boxes, 2))


def test_a_sweep_is_a_panel_with_its_levels_in_order():
    pairs = [("clean", f"noise_s{step}") for step in (10, 1, 2)] + [
        ("clean", "blur_s1"),
        ("clean", "blur_s2"),
        ("clean", "other"),
    ]
    (table,) = tables(made(pairs), "accuracy")
    figure = curves.sweep_curves(table)
    noise, blur = figure.axes
    assert (noise.get_title(), blur.get_title()) == ("clean:noise", "clean:blur") and noise.get_xlabel() == "severity"
    line = next(line for line in noise.lines if line.get_label() == "dann")
    assert line.get_xdata().tolist() == [1, 2, 10]
    cell = table.data[(table.data["entry"] == "dann") & (table.data["quantity"] == "mean")].set_index("pair")["value"]
    assert line.get_ydata().tolist() == [cell[f"clean:noise_s{step}"] for step in (1, 2, 10)]
    for axes in (noise, blur):
        low, high = axes.get_ylim()
        assert all(low <= y <= high for line in axes.lines for y in line.get_ydata()) and low >= -2 and high <= 102
    assert curves.sweep_curves(tables(made(), "accuracy")[0]) is None


def test_a_sweep_of_labels_is_drawn_against_labelled_samples():
    steps = (10, 1, 3)
    (table,) = tables(made([("clean", f"noisy_l{step}") for step in steps]), "accuracy")
    (panel,) = curves.sweep_curves(table).axes
    assert panel.get_xlabel() == "labelled target samples per class" and panel.get_xscale() == "log"
    assert panel.get_title() == "clean:noisy" and "per cent" in panel.get_ylabel()
    assert panel.get_xticks().tolist() == [1, 3, 10]
    line = next(line for line in panel.lines if line.get_label() == "dann")
    cell = table.data[(table.data["entry"] == "dann") & (table.data["quantity"] == "mean")].set_index("pair")["value"]
    assert line.get_ydata().tolist() == [cell[f"clean:noisy_l{step}"] for step in sorted(steps)]
    both = made([("clean", name) for name in ("noisy_l1", "noisy_l2", "noisy_s1", "noisy_s2")])
    panels = curves.sweep_curves(tables(both, "accuracy")[0]).axes
    assert [axes.get_xlabel() for axes in panels] == ["labelled target samples per class", "severity"]
    of_errors = [
        one.model_copy(update={"metric": "r2", "scores": Scores(r2=0.5)}) for one in made([("a", "b_l1"), ("a", "b_l2")])
    ]
    assert curves.sweep_curves(tables(of_errors, "accuracy")[0]).axes[0].get_xlabel() == "labelled target samples"


def test_a_name_of_endless_digits_is_no_step():
    long = [("a", f"b_s{digits}") for digits in ("1" * 5000, "2" * 5000)]
    assert curves.sweep_curves(tables(made(long), "accuracy")[0]) is None


def test_training_curves_are_medians_and_quartiles_of_the_traces():
    some = []
    for seed, loss in enumerate((1.0, 2.0, 9.0)):
        trace = [TracePoint(step=10, loss=loss), TracePoint(step=20, loss=loss / 2, target_entropy=0.1)]
        some.append(record("dann", 0.5, seed, scores=Scores(target_accuracy=0.5, trace=trace)))
    long = traces(some).set_index(["quantity", "step"])
    assert long.loc[("loss", 10), ["median", "low", "high"]].tolist() == [2.0, 1.5, 5.5]
    figure = curves.training_curves(traces(some), ["dann"])
    loss, entropy = figure.axes
    assert loss.lines[0].get_ydata().tolist() == [2.0, 1.0] and entropy.get_title() == "entropy on target samples (nats)"
    assert curves.training_curves(traces(made()), ["dann"]) is None


def test_every_picture_is_written_as_png_and_svg_and_looks_the_same_twice(tmp_path):
    rows = {row: ROWS[row] for row in ("source_only", "dann", HOSTILE)}
    some = made([("clean", f"{kind}_s{step}") for kind in ("noise", "blur") for step in range(2)], rows)
    first = plots.draw_plots(some, tmp_path / "one")
    assert [path.name for path in first] == [
        f"toy-v1-{kind}.{ending}" for kind in ("sweep", "ranks", "delta", "cost") for ending in ("png", "svg")
    ]
    again = plots.draw_plots(some, tmp_path / "two")
    for one, two in zip(first, again, strict=True):
        assert one.read_bytes() == two.read_bytes()
        if one.suffix == ".png":
            with Image.open(one) as image:
                pixels = np.asarray(image.convert("L"))
                assert min(image.size) > 200 and pixels.std() > 10 and pixels[0].min() == 255  # on white, nothing cut off
        else:
            root = ET.fromstring(one.read_text(encoding="utf-8"))
            assert root.attrib["role"] == "img" and root[0].tag.endswith("title") and root[0].text.startswith("toy v1")
            assert "prefers-color-scheme:dark" in one.read_text(encoding="utf-8")
            assert not any("script" in element.tag or element.tag.endswith("img") for element in root.iter())
            assert all(link.startswith(("#", "data:image/png")) for link in re.findall(r'href="([^"]*)"', one.read_text()))
    assert sorted(path.name for path in (tmp_path / "one").iterdir()) == sorted(path.name for path in first)


def test_colours_differ_for_the_colour_blind():
    """Each colour against the others as the two common kinds of colour-blindness see them (Vienot, Brettel and Mollon 1999)."""
    protan = np.array([[0.11238, 0.88762, 0.0], [0.11238, 0.88762, 0.0], [0.00401, -0.00401, 1.0]])
    deutan = np.array([[0.29275, 0.70725, 0.0], [0.29275, 0.70725, 0.0], [-0.02234, 0.02234, 1.0]])
    colours = np.array([[int(c[i : i + 2], 16) / 255 for i in (1, 3, 5)] for c in style.COLOURS]) ** 2.2
    for seen in (np.eye(3), protan, deutan):
        shown = np.clip(colours @ seen.T, 0, 1) ** (1 / 2.2)
        apart = [np.linalg.norm(one - two) for one, two in combinations(shown[:6], 2)]
        assert min(apart) > 0.12
    looks = {(tuple(sorted(style.line_style(n).items()))) for n in range(32)}
    assert len(looks) == 32  # beyond eight, the dashes differ


def test_mistakes_are_said_in_words(tmp_path):
    with pytest.raises(TlbenchError, match="no records"):
        plots.draw_plots([], tmp_path)
    (tmp_path / "file").touch()
    with pytest.raises(TlbenchError, match="Plots can't be written"):
        plots.draw_plots(made(), tmp_path / "file" / "out")


def test_each_plot_has_a_title_with_suite_and_counts_above_all_else():
    some = made([("clean", f"noise_s{step}") for step in range(2)])
    with plots.styled():
        shown = list(plots.suite_plots(reports.tables(reports.frame(some)), "source_only", traces(some)))
        for plot in shown:
            title = plot.figure.texts[-1]
            assert title.get_text().replace("\n", " ") == f"{plot.title} 2 pairs, 3 seeds"
            box = title.get_window_extent()
            title.set_visible(False)
            rest = plot.figure.get_tightbbox().transformed(plot.figure.dpi_scale_trans)
            assert box.y0 >= rest.y1 and box.x0 >= rest.x0 - 1, plot.kind
    assert {plot.kind for plot in shown} == {"delta", "cost", "sweep"}


def test_an_entry_that_trains_on_no_sample_is_not_on_an_axis_of_powers():
    (table,) = tables(made(), "frontier")
    without = table.data["entry"].eq("dann") & table.data["quantity"].eq("train_samples_per_second")
    changed = replace(table, data=table.data.assign(value=table.data["value"].mask(without, 0.0)))
    assert "dann" not in texts(accuracy_and_cost(changed)) and "dann" in texts(accuracy_and_cost(table))


def test_the_selection_gap_goes_from_what_a_rule_selects_to_the_oracle():
    values = {("dann", "last"): 60.0, ("dann", "im"): 64.0, ("coral", "last"): 55.0, ("coral", "im"): 50.0}
    lines = [(entry, rule, "accuracy", value) for (entry, rule), value in values.items()]
    lines += [("dann", "last", "regret", 7.0), ("coral", "last", "regret", 3.0)]
    data = pd.DataFrame(lines, columns=["entry", "subgroup", "quantity", "value"]).assign(pair=None)
    table = replace(tables(made(), "accuracy")[0], kind="selection", data=data)
    (axes,) = selection_gap(table).axes
    assert [tick.get_text() for tick in axes.get_yticklabels()] == ["coral", "dann"]
    drawn = {line.get_label(): line.get_xdata().tolist() for line in axes.lines}
    assert drawn == {"last step": [55.0, 60.0], "IM": [50.0, 64.0], "oracle (reads target labels)": [58.0, 67.0]}
    assert selection_gap(replace(table, data=data.iloc[:0])) is None
