"""What the solved methods of raw features share: the granted parts as rows (N, D) in float64, and their learners."""

from __future__ import annotations

import math
from typing import Literal

import torch
from torch import Tensor

from tlbench.errors import TlbenchError
from tlbench.methods.base import ShallowMethod
from tlbench.solvers import base_learners
from tlbench.solvers.base_learners import Scorer
from tlbench.terms import Labelled, Task

Learner = Literal["auto", "nearest_neighbor", "logistic", "svm", "ridge"]
"""What is trained on the adapted rows. `auto` is 1-NN for classes, as in the papers of subspaces and transport, and ridge for
a regression; logistic and svm become ridge there."""
BOTH_TASKS = frozenset({"classification", "regression"})
LARGEST = 1e60
"""Beyond it products of four values, as in the covariance of a kernel, leave float64. Float32 ends long before, at 3e38."""


def source_samples(method: ShallowMethod, task: Task, *, pooled: bool = True) -> Labelled:
    """Source rows (N, D) in float64 with their labels.

    The record is told where several sources are pooled, where the source has no row of a class, and where its rows are alike.

    Raises:
        TlbenchError: a value is not finite, or its square overflows.
    """
    assert task.source is not None  # the engine grants what `reads` names
    rows, domain = task.source, task.source.domain
    if pooled and domain is not None and int(domain.max()):
        method.note(f"{int(domain.max()) + 1} sources pooled")
    if not task.regression:
        count = torch.bincount(rows.y, minlength=task.classes)
        if empty := (count == 0).nonzero().flatten().tolist():
            method.note(f"the source has no row of class {', '.join(map(str, empty))}")
    x = sample_matrix(rows.x, "source")
    if len(x) > 1 and bool((x == x[0]).all()):
        method.note("the source's rows are all alike: nothing can be learnt from them")
    return Labelled(x, rows.y, domain)


def target_samples(task: Task) -> Tensor:
    """Unlabelled target rows (M, D) in float64.

    Raises:
        TlbenchError: a value is not finite, or its square overflows.
    """
    assert task.target is not None
    return sample_matrix(task.target, "target")


def sample_matrix(x: Tensor, part: str) -> Tensor:
    """Rows (N, ...) as (N, D) in float64; `part` names them where they are not finite, or too large to be multiplied."""
    rows = x.flatten(1).double()
    largest = float(torch.linalg.vector_norm(rows, torch.inf)) if rows.numel() else 0.0
    if not math.isfinite(largest):
        raise TlbenchError(f"{part} rows hold values that are not finite; `tlbench data check SUITE` says where")
    if largest > LARGEST:
        raise TlbenchError(
            f"{part} rows hold {largest:.0e}: products of such values overflow; scale them (prepare = ['zscore'])"
        )
    return rows


def at_most(method: ShallowMethod, wanted: int, there: int, what: str = "components") -> int:
    """`wanted`, or what there is where that is less; the record is told."""
    if there < wanted:
        method.note(f"{what}: {there} instead of {wanted}, there are no more")
    return min(wanted, there)


def fit_learner(method: ShallowMethod, x_ND: Tensor, y: Tensor, task: Task) -> Scorer:
    """The method's `learner`, of inverse penalty `c`, on rows (N, D) with classes (N,) or columns (N, K)."""
    name, c = method.learner, method.c  # type: ignore[attr-defined]  # options of every method that calls this
    if name == "auto":
        name = "ridge" if task.regression else "nearest_neighbor"
    return base_learners.fit_learner(name, x_ND, y, task.classes, c=c, regression=task.regression)


def note_blocks(method: ShallowMethod, source: int, target: int, size: int) -> None:
    """The record is told where a plan is solved in blocks."""
    if max(source, target) > size:
        method.note(f"{source} and {target} rows transported in blocks of at most {size}")


def fit_soft(learner: str, x_MD: Tensor, labels_MC: Tensor, *, c: float, regression: bool) -> Scorer:
    """A learner on rows whose labels are shares of the classes (M, C), or columns (M, K) of a regression.

    A row counts once for each of its classes, by its share; the nearest neighbour has the largest one only.
    """
    classes = labels_MC.shape[1]
    if learner == "auto":
        learner = "ridge" if regression else "nearest_neighbor"
    if regression or learner == "nearest_neighbor":
        labels = labels_MC if regression else labels_MC.argmax(dim=1)
        return base_learners.fit_learner(learner, x_MD, labels, classes, c=c, regression=regression)
    row, of_class = (labels_MC > 1e-12).nonzero(as_tuple=True)
    return base_learners.fit_learner(learner, x_MD[row], of_class, classes, weight_N=labels_MC[row, of_class], c=c)
