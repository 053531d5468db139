"""Methods of several sources, for the tests of their losses."""

from __future__ import annotations

import copy

import torch
from wave_samples import CLASSES, HEAD_CD, Identity, new_method, wave

SIZE = 6
SAMPLES = (wave(SIZE, 8, 41) + 0.3, wave(SIZE, 8, 42) * 1.2, wave(SIZE, 8, 43) - 0.4)
"""Samples (SIZE, 8) of three sources."""
CLASSES_OF_SAMPLES = (torch.arange(SIZE) % 4, (torch.arange(SIZE) + 1) % 4, torch.arange(SIZE) * 3 % 4)


def for_sources(name, count, **options):
    """A method for some sources whose features are its inputs."""
    template = new_method(name, **options)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        method = type(template)(copy.deepcopy(template.net), count, **template.Options(**options).model_dump())
    method.net.backbone = Identity()
    method.net.head.weight.data, method.net.head.bias.data = HEAD_CD.clone(), torch.zeros(CLASSES)
    return method
