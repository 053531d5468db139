"""Source-free methods: their losses beside their authors' code, their contract, and what they gain on a shift.

The golden numbers come from that code, run on its own; a comment names the repository and the commit.
"""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F
from shifted_toys import accuracy, moved
from toy_training import fit_deep
from wave_samples import (
    CLASSES,
    HEAD_CD,
    LABELS,
    SOURCE_BC,
    TARGET_BC,
    TARGET_BD,
    Fixed,
    Identity,
    is_close,
    new_method,
    wave,
)

from tlbench import checks, methods
from tlbench.checks.source_free import adapts_without_the_source
from tlbench.engine.training.shares import begin_steps
from tlbench.errors import DivergedError, NotApplicableError
from tlbench.methods.base import Phase
from tlbench.methods.source_free import cowa
from tlbench.nn.heads import WeightNormLinear, with_bottleneck
from tlbench.terms import Labelled, Step, Task

SOURCE_FREE = ["shot_im", "shot", "nrc", "aad", "cowa"]
STEP = Step(target=TARGET_BD, indices={"target": torch.arange(3, 15)}, progress=0.25)


def on_fixed_logits(name, logits, **options):
    """A method whose features are its inputs and whose logits are given, with the memory of twenty samples."""
    method = new_method(name, **options)
    method.net.backbone, method.net.head = Identity(), Fixed(logits)
    if hasattr(method, "banks"):
        method.banks.features_ND = F.normalize(wave(20, 8, 8))
        method.banks.softmax_NC = (2 * wave(20, CLASSES, 9)).softmax(dim=1)
    return method


def loss_and_gradient(name, **options):
    """The loss of a step, and its gradient by the logits of the first sample."""
    logits = TARGET_BC.clone().requires_grad_()
    method = on_fixed_logits(name, logits, **options)
    method.label_N = torch.cat([LABELS[:3], LABELS.roll(1)])
    loss = method.loss(STEP)
    return loss.detach(), torch.autograd.grad(loss, logits)[0][0]


def test_bottleneck_and_classifier():
    # tim-learn/SHOT at f7d555a: feat_bottleneck of type bn and feat_classifier of type wn, in training mode
    backbone, head = with_bottleneck(Identity(), 6), WeightNormLinear(6, CLASSES)
    backbone.stages[1][0].weight.data = wave(6, 8, 10)
    head.weight.data, head.norm.data, head.bias.data = wave(CLASSES, 6, 12), wave(CLASSES, 1, 13) + 2, wave(1, CLASSES, 14)[0]
    assert is_close(head(backbone(TARGET_BD))[0], [1.4319597, -1.7740396, -5.0932651, 1.1391737])
    new = WeightNormLinear(6, CLASSES)
    assert torch.allclose(new(TARGET_BD[:, :6]), F.linear(TARGET_BD[:, :6], new.weight), atol=1e-6)


def test_smoothed_labels_on_the_source():
    # tim-learn/SHOT at f7d555a: CrossEntropyLabelSmooth(4, 0.1)
    method = on_fixed_logits("shot", SOURCE_BC)
    assert is_close(method.learn(Step(Labelled(TARGET_BD, LABELS))), 1.5638229)


def test_loss_of_shot():
    # tim-learn/SHOT at f7d555a: train_target of object/image_target.py, which adds 1e-5 in logarithms
    loss, gradient = loss_and_gradient("shot_im")
    assert float(loss) == pytest.approx(-0.4636475, abs=1e-5)
    assert gradient.tolist() == pytest.approx([0.0078741, 0.0066645, 0.0091139, -0.0236525], abs=1e-6)
    loss, gradient = loss_and_gradient("shot")
    assert float(loss) == pytest.approx(-0.0172553, abs=1e-5)
    assert gradient.tolist() == pytest.approx([0.0087533, 0.0072716, 0.010061, -0.0260859], abs=1e-6)


def test_pseudo_labels_of_shot():
    # tim-learn/SHOT at f7d555a: obtain_label of object/image_target.py; in the second case no sample is predicted as class 3
    method, features = new_method("shot"), 1.5 * wave(30, 8, 31)
    labels = [2, 1, 1, 1, 3, 3, 2, 0, 3, 3, 0, 0, 1, 1, 3, 0, 1, 0, 2, 0, 2, 1, 1, 2, 2, 1, 1, 3, 1, 2]
    assert method.nearest_centroids(features, (features @ HEAD_CD.T).softmax(dim=1)).tolist() == labels
    labels = [2, 1, 1, 1, 2, 1, 2, 0, 2, 2, 0, 0, 1, 1, 0, 0, 1, 0, 2, 0, 2, 1, 1, 2, 2, 1, 0, 2, 1, 2]
    logits = features @ HEAD_CD.T - torch.tensor([0.0, 0.0, 0.0, 3.6])
    assert method.nearest_centroids(features, logits.softmax(dim=1)).tolist() == labels


@pytest.mark.parametrize(
    ("counts", "value", "first"),
    [
        ((5, 5), -2.8938885, [-0.0036501, -0.0037644, 0.0006912, 0.0067233]),
        ((3, 2), -1.9302716, [-0.0012257, -0.0034513, 0.0012617, 0.0034153]),
    ],
)
def test_loss_of_nrc(counts, value, first):
    # Albert0147/NRC_SFDA at e5e3bfa: train_target of office-home/train_tar.py, less the constants that its kl_div adds, the
    # negative entropies of the neighbours' predictions; of 60 and 36 neighbours 45 and 18 are reciprocal
    loss, gradient = loss_and_gradient("nrc", neighbors=counts[0], expanded=counts[1])
    mean = TARGET_BC.softmax(dim=1).mean(dim=0)
    in_logarithm = (mean * (1 + 1e-5 / mean).log()).sum()  # its 1e-5
    assert is_close(loss + in_logarithm, value) and gradient.tolist() == pytest.approx(first, abs=1e-6)


def test_loss_of_aad():
    # Albert0147/AaD_SFDA at cb5567c: train_target of tar_adaptation.py with beta 0.75, less the constants that its kl_div adds
    loss, gradient = loss_and_gradient("aad", decay=0.75)
    assert float(loss) == pytest.approx(-0.1682868, abs=1e-5)
    assert gradient.tolist() == pytest.approx([-0.00328, -0.0023886, 0.0014492, 0.0042194], abs=1e-6)


def test_scores_of_cowa():
    # Jhyun17/CoWA-JMDS at 2c0e9cd: evaluation of image_target_CoWA.py, in float32
    features = torch.cat([wave(15, 8, 31) + 2 * HEAD_CD[i] for i in range(CLASSES)])
    label, score = new_method("cowa").scores(features, (features @ HEAD_CD.T).softmax(dim=1))
    labels = [i for i in range(CLASSES) for _ in range(15)]
    labels[19] = 2  # not what the classifier predicts
    assert label.tolist() == labels
    first = [0.5022997, 0.9796479, 0.5887937, 0.7952609, 0.1255422, 0.3434198, 0.3163988, 0.4507355, 0.1298482, 0.4391586]
    assert score[:10].tolist() == pytest.approx(first, abs=1e-4)
    assert score[[19, 40, 59]].tolist() == pytest.approx([0.0014653, 0.4988199, 0.1931911], abs=1e-4)


def test_loss_of_cowa(monkeypatch):
    # Jhyun17/CoWA-JMDS at 2c0e9cd: mixup and KLLoss of image_target_CoWA.py with these shares and the reversed batch; 1e-6 in a
    # logarithm
    method = new_method("cowa")
    method.net.backbone, method.net.head = Identity(), torch.nn.Linear(8, CLASSES, bias=False)
    method.net.head.weight.data = HEAD_CD
    index = torch.arange(3, 15)
    method.label_N, method.score_N = torch.cat([LABELS[:3], LABELS.roll(1)]), torch.zeros(15)
    method.score_N[index] = (wave(1, 12, 30)[0] + 1) / 2
    monkeypatch.setattr(method, "draw_shares", lambda like: torch.linspace(0.1, 0.9, 12))
    monkeypatch.setattr(torch, "rand", lambda n, device: torch.arange(n, 0, -1.0))
    assert float(method.loss(STEP).detach()) == pytest.approx(0.4944624, abs=1e-5)
    monkeypatch.undo()
    with torch.random.fork_rng():
        torch.manual_seed(0)
        shares = method.draw_shares(torch.ones(4000))
    variance = 1 / (4 * (2 * method.alpha + 1))  # of Beta(alpha, alpha)
    assert float(shares.mean()) == pytest.approx(0.5, abs=0.03) and float(shares.var()) == pytest.approx(variance, abs=0.01)
    with pytest.raises(NotApplicableError, match="token ids"):
        method.loss(Step(target=TARGET_BD.int(), indices={"target": index}))


def test_mixing_keeps_shapes():
    x, order, share = wave(4, 6, 1).view(4, 2, 3), torch.tensor([1, 0, 3, 2]), torch.tensor([1.0, 0.0, 0.5, 0.25])
    values = cowa.mixed(x, order, share)
    assert torch.equal(values[0], x[0]) and torch.equal(values[1], x[0])
    assert torch.allclose(values[3], 0.25 * x[3] + 0.75 * x[2])


@pytest.mark.parametrize("name", ["nrc", "aad"])
def test_banks_hold_the_last_prediction_of_each_sample(name):
    method = on_fixed_logits(name, TARGET_BC)
    before = method.banks.features_ND.clone(), method.banks.softmax_NC.clone()
    method.loss(STEP)
    assert torch.allclose(method.banks.features_ND[3:15], F.normalize(TARGET_BD))
    assert torch.allclose(method.banks.softmax_NC[3:15], TARGET_BC.softmax(dim=1))
    assert torch.equal(method.banks.features_ND[15:], before[0][15:])
    assert torch.equal(method.banks.softmax_NC[:3], before[1][:3])
    nearest = method.banks.nearest(method.banks.features_ND, torch.arange(20), 30)
    assert nearest.shape == (20, 19)
    assert not (nearest == torch.arange(20)[:, None]).any()


@pytest.mark.parametrize("name", ["shot_im", "shot"])
def test_the_classifier_is_that_of_the_source(name):
    """Of the two trainings the second adapts for so few steps that it ends with the first phase."""
    whole = fit_deep(name, steps=40, source_share=0.5)
    source = fit_deep(name, steps=21, source_share=20 / 21)
    for value, expected in zip(whole.net.head.parameters(), source.net.head.parameters(), strict=True):
        assert torch.equal(value, expected)
    before, after = (method.net.backbone.stages[0].state_dict() for method in (source, whole))
    assert not all(torch.equal(before[key], after[key]) for key in before)


@pytest.mark.parametrize("name", SOURCE_FREE)
def test_it_gains_on_a_shift(name):
    """Of the source-trained network a fifth of the predictions is wrong on the target, of adapted ones next to none."""
    source = checks.toy_samples(1, 300)
    assert accuracy("source_only", source, 1.0) < 0.85
    assert accuracy(name, source, 1.0) > 0.95


def poisoned_after_the_first_phase(name, monkeypatch, poison=True):
    """The outputs of a method whose source samples become NaN, and their labels no class, after its first phase."""
    source, target = moved(1, 0.0), moved(2, 0.7)
    kind = methods.method_class(name)
    phases = kind.phases

    def destroy(passes):
        if poison:
            source.x.fill_(math.nan)
            source.y.fill_(-(10**6))

    def with_poison(self):
        first, *later = phases(self)
        return (first, Phase(None, frozenset(), begin=destroy), *later)

    with monkeypatch.context() as patch:
        patch.setattr(kind, "phases", with_poison)
        method = fit_deep(name, Task(3, source, target.x), 40)
    assert bool(source.x.isnan().all()) == poison
    with torch.no_grad():
        return method.eval().predict(moved(4, 0.7).x)


@pytest.mark.parametrize("name", SOURCE_FREE)
def test_no_source_sample_is_read_after_the_first_phase(name, monkeypatch):
    expected = poisoned_after_the_first_phase(name, monkeypatch, poison=False)
    assert torch.equal(poisoned_after_the_first_phase(name, monkeypatch), expected)


def test_a_method_that_reads_the_source_again_meets_the_poison(monkeypatch):
    source_only = methods.method_class("source_only")
    plain = source_only.phases

    def twice(self):
        (phase,) = plain(self)
        return tuple(Phase(phase.loss, phase.reads, 0.5) for _ in range(2))

    monkeypatch.setattr(source_only, "phases", twice)
    with pytest.raises((DivergedError, IndexError, RuntimeError)):
        poisoned_after_the_first_phase("source_only", monkeypatch)


@pytest.mark.parametrize("name", SOURCE_FREE)
def test_the_contract(name):
    assert methods.method_class(name).source_free
    adapts_without_the_source(name)
    assert checks.host_syncs(name) == []


def test_begin_is_called_at_the_start_of_each_epoch():
    phase = Phase(None, frozenset(), begin=lambda passes: None, rounds=None)
    assert begin_steps(phase, 10, 32, [100]) == [0, 3, 6, 9]
    assert begin_steps(phase, 10, 32, [50, 1000]) == [0]
    assert begin_steps(phase, 3, 32, [10]) == [0, 1, 2]
    assert begin_steps(Phase(None, frozenset(), begin=lambda passes: None, rounds=4), 10, 32, [100]) == [0, 2, 5, 8]
    assert begin_steps(Phase(None, frozenset()), 10, 32, [100]) == []
