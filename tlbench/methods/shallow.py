"""What the shallow methods share: granted splits as samples (N, D) in float64, notes for the record, and the base learner."""

from __future__ import annotations

import math
from typing import Literal

import torch
from torch import Tensor

from tlbench.errors import TlbenchError
from tlbench.methods.base import ShallowMethod
from tlbench.solvers import base_learners
from tlbench.solvers.base_learners import Scorer
from tlbench.solvers.kernels.design import KernelDesign
from tlbench.terms import Labelled, Task

Learner = Literal["auto", "nearest_neighbor", "logistic", "svm", "ridge"]
"""The learner that is fitted on the adapted samples. `auto` is 1-NN for classes, as in the papers of subspaces and transport,
and ridge for a regression; logistic and svm become ridge there."""
BOTH_TASKS = frozenset({"classification", "regression"})
MAX_ABSOLUTE_VALUE = 1e60
"""Beyond it products of four values, as in the covariance of a kernel, overflow float64. Float32 overflows long before."""


def source_samples(method: ShallowMethod, task: Task, *, pooled: bool = True) -> Labelled:
    """Source samples (N, D) in float64 with their labels.

    The record gets a note where several sources are pooled, where a class has no source samples, and where all source samples
    are identical.

    Raises:
        TlbenchError: A value is not finite, or products of values overflow.
    """
    assert task.source is not None  # the engine grants what `reads` names
    source, domain = task.source, task.source.domain
    if pooled and domain is not None and int(domain.max()):
        method.note(f"{int(domain.max()) + 1} sources are pooled.")
    if not task.regression:
        count = torch.bincount(source.y, minlength=task.classes)
        if empty := (count == 0).nonzero().flatten().tolist():
            method.note(f"The source has no samples of class {', '.join(map(str, empty))}.")
    x = sample_matrix(source.x, "source")
    if len(x) > 1 and bool((x == x[0]).all()):
        method.note("All source samples are identical: nothing can be learnt from them.")
    return Labelled(x, source.y, domain)


def target_samples(task: Task) -> Tensor:
    """Unlabelled target samples (M, D) in float64.

    Raises:
        TlbenchError: A value is not finite, or products of values overflow.
    """
    assert task.target is not None
    return sample_matrix(task.target, "target")


def target_labeled_samples(task: Task) -> Labelled:
    """Labelled target samples (M, D) in float64 with their labels.

    Raises:
        TlbenchError: A value is not finite, or products of values overflow.
    """
    assert task.target_labeled is not None
    return Labelled(sample_matrix(task.target_labeled.x, "target_labeled"), task.target_labeled.y)


def sample_matrix(x: Tensor, split: str) -> Tensor:
    """Samples (N, ...) as (N, D) in float64.

    Raises:
        TlbenchError: A value is not finite, or products of values overflow; `split` names the samples.
    """
    x_ND = x.flatten(1).double()
    largest = float(torch.linalg.vector_norm(x_ND, torch.inf)) if x_ND.numel() else 0.0
    if not math.isfinite(largest):
        raise TlbenchError(f"The {split} samples have values that are not finite. `tlbench data check SUITE` says where.")
    if largest > MAX_ABSOLUTE_VALUE:
        raise TlbenchError(
            f"The {split} samples have values up to {largest:.0e}, whose products overflow. Scale them (prepare = ['zscore'])."
        )
    return x_ND


def limit_components(method: ShallowMethod, requested: int, available: int) -> int:
    """The number of components to take; the record gets a note where fewer are available than requested."""
    if available < requested:
        method.note(f"{available} components are used instead of {requested}: there are no more.")
    return min(requested, available)


def fit_learner(method: ShallowMethod, x_ND: Tensor, y: Tensor, task: Task) -> Scorer:
    """Fit the method's `learner` with its inverse penalty `c`.

    Args:
        method: a method with the options `learner` and `c`.
        x_ND: samples (N, D).
        y: classes (N,), or target columns (N, K) of a regression.
        task: gives the number of classes, and whether the task is a regression.
    """
    name, c = method.learner, method.c  # type: ignore[attr-defined]  # options of every method that calls this
    if name == "auto":
        name = "ridge" if task.regression else "nearest_neighbor"
    return base_learners.fit_learner(name, x_ND, y, task.classes, c=c, regression=task.regression, note=method.note)


def note_blocks(method: ShallowMethod, source: int, target: int, size: int) -> None:
    """Note in the record that a transport plan is solved in blocks, where it is.

    Args:
        method: the method whose record gets the note.
        source: the number of source samples.
        target: the number of target samples.
        size: the largest number of samples of a domain in one block.
    """
    if max(source, target) > size:
        method.note(f"{source} and {target} samples are transported in blocks of at most {size}.")


def note_unmet_marginals(method: ShallowMethod, iterations: int) -> None:
    """Note in the record that Sinkhorn's iteration has not converged."""
    method.note(f"The marginals of the plan are not met to 1e-8 after {iterations} iterations.")


def note_approximation(method: ShallowMethod, design: KernelDesign) -> None:
    """Note in the record that the kernel is approximate, where it is."""
    if design.approximation:
        method.note(design.approximation)


def note_changing_labels(method: ShallowMethod, previous: Tensor | None, labels: Tensor | None) -> None:
    """Note in the record that the pseudo-labels (M,) still changed in the last of the method's `rounds`."""
    if previous is not None and labels is not None:
        share, rounds = float((previous != labels).double().mean()), method.rounds  # type: ignore[attr-defined]
        method.note(f"The pseudo-labels stopped after {rounds} rounds; {share:.2%} of them changed in the last.")


def fit_soft_labels(method: ShallowMethod, x_MD: Tensor, labels_MC: Tensor, *, regression: bool) -> Scorer:
    """Fit the method's `learner`, of inverse penalty `c`, on samples with soft labels.

    A sample counts once for each of its classes, weighted by its share; 1-NN takes the largest share only.

    Args:
        method: its options `learner` and `c` say what is fitted; its record gets the notes.
        x_MD: samples (M, D).
        labels_MC: shares of the classes (M, C), or columns (M, K) of a regression.
        regression: whether `labels_MC` holds columns.
    """
    classes, learner, c = labels_MC.shape[1], method.learner, method.c  # type: ignore[attr-defined]  # as in fit_learner
    if learner == "auto":
        learner = "ridge" if regression else "nearest_neighbor"
    if regression or learner == "nearest_neighbor":
        labels = labels_MC if regression else labels_MC.argmax(dim=1)
        return base_learners.fit_learner(learner, x_MD, labels, classes, c=c, regression=regression)
    sample, label = (labels_MC > 1e-12).nonzero(as_tuple=True)
    weights = labels_MC[sample, label]
    return base_learners.fit_learner(learner, x_MD[sample], label, classes, weight_N=weights, c=c, note=method.note)
