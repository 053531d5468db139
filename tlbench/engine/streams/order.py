"""The order in which scored samples come at test time. Labels are used to sort them, and no method sees more than the order."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from tlbench.engine.data.inputs import chunk_sizes
from tlbench.engine.runtime.seeds import generator
from tlbench.suite import Stream

WINDOWS = 20
"""The number of windows of a stream whose accuracies are recorded, where it has so many samples."""


@dataclass(frozen=True)
class StreamPlan:
    """The order of a stream, its batches, and where it is reset."""

    order: Tensor
    """Indices (N,) of the scored samples in the order in which they come."""
    sizes: tuple[int, ...]
    """The number of samples of each batch."""
    resets: frozenset[int] = frozenset()
    """The indices of the batches before which a method is reset."""


def plan_stream(stream: Stream, batch_size: int, y: Tensor, domain: Tensor | None, seed: int) -> StreamPlan:
    """Draw the order of a stream.

    Args:
        stream: what the suite declares.
        batch_size: that of the training, where the suite declares none for the stream.
        y: the labels (N,) of the scored samples, or values (N, K) of a regression.
        domain: the place (N,) of each sample's domain in a sequence of domains; None: there is one domain.
        seed: of the draws.
    """
    y, domains = y.cpu(), torch.zeros(len(y), dtype=torch.int64) if domain is None else domain.cpu()
    size, draws = stream.batch or batch_size, generator(seed)
    segments = [torch.arange(len(y))]
    if stream.domains == "gradual":
        segments = [(domains == value).nonzero().squeeze(1) for value in domains.unique().tolist()]
    order, sizes, resets = list[Tensor](), list[int](), set[int]()
    for number, indices in enumerate(segments):
        if number and stream.reset == "each_domain":
            resets.add(len(sizes))
        order.append(indices[_order_within(stream, y[indices], draws)])
        sizes += chunk_sizes(len(indices), size)
    if stream.reset == "each_batch":
        resets |= {*range(1, len(sizes))}
    return StreamPlan(torch.cat(order), tuple(sizes), frozenset(resets))


def _order_within(stream: Stream, y: Tensor, draws: torch.Generator) -> Tensor:
    """The order (N,) of the samples of one domain, by labels (N,)."""
    if stream.order == "stored":
        return torch.arange(len(y))
    shuffled = torch.randperm(len(y), generator=draws)
    if stream.order == "shuffled":
        return shuffled
    classes = y.unique()
    classes = classes[torch.randperm(len(classes), generator=draws)]
    of_class = [shuffled[y[shuffled] == value] for value in classes]
    if not stream.concentration:
        return torch.cat(of_class)
    return _correlated_order(of_class, stream.concentration, draws)


def _correlated_order(of_class: Sequence[Tensor], concentration: float, draws: torch.Generator) -> Tensor:
    """Time is cut into as many slots as there are classes, and each class is spread over them by shares of a Dirichlet draw.

    Within a slot, one class comes after the other. This is the protocol of RoTTA.
    """
    slots = len(of_class)
    random = np.random.default_rng(int(torch.randint(2**31, (), generator=draws)))
    shares = random.dirichlet([concentration] * slots, size=slots)
    pieces: list[list[Tensor]] = [[] for _ in range(slots)]
    for indices, of_slots in zip(of_class, shares, strict=True):
        ends = (np.cumsum(of_slots)[:-1] * len(indices)).astype(int).tolist()
        for slot, piece in enumerate(torch.tensor_split(indices, ends)):
            pieces[slot].append(piece)
    return torch.cat([pieces[slot][number] for slot in range(slots) for number in random.permutation(slots)])


def online_accuracy(correct: Tensor, plan: StreamPlan) -> list[float]:
    """The accuracies of successive windows of a stream, whose sizes differ by one sample at most.

    Args:
        correct: whether the prediction (N,) of each scored sample is correct, in the order of the scored samples.
        plan: the order of the stream.
    """
    in_order = correct.cpu()[plan.order].double()
    return [float(window.mean()) for window in torch.tensor_split(in_order, min(WINDOWS, len(in_order)))]
