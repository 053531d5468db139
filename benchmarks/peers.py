"""The same training by peers: DANN and MCC of pytorch-adapt, and deep DANN of skada, written as in their documentation.

Both are in the extra `peers`, which only the benchmarks need: where one is missing, `missing_reason` says so, and its benchmark
is skipped. The network, its initial weights, the batch size and the images are ours. Losses are not compared, because each peer
has its own loss weights and random draws.

pytorch-adapt 0.0.83 (2023) needs torchmetrics 0.9, which imports `pkg_resources`; setuptools no longer has that module. It
imports two names, whose equivalents are in importlib.metadata: `_pkg_resources` provides them during the import. Nothing else
is patched.
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


def missing_reason(package: str) -> str | None:
    """Why a peer can't run in this environment, or None where it can."""
    if importlib.util.find_spec(package) is None:
        return f"{package} is not installed. Install it with: pip install 'tlbench[peers]'"
    return None


class Images(Dataset[tuple[Tensor, int]]):
    """Network inputs in memory as float32: nothing is decoded or normalised in the timed part."""

    def __init__(self, x: Tensor, y: Tensor) -> None:
        self.x, self.y = inputs(x), y.tolist()

    def __len__(self) -> int:
        return len(self.y)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        return self.x[index], self.y[index]


def inputs(x: Tensor) -> Tensor:
    """uint8 images -> float32 network inputs in [-1, 1]."""
    return x.float().mul_(2 / 255).sub_(1)


class FlatDiscriminator(nn.Module):
    """A discriminator (B, D) -> (B,), the shape that pytorch-adapt and skada need."""

    def __init__(self, discriminator: nn.Module) -> None:
        super().__init__()
        self.discriminator = discriminator

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.discriminator(x)
        return logits.squeeze(1)


class ReversingDiscriminator(FlatDiscriminator):
    """A discriminator for skada, which takes probabilities and leaves the gradient reversal to it; calls count the progress."""

    def __init__(self, discriminator: nn.Module, steps: int) -> None:
        super().__init__(discriminator)
        self.steps, self.calls = steps, 0

    def forward(self, x: Tensor) -> Tensor:
        self.calls += 1
        return super().forward(reverse(x, ramp(self.calls / self.steps))).sigmoid()


@contextlib.contextmanager
def _pkg_resources() -> Iterator[None]:
    """Stand in for `pkg_resources` during an import, where setuptools has none."""
    absent = importlib.util.find_spec("pkg_resources") is None
    if absent:
        module: Any = types.ModuleType("pkg_resources")
        module.DistributionNotFound = importlib.metadata.PackageNotFoundError
        module.get_distribution = importlib.metadata.distribution
        sys.modules["pkg_resources"] = module
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        if absent:
            sys.modules.pop("pkg_resources", None)


def pytorch_adapt(work: Work, steps: int, *, loader: bool, device: torch.device = CPU) -> Ready:
    """DANN or MCC by the hooks of pytorch-adapt.

    Args:
        work: network, samples and method.
        steps: training steps.
        loader: use its own datasets and loader, on the CPU; otherwise batches are drawn by index, as the engine draws them.
        device: without a loader, where the network, all samples and their indices are stored.
    """
    with _pkg_resources():
        from pytorch_adapt.datasets import CombinedSourceAndTargetDataset, DataloaderCreator, SourceDataset, TargetDataset
        from pytorch_adapt.hooks import ClassifierHook, DANNHook, MCCHook
    model = work.model(channels_last=False).to(device)
    models: dict[str, nn.Module] = {"G": model.backbone, "C": model.head}
    if work.method == "dann":
        models["D"] = FlatDiscriminator(model.discriminator)
    optimizers = [torch.optim.Adam(module.parameters(), lr=1e-3) for module in models.values()]
    hook = DANNHook(optimizers) if work.method == "dann" else ClassifierHook(optimizers, post=[MCCHook()])

    if loader:
        no_labels = torch.zeros(SAMPLES, dtype=torch.int64)
        source, target = SourceDataset(Images(work.source.x, work.source.y)), TargetDataset(Images(work.target, no_labels))
        both = CombinedSourceAndTargetDataset(source, target)
        batches = iter(DataloaderCreator(batch_size=BATCH, num_workers=0)(train=both)["train"])
        draw: Callable[[int], dict[str, Tensor]] = lambda step: next(batches)  # noqa: E731
    else:
        source_x, source_y, target_x = (tensor.to(device) for tensor in (work.source.x, work.source.y, work.target))
        source_indices, target_indices = (order(SAMPLES, steps, BATCH, seed).to(device) for seed in (1, 2))

        def draw(step: int) -> dict[str, Tensor]:
            indices = source_indices[step]
            return {
                "src_imgs": inputs(source_x[indices]),
                "src_labels": source_y[indices],
                "src_domain": torch.zeros(BATCH, dtype=torch.int64, device=device),
                "target_imgs": inputs(target_x[target_indices[step]]),
                "target_domain": torch.ones(BATCH, dtype=torch.int64, device=device),
            }

    def train() -> list[float]:
        log = []
        model.train()
        for step in range(steps):
            _, losses = hook({**models, **draw(step)})
            log.append(losses["total_loss"]["total"])  # the hook has already read the loss for its own log
        return [float(loss) for loss in log]

    return train


def skada(work: Work, steps: int, device: torch.device = CPU) -> Ready:
    """DANN by skada on skorch: one epoch of `steps` steps with its own loader."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from skada.deep import DANN

    model = work.model(channels_last=False)
    count = steps * BATCH
    source_indices, target_indices = (order(SAMPLES, steps, BATCH, seed).flatten() for seed in (1, 2))
    x = torch.cat([inputs(work.source.x[source_indices]), inputs(work.target[target_indices])]).numpy()
    y = torch.cat([work.source.y[source_indices], torch.full((count,), -1)]).numpy()
    domain = torch.cat([torch.ones(count, dtype=torch.int64), torch.full((count,), -2)]).numpy()
    net = DANN(
        BackboneAndHead(model),
        layer_name="backbone",
        domain_classifier=ReversingDiscriminator(model.discriminator, steps),
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


class BackboneAndHead(nn.Module):
    """Backbone and head as one module, from whose layer `backbone` skada takes the features."""

    def __init__(self, model: Model) -> None:
        super().__init__()
        self.backbone, self.head = model.backbone, model.head

    def forward(self, x: Tensor, sample_weight: Tensor | None = None) -> Tensor:
        logits: Tensor = self.head(self.backbone(x))
        return logits
