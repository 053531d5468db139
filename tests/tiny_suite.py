"""A tiny suite, its domains, its cases, and records of cases that were never run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch

from tlbench import methods
from tlbench.suite import Suite, parse_suite
from tlbench.terms import Case, Code, Domain, Labelled, Machine, Record, Scores

CPU = torch.device("cpu")


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


NAMED = SUITE.replace('backbone = "mlp"\nhidden = [8]', 'backbone = "features"')


def suite_of(method: str, columns: int, **changes: dict[str, Any]) -> Suite:
    """The tiny suite on a network that the method can work with: one with a text side for methods that read class names."""
    if not methods.method_class(method).reads_class_texts:
        return suite(**changes)
    net = {"class_embeddings": {str(k): [float(k == column) for column in range(columns)] for k in range(3)}}
    return suite(NAMED, **{**changes, "net": net})


IMAGES = SUITE.replace('backbone = "mlp"\nhidden = [8]', 'backbone = "lenet"')


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
