"""Which tasks a method can solve."""

from __future__ import annotations

from tlbench.methods.base import Method, ShallowMethod
from tlbench.terms import POSITION_TASKS


def task_error(kind: type[Method], task: str) -> str | None:
    """Why a method can't solve a task, as the rest of a sentence that begins with its name; None where it can.

    A task with a label for each position is solved by the deep methods for classification, to which a position is a sample.

    Args:
        kind: the class of the method.
        task: of a protocol.
    """
    if task not in POSITION_TASKS:
        if task in kind.tasks:
            return None
        return f"supports {' and '.join(sorted(kind.tasks))}, and the task of the suite is {task}"
    unit = "pixel" if task == "pixels" else "token"
    if issubclass(kind, ShallowMethod):
        return f"is a shallow method, which predicts one label for each sample, and each {unit} of a sample has a label here"
    if "classification" not in kind.tasks:
        return f"supports {' and '.join(sorted(kind.tasks))}, and the task of the suite is {task}"
    if not kind.positions:
        return f"works on whole samples (views, noise or mixtures of them), and each {unit} of a sample has a label here"
    return None
