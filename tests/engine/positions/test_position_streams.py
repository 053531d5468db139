"""Methods that adapt on a stream of samples with a label for each position: padding is in nothing that they compute."""

from __future__ import annotations

import dataclasses

import pytest
import torch

from tlbench import methods
from tlbench.engine.data.inputs import Inputs
from tlbench.engine.data.positions import with_counted
from tlbench.engine.data.storage import Subset
from tlbench.engine.streams.predictor import StreamPredictor
from tlbench.errors import NotApplicableError
from tlbench.methods.test_time.lame import LARGEST_BATCH
from tlbench.nn.net import Backbone
from tlbench.nn.positions.net import PositionBackbone, PositionNet, counted_positions
from tlbench.suite import Network
from tlbench.terms import IGNORED, Labelled

SIZES = (4, 5)
WORDS = 5
METHODS = ("t3a", "lame", "tent", "bn_alpha", "eata", "sar", "rpl")

OPTIONS = {"eata": {"fisher_weight": 0.0}}


class _Words(torch.nn.Module):
    """Numbers (B, P, 3) of each word -> features (B, P, 4)."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = torch.nn.Linear(3, 4)

    def forward(self, x_BPD):
        return self.linear(x_BPD).tanh()


def samples_of(length, seed=0):
    """Nine samples of 1 to `WORDS` words, and padding of other numbers behind them."""
    generator = torch.Generator().manual_seed(seed)
    x, words = torch.randn(9, WORDS, 3, generator=generator), torch.arange(9) % WORDS + 1
    padded = torch.full((9, length, 3), 7.0)
    padded[:, :WORDS] = x
    y = torch.where(torch.arange(length) < words[:, None], 1, IGNORED)
    padded[y == IGNORED] = 7.0
    return with_counted(Subset.of(Labelled(padded, y)))


def outputs(name, length, *, counted=True):
    torch.manual_seed(0)
    backbone = Backbone([_Words()], 4)
    backbone.positions = length
    net = PositionNet(PositionBackbone(backbone, (length, 3), 2), 3)
    net.head = torch.nn.Sequential(torch.nn.BatchNorm1d(4), torch.nn.Linear(4, 3)) if name not in ("t3a", "lame") else net.head
    method = methods.method_class(name)(net, 1, **methods.method_options(name, OPTIONS.get(name, {})))
    samples = samples_of(length)
    given = samples if counted else dataclasses.replace(samples, counted=None)
    scores = StreamPredictor(method, Inputs(Network(), channels_last=False)).predict(given, SIZES)
    assert scores.shape == (9 * length, 3)
    return scores[samples.counted.flatten()]


@pytest.mark.parametrize("name", METHODS)
def test_more_padding_changes_nothing(name):
    short, long = outputs(name, WORDS + 1), outputs(name, WORDS + 9)
    assert torch.allclose(short, long, atol=1e-5)
    assert not torch.allclose(long, outputs(name, WORDS + 9, counted=False), atol=1e-2), "with padding it would"


def test_a_method_of_all_pairs_says_that_there_are_too_many_pixels():
    backbone = Backbone([torch.nn.Identity()], 3)
    backbone.positions = LARGEST_BATCH // 2
    net = PositionNet(PositionBackbone(backbone, (LARGEST_BATCH // 2, 3), 2), 2)
    samples = Subset.of(torch.randn(3, LARGEST_BATCH // 2, 3))
    predictor = StreamPredictor(methods.method_class("lame")(net, 1, affinity="linear"), Inputs(Network(), channels_last=False))
    with pytest.raises(NotApplicableError, match="compares all pairs of a batch, and 6,144 samples"):
        predictor.predict(samples, (3,))


def test_views_of_a_batch_and_batches_of_other_sizes():
    backbone = Backbone([_Words()], 4)
    backbone.positions = 3
    net = PositionNet(PositionBackbone(backbone, (3, 3), 2), 2)
    x, counted = torch.randn(2, 3, 3), torch.tensor([[True, True, False], [True, False, False]])
    everything = net.backbone(x)
    with counted_positions(net, counted):
        assert torch.equal(net.backbone(x), everything[counted.flatten()])
        assert torch.equal(net.backbone.stage_outputs(x)[-1], everything[counted.flatten()])
        first, second = net.features(x, x)
        assert torch.equal(first, second) and len(first) == 3
        assert len(net.features(torch.cat([x, x]))[0]) == 6
        assert len(net(x[:1])) == 3, "another number of samples: all of their positions"
    assert torch.equal(net.backbone(x), everything)
