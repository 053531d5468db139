"""Alignment in closed form: the algebra against plain numpy and scipy, laws of each method, and peers where they are right."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import scipy.integrate
import scipy.linalg
import scipy.optimize
import torch
import torch.nn.functional as F
from tiny_suite import blobs

from tlbench import methods
from tlbench.errors import TlbenchError
from tlbench.methods.base import ShallowMethod
from tlbench.solvers import base_learners, kernel_columns, kernels, location_scale, subspaces, transfer_components
from tlbench.terms import Labelled, Task

GOLDEN = np.load(Path(__file__).parents[1] / "golden" / "alignment.npz")
"""Maps and predictions of other packages; golden/alignment.py made them."""
NEW = ("pca", "subspace_alignment", "gfk", "tca", "jda", "bda", "tjm", "easytl", "coral_map", "monge_map", "mmd_map")


def rows(seed: int, count: int, columns: int = 6, scale: float = 1.0) -> torch.Tensor:
    source = torch.Generator().manual_seed(seed)
    mixed = torch.randn(columns, columns, generator=source, dtype=torch.float64)
    return scale * torch.randn(count, columns, generator=source, dtype=torch.float64) @ mixed


def task(shift: float = 0.5, seed: int = 1, count: int = 60) -> Task:
    return Task(3, blobs(seed, count), blobs(seed + 1, count, shift).x, blobs(seed + 2, 12, shift))


def fitted(name: str, given: Task, **options: object) -> tuple[ShallowMethod, torch.Tensor]:
    """The method, and its scores of fixed rows."""
    torch.manual_seed(0)
    method = methods.method_class(name)(**methods.method_options(name, options))
    assert isinstance(method, ShallowMethod)
    return method, method.fit(given)(blobs(9, 45, 0.5).x)


def numbers(scores: torch.Tensor) -> bool:
    return not bool(torch.isnan(scores).any())


# the eigenproblem


def gaussian(x: np.ndarray, gamma: float) -> np.ndarray:
    return np.exp(-gamma * ((x[:, None] - x[None]) ** 2).sum(axis=2))


@pytest.mark.parametrize("kernel", ["linear", "rbf"])
def test_transfer_components_are_those_of_the_dense_problem(kernel):
    """eigh(K H K, penalty I + K M K) of scipy: eigenvalues to 1e-10, features to 1e-8 up to sign."""
    x = torch.cat([rows(1, 30), rows(2, 25) + 1])
    gram = x.numpy() @ x.numpy().T if kernel == "linear" else gaussian(x.numpy(), 0.05)
    e = np.r_[np.full(30, 1 / 30), np.full(25, -1 / 25)][:, None]
    m, h = e @ e.T / np.linalg.norm(e @ e.T), np.eye(55) - 1 / 55
    values, vectors = scipy.linalg.eigh(gram @ h @ gram, 0.3 * np.eye(55) + gram @ m @ gram)
    made = kernel_columns.kernel_columns(x, kernel, gamma=0.05)
    mismatch = made.gather(transfer_components.unit(transfer_components.contrasts(30, 25, x)))
    found, coefficients = transfer_components.components(transfer_components.Scatter(made), mismatch, 0.3, 4)
    assert np.allclose(found, values[::-1][:4], rtol=1e-10)
    expected = gram @ vectors[:, ::-1][:, :4]
    ours = made.map(coefficients).numpy()
    assert np.allclose(ours * np.sign((ours * expected).sum(axis=0)), expected, atol=1e-8 * np.abs(expected).max())
    # the length of the dual's coefficients is kept by the smaller problem
    lengths = np.linalg.norm(vectors[:, ::-1][:, :4], axis=0)
    assert np.allclose(coefficients.norm(dim=0), lengths, rtol=1e-8)


def test_the_iteration_finds_what_the_dense_solver_finds(monkeypatch):
    x = torch.cat([rows(1, 200), rows(2, 150) + 1])
    made = kernel_columns.kernel_columns(x, "rbf", gamma=0.02)
    mismatch = made.gather(transfer_components.unit(transfer_components.contrasts(200, 150, x)))
    dense = transfer_components.components(transfer_components.Scatter(made), mismatch, 0.1, 8)
    monkeypatch.setattr(transfer_components, "DENSE", 10)
    scatter = transfer_components.Scatter(made)
    assert scatter.dense is None
    iterated = transfer_components.components(scatter, mismatch, 0.1, 8, tolerance=1e-10)
    assert torch.allclose(iterated[0], dense[0], rtol=1e-12)
    assert torch.allclose(iterated[1], dense[1], atol=1e-7)


def test_a_diagonal_penalty_is_the_dense_problem_with_it():
    x = torch.cat([rows(1, 30), rows(2, 25) + 1])
    gram, e = gaussian(x.numpy(), 0.05), np.r_[np.full(30, 1 / 30), np.full(25, -1 / 25)][:, None]
    diagonal = np.linspace(0.1, 3, 55)
    h = np.eye(55) - 1 / 55
    values = scipy.linalg.eigh(gram @ h @ gram, np.diag(diagonal) + gram @ e @ e.T @ gram, eigvals_only=True)
    made = kernel_columns.kernel_columns(x, "rbf", gamma=0.05)
    mismatch = made.gather(transfer_components.contrasts(30, 25, x))
    found, _ = transfer_components.components(transfer_components.Scatter(made), mismatch, torch.from_numpy(diagonal), 5)
    assert np.allclose(found, values[::-1][:5], rtol=1e-10)


def test_nystrom_with_every_row_as_a_landmark_is_exact():
    x = torch.cat([rows(1, 60), rows(2, 50) + 1])
    e = transfer_components.unit(transfer_components.contrasts(60, 50, x))
    exact, through = (kernel_columns.kernel_columns(x, "rbf", gamma=0.002, landmarks=110, exact=n) for n in (200, 100))
    assert through.why_not_exact is not None and "landmarks" in through.why_not_exact and exact.why_not_exact is None
    values = [transfer_components.components(transfer_components.Scatter(d), d.gather(e), 0.1, 5)[0] for d in (exact, through)]
    assert torch.allclose(*values, rtol=1e-5)


def test_target_alike_to_the_source_has_no_mismatch_and_a_large_penalty_leaves_the_scatter():
    x = rows(1, 40)
    made = kernel_columns.kernel_columns(torch.cat([x, x]), "rbf", gamma=0.05)
    assert made.gather(transfer_components.contrasts(40, 40, x)).abs().max() < 1e-12
    values, _ = transfer_components.components(
        transfer_components.Scatter(made), made.gather(transfer_components.contrasts(40, 40, x)), 1.0, 3
    )
    gram = gaussian(torch.cat([x, x]).numpy(), 0.05)
    assert np.allclose(values, np.linalg.eigvalsh(gram @ (np.eye(80) - 1 / 80) @ gram)[::-1][:3])


# JDA, BDA, TJM


@pytest.mark.parametrize("kernel", ["linear", "rbf"])
def test_jda_is_the_dense_problem_solved_round_by_round(kernel):
    """The authors' loop in numpy and scipy, three rounds: kernel, M, generalised eigenproblem, 1-NN on rows of length 1."""
    y, drawn = torch.arange(40) % 3, torch.Generator().manual_seed(0)
    source, target = (
        torch.eye(3, 8)[y] + 0.5 * torch.randn(40, 8, generator=drawn) + shift * torch.eye(8)[5] for shift in (0, 2)
    )
    x = F.normalize(torch.cat([source, target]).double()).numpy()
    gram = x @ x.T if kernel == "linear" else gaussian(x, 0.7)
    h, said, seen = np.eye(80) - 1 / 80, None, []
    for _ in range(3):
        e = np.r_[np.full(40, 1 / 40), np.full(40, -1 / 40)][:, None]
        m = 3 * e @ e.T
        for c in range(3) if said is not None else ():
            one = np.zeros((80, 1))
            one[:40][y.numpy() == c] = 1 / (y == c).sum().item()
            one[40:][said == c] = -1 / max((said == c).sum(), 1)
            m = m + one @ one.T
        vectors = scipy.linalg.eigh(gram @ h @ gram, np.eye(80) + gram @ (m / np.linalg.norm(m)) @ gram)[1][:, ::-1][:, :4]
        features = gram @ (vectors / np.linalg.norm(vectors, axis=0))
        features = features / np.linalg.norm(features, axis=1, keepdims=True)
        likeness = features[40:] @ features[:40].T
        said = y.numpy()[likeness.argmax(axis=1)]
        seen.append(said)
    assert not np.array_equal(seen[0], seen[1]) and not np.array_equal(seen[1], seen[2])  # no round is idle
    options = {"kernel": kernel, "gamma": 0.7, "components": 4, "rounds": 3}
    scores = methods.method_class("jda")(**methods.method_options("jda", options)).fit(Task(3, Labelled(source, y), target))(
        target
    )
    best = np.stack([likeness[:, y.numpy() == c].max(axis=1) for c in range(3)], axis=1)
    assert np.allclose(scores.numpy(), 2 * best - 1, atol=1e-8)


def test_bda_in_balance_is_jda_and_without_classes_it_is_tca_of_its_first_round():
    given = task()
    jda = fitted("jda", given)[1]
    assert torch.allclose(fitted("bda", given, balance=0.5)[1], jda, atol=1e-9)
    first = fitted("jda", given, rounds=1)[1]
    assert torch.allclose(fitted("bda", given, balance=0.0)[1], first, atol=1e-9)


def test_the_norm_of_the_mismatch_is_that_of_the_whole_matrix():
    e = transfer_components.class_contrasts(torch.tensor([0, 1, 1, 2]), torch.tensor([0, 0, 1]), 4, rows(1, 2))
    assert torch.allclose(transfer_components.unit(e) @ transfer_components.unit(e).T, e @ e.T / (e @ e.T).norm())
    assert torch.equal(e[4:, 2], torch.zeros(3, dtype=torch.float64))  # no target row is given class 2
    assert torch.equal(e[:, 3], torch.zeros(7, dtype=torch.float64))


def test_class_names_do_not_matter_to_jda():
    given = task()
    turned = Task(3, Labelled(given.source.x, (given.source.y + 1) % 3), given.target)
    assert torch.allclose(fitted("jda", given)[1], fitted("jda", turned)[1].roll(-1, dims=1), atol=1e-9)


def test_joint_matching_says_how_many_rows_it_kept_and_one_round_is_tca():
    given = task()
    method, scores = fitted("tjm", given, rounds=1)
    assert any("source rows keep coefficients" in note for note in method.notes)
    x = torch.cat([given.source.x, given.target]).double()
    made = kernel_columns.kernel_columns(x, "rbf", gamma=None)
    mismatch = made.gather(transfer_components.unit(transfer_components.contrasts(60, 60, x)))
    weights = transfer_components.scaled(
        *transfer_components.components(transfer_components.Scatter(made), mismatch, 1.0, 20), "scatter"
    )
    plain = base_learners.nearest(F.normalize(made.map(weights)[:60]), given.source.y, 3)
    assert torch.allclose(scores, plain(F.normalize(made.at(blobs(9, 45, 0.5).x.double()) @ weights)), atol=1e-8)
    assert float((scores.argmax(1) == blobs(9, 45).y).double().mean()) > 0.9


# subspaces


def test_the_flow_kernel_is_the_integral_over_the_geodesic():
    """Closed form against Simpson's rule on the geodesic through a null space, to 1e-9."""
    source, target = (torch.linalg.qr(rows(seed, 12, 4).double())[0][:, :3] for seed in (1, 2))
    null = torch.linalg.svd(source)[0][:, 3:]
    left, cosine, right = np.linalg.svd((source.T @ target).numpy())
    angle = np.arccos(np.clip(cosine, -1, 1))
    beside = -(null @ null.T @ target).numpy() @ right.T / np.sin(angle)
    ts = np.linspace(0, 1, 2001)
    phis = [source.numpy() @ left * np.cos(t * angle) - beside * np.sin(t * angle) for t in ts]
    assert np.allclose(phis[-1] @ phis[-1].T, target @ target.T)  # it ends in the target's subspace
    integral = scipy.integrate.simpson([p @ p.T for p in phis], x=ts, axis=0)
    root = subspaces.geodesic_flow(source, target)
    assert np.allclose(root @ root.T, integral, atol=1e-9)
    swapped = subspaces.geodesic_flow(target, source)
    assert torch.allclose(root @ root.T, swapped @ swapped.T, atol=1e-12)
    same = subspaces.geodesic_flow(source, source)
    assert torch.allclose(same @ same.T, source @ source.T, atol=1e-7)


def test_principal_directions_of_wide_rows_are_those_of_tall_ones():
    wide = rows(1, 5, 9)
    values, basis = subspaces.spectrum(wide)
    assert basis.shape == (9, 4)  # five centred rows have rank four
    assert torch.allclose((basis * values) @ basis.T, torch.cov(wide.T), atol=1e-10)


def test_powers_of_a_covariance_through_its_span():
    x, y = rows(1, 5, 9), rows(2, 7, 9)
    dense = torch.linalg.eigh(torch.cov(x.T) + 0.5 * torch.eye(9, dtype=torch.float64))
    expected = y @ (dense[1] * dense[0] ** -0.5) @ dense[1].T
    assert torch.allclose(subspaces.times_power(y, *subspaces.spectrum(x), 0.5, -0.5), expected, atol=1e-10)


def test_coral_gives_the_target_covariance_and_changes_nothing_where_they_are_equal():
    x, y = rows(1, 80), rows(2, 70)
    assert torch.allclose(torch.cov(subspaces.coral(x, y, 1e-10).T), torch.cov(y.T), atol=1e-6)
    assert torch.allclose(subspaces.coral(x, x + 3, 1.0), x, atol=1e-10)


def test_monge_maps_moments_translates_and_undoes_itself():
    x, y = rows(1, 80), rows(2, 70) + 2
    moved = subspaces.monge(x, y, 1e-12)
    assert torch.allclose(moved.mean(0), y.mean(0)) and torch.allclose(
        torch.cov(moved.T) * 79 / 80, torch.cov(y.T) * 69 / 70, atol=1e-6
    )
    assert torch.allclose(subspaces.monge(x, x + 3, 1e-12), x + 3, atol=1e-6)
    centred = subspaces.coral(x - x.mean(0), y, 1e-12) + y.mean(0)
    assert (moved - x).square().sum() <= (centred - x).square().sum() + 1e-6
    wide_x, wide_y = rows(1, 5, 20), rows(2, 6, 20)
    assert torch.isfinite(subspaces.monge(wide_x, wide_y, 1e-8)).all()


# EasyTL


def test_easytl_is_the_optimum_of_its_linear_programme():
    kind = methods.method_class("easytl")
    distance = torch.rand(9, 4, generator=torch.Generator().manual_seed(1), dtype=torch.float64) + torch.tensor([0.0, 1, 1, 2])
    chosen = kind(align="none").given(distance, torch.arange(4)).argmin(dim=1)
    assert set(chosen.tolist()) == {0, 1, 2, 3}
    equal = np.kron(np.eye(9), np.ones(4))
    at_least = -np.kron(np.ones(9), np.eye(4))
    best = scipy.optimize.linprog(distance.flatten().numpy(), A_ub=at_least, b_ub=-np.ones(4), A_eq=equal, b_eq=np.ones(9))
    assert float(distance.gather(1, chosen[:, None]).sum()) == pytest.approx(best.fun, abs=1e-9)


def test_easytl_with_too_few_rows_for_its_classes_says_so():
    given = task()
    method, scores = fitted("easytl", Task(3, given.source, given.target[:2]))
    assert numbers(scores) and "2 target rows for 3 classes: nearest class means" in method.notes


# feature augmentation and the location-scale map


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


def test_feature_augmentation_keeps_several_sources_apart():
    source = blobs(1, 60)
    several = Labelled(source.x, source.y, torch.arange(60) % 2)
    few = blobs(2, 15, 0.5)
    apart, method = fitted("feature_augmentation", Task(3, several, None, few))[::-1]
    assert not torch.allclose(apart, fitted("feature_augmentation", Task(3, source, None, few))[1], atol=1e-4)
    assert not any("pooled" in note for note in method.notes)
    assert "2 sources pooled" in fitted("tca", Task(3, several, few.x))[0].notes


def test_the_location_scale_map_stays_where_nothing_is_wrong_and_moves_where_it_is():
    x, y = rows(1, 60, 2), torch.nn.functional.one_hot(torch.arange(60) % 2).double()
    options = {"gamma": 0.2, "penalty": 1e-4, "iterations": 50, "landmarks": 1000}
    still = location_scale.map_source(x, x, y, **options)
    assert torch.allclose(still.rows, x, atol=1e-4) and still.begin == pytest.approx(0, abs=1e-12)
    moved = location_scale.map_source(x, 1.5 * x + 2, y, **options)
    assert moved.end < 0.02 * moved.begin and torch.allclose(moved.rows.mean(0), 1.5 * x.mean(0) + 2, atol=0.3)


# bad input


@pytest.mark.parametrize("name", NEW)
def test_bad_input_gives_numbers_or_one_clear_error(name):
    """Fewer rows than components, all-zero columns, singular covariances, a class without source rows, one row."""
    given = task()
    zeros = torch.cat([given.source.x, torch.zeros(60, 3)], dim=1), torch.cat([given.target, torch.zeros(60, 3)], dim=1)
    torch.manual_seed(0)
    kind, options = methods.method_class(name), methods.method_options(name, {})
    wide = torch.cat([blobs(9, 45, 0.5).x, torch.zeros(45, 3)], dim=1)
    assert numbers(kind(**options).fit(Task(3, Labelled(zeros[0], given.source.y), zeros[1]))(wide))
    few = kind(**options)
    assert numbers(few.fit(Task(3, given.source[torch.arange(4)], given.target[:5]))(blobs(9, 45).x))
    kept = given.source.y != 2
    lacking = kind(**options)
    scores = lacking.fit(Task(3, given.source[kept], given.target))(blobs(9, 45).x)
    assert numbers(scores) and not bool((scores.argmax(dim=1) == 2).any())
    assert "the source has no row of class 2" in lacking.notes
    with pytest.raises(TlbenchError, match="not finite"):
        kind(**options).fit(Task(3, given.source, given.target * torch.nan))


def test_more_components_than_there_are_is_said():
    assert "components: 4 instead of 100, there are no more" in fitted("pca", task())[0].notes
    assert "components: 4 instead of 100, there are no more" in fitted("tca", task())[0].notes


def test_kernels_that_overflow_or_hold_nothing_are_errors():
    for kernel in ("linear", "rbf"):
        with pytest.raises(TlbenchError, match="overflows"):
            kernel_columns.kernel_columns(torch.full((6, 2), 1e200, dtype=torch.float64), kernel)
    nothing = Task(3, Labelled(torch.zeros(6, 2), torch.arange(6) % 3), torch.zeros(5, 2))
    with pytest.raises(TlbenchError, match="all rows are zero"):
        fitted("tca", nothing)


def test_float32_and_float64_inputs_agree():
    """The algebra is in float64 whatever comes in: scores of float32 rows are those of the same numbers in float64."""
    given = task()
    double = Task(3, Labelled(given.source.x.double(), given.source.y), given.target.double())
    for name in NEW:
        assert torch.allclose(fitted(name, given)[1], fitted(name, double)[1], rtol=1e-6, atol=1e-8), name


def test_float32_algebra_stays_near():
    """Principal directions, CORAL and a Gaussian kernel in float32: to 1e-3 of those in float64."""
    x, y = rows(1, 80), rows(2, 70)
    assert torch.allclose(subspaces.coral(x.float(), y.float(), 1.0).double(), subspaces.coral(x, y, 1.0), rtol=1e-3, atol=1e-3)
    gamma = kernels.median_gamma(x)
    assert torch.allclose(kernels.gram(x.float(), y.float(), gamma).double(), kernels.gram(x, y, gamma), atol=1e-4)


# peers; where they are wrong (components, joint matching) the dense problem above is the reference


def theirs(name: str) -> torch.Tensor:
    return torch.tensor(GOLDEN[name])


def golden_regression(name: str, **options: object) -> torch.Tensor:
    """Predictions (M,) for the golden target rows."""
    few = Labelled(theirs("few"), theirs("said")[:, None])
    source = Labelled(theirs("source"), theirs("y")[:, None])
    method = methods.method_class(name)(**methods.method_options(name, {"learner": "ridge", **options}))
    granted = {part: rows for part, rows in (("target", theirs("target")), ("target_labeled", few)) if part in method.reads}
    return method.fit(Task(1, source, **granted, regression=True))(theirs("target"))[:, 0]


def test_coral_is_that_of_adapt_and_of_skada():
    """skada divides by N and moves both domains to mean 0."""
    x, y = theirs("source"), theirs("target")
    assert torch.allclose(subspaces.coral(x, y, 1.0), theirs("coral"), atol=1e-10)
    by_n = (39 / 40) ** 0.5 / (49 / 50) ** 0.5
    assert torch.allclose(by_n * subspaces.coral(x - x.mean(0), y, 1e-12), theirs("skada_coral"), atol=1e-6)


@pytest.mark.parametrize("peer", ["adapt", "skada"])
def test_subspace_alignment_is_that_of(peer):
    """Up to one sign for each column."""
    x, y = theirs("source"), theirs("target")
    adapted = torch.cat([theirs("aligned_source"), theirs("aligned_target")])
    peers = {"adapt": adapted, "skada": theirs("skada_aligned")}[peer]
    bases = [subspaces.principal(part, 3) for part in (x, y)]
    ours = torch.cat([(x - x.mean(0)) @ bases[0] @ (bases[0].T @ bases[1]), (y - y.mean(0)) @ bases[1]])
    assert torch.allclose(ours * (ours * peers).sum(dim=0).sign(), peers, atol=1e-10)


def test_the_monge_map_is_that_of_skada():
    """Its ridge of 1e-8 is added as it is, ours in units of the mean variance."""
    x, y = theirs("source"), theirs("target")
    variance = float(torch.cat([x - x.mean(0), (y - y.mean(0)) * (50 / 40) ** 0.5]).square().sum() / (2 * 50 * 6))
    assert torch.allclose(subspaces.monge(x, y, 1e-8 / variance), theirs("monge"), atol=1e-9)


def test_feature_augmentation_is_that_of_adapt():
    """A ridge on its augmented rows, centred by the mean of both domains."""
    assert torch.allclose(golden_regression("feature_augmentation"), theirs("augmented"), atol=1e-10)


@pytest.mark.parametrize(("rounds", "golden"), [(1, "jdot_2"), (20, "jdot")])
def test_joint_transport_of_a_regression_is_that_of_skada(rounds, golden):
    """After its second plan, and where it has come to rest."""
    pytest.importorskip("ot", reason="POT is not installed (extra `ot`)")
    assert torch.allclose(golden_regression("jdot", rounds=rounds), theirs(golden), atol=1e-10)
    assert float((theirs("jdot") - theirs("jdot_2")).abs().max()) > 1


def test_the_monge_map_is_that_of_pot():
    ot = pytest.importorskip("ot", reason="POT is not installed (extra `ot`)")
    x, y = rows(1, 80), rows(2, 70) + 1
    peer = ot.da.LinearTransport(reg=1e-8).fit(Xs=x.numpy(), Xt=y.numpy()).transform(Xs=x.numpy())
    assert np.allclose(subspaces.monge(x, y, 1e-10), peer, atol=1e-6)
