"""A server that has imported everything and forks a process for each request, so that a run or a command costs milliseconds.

Run: python tests/command_server_process.py

Each line on standard input is a JSON object: {"run": FOLDER} runs the folder's tiny.toml; with "words", "cwd", "environment",
"out" and "err" it runs `tlbench WORDS`, with its output in two files. The answers are "started ID", for a run "planned ID" once
its plan is ready, and "ended ID STATUS" (negative: killed by that signal).
"""

from __future__ import annotations

import json
import os
import select
import sys
import traceback
from pathlib import Path
from typing import Any

import torch
from torch.utils.flop_counter import FlopCounterMode

from tlbench import api, checks, cli, progress, records, reports, runner, site
from tlbench.engine.runtime import device_limits
from tlbench.engine.runtime.device import code
from tlbench.engine.training import optimizer
from tlbench.runner import local, resources

IMPORTED = (checks, resources, progress, reports, site)
"""Modules that commands import only when they run."""


def answer(*words: object) -> None:
    os.write(1, (" ".join(map(str, words)) + "\n").encode())  # a single write, for several processes answer


def run(folder: Path) -> None:
    suite = api.load_suite(folder / "tiny.toml")
    results = folder / "results"
    records.prepare(results, suite.name)
    plan = runner.plan_run(suite, results, folder)
    answer("planned", os.getpid())
    for _ in local.run(plan, results, torch.device("cpu")):
        pass


def command(request: dict[str, Any]) -> int:
    """Run `tlbench WORDS` in this process; its exit code."""
    os.chdir(request["cwd"])
    os.environ.clear()
    os.environ.update(request["environment"])
    for number, name in ((1, "out"), (2, "err")):
        file = os.open(request[name], os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(file, number)
    sys.argv = ["tlbench", *request["words"]]
    sys.path.insert(0, "")
    status = 0
    try:
        cli.main()
    except SystemExit as end:
        status = end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:  # as Python itself ends
        traceback.print_exc()
        status = 1
    sys.stdout.flush()
    sys.stderr.flush()
    return status


def warm_up() -> None:
    """Do what takes the first case of a process seconds; without gradients, whose torch threads survive no fork."""
    code()
    optimizer.import_optimizers()
    device_limits.peak_matmul_flops(torch.device("cpu"), "fp32")
    net = torch.nn.Linear(4, 4)
    with FlopCounterMode(display=False), torch.no_grad():
        net(torch.zeros(2, 4))


def main() -> None:
    torch.set_num_threads(1)
    warm_up()
    answer("ready")
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
                    request = json.loads(line)
                    status = command(request) if "words" in request else run(Path(request["run"])) or 0
                finally:
                    os._exit(status)
            running.add(child)
            answer("started", child)
        for child in list(running):
            done, status = os.waitpid(child, os.WNOHANG)
            if done:
                running.discard(child)
                answer("ended", child, os.waitstatus_to_exitcode(status))


if __name__ == "__main__":
    main()
