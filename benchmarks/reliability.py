"""What tlbench survives: killed runs, damaged caches, hostile records, mutated inputs, misbehaving plug-ins, a lost Ray node.

    python -m benchmarks.reliability [--only NAME] [--short]

Each trial prints what it tried and its faults, and the last lines are a table; the exit code is 1 if there is any fault. All
random choices have fixed seeds. The whole takes about an hour on two cores; `--short` takes some minutes. docs/reliability.md
has the figures, and what is promised.
"""

from __future__ import annotations

import argparse
import importlib.util
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from benchmarks import killed_runs, mutated_inputs, small_inputs

REPOSITORY = Path(__file__).parent.parent
SHORT_PLUGINS = 4


@dataclass(frozen=True)
class Outcome:
    """What a trial tried, and how often it was not survived."""

    tried: str
    faults: list[str]


def kills(short: bool, workers: int) -> Outcome:
    """Runs killed by SIGKILL at random moments."""
    count, seeds = (4, 8) if short else (25, killed_runs.SEEDS)
    with tempfile.TemporaryDirectory() as folder:
        hits, faults = killed_runs.killed_runs(Path(folder), count, workers, seeds)
    where = "one process" if workers == 1 else f"{workers} workers"
    return Outcome(f"{count} SIGKILLs in {where} ({hits} while it ran), {8 * seeds} cases", faults)


def hostile(short: bool) -> Outcome:
    """Hostile lines of records, and six commands."""
    with tempfile.TemporaryDirectory() as folder:
        lines, commands, faults = killed_runs.hostile_lines(Path(folder), 12 if short else 1)
    return Outcome(f"{lines} hostile record lines, {commands} commands", faults)


def mutations(short: bool) -> Outcome:
    """Mutated files of all readers."""
    count = 500 if short else 50_000
    faults = mutated_inputs.summarized(count)
    return Outcome(
        f"{count} mutated inputs over {len(small_inputs.inputs())} kinds of files", [f"{faults} faults"] * bool(faults)
    )


def damage(short: bool) -> Outcome:
    """Damaged entries of the cache of decoded domains and of features."""
    return _command("kinds of damage to the cache", "-m", "benchmarks.damage")


def plugins(short: bool) -> Outcome:
    """Methods that misbehave."""
    from benchmarks.misbehaving_plugins import PLUGINS

    names = list(PLUGINS)[:: max(1, len(PLUGINS) // SHORT_PLUGINS)] if short else list(PLUGINS)
    return _command(
        f"{len(names)} misbehaving plug-ins, each beside three other methods", "-m", "benchmarks.misbehaving", *names
    )


def ray_node(short: bool) -> Outcome:
    """A node of a Ray cluster that is removed in mid-run."""
    if importlib.util.find_spec("ray") is None:
        return Outcome("a Ray node removed in mid-run: not tried, the extra `ray` is not installed", [])
    test = "tests/runner/test_ray.py::test_the_same_numbers_on_a_cluster_and_all_records_although_a_node_dies"
    return _command("a Ray node removed in mid-run", "-m", "pytest", "-q", "-p", "no:cacheprovider", test)


TRIALS: dict[str, Callable[[bool], Outcome]] = {
    "kills": lambda short: kills(short, 1),
    "kills_workers": lambda short: kills(short, 2),
    "damage": damage,
    "hostile": hostile,
    "mutations": mutations,
    "plugins": plugins,
    "ray": ray_node,
}


def _command(tried: str, *words: str) -> Outcome:
    """A trial that is a program of its own; its last line says what it tried."""
    process = subprocess.run([sys.executable, *words], cwd=REPOSITORY, capture_output=True, text=True, check=False)
    print(process.stdout.rstrip())
    lines = process.stdout.strip().splitlines()
    if process.returncode:
        faults = [line for line in lines if line.startswith("FAULT")]
        return Outcome(tried, faults or [f"exit code {process.returncode}: {process.stderr[-500:]}"])
    return Outcome(lines[-1] if "benchmarks.damage" in words else tried, [])


def main() -> int:
    """Run the trials, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", action="append", choices=TRIALS, help="a trial (repeat for more)")
    parser.add_argument("--short", action="store_true", help="fewer kills, lines, inputs and plug-ins")
    given = parser.parse_args()
    outcomes: dict[str, tuple[Outcome, float]] = {}
    for name in given.only or TRIALS:
        begun = time.monotonic()
        outcome = TRIALS[name](given.short)
        outcomes[name] = outcome, time.monotonic() - begun
        for fault in outcome.faults:
            print(f"{name}: {fault}", flush=True)
    print(f"\n{'trial':14} {'faults':>6} {'seconds':>8}  tried")
    for name, (outcome, seconds) in outcomes.items():
        print(f"{name:14} {len(outcome.faults):6} {seconds:8.0f}  {outcome.tried}")
    return int(any(outcome.faults for outcome, _ in outcomes.values()))


if __name__ == "__main__":
    sys.exit(main())
