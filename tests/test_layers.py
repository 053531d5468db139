"""The walls of the house, read from the source text of every file: which room may import which, and who may tell the time.

Each rule is a function from made-up or real source texts to what offends, so that each is seen to fail as well.
"""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

import tlbench

CORRIDOR = (
    *("terms", "threads", "data", "suite", "nn", "methods", "clock", "engine", "records", "merging"),
    *("runner", "sweep", "reports", "pictures", "site", "checks", "bench"),
    *(
        "api",
        "reproduce",
        "progress",
        "cli_data",
        "cli_report",
        "cli_reproduce",
        "cli_results",
        "cli_bench",
        "cli_runs",
        "cli_sweep",
        "cli",
        "__main__",
    ),
)
PACKAGE = Path(tlbench.__file__).parent
LINES, METHOD_LINES = 300, 80
HEAVY = ("torch", "pandas", "numpy", "scipy", "sklearn", "torchvision")


def sources() -> dict[str, str]:
    """The text of every module of the package by its dotted name; packages are named `tlbench.data.__init__`."""
    return {
        ".".join(("tlbench", *file.relative_to(PACKAGE).with_suffix("").parts)): file.read_text(encoding="utf-8")
        for file in sorted(PACKAGE.rglob("*.py"))
        if "_suites" not in file.parts
    }


def imports(module: str, text: str) -> Iterator[tuple[str, bool]]:
    """Every dotted name that a module imports, wherever the import stands, and whether it runs with the module itself.

    `from a import b` gives both `a` and `a.b`. Text given to `import_module` counts; TYPE_CHECKING blocks do not run.
    """
    tree = ast.parse(text)
    later = {
        child
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
        or (isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test))
        for child in ast.walk(node)
    }
    for node in ast.walk(tree):
        runs = node not in later
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.name, runs
        elif isinstance(node, ast.ImportFrom):
            parts = module.split(".")
            above = ".".join(parts[: len(parts) - node.level]) if node.level else ""
            base = ".".join(filter(None, (above, node.module)))
            yield base, runs
            for alias in node.names:
                yield f"{base}.{alias.name}", runs
        elif isinstance(node, ast.Call) and "import" in ast.unparse(node.func):
            for argument in node.args[:1]:
                if isinstance(argument, ast.Constant) and isinstance(argument.value, str):
                    yield argument.value, runs


def room(name: str) -> str:
    """The room of a dotted name inside the package; empty for the bare package and for what stands outside."""
    parts = name.split(".")
    return parts[1] if parts[0] == "tlbench" and len(parts) > 1 and parts[1] != "__init__" else ""


def walls(texts: Mapping[str, str]) -> list[str]:
    """Imports that go to the right in the corridor, and rooms that do not stand in it."""
    wrong = []
    for module, text in texts.items():
        if module == "tlbench.__init__":  # the public face: lazy, and only the api
            wrong += [f"{module} imports {name}" for name, _ in imports(module, text) if room(name) not in ("", "api")]
            wrong += [f"{module} imports {name} at once" for name, runs in imports(module, text) if runs and room(name)]
            continue
        if room(module) not in CORRIDOR:
            wrong.append(f"{module} stands outside the corridor")
            continue
        place = CORRIDOR.index(room(module))
        for name, _ in imports(module, text):
            to = room(name)
            if not to or to == "__version__":
                continue
            if to not in CORRIDOR:
                wrong.append(f"{module} imports {name}, which is no room")
            elif CORRIDOR.index(to) > place:
                wrong.append(f"{module} imports {name}")
    return wrong


def named(texts: Mapping[str, str], rooms: tuple[str, ...], banned: tuple[str, ...]) -> list[str]:
    """Imports, anywhere in the modules of some rooms, of a banned name or of anything below it."""
    return [
        f"{module} imports {name}"
        for module, text in texts.items()
        if room(module) in rooms
        for name, _ in imports(module, text)
        if any(name == one or name.startswith(f"{one}.") for one in banned)
    ]


def reached(texts: Mapping[str, str], start: str) -> set[str]:
    """All that runs an import when `start` is imported: modules of the package and the packages of others."""
    seen: set[str] = set()
    todo = [start]
    while todo:
        name = todo.pop()
        parents = [".".join(name.split(".")[:i]) for i in range(1, name.count(".") + 1)]
        for one in (*parents, name):
            if one in seen:
                continue
            seen.add(one)
            for module in (one, f"{one}.__init__"):
                if module in texts:
                    todo += [to for to, runs in imports(module, texts[module]) if runs]
    return seen


def timers(texts: Mapping[str, str]) -> list[str]:
    """Who tells the time outside the clock."""
    wrong = named(texts, tuple(r for r in ("", *CORRIDOR) if r != "clock"), ("time", "timeit"))
    for module, text in texts.items():
        if room(module) == "clock":
            continue
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.Attribute) and node.attr in {"now", "utcnow", "today", "Event"}:
                said = ast.unparse(node)
                if "date" in said or "cuda" in said:
                    wrong.append(f"{module} says {said}")
    return wrong


def is_method(module: str) -> bool:
    parts = module.split(".")
    return parts[1] == "methods" and (len(parts) == 4 or parts[-1] == "base") and parts[-1] != "__init__"


def outside_the_contract(texts: Mapping[str, str]) -> list[str]:
    """What a method must not know: files, optimizers, seeds, clocks."""
    banned = ("os", "io", "shutil", "pathlib", "random", "torch.optim", "tlbench.clock", "tlbench.engine")
    only = {module: text for module, text in texts.items() if is_method(module)}
    wrong = named(only, ("methods",), banned)
    for module, text in only.items():
        for node in ast.walk(ast.parse(text)):
            said = ast.unparse(node) if isinstance(node, ast.Attribute | ast.Name) else ""
            if said in {"torch.optim", "torch.manual_seed", "torch.cuda", "torch.device", "open"}:
                wrong.append(f"{module} says {said}")
    return wrong


def too_long(texts: Mapping[str, str]) -> list[str]:
    """Files over their limit."""
    counts = {module: len(text.splitlines()) for module, text in texts.items()}
    limits = {module: METHOD_LINES if is_method(module) and "base" not in module else LINES for module in texts}
    return [f"{m}: {count} lines, {limits[m]} at most" for m, count in counts.items() if count > limits[m]]


def test_imports_run_one_way():
    assert walls(sources()) == []


def test_a_wall_that_is_broken_is_seen():
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
    wrong = walls({"tlbench.nn.x": text})
    for name in ("cli", "engine", "reports.frames", "api", "runner"):
        assert f"tlbench.nn.x imports tlbench.{name}" in wrong
    assert not [line for line in wrong if "__version__" in line]
    assert walls({"tlbench.helpers": ""}) == ["tlbench.helpers stands outside the corridor"]
    assert walls({"tlbench.cli": "import tlbench.helpers"}) == ["tlbench.cli imports tlbench.helpers, which is no room"]
    assert walls({"tlbench.__init__": "from tlbench.api import run"}) != []
    assert walls({"tlbench.__init__": "def f():\n    import tlbench.api"}) == []
    assert walls({"tlbench.cli": "import tlbench.engine\nfrom tlbench import terms"}) == []


def test_records_and_reports_know_no_torch():
    texts = sources()
    assert named(texts, ("records", "reports", "site"), ("torch", "torchvision")) == []
    assert named(texts, ("reports", "site"), ("tlbench.methods", "tlbench.nn", "tlbench.engine")) == []
    for start in ("tlbench.records", "tlbench.reports", "tlbench.site"):
        known = reached(texts, start)
        assert "tlbench.terms" in known
        assert not [name for name in known if name.split(".")[0] in {"torch", "torchvision"}]


def test_torch_behind_two_doors_is_seen():
    texts = {
        "tlbench.__init__": "",
        "tlbench.reports.__init__": "from tlbench.reports import x\ndef f():\n    import sklearn",
        "tlbench.reports.x": "import tlbench.terms",
        "tlbench.terms": "from torch import nn",
    }
    known = reached(texts, "tlbench.reports")
    assert "torch" in known and "sklearn" not in known
    assert named({"tlbench.reports.x": "def f():\n    import torch.nn"}, ("reports",), ("torch",)) != []
    assert named({"tlbench.reports.x": "import torchmetrics"}, ("reports",), ("torch",)) == []


def test_only_the_clock_tells_the_time():
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


def test_methods_know_no_files_optimizers_or_clocks():
    texts = sources()
    assert sum(map(is_method, texts)) >= 11
    assert outside_the_contract(texts) == []


def test_a_method_that_knows_too_much_is_seen():
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


def test_no_file_is_too_long_and_none_is_called_utils():
    texts = sources()
    assert too_long(texts) == []
    assert not [module for module in texts if "util" in module or "helper" in module]


def test_a_long_file_is_seen():
    assert too_long({"tlbench.nn.x": "\n" * 301}) != []
    assert too_long({"tlbench.methods.family.x": "\n" * 81}) != []
    assert too_long({"tlbench.methods.base": "\n" * 81, "tlbench.methods.family.x": "\n" * 80}) == []


def python(code: str) -> str:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()[-1]


def test_importing_the_package_and_the_tables_is_light():
    said = python(
        "import sys\n"
        f"heavy = lambda: [m for m in {HEAVY!r} if m in sys.modules]\n"
        "import tlbench; a = heavy()\n"
        "import tlbench.terms, tlbench.data, tlbench.suite; b = heavy()\n"
        "import tlbench.records; c = heavy()\n"
        "import tlbench.reports, tlbench.site; d = heavy()\n"
        "print([a, [m for m in b + c + d if m.startswith('torch')], 'pandas' in d])"
    )
    assert said == "[[], [], True]"


@pytest.mark.parametrize(
    "words", [["--help"], ["run", "--help"], ["list", "methods"], ["list", "suites"], ["list", "backbones"]], ids=" ".join
)
def test_the_quick_commands_load_nothing_heavy(words):
    said = python(
        "import sys\n"
        f"sys.argv = ['tlbench', *{words!r}]\n"
        "from tlbench import cli\n"
        "try:\n    cli.main()\n"
        "except SystemExit as end:\n    assert not end.code, end.code\n"
        "print([m for m in ('torch', 'pandas', 'sklearn', 'scipy', 'torchvision') if m in sys.modules])"
    )
    assert said == "[]"
