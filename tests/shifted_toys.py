"""Toy domains on which adaptation helps: classes that a rotation and a shift move, from one or several sources."""

from __future__ import annotations

import torch
from toy_training import fit_deep

from tlbench import checks
from tlbench.terms import Labelled, Task


def moved(seed: int, angle: float, shift: float = 0.5, count: int = 300) -> Labelled:
    """Samples (N, 6) of three classes, rotated by an angle in radians in the plane of two class centres, and then shifted."""
    samples, rotation, turn = checks.toy_samples(seed, count), torch.eye(6), torch.tensor(angle)
    rotation[:2, :2] = torch.stack([turn.cos(), -turn.sin(), turn.sin(), turn.cos()]).view(2, 2)
    return Labelled(samples.x @ rotation.T + shift, samples.y, samples.domain)


def accuracy(name: str, source: Labelled, angle: float, shift: float = 0.5, steps: int = 300, **options) -> float:
    """The accuracy of a method on a moved target, of which it has other samples without labels."""
    method = fit_deep(name, Task(3, source, moved(2, angle, shift).x), steps, **options)
    test = moved(4, angle, shift)
    with torch.no_grad():
        return float((method.eval().predict(test.x).argmax(dim=1) == test.y).float().mean())
