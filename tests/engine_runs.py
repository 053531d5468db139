"""Short trainings of the engine on small domains."""

from __future__ import annotations

from tiny_suite import CPU, blobs, case, domain, suite

from tlbench import engine, methods
from tlbench.checks.toy_task import toy_samples
from tlbench.clock import Clock
from tlbench.engine.fitting import prepare_training
from tlbench.engine.measurement import PreparedCase
from tlbench.engine.runtime.seeds import seeded_rng
from tlbench.engine.training.loop import train_learners
from tlbench.methods.base import DeepMethod
from tlbench.suite import Suite
from tlbench.terms import Domain, Record

DEEP_METHODS = [name for name in methods.method_names() if issubclass(methods.method_class(name), DeepMethod)]
ALL_GRANTS = ["source", "target", "stream"]
LABELED_TARGET_SUITE = suite(
    protocol={"target_labels": 3, "scored": "test", "grants": ALL_GRANTS},
    net={"batch_norm": True},
    methods={"source_only": {}},
)

ATTRIBUTE_METHOD = (
    "class Keeps(DeepMethod):\n    reads = frozenset({'source'})\n    def build(self):\n        self.last = None\n"
    "    def loss(self, step: Step) -> Tensor:\n        loss = self.supervised(step)\n"
    "        self.last = loss.detach()\n        return loss\n"
)
"""The text of a method whose steps change an attribute that is no buffer; plug it as `keeps`."""


def blob_domains(test: bool = True) -> dict[str, Domain]:
    return {
        "a": domain("a", blobs(1, 45)),
        "b": domain("b", blobs(2, 33, shift=0.5), blobs(3, 24, shift=0.5) if test else None),
    }


def toy_domains() -> dict[str, Domain]:
    return {
        "a": domain("a", toy_samples(1)),
        "b": domain("b", toy_samples(2, shift=0.7), toy_samples(5, 90, shift=0.7)),
        "c": domain("c", toy_samples(7, 60, shift=0.2)),
    }


def short_suite(net=None, protocol=None, **train) -> Suite:
    """A suite of 60 steps that grants everything, with switches set."""
    return suite(
        protocol={"target_labels": 3, "scored": "test", "grants": ALL_GRANTS, **(protocol or {})},
        net=net or {},
        train={"steps": 60, "lr": 0.01, "batch": 16, **train},
        methods={"source_only": {}},
    )


def train_losses(name: str, chosen: Suite, count: int = 1, **changes) -> tuple[list[list[float]], list[str]]:
    """The losses of each of `count` seeds, which are vmapped where there are several, and the notes."""
    loaded = toy_domains()
    prepared = [PreparedCase(case(name, **{"seed": seed, **changes}), chosen, loaded, CPU) for seed in range(count)]
    trainings = [prepare_training(one.case, one.suite, one.case_data.granted, one.seed, CPU) for one in prepared]
    learners = [training.learner for training in trainings]
    with seeded_rng(0, CPU):
        outcomes = train_learners(learners, chosen.train, trainings[0].inputs, Clock(CPU))
    return [outcome.losses for outcome in outcomes], outcomes[0].notes


def run_done(name: str, chosen: Suite, **changes) -> Record:
    """The record of a case that must end as `done`."""
    record = engine.run_case(case(name, **changes), chosen, toy_domains(), CPU)
    assert record.status == "done", record.reason
    return record
