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
from tlbench.engine.data.storage import Grants, Subset
from tlbench.engine.runtime.precision import matmul_precision, set_backbone_precision
from tlbench.engine.runtime.precision import resolve_precision as precision_of
from tlbench.engine.runtime.seeds import generator, seeded_rng
from tlbench.engine.training.loop import Learner, OnStep, Outcome, train_learners
from tlbench.engine.training.online import predict_online
from tlbench.engine.training.optimizer import import_optimizers
from tlbench.errors import NotApplicableError
from tlbench.methods.base import DeepMethod, Method, Predictor, ShallowMethod
from tlbench.nn import backbones
from tlbench.nn.net import Net
from tlbench.suite import Suite
from tlbench.terms import SPLITS, STREAM_SPLIT, Case, Task

WATCHED = 2000
"""Rows that a checkpoint of the trace looks at, at most: evenly spread over the source's kept rows, and over the target's."""


@dataclass
class FittedMethod:
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
    granted: Task | Grants,
    watch: clock.Clock,
    seed: Callable[[str], int],
    device: torch.device,
    *,
    validation: Subset | None = None,
    on_step: OnStep | None = None,
) -> FittedMethod:
    """Train or solve the method of a case on what the suite grants and the method reads.

    Raises:
        NotApplicable: the suite does not grant what the method reads.
        Diverged: the loss is no longer finite.
    """
    granted = Grants.of(granted)
    if issubclass(methods.method_class(case.method), DeepMethod):
        ready = prepare_training(case, suite, granted, seed, device, validation)
        with seeded_rng(seed("steps"), device), matmul_precision(ready.precision, device):
            (outcome,) = train_learners([ready.learner], suite.train, ready.inputs, watch, on_step=on_step)
        return ready.fitted(outcome)

    kind, options, read = _asked(case, suite, granted)
    assert issubclass(kind, ShallowMethod)
    read, put_back = _scaled(read)
    inputs = Inputs(suite.net, channels_last=False)
    with seeded_rng(seed("solve"), device), torch.no_grad(), matmul_precision("fp32", device):
        task = read.task(inputs)
        solved = kind(**options)
        with watch.measure("train"):
            predictor = solved.fit(task)
    return FittedMethod(put_back(predictor), inputs, Outcome(), solved)


@dataclass(frozen=True)
class PreparedTraining:
    """A trained method of a case before its first step."""

    learner: Learner
    inputs: Inputs
    precision: str
    put_back: Callable[[Predictor], Predictor]

    def fitted(self, outcome: Outcome) -> FittedMethod:
        """After the last one."""
        return FittedMethod(self.put_back(self.learner.method.predict), self.inputs, outcome, self.learner.method)


def prepare_training(
    case: Case,
    suite: Suite,
    granted: Grants,
    seed: Callable[[str], int],
    device: torch.device,
    validation: Subset | None = None,
) -> PreparedTraining:
    """Build the network and the method of a case, on the device.

    Raises:
        NotApplicable: the suite does not grant what the method reads.
    """
    import_optimizers()
    kind, options, read = _asked(case, suite, granted)
    assert issubclass(kind, DeepMethod)
    read, put_back = _scaled(read)
    some = next(part for part in (granted.source, granted.target, granted.target_labeled) if part is not None)
    in_what = precision_of(suite.train, device)
    with seeded_rng(seed("network"), device):
        net = Net(
            backbones.build_backbone(suite.net.backbone, some.store.shape, suite.net.options),
            granted.classes,
            granted.regression,
        )
    set_backbone_precision(net, in_what)
    domains = 1
    if granted.source is not None and granted.source.domain is not None:
        domains = int(granted.source.domain.max()) + 1
    with seeded_rng(seed("method"), device):
        method = kind(net, domains, **options)
    channels_last = suite.train.layout == "channels_last" or (
        suite.train.layout == "auto" and any(isinstance(m, nn.Conv2d) for m in net.modules())
    )
    method.to(device)
    if channels_last:
        method.to(memory_format=torch.channels_last)
    watched = None if granted.target is None or granted.regression else granted.target[_spread(len(granted.target))]
    validation = None if validation is None or granted.regression else validation[_spread(len(validation))]
    return PreparedTraining(
        Learner(method, read, seed, validation, watched), Inputs(suite.net, channels_last), in_what, put_back
    )


def _asked(case: Case, suite: Suite, granted: Grants) -> tuple[type[Method], dict[str, Any], Grants]:
    """The method of a case, its options, and the granted parts that it reads."""
    kind = methods.method_class(case.method)
    options = methods.method_options(case.method, case.options)
    if suite.protocol.task not in kind.tasks:
        raise NotApplicableError(
            f"{case.method} does {' and '.join(sorted(kind.tasks))}, and the suite is one of {suite.protocol.task}"
        )
    there = {part for part in SPLITS if getattr(granted, part) is not None} | {STREAM_SPLIT} & {*suite.protocol.grants}
    if missing := sorted(kind.reads - there):
        raise NotApplicableError(f"{case.method} reads {', '.join(missing)}, which the suite does not grant")
    others: dict[str, Any] = {part: None for part in SPLITS if part not in kind.reads}
    return kind, options, dataclasses.replace(granted, **others)


def predict_scored(fitted: FittedMethod, rows: Tensor | Subset, batch: int, seed: int, watch: clock.Clock) -> Tensor:
    """Scores of the scored rows: at once, or on a stream in a seeded order where the method goes on learning."""
    rows = rows if isinstance(rows, Subset) else Subset.of(rows)
    online = fitted.method.online() if isinstance(fitted.method, DeepMethod) else None
    if online is None or not isinstance(fitted.method, DeepMethod):
        with watch.measure("predict"):
            return predict(fitted, rows)
    device = rows.store.device
    order = torch.randperm(len(rows), generator=generator(seed)).to(device)
    with seeded_rng(seed, device), watch.measure("predict"):
        in_order = predict_online(fitted.method, online, rows[order], fitted.inputs, batch)
    return in_order[torch.argsort(order)]


def _scaled(granted: Grants) -> tuple[Grants, Callable[[Predictor], Predictor]]:
    """A regression's targets at mean 0 and variance 1 over the labelled rows there are, and how predictions are put back."""
    labelled = {name: part for name in ("source", "target_labeled") if (part := getattr(granted, name)) is not None}
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


def predict(fitted: FittedMethod, rows: Tensor | Subset) -> Tensor:
    """Scores of stored rows, in chunks."""
    return in_chunks(fitted.predictor, rows, fitted.inputs, CHUNK)


def granted_subsets(method: Method | type[Method], granted: Task | Grants) -> dict[str, Subset]:
    """The parts that a method reads and that there are, by name."""
    parts = {name: getattr(Grants.of(granted), name) for name in SPLITS if name in method.reads}
    return {name: part for name, part in parts.items() if part is not None}
