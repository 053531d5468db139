"""A reference loop in plain torch beside the records of `shapes_sim2real`: the same images and the same U-Net.

The loop imports nothing of tlbench but what renders and splits the images. Its network is built of `torch.nn.functional` calls,
starts from random numbers of its own, and learns from pixels drawn at random: levels agree, and numbers do not.

    tlbench run shapes_sim2real --results OUT --pair rendered:noisy --method source_only --method target_only
    python -m benchmarks.reference_pixels --results OUT
"""

from __future__ import annotations

import argparse
import math
import statistics
from functools import partial
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tlbench import records, runner, session
from tlbench.engine.data.splits import make_case_data
from tlbench.engine.data.storage import Subset
from tlbench.engine.runtime.seeds import seed_of

SOURCE, TARGET = "rendered", "noisy"
METHODS = ("source_only", "target_only")
STEPS, BATCH, PIXELS, RATE, WIDTH = 200, 8, 256, 3e-3, 8


class SmallUNet(nn.Module):
    """Images (B, 3, H, W) -> logits (B, C, H, W): three halvings, twice the channels at each, and skip connections."""

    def __init__(self, classes: int) -> None:
        super().__init__()
        a, b, c, d = WIDTH, 2 * WIDTH, 4 * WIDTH, 8 * WIDTH
        self.first, self.second, self.third, self.fourth = twice(3, a), twice(a, b), twice(b, c), twice(c, d)
        self.to_third, self.to_second, self.to_first = twice(d + c, c), twice(c + b, b), twice(b + a, a)
        self.head = nn.Conv2d(a, classes, 1)

    def forward(self, x_BCHW: Tensor) -> Tensor:
        first = self.first(x_BCHW)
        second = self.second(F.max_pool2d(first, 2))
        third = self.third(F.max_pool2d(second, 2))
        fourth = self.fourth(F.max_pool2d(third, 2))
        third = self.to_third(torch.cat([F.interpolate(fourth, scale_factor=2.0), third], dim=1))
        second = self.to_second(torch.cat([F.interpolate(third, scale_factor=2.0), second], dim=1))
        logits: Tensor = self.head(self.to_first(torch.cat([F.interpolate(second, scale_factor=2.0), first], dim=1)))
        return logits


def twice(before: int, after: int) -> nn.Sequential:
    """Two convolutions of 3x3, each with batch normalisation and ReLU."""
    layers: list[nn.Module] = []
    for width in (before, after):
        layers += [nn.Conv2d(width, after, 3, padding=1, bias=False), nn.BatchNorm2d(after), nn.ReLU()]
    return nn.Sequential(*layers)


def train(x_NCHW: Tensor, y_NP: Tensor, classes: int, seed: int) -> SmallUNet:
    """Cross-entropy over random pixels of random images, by Adam with a rate that falls as a cosine."""
    torch.manual_seed(seed)
    network = SmallUNet(classes).train()
    optimizer = torch.optim.Adam(network.parameters(), lr=RATE)
    order: list[int] = []
    for step in range(STEPS):
        while len(order) < BATCH:
            order += torch.randperm(len(x_NCHW)).tolist()
        batch, order = order[:BATCH], order[BATCH:]
        pixels_BK = torch.randint(y_NP.shape[1], (BATCH, PIXELS))
        logits_BCP = network(x_NCHW[batch]).flatten(2)
        drawn_BCK = logits_BCP.gather(2, pixels_BK[:, None].expand(-1, classes, -1))
        loss = F.cross_entropy(drawn_BCK, y_NP[batch].gather(1, pixels_BK))
        for group in optimizer.param_groups:
            group["lr"] = RATE * (1 + math.cos(math.pi * step / STEPS)) / 2
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return network.eval()


def tensors(subset: Subset | None) -> tuple[Tensor, Tensor]:
    """The images (N, 3, H, W), scaled to [-1, 1], and the classes (N, H * W) of a split."""
    assert subset is not None and subset.y is not None
    x = subset.x
    return x.float() / (127.5 if x.dtype == torch.uint8 else 0.5) - 1, subset.y


def mean_iou(predicted: Tensor, y: Tensor, classes: int) -> float:
    """The mean over the classes that occur of intersection over union, in per cent."""
    shares = []
    for label in range(classes):
        union = int(((predicted == label) | (y == label)).sum())
        if union:
            shares.append(int(((predicted == label) & (y == label)).sum()) / union)
    return 100 * statistics.fmean(shares)


def main() -> None:
    """Print the accuracy and the mean IoU of both, in per cent over the pixels of the scored images, for each seed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--results", type=Path, required=True)
    parser.add_argument("--method", choices=METHODS, action="append", help="one of the two; without it both")
    parser.add_argument("--seed", type=int, action="append", help="of the suite; without it all of them")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    suite = session.load_suite("shapes_sim2real")
    domains = runner.load_domains(suite, [SOURCE, TARGET], Path())
    fingerprints = {name: domains[name].fingerprint for name in (SOURCE, TARGET)}
    for method in arguments.method or METHODS:
        stored = {
            record.seed: record.scores
            for record in records.read(arguments.results / suite.name / f"{method}.jsonl")
            if record.pair == f"{SOURCE}:{TARGET}" and record.status == "done"
        }
        levels: dict[str, dict[int, tuple[float, float]]] = {"reference loop": {}, "tlbench": {}}
        for case in suite.cases([method], [f"{SOURCE}:{TARGET}"], arguments.seed or []):
            seed = partial(seed_of, case, fingerprints=fingerprints)
            data = make_case_data([domains[SOURCE]], domains[TARGET], suite.protocol, seed, torch.device("cpu"))
            x, y = tensors(data.granted.source if method == "source_only" else data.granted.target_labeled)
            network = train(x, y, len(data.classes), case.seed)
            scored_x, scored_y = tensors(data.scored)
            with torch.no_grad():
                predicted = network(scored_x).argmax(dim=1).flatten(1)
            accuracy = 100 * float((predicted == scored_y).double().mean())
            levels["reference loop"][case.seed] = accuracy, mean_iou(predicted, scored_y, len(data.classes))
            scores = stored[case.seed]
            levels["tlbench"][case.seed] = 100 * (scores.target_accuracy or 0.0), 100 * (scores.mean_iou or 0.0)
        for name, by_seed in levels.items():
            for number, metric in enumerate(("accuracy", "mean IoU")):
                values = [by_seed[seed][number] for seed in sorted(by_seed)]
                listed = ", ".join(f"{value:.2f}" for value in values)
                print(f"{method:12} {name:15} {metric:9} {statistics.fmean(values):.2f}   ({listed})", flush=True)


if __name__ == "__main__":
    main()
