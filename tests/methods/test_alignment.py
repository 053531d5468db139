"""Alignment methods: their rounds against plain numpy and scipy, properties, notes, and peers where those are right."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.linalg
import scipy.optimize
import torch
import torch.nn.functional as F
from alignment_samples import fitted, gaussian_gram, shifted_task
from golden_arrays import GoldenArrays
from tiny_suite import blobs

from tlbench import methods
from tlbench.errors import TlbenchError
from tlbench.solvers import base_learners, nearest_neighbors, transfer_components
from tlbench.solvers.kernels.design import kernel_design
from tlbench.terms import Labelled, Task

theirs = GoldenArrays("alignment")


METHODS = ("pca", "subspace_alignment", "gfk", "tca", "jda", "bda", "tjm", "easytl", "coral_map", "monge_map", "mmd_map")


@pytest.mark.parametrize("kernel", ["linear", "rbf"])
def test_jda_is_the_dense_problem_solved_round_by_round(kernel):
    """The authors' loop in numpy and scipy, three rounds: kernel, M, generalised eigenproblem, 1-NN on samples of length 1."""
    y, generator = torch.arange(40) % 3, torch.Generator().manual_seed(0)
    source, target = (
        torch.eye(3, 8)[y] + 0.5 * torch.randn(40, 8, generator=generator) + shift * torch.eye(8)[5] for shift in (0, 2)
    )
    x = F.normalize(torch.cat([source, target]).double()).numpy()
    gram = x @ x.T if kernel == "linear" else gaussian_gram(x, 0.7)
    h, labels, history = np.eye(80) - 1 / 80, None, []
    for _ in range(3):
        e = np.r_[np.full(40, 1 / 40), np.full(40, -1 / 40)][:, None]
        m = 3 * e @ e.T
        for c in range(3) if labels is not None else ():
            one = np.zeros((80, 1))
            one[:40][y.numpy() == c] = 1 / (y == c).sum().item()
            one[40:][labels == c] = -1 / max((labels == c).sum(), 1)
            m = m + one @ one.T
        vectors = scipy.linalg.eigh(gram @ h @ gram, np.eye(80) + gram @ (m / np.linalg.norm(m)) @ gram)[1][:, ::-1][:, :4]
        features = gram @ (vectors / np.linalg.norm(vectors, axis=0))
        features = features / np.linalg.norm(features, axis=1, keepdims=True)
        similarity = features[40:] @ features[:40].T
        labels = y.numpy()[similarity.argmax(axis=1)]
        history.append(labels)
    assert not np.array_equal(history[0], history[1]) and not np.array_equal(
        history[1], history[2]
    )  # every round changes labels
    options = {"kernel": kernel, "gamma": 0.7, "components": 4, "rounds": 3}
    scores = methods.method_class("jda")(**methods.method_options("jda", options)).fit(Task(3, Labelled(source, y), target))(
        target
    )
    best = np.stack([similarity[:, y.numpy() == c].max(axis=1) for c in range(3)], axis=1)
    assert np.allclose(scores.numpy(), 2 * best - 1, atol=1e-8)


def test_bda_in_balance_is_jda_and_without_classes_it_is_tca_of_its_first_round():
    given = shifted_task()
    jda = fitted("jda", given)[1]
    assert torch.allclose(fitted("bda", given, balance=0.5)[1], jda, atol=1e-9)
    first = fitted("jda", given, rounds=1)[1]
    assert torch.allclose(fitted("bda", given, balance=0.0)[1], first, atol=1e-9)


def test_class_names_do_not_matter_to_jda():
    given = shifted_task()
    renamed = Task(3, Labelled(given.source.x, (given.source.y + 1) % 3), given.target)
    assert torch.allclose(fitted("jda", given)[1], fitted("jda", renamed)[1].roll(-1, dims=1), atol=1e-9)


def test_joint_matching_notes_how_many_samples_have_coefficients_and_one_round_is_tca():
    given = shifted_task()
    method, scores = fitted("tjm", given, rounds=1)
    assert any("source samples have coefficients" in note for note in method.notes)
    x = torch.cat([given.source.x, given.target]).double()
    design = kernel_design(x, "rbf", gamma=None)
    mismatch = design.transpose_matmul(transfer_components.normalize_contrasts(transfer_components.mean_contrast(60, 60, x)))
    weights = transfer_components.scale_components(
        *transfer_components.leading_components(transfer_components.Scatter(design), mismatch, 1.0, 20), "scatter"
    )
    plain = nearest_neighbors.fit_nearest_neighbor(F.normalize(design.matmul(weights)[:60]), given.source.y, 3)
    assert torch.allclose(scores, plain(F.normalize(design.columns(blobs(9, 45, 0.5).x.double()) @ weights)), atol=1e-8)
    assert float((scores.argmax(1) == blobs(9, 45).y).double().mean()) > 0.9


def test_easytl_is_the_optimum_of_its_linear_programme():
    kind = methods.method_class("easytl")
    distance = torch.rand(9, 4, generator=torch.Generator().manual_seed(1), dtype=torch.float64) + torch.tensor([0.0, 1, 1, 2])
    chosen = kind(align="none").assigned_distances(distance, torch.arange(4)).argmin(dim=1)
    assert set(chosen.tolist()) == {0, 1, 2, 3}
    equal = np.kron(np.eye(9), np.ones(4))
    at_least = -np.kron(np.ones(9), np.eye(4))
    best = scipy.optimize.linprog(distance.flatten().numpy(), A_ub=at_least, b_ub=-np.ones(4), A_eq=equal, b_eq=np.ones(9))
    assert float(distance.gather(1, chosen[:, None]).sum()) == pytest.approx(best.fun, abs=1e-9)


def test_easytl_with_fewer_samples_than_classes_is_noted():
    given = shifted_task()
    method, scores = fitted("easytl", Task(3, given.source, given.target[:2]))
    assert numbers(scores) and "2 target samples are fewer than 3 classes: each takes the nearest mean." in method.notes


def test_feature_augmentation_between_pooling_and_the_target_alone():
    given = Task(3, blobs(1, 60), None, blobs(2, 15, 0.5))
    both = Task(
        3, Labelled(torch.cat([given.source.x, given.target_labeled.x]), torch.cat([given.source.y, given.target_labeled.y]))
    )
    options = {"learner": "ridge", "c": 0.5}
    pooled = fitted("feature_augmentation", given, own=0.0, **options)[1]
    x = torch.cat([given.source.x, given.target_labeled.x]).double()
    plain = base_learners.fit_learner("ridge", x, both.source.y, 3, c=0.5)(blobs(9, 45, 0.5).x)
    assert torch.allclose(pooled, plain, atol=1e-8)
    assert not torch.allclose(fitted("feature_augmentation", given, common=0.0, **options)[1], pooled, atol=1e-2)


def test_feature_augmentation_separates_several_sources():
    source = blobs(1, 60)
    several = Labelled(source.x, source.y, torch.arange(60) % 2)
    target_labeled = blobs(2, 15, 0.5)
    separate, method = fitted("feature_augmentation", Task(3, several, None, target_labeled))[::-1]
    assert not torch.allclose(separate, fitted("feature_augmentation", Task(3, source, None, target_labeled))[1], atol=1e-4)
    assert not any("pooled" in note for note in method.notes)
    assert "2 sources are pooled." in fitted("tca", Task(3, several, target_labeled.x))[0].notes


def numbers(scores: torch.Tensor) -> bool:
    return not bool(torch.isnan(scores).any())


@pytest.mark.parametrize("name", METHODS)
def test_bad_input_gives_numbers_or_one_clear_error(name):
    """Fewer samples than components, all-zero columns, singular covariances, a class without source samples, one sample."""
    given = shifted_task()
    zeros = torch.cat([given.source.x, torch.zeros(60, 3)], dim=1), torch.cat([given.target, torch.zeros(60, 3)], dim=1)
    torch.manual_seed(0)
    kind, options = methods.method_class(name), methods.method_options(name, {})
    wide = torch.cat([blobs(9, 45, 0.5).x, torch.zeros(45, 3)], dim=1)
    assert numbers(kind(**options).fit(Task(3, Labelled(zeros[0], given.source.y), zeros[1]))(wide))
    small = kind(**options)
    assert numbers(small.fit(Task(3, given.source[torch.arange(4)], given.target[:5]))(blobs(9, 45).x))
    mask = given.source.y != 2
    lacking = kind(**options)
    scores = lacking.fit(Task(3, given.source[mask], given.target))(blobs(9, 45).x)
    assert numbers(scores) and not bool((scores.argmax(dim=1) == 2).any())
    assert "The source has no samples of class 2." in lacking.notes
    with pytest.raises(TlbenchError, match="not finite"):
        kind(**options).fit(Task(3, given.source, given.target * torch.nan))


def test_more_components_than_there_are_is_noted():
    assert "4 components are used instead of 100: there are no more." in fitted("pca", shifted_task())[0].notes
    assert "4 components are used instead of 100: there are no more." in fitted("tca", shifted_task())[0].notes


def test_float32_and_float64_inputs_agree():
    """The algebra is in float64 whatever comes in: scores of float32 samples are those of the same numbers in float64."""
    given = shifted_task()
    double = Task(3, Labelled(given.source.x.double(), given.source.y), given.target.double())
    for name in METHODS:
        assert torch.allclose(fitted(name, given)[1], fitted(name, double)[1], rtol=1e-6, atol=1e-8), name


def golden_regression(name: str, **options: object) -> torch.Tensor:
    """Predictions (M,) for the golden target samples."""
    target_labeled = Labelled(theirs("target_labeled"), theirs("y_target_labeled")[:, None])
    source = Labelled(theirs("source"), theirs("y")[:, None])
    method = methods.method_class(name)(**methods.method_options(name, {"learner": "ridge", **options}))
    splits = {"target": theirs("target"), "target_labeled": target_labeled}
    granted = {split: splits[split] for split in splits if split in method.reads}
    return method.fit(Task(1, source, **granted, regression=True))(theirs("target"))[:, 0]


def test_feature_augmentation_is_that_of_adapt():
    """A ridge on its augmented samples, centred by the mean of both domains."""
    assert torch.allclose(golden_regression("feature_augmentation"), theirs("augmented"), atol=1e-10)


@pytest.mark.parametrize(("rounds", "golden"), [(1, "jdot_2"), (20, "jdot")])
def test_joint_transport_of_a_regression_is_that_of_skada(rounds, golden):
    """After its second plan, and where it has come to rest."""
    pytest.importorskip("ot", reason="POT is not installed (extra `ot`)")
    assert torch.allclose(golden_regression("jdot", rounds=rounds), theirs(golden), atol=1e-10)
    assert float((theirs("jdot") - theirs("jdot_2")).abs().max()) > 1
