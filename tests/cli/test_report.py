"""`tlbench report` as a user calls it, and what a plan says of the interval to expect."""

import json

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
        for row, scores in (("source_only", SOURCE_ONLY), ("dann", dann)):
            file = records.file_of(folder / name, "toy", row)
            file.write_text("".join(records.to_line(one) + "\n" for one in cells(row, scores)), encoding="utf-8")
    return folder


def test_the_main_tables_come_without_asking_and_captions_say_what_a_margin_takes(folder):
    done = tlbench("report", "--results", "before", "--margin", "0.5", cwd=folder)
    assert done.returncode == 0 and done.stderr == ""
    titles = (
        "Target accuracy",
        "adaptation delta against source_only",
        "negative transfer behind the adaptation delta",
        "throughput on cpu",
    )
    places = [done.stdout.index(f"toy v1: {title}") for title in titles]
    assert places == sorted(places)
    assert "average ranks" not in done.stdout
    assert "± 0.5 takes" in " ".join(done.stdout.split())


def test_two_directories_are_compared(folder):
    done = tlbench("report", "--compare", "before", "after", "--format", "json", cwd=folder)
    (table,) = json.loads(done.stdout)["tables"]
    shown = dict(zip(table["cells"]["index"], table["cells"]["data"], strict=True))
    assert table["kind"] == "compare"
    assert shown["dann"][2:4] == ["+10.0 ± 0.0", "better"]
    assert shown["source_only"][3] == "same"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--margin", "0"), "--margin 0 is not a positive number"),
        (("--compare", "before", "nowhere"), "no results directory nowhere"),
        (("--results", "before", "tyo"), "no records of tyo; there are those of toy"),
        (("--results", "."), "no records yet"),
    ],
)
def test_a_mistake_is_one_text_and_exit_code_2(folder, words, said):
    done = tlbench("report", *words, cwd=folder)
    assert done.returncode == 2 and done.stdout == ""
    assert said in done.stderr and "Traceback" not in done.stderr


def test_the_command_knows_every_kind_and_format():
    assert [which.value for which in report.Which] == ["main", "all", *reports.KINDS]
    assert [format.value for format in report.Format] == list(reports.FORMATS)
