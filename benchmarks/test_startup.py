"""The start-up time of the command (its help, a list) and of the import, beside a bare Python."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from benchmarks.timing import rounds, timed

TLBENCH = str(Path(sys.executable).with_name("tlbench"))
COMMANDS = {
    "tlbench --help": [TLBENCH, "--help"],
    "tlbench list methods": [TLBENCH, "list", "methods"],
    'python -c "import tlbench"': [sys.executable, "-c", "import tlbench"],
    'python -c "pass"': [sys.executable, "-c", "pass"],
}


@pytest.mark.benchmark(group="start-up")
@pytest.mark.parametrize("command", COMMANDS)
def test_startup(benchmark: BenchmarkFixture, command: str) -> None:
    completed = timed(benchmark, lambda: subprocess.run(COMMANDS[command], capture_output=True, text=True), rounds=rounds(7))
    assert completed.returncode == 0, completed.stderr
