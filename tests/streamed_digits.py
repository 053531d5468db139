"""scikit-learn's digits as a source and a corrupted stream, and small networks that are trained on the source."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from sklearn.datasets import load_digits
from torch import Tensor

from tlbench import methods
from tlbench.engine.data.inputs import Inputs
from tlbench.engine.data.storage import Subset
from tlbench.engine.streams.predictor import StreamPredictor
from tlbench.methods.base import DeepMethod
from tlbench.nn import backbones
from tlbench.nn.net import Net
from tlbench.suite import Network
from tlbench.terms import Labelled, Step

STREAM_METHODS = ["tent", "bn_alpha", "eata", "sar", "rpl", "cotta", "rotta", "lame", "t3a", "note", "memo"]
INPUTS = Inputs(Network(mean=0.0, std=1.0), channels_last=False)
IMAGE, VECTOR = (1, 8, 8), (64,)


def digits(shape: tuple[int, ...] = IMAGE) -> tuple[Labelled, Labelled]:
    """The first half of the digits, and the second half with little contrast and noise; x (N, *shape) float32."""
    bunch = load_digits()
    x, y = torch.tensor(bunch.data, dtype=torch.float32).view(-1, *shape) / 8 - 1, torch.tensor(bunch.target)
    half = len(x) // 2
    noise = torch.randn(x[half:].shape, generator=torch.Generator().manual_seed(0))
    return Labelled(x[:half], y[:half]), Labelled(0.3 * x[half:] + 0.3 + 0.1 * noise, y[half:])


def trained(name: str, shape: tuple[int, ...] = IMAGE, steps: int = 100, **options) -> DeepMethod:
    """A method on a small network with batch normalisation, after a training on the source; EATA is without its penalty."""
    torch.manual_seed(0)
    options |= {"fisher_weight": 0.0} if name == "eata" else {}
    net_options = {"channels": 8, "width": 32} if len(shape) > 1 else {"hidden": [32, 16]}
    backbone = backbones.build_backbone("convnet" if len(shape) > 1 else "mlp", shape, {**net_options, "batch_norm": True})
    method = methods.method_class(name)(Net(backbone, 10), **methods.method_options(name, options)).train()
    source, _ = digits(shape)
    if name == "memo":
        method.mean, method.deviation = source.x.mean(dim=0), source.x.std(dim=0)
    optimizer = torch.optim.Adam(method.parameters(), lr=3e-3)
    for _ in range(steps):
        batch = source[torch.randint(len(source), (64,))]
        optimizer.zero_grad()
        method.loss(Step(source=batch)).backward()
        optimizer.step()
    return method.eval()


def stream_scores(method: DeepMethod, x: Tensor, sizes: list[int], resets: tuple[int, ...] = ()) -> Tensor:
    """Class scores (N, C) of a stream (N, ...) in batches of some sizes."""
    torch.manual_seed(1)
    return StreamPredictor(method, INPUTS).predict(Subset.of(x), sizes, resets)


def batch_statistics_scores(method: DeepMethod, x: Tensor) -> Tensor:
    """Class scores (B, C) of one batch at its own statistics, by functions of torch alone, for the convnet."""
    state = method.net.state_dict()
    for stage in (0, 1):
        name = f"backbone.stages.{stage}"
        x = F.conv2d(x, state[f"{name}.0.weight"], state[f"{name}.0.bias"], padding=1)
        x = F.batch_norm(x, None, None, state[f"{name}.1.weight"], state[f"{name}.1.bias"], training=True)
        x = F.max_pool2d(x, 2).relu()
    x = F.linear(x.flatten(1), state["backbone.stages.2.1.weight"], state["backbone.stages.2.1.bias"]).relu()
    return F.linear(x, state["head.weight"], state["head.bias"])
