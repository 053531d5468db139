"""Losses and layers of fine-tuning methods against the published code of their authors or of a library, on the same tensors.

The numbers come from one run of the named file at the named commit. TLLib is thuml/Transfer-Learning-Library at c4aa59e.
"""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from fine_tuning_samples import build, fill, labeled_step, wave
from torch import nn

from tlbench.methods.few_shot.prototypical import episode_loss
from tlbench.methods.fine_tuning.bss import smallest_squares
from tlbench.methods.fine_tuning.delta import behavior_distance
from tlbench.methods.fine_tuning.gradual_unfreezing import slanted_rate
from tlbench.nn.cosine_head import CosineHead
from tlbench.nn.inserted_layers import BottleneckLayer, LowRankLayer, ScaleShiftLayer
from tlbench.nn.net import Backbone, Net
from tlbench.nn.prototypes import class_means
from tlbench.nn.stochastic_norm import StochasticNorm


def values(tensor: torch.Tensor) -> list[float]:
    return tensor.detach().flatten().tolist()


def numbers(text: str) -> list[float]:
    return [float(number) for number in text.split()]


def close(expected: list[float]) -> object:
    return pytest.approx(expected, abs=1e-5, rel=1e-5)


def test_l2_sp_has_the_penalties_of_tllib():
    """TLLib: tllib/regularization/delta.py, SPRegularization and L2Regularization."""
    sp, l2 = 31.7384739, 3.9710765
    net = Net(Backbone([nn.Linear(6, 5), nn.Linear(5, 4)], 4), 3)
    method = build("l2_sp", net, alpha=0.01, beta=0.03)
    fill(net.backbone, 0.31)
    method.store_start(None)
    fill(net.backbone, 0.83)
    fill(net.head, 0.57)
    step = labeled_step()
    task = F.cross_entropy(net(step.target_labeled.x), step.target_labeled.y)
    assert float((method.loss(step) - task).detach()) == pytest.approx(0.01 * sp + 0.03 * l2, rel=1e-5)


def test_delta_has_the_behavioral_distance_of_tllib():
    """TLLib: tllib/regularization/delta.py, AttentionBehavioralRegularization with equal and with other attention weights."""
    outputs = [wave(2, 3, 4, 4, step=0.21), wave(2, 5, 2, 3, step=0.33)]
    start = [wave(2, 3, 4, 4, step=0.47), wave(2, 5, 2, 3, step=0.11)]
    assert float(behavior_distance(outputs, start)) == pytest.approx(7.8146071, rel=1e-5)
    weights = [wave(3).softmax(dim=0), wave(5, step=0.9).softmax(dim=0)]
    assert float(behavior_distance(outputs, start, weights)) == pytest.approx(9.0433006, rel=1e-5)


def test_bss_has_the_smallest_singular_values_of_tllib():
    """TLLib: tllib/regularization/bss.py, BatchSpectralShrinkage, with more samples than features and the reverse."""
    tall, wide = (wave(*shape) + wave(*shape, step=1.7) * wave(*shape, step=0.9) for shape in ((6, 4), (3, 5)))
    assert float(smallest_squares(tall, 1, torch.tensor(6))) == pytest.approx(0.593127, rel=1e-5)
    assert float(smallest_squares(wide, 2, torch.tensor(3))) == pytest.approx(2.6098852, rel=1e-5)


def test_co_tuning_has_the_relationship_and_the_loss_of_tllib():
    """TLLib: tllib/regularization/co_tuning.py, Relationship.get_category_relationship and CoTuningLoss."""
    y = torch.tensor([0, 2, 1, 2, 0, 1])
    relationship_CC, _ = class_means(wave(6, 3).softmax(dim=1), y, 3)
    assert values(relationship_CC) == close(
        numbers("0.2658857 0.3264112 0.4077032 0.3384178 0.3208695 0.3407127 0.3868883 0.3315821 0.2815296")
    )
    loss = F.cross_entropy(wave(6, 3, step=0.9), relationship_CC[y])
    assert float(loss) == pytest.approx(1.1784213, rel=1e-5)


STOCHASTIC = {
    (4, 3): (
        numbers(
            "0.0428744 0.4161007 1.7938507 1.190804 0.5332624 1.5338577 0.3368472 0.2145526 -1.0464755 "
            "-1.5705256 -0.1860451 -3.0812325"
        ),
        [0.2137926, -0.0646127, 0.283546],
        [0.8507038, 1.4098196, 0.6175365],
    ),
    (2, 3, 2, 2): (
        numbers(
            "0.4672899 0.8734546 1.1610694 1.2912071 0.5332624 0.4660201 0.3547641 0.2145526 -0.9515789 "
            "-1.853346 -2.5663285 -2.9940279 -1.2952789 -1.1620106 -0.8718014 -0.4639301 0.1436067 0.2910434 "
            "0.4181488 0.5077195 2.1647873 2.0671163 1.6276137 0.9057639"
        ),
        [0.1801888, -0.0348091, 0.2798197],
        [0.8777266, 1.3619078, 0.6059602],
    ),
}


@pytest.mark.parametrize("shape", STOCHASTIC, ids=len)
def test_stochastic_norm_is_that_of_tllib(monkeypatch, shape):
    """TLLib: tllib/normalization/stochnorm.py, where channels 0 and 2 take the statistics of the batch."""
    plain = nn.BatchNorm1d(3) if len(shape) == 2 else nn.BatchNorm2d(3)
    with torch.no_grad():
        plain.weight.copy_(torch.tensor([1.0, 0.5, 2.0]))
        plain.bias.copy_(torch.tensor([0.0, 0.1, -0.2]))
        plain.running_mean.copy_(torch.tensor([0.2, -0.1, 0.3]))
        plain.running_var.copy_(torch.tensor([0.9, 1.5, 0.6]))
    norm = StochasticNorm(plain)
    norm.batch_probability = 0.5
    monkeypatch.setattr(torch, "rand", lambda *shape, **options: torch.tensor([0.1, 0.9, 0.2]))
    outputs, mean, var = STOCHASTIC[shape]
    assert values(norm(wave(*shape))) == close(outputs)
    assert values(norm.running_mean) == close(mean) and values(norm.running_var) == close(var)


def test_wise_ft_merges_as_its_authors_do():
    """mlfoundations/wise-ft at 58b7a4b: src/wise_ft.py, _merge at alpha = 0.3."""
    net = Net(Backbone([nn.Linear(1, 2, bias=False)], 2), 2)
    method = build("wise_ft", net, alpha=0.3)
    tensors = wave(4), wave(4, step=0.9)
    weights = [net.backbone.stages[0].weight, net.head.bias]
    with torch.no_grad():
        for weight, chunk in zip(weights, tensors[0].split(2), strict=True):
            weight.copy_(chunk.view_as(weight))
        method.store_source(None)
        for weight, chunk in zip(weights, tensors[1].split(2), strict=True):
            weight.copy_(chunk.view_as(weight))
    method.interpolate(None)
    assert [*values(weights[0]), *values(weights[1])] == close([0.4881289, 0.7641559, 0.7552031, 0.5643604])


LOW_RANK = {
    "linear": (
        lambda: nn.Linear(5, 4),
        (2, 5),
        numbers("5.996089 6.1532745 -0.7910397 -3.1211357 -2.4517527 0.5646214 2.8811183 2.3752809"),
    ),
    "conv1d": (
        lambda: nn.Conv1d(2, 3, 3, padding=1),
        (1, 2, 4),
        numbers(
            "4.0207324 7.2883358 6.9144487 2.8511047 1.5060592 6.240911 8.3822613 5.2030997 -1.6373552 "
            "-1.2461805 0.2503476 0.9892621"
        ),
    ),
    "conv2d": (
        lambda: nn.Conv2d(2, 3, 3, stride=2, padding=1),
        (1, 2, 4, 4),
        numbers(
            "3.4615304 -0.1456815 -3.9600039 3.2764764 4.7855144 -2.9805169 -2.8436975 8.3624802 2.3481536 "
            "-2.0631094 1.55812 5.9100962"
        ),
    ),
}


@pytest.mark.parametrize("kind", LOW_RANK)
def test_low_rank_updates_are_those_of_peft(kind):
    """huggingface/peft at 5d602fd: src/peft/tuners/lora/layer.py, Linear, Conv1d and Conv2d with r = 2 and lora_alpha = 4."""
    layer, shape, expected = LOW_RANK[kind]
    low_rank = LowRankLayer(fill(layer(), 0.31), rank=2, alpha=4.0)
    with torch.no_grad():
        for factor, step in ((low_rank.adapter.down, 0.8), (low_rank.adapter.up, 0.5)):
            factor.copy_(wave(*factor.shape, step=step))
    assert values(low_rank(wave(*shape, step=0.4))) == close(expected)


def test_bottlenecks_are_those_of_the_adapters_library():
    """adapter-hub/adapters at 88f18eb: src/adapters/methods/modeling.py, Adapter with non_linearity = "gelu"."""
    layer = nn.Linear(4, 4, bias=False)
    nn.init.eye_(layer.weight)
    adapted = BottleneckLayer(layer, 2)
    fill(adapted.adapter, 0.41)
    expected = numbers("4.3929272 4.7803011 0.2539428 -3.6650846 -0.3569123 0.3182345 0.9660499 1.058162")
    assert values(adapted(wave(2, 4, step=0.9))) == close(expected)


def test_scales_and_shifts_are_those_of_the_authors():
    """dongzelian/SSF at e94e0e7: models/vision_transformer.py, ssf_ada on tokens and on images."""
    dense, convolution = nn.Linear(3, 3, bias=False), nn.Conv2d(3, 3, 1, bias=False)
    nn.init.eye_(dense.weight)
    nn.init.dirac_(convolution.weight)
    expected = {
        (2, 2, 3): numbers(
            "0.2808077 0.8114319 2.0913973 0.5979404 1.2419128 1.893131 0.3620221 0.0708943 -0.0745892 "
            "-0.1649181 -1.4010004 -1.6262619"
        ),
        (1, 3, 2, 2): numbers(
            "0.2808077 0.437144 0.5478494 0.5979404 1.2419128 0.9948482 0.5860663 0.0708943 -0.0745892 "
            "-0.7596723 -1.3013337 -1.6262619"
        ),
    }
    for (shape, outputs), layer in zip(expected.items(), (dense, convolution), strict=True):
        adapted = ScaleShiftLayer(layer)
        with torch.no_grad():
            adapted.adapter.scale.copy_(torch.tensor([0.5, 1.5, 2.0]))
            adapted.adapter.shift.copy_(torch.tensor([0.1, -0.2, 0.3]))
        assert values(adapted(wave(*shape))) == close(outputs)


def test_the_cosine_head_is_that_of_the_authors():
    """wyharveychen/CloserLookFewShot at e03aca8: backbone.py, distLinear."""
    head = CosineHead(4, 3, scale=2.0)
    with torch.no_grad():
        head.weight.copy_(wave(3, 4, step=0.6))
        head.norm.copy_(torch.tensor([[0.7], [1.1], [0.4]]))
    expected = numbers(
        "1.3402716 -2.0538359 0.2634785 1.220688 -0.979946 -0.3258463 -1.285777 2.1310368 -0.3548625 "
        "-1.2933517 1.2162902 0.2321538 1.1852183 -2.1824107 0.4656279"
    )
    assert values(head(wave(5, 4))) == close(expected)


def test_episodes_have_the_loss_of_the_authors():
    """jakesnell/prototypical-networks at c9bb4d2: protonets/models/few_shot.py, 3 ways, 2 shots and 3 queries per class."""
    features_BD, y_B = wave(3, 5, 4).view(15, 4), torch.arange(3).repeat_interleave(5)
    is_support_B = (torch.arange(15) % 5) < 2
    assert float(episode_loss(features_BD, y_B, is_support_B, 3)) == pytest.approx(3.6385143, rel=1e-5)
    assert float(episode_loss(features_BD, y_B, is_support_B, 7)) == pytest.approx(3.6385143, rel=1e-5)  # absent classes


def test_the_slanted_triangular_schedule_is_that_of_allennlp():
    """allenai/allennlp at 80fb606: allennlp/training/learning_rate_schedulers/slanted_triangular.py, 40 steps."""
    rates = [slanted_rate(step / 40, start=0.0, highest=1.0, cut=0.1, ratio=32.0) for step in (0, 1, 4, 10, 20, 39)]
    assert rates == close([0.03125, 0.2734375, 1.0, 0.8385417, 0.5694444, 0.0581597])


def test_the_layerwise_rates_are_those_of_mae():
    """facebookresearch/mae at efb2a80: util/lr_decay.py, the layer scales of an embedding, 4 blocks and a head."""
    net = Net(Backbone([nn.Linear(6, 6) for _ in range(5)], 6), 3)
    groups = build("layerwise_decay", net).phases()[1].groups
    assert [group.modules[0] for group in groups] == [*net.backbone.stages, net.head]
    assert [group.scale for group in groups] == close([0.2373046875, 0.31640625, 0.421875, 0.5625, 0.75, 1.0])
