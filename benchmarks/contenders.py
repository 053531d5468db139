"""The same work made ready for each contender: data, the common start, and a training that is only to be begun.

A contender gives a `Ready`: called without arguments it trains from the common start and gives the losses. What comes before
(weights copied, images encoded, workers started) is not timed. Of adabn and tent that is the training on the source too: what
is timed is the pass over the target and the stream.
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
from benchmarks.reference_steps import AFTER, REFERENCE_STEPS, THRESHOLDS, Data, Split, images, supervised
from benchmarks.reference_steps import Net as ReferenceNet
from benchmarks.scripted import Images, Script
from tlbench import methods
from tlbench.clock import Clock
from tlbench.engine.data.inputs import Inputs
from tlbench.engine.data.passes import SplitPasses
from tlbench.engine.data.storage import Grants, Subset
from tlbench.engine.runtime.seeds import seeded_rng
from tlbench.engine.training.loop import train
from tlbench.engine.training.online import predict_online
from tlbench.methods.base import DeepMethod
from tlbench.nn import backbones
from tlbench.nn.net import Backbone, Net
from tlbench.suite import Network, Training
from tlbench.terms import Labelled, Task

SAMPLES, BATCH, CLASSES, WIDTH = 10_000, 128, 10, 512
"""Samples of a domain, rows of each part in a step, and columns of a frozen backbone's features (those of a ResNet-18)."""
MORE_SAMPLES = {"discriminator_reweight": 400}
"""Of the methods of reference_steps, samples of a domain where they are not 20 batches; all of them go into the weights' fits."""
LABELED_SAMPLES = 200
"""Labelled ones among the target's; of fewer the engine draws many permutations at once, and so others than reference_loop.py."""
SOURCE_STEPS = 10
"""Of adabn and tent, before what they are timed for."""
SEEDS = {"source": 1, "target": 2, "target_labeled": 3, "steps": 4}
CPU = torch.device("cpu")
OPTIONS: dict[str, dict[str, Any]] = {name: {"threshold": threshold} for name, threshold in THRESHOLDS.items()}

Ready = Callable[[], list[float]]


@dataclass(frozen=True)
class Run:
    """A `Ready`, and the logits of some target samples after it."""

    begin: Ready
    logits: Callable[[], Tensor]

    def __call__(self) -> list[float]:
        return self.begin()


class Work:
    """A method on a network (`lenet`, or `features`: a linear head on the features of a frozen backbone).

    The methods of reference_steps are on LeNet alone; that of adabn and tent has batch normalisation.
    """

    def __init__(self, net: str, method: str) -> None:
        self.net, self.method = net, method
        self.images, self.more = net == "lenet", method in REFERENCE_STEPS
        assert self.images or not self.more
        with seeded_rng(0, CPU):
            if self.more:
                pattern = torch.rand(CLASSES, 1, 5, 5)
                samples = MORE_SAMPLES.get(method, 20 * BATCH)
                self.source, target = _strokes(pattern, samples, 0.0), _strokes(pattern, samples, 0.1)
                self.target, self.target_labeled = target.x, target[torch.arange(LABELED_SAMPLES)]
            else:
                x, self.target = (_blobs(), _blobs()) if self.images else (_features(0.0), _features(0.3))
                # of images, where the most ink stands
                y = x.float().sum((1, 2)).argmax(1) * CLASSES // 28 if self.images else x[:, :CLASSES].argmax(1)
                self.source = Labelled(x, y)
            options = {"batch_norm": True} if method in AFTER else {}
            backbone = backbones.build_backbone("lenet", (1, 28, 28), options) if self.images else Backbone([], WIDTH)
            kind = methods.method_class(method)
            assert issubclass(kind, DeepMethod)
            self.start = kind(Net(backbone, CLASSES), **methods.method_options(method, OPTIONS.get(method, {})))
            if method == "pcgrad":  # of heads that start as opposites the gradients conflict, else there is nothing to project
                self.start.get_parameter("source_head.weight").data.copy_(-self.start.net.head.weight)

    def engine(self, steps: int) -> Run:
        method = copy.deepcopy(self.start)
        if self.images:
            method.to(memory_format=torch.channels_last)  # as the engine does for convolutions
        splits = {name: getattr(self, name) for name in ("source", "target", "target_labeled") if name in method.reads}
        task = Task(CLASSES, **splits)
        inputs, clock = Inputs(Network(), channels_last=self.images), Clock(CPU)

        def begin(steps: int = steps) -> list[float]:
            training = Training(steps=steps, batch=BATCH, trace=0)
            return train(method, task, training, inputs, clock, _seed).losses

        def logits() -> Tensor:
            return method.predict(inputs(self.target[:BATCH]))

        if self.method not in AFTER:
            return Run(_seeded(begin) if self.more else begin, logits)
        on_source, samples = begin(SOURCE_STEPS), self.target[: steps * BATCH]

        def adapt() -> list[float]:
            online = method.online()
            if online is not None:
                scores = predict_online(method, online, Subset.of(samples), inputs, BATCH)
                return on_source + _entropies(scores)
            phase = method.phases()[-1]
            assert phase.begin is not None
            phase.begin(SplitPasses(method, Grants.of(Task(CLASSES, target=samples)), inputs, phase))
            return on_source

        return Run(adapt, logits)

    def reference_step(self, steps: int) -> Run:
        """The reference step of reference_steps."""
        none = torch.empty(0, dtype=torch.int64)
        given = (
            ("source", self.source.x, self.source.y),
            ("target", self.target, none),
            ("target_labeled", self.target_labeled.x, self.target_labeled.y),
        )
        data = Data(**{name: Split(x, y, BATCH, SEEDS[name]) for name, x, y in given})
        net, reference = ReferenceNet(self.method, self.start.state_dict().values()), REFERENCE_STEPS[self.method]
        on_source = supervised(net, data.source, SOURCE_STEPS) if self.method in AFTER else []
        predicts: list[Callable[[Tensor], Tensor]] = []

        def begin() -> list[float]:
            losses, predict = reference(net, data, steps)
            predicts.append(predict)
            return torch.stack([*on_source, *losses]).tolist()

        return Run(_seeded(begin), lambda: predicts[-1](images(self.target[:BATCH])))

    def model(self, channels_last: bool) -> Model:
        """The network of reference_loop.py from the common start."""
        parameters = self.start.parameters()
        with_discriminator = self.method == "dann"
        if self.images:
            return Model(parameters, channels_last, discriminator=with_discriminator)
        return Model(parameters, False, backbone=nn.Identity, width=WIDTH, discriminator=with_discriminator)

    def reference_loop_run(self, steps: int, channels_last: bool = True) -> Ready:
        if self.more:
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
        """DANN with PIL images and a DataLoader per domain."""
        seeds = (SEEDS["source"], SEEDS["target"])
        source, target = self._pictures[encoded]
        return Script(self.model(False), source, target, seeds, steps=steps, batch=BATCH, workers=workers).train

    @functools.cached_property
    def _pictures(self) -> dict[bool, tuple[Images, Images]]:
        """Source and target as images in memory, and as PNG files in memory."""
        none = torch.zeros(SAMPLES, dtype=torch.int64)
        return {e: (Images(self.source.x, self.source.y, e), Images(self.target, none, e)) for e in (False, True)}


def _seed(use: str) -> int:
    """`batches PART PHASE` -> that of the part."""
    return SEEDS[use.split()[1]]


def _seeded(begin: Ready) -> Ready:
    """Views and folds are drawn from torch's global generator: of all contenders from the same seed."""

    def seeded_begin() -> list[float]:
        with seeded_rng(SEEDS["steps"], CPU):
            return begin()

    return seeded_begin


def _entropies(logits_NC: Tensor) -> list[float]:
    """Mean entropy of each batch."""
    logs = logits_NC.log_softmax(1)
    return [-float(batch.mean()) for batch in (logs.exp() * logs).sum(1).split(BATCH)]


def _strokes(pattern: Tensor, samples: int, shift: float) -> Labelled:
    """Images that are learnt in a few steps, of a pattern for each class; a shift makes all strokes thicker."""
    y = torch.arange(samples) % CLASSES
    coarse = 0.7 * pattern[y] + 0.3 * torch.rand(samples, 1, 5, 5) + shift
    fine = torch.nn.functional.interpolate(coarse, size=(28, 28), mode="bilinear")
    return Labelled(((fine - 0.4).clamp_(0, 0.4) * 637).to(torch.uint8), y, torch.zeros_like(y))


def _blobs() -> Tensor:
    """Smooth strokes on black, about as hard to compress as handwritten digits: uint8 (ROWS, 1, 28, 28)."""
    coarse = torch.nn.functional.interpolate(torch.rand(SAMPLES, 1, 5, 5), size=(28, 28), mode="bilinear")
    return ((coarse - 0.6).clamp_(min=0) * 637).to(torch.uint8)


def _features(shift: float) -> Tensor:
    """What comes out of a ReLU: float32 (ROWS, WIDTH)."""
    return (torch.randn(SAMPLES, WIDTH) + shift).clamp_(min=0)
