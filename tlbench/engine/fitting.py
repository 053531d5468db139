"""Granted splits -> a fitted deep or shallow method, and its class scores for samples."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from tlbench import methods
from tlbench.clock import Clock
from tlbench.engine.candidates.collector import CandidateCollector
from tlbench.engine.data.inductive import check_inductive_reads
from tlbench.engine.data.inputs import CHUNK_SAMPLES, Inputs, chunk_sizes, map_in_chunks
from tlbench.engine.data.storage import Grants, Subset
from tlbench.engine.data.tasks import TargetScale, standardize_targets
from tlbench.engine.runtime.precision import matmul_precision, resolve_precision, set_backbone_precision
from tlbench.engine.runtime.seeds import generator, seeded_rng
from tlbench.engine.runtime.throughput import MARGIN_SECONDS, OTHER_WORK
from tlbench.engine.streams.order import StreamPlan
from tlbench.engine.streams.predictor import StreamPredictor
from tlbench.engine.training.learners import Learner
from tlbench.engine.training.loop import OnStep, train_learners
from tlbench.engine.training.optimizer import import_optimizers
from tlbench.engine.training.outcome import Outcome
from tlbench.engine.training.outputs import CheckedPredictor, callable_predictor
from tlbench.errors import NotApplicableError
from tlbench.methods.base import DeepMethod, Method, Predictor, ShallowMethod
from tlbench.methods.task_support import task_error
from tlbench.nn import backbones
from tlbench.nn.net import Backbone, Net, TaskNet
from tlbench.nn.positions.net import PositionBackbone, PositionNet
from tlbench.nn.untrained import untrained_options
from tlbench.suite import Suite
from tlbench.suite.augmentation import MIXING_KINDS
from tlbench.terms import SPLITS, STREAM_SPLIT, Case, Task

LABELED_SPLITS = frozenset({"source", "target_labeled"})
TRACE_SAMPLES = 2000
"""A trace point looks at this many samples at most, evenly spread over the validation samples and over the target's."""


@dataclass
class FittedMethod:
    """A method between its training and its scoring."""

    predictor: Predictor
    """Network inputs (N, ...) -> class scores (N, C), or predictions (N, K) of a regression; in an open set (N, C + 1) too."""
    inputs: Inputs
    outcome: Outcome
    method: Method
    trace_sizes: tuple[int, ...] = ()
    """The numbers of samples that each trace point predicts."""
    candidates: CandidateCollector | None = None
    scale: TargetScale = field(default_factory=TargetScale)
    """The scale of the targets that the method was trained on."""

    @property
    def is_online(self) -> bool:
        """Whether the method adapts while it predicts."""
        return isinstance(self.method, DeepMethod) and self.method.online() is not None

    @property
    def notes(self) -> tuple[str, ...]:
        """What ran otherwise than asked, and why."""
        return tuple(dict.fromkeys([*self.outcome.notes, *self.method.notes]))


def fit(
    case: Case,
    suite: Suite,
    granted: Task | Grants,
    clock: Clock,
    seed: Callable[[str], int],
    device: torch.device,
    *,
    validation: Subset | None = None,
    candidates: CandidateCollector | None = None,
    on_step: OnStep | None = None,
) -> FittedMethod:
    """Fit the method of a case on the splits that the suite grants and the method reads.

    Args:
        case: its method and options.
        suite: its network and training.
        granted: the granted splits.
        clock: the fit is billed to `train`.
        seed: the use of a random draw -> its seed.
        device: where the method runs.
        validation: held-out source samples, for the trace.
        candidates: collects what is stored for selection rules; None: nothing.
        on_step: called from time to time with the steps done and the steps in all.

    Raises:
        NotApplicableError: the suite does not grant what the method reads, or the method does not support its task.
        DivergedError: the loss is not finite.
    """
    granted = Grants.of(granted)
    if issubclass(methods.method_class(case.method), DeepMethod):
        prepared = prepare_training(case, suite, granted, seed, device, validation, clock, candidates)
        with seeded_rng(seed("steps"), device), matmul_precision(prepared.precision, device):
            (outcome,) = train_learners([prepared.learner], suite.train, prepared.inputs, clock, on_step=on_step)
        return prepared.fitted(outcome)

    method_class, options, readable = _resolve_method(case, suite, granted)
    assert issubclass(method_class, ShallowMethod)
    if torch.int32 in {subset.store.dtype for split in SPLITS if (subset := getattr(readable, split)) is not None}:
        raise NotApplicableError(
            f"{case.method} computes with features, and the samples are token ids; with net.frozen = true it gets those of the "
            "backbone"
        )
    readable, scale = standardize_targets(readable)
    inputs = Inputs(suite.net, channels_last=False)
    with seeded_rng(seed("solve"), device), torch.no_grad(), matmul_precision("fp32", device):
        task = readable.task(inputs)
        with clock.measure("train"):
            method = method_class(**options)
            predictor = callable_predictor(method.fit(task), method)
    checked = CheckedPredictor(predictor, method, granted.columns, granted.regression)
    return FittedMethod(scale(checked), inputs, Outcome(), method, candidates=candidates, scale=scale)


@dataclass(frozen=True)
class PreparedTraining:
    """A deep method of a case before its first step."""

    learner: Learner
    inputs: Inputs
    precision: str
    scale: TargetScale
    """Maps a predictor of standardised targets to one of the original targets."""
    build_seconds: float = 0.0
    """The seconds that the construction of the method took; 0 where no clock measured it."""

    def fitted(self, outcome: Outcome) -> FittedMethod:
        """The fitted method after the last step."""
        if self.build_seconds > MARGIN_SECONDS:
            outcome.throughput.other_seconds += self.build_seconds
            outcome.notes.append(f"the method was built in {self.build_seconds:.1f} s, {OTHER_WORK}")
        sizes = tuple(len(subset) for subset in (self.learner.validation, self.learner.trace_target) if subset is not None)
        predictor = self.scale(self.learner.predictor)
        return FittedMethod(predictor, self.inputs, outcome, self.learner.method, sizes, self.learner.candidates, self.scale)


def prepare_training(
    case: Case,
    suite: Suite,
    granted: Grants,
    seed: Callable[[str], int],
    device: torch.device,
    validation: Subset | None = None,
    clock: Clock | None = None,
    candidates: CandidateCollector | None = None,
) -> PreparedTraining:
    """Build the network and the method of a case on the device.

    Args:
        case: its deep method and options.
        suite: its network and training.
        granted: the granted splits.
        seed: the use of a random draw -> its seed.
        device: where the method runs.
        validation: held-out source samples, for the trace.
        clock: the construction of the method is billed to `train`; that of the network, which all methods share, to nothing.
        candidates: collects what is stored for selection rules; None: nothing.

    Raises:
        NotApplicableError: the suite does not grant what the method reads, or the method does not support its task.
    """
    import_optimizers()
    method_class, options, readable = _resolve_method(case, suite, granted)
    assert issubclass(method_class, DeepMethod)
    readable, scale = standardize_targets(readable)
    store = next(subset for split in SPLITS if (subset := getattr(granted, split)) is not None).store
    precision = resolve_precision(suite.train, device)
    net_options = suite.net.options
    if not method_class.pretrained:
        net_options = untrained_options(suite.net.backbone, net_options, suite.files)
    with seeded_rng(seed("network"), device):
        backbone = backbones.build_backbone(suite.net.backbone, store.shape, net_options, suite.files)
        source_classes = granted.source_classes if "source" in method_class.reads else None
        net = _new_net(backbone, granted, source_classes, store.shape, suite.train.positions)
    set_backbone_precision(net, precision)
    source_count = 1
    if granted.source is not None and granted.source.domain is not None:
        source_count = int(granted.source.domain.max()) + 1
    clock = clock or Clock(device)
    seconds_before = clock.seconds.get("build", 0.0)
    with clock.measure("train"), clock.measure("build", work_only=True):
        with seeded_rng(seed("method"), device):
            method = method_class(net, source_count, **options)
        convolves = any(isinstance(module, nn.Conv2d) for module in net.modules())
        channels_last = suite.train.layout == "channels_last" or (suite.train.layout == "auto" and convolves)
        method.to(device)
        if channels_last:
            method.to(memory_format=torch.channels_last)
    build_seconds = clock.seconds["build"] - seconds_before
    several = granted.regression or bool(granted.tasks)
    no_entropy = several or granted.source_classes is not None  # the head is another one in each phase
    trace_target = None if no_entropy else _trace_subset(granted.target)
    validation = None if several else _trace_subset(validation)
    learner = Learner(method, readable, seed, validation, trace_target, candidates)
    return PreparedTraining(learner, Inputs(suite.net, channels_last), precision, scale, build_seconds)


def _new_net(backbone: Backbone, granted: Grants, source_classes: int | None, shape: tuple[int, ...], positions: int) -> Net:
    """The backbone with a head, or with one for each of several tasks, or with a head for each position of a sample.

    Args:
        backbone: the feature extractor.
        granted: the classes, tasks and positions.
        source_classes: where the target has others than the source, their number.
        shape: of a sample.
        positions: that a step draws of each sample.
    """
    if granted.positions > 1:
        return PositionNet(PositionBackbone(backbone, shape, positions), granted.classes, source_classes)
    if granted.tasks:
        return TaskNet(backbone, granted.tasks)
    return Net(backbone, granted.classes, granted.regression, open_set=granted.open_set, source_classes=source_classes)


def _resolve_method(case: Case, suite: Suite, granted: Grants) -> tuple[type[Method], dict[str, Any], Grants]:
    """The class of a case's method, its options, and the granted splits that it reads."""
    method_class = methods.method_class(case.method)
    options = methods.method_options(case.method, case.options)
    if (reason := task_error(method_class, suite.protocol.task)) is not None:
        raise NotApplicableError(f"{case.method} {reason}")
    if (label_set := suite.protocol.label_set) not in method_class.label_sets:
        supported = " and ".join(sorted(method_class.label_sets))
        raise NotApplicableError(f"{case.method} supports the label sets {supported}, and that of the suite is {label_set}")
    if granted.source_classes is not None:
        check_inductive_reads(case.method, method_class)
    available = {split for split in SPLITS if getattr(granted, split) is not None}
    available |= {STREAM_SPLIT} & {*suite.protocol.grants}
    if missing := sorted(method_class.reads - available):
        raise NotApplicableError(f"{case.method} reads {', '.join(missing)}, which the suite does not grant")
    mixing = [kind.kind for kind in suite.train.augment if kind.kind in MIXING_KINDS]
    if mixing and issubclass(method_class, DeepMethod) and not method_class.soft_labels and method_class.reads & LABELED_SPLITS:
        raise NotApplicableError(
            f"{case.method} computes with single classes, and train.augment mixes them ({' and '.join(mixing)})"
        )
    withheld: dict[str, Any] = {split: None for split in SPLITS if split not in method_class.reads}
    if method_class.reads_class_texts and granted.embed_classes is None:
        raise NotApplicableError(f"{case.method} reads class names, and there is no network that embeds them")
    if not method_class.reads_class_texts:
        withheld |= {"class_texts": (), "embed_classes": None}
    return method_class, options, dataclasses.replace(granted, **withheld)


def predict_scored(
    fitted: FittedMethod, samples: Tensor | Subset, batch_size: int, seed: int, clock: Clock, plan: StreamPlan | None = None
) -> Tensor:
    """Predict the scored samples; a method that adapts on the stream predicts them in batches, in the order of the stream.

    Args:
        fitted: the fitted method; one that learns on the stream is changed in place.
        samples: N stored samples.
        batch_size: samples of a batch of the stream.
        seed: of the random numbers on the stream, and of its order where no plan gives one.
        clock: the prediction is billed to `predict`.
        plan: the order and the batches of the stream; None: a random order, in batches of `batch_size`.

    Returns:
        Class scores (N, C), or predictions (N, K) of a regression, in the order of `samples`; (N*P, C) of positions.
    """
    samples = samples if isinstance(samples, Subset) else Subset.of(samples)
    if not fitted.is_online or not isinstance(fitted.method, DeepMethod):
        with clock.measure("predict"):
            return predict(fitted, samples)
    device = samples.store.device
    if plan is None:
        order = torch.randperm(len(samples), generator=generator(seed))
        plan = StreamPlan(order, tuple(chunk_sizes(len(samples), batch_size)))
    order = plan.order.to(device)
    with seeded_rng(seed, device), clock.measure("predict"):
        predictor = StreamPredictor(fitted.method, fitted.inputs)
        in_order = predictor.predict(samples[order], plan.sizes, plan.resets)
    return in_order.unflatten(0, (len(samples), -1))[torch.argsort(order)].flatten(0, 1)


def _trace_subset(samples: Subset | None) -> Subset | None:
    """At most `TRACE_SAMPLES` samples, evenly spread, for files are often sorted by class."""
    if samples is None:
        return None
    return samples[torch.linspace(0, len(samples) - 1, min(len(samples), TRACE_SAMPLES)).long()]


def predict(fitted: FittedMethod, samples: Tensor | Subset) -> Tensor:
    """Predict stored samples in chunks: class scores (N, C), or predictions (N, K) of a regression."""
    return map_in_chunks(fitted.predictor, samples, fitted.inputs, CHUNK_SAMPLES)


def granted_subsets(method: Method | type[Method], granted: Task | Grants) -> dict[str, Subset]:
    """The splits that a method reads and that are granted, by name."""
    subsets = {split: getattr(Grants.of(granted), split) for split in SPLITS if split in method.reads}
    return {split: subset for split, subset in subsets.items() if subset is not None}
