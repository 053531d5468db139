"""The network of DomainBed for MNIST beside the original."""

from __future__ import annotations

import pytest
from wave_samples import is_close, wave

from tlbench.errors import TlbenchError
from tlbench.nn import backbones


def test_features_are_those_of_the_original():
    # facebookresearch/DomainBed at b93c22a, networks.MNIST_CNN with the same parameters
    backbone = backbones.build_backbone("domain_bed_cnn", (2, 14, 14), {})
    for number, parameter in enumerate(backbone.parameters()):
        parameter.data = wave(1, parameter.numel(), number + 1).view_as(parameter) * 0.2
    features = backbone(wave(2, 2 * 14 * 14, 90).view(2, 2, 14, 14))
    first = [0.1772603, -0.1475353, -0.0898217, 0.125404, -0.0499621, 0.1334849, -0.1783201, 0.0291901]
    assert features.shape == (2, 128) and is_close(features[1, :8], first) and is_close(features.sum(), -2.9297652)


def test_samples_that_are_no_images_are_refused():
    with pytest.raises(TlbenchError, match="domain_bed_cnn takes images of at least 4 pixels a side"):
        backbones.build_backbone("domain_bed_cnn", (9, 128), {})
