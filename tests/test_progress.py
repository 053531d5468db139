"""Progress: bars on a terminal and in a notebook, lines elsewhere, and the events of schema 1."""

from __future__ import annotations

import dataclasses
import io
import json
import sys
import types
from pathlib import Path

import pytest
from rich.console import Console
from tiny_suite import CPU, suite, write_domains

from tlbench import progress, records, runner
from tlbench.progress import Style
from tlbench.runner import RunPlan, local


@pytest.fixture
def plan(tmp_path, monkeypatch) -> RunPlan:
    """The plan of the tiny suite; coral diverges."""
    monkeypatch.setenv("TLBENCH_CACHE", "off")
    write_domains(tmp_path)
    tiny = suite(methods={"source_only": {}, "coral": {"weight": 1e300}})
    records.prepare(tmp_path / "results", tiny.name)
    return runner.plan_run(tiny, tmp_path / "results", tmp_path)


def shown(plan: RunPlan, style: Style, **settings) -> str:
    """What a console gets of a run."""
    text = io.StringIO()
    console = Console(file=text, width=160, **settings)
    results: Path = plan.root / "results"
    progress.show(plan, results, local.local_pool(plan, CPU), CPU, style=style, console=console)
    return text.getvalue()


@pytest.mark.parametrize("style", [Style.auto, Style.bars])
def test_a_terminal_gets_bars(plan, style):
    text = shown(plan, style, force_terminal=True, force_jupyter=False)
    assert "━" in text and "2/2" in text and "failed: coral a:b seed 0" in text


def test_lines_and_failures_elsewhere(plan):
    lines = shown(plan, Style.auto, force_jupyter=False).splitlines()
    assert lines[0].startswith("tiny: 2 cases to run on cpu, 0 on file") and lines[1].startswith("[1/2] source_only a:b seed 0")
    finished = dataclasses.replace(plan, pending=[], identities=[], on_file=records.read_all(plan.root / "results"))
    assert "nothing to run, 2 cases are on file" in shown(finished, Style.auto, force_jupyter=False)


def test_a_long_run_has_few_lines_and_says_each_note_once(tmp_path, monkeypatch):
    """Forty cases have ten lines; notes that differ in numbers alone are one line, and stay whole in the records."""
    monkeypatch.setenv("TLBENCH_CACHE", "off")
    write_domains(tmp_path)
    many = suite(methods={"source_only": {}, "subspace_alignment": {}}, protocol={"seeds": list(range(20))})
    records.prepare(tmp_path / "results", many.name)
    long = runner.plan_run(many, tmp_path / "results", tmp_path)
    lines = shown(long, Style.auto, force_jupyter=False).splitlines()
    assert [line.split()[0] for line in lines[1:-1]] == [f"[{n}/40]" for n in range(4, 41, 4)]
    assert lines[-1].startswith("note (20 cases of subspace_alignment): ") and max(map(len, lines[:-1])) <= 80
    assert sum(bool(record.notes) for record in records.read_all(tmp_path / "results")) == 20


@pytest.mark.parametrize(("style", "count"), [(Style.bars, 1), (Style.quiet, 1), (Style.silent, 0)])
def test_what_is_quiet_without_a_terminal(plan, style, count):
    lines = shown(plan, style, force_jupyter=False).splitlines()
    assert len(lines) == count and all(line.startswith("failed: coral") for line in lines)


def test_a_notebook_gets_the_display_of_rich(plan, monkeypatch):
    """With ipywidgets bars, drawn through its Output; without it lines, and no warning of rich."""
    displayed = []

    class Output:
        outputs = ()

        def clear_output(self, wait: bool = False) -> None: ...
        def __enter__(self) -> Output:
            return self

        def __exit__(self, *ending: object) -> None: ...

    ipython, widgets = types.ModuleType("IPython.display"), types.ModuleType("ipywidgets")
    ipython.display = lambda *objects, **settings: displayed.extend(objects)
    widgets.Output, widgets.__spec__ = Output, types.SimpleNamespace(name="ipywidgets")
    monkeypatch.setitem(sys.modules, "IPython", types.ModuleType("IPython"))
    monkeypatch.setitem(sys.modules, "IPython.display", ipython)
    monkeypatch.setitem(sys.modules, "ipywidgets", widgets)
    shown(plan, Style.bars, force_jupyter=True, force_terminal=False)
    assert any(isinstance(one, Output) for one in displayed)
    displayed.clear()
    monkeypatch.delitem(sys.modules, "ipywidgets")
    shown(plan, Style.bars, force_jupyter=True, force_terminal=False)
    text = " ".join(one.text for one in displayed)
    assert displayed and not any(isinstance(one, Output) for one in displayed) and "[1/2] source_only" in text


def test_the_keys_of_events_are_those_of_schema_1(plan):
    lines: list[str] = []
    results = plan.root / "results"
    progress.show(plan, results, local.local_pool(plan, CPU), CPU, style=Style.json, write=lines.append)
    events = [json.loads(line) for line in lines]
    common = ["event", "at", "suite"]
    keys = {event["event"]: [key for key in event if key not in common] for event in events}
    assert keys["plan"] == ["schema", "device", "places", "to_run", "on_file"] and events[0]["schema"] == 1
    assert keys["start"] == ["row", "pair", "seed", "place", "attempt"]
    assert keys["step"] == ["row", "pair", "seed", "place", "done", "total"]
    assert keys["record"] == ["elsewhere", "left", "left_seconds", "record"]
    assert keys["end"] == ["done", "skipped", "failed", "left", "stopped"]
    assert {"row", "why", "schema"} <= {*next(event for event in events if event["event"] == "record")["record"]}
