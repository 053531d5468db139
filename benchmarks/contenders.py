"""The same work made ready for each contender: data, the common start, and a training that is only to be begun.

A contender gives a `Ready`: a function without arguments that trains from the common start and gives the losses. What comes
before (weights copied, images encoded, workers started) is not timed.
"""

from __future__ import annotations

import copy
import functools
from collections.abc import Callable

import torch
from torch import Tensor, nn

from benchmarks import by_hand
from benchmarks.by_hand import Model
from benchmarks.scripted import Images, Script
from tlbench import methods
from tlbench.clock import Clock
from tlbench.engine.inputs import Inputs
from tlbench.engine.seeds import seeded
from tlbench.engine.train import train
from tlbench.methods.base import Trained
from tlbench.nn import trunks
from tlbench.nn.net import Net, Trunk
from tlbench.suite import Network, Training
from tlbench.terms import Labelled, Task

ROWS, BATCH, CLASSES, WIDTH = 10_000, 128, 10, 512
"""Rows of a domain, rows of each part in a step, and columns of a frozen trunk's features (those of a ResNet-18)."""
SEEDS = {"batches source 0": 1, "batches target 0": 2}
CPU = torch.device("cpu")

Ready = Callable[[], list[float]]


class Work:
    """A method on a network (`lenet`, or `features`: a linear head on the features of a frozen trunk)."""

    def __init__(self, net: str, method: str) -> None:
        self.net, self.method = net, method
        self.images = net == "lenet"
        with seeded(0, CPU):
            x, self.target = (_blobs(), _blobs()) if self.images else (_features(0.0), _features(0.3))
            y = x.float().sum((1, 2)).argmax(1) * CLASSES // 28 if self.images else x[:, :CLASSES].argmax(1)
            self.source = Labelled(x, y)  # of images, where the most ink stands
            trunk = trunks.build("lenet", (1, 28, 28), {}) if self.images else Trunk([], WIDTH)
            kind = methods.find(method)
            assert issubclass(kind, Trained)
            self.start = kind(Net(trunk, CLASSES), **methods.options(method, {}))

    def engine(self, steps: int) -> Ready:
        method = copy.deepcopy(self.start)
        if self.images:
            method.to(memory_format=torch.channels_last)  # as the engine does for convolutions
        parts = {name: part for name, part in (("source", self.source), ("target", self.target)) if name in method.reads}
        task = Task(CLASSES, **parts)  # type: ignore[arg-type]
        training = Training(steps=steps, batch=BATCH, trace=0)
        inputs, clock = Inputs(Network(), channels_last=self.images), Clock(CPU)
        return lambda: train(method, task, training, inputs, clock, SEEDS.__getitem__).losses

    def model(self, channels_last: bool) -> Model:
        """The network of by_hand.py from the common start."""
        parameters = self.start.parameters()
        with_discriminator = self.method == "dann"
        if self.images:
            return Model(parameters, channels_last, discriminator=with_discriminator)
        return Model(parameters, False, trunk=nn.Identity, width=WIDTH, discriminator=with_discriminator)

    def by_hand(self, steps: int, channels_last: bool = True) -> Ready:
        model, source = self.model(channels_last), (self.source.x, self.source.y)
        seeds = (SEEDS["batches source 0"], SEEDS["batches target 0"])
        return lambda: by_hand.train(
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
        seeds = (SEEDS["batches source 0"], SEEDS["batches target 0"])
        source, target = self._pictures[encoded]
        return Script(self.model(False), source, target, seeds, steps=steps, batch=BATCH, workers=workers).train

    @functools.cached_property
    def _pictures(self) -> dict[bool, tuple[Images, Images]]:
        """Source and target as images in memory, and as PNG files in memory."""
        none = torch.zeros(ROWS, dtype=torch.int64)
        return {e: (Images(self.source.x, self.source.y, e), Images(self.target, none, e)) for e in (False, True)}


def _blobs() -> Tensor:
    """Smooth strokes on black, about as hard to compress as handwritten digits: uint8 (ROWS, 1, 28, 28)."""
    coarse = torch.nn.functional.interpolate(torch.rand(ROWS, 1, 5, 5), size=(28, 28), mode="bilinear")
    return ((coarse - 0.6).clamp_(min=0) * 637).to(torch.uint8)


def _features(shift: float) -> Tensor:
    """What comes out of a ReLU: float32 (ROWS, WIDTH)."""
    return (torch.randn(ROWS, WIDTH) + shift).clamp_(min=0)
