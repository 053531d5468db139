"""Methods of test-time adaptation, held to the code of their authors on the same tensors.

The golden numbers come from that code, run on its own; a comment names the repository and the commit.
"""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn
from wave_samples import CLASSES, HEAD_CD, SOURCE_BC, SOURCE_BD, TARGET_BC, TARGET_BD, is_close, new_method, wave

from tlbench.engine.data.inputs import Inputs
from tlbench.engine.data.storage import Subset
from tlbench.engine.streams.predictor import StreamPredictor
from tlbench.methods.base import Group
from tlbench.nn.fisher_penalty import FisherPenalty
from tlbench.nn.net import Backbone, Net
from tlbench.nn.stream_memory import TimelyMemory
from tlbench.nn.stream_norms import InstanceAwareNorm, MixedStatistics, MovingStatistics
from tlbench.suite import Network

IMAGES = wave(24, 4, 5).view(6, 4, 2, 2) * 1.5 + 0.3
LARGER_IMAGES = wave(216, 1, 5).view(6, 4, 3, 3) * 2 + 0.3


def source_norm() -> nn.BatchNorm2d:
    """A layer of batch normalisation with statistics, scale and shift of its own."""
    norm = nn.BatchNorm2d(4)
    with torch.no_grad():
        norm.running_mean.copy_(wave(1, 4, 8)[0])
        norm.running_var.copy_(1 + 0.5 * wave(1, 4, 9)[0])
        norm.weight.copy_(1 + 0.3 * wave(1, 4, 10)[0])
        norm.bias.copy_(wave(1, 4, 11)[0])
    return norm


class ScaledLogits(Net):
    """A network whose inputs are logits, and which scales each class."""

    def __init__(self) -> None:
        super().__init__(Backbone([nn.Identity()], CLASSES), CLASSES)
        self.head, self.scale = nn.Identity(), nn.Parameter(torch.ones(CLASSES))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Logits (B, C) -> logits (B, C)."""
        return x * self.scale


def scales(name: str, **options) -> tuple[list[torch.Tensor], object]:
    """The scales after each of three batches of logits, on which a method that adapts scales learns, and the method."""
    method = new_method(name, batch_norm=True, lr=0.1, entropy_margin=0.9, **options)
    method.net = ScaledLogits()
    method.groups = lambda: (Group((method.net,)),)
    if name == "eata":
        method.penalty = FisherPenalty([method.net.scale], 1)
        method.penalty.anchor = [torch.tensor([0.9, 1.1, 1.0, 1.2])]
        method.penalty.information = [torch.tensor([0.5, 0.1, 0.2, 0.3])]
    predictor, after = StreamPredictor(method, Inputs(Network(), channels_last=False)), []
    for x in (SOURCE_BC, TARGET_BC, SOURCE_BC):
        predictor.predict(Subset.of(x), [len(x)])
        after.append(method.net.scale.detach().clone())
    return after, method


def test_mixed_statistics():
    # bethgelab/robustness at 0ef82b1: BayesianBatchNorm with the prior 16 / (16 + 6)
    norm = MixedStatistics(source_norm().eval(), prior=16)
    norm.streaming = True
    outputs = norm(IMAGES)
    assert is_close(outputs[0, :, 0, 0], [-2.4744768, -2.3740458, -0.2584006, 3.825748])
    assert is_close(outputs[5, :, 1, 1], [-1.1420867, -1.386162, 0.746138, 3.8488243])


def test_instance_aware_norm():
    # TaesikGong/NOTE at a714a2a: InstanceAwareBatchNorm2d with k = 0.5
    norm = InstanceAwareNorm(source_norm(), deviations=0.5)
    outputs = norm.eval()(LARGER_IMAGES)
    assert is_close(outputs[0, :, 0, 0], [-1.8840864, -1.1669043, -0.6240952, -0.3087742])
    assert is_close(outputs[5, :, 2, 1], [-1.0891814, -1.2029372, -0.1358967, -0.0054512])
    outputs = norm.train()(LARGER_IMAGES)
    assert is_close(outputs[0, :, 0, 0], [-1.9277403, -1.2017714, -0.6960768, -0.7140319])
    assert is_close(outputs[5, :, 2, 1], [-0.8269147, -0.977401, -0.2077953, -0.0340376])
    assert is_close(norm.norm.running_mean, [0.9135307, 0.8284967, -0.0406979, -0.8330437])
    assert is_close(norm.norm.running_var, [1.2961218, 1.1491864, 0.711138, 0.9514324])


def test_moving_statistics():
    # BIT-DA/RoTTA at 67e34c9: RobustBN2d with the momentum 0.05
    norm = MovingStatistics(source_norm(), momentum=0.05)
    norm.streaming = True
    first = [-2.596163, -2.4561822, -0.306139, 4.3623519]
    assert is_close(norm.train()(IMAGES)[0, :, 0, 0], first)
    assert is_close(norm.norm.running_mean, [0.9470279, 0.8565351, -0.0631362, -0.8705189])
    assert is_close(norm.norm.running_var, [1.1952479, 1.0366437, 0.5842417, 0.8965567])
    assert is_close(norm.eval()(IMAGES)[0, :, 0, 0], first)


def test_memory_of_rotta():
    # BIT-DA/RoTTA at 67e34c9: CSTU(capacity=8, num_class=4) after forty samples, two of five of class 0, and their weights
    labels = [0 if k % 5 < 2 else (k * k + k // 3) % 4 for k in range(40)]
    memory = TimelyMemory(8, 4)
    for k, uncertainty in enumerate((wave(40, 1, 3)[:, 0].abs() * math.log(4)).tolist()):
        memory.add(torch.tensor(float(k)), labels[k], uncertainty)
    assert [int(sample.x) for sample in memory.samples()] == [30, 38, 13, 37, 29, 39, 22, 34]
    ages = [sample.age for sample in memory.samples()]
    assert ages == [10, 2, 27, 3, 11, 1, 18, 6]
    weights = [0.2227001, 0.4378235, 0.033086, 0.4073334, 0.2018132, 0.4687907, 0.0953495, 0.3208213]
    assert is_close(torch.sigmoid(-torch.tensor(ages) / 8), weights)


@pytest.mark.parametrize(
    ("affinity", "first", "last"),
    [
        ("knn", [0.0065694, 0.0043178, 0.8286701, 0.1604427], [0.0002904, 0.0004251, 0.9990939, 0.0001905]),
        ("rbf", [0.0008692, 0.0006291, 0.9746895, 0.0238121], [1.35e-05, 1.78e-05, 0.9999591, 9.6e-06]),
        ("linear", [0.0248585, 0.0056055, 0.01659, 0.9529459], [0.0028868, 0.0061379, 0.9893455, 0.00163]),
    ],
)
def test_assignments_of_lame(affinity, first, last):
    # fiveai/LAME at d2e5f63: laplacian_optimization with the three affinities
    method = new_method("lame", affinity=affinity)
    unary = -(TARGET_BC.softmax(dim=1) + 1e-10).log()
    assignment = method.solve(unary, method.affinities(nn.functional.normalize(TARGET_BD, dim=1)))
    assert is_close(assignment[0], first) and is_close(assignment[11], last)


def test_scores_of_t3a():
    # matsuolab/T3A at ff8cde5: T3A with filter_K = 2, on two batches
    method = new_method("t3a", supports=2)
    method.net.backbone = Backbone([nn.Identity()], 8)
    with torch.no_grad():
        method.net.head.weight.copy_(HEAD_CD)
        method.net.head.bias.copy_(wave(1, 4, 12)[0])
    method.begin()
    scores = [method.adjust(x, None) for x in (SOURCE_BD, TARGET_BD)]
    assert is_close(scores[0][0], [2.6301768, -1.8558034, 0.7029889, 0.8386884])
    assert is_close(scores[1][0], [3.1587727, -1.5559384, -0.1253291, 0.9177494])
    assert is_close(scores[1][11], [-1.0065515, 0.1387861, 0.360211, -0.0881839])


def test_three_updates_of_eata():
    # mr-eggplant/EATA at f739b36: forward_and_adapt_eata with fisher_alpha = 0.5 and SGD of the rate 0.1
    after, method = scales("eata", cosine_margin=0.9, fisher_weight=0.5)
    assert is_close(after[0], [1.0013314, 1.0116872, 1.0079929, 1.0207874])
    assert is_close(after[1], [1.0114006, 1.0449333, 1.0403407, 1.0694959])
    assert is_close(after[2], [1.0204586, 1.0866057, 1.0765473, 1.1326746])
    assert is_close(method.mean_prediction, [0.2167099, 0.2964089, 0.2486335, 0.2382476])


def test_three_updates_of_sar():
    # mr-eggplant/SAR at 20f6e24: forward_and_adapt_sar with rho = 0.5 and SGD of the rate 0.1
    after, method = scales("sar", rho=0.5)
    assert is_close(after[0], [1.009804, 1.0085703, 1.0093769, 1.0092363])
    assert is_close(after[1], [1.0349766, 1.0339328, 1.0389227, 1.0401225])
    assert is_close(after[2], [1.0672344, 1.065295, 1.0748477, 1.0772088])
    assert method.mean_entropy == pytest.approx(1.1532756, abs=1e-5)


def test_losses():
    # zhangmarvin/memo at 228b290: marginal_entropy; bethgelab/robustness at 0ef82b1: gce of the largest class
    assert is_close(new_method("memo").marginal_entropy(TARGET_BC), 1.3807565)
    method = new_method("rpl", batch_norm=True)
    method.net = ScaledLogits()
    assert is_close(method.self_training(TARGET_BC)[1], 0.4514261)


class Recorded:
    """An optimizer of the stream that keeps the losses."""

    def __init__(self) -> None:
        self.losses: list[torch.Tensor] = []

    def __call__(self, loss, before_step=None) -> None:
        self.losses.append(loss.detach())


def test_losses_against_a_teacher_and_a_memory():
    # qinenergy/cotta at c212a20: softmax_entropy; TaesikGong/NOTE at a714a2a: HLoss
    method, update = new_method("cotta", batch_norm=True, lr=0.0, confidence=0.0), Recorded()
    method.net, method.anchor, method.teacher = ScaledLogits(), ScaledLogits(), lambda x: TARGET_BC
    method.adapt(SOURCE_BC, update)
    assert is_close(update.losses[0], 1.3601612)
    method = new_method("note", batch_norm=True, capacity=12)
    method.net = ScaledLogits()
    method.begin()
    method.adapt(TARGET_BC, update)
    assert is_close(update.losses[1], 0.2292763)
