"""Out of memory: a case is run again with each batch in two microbatches, or fails with the reason."""

from __future__ import annotations

import pytest
from planned_runs import SHALLOW
from plugin_files import plugged
from tiny_suite import CPU, blobs, case, domain, suite

from tlbench import engine
from tlbench.engine.training import oom_retry

HUNGRY = (
    "class Hungry(DeepMethod):\n    reads = frozenset({{'source'}})\n"
    "    def loss(self, step):\n"
    "        if len(step.source) > {most}:\n"
    "            raise torch.OutOfMemoryError('CUDA out of memory. Tried to allocate 9 GiB')\n"
    "        return self.supervised(step)\n"
)


def test_a_case_out_of_memory_runs_again_in_microbatches(tmp_path):
    """The mean over a batch is that of its microbatches: numbers are those of the whole batch up to rounding."""
    chosen = suite(train={"batch": 9, "steps": 20}, methods={"source_only": {}})
    domains = {"a": domain("a", blobs(1, 60)), "b": domain("b", blobs(2, 60, shift=0.5))}
    whole = engine.run_case(case(), chosen, domains, CPU)
    with plugged(tmp_path, "hungry", "import torch\n" + HUNGRY.format(most=5)):
        accumulated = engine.run_case(case("hungry"), chosen, domains, CPU)
        again = engine.run_case(case("hungry"), chosen, domains, CPU)
    assert accumulated.status == "done" and accumulated.notes == (*whole.notes, oom_retry.ACCUMULATION_NOTE)
    assert accumulated.scores.model_dump(exclude={"trace"}) == whole.scores.model_dump(exclude={"trace"})
    for ours, theirs in zip(accumulated.scores.trace, whole.scores.trace, strict=True):
        assert ours.loss == pytest.approx(theirs.loss, rel=1e-5)
    assert again.scores == accumulated.scores


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (HUNGRY.format(most=2), "Out of memory, also with two microbatches: CUDA out of memory"),
        (
            HUNGRY.format(most=5) + "    def phases(self):\n        update = AlternatingUpdate(self.loss)\n"
            "        return (Phase((update, update), self.reads),)\n",
            "Out of memory: A step makes alternating updates, and its gradients can't be accumulated over microbatches.",
        ),
        (
            HUNGRY.format(most=5) + "    def phases(self):\n        both = lambda step: (self.loss(step), self.loss(step))\n"
            "        return (Phase(both, self.reads, combine=lambda KP: KP.mean(dim=0)),)\n",
            "A step combines the gradients of several losses, and its gradients can't be accumulated over microbatches.",
        ),
        (
            SHALLOW + "    def fit(self, task):\n        raise MemoryError('no room')\n",
            "Out of memory: no room. A shallow method takes all its samples at once.",
        ),
    ],
    ids=["too large", "alternating updates", "several losses", "shallow"],
)
def test_a_case_that_microbatches_do_not_help_fails(tmp_path, body, words):
    domains = {"a": domain("a", blobs(1, 60)), "b": domain("b", blobs(2, 60))}
    with plugged(tmp_path, "hungry", "import torch\nfrom tlbench.methods.base import AlternatingUpdate, Phase\n" + body):
        ended = engine.run_case(case("hungry"), suite(methods={"source_only": {}}), domains, CPU)
    assert ended.status == "failed" and words in (ended.reason or "")
    assert not oom_retry.is_accumulating.get()
