"""Plugin files that a test writes and registers while it runs: methods and backbones."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from pathlib import Path

from tlbench import methods
from tlbench.nn import backbones

LOSS = "    def loss(self, step: Step) -> Tensor:\n        {}\n"
PLAIN_LOSS = LOSS.format("return self.supervised(step)")
READS_BOTH = '    reads = frozenset({"source", "target"})\n'
"""Lines of a method's class."""

HEADER = '''"""{name}: a method of a test."""
from __future__ import annotations
import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn
from tlbench.methods.base import DeepMethod, Group, Passes, Phase, Predictor, ShallowMethod
from tlbench.errors import NotApplicableError, TlbenchError
from tlbench.terms import Step, Task
'''


LOOKS = """class Looks(DeepMethod):
    reads = frozenset({"source"})
    def loss(self, step: Step) -> Tensor:
        loss = self.supervised(step)
        return loss * (1.0 if float(loss.detach()) < 1e9 else 2.0)
"""
"""A method whose last line reads a value of the device; `LOOKS_AT` is that line in a file with the header."""


LOOKS_AT = f"looks.py:{HEADER.count(chr(10)) + LOOKS.count(chr(10))}"


class Cut(KeyboardInterrupt):
    """Ends a case as a signal would."""


@contextlib.contextmanager
def plugged(folder: Path, name: str, body: str, header: str = HEADER) -> Iterator[str]:
    """Write and register a plugin file; it is unregistered at the end of the block, which gets its name."""
    file = folder / f"{name}.py"
    file.write_text(header.format(name=name) + body, encoding="utf-8")
    try:
        yield methods.register_file(file)
    finally:
        methods._registered.pop(name, None)
        backbones._registered.pop(name, None)
        sys.modules.pop(f"tlbench_plugin_{name}", None)
