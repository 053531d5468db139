"""The reason on a `failed` record: what was raised, whatever it is, and the line of the method's own file."""

from __future__ import annotations

import re

import pytest
from plugin_files import HEADER, plugged

from tlbench import methods
from tlbench.checks import fit_method, toy_task
from tlbench.engine.failure import REASON_CHARACTERS, TRACEBACK_FRAMES, defined_at, failure_reason, traceback_text
from tlbench.errors import TlbenchError

FIRST = HEADER.count("\n") + 1
"""The first line after the header of a plugin file."""


class OddError(Exception):
    """An error whose text raises."""

    def __str__(self) -> str:
        raise RuntimeError("no text")


class NoTextError(Exception):
    """An error whose text is no text."""

    def __str__(self) -> str:
        return 3  # type: ignore[return-value]


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (ValueError("two\nlines\t here"), "ValueError: two lines here"),
        (ValueError(), "ValueError"),
        (ValueError("\ud800 and \udfff"), "ValueError: \\ud800 and \\udfff"),
        (OddError(), "OddError: (its text can't be read: __str__ raises RuntimeError)"),
        (NoTextError(), "NoTextError: (its text can't be read: __str__ raises TypeError)"),
        (KeyboardInterrupt(), "KeyboardInterrupt"),
        (SystemExit(3), "SystemExit: 3"),
        (ValueError("x" * 10**7), f"ValueError: {'x' * REASON_CHARACTERS}..."),
        (TlbenchError("The sentence.\nAnother."), "The sentence. Another."),
        (TlbenchError("\ud800" * 10**6), "\\ud800" * 4 * REASON_CHARACTERS + "..."),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, BaseException) else "reason",
)
def test_whatever_is_raised_becomes_one_line(error, reason):
    assert failure_reason(error, None) == reason
    reason.encode()


def raised_by(name: str) -> Exception:
    """The error of a method on the toy task."""
    with pytest.raises(Exception) as caught:  # each test looks at what was caught
        fit_method(name, toy_task(), steps=2)
    return caught.value


def test_the_line_is_that_of_the_methods_own_file(tmp_path):
    """The matrix product fails deep in torch, below a function of the file, below its class."""
    body = (
        "def product(x: Tensor) -> Tensor:\n    return F.linear(x, torch.ones(2, x.shape[1] + 1))\n"
        'class Deep(DeepMethod):\n    reads = frozenset({"source"})\n'
        "    def loss(self, step: Step) -> Tensor:\n        return product(step.source.x).mean()\n"
    )
    with plugged(tmp_path, "deep_one", body) as name:
        error, kind = raised_by(name), methods.method_class(name)
        reason = failure_reason(error, kind)
        assert reason.startswith("RuntimeError: ") and reason.endswith(f"(deep_one.py:{FIRST + 1})")
        assert defined_at(kind) == f"{tmp_path}/deep_one.py:{FIRST + 2}"
        assert "deep_one.py" not in failure_reason(error, methods.method_class("source_only"))
    trace = traceback_text(error)
    assert "in product" in trace and "F.linear" in trace and trace.endswith(reason.partition(" (deep_one")[0])


@pytest.mark.parametrize(
    ("base", "body"),
    [
        ("DeepMethod", "    def loss(self, step):\n        return self.supervised(step) + step.target.mean()\n"),
        ("DeepMethod", "    def loss(self, step):\n        batch = step.target\n        return self.net(batch).mean()\n"),
        ("ShallowMethod", "    def fit(self, task):\n        return len(task.target)\n"),
    ],
)
def test_a_split_that_reads_lacks_is_named(tmp_path, base, body):
    with plugged(tmp_path, "unread", f'class Unread({base}):\n    reads = frozenset({{"source"}})\n{body}') as name:
        reason = failure_reason(raised_by(name), methods.method_class(name))
    owner = "task" if base == "ShallowMethod" else "step"
    assert "(unread.py:" in reason
    assert reason.endswith(f"). {owner}.target is None because `reads` lacks 'target'. Add 'target' to `reads`.")


DEEP = 'class Wrong(DeepMethod):\n    reads = frozenset({"source"})\n    def loss(self, step):\n        '
SHALLOW = 'class Wrong(ShallowMethod):\n    reads = frozenset({"source"})\n    def fit(self, task):\n        '


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (f"{DEEP}self.supervised(step)\n", f"Wrong.loss returns nothing. Add `return` (wrong.py:{FIRST + 2})."),
        (f"{DEEP}return 1.0\n", "Wrong.loss returns a float. Return a scalar tensor"),
        (f"{DEEP}return self.supervised(step).detach()\n", "Wrong.loss returns a tensor without a gradient."),
        (f"{DEEP}return self.net(step.source.x).sum(1)\n", "Wrong.loss returns a tensor of the shape (32,). Return a scalar"),
        (
            f"{DEEP}return self.supervised(step)\n    def phases(self):\n"
            "        return (Phase(self.loss, frozenset({'target'})),)\n",
            f"A phase of Wrong reads target, which `reads` lacks. Add it to `reads` (wrong.py:{FIRST + 4}).",
        ),
        (
            f"{DEEP}return self.supervised(step)\n    def phases(self):\n"
            "        return (Phase(self.loss, self.reads, combine=lambda gradients_KP: gradients_KP.sum(0)),)\n",
            "Wrong.loss returns a Tensor, and `combine` needs a tuple of losses",
        ),
        (
            f"{DEEP}return None\n    def phases(self):\n        from tlbench import AlternatingUpdate\n"
            "        return (Phase((AlternatingUpdate(self.loss),), self.reads),)\n",
            "Wrong.loss returns nothing.",
        ),
        (f"{SHALLOW}pass\n", "Wrong.fit returns nothing. Return a function of inputs"),
    ],
    ids=lambda value: "" if "class" in value else value,
)
def test_what_a_function_returns_is_told_with_its_file_and_line(tmp_path, body, reason):
    with plugged(tmp_path, "wrong", body) as name:
        raised = failure_reason(raised_by(name), methods.method_class(name))
    assert raised.startswith(reason) and re.search(r"\(wrong\.py:\d+\)\.$", raised)


def test_another_none_is_not_explained_by_a_split(tmp_path):
    body = (
        'class Plain(ShallowMethod):\n    reads = frozenset({"source"})\n    def fit(self, task):\n        return len(None)\n'
    )
    with plugged(tmp_path, "plain_none", body) as name:
        reason = failure_reason(raised_by(name), methods.method_class(name))
    assert reason == f"TypeError: object of type 'NoneType' has no len() (plain_none.py:{FIRST + 3})"


def test_the_traceback_of_a_recursion_is_short():
    def deeper(n: int) -> int:
        return deeper(n + 1) + 1

    with pytest.raises(RecursionError) as caught:
        deeper(0)
    lines = traceback_text(caught.value).splitlines()
    assert len(lines) < 4 * TRACEBACK_FRAMES and any("frames are left out" in line for line in lines)
