"""The layers of the package: imports run one way, and files and functions stay short; each rule is seen to fail as well."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter

import pytest
from source_rules import (
    PACKAGE,
    imported_with,
    imports_of,
    is_method,
    long_files,
    long_functions,
    outside_the_contract,
    sources,
    timers,
    two_way_imports,
    upward_imports,
)

REPOSITORY = PACKAGE.parent
ENGINE_FILES = 12
HEAVY = ("torch", "pandas", "numpy", "scipy", "sklearn", "torchvision")


def test_imports_run_one_way():
    assert upward_imports(sources()) == []
    assert two_way_imports(sources()) == []


def test_an_import_of_a_later_layer_is_seen():
    text = """
    from typing import TYPE_CHECKING
    if TYPE_CHECKING:
        from tlbench.cli import app
    def f():
        from tlbench import engine, __version__
        import tlbench.reports.frames
        importlib.import_module("tlbench.api")
        from .. import runner
    """
    text = "\n".join(line[4:] for line in text.splitlines())
    offences = upward_imports({"tlbench.nn.x": text})
    for name in ("cli", "engine", "reports.frames", "api", "runner"):
        assert f"tlbench.nn.x imports tlbench.{name}" in offences
    assert not [line for line in offences if "__version__" in line]
    assert upward_imports({"tlbench.helpers": ""}) == ["tlbench.helpers is in no layer"]
    assert upward_imports({"tlbench.cli": "import tlbench.helpers"}) == [
        "tlbench.cli imports tlbench.helpers, which is in no layer"
    ]
    assert upward_imports({"tlbench.__init__": "from tlbench.api import run"}) != []
    assert upward_imports({"tlbench.__init__": "def f():\n    import tlbench.api"}) == []
    assert upward_imports({"tlbench.cli": "import tlbench.engine\nfrom tlbench import terms"}) == []


def test_a_two_way_import_is_seen():
    one, other = "from tlbench.nn import y", "def f():\n    from tlbench.nn.x import g"
    package = {"tlbench.nn.__init__": "from tlbench.nn.x import f", "tlbench.nn.y": "import torch"}
    assert two_way_imports({**package, "tlbench.nn.x": one}) == []
    assert two_way_imports({**package, "tlbench.nn.x": one, "tlbench.nn.y": other}) != []
    assert two_way_imports({**package, "tlbench.nn.x": "from tlbench.nn import f"}) != []


def test_records_and_reports_import_no_torch():
    texts = sources()
    assert imports_of(texts, ("records", "reports", "site"), ("torch", "torchvision")) == []
    assert imports_of(texts, ("reports", "site"), ("tlbench.methods", "tlbench.nn", "tlbench.engine")) == []
    for start in ("tlbench.records", "tlbench.reports", "tlbench.site"):
        imported = imported_with(texts, start)
        assert "tlbench.terms" in imported
        assert not [name for name in imported if name.split(".")[0] in {"torch", "torchvision"}]


def test_torch_behind_two_imports_is_seen():
    texts = {
        "tlbench.__init__": "",
        "tlbench.reports.__init__": "from tlbench.reports import x\ndef f():\n    import sklearn",
        "tlbench.reports.x": "import tlbench.terms",
        "tlbench.terms": "from torch import nn",
    }
    imported = imported_with(texts, "tlbench.reports")
    assert "torch" in imported and "sklearn" not in imported
    assert imports_of({"tlbench.reports.x": "def f():\n    import torch.nn"}, ("reports",), ("torch",)) != []
    assert imports_of({"tlbench.reports.x": "import torchmetrics"}, ("reports",), ("torch",)) == []


def test_only_the_clock_reads_the_time():
    assert timers(sources()) == []


def test_another_clock_is_seen():
    for text in (
        "import time",
        "def f():\n    from time import perf_counter",
        "import datetime\nx = datetime.datetime.now()",
        "from datetime import date\nx = date.today()",
        "import torch\nx = torch.cuda.Event()",
    ):
        assert timers({"tlbench.engine.x": text}) != [], text
        assert timers({"tlbench.clock": text}) == []
    assert timers({"tlbench.engine.x": "from datetime import datetime\nx = datetime.fromisoformat('')"}) == []


def test_methods_use_no_files_optimizers_or_clocks():
    texts = sources()
    assert sum(map(is_method, texts)) >= 55
    assert outside_the_contract(texts) == []


def test_a_method_that_uses_too_much_is_seen():
    for text in (
        "import os.path",
        "def f():\n    from pathlib import Path",
        "from torch import optim",
        "import torch\ndef f(p):\n    return torch.optim.SGD(p)",
        "from tlbench import clock",
        "import torch\ntorch.manual_seed(0)",
        "x = open('labels')",
    ):
        assert outside_the_contract({"tlbench.methods.family.x": text}) != [], text
        assert outside_the_contract({"tlbench.methods.__init__": text}) == []


def test_files_and_functions_are_short_and_none_is_called_utils():
    texts = sources()
    assert long_files(texts) == []
    assert long_functions(texts) == []
    assert not [module for module in texts if "util" in module or "helper" in module]


def test_files_and_functions_of_tests_and_benchmarks_are_short():
    texts = {
        ".".join(file.relative_to(REPOSITORY).with_suffix("").parts): file.read_text(encoding="utf-8")
        for folder in ("tests", "benchmarks")
        for file in (REPOSITORY / folder).rglob("*.py")
    }
    assert long_files({f"tlbench.{name}": text for name, text in texts.items()}) == []
    assert long_functions(texts) == []


def test_packages_are_shallow():
    files = Counter(file.parent.relative_to(PACKAGE).as_posix() for file in PACKAGE.rglob("*.py"))
    assert files["engine"] <= ENGINE_FILES
    assert {folder: count for folder, count in files.items() if count > 20} == {}  # families of methods are the largest


def test_a_long_file_and_a_long_function_are_seen():
    assert long_files({"tlbench.nn.x": "\n" * 301}) != []
    assert long_files({"tlbench.methods.family.x": "\n" * 81}) != []
    assert long_files({"tlbench.methods.base": "\n" * 81, "tlbench.methods.family.x": "\n" * 80}) == []
    assert long_functions({"tlbench.nn.x": "def f():\n" + "    x = 1\n" * 60}) != []
    assert long_functions({"tlbench.nn.x": "def f():\n" + "    x = 1\n" * 59}) == []


def python(code: str) -> str:
    process = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert process.returncode == 0, process.stderr
    return process.stdout.splitlines()[-1]


def test_importing_the_package_and_the_tables_is_light():
    imported = python(
        "import sys\n"
        f"heavy = lambda: [m for m in {HEAVY!r} if m in sys.modules]\n"
        "import tlbench; a = heavy()\n"
        "import tlbench.terms, tlbench.data, tlbench.suite; b = heavy()\n"
        "import tlbench.records; c = heavy()\n"
        "import tlbench.reports, tlbench.site; d = heavy()\n"
        "print([a, [m for m in b + c + d if m.startswith('torch')], 'pandas' in d])"
    )
    assert imported == "[[], [], True]"


@pytest.mark.parametrize(
    "words",
    [["--help"], ["--version"], ["run", "--help"], ["list", "methods"], ["list", "suites"], ["list", "backbones"]],
    ids=" ".join,
)
def test_the_quick_commands_import_nothing_heavy(words):
    imported = python(
        "import sys\n"
        f"sys.argv = ['tlbench', *{words!r}]\n"
        "from tlbench import cli\n"
        "try:\n    cli.main()\n"
        "except SystemExit as end:\n    assert not end.code, end.code\n"
        "print([m for m in ('torch', 'pandas', 'sklearn', 'scipy', 'torchvision') if m in sys.modules])"
    )
    assert imported == "[]"
