"""The public names of tlbench: lazy, listed, and typed."""

from __future__ import annotations

import inspect
import subprocess
import sys
from pathlib import Path

import pytest

import tlbench

ROOT = Path(tlbench.__file__).parents[1]

USER_FILE = '''"""A method of a user."""
from torch import Tensor

import tlbench
from tlbench import DeepMethod, Field, Step


class Mine(DeepMethod):
    """CE(source) + weight * |difference of means|^2."""

    reads = frozenset({"source", "target"})
    weight: float = Field(0.1, ge=0, description="of the term")

    def loss(self, step: Step) -> Tensor:
        source_BD, target_BD = self.net.features(step.source.x, step.target)
        return self.supervised(step) + self.weight * (source_BD.mean(0) - target_BD.mean(0)).square().sum()


reveal_type(DeepMethod)
reveal_type(Mine.weight)
reveal_type(tlbench.run)
reveal_type(tlbench.fit(Mine, ([[1.0]], [1])))
'''


def python(code: str) -> str:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=True)
    return done.stdout


def test_every_public_name_is_there_and_listed():
    expected = {"run", "report", "load_suite", "list_suites", "list_methods", "fit", "DeepMethod", "ShallowMethod", "Phase"}
    expected |= {"Group", "Step", "Task", "Labelled", "Field", "TlbenchError", "Predictor", "__version__"}
    assert expected <= set(tlbench.__all__) and dir(tlbench) == sorted(tlbench.__all__)
    assert all(hasattr(tlbench, name) for name in tlbench.__all__)
    assert tlbench.__version__.count(".") == 2
    with pytest.raises(AttributeError, match="module 'tlbench' has no attribute 'runs'"):
        _ = tlbench.runs


def test_public_functions_document_their_parameters():
    for name in ("run", "report", "list_methods", "fit"):
        function = getattr(tlbench, name)
        arguments = inspect.getdoc(function).partition("Args:")[2]
        assert all(f"{parameter}: " in arguments for parameter in inspect.signature(function).parameters), name


def test_names_are_imported_at_their_first_use():
    code = (
        "import sys, tlbench\n"
        "heavy = lambda: [m for m in ('torch', 'pandas', 'pydantic') if m in sys.modules]\n"
        "print(heavy()); dir(tlbench); tlbench.TlbenchError; print(heavy()); tlbench.Field; tlbench.Step; print(heavy())\n"
        "from tlbench import *\nprint(heavy(), DeepMethod.__name__)\n"
    )
    lines = python(code).splitlines()
    assert lines[0] == "[]" and "torch" not in lines[1] + lines[2] and lines[3].startswith("['torch', 'pandas', 'pydantic']")


def test_public_functions_stay_functions_whatever_is_imported():
    code = (
        "import tlbench\nimport tlbench.reports, tlbench.runner, tlbench.site, tlbench.api.runs, tlbench.engine.fitting\n"
        "assert callable(tlbench.report) and callable(tlbench.run) and callable(tlbench.fit)\n"
        "from tlbench import report, run\nassert report is tlbench.report and run is tlbench.run\nprint('callable')\n"
    )
    assert python(code) == "callable\n"


@pytest.mark.slow
def test_a_type_checker_sees_the_real_types(tmp_path):
    """A method file of ten lines is clean under mypy --strict, and its names are not Any."""
    (tmp_path / "mine.py").write_text(USER_FILE)
    command = [sys.executable, "-m", "mypy", "--strict", "--cache-dir", str(ROOT / ".mypy_cache" / "user_file"), "mine.py"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=500, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    revealed = [line.partition("Revealed type is ")[2] for line in done.stdout.splitlines() if "Revealed type" in line]
    method, option, run, predictor = revealed
    assert method.endswith('-> tlbench.methods.base.DeepMethod"') and option == '"float"'
    assert run.startswith('"def (suite: ') and run.endswith('-> pandas.core.frame.DataFrame"')
    assert predictor == '"tlbench.api.arrays.FittedPredictor"'
