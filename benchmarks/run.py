"""Run the benchmarks, keep the file, and say what got slower since the last one.

    python -m benchmarks.run [--short | --all] [--threshold 5%] [PYTEST ARGUMENTS]

Files lie in out/bench, named by the form and the time; a file is compared with the last one of its form. `--all` runs every
benchmark, those of several minutes too. Exit code 1: a benchmark failed, or (but in
the short form) something got slower beyond the threshold.
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


def main(words: list[str]) -> int:
    kind = "short" if "--short" in words else "all" if "--all" in words else "usual"
    words = [word for word in words if word not in {"--short", "--all"}]
    threshold = "5%"
    if "--threshold" in words:
        at = words.index("--threshold")
        threshold = words[at + 1]
        del words[at : at + 2]
    FOLDER.mkdir(parents=True, exist_ok=True)
    earlier = sorted(FOLDER.glob(f"{kind}-*.json"))
    file = FOLDER / f"{kind}-{datetime.datetime.now(datetime.UTC):%Y%m%dT%H%M%SZ}.json"
    here = Path(__file__).parent
    which = [str(here)] if kind == "all" else [str(here / name) for name in (SHORT if kind == "short" else USUAL)]
    command = [sys.executable, "-m", "pytest", *which, "-q", "-p", "no:cacheprovider", f"--benchmark-json={file}"]
    # said on top of what really went wrong, and made an error by our own settings
    command += ["-W", "ignore::pytest_benchmark.logger.PytestBenchmarkWarning"]
    environment = {**os.environ, **({"SHORT": "1"} if kind == "short" else {})}
    ended = subprocess.run([*command, "--benchmark-columns=min,median,iqr,rounds", *words], env=environment, check=False)
    if ended.returncode:
        return 1
    print(f"saved {file}", flush=True)
    if not earlier:
        print("the first of its kind: nothing to compare it with")
        return 0
    compare = ["bench", "--compare", str(earlier[-1]), str(file), "--threshold", threshold]
    slower = subprocess.run([sys.executable, "-m", "tlbench", *compare], check=False).returncode
    return 0 if kind == "short" and slower == 1 else slower


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
