"""The augmentation `rotation`: each image by an angle of its own, within the declared range."""

from __future__ import annotations

import pytest
import torch
from torchvision.transforms.v2 import functional

from tlbench.nn.augmentation import Pipeline
from tlbench.suite import Training


def pipeline(degrees: float) -> Pipeline:
    return Pipeline(Training.model_validate({"augment": [{"kind": "rotation", "degrees": degrees}]}).augment, (1, 28, 28))


def test_views_are_those_of_torchvision_by_the_drawn_angles():
    x = torch.randint(256, (5, 1, 28, 28), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    rotated = pipeline(30.0)
    angles = rotated.draw((5,), torch.Generator().manual_seed(1))
    views = rotated.views(x, angles)
    assert views.dtype == torch.float32
    for image, angle, view in zip(x.float() / 255, angles[:, 0].tolist(), views, strict=True):
        assert torch.equal(view, functional.rotate(image, angle))


def test_angles_fill_the_declared_range():
    angles = pipeline(10.0).draw((4000,), torch.Generator().manual_seed(2))
    assert -10 <= float(angles.min()) < -9.9 and 9.9 < float(angles.max()) <= 10
    assert float(angles.mean()) == pytest.approx(0, abs=0.5)
