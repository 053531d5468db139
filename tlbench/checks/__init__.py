"""The promises that every method, suite and results file keeps; run by the tests, and by `tlbench check` on the user's own.

A promise is a function that returns, or raises TlbenchError saying what was promised and what was seen.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

from tlbench import methods
from tlbench.checks.contribution import check_contribution
from tlbench.checks.files import check_results, check_suite
from tlbench.checks.host_sync import host_syncs
from tlbench.checks.toy_task import (
    CLASSES,
    CPU,
    fit,
    outcome,
    scores,
    stream_scores,
    toy_regression,
    toy_samples,
    toy_suite,
    toy_task,
)
from tlbench.engine.data import splits
from tlbench.engine.data.inputs import draw
from tlbench.engine.runtime import metrics
from tlbench.engine.runtime.seeds import seeded_rng
from tlbench.errors import TlbenchError
from tlbench.methods.base import DeepMethod, ShallowMethod
from tlbench.terms import SPLITS, STREAM_SPLIT, Domain, Labelled, Step, Task

__all__ = [
    "METHOD_CHECKS",
    "check_contribution",
    "check_method",
    "check_results",
    "check_suite",
    "fit",
    "host_syncs",
    "outcome",
    "scores",
    "toy_samples",
    "toy_suite",
    "toy_task",
]


def declares(name: str) -> None:
    """The file holds one method, it says what it reads, its first line says what it is, and its options have defaults."""
    kind = methods.method_class(name)
    try:
        kind.check()
    except ValueError as error:
        raise TlbenchError(f"{name}: {error}") from error
    if not methods.method_summary(name).strip():
        raise TlbenchError(f"{name}: the file begins with a docstring that says what the method is and where it is from")
    if missing := [key for key, field in kind.Options.model_fields.items() if field.is_required()]:
        raise TlbenchError(f"{name}: options without a default: {', '.join(missing)}")
    if bare := [key for key, field in kind.Options.model_fields.items() if not field.description]:
        raise TlbenchError(f"{name}: options without a description: {', '.join(bare)}")


def refuses_wrong_options(name: str) -> None:
    """An option that does not exist, and one of a wrong type, are refused with a sentence."""
    wrong: list[dict[str, Any]] = [
        {"no_such_option": 1},
        *({key: object()} for key in methods.method_class(name).Options.model_fields),
    ]
    for given in wrong:
        try:
            methods.method_options(name, given)
        except TlbenchError:
            continue
        raise TlbenchError(f"{name}: takes the option {given} without a word")


def reads_what_it_says(name: str) -> None:
    """The result follows the parts that `reads` names, and no other."""
    before = outcome(name, toy_task())
    follows = {part for part in SPLITS if not torch.equal(before, outcome(name, toy_task(swapped=part)))}
    if not torch.allclose(stream_scores(name, 0.7), stream_scores(name, 3.0), rtol=1e-4, atol=1e-5):
        follows.add(STREAM_SPLIT)
    if follows != methods.method_class(name).reads:
        raise TlbenchError(
            f"{name} says that it reads {sorted(methods.method_class(name).reads)}, its result follows {sorted(follows)}"
        )


def is_deterministic(name: str) -> None:
    """The same case gives the same scores, bit for bit."""
    if not torch.equal(outcome(name, toy_task()), outcome(name, toy_task())):
        raise TlbenchError(f"{name}: the same case gives other numbers the second time")


def learns_without_a_shift(name: str) -> None:
    """Where source and target are the same, accuracy is at least 0.9."""
    if "classification" not in methods.method_class(name).tasks:
        return
    task = Task(CLASSES, toy_samples(1), toy_samples(2).x, toy_samples(3, 30))
    fitted = fit(name, task, steps=200)
    rows = toy_samples(4, 90)
    right = float((scores(fitted, rows.x).argmax(1) == rows.y).double().mean())
    if right < 0.9:
        raise TlbenchError(f"{name}: accuracy {right:.2f} where source and target are the same; 0.9 is promised")


def regresses_where_it_says(name: str) -> None:
    """Where `tasks` names regression: two columns are predicted in their own units, R2 at least 0.8 without a shift."""
    kind = methods.method_class(name)
    if "regression" not in kind.tasks:
        return
    task = Task(2, toy_regression(1), toy_regression(2).x, toy_regression(3, 30), regression=True)
    rows = toy_regression(4, 90)
    given = scores(fit(name, task, steps=400), rows.x)
    if given.shape != (90, 2):
        raise TlbenchError(f"{name}: predictions of shape {tuple(given.shape)}, not (90, 2)")
    r2 = metrics.regression_scores(given, rows.y, ("first", "second"))["r2"]
    if not isinstance(r2, float) or r2 < 0.8:
        raise TlbenchError(f"{name}: R2 {r2} where source and target are the same; 0.8 is promised")


def scores_have_the_right_shape(name: str) -> None:
    """Rows (N, ...) -> finite scores (N, C)."""
    scores = outcome(name, toy_task())
    if scores.shape != (90, CLASSES) or bool(torch.isnan(scores).any()):
        raise TlbenchError(f"{name}: scores of shape {tuple(scores.shape)}, not (90, {CLASSES}), or not numbers")


def every_parameter_gets_a_gradient(name: str) -> None:
    """No parameter of a trained method is left without a gradient over the whole training."""
    kind = methods.method_class(name)
    if not issubclass(kind, DeepMethod):
        return
    start: dict[str, Tensor] = {}
    build, inherited = kind.__init__, "__init__" not in vars(kind)

    def remember(self: DeepMethod, *arguments: Any, **options: Any) -> None:
        build(self, *arguments, **options)
        start.update({key: parameter.detach().clone() for key, parameter in self.named_parameters()})

    kind.__init__ = remember  # type: ignore[method-assign]
    try:
        fitted = fit(name, toy_task())
    finally:
        if inherited:
            del kind.__init__
        else:
            kind.__init__ = build  # type: ignore[method-assign]
    assert isinstance(fitted.method, DeepMethod)
    # the toy has neither weight decay nor momentum: what never got a gradient is where it was
    if still := [key for key, parameter in fitted.method.named_parameters() if torch.equal(parameter, start[key])]:
        raise TlbenchError(f"{name}: parameters that never get a gradient: {', '.join(still)}")


def without_its_term_it_is_the_baseline(name: str) -> None:
    """A trained method that reads source and target is, at weight 0, `source_only` bit for bit."""
    kind = methods.method_class(name)
    if not issubclass(kind, DeepMethod) or kind.reads != {"source", "target"} or "weight" not in kind.Options.model_fields:
        return
    if not torch.equal(outcome(name, toy_task(), {"weight": 0.0}), outcome("source_only", toy_task())):
        raise TlbenchError(f"{name}: with weight = 0 it is not source_only; no term, draw or forward may be left")


def order_of_rows_does_not_matter(name: str) -> None:
    """Permuting the rows that a loss, or a closed form, is given changes nothing beyond rounding."""
    kind, task = methods.method_class(name), toy_task()
    order = torch.randperm(120, generator=torch.Generator().manual_seed(0))
    if issubclass(kind, ShallowMethod):
        assert task.source is not None and task.target is not None and task.target_labeled is not None
        few = task.target_labeled[torch.arange(14, -1, -1)]
        turned = Task(CLASSES, task.source[order], task.target[order], few)
        if not torch.allclose(outcome(name, task), outcome(name, turned), rtol=1e-4, atol=1e-6):
            raise TlbenchError(f"{name}: its result depends on the order of the rows")
        return
    if kind.draws_per_row:
        return  # other rows draw other values: the law holds for the distribution, not for one draw
    fitted = fit(name, task)
    assert isinstance(fitted.method, DeepMethod)
    phase = [phase for phase in fitted.method.phases() if phase.loss is not None][-1]
    rows = {part: draw(len(getattr(task, part)), 1, 32, 7, CPU)[0] for part in SPLITS if part in phase.reads}
    turn = torch.randperm(32, generator=torch.Generator().manual_seed(1))

    def loss(drawn: Mapping[str, Tensor]) -> Tensor:
        step = Step(**{p: getattr(task, p)[i] for p, i in drawn.items()}, indices=drawn, progress=0.5)
        assert phase.loss is not None
        with seeded_rng(5, CPU):
            made = tuple(t.loss(step) for t in phase.loss) if isinstance(phase.loss, tuple) else phase.loss(step)
        return torch.stack(made) if isinstance(made, tuple) else made

    if not torch.allclose(loss(rows), loss({p: i[turn] for p, i in rows.items()}), rtol=1e-4, atol=1e-6):
        raise TlbenchError(f"{name}: its loss depends on the order of the rows of a batch")


def scored_labels_do_not_matter(name: str) -> None:
    """With other labels on the scored rows every score is the same, bit for bit."""
    sources = [Domain("a", toy_samples(1), ("0", "1", "2"), "a")]
    seen = []
    for order in (torch.arange(60), torch.arange(59, -1, -1)):
        test = toy_samples(5, 60, shift=0.7)
        target = Domain("b", toy_samples(2, shift=0.7), ("0", "1", "2"), "b", Labelled(test.x, test.y[order]))
        parts = splits.make_case_data(sources, target, toy_suite().protocol, lambda use: sum(use.encode()), CPU)
        seen.append(outcome(name, parts.granted.task()))
    if not torch.equal(*seen):
        raise TlbenchError(f"{name}: labels of scored rows change its result")


METHOD_CHECKS: tuple[Callable[[str], None], ...] = (
    declares,
    refuses_wrong_options,
    scores_have_the_right_shape,
    reads_what_it_says,
    is_deterministic,
    learns_without_a_shift,
    regresses_where_it_says,
    every_parameter_gets_a_gradient,
    without_its_term_it_is_the_baseline,
    order_of_rows_does_not_matter,
    scored_labels_do_not_matter,
)


def check_method(name: str) -> list[str]:
    """Hold a method to every promise.

    Raises:
        TlbenchError: with every promise that it breaks.

    Returns:
        The promises that it keeps, as sentences.
    """
    kept, broken = [], []
    for promise in METHOD_CHECKS:
        try:
            promise(name)
            kept.append(f"{promise.__name__.replace('_', ' ')}")
        except TlbenchError as error:
            broken.append(f"{promise.__name__.replace('_', ' ')}: {error}")
            if promise is declares:
                break
        except Exception as error:  # a method of anyone's may raise anything
            broken.append(f"{promise.__name__.replace('_', ' ')}: {type(error).__name__}: {error}")
    if broken:
        raise TlbenchError(f"method {name}:\n  " + "\n  ".join(broken))
    return kept
