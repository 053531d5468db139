"""Granted parts -> a trained or solved method, and its scores for rows that it has not seen labelled."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from tlbench import clock, methods
from tlbench.engine.data.inputs import CHUNK, Inputs, in_chunks
from tlbench.engine.data.storage import Granted, Part
from tlbench.engine.runtime.precision import chosen as precision_of
from tlbench.engine.runtime.precision import products, settle
from tlbench.engine.runtime.seeds import generator, seeded
from tlbench.engine.training.loop import Learner, OnStep, Outcome, train_all
from tlbench.engine.training.online import predict_online
from tlbench.engine.training.optimizer import warm_up
from tlbench.errors import NotApplicableError
from tlbench.methods.base import Method, Predictor, Solved, Trained
from tlbench.nn import backbones
from tlbench.nn.net import Net
from tlbench.suite import Suite
from tlbench.terms import PARTS, STREAM, Case, Task

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
    granted: Task | Granted,
    watch: clock.Clock,
    seed: Callable[[str], int],
    device: torch.device,
    *,
    validation: Part | None = None,
    on_step: OnStep | None = None,
) -> Fitted:
    """Train or solve the method of a case on what the suite grants and the method reads.

    Raises:
        NotApplicable: the suite does not grant what the method reads.
        Diverged: the loss is no longer finite.
    """
    granted = Granted.of(granted)
    if issubclass(methods.find(case.method), Trained):
        ready = about_to_train(case, suite, granted, seed, device, validation)
        with seeded(seed("steps"), device), products(ready.precision, device):
            (outcome,) = train_all([ready.learner], suite.train, ready.inputs, watch, on_step=on_step)
        return ready.fitted(outcome)

    kind, options, read = _asked(case, suite, granted)
    assert issubclass(kind, Solved)
    read, put_back = _scaled(read)
    inputs = Inputs(suite.net, channels_last=False)
    with seeded(seed("solve"), device), torch.no_grad(), products("fp32", device):
        task = read.task(inputs)
        solved = kind(**options)
        with watch.measure("train"):
            predictor = solved.fit(task)
    return Fitted(put_back(predictor), inputs, Outcome(), solved)


@dataclass(frozen=True)
class Ready:
    """A trained method of a case before its first step."""

    learner: Learner
    inputs: Inputs
    precision: str
    put_back: Callable[[Predictor], Predictor]

    def fitted(self, outcome: Outcome) -> Fitted:
        """After the last one."""
        return Fitted(self.put_back(self.learner.method.predict), self.inputs, outcome, self.learner.method)


def about_to_train(
    case: Case, suite: Suite, granted: Granted, seed: Callable[[str], int], device: torch.device, validation: Part | None = None
) -> Ready:
    """Build the network and the method of a case, on the device.

    Raises:
        NotApplicable: the suite does not grant what the method reads.
    """
    warm_up()
    kind, options, read = _asked(case, suite, granted)
    assert issubclass(kind, Trained)
    read, put_back = _scaled(read)
    some = next(part for part in (granted.source, granted.target, granted.few) if part is not None)
    in_what = precision_of(suite.train, device)
    with seeded(seed("network"), device):
        net = Net(backbones.build(suite.net.trunk, some.store.shape, suite.net.options), granted.classes, granted.regression)
    settle(net, in_what)
    domains = 1
    if granted.source is not None and granted.source.domain is not None:
        domains = int(granted.source.domain.max()) + 1
    with seeded(seed("method"), device):
        method = kind(net, domains, **options)
    channels_last = suite.train.layout == "channels_last" or (
        suite.train.layout == "auto" and any(isinstance(m, nn.Conv2d) for m in net.modules())
    )
    method.to(device)
    if channels_last:
        method.to(memory_format=torch.channels_last)
    watched = None if granted.target is None or granted.regression else granted.target[_spread(len(granted.target))]
    validation = None if validation is None or granted.regression else validation[_spread(len(validation))]
    return Ready(Learner(method, read, seed, validation, watched), Inputs(suite.net, channels_last), in_what, put_back)


def _asked(case: Case, suite: Suite, granted: Granted) -> tuple[type[Method], dict[str, Any], Granted]:
    """The method of a case, its options, and the granted parts that it reads."""
    kind = methods.find(case.method)
    options = methods.options(case.method, case.options)
    if suite.protocol.task not in kind.tasks:
        raise NotApplicableError(
            f"{case.method} does {' and '.join(sorted(kind.tasks))}, and the suite is one of {suite.protocol.task}"
        )
    there = {part for part in PARTS if getattr(granted, part) is not None} | {STREAM} & {*suite.protocol.grants}
    if missing := sorted(kind.reads - there):
        raise NotApplicableError(f"{case.method} reads {', '.join(missing)}, which the suite does not grant")
    others: dict[str, Any] = {part: None for part in PARTS if part not in kind.reads}
    return kind, options, dataclasses.replace(granted, **others)


def scores(fitted: Fitted, rows: Tensor | Part, batch: int, seed: int, watch: clock.Clock) -> Tensor:
    """Scores of the scored rows: at once, or on a stream in a seeded order where the method goes on learning."""
    rows = rows if isinstance(rows, Part) else Part.of(rows)
    online = fitted.method.online() if isinstance(fitted.method, Trained) else None
    if online is None or not isinstance(fitted.method, Trained):
        with watch.measure("predict"):
            return predict(fitted, rows)
    device = rows.store.device
    order = torch.randperm(len(rows), generator=generator(seed)).to(device)
    with seeded(seed, device), watch.measure("predict"):
        in_order = predict_online(fitted.method, online, rows[order], fitted.inputs, batch)
    return in_order[torch.argsort(order)]


def _scaled(granted: Granted) -> tuple[Granted, Callable[[Predictor], Predictor]]:
    """A regression's targets at mean 0 and variance 1 over the labelled rows there are, and how predictions are put back."""
    labelled = {name: part for name in ("source", "few") if (part := getattr(granted, name)) is not None}
    if not granted.regression or not labelled:
        return granted, lambda predictor: predictor
    y = torch.cat([part.y for part in labelled.values()]).double()
    mean, deviation = y.mean(dim=0), y.std(dim=0, correction=0)
    deviation = torch.where(deviation > 0, deviation, 1.0)
    scaled = {
        name: dataclasses.replace(part, y=((part.y - mean) / deviation).to(part.y.dtype)) for name, part in labelled.items()
    }

    def put_back(predictor: Predictor) -> Predictor:
        return lambda x: predictor(x).double() * deviation + mean

    return dataclasses.replace(granted, **scaled), put_back


def _spread(rows: int) -> Tensor:
    """The numbers of at most `WATCHED` of the rows, evenly spread: files are often sorted by class."""
    return torch.linspace(0, rows - 1, min(rows, WATCHED)).long()


def predict(fitted: Fitted, rows: Tensor | Part) -> Tensor:
    """Scores of stored rows, in chunks."""
    return in_chunks(fitted.predictor, rows, fitted.inputs, CHUNK)


def granted_to(method: Method | type[Method], granted: Task | Granted) -> dict[str, Part]:
    """The parts that a method reads and that there are, by name."""
    parts = {name: getattr(Granted.of(granted), name) for name in PARTS if name in method.reads}
    return {name: part for name, part in parts.items() if part is not None}
