"""The contract check of source-free methods: what they do on the target needs no source sample, nor the memory of one."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from tlbench import methods
from tlbench.checks.toy_task import CLASSES, CPU, toy_samples, toy_suite, toy_task
from tlbench.clock import Clock
from tlbench.engine.data.inputs import Inputs
from tlbench.engine.runtime.seeds import seeded_rng
from tlbench.engine.training.loop import train
from tlbench.errors import TlbenchError
from tlbench.methods.base import DeepMethod, Passes, Phase
from tlbench.nn import backbones
from tlbench.nn.net import Net
from tlbench.terms import SPLITS, Task


def adapts_without_the_source(name: str) -> None:
    """A source-free method needs no source sample after its first phase, nor anything that it remembers of one.

    Its later phases run once more, from the parameters and buffers that the first one left, in a new instance of the method and
    in a task without a source. The predictions must be the same bit for bit.
    """
    kind = methods.method_class(name)
    if not issubclass(kind, DeepMethod) or not kind.source_free:
        return
    states: list[dict[str, Tensor]] = []

    def copy_state(passes: Passes) -> None:
        states.append({key: value.clone() for key, value in method.state_dict().items()})
        torch.manual_seed(0)

    def load_state(passes: Passes) -> None:
        fresh.load_state_dict(states[0])
        torch.manual_seed(0)

    method, fresh = _new_method(kind, name), _new_method(kind, name)
    first, *later = method.phases()
    if any("source" in phase.reads | phase.passes for phase in later) or not later:
        raise TlbenchError(
            "`source_free` is set, and a phase after the first reads the source, or there is none after it. Let the first "
            "phase alone name the source."
        )
    nothing: frozenset[str] = frozenset()
    task, later_fresh = toy_task(), fresh.phases()[1:]
    whole = _outputs(method, (first, Phase(None, nothing, begin=copy_state), *later), task)
    splits = {split: getattr(task, split) for split in SPLITS if split != "source"}
    without = (Phase(None, nothing), Phase(None, nothing, begin=load_state), *later_fresh)
    if not torch.equal(whole, _outputs(fresh, without, Task(CLASSES, **splits))):
        raise TlbenchError(
            "Where the later phases start from parameters and buffers alone, without the source, the predictions change. "
            "`source_free` is set, so that a method must keep nothing else of its first phase."
        )


def _new_method(kind: type[DeepMethod], name: str) -> DeepMethod:
    with seeded_rng(0, CPU):
        backbone = backbones.build_backbone("mlp", (6,), {"hidden": [16], "batch_norm": True})
        return kind(Net(backbone, CLASSES), **methods.method_options(name, {}))


def _outputs(method: DeepMethod, phases: Sequence[Phase], task: Task) -> Tensor:
    """The class scores (90, C) of fixed samples after a training of given phases."""
    method.phases = lambda: phases  # type: ignore[method-assign]
    suite = toy_suite()
    with seeded_rng(0, CPU):
        training = suite.train.model_copy(update={"trace": 0})
        train(method, task, training, Inputs(suite.net, False), Clock(CPU), lambda use: sum(use.encode()))
    with torch.no_grad():
        return method.eval().predict(toy_samples(4, 90, shift=0.7).x)
