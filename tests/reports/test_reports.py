import io
import json

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from toy_records import HOSTILE, cells, record, value

from tlbench import reports
from tlbench.errors import TlbenchError
from tlbench.reports.statistics import intervals
from tlbench.reports.table import pair_texts

SOURCE_ONLY = {"a:b": [0.50, 0.52, 0.57], "b:a": [0.60, 0.61, 0.59]}
DANN = {"a:b": [0.60, 0.64, 0.62], "b:a": [0.55, 0.58, 0.57]}


@pytest.fixture
def two_rows():
    return reports.frame([*cells("source_only", SOURCE_ONLY), *cells("dann", DANN)])


# --- the frame


def test_frame_has_a_flat_row_per_record_and_what_was_not_measured_is_missing():
    made = record(pair="a+b:c", options={"weight": 1.0}, accuracy=None, cost={"steps": 500})
    frame = reports.frame([made, record(status="failed", reason="the loss is nan")])
    first = frame.iloc[0]
    assert (first["sources"], first["target"], first["pair"]) == ("a+b", "c", "a+b:c")
    assert json.loads(first["options"]) == {"weight": 1.0}
    assert first["steps"] == 500
    assert first[["target_accuracy", "train_seconds", "energy_joules", "peak_memory_bytes", "reason"]].isna().all()
    assert frame.loc[1, ["status", "reason"]].to_list() == ["failed", "the loss is nan"]
    assert reports.frame([]).columns.to_list() == frame.columns.to_list()


def test_no_records_are_said_and_not_crashed_on():
    empty = reports.frame([])
    for make in (reports.tables, reports.accuracy, reports.transfer, reports.throughput):
        with pytest.raises(TlbenchError, match="no records"):
            make(empty)


def test_of_two_records_for_a_case_the_one_finished_last_counts_wherever_it_stands():
    new = record(accuracy=0.7, finished="2026-01-02T00:00:00+00:00")
    old = record(accuracy=0.1, finished="2026-01-01T23:59:59.5Z")
    for order in ([new, old], [old, new]):
        frame = reports.frame(order)
        assert len(frame) == 2
        assert value(reports.accuracy(frame), "source_only", "mean") == pytest.approx(70)


def test_one_table_is_of_one_suite_and_tables_takes_them_in_order():
    frame = reports.frame([record(suite="z"), record("dann", suite="a"), record("dann", suite="z"), record(suite="a")])
    with pytest.raises(TlbenchError, match="'z' v1, 'a' v1"):
        reports.accuracy(frame)
    made = reports.tables(frame)
    assert [(table.suite, table.kind) for table in made if table.kind in reports.MAIN] == [
        (suite, kind) for suite in ("z v1", "a v1") for kind in reports.MAIN
    ]
    kinds = [table.kind for table in made]
    assert sorted(set(kinds), key=kinds.index) == [kind for kind in reports.KINDS if kind in kinds]
    assert [table.kind for table in reports.tables(frame, "main")] == [*reports.MAIN, *reports.MAIN]
    assert [table.kind for table in reports.tables(frame, "transfer")] == ["transfer", "transfer"]
    with pytest.raises(TlbenchError, match="no table 'acuracy'"):
        reports.tables(frame, "acuracy")


def test_versions_of_a_suite_are_not_compared():
    frame = reports.frame([record(accuracy=0.9), record(suite_version=2)])
    assert [table.suite for table in reports.tables(frame, "accuracy")] == ["toy v1", "toy v2"]


# --- accuracy


def test_means_and_intervals_are_those_of_scipy(two_rows):
    table = reports.accuracy(two_rows)
    for pair, scores in DANN.items():
        low, high = stats.t.interval(0.95, 2, np.mean(scores) * 100, stats.sem(scores) * 100)
        assert value(table, "dann", "mean", pair) == pytest.approx(np.mean(scores) * 100)
        assert value(table, "dann", "low", pair) == pytest.approx(low)
        assert value(table, "dann", "high", pair) == pytest.approx(high)
    assert value(table, "dann", "n", "a:b") == 3
    # two pairs of equal size: the half-width of the mean is half of Welch's interval for a difference
    welch = stats.ttest_ind(DANN["a:b"], DANN["b:a"], equal_var=False).confidence_interval(0.95)
    half = 100 * (welch.high - welch.low) / 2 / 2
    assert value(table, "dann", "mean") == pytest.approx(59.3333, abs=1e-4)
    assert value(table, "dann", "high") - value(table, "dann", "mean") == pytest.approx(half)
    assert table.cells.loc["dann", "mean"] == f"59.3 ± {half:.1f}"
    assert table.cells.columns.to_list() == ["mean", "IQM", "rank", "a:b", "b:a"]
    for said in ("3 seeds", "other seeds", "2 pairs", "last step of a fixed budget"):
        assert said in table.caption


def test_best_first_and_ties_share_the_average_rank():
    rows = {"low": 0.3, "tie_a": 0.7, "high": 0.9, "tie_b": 0.7}
    table = reports.accuracy(reports.frame([record(row, accuracy=score) for row, score in rows.items()]))
    assert table.cells["rank"].to_dict() == {"high": "1", "tie_a": "2.5", "tie_b": "2.5", "low": "4"}
    assert table.cells.index.to_list() == ["high", "tie_a", "tie_b", "low"]


def test_a_partial_row_has_blanks_and_neither_mean_nor_rank():
    partial = [*cells("partial", {"a:b": [0.99, 0.99, 0.99], "b:a": [0.99, 0.99]})]
    partial.append(record("partial", "b:a", 2, None, status="failed", reason="the loss is not finite"))
    skipped = [
        record("few", pair, seed, None, status="skipped", reason="reads target_labeled, not granted")
        for pair in SOURCE_ONLY
        for seed in range(3)
    ]
    table = reports.accuracy(reports.frame([*partial, *cells("source_only", SOURCE_ONLY), *skipped]))
    assert table.cells.loc["partial"].to_list() == ["", "", "", "99.0 ± 0.0", ""]
    assert table.cells.loc["few"].to_list() == ["", "", "", "", ""]
    assert table.cells.loc["source_only", "rank"] == "1"
    assert table.cells.index[0] == "source_only"
    assert value(table, "partial", "mean") is None
    assert value(table, "partial", "n", "b:a") == 2
    assert "2 incomplete rows" in table.caption
    assert "partial (1 of 2 pairs), few (0 of 2 pairs)" in table.caption
    assert "1 of 18 cases failed: the loss is not finite (partial)." in table.caption
    assert "6 of 18 cases skipped: reads target_labeled, not granted (few)." in table.caption


@pytest.mark.parametrize("status", ["done", "failed"])
def test_a_pair_that_any_record_shows_is_missed_in_all_other_rows(status):
    only_here = record("dann", "c:d", 0, 0.5, status=status)
    table = reports.accuracy(reports.frame([*cells("source_only", {"a:b": [0.5]}), only_here]))
    assert (table.cells["mean"] == "").all()


def test_a_score_in_a_record_that_is_not_done_counts_nowhere_but_its_seed_is_missed():
    records = [*cells("dann", {"a:b": [0.5, 0.6, 0.7]}), record("coral", "a:b", 3, 0.9, status="failed")]
    table = reports.accuracy(reports.frame(records))
    assert (table.cells[["mean", "a:b"]] == "").all(axis=None)
    assert (value(table, "dann", "n", "a:b"), value(table, "coral", "n", "a:b")) == (3, 0)


def test_one_seed_has_no_interval_and_two_are_too_few():
    one = reports.accuracy(reports.frame(cells("dann", {"a:b": [0.51], "b:a": [0.61]})))
    assert one.cells.loc["dann"].to_list() == ["56.0", "56.0", "1", "51.0", "61.0"]
    assert "One seed" in one.caption and "no interval" in one.caption
    two = reports.accuracy(reports.frame(cells("dann", {"a:b": [0.5, 0.6], "b:a": [0.6, 0.7]})))
    assert two.cells.loc["dann"].to_list() == ["60.0", "60.0", "1", "55.0", "65.0"]
    assert "too few" in two.caption
    assert not set(two.data["quantity"]) & {"low", "high"}


def test_a_deterministic_row_has_half_width_zero_and_full_precision():
    table = reports.accuracy(reports.frame(cells("nearest", {"a:b": [0.2370] * 3, "b:a": [0.1] * 3})))
    assert table.cells.loc["nearest", "mean"] == "16.9 ± 0.0"
    assert value(table, "nearest", "low") == value(table, "nearest", "mean") == value(table, "nearest", "high")
    assert value(table, "nearest", "mean", "a:b") == pytest.approx(23.70, abs=1e-9)


def test_the_metric_named_in_the_records_is_shown():
    scores = {"target_accuracy": 0.9, "macro_f1": 0.4}
    table = reports.accuracy(reports.frame([record(metric="macro_f1", scores=scores)]))
    assert table.cells.loc["source_only", "mean"] == "40.0"
    assert "Macro F1" in table.title
    with pytest.raises(TlbenchError, match="no metric 'auc'"):
        reports.accuracy(reports.frame([record(metric="auc")]))


def test_a_row_that_mixes_options_is_named():
    mixed = [record("dann", seed=0, options={"weight": 1}), record("dann", seed=1, options={"weight": 3})]
    assert "same options in row dann" in reports.accuracy(reports.frame(mixed)).caption
    assert "options" not in reports.accuracy(reports.frame(mixed[:1])).caption


# --- transfer


def test_the_delta_is_paired_by_pair_and_seed(two_rows):
    (table,) = reports.transfer(two_rows)
    deltas = {pair: 100 * (np.array(DANN[pair]) - SOURCE_ONLY[pair]) for pair in DANN}
    assert table.title == "toy v1: adaptation delta against source_only"
    assert table.cells.index.to_list() == ["dann"]
    for pair, delta in deltas.items():
        assert value(table, "dann", "mean", pair) == pytest.approx(delta.mean())
        # the two pairs vary alike, so that their common variance stands for both: 2 + 2 degrees of freedom
        pooled = np.sqrt(np.mean([one.var(ddof=1) for one in deltas.values()]) / 3)
        low, high = stats.t.interval(0.95, 4, delta.mean(), pooled)
        assert value(table, "dann", "low", pair) == pytest.approx(low)
        assert value(table, "dann", "high", pair) == pytest.approx(high)
    welch = stats.ttest_ind(deltas["a:b"], deltas["b:a"], equal_var=False).confidence_interval(0.95)
    assert value(table, "dann", "high") - value(table, "dann", "low") == pytest.approx((welch.high - welch.low) / 2)
    shown = table.cells.loc["dann"]
    assert shown["verdict"] == "undecided"
    assert shown["pairs hurt"] == "1 / 2"
    assert shown["worst pair"] == "b:a -3.3"
    assert shown["a:b"].startswith("+9.0 ± ")
    assert value(table, "dann", "worst", "b:a") == pytest.approx(-10 / 3)


def test_a_shared_noise_of_the_seeds_cancels_in_the_delta():
    noise = [0.1, 0.3, 0.2]
    base = cells("source_only", {"a:b": [0.4 + n for n in noise]})
    better = cells("dann", {"a:b": [0.41 + n for n in noise]})
    (table,) = reports.transfer(reports.frame([*base, *better]))
    assert table.cells.loc["dann", ["mean delta", "verdict"]].to_list() == ["+1.0 ± 0.0", "helps"]


def test_partial_office_31_says_that_dann_hurts():
    """Negative transfer in print: source-only 90.1, DANN 82.4 on the mean of six pairs."""
    shift = {"A:W": -3.0, "A:D": -1.0, "W:A": 2.0, "W:D": 4.0, "D:A": -4.0, "D:W": 2.0}
    spread = {"source_only": [-0.4, 0.1, 0.3], "dann": [0.9, -1.3, 0.4]}
    level = {"source_only": 90.1, "dann": 82.4}
    records = [
        record(row, pair, seed, (level[row] + by + noise) / 100, suite="office31_partial")
        for row in level
        for pair, by in shift.items()
        for seed, noise in enumerate(spread[row])
    ]
    (table,) = reports.transfer(reports.frame(records))
    assert value(table, "dann", "mean") == pytest.approx(-7.7)
    assert value(table, "dann", "high") < 0
    shown = table.cells.loc["dann"]
    assert shown["verdict"] == "hurts"
    assert shown["mean delta"].startswith("-7.7 ± ")
    assert shown["pairs hurt"] == "6 / 6, 6 *"
    assert shown["pairs helped"] == "0 / 6"
    assert all(shown[pair].endswith(" *") for pair in shift)
    (harm,) = reports.negative_transfer(reports.frame(records))
    assert harm.cells.loc["dann", ["hurt %", "P(better)"]].to_list() == ["100", "0.00"]
    text = reports.render([table])
    assert "hurts" in next(line for line in text.splitlines() if line.startswith("dann"))


def test_a_seed_missing_in_the_baseline_blanks_the_pair_in_every_row():
    base = {"a:b": [0.5, 0.5], "b:a": [0.5, 0.5, 0.5]}
    (table,) = reports.transfer(reports.frame([*cells("source_only", base), *cells("dann", DANN)]))
    assert table.cells.loc["dann", ["mean delta", "verdict", "pairs hurt", "worst pair", "a:b"]].to_list() == [""] * 5
    assert table.cells.loc["dann", "b:a"].startswith("+6.7")
    assert value(table, "dann", "n", "a:b") == 2
    assert "dann (1 of 2 pairs)" in table.caption


def test_without_an_interval_there_is_no_verdict():
    one = [*cells("source_only", {"a:b": [0.5]}), *cells("dann", {"a:b": [0.4]})]
    (table,) = reports.transfer(reports.frame(one))
    assert table.cells.loc["dann"].to_list() == ["-10.0", "", "0 / 1", "1 / 1", "a:b -10.0", "-10.0"]
    assert "no verdict" in table.caption


def test_equal_scores_are_undecided_and_hurt_no_pair():
    same = [*cells("source_only", SOURCE_ONLY), *cells("twin", SOURCE_ONLY)]
    (table,) = reports.transfer(reports.frame(same))
    assert table.cells.loc["twin", ["mean delta", "verdict", "pairs hurt"]].to_list() == [
        "0.0 ± 0.0",
        "undecided",
        "0 / 2",
    ]


def test_a_baseline_without_records_leaves_blanks_and_says_so():
    (table,) = reports.transfer(reports.frame(cells("dann", DANN)))
    assert (table.cells == "").all(axis=None)
    assert "no record of source_only" in table.caption


def test_with_granted_labels_target_only_stands_beside_the_baseline():
    rows = {"source_only": 0.5, "alone": 0.7, "fine_tune": 0.8}
    method = {"alone": "target_only"}

    def made(labels):
        return reports.frame(
            [record(row, accuracy=score, method=method.get(row, row), target_labels=labels) for row, score in rows.items()]
        )

    adaptation, transfer = reports.transfer(made(labels=3))
    assert transfer.title == "toy v1: transfer delta against alone"
    assert transfer.cells["mean delta"].to_dict() == {"fine_tune": "+10.0", "source_only": "-20.0"}
    assert adaptation.cells["mean delta"].to_dict() == {"fine_tune": "+30.0", "alone": "+20.0"}
    assert len(reports.transfer(made(labels=0))) == 1


def test_no_baseline_or_nothing_beside_it_makes_no_table():
    assert reports.transfer(reports.frame([record(baseline=None), record("dann", baseline=None)])) == []
    assert reports.transfer(reports.frame([record()])) == []


# --- throughput


def cost(seconds, **more):
    return {"train_seconds": seconds, "train_samples_per_second": 100 / seconds, "batch": 64, **more}


def test_costs_are_medians_over_the_cases_done():
    memory = 200 * 2**20
    records = [record(seed=seed, cost=cost(s, peak_memory_bytes=memory)) for seed, s in enumerate([1.0, 2.0, 9.0])]
    records.append(record(seed=3, status="failed", reason="x", cost=cost(99.0)))
    (table,) = reports.throughput(reports.frame(records))
    assert table.cells.loc["source_only"].to_dict() == {
        "cases": "3",
        "train samples/s": "50.0",
        "predict samples/s": "",
        "train seconds": "2.00",
        "peak memory MiB": "200",
    }
    assert value(table, "source_only", "peak_memory_bytes") == memory
    assert "Energy: not readable" in table.caption
    assert "Blank: not measured" in table.caption


def test_machines_precisions_and_batch_sizes_do_not_share_a_table():
    records = [
        record("dann", cost=cost(4.0, energy_joules=12.5, peak_memory_bytes=3 * 2**30), device="cuda"),
        record("dann", cost=cost(8.0), finished="2026-01-02T00:00:00Z"),
        record("coral", cost=cost(5.0), precision="bf16"),
        record("slow", cost=cost(6.0, batch=8)),
        record("logistic", cost=cost(7.0, batch=None), kind="solved"),
    ]
    made = reports.throughput(reports.frame(records))
    assert [table.title for table in made] == [
        "toy v1: throughput on cuda, fp32, batch 64",
        "toy v1: throughput on cpu, fp32, batch 64",
        "toy v1: throughput on cpu, bf16, batch 64",
        "toy v1: throughput on cpu, fp32, batch 8",
        "toy v1: throughput on cpu, fp32, no batches",
    ]
    assert made[0].cells.loc["dann", ["energy J", "peak memory GiB"]].to_list() == ["12.5", "3.00"]
    assert [table.cells.index.to_list() for table in made] == [["dann"], ["dann"], ["coral"], ["slow"], ["logistic"]]
    assert "fit" in made[-1].caption and "fit" not in made[0].caption


def test_rows_stand_in_the_order_of_accuracy():
    records = [record(row, accuracy=a, cost=cost(1.0)) for row, a in {"low": 0.1, "high": 0.9, "mid": 0.5}.items()]
    (table,) = reports.throughput(reports.frame(records))
    assert table.cells.index.to_list() == ["high", "mid", "low"]


# --- render


def test_text_wraps_a_wide_table_into_blocks_that_repeat_the_names():
    pairs = {f"domain{n}:target": [0.1 * n, 0.2, 0.3] for n in range(9)}
    (table,) = reports.tables(reports.frame(cells("source_only", pairs)), "accuracy")
    wide, narrow = reports.render([table], width=400), reports.render([table], width=60)
    assert wide.count("\nsource_only") == 1
    assert narrow.count("\nsource_only") > 3
    assert max(map(len, narrow.splitlines())) <= 60
    assert narrow.index("mean") < narrow.index("domain0:target")
    assert all(narrow.count(pair) == 1 for pair in pairs)


def test_csv_is_one_tidy_frame_of_unrounded_numbers(two_rows):
    made = reports.tables(two_rows)
    back = pd.read_csv(io.StringIO(reports.render(made, "csv")))
    assert back.columns.to_list() == list(reports.TIDY)
    assert len(back) == sum(len(table.data) for table in made)
    mean = back.query("table == 'accuracy' and row == 'dann' and quantity == 'mean' and pair.isna()")["value"].item()
    assert mean == value(made[0], "dann", "mean")


def test_json_holds_cells_and_numbers(two_rows):
    made = reports.tables(two_rows)
    back = json.loads(reports.render(made, "json"))["tables"]
    assert [table["title"] for table in back] == [table.title for table in made]
    assert back[0]["cells"]["index"] == made[0].cells.index.to_list()
    assert back[0]["cells"]["data"] == made[0].cells.to_numpy().tolist()
    assert back[0]["data"][0]["pair"] is None
    assert back[0]["data"][0]["value"] == made[0].data["value"].iloc[0]


def hostile_tables():
    records = [*cells("source_only", SOURCE_ONLY), *cells(HOSTILE, DANN), *cells("[x]", DANN), *cells("\x01", DANN)]
    failed = record("dann", "a:b", 0, None, status="failed", reason=HOSTILE)
    return reports.tables(reports.frame([*records, failed]))


@pytest.mark.parametrize("format", reports.FORMATS)
def test_no_format_lets_a_control_character_through(format):
    text = reports.render(hostile_tables(), format)
    assert {c for c in text if not c.isprintable()} == {"\n"}
    text.encode("utf-8")


def test_a_hostile_name_breaks_no_text_table():
    text = reports.render(hostile_tables()[:1], width=1000)
    assert len(text.split("\n\n")[1].splitlines()) == 2 + 5


def test_a_hostile_name_breaks_no_markdown_table():
    lines = [line for line in reports.render(hostile_tables()[:1], "markdown").splitlines() if line.startswith("|")]
    assert len(lines) == 2 + 5
    assert {line.count("|") for line in lines} == {7}
    name = next(line for line in lines if "a&#124;b" in line)
    assert not set("`*<>[]\\$~") & set(name.split("|")[1])
    assert "source_only" in lines[-2]


def test_a_hostile_name_breaks_no_latex_table():
    text = reports.render([table for table in hostile_tables() if table.kind == "transfer"], "latex", width=1000)
    assert [text.count(rule) for rule in ("\\toprule", "\\midrule", "\\bottomrule", "\\hline")] == [1, 1, 1, 0]
    body = text[text.index("\\midrule") : text.index("\\bottomrule")].splitlines()[1:]
    assert len(body) == 4
    for line in body:
        assert line.replace("\\&", "").count("&") == 7
        assert line.endswith("\\\\")
        assert line.replace("\\{", "").replace("\\}", "").count("{") == line.replace("\\{", "").replace("\\}", "").count("}")
        assert not line.lstrip().startswith("[")
    assert "$-$3.3 $\\pm$" in text
    assert "source\\_only" in text


def test_formats_are_named_when_one_is_misspelt_and_no_table_is_said():
    with pytest.raises(TlbenchError, match="there are text, markdown, latex, csv, json, html"):
        reports.render([], "xlsx")
    assert "No such table" in reports.render([])
    assert reports.render([], "csv").strip() == ",".join(reports.TIDY)
    assert json.loads(reports.render([], "json")) == {"schema": 1, "tables": []}


# --- statistics


@pytest.mark.parametrize(("pairs", "seeds"), [(2, 3), (6, 3), (12, 5)])
def test_a_nominal_95_per_cent_interval_covers_the_truth_about_as_often(pairs, seeds):
    rng = np.random.default_rng(0)
    truth, sigma = rng.normal(50, 10, pairs), np.linspace(0.2, 2, pairs)
    values = truth[:, None] + sigma[:, None] * rng.normal(size=(20_000, pairs, seeds))
    mean, half = intervals.these_pairs(values)
    assert 0.92 <= (abs(mean - truth.mean()) <= half).mean() <= 0.98


def test_a_pair_without_noise_takes_no_degree_of_freedom():
    noisy = np.array([1.0, 2.0, 4.0])
    values = np.array([[noisy, np.full(3, 0.1)]])
    mean, half = intervals.these_pairs(values)
    alone = intervals.over_seeds(noisy[None, None])
    assert half.item() == pytest.approx(alone.half.item() / 2)
    assert mean.item() == pytest.approx((7 / 3 + 0.1) / 2)


def test_tiny_variances_do_not_underflow():
    values = 1e-100 * np.array([[[1.0, 2.0, 4.0], [1.0, 3.0, 2.0]]])
    _, half = intervals.these_pairs(values)
    assert half.item() == pytest.approx(1e-100 * intervals.these_pairs(values * 1e100).half.item())


def test_equal_values_have_exactly_no_variance():
    mean, half = intervals.these_pairs(np.full((1, 3, 7), 0.1))
    assert mean.item() == pytest.approx(0.1)
    assert half.item() == 0


def test_a_pair_that_surely_helps_or_hurts_has_a_star():
    class One:
        pairs, decimals = ("a:b", "a:c", "a:d"), 1

    estimate = intervals.Estimate(np.array([[5.0, 0.5, -3.0]]), np.array([[1.0, 1.0, 2.0]]))
    shown = pair_texts(One, estimate, np.array([[1.0, 0.0, -1.0]]))
    assert shown == {"a:b": ["+5.0 ± 1.0 *"], "a:c": ["+0.5 ± 1.0"], "a:d": ["-3.0 ± 2.0 *"]}
    assert pair_texts(One, estimate)["a:b"] == ["5.0 ± 1.0"]
