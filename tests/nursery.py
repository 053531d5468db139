"""A process that has imported everything and forks runs on demand, so that a run that is to be killed costs milliseconds.

Run: python tests/nursery.py      each line on standard input: a folder that holds tiny.toml; the answer is the run's process
id, then "planned ID" once its plan is made, and "ended ID STATUS" when it is over (negative: killed by that signal).
"""

from __future__ import annotations

import os
import select
import sys
from pathlib import Path

import torch
from torch.utils.flop_counter import FlopCounterMode

from tlbench import api, records, runner
from tlbench.engine import limits, rates
from tlbench.engine.machine import code
from tlbench.runner import local


def say(*words: object) -> None:
    os.write(1, (" ".join(map(str, words)) + "\n").encode())  # in one piece, from whichever process


def go(folder: Path) -> None:
    suite = api.load(folder / "tiny.toml")
    results = folder / "results"
    records.prepare(results, suite.name)
    plan = runner.plan(suite, results, folder)
    say("planned", os.getpid())
    for _ in local.run(plan, results, torch.device("cpu")):
        pass


def warm_up() -> None:
    """What the first case of a process takes seconds for; no gradient, for torch's threads of those survive no fork."""
    code()
    rates.warm_up()
    limits.product(torch.device("cpu"), "fp32")
    net = torch.nn.Linear(4, 4)
    with FlopCounterMode(display=False), torch.no_grad():
        net(torch.zeros(2, 4))


def main() -> None:
    torch.set_num_threads(1)
    warm_up()
    say("ready")
    running: set[int] = set()
    while True:
        if select.select([0], [], [], 0.002 if running else None)[0]:
            line = sys.stdin.buffer.raw.readline().decode().strip()  # type: ignore[attr-defined]  # past any buffer
            if not line:
                return
            child = os.fork()
            if child == 0:
                status = 1
                try:
                    go(Path(line))
                    status = 0
                finally:
                    os._exit(status)
            running.add(child)
            say("started", child)
        for child in list(running):
            done, status = os.waitpid(child, os.WNOHANG)
            if done:
                running.discard(child)
                say("ended", child, os.waitstatus_to_exitcode(status))


if __name__ == "__main__":
    main()
