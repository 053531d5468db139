"""The eigenproblem of transfer components against the dense problem, and the designs that it is posed in."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.integrate
import scipy.linalg
import scipy.optimize
import torch
from alignment_samples import fitted, gaussian_gram, mixed_samples

from tlbench.errors import TlbenchError
from tlbench.solvers import transfer_components
from tlbench.solvers.kernels.design import kernel_design
from tlbench.terms import Labelled, Task


@pytest.mark.parametrize("kernel", ["linear", "rbf"])
def test_transfer_components_are_those_of_the_dense_problem(kernel):
    """eigh(K H K, penalty I + K M K) of scipy: eigenvalues to 1e-10, features to 1e-8 up to sign."""
    x = torch.cat([mixed_samples(1, 30), mixed_samples(2, 25) + 1])
    gram = x.numpy() @ x.numpy().T if kernel == "linear" else gaussian_gram(x.numpy(), 0.05)
    e = np.r_[np.full(30, 1 / 30), np.full(25, -1 / 25)][:, None]
    m, h = e @ e.T / np.linalg.norm(e @ e.T), np.eye(55) - 1 / 55
    values, vectors = scipy.linalg.eigh(gram @ h @ gram, 0.3 * np.eye(55) + gram @ m @ gram)
    design = kernel_design(x, kernel, gamma=0.05)
    mismatch = design.transpose_matmul(transfer_components.normalize_contrasts(transfer_components.mean_contrast(30, 25, x)))
    actual, coefficients = transfer_components.leading_components(transfer_components.Scatter(design), mismatch, 0.3, 4)
    assert np.allclose(actual, values[::-1][:4], rtol=1e-10)
    expected = gram @ vectors[:, ::-1][:, :4]
    ours = design.matmul(coefficients).numpy()
    assert np.allclose(ours * np.sign((ours * expected).sum(axis=0)), expected, atol=1e-8 * np.abs(expected).max())
    # the length of the dual's coefficients is kept by the smaller problem
    lengths = np.linalg.norm(vectors[:, ::-1][:, :4], axis=0)
    assert np.allclose(coefficients.norm(dim=0), lengths, rtol=1e-8)


def test_the_iteration_finds_what_the_dense_solver_finds(monkeypatch):
    x = torch.cat([mixed_samples(1, 200), mixed_samples(2, 150) + 1])
    design = kernel_design(x, "rbf", gamma=0.02)
    mismatch = design.transpose_matmul(transfer_components.normalize_contrasts(transfer_components.mean_contrast(200, 150, x)))
    dense = transfer_components.leading_components(transfer_components.Scatter(design), mismatch, 0.1, 8)
    monkeypatch.setattr(transfer_components, "DENSE_COLUMNS", 10)
    scatter = transfer_components.Scatter(design)
    assert scatter.dense is None
    iterated = transfer_components.leading_components(scatter, mismatch, 0.1, 8, tolerance=1e-10)
    assert torch.allclose(iterated[0], dense[0], rtol=1e-12)
    assert torch.allclose(iterated[1], dense[1], atol=1e-7)


def test_a_diagonal_penalty_is_the_dense_problem_with_it():
    x = torch.cat([mixed_samples(1, 30), mixed_samples(2, 25) + 1])
    gram, e = gaussian_gram(x.numpy(), 0.05), np.r_[np.full(30, 1 / 30), np.full(25, -1 / 25)][:, None]
    diagonal = np.linspace(0.1, 3, 55)
    h = np.eye(55) - 1 / 55
    values = scipy.linalg.eigh(gram @ h @ gram, np.diag(diagonal) + gram @ e @ e.T @ gram, eigvals_only=True)
    design = kernel_design(x, "rbf", gamma=0.05)
    mismatch = design.transpose_matmul(transfer_components.mean_contrast(30, 25, x))
    actual, _ = transfer_components.leading_components(
        transfer_components.Scatter(design), mismatch, torch.from_numpy(diagonal), 5
    )
    assert np.allclose(actual, values[::-1][:5], rtol=1e-10)


def test_nystrom_with_every_sample_as_a_landmark_is_exact():
    x = torch.cat([mixed_samples(1, 60), mixed_samples(2, 50) + 1])
    e = transfer_components.normalize_contrasts(transfer_components.mean_contrast(60, 50, x))
    exact, through = (kernel_design(x, "rbf", gamma=0.002, landmarks=110, exact=n) for n in (200, 100))
    assert through.approximation is not None and "landmarks" in through.approximation and exact.approximation is None
    values = [
        transfer_components.leading_components(transfer_components.Scatter(d), d.transpose_matmul(e), 0.1, 5)[0]
        for d in (exact, through)
    ]
    assert torch.allclose(*values, rtol=1e-5)


def test_a_target_equal_to_the_source_has_no_mismatch_and_a_large_penalty_leaves_the_scatter():
    x = mixed_samples(1, 40)
    design = kernel_design(torch.cat([x, x]), "rbf", gamma=0.05)
    assert design.transpose_matmul(transfer_components.mean_contrast(40, 40, x)).abs().max() < 1e-12
    values, _ = transfer_components.leading_components(
        transfer_components.Scatter(design), design.transpose_matmul(transfer_components.mean_contrast(40, 40, x)), 1.0, 3
    )
    gram = gaussian_gram(torch.cat([x, x]).numpy(), 0.05)
    assert np.allclose(values, np.linalg.eigvalsh(gram @ (np.eye(80) - 1 / 80) @ gram)[::-1][:3])


def test_the_norm_of_the_mismatch_is_that_of_the_whole_matrix():
    e = transfer_components.class_contrasts(torch.tensor([0, 1, 1, 2]), torch.tensor([0, 0, 1]), 4, mixed_samples(1, 2))
    assert torch.allclose(
        transfer_components.normalize_contrasts(e) @ transfer_components.normalize_contrasts(e).T, e @ e.T / (e @ e.T).norm()
    )
    assert torch.equal(e[4:, 2], torch.zeros(3, dtype=torch.float64))  # no target sample has pseudo-label 2
    assert torch.equal(e[:, 3], torch.zeros(7, dtype=torch.float64))


def test_kernels_that_overflow_or_are_zero_are_errors():
    for kernel in ("linear", "rbf"):
        with pytest.raises(TlbenchError, match="overflows"):
            kernel_design(torch.full((6, 2), 1e200, dtype=torch.float64), kernel)
    nothing = Task(3, Labelled(torch.zeros(6, 2), torch.arange(6) % 3), torch.zeros(5, 2))
    with pytest.raises(TlbenchError, match="All samples are zero"):
        fitted("tca", nothing)
