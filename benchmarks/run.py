"""Run the benchmarks, save their times, and print which of them got slower since the last run.

    python -m benchmarks.run [--short | --all] [--threshold 5%] [PYTEST ARGUMENTS]

The files lie in out/bench, named by their form (usual, short or all) and the time; a file is compared with the last one of its
form. `--all` includes the benchmarks that take several minutes. The exit code is 1 if a benchmark failed or if something got
slower beyond the threshold; the short form never fails for being slow.
"""

from __future__ import annotations

import datetime
import os
import subprocess
import sys
from pathlib import Path

FOLDER = Path("out/bench")
SHORT = ("test_step.py", "test_startup.py", "test_reports.py", "test_cache.py")
USUAL = (*SHORT, "test_each_step.py", "test_peers.py")


def main(arguments: list[str]) -> int:
    """Run pytest on the benchmarks of a form, and compare its file with the last one."""
    form = "short" if "--short" in arguments else "all" if "--all" in arguments else "usual"
    arguments = [argument for argument in arguments if argument not in {"--short", "--all"}]
    threshold = "5%"
    if "--threshold" in arguments:
        index = arguments.index("--threshold")
        threshold = arguments[index + 1]
        del arguments[index : index + 2]
    FOLDER.mkdir(parents=True, exist_ok=True)
    earlier = sorted(FOLDER.glob(f"{form}-*.json"))
    file = FOLDER / f"{form}-{datetime.datetime.now(datetime.UTC):%Y%m%dT%H%M%SZ}.json"
    here = Path(__file__).parent
    paths = [str(here)] if form == "all" else [str(here / name) for name in (SHORT if form == "short" else USUAL)]
    command = [sys.executable, "-m", "pytest", *paths, "-q", "-p", "no:cacheprovider", f"--benchmark-json={file}"]
    # pytest-benchmark warns where a benchmark failed, and our pytest settings would turn that warning into a second error
    command += ["-W", "ignore::pytest_benchmark.logger.PytestBenchmarkWarning"]
    environment = {**os.environ, **({"SHORT": "1"} if form == "short" else {})}
    completed = subprocess.run(
        [*command, "--benchmark-columns=min,median,iqr,rounds", *arguments], env=environment, check=False
    )
    if completed.returncode:
        return 1
    print(f"saved {file}", flush=True)
    if not earlier:
        print(f"This is the first {form} file, so there is none to compare it with.")
        return 0
    compare = ["bench", "--compare", str(earlier[-1]), str(file), "--threshold", threshold]
    exit_code = subprocess.run([sys.executable, "-m", "tlbench", *compare], check=False).returncode
    return 0 if form == "short" and exit_code == 1 else exit_code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
