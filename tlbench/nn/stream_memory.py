"""Memories of test samples that stay balanced over the predicted classes, whatever order the stream has."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass
class StoredSample:
    """A sample in a memory."""

    x: Tensor
    """The network input (...)."""
    uncertainty: float = 0.0
    """The entropy of its prediction in nats."""
    age: int = 0
    """The number of samples that came after it."""


class BalancedMemory:
    """What the two memories share: samples by predicted class, up to a capacity.

    Args:
        capacity: the number of samples.
        classes: C.
    """

    def __init__(self, capacity: int, classes: int) -> None:
        self.capacity, self.classes = capacity, classes
        self.by_class: list[list[StoredSample]] = [[] for _ in range(classes)]

    def __len__(self) -> int:
        return sum(map(len, self.by_class))

    def largest_classes(self) -> list[int]:
        """The classes with the most samples."""
        largest = max(map(len, self.by_class))
        return [label for label, samples in enumerate(self.by_class) if len(samples) == largest]

    def samples(self) -> list[StoredSample]:
        """All samples, class by class."""
        return [sample for samples in self.by_class for sample in samples]


class TimelyMemory(BalancedMemory):
    """The memory of RoTTA: a new sample replaces the oldest and most uncertain one of its class, or of the largest classes.

    Args:
        capacity: the number of samples.
        classes: C.
        weights: of age and of uncertainty.
    """

    def __init__(self, capacity: int, classes: int, weights: tuple[float, float] = (1.0, 1.0)) -> None:
        super().__init__(capacity, classes)
        self.weights = weights

    def add(self, x: Tensor, label: int, uncertainty: float) -> None:
        """Add a sample of a predicted class, unless all that it could replace are better; all samples get older."""
        new = StoredSample(x, uncertainty)
        if len(self.by_class[label]) >= self.capacity / self.classes:
            is_added = self._evict([label], self.score(new))
        else:
            is_added = len(self) < self.capacity or self._evict(self.largest_classes(), self.score(new))
        if is_added:
            self.by_class[label].append(new)
        for sample in self.samples():
            sample.age += 1

    def score(self, sample: StoredSample) -> float:
        """What makes a sample dispensable: its age and its uncertainty."""
        timely, certain = self.weights
        of_age = 1 / (1 + math.exp(-sample.age / self.capacity))
        return timely * of_age + certain * sample.uncertainty / math.log(self.classes)

    def _evict(self, labels: list[int], score: float) -> bool:
        """Remove the sample with the largest score of some classes, the last of several, if it exceeds that of the new one."""
        scores = [(self.score(s), label, i) for label in labels for i, s in enumerate(self.by_class[label])]
        if not scores:
            return True
        largest, label, index = max(scores, key=lambda entry: entry[0])
        ties = [entry for entry in scores if entry[0] == largest]
        _, label, index = ties[-1]
        if largest <= score:
            return False
        self.by_class[label].pop(index)
        return True


class ReservoirMemory(BalancedMemory):
    """The memory of NOTE: a new sample replaces a random one of the largest class; those of a class remain equally likely."""

    def __init__(self, capacity: int, classes: int) -> None:
        super().__init__(capacity, classes)
        self.seen = [0] * classes
        """The number of samples of each predicted class so far."""

    def add(self, x: Tensor, label: int) -> None:
        """Add a sample of a predicted class, or leave it out by chance; random numbers come from torch's global generator."""
        self.seen[label] += 1
        if len(self) >= self.capacity:
            largest = self.largest_classes()
            source = label if label in largest else largest[_random_below(len(largest))]
            if source == label and float(torch.rand(())) > len(self.by_class[label]) / self.seen[label]:
                return
            self.by_class[source].pop(_random_below(len(self.by_class[source])))
        self.by_class[label].append(StoredSample(x))


def _random_below(limit: int) -> int:
    return int(torch.randint(limit, ()))
