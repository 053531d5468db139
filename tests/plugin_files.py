"""Method files written for a test, and known under their name while it runs."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from pathlib import Path

from tlbench import methods

HEADER = '''"""{name}: made for a test."""
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
"""A method whose last line reads a value; `LOOKS_AT` is its place in a file with the header."""


LOOKS_AT = f"looks.py:{HEADER.count(chr(10)) + LOOKS.count(chr(10))}"


class Cut(BaseException):
    """A case ends here, as by a signal."""


@contextlib.contextmanager
def plugged(folder: Path, name: str, body: str, header: str = HEADER) -> Iterator[str]:
    """A method of a test, known under its name inside the block and forgotten after it."""
    file = folder / f"{name}.py"
    file.write_text(header.format(name=name) + body, encoding="utf-8")
    methods.register_file(file)
    try:
        yield name
    finally:
        methods._registered.pop(name, None)
        sys.modules.pop(f"tlbench_plugin_{name}", None)
