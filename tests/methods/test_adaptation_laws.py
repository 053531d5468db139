"""Laws of deep adaptation methods where no number of other code stands beside them: limits, signs, and who learns what."""

from __future__ import annotations

import copy
import math

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from toy_training import fit_deep
from wave_samples import CLASSES, HEAD_CD, LABELS, SOURCE_BC, SOURCE_BD, TARGET_BC, TARGET_BD, new_method, wave

from tlbench import checks
from tlbench.engine.runtime.seeds import seeded_rng
from tlbench.errors import NotApplicableError
from tlbench.nn import distances
from tlbench.terms import Labelled, Step

SOURCE = Labelled(SOURCE_BD, LABELS, torch.zeros_like(LABELS))
STEP = Step(SOURCE, TARGET_BD, Labelled(TARGET_BD[:4] + 0.1, LABELS[:4]), {"target": torch.arange(12)}, progress=0.5)


def gradient(loss, parameter):
    return torch.autograd.grad(loss, parameter, retain_graph=True)[0]


@pytest.mark.parametrize("order", [1, 2, 4])
def test_homm_is_the_difference_of_the_moment_tensors(order):
    """Of order 1 it is 0, for features are centred; of order 2 it is CORAL, whose covariances are divided by N - 1."""
    value = new_method("homm", order=order).moment_distance(SOURCE_BD, TARGET_BD)
    source, target = SOURCE_BD - SOURCE_BD.mean(dim=0), TARGET_BD - TARGET_BD.mean(dim=0)
    moments = []
    for x in (source, target):
        moment = x
        for _ in range(order - 1):
            moment = moment[..., None] * x.view(len(x), *[1] * (moment.ndim - 1), x.shape[1])
        moments.append(moment.mean(dim=0))
    assert float(value) == pytest.approx(float((moments[0] - moments[1]).square().mean()), rel=1e-4, abs=1e-7)
    if order == 2:
        assert float(value) == pytest.approx(4 * (11 / 12) ** 2 * float(distances.coral(SOURCE_BD, TARGET_BD)), rel=1e-4)


def test_jan_with_equal_predictions_is_dan():
    constant = torch.full((24, CLASSES), 0.25)
    assert torch.allclose(new_method("jan").joint_mmd(SOURCE_BD, TARGET_BD, constant), distances.mmd(SOURCE_BD, TARGET_BD))


def test_dsan_with_one_class_is_dan_and_without_a_common_class_nothing():
    method = new_method("dsan")
    one, first = torch.zeros(12, dtype=torch.int64), F.one_hot(torch.zeros(12, dtype=torch.int64), CLASSES).float()
    expected = distances.mmd(SOURCE_BD, TARGET_BD)
    assert float(method.local_mmd(SOURCE_BD, TARGET_BD, one, first)) == pytest.approx(float(expected), rel=1e-5)
    features = SOURCE_BD.clone().requires_grad_()
    nothing = method.local_mmd(features, TARGET_BD, one + 1, first)
    assert float(nothing.detach()) == 0 and not gradient(nothing, features).any()


def test_im_lies_between_minus_log_c_and_zero():
    """The weighted term is least for confident and even predictions, and 0 where all predictions are equal."""
    method = new_method("im")

    def term(logits):
        method.net.backbone.forward = lambda x: x
        method.net.head = nn.Identity()
        loss = method.loss(Step(Labelled(SOURCE_BC, LABELS), logits))
        return float(loss - F.cross_entropy(SOURCE_BC, LABELS))

    assert term(50 * F.one_hot(LABELS, CLASSES).float()) == pytest.approx(-math.log(CLASSES), abs=1e-5)
    assert term(TARGET_BC[:1].repeat(12, 1)) == pytest.approx(0, abs=1e-5)
    assert -math.log(CLASSES) < term(TARGET_BC) < 0


def test_the_adversarial_head_of_mdd_gives_the_classifier_no_gradient():
    method = new_method("mdd", weight=7.0)
    of_source = gradient(method.supervised(STEP), method.net.head.weight)
    assert torch.allclose(gradient(method.loss(STEP), method.net.head.weight), of_source, atol=1e-7)
    saturated = 1e4 * F.one_hot(LABELS, CLASSES).float()
    assert torch.isfinite(method.disparity(saturated.repeat(2, 1), LABELS.repeat(2), 12))


def test_bsp_without_its_penalty_is_dann():
    dann, bsp = new_method("dann"), new_method("bsp", penalty=0.0)
    bsp.load_state_dict(dann.state_dict())
    assert torch.allclose(bsp.loss(STEP), dann.loss(STEP), atol=1e-7)


def test_the_head_of_daln_raises_what_its_features_lower():
    method = new_method("daln")
    loss = method.loss(STEP) - method.supervised(STEP)
    source_BD, target_BD = method.net.features(SOURCE_BD, TARGET_BD)
    plain = -method.discrepancy(method.net.head(source_BD), method.net.head(target_BD))
    weight, first = method.net.head.weight, method.net.backbone.stages[0][1].weight
    assert torch.allclose(gradient(loss, weight), gradient(plain, weight), atol=1e-6)
    reversal = 2 / (1 + math.exp(-5)) - 1
    assert torch.allclose(gradient(loss, first), -reversal * gradient(plain, first), atol=1e-6)


def test_sdat_of_radius_0_is_cdan():
    cdan, sdat = new_method("cdan"), new_method("sdat", radius=0.0)
    sdat.load_state_dict(cdan.state_dict())
    assert torch.equal(sdat.loss(STEP), cdan.loss(STEP))


def test_the_discriminator_of_codats_has_a_class_for_each_source_and_the_target():
    method = new_method("codats")
    method.discriminator[-1].weight.data.zero_(), method.discriminator[-1].bias.data.zero_()
    domain = method.loss(STEP) - method.supervised(STEP)
    assert float(domain.detach()) == pytest.approx(math.log(2), abs=1e-6)
    two = type(method)(copy.deepcopy(method.net), 2, hidden=500, dropout=0.0, weight=1.0, gamma=10.0)
    two.discriminator[-1].weight.data.zero_()
    two.discriminator[-1].bias.data = torch.tensor([0.0, 0.0, 50.0])
    step = Step(Labelled(SOURCE_BD, LABELS, torch.ones_like(LABELS)), TARGET_BD, progress=0.5)
    assert float((two.loss(step) - two.supervised(step)).detach()) == pytest.approx(25.0, abs=1e-4)


def test_the_critic_of_wdgrl():
    """A linear critic c(f) = w f has the gradient w everywhere, and measures the distance of the means along it."""
    method, w = new_method("wdgrl"), HEAD_CD[:1] * 2
    method.critic = nn.Linear(8, 1, bias=False)
    method.critic.weight.data = w
    assert float(method.gradient_penalty(SOURCE_BD, TARGET_BD).detach()) == pytest.approx(float((w.norm() - 1) ** 2), rel=1e-5)
    distance = float(method.distance(SOURCE_BD, TARGET_BD).detach())
    assert distance == pytest.approx(float(w[0] @ (SOURCE_BD.mean(dim=0) - TARGET_BD.mean(dim=0))), abs=1e-5)
    assert float(method.distance(TARGET_BD, SOURCE_BD).detach()) == pytest.approx(-distance, abs=1e-6)
    method.critic = nn.Sequential(nn.Linear(8, 5), nn.Tanh(), nn.Linear(5, 1))
    both = torch.cat([SOURCE_BD[:1], SOURCE_BD, SOURCE_BD[:1]]).requires_grad_()
    norms = torch.stack([gradient(method.critic(both)[i, 0], both)[i].norm() for i in (0, 0, 0)])
    one = method.gradient_penalty(SOURCE_BD[:1], SOURCE_BD[:1])
    assert float(one.detach()) == pytest.approx(float((norms[0] - 1) ** 2), rel=1e-4)


def test_adda_freezes_what_the_source_taught():
    """The second phase changes neither head nor source encoder, which are those of a training on the source alone."""
    after, source = (fit_deep("adda", steps=12, source_share=0.5, adversarial_lr=lr) for lr in (1.0, 1e-30))
    x = checks.toy_samples(4, 10).x
    assert torch.equal(after.net.head.weight, source.net.head.weight)
    assert torch.equal(after.source_backbone(x), source.source_backbone(x))
    assert torch.equal(source.net.backbone(x), source.source_backbone(x))
    assert not torch.equal(after.net.backbone(x), after.source_backbone(x))


def test_the_classifier_of_mme_raises_the_entropy_that_the_features_lower():
    method = new_method("mme", weight=1.0)
    loss, features = method.adapt(STEP), method.net.backbone(TARGET_BD)
    logs = method.cosine_logits(features).log_softmax(dim=1)
    entropy = -(logs.exp() * logs).sum(dim=1).mean()
    head, first = method.net.head.weight, method.net.backbone.stages[0][1].weight
    assert torch.allclose(gradient(loss, head), -gradient(entropy, head), atol=1e-5)
    assert torch.allclose(gradient(loss, first), gradient(entropy, first), atol=1e-5)
    assert torch.allclose(method.cosine_logits(features), method.cosine_logits(3 * features), atol=1e-4)


def test_vada_without_its_weights_is_source_only_beside_a_discriminator():
    method = new_method("vada", domain_weight=0.0, source_weight=0.0, target_weight=0.0)
    weight = method.net.backbone.stages[0][1].weight
    assert torch.allclose(gradient(method.loss(STEP), weight), gradient(method.supervised(STEP), weight), atol=1e-7)


def test_the_perturbation_of_vada_changes_predictions_more_than_noise():
    method = new_method("vada", radius=0.3)
    method.net.head.weight.data *= 20  # confident predictions, which change
    x = wave(32, 8, 21)
    logits, noise = method.net(x), F.normalize(wave(32, 8, 22)) * 0.3 * 8**0.5
    with seeded_rng(0, x.device):
        adversarial = method.smoothness(x, logits).mean()
    random = F.cross_entropy(method.net(x + noise), logits.softmax(dim=1))
    assert float(adversarial.detach()) > float(random.detach()) + 0.01


def test_dirt_t_starts_a_round_with_its_teacher_as_the_student():
    method = new_method("dirt_t", target_weight=0.0, teacher_weight=1.0)
    method.follow(None)
    at_teacher = gradient(method.refine(Step(target=TARGET_BD)), method.net.head.weight)
    assert float(at_teacher.abs().max()) < 1e-6
    method.net.head.weight.data += 0.3 * HEAD_CD
    assert float(gradient(method.refine(Step(target=TARGET_BD)), method.net.head.weight).abs().max()) > 1e-3


def test_dsbn_shares_all_but_batch_normalisation():
    method = new_method("dsbn", batch_norm=True)
    norms = {id(p) for norm in method.target_norms for p in norm.parameters()}
    assert len(norms) > 0
    for mine, target in zip(method.net.parameters(), method.target_net.parameters(), strict=True):
        assert (mine is target) == (id(target) not in norms)
    assert torch.equal(method.net(TARGET_BD), method.target_net(TARGET_BD))
    buffers = [buffer.clone() for buffer in method.net.buffers()]
    method.target_net(TARGET_BD)
    assert all(torch.equal(a, b) for a, b in zip(method.net.buffers(), buffers, strict=True))


@pytest.mark.parametrize("name", ["dsbn", "safn"])
def test_a_backbone_without_batch_normalisation_is_refused(name):
    with pytest.raises(NotApplicableError, match="has no batch normalisation"):
        method = new_method(name)
        method.phases()[0].loss(STEP)


def test_fda_of_all_frequencies_keeps_phases_and_of_equal_samples_keeps_them():
    source, target = wave(4, 80, 14).view(4, 1, 8, 10), wave(4, 80, 15).view(4, 1, 8, 10)
    method = new_method("fda", band=8)
    styled = method.restyle(source, target)
    spectra = [torch.fft.fft2(x) for x in (styled, source, target)]
    assert torch.allclose(spectra[0].abs(), spectra[2].abs(), atol=1e-4)
    unit = [s / s.abs() for s in spectra[:2]]
    assert torch.allclose(torch.view_as_real(unit[0]), torch.view_as_real(unit[1]), atol=1e-3)
    assert torch.allclose(method.restyle(source, source), source, atol=1e-5)
    mean = new_method("fda", band=0).restyle(source, target).mean(dim=(2, 3))
    assert torch.allclose(mean.abs(), target.mean(dim=(2, 3)).abs(), atol=1e-5)
    series = method.restyle(source[:, 0], target[:2, 0])  # (4, 8, 10): over time alone, and target samples over again
    assert torch.allclose(torch.fft.fft(series).abs(), torch.fft.fft(target[[0, 1, 0, 1], 0]).abs(), atol=1e-4)


def test_mixmatch_of_weight_0_mixes_labels_as_inputs(monkeypatch):
    """With a share of 1 nothing is mixed, and the loss is the cross-entropy of the labelled samples."""
    method = new_method("mixmatch", weight=0.0)
    monkeypatch.setattr(method, "draw_share", lambda like: torch.ones(()))
    x = torch.cat([SOURCE_BD, STEP.target_labeled.x])
    plain = F.cross_entropy(method.net(x), torch.cat([LABELS, LABELS[:4]]))
    assert torch.allclose(method.loss(STEP), plain, atol=1e-6)
    monkeypatch.undo()
    shares = torch.stack([method.draw_share(SOURCE_BD) for _ in range(50)])
    assert float(shares.min()) >= 0.5 and float(shares.max()) <= 1 and len(shares.unique()) > 40


def test_a_sample_does_not_vote_for_itself_in_atdoc():
    """All samples point one way but the last, which is alone: its neighbours are the others, whatever their distance."""
    method = new_method("atdoc", neighbors=1)
    method.features_ND = F.normalize(torch.eye(3, 8))
    method.softmax_NC = torch.tensor([[0.9, 0.1, 0.0, 0.0], [0.0, 0.8, 0.2, 0.0], [0.0, 0.0, 0.3, 0.7]])
    weight, label = method.vote(method.features_ND + 0.1 * method.features_ND[[1, 2, 0]], torch.arange(3))
    assert label.tolist() == [1, 3, 0] and weight.tolist() == pytest.approx([0.8, 0.7, 0.9])


def test_the_plan_of_deep_jdot_pairs_equal_samples():
    method = new_method("deep_jdot", alpha=1.0, label_weight=0.0)
    order = torch.tensor([3, 0, 2, 1, 11, 10, 4, 5, 6, 9, 8, 7])
    plan = method.plan(method.cost(SOURCE_BD, SOURCE_BD[order], LABELS, TARGET_BC))
    assert torch.allclose(plan[order], torch.eye(12) / 12, atol=1e-5)
    shares = method.plan(method.cost(SOURCE_BD, TARGET_BD[:5], LABELS, TARGET_BC[:5])).sum(dim=0)
    assert torch.allclose(shares, torch.full((5,), 0.2))


@pytest.mark.parametrize("name", ["atdoc", "bnm", "deep_jdot", "dsan", "fda", "mdd", "mixmatch", "mme", "sdat", "vada"])
def test_no_step_synchronises(name):
    assert checks.host_syncs(name) == []
