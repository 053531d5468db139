"""The wheel: what it holds, and that it runs from an empty folder outside the checkout."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

import tlbench

ROOT = Path(tlbench.__file__).parents[1]
TINY = ("--method", "source_only", "--method", "my_method", "--seed", "0")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> Path:
    """The wheel, built by hatchling itself."""
    build = pytest.importorskip("hatchling.builders.wheel", reason="hatchling builds the wheel")
    (path,) = build.WheelBuilder(str(ROOT)).build(directory=str(tmp_path_factory.mktemp("wheel")), versions=["standard"])
    return Path(path)


def test_the_wheel_holds_what_the_package_needs(wheel):
    """Shipped suites, templates, published tables and the site's pages are inside, tests are not."""
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
        (metadata,) = (name for name in names if name.endswith("METADATA"))
        assert f"Version: {tlbench.__version__}" in archive.read(metadata).decode()
        (points,) = (name for name in names if name.endswith("entry_points.txt"))
        assert "tlbench = tlbench.cli:main" in archive.read(points).decode()
    suites = {f"tlbench/_suites/{file.name}" for file in (ROOT / "suites").glob("*.toml")}
    assert len(suites) >= 4 and suites <= names
    tables = ("published/searches/*.toml", "reports/published_tables/*.toml")
    patterns = ("templates/*.txt", "site/templates/*.j2", "site/assets/*", *tables, "py.typed", "**/*.py")
    for pattern in patterns:
        files = {f"tlbench/{file.relative_to(ROOT / 'tlbench').as_posix()}" for file in (ROOT / "tlbench").glob(pattern)}
        assert files and files <= names, pattern
    assert not [name for name in names if name.startswith(("tests", "benchmarks", "results")) or "__pycache__" in name]


@pytest.fixture(scope="module")
def installed(wheel, tmp_path_factory):
    """`tlbench WORDS` of the installed wheel, in an empty folder: (command, folder)."""
    site, folder = tmp_path_factory.mktemp("site"), tmp_path_factory.mktemp("empty")
    pip = [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--no-index", "--target", str(site), str(wheel)]
    subprocess.run(pip, check=True, timeout=120)
    own = {**os.environ, "PYTHONPATH": str(site), "OMP_NUM_THREADS": "1", "COLUMNS": "200", "TLBENCH_CACHE": "off"}
    own.pop("TLBENCH_DATA", None)

    def run(*words: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, *words] if words[0] == "-c" else [sys.executable, str(site / "bin" / "tlbench"), *words]
        return subprocess.run(command, cwd=folder, env=own, capture_output=True, text=True, timeout=300, check=False)

    return run, folder


def test_an_installed_wheel_imports_its_own_package_and_finds_its_suites(installed):
    run, _ = installed
    code = (
        "import tlbench, pathlib\nfrom tlbench.suite import locate_suite, shipped_suites\n"
        "package = pathlib.Path(tlbench.__file__).parent\n"
        "assert all(file.is_relative_to(package) for file in shipped_suites().values())\n"
        "print(package.parent, locate_suite('quickstart').parent.name, len(shipped_suites()))\n"
    )
    done = run("-c", code)
    assert done.returncode == 0, done.stderr
    where, suites, count = done.stdout.split()
    assert not Path(where).is_relative_to(ROOT) and suites == "_suites" and int(count) >= 4
    assert run("--version").stdout == f"tlbench {tlbench.__version__}\n"
    assert run("reproduce").stdout


@pytest.mark.slow
def test_an_installed_wheel_runs_a_shipped_suite(installed):
    run, folder = installed
    words = ("--method", "source_only", "--method", "coral", "--method", "nearest_neighbor", "--seed", "0")
    done = run("run", "quickstart", *words, "--pair", "upright:rotated")
    assert done.returncode == 0, done.stderr
    assert "3 cases to run" in done.stderr and "quickstart v1: target accuracy" in done.stdout
    assert sorted(file.stem for file in (folder / "results" / "quickstart").glob("*.jsonl")) == [
        "coral",
        "nearest_neighbor",
        "source_only",
    ]


@pytest.mark.slow
def test_an_installed_wheel_writes_checks_and_runs_templates(installed):
    run, folder = installed
    for words in (("new", "method", "my_method"), ("new", "suite", "my_suite"), ("check", "my_suite.toml", "my_method.py")):
        done = run(*words)
        assert done.returncode == 0, done.stderr
    suite = folder / "my_suite.toml"
    suite.write_text(suite.read_text().replace("steps = 300", "steps = 20") + "[methods.my_method]\nweight = 0.3\n")
    done = run("run", "my_suite.toml", "--plugin", "my_method.py", *TINY)
    assert done.returncode == 0, done.stderr
    assert "my_method" in done.stdout and (folder / "results" / "my_suite" / "my_method.jsonl").is_file()
    done = run("check", "results/my_suite/my_method.jsonl", "--plugin", "my_method.py")
    assert done.returncode == 0, done.stderr
