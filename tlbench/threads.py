"""The thread policy of torch. It must be set before torch is imported, so that this module does not import torch."""

from __future__ import annotations

import os
from pathlib import Path


def set_wait_policy() -> None:
    """Let idle threads sleep when the machine is busy with other programs, unless OMP_WAIT_POLICY is set.

    Threads that spin while they wait are a third faster on an idle machine, and ten times as slow on a busy one.
    """
    if is_machine_busy():
        os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")


def limit_threads(threads: int) -> None:
    """Set the number of threads of torch and of the linear-algebra libraries that SciPy and scikit-learn call."""
    import threadpoolctl
    import torch

    torch.set_num_threads(threads)
    threadpoolctl.threadpool_limits(threads)


def is_machine_busy() -> bool:
    """Whether other programs keep at least half of the cores busy now; False where that can't be read (outside Linux)."""
    try:
        running = Path("/proc/loadavg").read_text(encoding="ascii").split()[3].partition("/")[0]
    except OSError:
        return False
    return int(running) - 1 >= max((os.cpu_count() or 1) // 2, 1)  # this program is one of the running ones
