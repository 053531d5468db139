"""The same work, prepared for each contender: the data, the common initial weights, and a training that is ready to start.

A contender is prepared as a `Ready`, a function without arguments that trains from the common initial weights and returns the
losses. The preparation (copying weights, encoding images, starting workers) is not timed. For adabn and tent the training on
the source belongs to the preparation, and the pass over the target or the stream is timed.
"""

from __future__ import annotations

import copy
import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from benchmarks import reference_loop
from benchmarks.reference_loop import Model
from benchmarks.reference_steps import AFTER, REFERENCE_STEPS, THRESHOLDS, WITH_NORMS, Data, Split, images, supervised
from benchmarks.reference_steps import Net as ReferenceNet
from benchmarks.scripted import Images, Script
from tlbench import methods
from tlbench.clock import Clock
from tlbench.engine.data.inputs import Inputs
from tlbench.engine.data.passes import SplitPasses
from tlbench.engine.data.storage import Grants, Subset
from tlbench.engine.runtime.seeds import seeded_rng
from tlbench.engine.streams.predictor import predict_online
from tlbench.engine.training.loop import train
from tlbench.methods.base import DeepMethod
from tlbench.nn import backbones
from tlbench.nn.net import Backbone, Net
from tlbench.suite import Network, Training
from tlbench.terms import SPLIT_OF_OLD, Labelled, Task

SAMPLES, BATCH, CLASSES, WIDTH = 10_000, 128, 10, 512
"""Samples of a domain, samples of each split in a batch, and width of a frozen backbone's features (that of a ResNet-18)."""
REFERENCE_STEP_SAMPLES = {"discriminator_reweight": 400}
"""Samples of a domain for methods of reference_steps that do not take 20 batches: here all samples enter the fit of weights."""
LABELED_SAMPLES = 200
"""Labelled target samples. For fewer, the engine draws several permutations at once, which differ from reference_loop.py's."""
SOURCE_STEPS = 10
"""Steps on the source of adabn and tent, before the work that is timed."""
SEEDS = {"source": 1, "target": 2, "target_labeled": 3, "steps": 4}
CPU = torch.device("cpu")
OPTIONS: dict[str, dict[str, Any]] = {name: {"threshold": threshold} for name, threshold in THRESHOLDS.items()}

Ready = Callable[[], list[float]]


@dataclass(frozen=True)
class Run:
    """A `Ready`, and a function that returns the logits (BATCH, CLASSES) of some target samples after it."""

    training: Ready
    logits: Callable[[], Tensor]

    def __call__(self) -> list[float]:
        return self.training()


class Work:
    """A method on a network: `lenet`, or `features`, a linear head on the features of a frozen backbone.

    The methods of reference_steps run on LeNet alone; the LeNet of adabn, tent and safn has batch normalisation.
    """

    def __init__(self, net: str, method: str) -> None:
        self.net, self.method = net, method
        self.images, self.is_reference_step = net == "lenet", method in REFERENCE_STEPS
        assert self.images or not self.is_reference_step
        with seeded_rng(0, CPU):
            if self.is_reference_step:
                pattern = torch.rand(CLASSES, 1, 5, 5)
                samples = REFERENCE_STEP_SAMPLES.get(method, 20 * BATCH)
                self.source, target = _strokes(pattern, samples, 0.0), _strokes(pattern, samples, 0.1)
                self.target, self.target_labeled = target.x, target[torch.arange(LABELED_SAMPLES)]
            else:
                x, self.target = (_blobs(), _blobs()) if self.images else (_features(0.0), _features(0.3))
                # the class of an image is the column in which most ink lies
                y = x.float().sum((1, 2)).argmax(1) * CLASSES // 28 if self.images else x[:, :CLASSES].argmax(1)
                self.source = Labelled(x, y)
            options = {"batch_norm": True} if method in WITH_NORMS else {}
            backbone = backbones.build_backbone("lenet", (1, 28, 28), options) if self.images else Backbone([], WIDTH)
            kind = methods.method_class(method)
            assert issubclass(kind, DeepMethod)
            self.initial_method = kind(Net(backbone, CLASSES), **methods.method_options(method, OPTIONS.get(method, {})))
            if method == "pcgrad":  # with opposite heads the gradients conflict; otherwise there is nothing to project
                self.initial_method.get_parameter("source_head.weight").data.copy_(-self.initial_method.net.head.weight)

    def engine(self, steps: int) -> Run:
        """A training by the engine; for adabn and tent, their pass over the target or the stream."""
        method = copy.deepcopy(self.initial_method)
        if self.images:
            method.to(memory_format=torch.channels_last)  # as the engine does for convolutions
        splits = {name: getattr(self, name) for name in ("source", "target", "target_labeled") if name in method.reads}
        task = Task(CLASSES, **splits)
        inputs, clock = Inputs(Network(), channels_last=self.images), Clock(CPU)

        def training(steps: int = steps) -> list[float]:
            settings = Training(steps=steps, batch=BATCH, trace=0)
            return train(method, task, settings, inputs, clock, _seed).losses

        def logits() -> Tensor:
            return method.predict(inputs(self.target[:BATCH]))

        if self.method not in AFTER:
            return Run(_seeded(training) if self.is_reference_step else training, logits)
        source_losses, samples = training(SOURCE_STEPS), self.target[: steps * BATCH]

        def adapt() -> list[float]:
            if method.online() is not None:
                logits_NC = predict_online(method, Subset.of(samples), inputs, BATCH)
                return source_losses + _entropies(logits_NC)
            phase = method.phases()[-1]
            assert phase.begin is not None
            phase.begin(SplitPasses(method, Grants.of(Task(CLASSES, target=samples)), inputs, phase))
            return source_losses

        return Run(adapt, logits)

    def reference_step(self, steps: int) -> Run:
        """The same training by the method's function of reference_steps."""
        no_labels = torch.empty(0, dtype=torch.int64)
        splits = (
            ("source", self.source.x, self.source.y),
            ("target", self.target, no_labels),
            ("target_labeled", self.target_labeled.x, self.target_labeled.y),
        )
        data = Data(**{name: Split(x, y, BATCH, SEEDS[name]) for name, x, y in splits})
        net = ReferenceNet(self.method, self.initial_method.state_dict().values())
        reference = REFERENCE_STEPS[self.method]
        source_losses = supervised(net, data.source, SOURCE_STEPS) if self.method in AFTER else []
        predictors: list[Callable[[Tensor], Tensor]] = []

        def training() -> list[float]:
            losses, predictor = reference(net, data, steps)
            predictors.append(predictor)
            return torch.stack([*source_losses, *losses]).tolist()

        return Run(_seeded(training), lambda: predictors[-1](images(self.target[:BATCH])))

    def model(self, channels_last: bool) -> Model:
        """The network of reference_loop.py with the common initial weights."""
        parameters = self.initial_method.parameters()
        with_discriminator = self.method == "dann"
        if self.images:
            return Model(parameters, channels_last, discriminator=with_discriminator)
        return Model(parameters, False, backbone=nn.Identity, width=WIDTH, discriminator=with_discriminator)

    def reference_loop(self, steps: int, channels_last: bool = True) -> Ready:
        """The same training in plain torch, by reference_loop.py or reference_steps."""
        if self.is_reference_step:
            return self.reference_step(steps)
        model, source = self.model(channels_last), (self.source.x, self.source.y)
        seeds = (SEEDS["source"], SEEDS["target"])
        return lambda: reference_loop.train(
            model,
            source,
            self.target,
            seeds,
            steps=steps,
            batch=BATCH,
            channels_last=channels_last and self.images,
            method=self.method,
        )

    def script(self, steps: int, encoded: bool, workers: int) -> Ready:
        """DANN with PIL images and a DataLoader for each domain."""
        seeds = (SEEDS["source"], SEEDS["target"])
        source, target = self._image_datasets[encoded]
        return Script(self.model(False), source, target, seeds, steps=steps, batch=BATCH, workers=workers).train

    @functools.cached_property
    def _image_datasets(self) -> dict[bool, tuple[Images, Images]]:
        """Source and target as arrays in memory (False) and as PNG files in memory (True)."""
        no_labels = torch.zeros(SAMPLES, dtype=torch.int64)
        return {e: (Images(self.source.x, self.source.y, e), Images(self.target, no_labels, e)) for e in (False, True)}


def _seed(use: str) -> int:
    """The seed of a draw that the engine calls `batches SPLIT PHASE` (with the old names of splits): that of the split."""
    split = use.split()[1]
    return SEEDS[SPLIT_OF_OLD.get(split, split)]


def _seeded(training: Ready) -> Ready:
    """The same training with torch's global generator seeded, so that all contenders draw the same views and folds."""

    def seeded_training() -> list[float]:
        with seeded_rng(SEEDS["steps"], CPU):
            return training()

    return seeded_training


def _entropies(logits_NC: Tensor) -> list[float]:
    """The mean entropy of each batch, in nats."""
    logs = logits_NC.log_softmax(1)
    return [-float(batch.mean()) for batch in (logs.exp() * logs).sum(1).split(BATCH)]


def _strokes(pattern: Tensor, samples: int, shift: float) -> Labelled:
    """Images with one pattern for each class, which are learnt in a few steps; a shift thickens all strokes."""
    y = torch.arange(samples) % CLASSES
    coarse = 0.7 * pattern[y] + 0.3 * torch.rand(samples, 1, 5, 5) + shift
    fine = torch.nn.functional.interpolate(coarse, size=(28, 28), mode="bilinear")
    return Labelled(((fine - 0.4).clamp_(0, 0.4) * 637).to(torch.uint8), y, torch.zeros_like(y))


def _blobs() -> Tensor:
    """Smooth strokes on black, about as hard to compress as handwritten digits: uint8 (SAMPLES, 1, 28, 28)."""
    coarse = torch.nn.functional.interpolate(torch.rand(SAMPLES, 1, 5, 5), size=(28, 28), mode="bilinear")
    return ((coarse - 0.6).clamp_(min=0) * 637).to(torch.uint8)


def _features(shift: float) -> Tensor:
    """Features as a ReLU gives them: float32 (SAMPLES, WIDTH)."""
    return (torch.randn(SAMPLES, WIDTH) + shift).clamp_(min=0)
