"""Granted parts -> a trained or solved method, and its scores for rows that it has not seen labelled."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from tlbench import clock, methods
from tlbench.engine.inputs import CHUNK, Inputs, in_chunks
from tlbench.engine.rates import warm_up
from tlbench.engine.seeds import generator, seeded
from tlbench.engine.stream import predict_online
from tlbench.engine.train import OnStep, Outcome, train
from tlbench.methods.base import Method, Predictor, Solved, Trained
from tlbench.nn import trunks
from tlbench.nn.net import Net
from tlbench.suite import Suite
from tlbench.terms import PARTS, STREAM, Case, Labelled, NotApplicable, Task

WATCHED = 2000
"""Rows that a checkpoint of the trace looks at, at most: evenly spread over the source's kept rows, and over the target's."""


@dataclass
class Fitted:
    """A method after its training, before its scoring: all that the target labels are then held against."""

    predictor: Predictor
    """Network inputs (N, ...) -> class scores (N, C)."""
    inputs: Inputs
    outcome: Outcome
    method: Method

    @property
    def notes(self) -> tuple[str, ...]:
        """What ran otherwise than asked, and why."""
        return tuple(dict.fromkeys([*self.outcome.notes, *self.method.notes]))


def fit(
    case: Case,
    suite: Suite,
    granted: Task,
    watch: clock.Clock,
    seed: Callable[[str], int],
    device: torch.device,
    *,
    validation: Labelled | None = None,
    on_step: OnStep | None = None,
) -> Fitted:
    """Train or solve the method of a case on what the suite grants and the method reads.

    Raises:
        NotApplicable: the suite does not grant what the method reads.
        Diverged: the loss is no longer finite.
    """
    warm_up()
    kind = methods.find(case.method)
    options = methods.options(case.method, case.options)
    if suite.protocol.task not in kind.tasks:
        raise NotApplicable(
            f"{case.method} does {' and '.join(sorted(kind.tasks))}, and the suite is one of {suite.protocol.task}"
        )
    there = {part for part in PARTS if getattr(granted, part) is not None} | {STREAM} & {*suite.protocol.grants}
    if missing := sorted(kind.reads - there):
        raise NotApplicable(f"{case.method} reads {', '.join(missing)}, which the suite does not grant")
    read = {part: getattr(granted, part) if part in kind.reads else None for part in PARTS}
    task, put_back = _scaled(Task(granted.classes, **read, regression=granted.regression))
    some = next(part for part in (granted.source, granted.target, granted.few) if part is not None)
    shape = tuple((some.x if isinstance(some, Labelled) else some).shape[1:])

    if issubclass(kind, Solved):
        inputs = Inputs(suite.net, channels_last=False)
        with seeded(seed("solve"), device), torch.no_grad():
            ready = {name: _ready(part, inputs) for name, part in granted_to(kind, task).items()}
            solved = kind(**options)
            with watch.measure("train"):
                predictor = solved.fit(Task(task.classes, **ready, regression=task.regression))  # type: ignore[arg-type]
        return Fitted(put_back(predictor), inputs, Outcome(), solved)

    assert issubclass(kind, Trained)
    with seeded(seed("network"), device):
        net = Net(trunks.build(suite.net.trunk, shape, suite.net.options), granted.classes, granted.regression)
    domains = 1
    if granted.source is not None and granted.source.domain is not None:
        domains = int(granted.source.domain.max()) + 1
    with seeded(seed("method"), device):
        method = kind(net, domains, **options)
    channels_last = suite.train.layout == "channels_last" or (
        suite.train.layout == "auto" and any(isinstance(m, nn.Conv2d) for m in net.modules())
    )
    inputs = Inputs(suite.net, channels_last)
    method.to(device)
    if channels_last:
        method.to(memory_format=torch.channels_last)
    watched = None if granted.target is None or granted.regression else granted.target[_spread(len(granted.target))]
    validation = None if validation is None or granted.regression else validation[_spread(len(validation)).to(device)]
    with seeded(seed("steps"), device):
        outcome = train(method, task, suite.train, inputs, watch, seed, validation=validation, watched=watched, on_step=on_step)
    return Fitted(put_back(method.predict), inputs, outcome, method)


def scores(fitted: Fitted, x: Tensor, batch: int, seed: int, watch: clock.Clock) -> Tensor:
    """Scores of the scored rows: at once, or on a stream in a seeded order where the method goes on learning."""
    online = fitted.method.online() if isinstance(fitted.method, Trained) else None
    if online is None or not isinstance(fitted.method, Trained):
        with watch.measure("predict"):
            return predict(fitted, x)
    order = torch.randperm(len(x), generator=generator(seed)).to(x.device)
    with seeded(seed, x.device), watch.measure("predict"):
        in_order = predict_online(fitted.method, online, x[order], fitted.inputs, batch)
    return in_order[torch.argsort(order)]


def _scaled(task: Task) -> tuple[Task, Callable[[Predictor], Predictor]]:
    """A regression's targets at mean 0 and variance 1 over the labelled rows there are, and how predictions are put back."""
    labelled = {name: part for name in ("source", "few") if (part := getattr(task, name)) is not None}
    if not task.regression or not labelled:
        return task, lambda predictor: predictor
    y = torch.cat([part.y for part in labelled.values()]).double()
    mean, deviation = y.mean(dim=0), y.std(dim=0, correction=0)
    deviation = torch.where(deviation > 0, deviation, 1.0)
    scaled = {
        name: dataclasses.replace(part, y=((part.y - mean) / deviation).to(part.y.dtype)) for name, part in labelled.items()
    }

    def put_back(predictor: Predictor) -> Predictor:
        return lambda x: predictor(x).double() * deviation + mean

    return dataclasses.replace(task, **scaled), put_back


def _spread(rows: int) -> Tensor:
    """The numbers of at most `WATCHED` of the rows, evenly spread: files are often sorted by class."""
    return torch.linspace(0, rows - 1, min(rows, WATCHED)).long()


def predict(fitted: Fitted, x: Tensor) -> Tensor:
    """Scores of stored rows x (N, ...), in chunks."""
    return in_chunks(fitted.predictor, x, fitted.inputs, CHUNK)


def granted_to(method: Method | type[Method], task: Task) -> dict[str, Labelled | Tensor]:
    """The parts that a method reads and that there are, by name."""
    parts = {name: getattr(task, name) for name in PARTS if name in method.reads}
    return {name: part for name, part in parts.items() if part is not None}


def _ready(part: Labelled | Tensor, inputs: Inputs) -> Labelled | Tensor:
    return Labelled(inputs(part.x), part.y, part.domain, part.group) if isinstance(part, Labelled) else inputs(part)
