"""tlbench from Python, and what the wheel holds."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

import pandas as pd
import pytest
from plugin_files import HEADER
from tiny_suite import SUITE, suite, write_domains

import tlbench
from tlbench import api, records, reports
from tlbench.errors import TlbenchError
from tlbench.reports.frames import COLUMNS

ROOT = Path(tlbench.__file__).parents[1]


@pytest.fixture
def folder(tmp_path, monkeypatch) -> Path:
    """Where `tiny.toml` and its data are, and where the process stands."""
    monkeypatch.setenv("TLBENCH_CACHE", "off")
    monkeypatch.delenv("TLBENCH_DATA", raising=False)
    monkeypatch.chdir(tmp_path)
    write_domains(tmp_path)
    (tmp_path / "tiny.toml").write_text(SUITE)
    return tmp_path


def test_run_gives_records_as_a_frame_and_report_the_tables(folder):
    frame = tlbench.run("tiny.toml")
    assert isinstance(frame, pd.DataFrame) and tuple(frame.columns) == COLUMNS
    assert frame[["entry", "pair", "seed", "status"]].to_numpy().tolist() == [
        ["source_only", "a:b", 0, "done"],
        ["coral", "a:b", 0, "done"],
    ]
    assert frame["target_accuracy"].between(0, 1).all() and frame["energy_joules"].isna().all()
    assert len(records.read_all(folder / "results")) == 2
    tables = tlbench.report()
    assert [table.kind for table in tables] == list(reports.MAIN)
    assert all(isinstance(table.cells, pd.DataFrame) and isinstance(table.data, pd.DataFrame) for table in tables)
    (accuracy,) = tlbench.report("results", ["tiny"], table="accuracy")
    assert accuracy.title == tables[0].title and "coral" in reports.render([accuracy], "markdown")


def test_a_second_run_gives_the_same_records(folder):
    first = tlbench.run(folder / "tiny.toml", results=folder / "out")
    file = folder / "out" / "tiny" / "coral.jsonl"
    before = file.read_bytes()
    again = tlbench.run(folder / "tiny.toml", results=folder / "out")
    assert file.read_bytes() == before
    columns = ["entry", "identity", "target_accuracy", "finished"]
    pd.testing.assert_frame_equal(first[columns], again[columns])
    some = tlbench.run("tiny.toml", results="out", method=["coral"], pair=["a:b"], seed=[0, 4])
    assert some["seed"].tolist() == [0, 4] and file.read_bytes().startswith(before)


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
        frame = tlbench.run(chosen, data="data", plugin=["copy_of_source_only.py"], device="cpu")
    finally:
        api.methods._plugged.pop("copy_of_source_only", None)
        sys.modules.pop("tlbench_plugin_copy_of_source_only", None)
    one, two = frame["target_accuracy"]
    assert one == two and frame["status"].tolist() == ["done", "done"]


def test_mistakes_are_one_error_of_ours(folder):
    tlbench.run("tiny.toml", method=["coral"])  # so that there is something to report
    for words, call in (
        ("Did you mean 'quickstart'", lambda: tlbench.run("quickstrat")),
        ("There is no suite file", lambda: tlbench.run("none.toml")),
        ("unknown 'corl'", lambda: tlbench.run("tiny.toml", method=["corl"])),
        ("--device gpu", lambda: tlbench.run("tiny.toml", device="gpu")),
        ("is not there in the data root", lambda: tlbench.run("tiny.toml", data="results")),
        ("no such Python file", lambda: tlbench.run("tiny.toml", plugin=["none.py"])),
        ("no records", lambda: tlbench.report("none")),
        ("no table 'acuracy'", lambda: tlbench.report(table="acuracy")),
    ):
        with pytest.raises(TlbenchError, match=words):
            call()


def test_report_stays_a_function_whatever_is_imported():
    done = subprocess.run(
        [
            sys.executable,
            "-c",
            "import tlbench\nimport tlbench.reports, tlbench.runner, tlbench.site\n"
            "assert callable(tlbench.report) and callable(tlbench.run)\n"
            "from tlbench import report, run\nassert report is tlbench.report and run is tlbench.run\n"
            "try:\n    tlbench.runs\nexcept AttributeError as error:\n    print(error)\n",
        ],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert done.stdout == "module 'tlbench' has no attribute 'runs'\n"


def test_the_public_face():
    assert set(tlbench.__all__) == {"__version__", "report", "run"}
    assert tlbench.__version__.count(".") == 2


def test_the_wheel_holds_what_the_package_needs(tmp_path):
    """Built by hatchling itself: shipped suites, starts and the page's template are inside, tests are not."""
    build = pytest.importorskip("hatchling.builders.wheel", reason="hatchling builds the wheel")
    (path,) = build.WheelBuilder(str(ROOT)).build(directory=str(tmp_path), versions=["standard"])
    with zipfile.ZipFile(path) as wheel:
        held = set(wheel.namelist())
        (named,) = (name for name in held if name.endswith("METADATA"))
        assert f"Version: {tlbench.__version__}" in wheel.read(named).decode()
        (points,) = (name for name in held if name.endswith("entry_points.txt"))
        assert "tlbench = tlbench.cli:main" in wheel.read(points).decode()
    suites = {f"tlbench/_suites/{file.name}" for file in (ROOT / "suites").glob("*.toml")}
    assert len(suites) >= 4 and suites <= held
    for kept in ("starts/*.txt", "site/templates/*.j2", "site/assets/*", "reproduce/*.toml", "**/*.py"):
        wanted = {f"tlbench/{file.relative_to(ROOT / 'tlbench').as_posix()}" for file in (ROOT / "tlbench").glob(kept)}
        assert wanted and wanted <= held, kept
    assert not [name for name in held if name.startswith(("tests", "benchmarks", "results")) or "__pycache__" in name]


def test_suites_go_by_name_from_an_installed_wheel(tmp_path):
    """Outside a checkout: a copy of what the wheel holds, and a process that knows nothing else of tlbench."""
    build = pytest.importorskip("hatchling.builders.wheel", reason="hatchling builds the wheel")
    (path,) = build.WheelBuilder(str(ROOT)).build(directory=str(tmp_path), versions=["standard"])
    with zipfile.ZipFile(path) as wheel:
        wheel.extractall(tmp_path / "site")
    code = (
        f"import sys; sys.path.insert(0, {str(tmp_path / 'site')!r})\n"
        "import tlbench, pathlib\nfrom tlbench.suite import shipped, locate\n"
        "assert pathlib.Path(tlbench.__file__).is_relative_to(sys.path[0])\n"
        "assert all(pathlib.Path(file).is_relative_to(sys.path[0]) for file in shipped().values())\n"
        "print(locate('quickstart').parent.name, len(shipped()))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("_suites ")
