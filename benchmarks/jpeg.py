"""Two references for the engine on a large network: a plain compiled supervised loop, and a DANN script on JPEG files.

Both use the network of tlbench and nothing else of it. `supervised` is the loop of an expert who wants speed: images on the
device as uint8, drawn by index, with autocast, channels_last, fused Adam, a compiled network, and one read of the loss at the
end. `script` is DANN as script-style libraries write it: JPEG files decoded by PIL in the workers of one DataLoader for each
domain, two forwards, Adam with its defaults, and three reads of device values in each step.
"""

from __future__ import annotations

import io
import statistics
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset, RandomSampler
from torchvision import transforms

from benchmarks.reference_loop import ramp, reverse
from tlbench.bench.throughput import Settings
from tlbench.nn import backbones

FILES = 512
"""Distinct JPEG files of a domain; samples beyond them repeat the files."""


def synchronize(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def supervised(settings: Settings, precision: str, device: torch.device) -> dict[str, Any]:
    """Images per second of a plain compiled loop with as many images through the backbone in a step as DANN has."""
    batch, warm = 2 * settings.batch, settings.steps // 3
    generator = torch.Generator().manual_seed(0)
    x = torch.randint(0, 256, (settings.samples, *settings.shape), dtype=torch.uint8, generator=generator).to(device)
    y = (torch.arange(settings.samples) % settings.classes).to(device)
    backbone = backbones.build_backbone(settings.backbone, settings.shape, {})
    net = nn.Sequential(backbone, nn.Linear(backbone.width, settings.classes))
    net.to(device).to(memory_format=torch.channels_last).train()
    compiled: Callable[[Tensor], Tensor] = torch.compile(net)
    optimizer = torch.optim.Adam(net.parameters(), lr=1e-3, fused=True)
    indices = torch.randint(0, settings.samples, (settings.steps, batch), generator=generator).to(device)
    start, warm_end = time.perf_counter(), 0.0
    for step in range(settings.steps):
        batch_indices = indices[step]
        images = x[batch_indices].to(torch.float32, memory_format=torch.channels_last).mul_(2 / 255).sub_(1)
        with torch.autocast(device.type, torch.bfloat16, enabled=precision == "bf16"):
            logits = compiled(images)
        loss = F.cross_entropy(logits.float(), y[batch_indices])
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        if step + 1 == warm:
            synchronize(device)
            warm_end = time.perf_counter()
    synchronize(device)
    seconds = time.perf_counter() - warm_end
    return {
        "samples_per_second": (settings.steps - warm) * batch / seconds,
        "warm_up_seconds": warm_end - start,
        "loss": float(loss.detach()),
    }


class Files(Dataset[tuple[Tensor, int]]):
    """JPEG files in memory, which are decoded and normalised on access."""

    def __init__(self, settings: Settings, seed: int) -> None:
        channels, height, width = settings.shape
        assert channels == 3
        rng = np.random.default_rng(seed)
        self.files = []
        for _ in range(min(FILES, settings.samples)):
            coarse = rng.integers(0, 256, (8, 8, 3), dtype=np.uint8)
            buffer = io.BytesIO()
            Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC).save(buffer, "JPEG", quality=90)
            self.files.append(buffer.getvalue())
        self.samples, self.classes = settings.samples, settings.classes
        self.transform = transforms.Compose([transforms.ToTensor(), transforms.Normalize((0.5,) * 3, (0.5,) * 3)])

    def __len__(self) -> int:
        return self.samples

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        image = Image.open(io.BytesIO(self.files[index % len(self.files)])).convert("RGB")
        return self.transform(image), index % self.classes


def script(settings: Settings, precision: str, device: torch.device, workers: int, short: bool) -> dict[str, Any]:
    """Images per second of DANN by PIL and DataLoaders.

    Args:
        settings: network, shape and number of samples, batch size.
        precision: "bf16" for autocast, else fp32.
        device: where the network trains.
        workers: processes that decode, of both domains together.
        short: six steps instead of 60.
    """
    steps, warm = (6, 2) if short else (60, 15)
    loaders: list[Iterator[Any]] = []
    for seed in range(2):
        files = Files(settings, seed)
        sampler = RandomSampler(files, replacement=True, num_samples=(steps + 1) * settings.batch)
        loader = DataLoader(
            files,
            settings.batch,
            sampler=sampler,
            num_workers=max(1, workers // 2),
            pin_memory=device.type == "cuda",
            drop_last=True,
        )
        loaders.append(iter(loader))
    net = backbones.build_backbone(settings.backbone, settings.shape, {}).to(device).train()
    head = nn.Linear(net.width, settings.classes).to(device)
    hidden = [nn.Linear(net.width, 256), nn.ReLU(), nn.Linear(256, 256), nn.ReLU(), nn.Linear(256, 1)]
    discriminator = nn.Sequential(*hidden).to(device)
    parameters = [*net.parameters(), *head.parameters(), *discriminator.parameters()]
    optimizer = torch.optim.Adam(parameters, lr=1e-3)
    step_seconds, log = [], []
    for step in range(steps):
        start = time.perf_counter()
        (source_x, source_y), (target_x, _) = (next(loader) for loader in loaders)
        source_x, source_y, target_x = source_x.to(device), source_y.to(device), target_x.to(device)
        with torch.autocast(device.type, torch.bfloat16, enabled=precision == "bf16"):
            source, target = net(source_x), net(target_x)
            logits = head(source)
            k = ramp(step / steps)
            of_source, of_target = (discriminator(reverse(features, k)).squeeze(1) for features in (source, target))
        task = F.cross_entropy(logits.float(), source_y)
        domain = 0.5 * (
            F.binary_cross_entropy_with_logits(of_source.float(), torch.ones_like(of_source, dtype=torch.float32))
            + F.binary_cross_entropy_with_logits(of_target.float(), torch.zeros_like(of_target, dtype=torch.float32))
        )
        loss = task + domain
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        accuracy = (logits.argmax(1) == source_y).float().mean()
        log.append((loss.item(), domain.item(), accuracy.item()))  # each synchronises, so the seconds are those of the device
        step_seconds.append(time.perf_counter() - start)
    return {
        "samples_per_second": 2 * settings.batch * (steps - warm) / sum(step_seconds[warm:]),
        "step_seconds_median": statistics.median(step_seconds[warm:]),
        "loss": log[-1][0],
    }
