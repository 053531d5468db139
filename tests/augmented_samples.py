"""Images and declared augmentations for their tests."""

from __future__ import annotations

import torch

from tlbench.nn.augmentation import Pipeline
from tlbench.suite import Training


def images(shape=(3, 17, 24), count=6, seed=0) -> torch.Tensor:
    """Byte images (count, *shape), the last of them of one value."""
    x = torch.randint(256, (count, *shape), dtype=torch.uint8, generator=torch.Generator().manual_seed(seed))
    x[-1] = 77
    return x


def floats(shape=(3, 17, 24), count=6, seed=0) -> torch.Tensor:
    return images(shape, count, seed).float() / 255


def pipeline(*kinds, shape=(3, 17, 24)) -> Pipeline:
    return Pipeline(Training.model_validate({"augment": list(kinds)}).augment, shape)


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)
