"""`tlbench report` as a user calls it, and results as a site."""

import csv
import io
import json
from pathlib import Path

import pandas as pd
import pytest
from command_line import tlbench
from toy_records import cells

from tlbench import records, reports
from tlbench.cli import report

SOURCE_ONLY = {"a:b": [0.50, 0.52, 0.57], "b:a": [0.60, 0.61, 0.59]}
BEFORE = {"a:b": [0.40, 0.41, 0.39], "b:a": [0.55, 0.58, 0.57]}
AFTER = {"a:b": [0.60, 0.61, 0.59], "b:a": [0.55, 0.58, 0.57]}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("reports")
    for name, dann in (("before", BEFORE), ("after", AFTER)):
        (folder / name / "toy").mkdir(parents=True)
        for entry, scores in (("source_only", SOURCE_ONLY), ("dann", dann)):
            file = records.file_of(folder / name, "toy", entry)
            file.write_text("".join(records.to_line(one) + "\n" for one in cells(entry, scores)), encoding="utf-8")
    return folder


def test_the_summary_comes_without_asking_and_says_what_a_margin_takes(folder):
    done = tlbench("report", "--results", "before", "--margin", "0.5", cwd=folder, COLUMNS="80")
    assert done.returncode == 0 and done.stderr == ""
    lines = done.stdout.splitlines()
    assert lines[0] == "toy v1: target accuracy, 2 pairs, 3 seeds; baseline source_only: 56.5 %"
    assert lines[1].split() == ["method", "accuracy", "delta", "verdict", "pairs"]
    assert next(line for line in lines if line.startswith("dann")).split()[1:] == ["48.3", "-8.2", "±", "4.8", "worse", "0/1"]
    assert "± 0.5 takes" in " ".join(done.stdout.split())
    assert lines[-1] == "more: tlbench report toy --results before --table accuracy|transfer|..."
    assert max(map(len, lines)) <= 80


@pytest.mark.parametrize(
    ("suite", "seconds", "shown"),
    [
        ("toy", None, "accuracy|transfer|throughput|..."),
        ("toy", 0.1, "selection|accuracy|transfer|throughput|..."),
        ("heart_disease_selection", 0.1, "selection|accuracy|..."),
        ("a_suite_of_a_name_that_is_as_long_as_it_may_be_in_a_table", 0.1, "selection|..."),
    ],
)
def test_the_last_line_names_tables_that_the_records_have(suite, seconds, shown, capsys):
    report.write_more(pd.DataFrame({"suite": [suite], "selection_seconds": [seconds]}), Path("results"))
    assert capsys.readouterr().out == f"more: tlbench report {suite} --table {shown}\n"


def test_the_main_tables_come_in_their_order_and_captions_say_what_a_margin_takes(folder):
    done = tlbench("report", "--results", "before", "--table", "main", "--margin", "0.5", cwd=folder)
    assert done.returncode == 0 and done.stderr == ""
    titles = (
        "target accuracy",
        "adaptation delta against source_only",
        "negative transfer against source_only",
        "throughput on cpu",
    )
    positions = [done.stdout.index(f"toy v1: {title}") for title in titles]
    assert positions == sorted(positions)
    assert "average ranks" not in done.stdout
    assert "± 0.5 takes" in " ".join(done.stdout.split())


def test_two_directories_are_compared(folder):
    done = tlbench("report", "--compare", "before", "after", "--format", "json", cwd=folder)
    (table,) = json.loads(done.stdout)["tables"]
    shown = dict(zip(table["cells"]["index"], table["cells"]["data"], strict=True))
    assert table["kind"] == "compare"
    assert shown["dann"][2:4] == ["+10.0 ± 0.0", "better"]
    assert shown["source_only"][3] == "equal"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--table", "acuracy", "--results", "before"), "Unknown table 'acuracy'"),
        (("--margin", "0"), "--margin 0 is not a positive number"),
        (("--compare", "before", "nowhere"), "There is no results directory nowhere"),
        (("--results", "before", "tyo"), "There are no records of tyo. Available: toy"),
        (("--results", "."), "There are no records yet"),
    ],
)
def test_an_error_is_one_text_and_exit_code_2(folder, words, message):
    done = tlbench("report", *words, cwd=folder)
    assert done.returncode == 2 and done.stdout == ""
    assert message in done.stderr and "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("table", "format"),
    [("accuracy", "markdown"), ("transfer", "latex"), ("throughput", "csv"), ("all", "json"), ("all", "text")],
)
def test_a_report(first_run, table, format):
    done = tlbench("report", "tiny", "--table", table, "--format", format, cwd=first_run[0])
    assert done.returncode == 0 and done.stderr == ""
    names = ("source_only", "nearest_neighbor") if table != "transfer" else ("nearest_neighbor",)
    shown = done.stdout.replace("\\_", "_")
    assert all(name in shown for name in names)
    if format == "markdown":
        assert "| source_only" in shown and "|--" in shown.replace(" ", "").replace(":", "-")
        assert "delta" not in shown.lower()
    if format == "latex":
        assert "\\begin{tabular}" in shown and "\\end{tabular}" in shown
    if format == "csv":
        lines = list(csv.reader(io.StringIO(shown.strip())))
        assert len({len(line) for line in lines}) == 1 and len(lines) > 3
    if format == "json":
        assert json.loads(shown)


def test_json_is_a_word(first_run):
    words = tlbench("report", "--json", cwd=first_run[0]).stdout
    assert words == tlbench("report", "--format", "json", cwd=first_run[0]).stdout
    assert [table["kind"] for table in json.loads(words)["tables"]] == ["summary"]


def test_lists_status_and_checks_are_json_too(first_run):
    def answer(*words, code=0):
        done = tlbench(*words, "--json", cwd=first_run[0])
        assert done.returncode == code, done.stderr
        return json.loads(done.stdout)

    assert {"name", "summary"} == set(answer("list", "methods")[0])
    assert {"name": "summary", "shows": reports.TABLE_KINDS["summary"].shows} == answer("list", "tables")[0]
    (status,) = answer("status", "--suite", "tiny.toml")
    assert (status["suite"], status["done"], status["skipped"], status["left"]) == ("tiny", 4, 1, 0)
    right, wrong = answer("check", "tiny.toml", "nosuch.toml", code=2)
    assert right["passed"] and not right["errors"]
    assert not wrong["passed"] and "There is no file nosuch.toml" in wrong["errors"][0]


def test_reports_and_runs_show_the_same_tables(first_run):
    folder, done = first_run
    assert tlbench("report", cwd=folder).stdout.split() == done.stdout.split()


def test_a_site(copy_of_run):
    done = tlbench("site", "--out", "page", cwd=copy_of_run)
    assert done.returncode == 0, done.stderr
    assert "nearest_neighbor" in (copy_of_run / "page" / "index.html").read_text(encoding="utf-8")


def test_plots(copy_of_run):
    done = tlbench("plots", "tiny", "--out", "plots", cwd=copy_of_run)
    assert done.returncode == 0, done.stderr
    assert list((copy_of_run / "plots").rglob("*.png"))
    done = tlbench("plots", "nosuch", cwd=copy_of_run)
    assert done.returncode == 2 and "no records" in done.stderr


def test_the_command_knows_every_kind_and_format(first_run):
    for kind in ("main", "all", *reports.KINDS, *reports.ACROSS):
        assert tlbench("report", "--table", kind, cwd=first_run[0]).returncode == 0, kind
    listed = tlbench("list", "tables", cwd=first_run[0]).stdout.splitlines()
    assert [line.split()[0] for line in listed] == [*reports.KINDS, *reports.ACROSS]
    assert [format.value for format in report.Format] == list(reports.FORMATS)
