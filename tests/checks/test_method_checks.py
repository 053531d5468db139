"""Contract checks of methods: every shipped method passes every check, and each check can fail."""

from __future__ import annotations

import pytest
import torch
from method_choice import others_slow
from peeking_methods import HONEST, PEEKING
from plugin_files import LOSS, PLAIN_LOSS, READS_BOTH, plugged

from tlbench import checks, methods
from tlbench.checks import leaks
from tlbench.checks.toy_task import scores_after_fit, toy_task
from tlbench.errors import TlbenchError
from tlbench.terms import Labelled, Task

QUICK_CHECKS = {
    *("declares_its_contract", "rejects_invalid_options", "predicts_finite_scores", "weight_zero_is_source_only"),
    *("takes_class_probabilities", "adapts_without_the_source", "is_invariant_to_sample_order"),
}
"""Checks of one or two short trainings, which are run with every method; `make test-slow` runs the others with every method."""
QUICK = [check for check in checks.METHOD_CHECKS if check.__name__ in QUICK_CHECKS]
LONG = [check for check in checks.METHOD_CHECKS if check.__name__ not in QUICK_CHECKS]


@pytest.mark.parametrize("check", QUICK, ids=lambda p: p.__name__)
@pytest.mark.parametrize("name", methods.method_names())
def test_every_method_passes_every_quick_check(name, check):
    check(name)


@pytest.mark.parametrize("check", LONG, ids=lambda p: p.__name__)
@pytest.mark.parametrize("name", others_slow(methods.method_names(), besides=("adda", "fine_tune", "tent")))
def test_every_method_passes_every_long_check(name, check):
    check(name)


def test_quick_and_long_checks_are_all_checks():
    assert {check.__name__ for check in checks.METHOD_CHECKS} >= QUICK_CHECKS and LONG


BROKEN = {
    "a no-op adaptation": ("depends_exactly_on_reads: `reads` names", f"class No(DeepMethod):\n{READS_BOTH}{PLAIN_LOSS}"),
    "one that declares a split and does not read it": (
        "depends_exactly_on_reads: `reads` names",
        'class Peek(DeepMethod):\n    reads = frozenset({"source", "target_labeled"})\n' + PLAIN_LOSS,
    ),
    "a parameter without gradient": (
        "every_parameter_gets_a_gradient: These parameters never",
        'class Idle(DeepMethod):\n    reads = frozenset({"source"})\n'
        f"    def build(self) -> None:\n        self.idle = nn.Linear(3, 3)\n{PLAIN_LOSS}",
    ),
    "a random number at weight 0": (
        "weight_zero_is_source_only: At weight = 0",
        f"class Draws(DeepMethod):\n{READS_BOTH}    weight: float = Field(1.0, description='of the term')\n"
        + LOSS.format(
            "t = self.net.backbone(step.target + torch.randn_like(step.target))\n"
            "        noisy = self.net(step.source.x + 0.01 * torch.randn_like(step.source.x))\n"
            "        return F.cross_entropy(noisy, step.source.y) + self.weight * t.square().mean()"
        ),
    ),
    "a loss of the first samples of a batch": (
        "is_invariant_to_sample_order: The (loss|result) depends",
        'class First(DeepMethod):\n    reads = frozenset({"source"})\n'
        + LOSS.format("return F.cross_entropy(self.net(step.source.x)[:8], step.source.y[:8])"),
    ),
    "a closed form of the first samples of a class": (
        "is_invariant_to_sample_order: The (loss|result) depends",
        'class Solo(ShallowMethod):\n    reads = frozenset({"source"})\n'
        "    def fit(self, task: Task) -> Predictor:\n"
        "        means = torch.stack([task.source.x[task.source.y == c][:5].mean(0) for c in range(task.classes)])\n"
        "        return lambda x: -torch.cdist(x, means)\n",
    ),
    "a random number that no seed governs": (
        "is_deterministic: A second run",
        'class Chance(DeepMethod):\n    reads = frozenset({"source"})\n'
        + LOSS.format("import random\n        return self.supervised(step) * (0.5 + random.SystemRandom().random())"),
    ),
    "one that does not learn": (
        "classifies_without_shift: Without a shift the accuracy is",
        'class Dull(DeepMethod):\n    reads = frozenset({"source"})\n'
        + LOSS.format("return F.cross_entropy(self.net(step.source.x), 2 - step.source.y)"),
    ),
    "scores of a wrong shape": (
        "predicts_finite_scores and 7 more checks: Shape predicts outputs of the shape",
        'class Shape(DeepMethod):\n    reads = frozenset({"source"})\n'
        f"{PLAIN_LOSS}    def predict(self, x: Tensor) -> Tensor:\n        return self.net(x).argmax(1)\n",
    ),
    "an option without a default": (
        "These options have no default: weight",
        f"class Bare(DeepMethod):\n{READS_BOTH}    weight: float = Field(description='of the term')\n{PLAIN_LOSS}",
    ),
    "an option without a description": (
        "These options have no description: weight",
        f"class Bare(DeepMethod):\n{READS_BOTH}    weight: float = Field(1.0)\n{PLAIN_LOSS}",
    ),
    "one that takes any option": (
        "rejects_invalid_options: The invalid option",
        'from typing import Any\nclass Any_(DeepMethod):\n    reads = frozenset({"source"})\n'
        f"    what: Any = Field(1.0, description='anything')\n{PLAIN_LOSS}",
    ),
    "one that reads nothing": ("reads must be a non-empty subset", f"class No(DeepMethod):\n{PLAIN_LOSS}"),
    "one that reads class names and does not use them": (
        "`reads_class_texts` is True, but the result does not depend on the class names",
        'class Named(ShallowMethod):\n    reads = frozenset({"source"})\n    reads_class_texts = True\n'
        "    def fit(self, task: Task) -> Predictor:\n"
        "        means = torch.stack([task.source.x[task.source.y == c].mean(0) for c in range(task.classes)])\n"
        "        return lambda x: -torch.cdist(x, means)\n",
    ),
    "a deep one that reads class names": (
        "reads_class_texts is for shallow methods",
        f"class Named(DeepMethod):\n{READS_BOTH}    reads_class_texts = True\n{PLAIN_LOSS}",
    ),
    "one that reads target labels": (
        "reads must be a non-empty subset",
        f'class No(DeepMethod):\n    reads = frozenset({{"source", "target_labels"}})\n{PLAIN_LOSS}',
    ),
    "two in one file": (
        "One method is one file",
        f"class One(DeepMethod):\n{READS_BOTH}{PLAIN_LOSS}class Two(DeepMethod):\n{READS_BOTH}{PLAIN_LOSS}",
    ),
    "none in the file": ("One method is one file", "x = 1\n"),
    "a file that does not import": ("The file cannot be imported: ModuleNotFoundError", "import no_such_module_at_all\n"),
    "one that raises": (
        "RuntimeError: on purpose",
        'class Raises(DeepMethod):\n    reads = frozenset({"source"})\n' + LOSS.format('raise RuntimeError("on purpose")'),
    ),
}


@pytest.mark.parametrize("fault", BROKEN)
def test_a_failing_check_is_reported(fault, tmp_path):
    words, body = BROKEN[fault]
    with plugged(tmp_path, "broken_method", body) as name, pytest.raises(TlbenchError, match=words):
        checks.check_method(name)


@pytest.mark.parametrize("peeking", PEEKING)
def test_a_method_that_looks_for_labels_is_reported(peeking, tmp_path):
    """The honest counterpart, of the same text without the look, passes the same checks."""
    words = {
        "garbage": "ignores_scored_labels: The predictions change",
        "frames": "ignores_scored_labels: The predictions change",
        "memory": "remembers_no_other_case: After a case with source and target swapped",
    }
    with plugged(tmp_path, peeking, PEEKING[peeking]) as name, pytest.raises(TlbenchError) as raised:
        checks.check_method(name)
    assert words[peeking] in str(raised.value)
    with plugged(tmp_path, "honest", HONEST) as name:
        leaks.ignores_scored_labels(name)
        leaks.remembers_no_other_case(name)


def test_a_state_of_the_first_case_of_a_process_is_reported(tmp_path):
    body = (
        "scales = []\nclass First(ShallowMethod):\n    reads = frozenset({'source'})\n"
        "    def fit(self, task: Task) -> Predictor:\n        scales.append(task.source.x.std(0))\n"
        "        means = torch.stack([task.source.x[task.source.y == c].mean(0) for c in range(task.classes)])\n"
        "        return lambda x: -torch.cdist(x / scales[0] ** 9, means / scales[0] ** 9)\n"
    )
    with plugged(tmp_path, "first", body) as name:
        other = toy_task(swapped="source")
        scores_after_fit(name, Task(3, source=Labelled(other.source.x * torch.arange(1.0, 7.0) ** 3, other.source.y)))
        with pytest.raises(TlbenchError, match="In a new process, the same case gives other predictions"):
            leaks.remembers_no_other_case(name)


def test_a_method_without_a_docstring_is_reported(tmp_path):
    body = (
        f"from tlbench.methods.base import *\nfrom tlbench.terms import Step\nclass No(DeepMethod):\n{READS_BOTH}{PLAIN_LOSS}"
    )
    header = "from __future__ import annotations\nfrom torch import Tensor\n"
    with plugged(tmp_path, "bare", body, header) as name, pytest.raises(TlbenchError, match="docstring"):
        checks.check_method(name)


def test_a_method_that_follows_the_contract_passes(tmp_path):
    body = (
        f"class Fine(DeepMethod):\n{READS_BOTH}    weight: float = Field(1.0, ge=0, description='of the term')\n"
        + LOSS.format(
            "if not self.weight:\n            return self.supervised(step)\n"
            "        s, t = self.net.features(step.source.x, step.target)\n"
            "        task = F.cross_entropy(self.net.head(s), step.source.y)\n"
            "        return task + self.weight * (s.mean(0) - t.mean(0)).square().sum()"
        )
    )
    with plugged(tmp_path, "fine", body) as name:
        assert len(checks.check_method(name)) == len(checks.METHOD_CHECKS)
