"""Methods for domain generalisation: their losses beside DomainBed's, laws, and what they gain over pooled sources.

The golden numbers come from facebookresearch/DomainBed at b93c22a, whose update functions ran on the same tensors: the value
that is minimised, and its gradient by the first sample of the last source.
"""

from __future__ import annotations

import copy

import pytest
import torch
from source_samples import CLASSES_OF_SAMPLES, SAMPLES, SIZE, for_sources
from torch import nn
from toy_training import fit_deep
from wave_samples import CLASSES, is_close, wave

from tlbench import checks
from tlbench.engine.runtime.seeds import seeded_rng
from tlbench.methods.multi_source._sources import source_shares
from tlbench.terms import Labelled, Step, Task

DETERMINISTIC = ["group_dro", "irm", "vrex", "fishr", "sd", "rsc", "eqrm", "coral_dg", "mmd_dg", "dann_dg"]
BY_SOURCE = ["group_dro", "irm", "vrex", "fishr", "eqrm", "coral_dg", "mmd_dg", "mixup_dg", "mldg"]


def step_of(count, size=SIZE, order=None):
    """A step of the first samples of the first sources, one source after the other or in another order."""
    x = torch.cat([samples[:size] for samples in SAMPLES[:count]]).requires_grad_()
    y = torch.cat([classes[:size] for classes in CLASSES_OF_SAMPLES[:count]])
    domain = torch.arange(count).repeat_interleave(size)
    order = torch.arange(len(y)) if order is None else order
    return Step(Labelled(x[order], y[order], domain[order]), progress=0.5), x


def agrees(loss, x, value, of_last_source, size=SIZE):
    """Whether a loss has a golden value, and its gradient by the first sample of the third source as well."""
    (gradient,) = torch.autograd.grad(loss, x)
    return is_close(loss, value) and is_close(gradient[2 * size], of_last_source)


GOLDEN = {
    "sd": (
        *({}, 3.9536073),
        [-0.080928, -0.0962206, -0.0529295, 0.1066014, -0.0511199, 0.0541465, -0.1091136, 0.0401969],
    ),
    "vrex": (
        *({}, 11.9001875),
        [0.9883235, 1.2055131, 0.6370229, -1.3983717, 0.666216, -0.6905754, 1.4003607, -0.5395199],
    ),
    "rsc": (
        *({}, 3.3571839),
        [-0.0678058, -0.0827064, -0.0437041, 0.0959379, -0.045707, 0.0473782, -0.0960743, 0.0370148],
    ),
    "mmd_dg": (
        *({}, 5.0637073),  # in float64: in float32 DomainBed's distances of samples to themselves are not 0
        [-0.0725599, -0.0961815, -0.0578946, 0.0819095, -0.0487116, 0.0336421, -0.1040112, 0.0288764],
    ),
    "coral_dg": (
        *({}, 3.9168367),
        [-0.0814447, -0.1064571, -0.0603363, 0.0837158, -0.0572567, 0.0389563, -0.1100745, 0.0137849],
    ),
    "eqrm": (
        *({}, 4.3158511),
        [-0.0589112, -0.0718573, -0.0379711, 0.083353, -0.0397113, 0.0411633, -0.0834716, 0.0321593],
    ),
    "eqrm below the mean": (
        *({"quantile": 0.3}, 2.5931651),
        [-0.1862226, -0.227146, -0.1200295, 0.263485, -0.1255302, 0.1301201, -0.2638597, 0.1016578],
    ),
    "fishr": (
        *({}, 9.6501923),
        [-0.6926306, -0.4207927, -0.0364313, -0.0299478, -1.8518803, -0.2515288, -0.2636834, -1.0323094],
    ),
}


@pytest.mark.parametrize("case", GOLDEN)
def test_losses(case):
    options, value, of_last_source = GOLDEN[case]
    step, x = step_of(3)
    assert agrees(for_sources(case.split()[0], 3, **options).loss(step), x, value, of_last_source)


def test_group_dro_after_two_updates_of_its_weights():
    method, (step, x) = for_sources("group_dro", 3, rate=0.5), step_of(3)
    method.loss(step)
    method.publish(0.0)
    of_last_source = [-0.0198161, -0.0241708, -0.0127724, 0.0280377, -0.0133578, 0.0138462, -0.0280775, 0.0108175]
    assert agrees(method.loss(step), x, 4.2468014, of_last_source)


def test_fishr_after_two_updates_of_its_averages():
    method, (step, x) = for_sources("fishr", 3), step_of(3)
    method.warm_up_loss(step)
    method.publish(0.0)
    of_last_source = [-1.2862144, -0.7419747, -0.0295221, -0.1495393, -3.5677443, -0.5354903, -0.422912, -2.0481677]
    assert agrees(method.loss(step), x, 27.2170258, of_last_source)


def test_irm_with_two_samples_of_each_source():
    """DomainBed's two halves of a batch are then single samples, whose product is that of the only pair."""
    method, (step, x) = for_sources("irm", 3), step_of(3, size=2)
    of_last_source = [14.4743214, 15.9143553, 7.7898712, -17.8679485, 9.6906719, -9.6909523, 18.8007603, -8.5039282]
    assert agrees(method.loss(step), x, 521.0227051, of_last_source, size=2)


def test_penalties_of_irm_are_means_over_all_halves():
    # the mean of DomainBed's _irm_penalty over the 20 ways to halve the six samples of a source
    method, (step, _) = for_sources("irm", 3), step_of(3)
    penalties = method.penalty(method.net(step.source.x), step.source.y, source_shares(step.source, 3))
    assert is_close(penalties, [14.5904928, 4.4647594, 2.4980952])


def test_mixup_of_fixed_pairs():
    # in DomainBed the permutation of the sources is 2, 0, 1, and the shares of the pairs are 0.9, 0.3, 0.6
    method, (step, x) = for_sources("mixup_dg", 3), step_of(3)
    partner, ratio = torch.arange(18).roll(-SIZE), torch.tensor([0.3, 0.6, 0.9])
    of_last_source = [-0.0708485, -0.0868168, -0.0458321, 0.1014263, -0.0484623, 0.0501438, -0.1015616, 0.0391902]
    loss = method.mixed_loss(step, source_shares(step.source, 3), partner, ratio)
    assert agrees(loss, x, 3.0735912, of_last_source)


def test_dann_dg_is_both_updates_at_once():
    # DomainBed's loss of the discriminator is 2.5799322; its generator's, CE minus that, is 0.8019867, with this gradient
    method, (step, x) = for_sources("dann_dg", 3, hidden=5), step_of(3)
    for start, layer in zip((70, 71, 72), method.discriminator[::2], strict=True):
        layer.weight.data, layer.bias.data = wave(*layer.weight.shape, start), wave(1, len(layer.bias), start + 10)[0]
    of_last_source = [-0.0974127, -0.0090854, -0.0055274, -0.011657, -0.1516135, 0.1489001, -0.1675202, 0.1541411]
    assert agrees(method.loss(step), x, 0.8019867 + 2 * 2.5799322, of_last_source)


def test_mldg_of_two_sources():
    # DomainBed's MLDG with SGD of rate 0.3 in place of Adam in its inner step, meta-training on source 0, meta-test on 1; it
    # divides by the number of sources. The gradient is that by the weights of the first class
    method, (step, _) = for_sources("mldg", 2, weight=1.5, inner_rate=0.3), step_of(2)
    loss = method.split_loss(step, source_shares(step.source, 2), torch.tensor(1))
    gradient = torch.autograd.grad(loss, method.net.head.weight)[0][0]
    assert is_close(loss / 2, 4.3268268)
    assert is_close(gradient / 2, [0.1984593, 0.1550139, 0.1110087, -0.0207256, 0.2209665, -0.2992498, 0.3765891, -0.4063641])


def test_the_average_of_the_weights():
    # DomainBed's ErmPlusPlusMovingAvg.update_sma: the first averaged step counts as two, with the step before the start
    method = for_sources("weight_average", 1, start=0.5)
    method.average, values = copy.deepcopy(method.net), [1.0, 2.0, 6.0, 3.0]
    for step, value in enumerate(values):
        method.net.head.weight.data.fill_(value)
        with torch.no_grad():
            method.follow(step / 4)
    assert torch.allclose(method.average.head.weight, torch.full((CLASSES, 8), (2.0 + 6.0 + 3.0) / 3))


@pytest.mark.parametrize("name", DETERMINISTIC)
def test_the_order_of_the_samples_changes_nothing(name):
    method, order = for_sources(name, 3), torch.arange(18) * 7 % 18
    assert torch.allclose(method.loss(step_of(3)[0]), method.loss(step_of(3, order=order)[0]), rtol=1e-5)


@pytest.mark.parametrize("name", BY_SOURCE)
def test_a_source_without_a_sample_in_the_batch_counts_nowhere(name):
    step, x = step_of(2)
    losses = []
    for count in (2, 3):
        with seeded_rng(5, torch.device("cpu")):
            losses.append(for_sources(name, count).loss(step))
    if name not in ("mixup_dg", "mldg"):  # whose draws for two and for three sources are others
        assert torch.allclose(*losses, rtol=1e-5)
    assert bool(torch.autograd.grad(losses[1], x)[0].isfinite().all())


@pytest.mark.parametrize("name", ["group_dro", "vrex", "fishr", "eqrm", "coral_dg", "mmd_dg", "dann_dg", "mldg"])
def test_one_source_is_source_only(name):
    method, (step, x) = for_sources(name, 1), step_of(1)
    loss, plain = method.loss(step), method.supervised(step)
    assert torch.allclose(loss, plain)
    assert torch.allclose(*(torch.autograd.grad(value, x, retain_graph=True)[0] for value in (loss, plain)), atol=1e-6)


@pytest.mark.parametrize("name", BY_SOURCE)
def test_single_samples_of_sources_have_a_finite_gradient(name):
    step, x = step_of(3, size=1)
    assert bool(torch.autograd.grad(for_sources(name, 3).loss(step), x)[0].isfinite().all())


def test_partners_are_of_the_next_source_in_the_batch():
    method = for_sources("mixup_dg", 3)
    for count, seed in ((3, 0), (3, 1), (2, 2), (1, 3)):
        step, _ = step_of(count)
        with seeded_rng(seed, torch.device("cpu")):
            partner = method.draw_partners(source_shares(step.source, 3))
        own, other = step.source.domain, step.source.domain[partner]
        nexts = {int(source): set(other[own == source].tolist()) for source in own.unique()}
        assert all(len(sources) == 1 for sources in nexts.values()) and len(set.union(*nexts.values())) == count
        assert count == 1 or all(source not in sources for source, sources in nexts.items())


@pytest.mark.parametrize("name", ["irm", "vrex"])
def test_without_a_penalty_it_is_source_only_in_one_phase(name):
    fitted, plain = fit_deep(name, weight=0.0), fit_deep("source_only")
    assert all(torch.equal(a, b) for a, b in zip(fitted.net.parameters(), plain.net.parameters(), strict=True))


def test_group_dro_without_a_rate_is_the_mean_risk_and_with_a_large_one_the_largest():
    step, _ = step_of(3)
    method = for_sources("group_dro", 3, rate=0.0)
    risks = source_shares(step.source, 3) @ method.criterion(method.net(step.source.x), step.source.y, "none")
    assert torch.allclose(method.loss(step), risks.mean())
    assert torch.allclose(for_sources("group_dro", 3, rate=20.0).loss(step), risks.max(), rtol=1e-4)


def colored(seed, agreement, count=600):
    """Samples (N, 2): a cause that agrees with 3 of 4 labels, and a color that agrees with a share of the labels."""
    generator = torch.Generator().manual_seed(seed)
    y = torch.arange(count) % 2
    draws = torch.rand(2, count, generator=generator)
    cause, color = (torch.where(draw < share, y, 1 - y) for draw, share in zip(draws, (0.75, agreement), strict=True))
    return torch.stack([2.0 * cause - 1, 2.0 * color - 1], dim=1), y


@pytest.mark.parametrize(("name", "options"), [("irm", {}), ("vrex", {"weight": 100.0}), ("fishr", {})])
def test_it_gains_where_a_spurious_feature_predicts_better_than_the_cause(name, options):
    """Colors agree with 90 and 80 % of the labels in the sources, and with 10 % in the target."""
    (first, y_1), (second, y_2) = colored(0, 0.9), colored(1, 0.8)
    domain = torch.arange(2).repeat_interleave(len(y_1))
    task = Task(2, Labelled(torch.cat([first, second]), torch.cat([y_1, y_2]), domain))
    x, y = colored(2, 0.1)
    accuracy = {}
    for entry, own in (("source_only", {}), (name, options)):
        method = fit_deep(entry, task, 600, **own)
        with torch.no_grad():
            accuracy[entry] = float((method.eval().predict(x).argmax(dim=1) == y).float().mean())
    assert accuracy["source_only"] < 0.3 and accuracy[name] > 0.6, accuracy


@pytest.mark.parametrize("name", [*DETERMINISTIC, "mixup_dg", "mldg", "weight_average"])
def test_no_step_synchronises(name):
    assert checks.host_syncs(name) == []


def test_the_head_is_what_rsc_takes_it_for():
    """The gradient of the true class's logit by the features is the row of the class, by automatic differentiation."""
    method, (step, x) = for_sources("rsc", 3), step_of(3)
    logits = method.net.head(step.source.x)
    (gradient,) = torch.autograd.grad(logits.gather(1, step.source.y[:, None]).sum(), x)
    assert torch.equal(gradient, method.net.head.weight[step.source.y]) and isinstance(method.net.head, nn.Linear)
    whole = for_sources("rsc", 3, sample_share=0.0, feature_share=0.5)
    mask = whole.mask(x.detach(), torch.eye(4)[step.source.y])
    assert int((mask.sum(dim=1) == 4).sum()) == 1 and float(mask.mean()) == pytest.approx(17.5 / 18)
