"""The same training by peers: pytorch-adapt's DANN and MCC, skada's deep DANN; each as its own documentation writes it.

Both come with the extra `peers`, for the bench alone: where one is missing, `missing()` says which, and the bench skips it.
The network, its start, the batch and the images are ours; losses are not compared, for each has its own weights and draws.

pytorch-adapt 0.0.83 (2023) asks torchmetrics 0.9 for `pkg_resources`, which today's setuptools no longer has. Two names of it
are asked for, and importlib.metadata has both: `_pkg_resources` lends them while it is imported. Nothing else is patched.
"""

from __future__ import annotations

import contextlib
import importlib.metadata
import importlib.util
import sys
import types
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.data import Dataset

from benchmarks.contenders import BATCH, CPU, SAMPLES, Work
from benchmarks.reference_loop import Model, order, ramp, reverse

Ready = Callable[[], list[float]]


def missing(package: str) -> str | None:
    """Why a peer can't be run here, or None."""
    if importlib.util.find_spec(package) is None:
        return f"{package} is not installed; pip install 'tlbench[peers]'"
    return None


class Images(Dataset[tuple[Tensor, int]]):
    """Network inputs ready in memory as float32: nothing is decoded or normalised while it is timed."""

    def __init__(self, x: Tensor, y: Tensor) -> None:
        self.x, self.y = inputs(x), y.tolist()

    def __len__(self) -> int:
        return len(self.y)

    def __getitem__(self, entry: int) -> tuple[Tensor, int]:
        return self.x[entry], self.y[entry]


def inputs(x: Tensor) -> Tensor:
    """uint8 images -> what the network takes."""
    return x.float().mul_(2 / 255).sub_(1)


class Flat(nn.Module):
    """A discriminator (B, D) -> (B,), as pytorch-adapt and skada take it."""

    def __init__(self, discriminator: nn.Module) -> None:
        super().__init__()
        self.discriminator = discriminator

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.discriminator(x)
        return logits.squeeze(1)


class Reversed(Flat):
    """skada takes probabilities, and leaves the reversal to the discriminator; its progress is the calls made."""

    def __init__(self, discriminator: nn.Module, steps: int) -> None:
        super().__init__(discriminator)
        self.steps, self.calls = steps, 0

    def forward(self, x: Tensor) -> Tensor:
        self.calls += 1
        return super().forward(reverse(x, ramp(self.calls / self.steps))).sigmoid()


@contextlib.contextmanager
def _pkg_resources() -> Iterator[None]:
    lent = importlib.util.find_spec("pkg_resources") is None
    if lent:
        module: Any = types.ModuleType("pkg_resources")
        module.DistributionNotFound = importlib.metadata.PackageNotFoundError
        module.get_distribution = importlib.metadata.distribution
        sys.modules["pkg_resources"] = module
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        if lent:
            sys.modules.pop("pkg_resources", None)


def pytorch_adapt(work: Work, steps: int, *, loader: bool, device: torch.device = CPU) -> Ready:
    """DANN or MCC by its hooks; with its own datasets and loader, or on batches that are drawn by index as the engine's are.

    On another device than the CPU all rows and the table of their numbers lie there, by index alone.
    """
    with _pkg_resources():
        from pytorch_adapt.datasets import CombinedSourceAndTargetDataset, DataloaderCreator, SourceDataset, TargetDataset
        from pytorch_adapt.hooks import ClassifierHook, DANNHook, MCCHook
    model = work.model(channels_last=False).to(device)
    models: dict[str, nn.Module] = {"G": model.backbone, "C": model.head}
    if work.method == "dann":
        models["D"] = Flat(model.discriminator)
    optimizers = [torch.optim.Adam(one.parameters(), lr=1e-3) for one in models.values()]
    hook = DANNHook(optimizers) if work.method == "dann" else ClassifierHook(optimizers, post=[MCCHook()])

    if loader:
        none = torch.zeros(SAMPLES, dtype=torch.int64)
        source, target = SourceDataset(Images(work.source.x, work.source.y)), TargetDataset(Images(work.target, none))
        both = CombinedSourceAndTargetDataset(source, target)
        batches = iter(DataloaderCreator(batch_size=BATCH, num_workers=0)(train=both)["train"])
        draw: Callable[[int], dict[str, Tensor]] = lambda step: next(batches)  # noqa: E731
    else:
        source_x, source_y, target_x = (samples.to(device) for samples in (work.source.x, work.source.y, work.target))
        samples, of_target = (order(SAMPLES, steps, BATCH, seed).to(device) for seed in (1, 2))

        def draw(step: int) -> dict[str, Tensor]:
            at = samples[step]
            return {
                "src_imgs": inputs(source_x[at]),
                "src_labels": source_y[at],
                "src_domain": torch.zeros(BATCH, dtype=torch.int64, device=device),
                "target_imgs": inputs(target_x[of_target[step]]),
                "target_domain": torch.ones(BATCH, dtype=torch.int64, device=device),
            }

    def train() -> list[float]:
        log = []
        model.train()
        for step in range(steps):
            _, losses = hook({**models, **draw(step)})
            log.append(losses["total_loss"]["total"])  # its summary has read the loss already
        return [float(loss) for loss in log]

    return train


def skada(work: Work, steps: int, device: torch.device = CPU) -> Ready:
    """DANN by skada's net on skorch, one epoch of so many steps with its own loader."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from skada.deep import DANN

    model = work.model(channels_last=False)
    count = steps * BATCH
    at, of_target = order(SAMPLES, steps, BATCH, 1).flatten(), order(SAMPLES, steps, BATCH, 2).flatten()
    x = torch.cat([inputs(work.source.x[at]), inputs(work.target[of_target])]).numpy()
    y = torch.cat([work.source.y[at], torch.full((count,), -1)]).numpy()
    domain = torch.cat([torch.ones(count, dtype=torch.int64), torch.full((count,), -2)]).numpy()
    net = DANN(
        BackboneOf(model),
        layer_name="backbone",
        domain_classifier=Reversed(model.discriminator, steps),
        train_split=None,
        max_epochs=1,
        batch_size=BATCH,
        optimizer=torch.optim.Adam,
        lr=1e-3,
        verbose=0,
        device=str(device),
    )

    def train() -> list[float]:
        net.fit(x, y, sample_domain=domain)
        return [float(batch["train_loss"]) for batch in net.history[0]["batches"]]

    return train


class BackboneOf(nn.Module):
    """Backbone and head as one module whose layer `backbone` skada looks into."""

    def __init__(self, model: Model) -> None:
        super().__init__()
        self.backbone, self.head = model.backbone, model.head

    def forward(self, x: Tensor, sample_weight: Tensor | None = None) -> Tensor:
        logits: Tensor = self.head(self.backbone(x))
        return logits
