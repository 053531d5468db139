"""Few-shot methods: class means, episodes and cosine heads."""

from __future__ import annotations

import warnings

import pytest
import torch
from fine_tuning_samples import wave
from sklearn.neighbors import NearestCentroid
from toy_training import fit_deep, is_same

from tlbench import checks
from tlbench.methods.few_shot.prototypical import draw_support, episode_loss
from tlbench.nn.cosine_head import CosineHead
from tlbench.nn.prototypes import class_means, set_nearest_mean_head
from tlbench.terms import Task


def predictions(method, x: torch.Tensor) -> list[int]:
    with torch.no_grad():
        return method.predict(x).argmax(dim=1).tolist()


def test_the_nearest_class_mean_is_that_of_scikit_learn():
    method, labeled = fit_deep("nearest_class_mean", normalized=False), checks.toy_task().target_labeled
    x = checks.toy_samples(4, 90, shift=0.7).x
    with torch.no_grad():
        features_ND, scored_ND = method.net.backbone(labeled.x).numpy(), method.net.backbone(x).numpy()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # of features that are 0 after ReLU
        reference = NearestCentroid().fit(features_ND, labeled.y.numpy())
    assert predictions(method, x) == reference.predict(scored_ND).tolist()


def test_the_nearest_class_mean_has_the_backbone_of_source_only():
    method, start = fit_deep("nearest_class_mean"), fit_deep("source_only")
    after, before = method.net.backbone.state_dict(), start.net.backbone.state_dict()
    assert all(torch.equal(after[key], value) for key, value in before.items())
    assert float(method.net.head.bias.detach().abs().max()) == 0  # cosines
    assert torch.allclose(method.net.head.weight.norm(dim=1), torch.ones(3))


@pytest.mark.parametrize("cosine", [False, True])
def test_a_head_of_means_predicts_the_nearest_one_and_no_class_without_samples(cosine):
    features_ND, y_N = wave(12, 4) + 0.2, torch.tensor([0, 1, 3] * 4)
    means_CD, counts_C = class_means(features_ND, y_N, 4)
    assert counts_C.tolist() == [4, 4, 0, 4] and torch.allclose(means_CD[1], features_ND[y_N == 1].mean(dim=0))
    head = torch.nn.Linear(4, 4)
    set_nearest_mean_head(head, means_CD, counts_C, cosine=cosine)
    present = torch.tensor([0, 1, 3])
    x = wave(40, 4, step=1.3)
    if cosine:
        similarity = torch.nn.functional.cosine_similarity(x[:, None], means_CD[present], dim=2)
    else:
        similarity = -torch.cdist(x, means_CD[present])
    logits = head(x).detach()
    assert logits.argmax(dim=1).tolist() == present[similarity.argmax(dim=1)].tolist()
    entropy = -(logits.log_softmax(dim=1).exp() * logits.log_softmax(dim=1)).sum()
    assert bool(torch.isfinite(logits).all()) and bool(torch.isfinite(entropy))


def test_class_means_do_not_change_with_copies_of_all_samples():
    features_ND, y_N = wave(6, 4), torch.arange(6) % 3
    once, twice = (class_means(x, y, 3)[0] for x, y in ((features_ND, y_N), (features_ND.repeat(2, 1), y_N.repeat(2))))
    assert torch.allclose(once, twice, atol=1e-7)


def test_an_episode_has_its_shots_and_other_samples_as_queries():
    y_B = torch.tensor([0] * 9 + [1] * 4 + [2] * 1)
    torch.manual_seed(0)
    draws = [draw_support(y_B, 3) for _ in range(50)]
    assert {tuple(int(draw[y_B == c].sum()) for c in range(3)) for draw in draws} == {(3, 2, 1)}
    assert len({tuple(draw.tolist()) for draw in draws}) > 40
    assert bool(torch.stack(draws)[:, y_B < 2].float().mean(dim=0).gt(0.1).all())  # every sample of a larger class is drawn


def test_episodes_do_not_change_with_a_translation_or_the_order_of_samples():
    features_BD, y_B = wave(12, 4), torch.arange(12) % 3
    is_support_B = torch.arange(12) < 6
    loss = episode_loss(features_BD, y_B, is_support_B, 3)
    order = torch.randperm(12, generator=torch.Generator().manual_seed(0))
    assert torch.allclose(loss, episode_loss(features_BD + 5, y_B, is_support_B, 3), atol=1e-4)
    assert torch.allclose(loss, episode_loss(features_BD[order], y_B[order], is_support_B[order], 3), atol=1e-6)
    assert float(episode_loss(features_BD, y_B, torch.ones(12, dtype=torch.bool), 3)) == 0  # no queries


def test_prototypes_of_the_target_are_its_class_means():
    method, labeled = fit_deep("prototypical"), checks.toy_task().target_labeled
    with torch.no_grad():
        means_CD, _ = class_means(method.net.backbone(labeled.x), labeled.y, 3)
    assert torch.allclose(method.net.head.weight, 2 * means_CD, atol=1e-5)
    assert not torch.equal(fit_deep("prototypical", shot=1).net.head.weight, method.net.head.weight)


def test_a_class_without_labelled_samples_is_never_predicted():
    task = checks.toy_task()
    without = task.target_labeled[task.target_labeled.y != 1]
    for name in ("nearest_class_mean", "prototypical", "co_tuning"):
        method = fit_deep(name, Task(3, task.source, task.target, without))
        scores = method.predict(task.target).detach()
        assert bool(torch.isfinite(scores).all())
        assert 1 not in scores.argmax(dim=1).tolist() or name == "co_tuning"


def test_the_cosine_head_sees_the_direction_of_features_alone():
    head, x = CosineHead(4, 3, scale=2.0), wave(5, 4) + 2
    assert torch.allclose(head(x), head(7 * x), atol=1e-4)
    assert bool((head(x).abs() <= 2 * head.norm.detach().flatten() + 1e-5).all())
    plain = torch.nn.functional.normalize(x) @ head.weight.T
    assert torch.allclose(head(x), 2 * plain, atol=1e-4)  # at the start the norms are those of the weights


def test_the_cosine_head_of_the_target_learns_on_frozen_features():
    method, first_step = fit_deep("cosine_head"), fit_deep("cosine_head", steps=11, source_share=10 / 11)
    assert is_same(method.net.state_dict(), first_step.net.state_dict()) and isinstance(method.net.head, CosineHead)
    assert not torch.equal(method.target_head.weight, first_step.target_head.weight)
