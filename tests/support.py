"""What several test files share: plugin methods, tiny suites and domains, records, and the command line as a process."""

from __future__ import annotations

import atexit
import contextlib
import functools
import json
import os
import resource
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tlbench import data, methods
from tlbench.errors import TlbenchError
from tlbench.suite import Suite, parse_suite
from tlbench.terms import Case, Code, Domain, Labelled, Machine, Record, Scores

CPU = torch.device("cpu")
Completed = subprocess.CompletedProcess[str]

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

SUITE = """
name = "tiny"
version = 1
[data]
reader = "npz"
x = "x"
y = "y"
[domains.a]
path = "a.npz"
[domains.b]
path = "b.npz"
[pairs]
list = ["a:b"]
[protocol]
seeds = [0]
[net]
backbone = "mlp"
hidden = [8]
[train]
steps = 5
batch = 8
[methods.source_only]
[methods.coral]
"""


IMAGES = SUITE.replace('backbone = "mlp"\nhidden = [8]', 'backbone = "lenet"')

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


def blobs(seed: int, rows: int = 30, shift: float = 0.0, classes: int = 3, columns: int = 4) -> Labelled:
    """Separated classes in a few columns."""
    source = torch.Generator().manual_seed(seed)
    y = torch.arange(rows) % classes
    x = 3 * torch.eye(classes, columns)[y] + 0.4 * torch.randn(rows, columns, generator=source) + shift
    return Labelled(x, y)


def domain(name: str, rows: Labelled, test: Labelled | None = None, classes: int = 3) -> Domain:
    """A domain from rows, its fingerprint its name."""
    return Domain(name, rows, tuple(map(str, range(classes))), f"fingerprint of {name}", test)


def suite(text: str = SUITE, **changes: dict[str, Any]) -> Suite:
    """The tiny suite, with keys of its tables changed: `suite(protocol={"target_labels": 2})`."""
    import tomllib

    raw = tomllib.loads(text)
    for table, values in changes.items():
        if table == "methods":
            raw[table] = values
        else:
            raw[table] = {**raw.get(table, {}), **values}
    return parse_suite(raw, "tiny suite of a test")


def case(method: str = "source_only", **changes: Any) -> Case:
    """A case on the pair a:b."""
    facts: dict[str, Any] = {"suite": "tiny", "suite_version": 1, "entry": method, "method": method}
    return Case(**{**facts, "sources": ("a",), "target": "b", "seed": 0, **changes})


def record(number: int = 0, **changes: Any) -> Record:
    """A record that was never run."""
    facts: dict[str, Any] = {
        **case().model_dump(by_alias=False),
        "seed": number,
        "identity": f"{number:016x}",
        "status": "done",
        "scores": Scores(target_accuracy=0.5, per_class_accuracy={"0": 0.5, "1": None}),
        "machine": Machine(device="cpu", torch="2"),
        "code": Code(tlbench="0"),
        "data": {"a": "1", "b": "2"},
        "started": "2024-01-01T00:00:00.000+00:00",
        "finished": "2024-01-01T00:00:01.000+00:00",
    }
    return Record(**{**facts, **changes})


def write_domains(folder: Path) -> None:
    """a.npz and b.npz: two domains of three classes."""
    for name, seed, shift in (("a", 1, 0.0), ("b", 2, 0.5)):
        rows = blobs(seed, 60, shift)
        np.savez(folder / f"{name}.npz", x=rows.x.numpy(), y=rows.y.numpy())


def start_tlbench(*words: str | Path, cwd: Path, files_up_to: int | None = None, **environment: str) -> subprocess.Popen[str]:
    """`tlbench WORDS` as a real process, which is not waited for; with `files_up_to` no file may grow beyond so many bytes."""

    def before() -> None:
        signal.signal(signal.SIGINT, signal.SIG_DFL)  # a shell's background jobs ignore Ctrl-C, and so would their children
        if files_up_to is not None:
            resource.setrlimit(resource.RLIMIT_FSIZE, (files_up_to, files_up_to))

    return subprocess.Popen(
        [sys.executable, "-m", "tlbench", *map(str, words)],
        cwd=cwd,
        env=variables(environment),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        encoding="utf-8",
        preexec_fn=before,
    )


def variables(changes: dict[str, str]) -> dict[str, str]:
    """The environment of a command."""
    own = {**os.environ, "OMP_NUM_THREADS": "1", "COLUMNS": "200", "TLBENCH_CACHE": "off"}
    own.pop("TLBENCH_DATA", None)
    return {**own, **changes}


class Nursery:
    """tests/nursery.py, and what it says."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        file = Path(__file__).with_name("nursery.py")
        self.process = subprocess.Popen(
            [sys.executable, str(file)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1, env=variables({})
        )
        atexit.register(self.close)
        self.until("ready")

    def until(self, *wanted: str) -> list[str]:
        """The first line that starts with one of the wanted words."""
        assert self.process.stdout is not None
        for line in self.process.stdout:
            words = line.split()
            if words[0] in wanted:
                return words
        raise AssertionError("the nursery ended")

    def start(self, folder: Path) -> int:
        """A run in a folder; its process id."""
        return self._ask({"run": str(folder)})

    def ended(self) -> int:
        """How the next run ends."""
        return int(self.until("ended")[2])

    def command(self, *words: str | Path, cwd: Path, **environment: str) -> Completed:
        """`tlbench WORDS` to its end."""
        with self.lock, self.begun(*words, cwd=cwd, **environment) as (_, end):
            return end()

    @contextlib.contextmanager
    def begun(self, *words: str | Path, cwd: Path, **environment: str) -> Iterator[tuple[int, Callable[[], Completed]]]:
        """`tlbench WORDS`, as it begins: its process id, and what waits for its end."""
        with tempfile.TemporaryDirectory() as folder:
            files = {name: str(Path(folder, name)) for name in ("out", "err")}
            given = {"words": [*map(str, words)], "cwd": str(cwd), "environment": variables(environment)}

            def end() -> Completed:
                status = self.ended()
                out, err = (Path(file).read_text(encoding="utf-8") for file in files.values())
                return Completed(words, status, out, err)

            yield self._ask({**given, **files}), end

    def close(self) -> None:
        self.process.kill()
        self.process.communicate()

    def _ask(self, what: dict[str, Any]) -> int:
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps(what) + "\n")
        return int(self.until("started")[1])


@functools.cache
def nursery() -> Nursery:
    """One for all tests."""
    return Nursery()


def tlbench(*words: str | Path, cwd: Path, **environment: str) -> Completed:
    """`tlbench WORDS` as a process of its own, to its end; it is forked where everything is imported already."""
    return nursery().command(*words, cwd=cwd, **environment)


def fresh_tlbench(*words: str | Path, cwd: Path, **environment: str) -> Completed:
    """The same from the very start, as a user starts it."""
    process = start_tlbench(*words, cwd=cwd, **environment)
    try:
        out, err = process.communicate(timeout=120)
    except subprocess.TimeoutExpired:
        process.kill()
        raise
    return Completed(words, process.returncode, out, err)


def load_domain(table: dict[str, Any], root: Path, name: str = "d") -> Domain:
    """The domain of a table that declares it without a mistake, read from below `root` past any cache."""
    declaration, wrong = data.declare(name, table, {})
    assert declaration is not None, wrong
    return data.load(declaration, root)


def refused_domain(table: dict[str, Any], root: Path) -> str:
    """What is said of bad files whose table is declared without a mistake: one line that names the domain."""
    with pytest.raises(TlbenchError) as caught:
        load_domain(table, root)
    said = str(caught.value)
    assert said.startswith("domains.d") and "Traceback" not in said and "\n" not in said and len(said) < 1500, said
    return said


def mistakes_in(table: dict[str, Any], defaults: dict[str, Any] | None = None) -> list[str]:
    """All that is wrong with a table that declares a domain."""
    return data.declare("d", table, defaults or {})[1]
