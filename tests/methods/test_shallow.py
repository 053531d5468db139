"""All shallow methods: bad input ends in numbers or in a sentence, single precision is enough, devices agree.

What each of them computes is tested in the test files of its family and of tests/solvers.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable
from typing import Any

import pytest
import torch
from tiny_suite import blobs
from torch import Tensor

from tlbench import checks, methods
from tlbench.errors import TlbenchError
from tlbench.methods.base import ShallowMethod
from tlbench.terms import Labelled, Task

pytest.importorskip("ot", reason="POT is not installed (extra `ot`)")
SHALLOW = [name for name in methods.method_names() if issubclass(methods.method_class(name), ShallowMethod)]
REGRESSIONS = [name for name in SHALLOW if "regression" in methods.method_class(name).tasks]
COMPONENTS = [name for name in SHALLOW if "components" in methods.method_class(name).Options.model_fields]
KINDS = [*((name, False) for name in SHALLOW), *((name, True) for name in REGRESSIONS)]

Splits = tuple[Labelled, Tensor, Labelled]
"""Source, target and labelled target samples."""


def splits(columns: int = 4, source: int = 60, target: int = 60, target_labeled: int = 12) -> Splits:
    """Three separated classes; the target is shifted."""
    shifted = blobs(2, max(target, target_labeled), 0.5, columns=columns)
    return blobs(1, source, columns=columns), shifted.x[:target], blobs(3, target_labeled, 0.5, columns=columns)


def changed(change: Callable[[Tensor], Tensor], of: Splits | None = None) -> Splits:
    """The same change of all samples."""
    source, target, target_labeled = of or splits()
    return Labelled(change(source.x), source.y), change(target), Labelled(change(target_labeled.x), target_labeled.y)


def far_apart() -> Splits:
    source, target, target_labeled = splits()
    return source, target + 1e4, Labelled(target_labeled.x + 1e4, target_labeled.y)


FAULTS: dict[str, Callable[[], Splits]] = {
    "fewer samples than components": lambda: splits(source=4, target=5, target_labeled=3),
    "more columns than samples": lambda: splits(columns=50, source=9, target=7, target_labeled=3),
    "columns that are copies": lambda: changed(lambda x: torch.cat([x, x, x[:, :1] + x[:, 1:2]], dim=1)),
    "some columns of zeros": lambda: changed(lambda x: torch.cat([x, torch.zeros(len(x), 3)], dim=1)),
    "samples that are all identical": lambda: changed(lambda x: torch.ones_like(x)),
    "all columns of zeros": lambda: changed(torch.zeros_like),
    "domains far apart": far_apart,
    "values near the end of float32": lambda: changed(lambda x: x * 1e37),
    "values near its beginning": lambda: changed(lambda x: x * 1e-30),
    "one sample of each": lambda: splits(source=1, target=1, target_labeled=1),
}
"""Each ends in numbers, or in one sentence."""


def labels(samples: Labelled, regression: bool) -> Labelled:
    """Two columns that follow the class in place of the classes."""
    return Labelled(samples.x, torch.stack([2.0 * samples.y + 1, 5.0 - samples.y], dim=1)) if regression else samples


def fit(name: str, given: Splits, regression: bool = False, **options: Any) -> tuple[ShallowMethod, Tensor]:
    """The method, and its scores of the target samples."""
    torch.manual_seed(0)
    method = methods.method_class(name)(**methods.method_options(name, options))
    assert isinstance(method, ShallowMethod)
    all_splits = {
        "source": labels(given[0], regression),
        "target": given[1],
        "target_labeled": labels(given[2], regression),
    }
    task = Task(2 if regression else 3, **{split: all_splits[split] for split in method.reads}, regression=regression)
    if method.reads_class_texts:
        texts, columns = ("0", "1", "2"), given[1].shape[1]
        task = dataclasses.replace(task, class_texts=texts, embed_classes=lambda texts: torch.eye(len(texts), columns))
    with torch.no_grad():
        return method, method.fit(task)(given[1])


def numbers(scores: Tensor, count: int) -> None:
    """Scores that can be scored: no NaN, and a finite one for each sample (a class without samples may have minus infinity)."""
    assert len(scores) == count and not bool(scores.isnan().any()) and not bool(scores.isposinf().any())
    assert bool(scores.isfinite().any(dim=1).all())


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize(("name", "regression"), KINDS)
def test_bad_input_ends_in_numbers_or_in_one_sentence(name, regression, fault):
    given = FAULTS[fault]()
    try:
        _, scores = fit(name, given, regression)
    except TlbenchError as error:
        assert fault not in {"fewer samples than components", "columns that are copies", "some columns of zeros"}, error
        assert len(str(error)) > 20
        return
    numbers(scores, len(given[1]))


@pytest.mark.parametrize("name", COMPONENTS)
def test_more_components_than_there_are_are_noted(name):
    method, _ = fit(name, splits(source=4, target=5), components=100)
    assert any("components are used instead of 100" in note for note in method.notes)


@pytest.mark.parametrize("name", [name for name in SHALLOW if "source" in methods.method_class(name).reads])
def test_a_class_without_source_samples_is_noted(name):
    source, target, target_labeled = splits()
    method, scores = fit(name, (source[source.y != 2], target, target_labeled))
    numbers(scores, len(target))
    assert "The source has no samples of class 2." in method.notes
    if "target_labeled" not in method.reads:
        assert not bool((scores.argmax(dim=1) == 2).any())


@pytest.mark.parametrize("name", [name for name in SHALLOW if "source" in methods.method_class(name).reads])
def test_source_samples_that_are_all_identical_are_noted(name):
    source, target, target_labeled = splits()
    method, scores = fit(name, (Labelled(torch.ones_like(source.x), source.y), target, target_labeled))
    numbers(scores, len(target))
    assert "All source samples are identical: nothing can be learnt from them." in method.notes


@pytest.mark.parametrize(
    ("name", "options"),
    [
        *((name, {"gamma": 1.0}) for name in ("kmm", "kliep", "ulsif", "rulsif", "mmd_target_shift")),
        *(("density_ratio", {"bandwidth": 0.5, "leave_one_out": own}) for own in (False, True)),
        ("gaussian_ratio", {}),
        ("nearest_neighbor_weights", {"smoothing": False}),
        ("kmm", {"gamma": 1.0, "band": 1.0}),
    ],
    ids=str,
)
@pytest.mark.parametrize("regression", [False, True])
def test_weights_that_vanish_are_noted(name, options, regression):
    """No target sample is near a source sample: every kernel between them is 0."""
    given = far_apart()
    method, scores = fit(name, given, regression, **options)
    numbers(scores, len(given[1]))
    assert any("vanish" in note or "rest on few samples" in note or "kernel's reach" in note for note in method.notes)


@pytest.mark.parametrize(("name", "regression"), KINDS)
def test_values_whose_squares_overflow_are_an_error(name, regression):
    with pytest.raises(TlbenchError, match="overflow"):
        fit(name, changed(lambda x: x.double() * 1e200), regression)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
@pytest.mark.parametrize("name", SHALLOW)
def test_values_that_are_not_finite_are_an_error(name, value):
    for split in methods.method_class(name).reads:
        source, target, target_labeled = splits()
        broken = {"source": source.x, "target": target, "target_labeled": target_labeled.x}[split]
        broken[1, 2] = value
        with pytest.raises(TlbenchError, match="not finite"):
            fit(name, (source, target, target_labeled))


@pytest.mark.parametrize(("name", "regression"), KINDS)
def test_single_and_double_precision_agree(name, regression):
    """Samples drawn in float64, and the same rounded to float32: equal decisions, scores to 1e-4 of their spread."""
    generator = torch.Generator().manual_seed(5)
    noisy = functools.partial(torch.randn, dtype=torch.float64, generator=generator)
    double = changed(lambda x: x.double() + 0.1 * noisy(x.shape))
    single = changed(lambda x: x.float(), double)
    (_, one), (_, two) = (fit(name, given, regression) for given in (single, double))
    if not regression:
        assert torch.equal(one.argmax(dim=1), two.argmax(dim=1))
    assert float((one - two).abs().max()) <= 1e-4 * float(two.max() - two.min())


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device: torch.cuda.is_available() is False")
@pytest.mark.parametrize("name", SHALLOW)
def test_cpu_and_cuda_agree(name):
    """To 1e-3 of a score, or 1e-4: both are float64, what differs is the order of sums."""
    task, new = checks.toy_task(), checks.toy_samples(4, 90, shift=0.7).x
    assert task.source is not None and task.target is not None and task.target_labeled is not None

    def scores(device: str) -> Tensor:
        torch.manual_seed(0)
        method = methods.method_class(name)(**methods.method_options(name, {}))
        assert isinstance(method, ShallowMethod)
        moved: dict[str, Any] = {"target": task.target.to(device)}
        for split, samples in (("source", task.source), ("target_labeled", task.target_labeled)):
            moved[split] = Labelled(samples.x.to(device), samples.y.to(device))
        withheld = {split: moved[split] if split in method.reads else None for split in ("source", "target", "target_labeled")}
        with torch.no_grad():
            return method.fit(dataclasses.replace(task, **withheld))(new.to(device)).cpu()

    assert torch.allclose(scores("cpu"), scores("cuda"), rtol=1e-3, atol=1e-4)
