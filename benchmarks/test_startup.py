"""What a user waits for before anything happens: the command's help, a list, the import."""

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
    ended = timed(benchmark, lambda: subprocess.run(COMMANDS[command], capture_output=True, text=True), rounds=rounds(7))
    assert ended.returncode == 0, ended.stderr
