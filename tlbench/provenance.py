"""Where a record comes from: the machine that a case ran on, and the code that ran it."""

from __future__ import annotations

from pydantic import Field

from tlbench import ranges
from tlbench.ranges import Strict


class Machine(Strict):
    """Where a case ran."""

    device: str
    driver: str | None = None
    torch: str
    cuda: str | None = None
    precision: str = "fp32"
    cpu: str | None = None
    cores: ranges.Cores | None = None
    threads: ranges.Cores | None = None
    """Of one case, on the CPU."""
    concurrent_cases: ranges.Cores | None = Field(None, alias="places")
    """How many cases ran at once on its device, this one among them."""
    devices: ranges.Cores | None = None
    """How many devices trained the case, each with its share of every batch; null where it was one."""


class Code(Strict):
    """Which tlbench ran: its version, and the commit where it ran from a git checkout."""

    tlbench: str
    commit: str | None = None
    dirty: bool | None = None
    engine: ranges.Size | None = None
    """The version of the engine, which is raised when the numbers of all methods change; null in older records."""
