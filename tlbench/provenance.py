"""Where a record comes from: the machine that a case ran on, the code that ran it, and the weights that it started from."""

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


class WeightsSource(Strict):
    """Who trained the weights of a backbone, on what, and under which licence they come; empty: not stated."""

    name: ranges.Text = ""
    """What they are, such as MobileNetV2 of torchvision."""
    trained_on: ranges.Text = ""
    """The data that they were trained on, such as ImageNet-1k."""
    citation: ranges.Text = ""
    licence: ranges.Text = ""
    url: ranges.Text = ""

    def text(self) -> str:
        """What is stated in one clause: "MobileNetV2, trained on ImageNet-1k (licence Apache-2.0)"."""
        data = f"trained on {self.trained_on}" if self.trained_on else ""
        rest = "; ".join(filter(None, (self.citation, f"licence {self.licence}" if self.licence else "")))
        clause = ", ".join(filter(None, (self.name, data)))
        return f"{clause} ({rest})" if clause and rest else clause or rest or self.url
