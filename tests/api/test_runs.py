"""`tlbench.run` and `tlbench.report`: records as a DataFrame, and tables that print as text and as HTML."""

from __future__ import annotations

import sys
from pathlib import Path

import pandas as pd
import pytest
from plugin_files import HEADER
from tiny_suite import SUITE, suite, write_domains

import tlbench
from tlbench import methods, records, reports
from tlbench.errors import TlbenchError
from tlbench.reports.frames import COLUMNS


@pytest.fixture
def folder(tmp_path, monkeypatch) -> Path:
    """The working directory, with `tiny.toml` and its data."""
    monkeypatch.setenv("TLBENCH_CACHE", "off")
    monkeypatch.delenv("TLBENCH_DATA", raising=False)
    monkeypatch.chdir(tmp_path)
    write_domains(tmp_path)
    (tmp_path / "tiny.toml").write_text(SUITE)
    return tmp_path


def test_run_gives_records_as_a_frame_and_report_the_tables(folder, capfd):
    frame = tlbench.run("tiny.toml")
    assert capfd.readouterr() == ("", "")  # no terminal, no notebook, no failure
    assert isinstance(frame, pd.DataFrame) and tuple(frame.columns) == COLUMNS
    assert frame[["entry", "pair", "seed", "status"]].to_numpy().tolist() == [
        ["source_only", "a:b", 0, "done"],
        ["coral", "a:b", 0, "done"],
    ]
    assert frame["target_accuracy"].between(0, 1).all() and frame["energy_joules"].isna().all()
    assert len(records.read_all(folder / "results")) == 2
    assert [table.kind for table in tlbench.report()] == ["summary"]
    tables = tlbench.report(table="main")
    assert [table.kind for table in tables] == list(reports.MAIN)
    assert all(isinstance(table.cells, pd.DataFrame) and isinstance(table.data, pd.DataFrame) for table in tables)
    (accuracy,) = tlbench.report("results", ["tiny"], table="accuracy")
    assert accuracy.title == tables[0].title and "coral" in reports.render([accuracy], "markdown")
    assert accuracy.title == tlbench.report(suites="tiny", table="accuracy")[0].title


def test_tables_print_as_text_and_show_as_html(folder):
    frame = tlbench.run("tiny.toml")
    tables = tlbench.report()
    assert repr(tables) == str(tables) == reports.render(list(tables), "text")
    html = tables._repr_html_()
    assert html.count("<table") == len(tables) and all(name in html for name in ("source_only", "coral", "target accuracy"))
    hostile = frame.assign(entry=frame["entry"].replace("coral", "<script>alert(1)</script>\x1b[31m"))
    (table, *_) = reports.tables(hostile, "accuracy")
    html = table._repr_html_()
    assert "<script" not in html and "&lt;script&gt;" in html and "\x1b" not in html


def test_a_second_run_gives_the_same_records(folder):
    first = tlbench.run(folder / "tiny.toml", results=folder / "out")
    file = folder / "out" / "tiny" / "coral.jsonl"
    before = file.read_bytes()
    again = tlbench.run(folder / "tiny.toml", results=folder / "out")
    assert file.read_bytes() == before
    columns = ["entry", "identity", "target_accuracy", "finished"]
    pd.testing.assert_frame_equal(first[columns], again[columns])
    some = tlbench.run("tiny.toml", results="out", methods=["coral"], pairs=["a:b"], seeds=[0, 4])
    assert some["seed"].tolist() == [0, 4] and file.read_bytes().startswith(before)
    one = tlbench.run("tiny.toml", results="out", methods="coral", pairs="a:b", seeds=4)
    assert one["identity"].tolist() == some["identity"].tolist()[1:]


def test_a_suite_may_be_an_object_and_a_method_a_file(folder):
    (folder / "data").mkdir()
    for name in "ab":
        (folder / f"{name}.npz").rename(folder / "data" / f"{name}.npz")
    (folder / "copy_of_source_only.py").write_text(
        HEADER.format(name="copy") + "class Copy(DeepMethod):\n    reads = frozenset({'source'})\n"
        "    def loss(self, step: Step) -> Tensor:\n        return self.supervised(step)\n"
    )
    chosen = suite(methods={"source_only": {}, "copy_of_source_only": {}})
    try:
        frame = tlbench.run(chosen, data="data", plugins="copy_of_source_only.py", device="cpu", progress=False)
    finally:
        methods._registered.pop("copy_of_source_only", None)
        sys.modules.pop("tlbench_plugin_copy_of_source_only", None)
    one, two = frame["target_accuracy"]
    assert one == two and frame["status"].tolist() == ["done", "done"]


def test_isolated_runs_give_the_same_numbers(folder):
    alone = tlbench.run("tiny.toml", results="alone", threads=1, progress=False)
    isolated = tlbench.run("tiny.toml", results="isolated", isolated=True, threads=1, progress=False)
    for column in ("entry", "identity", "status", "target_accuracy", "source_accuracy"):
        assert isolated[column].tolist() == alone[column].tolist(), column
    noted = [any(note.startswith("isolated: ") for note in record.notes) for record in records.read_all(folder / "isolated")]
    assert noted == [True, True]
    assert not any(record.notes for record in records.read_all(folder / "alone"))


def test_failures_are_shown_unless_progress_is_off(folder, capfd):
    diverging = suite(methods={"source_only": {}, "coral": {"weight": 1e300}})
    frame = tlbench.run(diverging, data=".", results="one")
    assert frame["status"].tolist() == ["done", "failed"]
    assert capfd.readouterr().err.startswith("failed: coral a:b seed 0: ")
    tlbench.run(diverging, data=".", results="two", progress=False)
    assert capfd.readouterr().err == ""


def test_errors_of_users_are_one_exception(folder):
    tlbench.run("tiny.toml", methods=["coral"])  # so that there is something to report
    for message, call in (
        ("Did you mean 'quickstart'", lambda: tlbench.run("quickstrat")),
        ("There is no suite file", lambda: tlbench.run("none.toml")),
        ("Unknown method entry 'corl'", lambda: tlbench.run("tiny.toml", methods=["corl"])),
        ("Unknown device 'gpu'", lambda: tlbench.run("tiny.toml", device="gpu")),
        ("is not there in the data root", lambda: tlbench.run("tiny.toml", data="results")),
        ("plugin none.py", lambda: tlbench.run("tiny.toml", plugins=["none.py"])),
        ("(?i)no records", lambda: tlbench.report("none")),
        ("(?i)table 'acuracy'", lambda: tlbench.report(table="acuracy")),
    ):
        with pytest.raises(TlbenchError, match=message):
            call()
