"""How torch's threads wait for each other: decided before torch is imported, and so in a file that does not import it."""

from __future__ import annotations

import os
from pathlib import Path


def set_wait_policy() -> None:
    """Beside other programs, let threads sleep while they wait, unless OMP_WAIT_POLICY says otherwise.

    Threads that wait in a loop are a third faster on an idle machine, and ten times as slow on a busy one.
    """
    if others_run():
        os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")


def limit_threads(threads: int) -> None:
    """So many threads from now on, for torch and for the libraries of linear algebra that SciPy and scikit-learn call."""
    import threadpoolctl
    import torch

    torch.set_num_threads(threads)
    threadpoolctl.threadpool_limits(threads)


def others_run() -> bool:
    """Whether other programs keep half of the cores busy at this moment, where that can be told (Linux)."""
    try:
        running = Path("/proc/loadavg").read_text(encoding="ascii").split()[3].partition("/")[0]
    except OSError:
        return False
    return int(running) - 1 >= max((os.cpu_count() or 1) // 2, 1)  # one of them is this program
