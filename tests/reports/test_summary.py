"""The summary of a suite: one line a method in groups, within 80 columns, with the numbers of the full tables."""

import json

import pytest
from toy_records import DANN, PAIRS, SOURCE_ONLY, cells, grid, record, value

from tlbench import reports

COST = {"train_seconds": 0.25, "train_samples_per_second": 70_600.0}


def of_splits(entry, level, reads, **more):
    return grid(entry, level, reads=reads, cost=COST, **more)


@pytest.fixture
def frame():
    return reports.frame(
        [
            *of_splits("joint", 0.9, ("source", "target_labeled"), target_labels=5),
            *of_splits("dann", 0.4, ("source", "target")),
            *of_splits("source_only", 0.5, ("source",)),
            *of_splits("coral", 0.6, ("source", "target")),
            *of_splits("tent", 0.55, ("source", "stream")),
        ]
    )


def test_methods_are_grouped_by_what_they_read_and_the_best_of_a_group_comes_first(frame):
    table = reports.summary(frame)
    assert table.cells.index.to_list() == ["source_only", "coral", "dann", "tent", "joint"]
    assert list(dict.fromkeys(table.groups)) == [
        "Source (S)",
        "Source (S) and unlabelled target samples (T)",
        "Stream of target samples (St)",
        "Labelled target samples (L, 5 a class)",
    ]
    assert table.cells["reads"].to_list() == ["S", "S T", "S T", "S St", "S L"]
    assert table.cells.loc["source_only", "delta"] == "baseline"
    assert table.cells.loc[["coral", "dann"], "verdict"].to_list() == ["better", "worse"]
    assert set(table.cells["train"]) == {"0.25 s"} and set(table.cells["samples"]) == {"70.6k/s"}


def test_its_numbers_are_those_of_the_full_tables(frame):
    summary, (transfer, *_) = reports.summary(frame), reports.transfer(frame)
    accuracy = reports.accuracy(frame)
    for entry in ("coral", "dann", "tent", "joint"):
        assert value(summary, entry, "score") == value(accuracy, entry, "mean")
        for quantity in ("mean", "low", "high", "verdict", "pairs_significantly_better", "pairs_significantly_worse"):
            assert value(summary, entry, quantity) == value(transfer, entry, quantity)
    assert summary.cells.loc["dann", "pairs"] == "0/6" and summary.cells.loc["joint", "pairs"] == "6/0"


def test_an_entry_that_reads_no_sample_has_no_throughput(frame):
    of_names = grid("zero_shot", 0.5, reads=(), cost=COST | {"train_samples_per_second": 0.0})
    table = reports.summary(reports.frame([*of_names, *of_splits("dann", 0.4, ("source", "target"))]))
    assert table.cells["samples"].to_list() == ["", "70.6k/s"] and table.groups[0] == "No samples"


def test_it_fits_80_columns_with_long_names():
    name = "an_entry_with_a_very_long_name_of_fifty_characters"
    long = [reports.summary(reports.frame([*grid("source_only", 0.5), *grid(name, 0.6, cost=COST)]))]
    lines = reports.render(long, width=80).splitlines()
    assert max(map(len, lines)) <= 80 and any("\u2026" in line for line in lines)
    assert name in reports.render(long, width=160)


def test_ties_and_single_runs_are_no_verdicts():
    frame = reports.frame([*cells("source_only", SOURCE_ONLY), *cells("copy", SOURCE_ONLY), *cells("dann", DANN)])
    table = reports.summary(frame)
    assert table.cells.loc["copy", "verdict"] == "equal" and table.cells.loc["copy", "delta"].startswith("0.0")
    one = reports.summary(reports.frame([record(), record("dann", accuracy=0.6)]))
    assert "verdict" not in one.cells.columns and one.cells.loc["dann", "delta"] == "+10.0"
    assert "no 95 % CI, which takes 3 seeds" in one.line


def test_where_lower_is_better_the_sign_stays_and_the_verdict_turns():
    errors = {"source_only": 2.0, "dann": 1.0}
    frame = reports.frame(
        [
            one
            for entry, level in errors.items()
            for one in (
                record(entry, pair, seed, None, metric="rmse", task="regression", scores={"rmse": level + 0.01 * seed})
                for pair in PAIRS
                for seed in range(3)
            )
        ]
    )
    table = reports.summary(frame)
    assert table.cells.columns[1] == "RMSE" and "lower is better" in table.line
    assert table.cells.loc["dann", "delta"].startswith("-1.0") and table.cells.loc["dann", "verdict"] == "better"


def test_costs_of_another_machine_are_blank_and_a_note_says_so():
    slow = grid("dann", 0.6, cost=COST, device="other", pairs=PAIRS[:3])
    table = reports.summary(reports.frame([*grid("source_only", 0.5, cost=COST), *slow]))
    assert table.cells.loc["source_only", "train"] == "0.25 s" and table.cells.loc["dann", "train"] == ""
    assert "entries measured elsewhere have none here" in table.notes


def test_an_entry_without_a_finished_case_is_in_the_notes_alone(frame):
    skipped = [record("zero_shot", status="skipped", reason="reads nothing", accuracy=None)]
    table = reports.summary(reports.frame([*grid("source_only", 0.5), *grid("dann", 0.4), *skipped]))
    assert "zero_shot" not in table.cells.index and "skipped: reads nothing (zero_shot)" in table.notes


def test_every_format_shows_the_groups(frame):
    table = reports.summary(frame)
    for name in ("text", "markdown", "latex", "html"):
        text = reports.render([table], name)
        assert [text.count(name) for name in ("Source (S) and unlabelled", "Labelled target samples (L, 5 a class)")] == [1, 1]
    back = json.loads(reports.render([table], "json"))["tables"][0]["cells"]
    assert back["groups"] == list(table.groups)


def test_latex_has_a_label_of_its_own_for_each_table(frame):
    text = reports.render([reports.summary(frame), *reports.transfer(frame)], "latex")
    assert "\\label{tab:toy-v1-summary}" in text and "\\label{tab:toy-v1-transfer}" in text
    assert "\\label{tab:toy-v1-transfer-2}" in text or len(reports.transfer(frame)) == 1
    assert text.count("\\begin{table}") == text.count("\\caption{")
    short = text[text.index("\\caption{") : text.index("\\label")]
    assert len(short) < 120 and "95 \\% CI" not in short
