"""Runs of a case with its checkpoints in a file, which may be cut off."""

from __future__ import annotations

from pathlib import Path

from plugin_files import Cut
from tiny_suite import CPU, blobs, case, domain, suite

from tlbench import engine
from tlbench.engine.training.checkpoint import Checkpointer, active_checkpointer
from tlbench.terms import Record

STEPS = 30


def asked(method: str):
    """A suite that grants everything, with five looks from outside on the way."""
    return suite(
        methods={method: {}},
        protocol={"baseline": method, "grants": ["source", "target", "stream"], "target_labels": 2},
        train={"steps": STEPS, "trace": 5},
        net={"batch_norm": True, "dropout": 0.2},
    )


def domains():
    return {"a": domain("a", blobs(1, 60)), "b": domain("b", blobs(2, 60, shift=0.5))}


def run(
    method: str, file: Path | None, *, until: int | None = None, machine: str = "this"
) -> tuple[Record, Checkpointer | None]:
    """A case with its checkpoints in a file; with `until`, it is cut off at the first look after so many steps."""
    checkpointer = None if file is None else Checkpointer(file, 0.0, {"machine": machine})

    def on_step(done: int, total: int) -> None:
        if until is not None and done > until:
            raise Cut

    token = active_checkpointer.set(checkpointer)
    try:
        return engine.run_case(case(method), asked(method), domains(), CPU, on_step), checkpointer
    finally:
        active_checkpointer.reset(token)


def numbers(record: Record) -> tuple[object, ...]:
    return record.status, record.reason, record.scores, record.attached
