"""Contract checks of methods: functions that take a method's name and raise TlbenchError where it breaks its contract.

The first line of a check's docstring is the sentence that `tlbench check` prints for it. The checks run on a small task with a
shift (toy_task.py), on the CPU.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

from tlbench import methods
from tlbench.checks.leaks import ignores_scored_labels, remembers_no_other_case
from tlbench.checks.soft_labels import takes_class_probabilities
from tlbench.checks.source_free import adapts_without_the_source
from tlbench.checks.toy_task import (
    CPU,
    base_scores,
    fit_method,
    fixed_samples,
    follows_the_stream,
    predict_scores,
    scores_after_fit,
    toy_regression,
    toy_samples,
    toy_task,
)
from tlbench.engine.data.inputs import draw_batches
from tlbench.engine.failure import defined_at, failure_reason, traceback_text
from tlbench.engine.runtime import metrics
from tlbench.engine.runtime.seeds import seeded_rng
from tlbench.errors import ContractError, TlbenchError
from tlbench.methods.base import DeepMethod, Method, ShallowMethod
from tlbench.process_state import restored_state
from tlbench.terms import SPLITS, STREAM_SPLIT, Step, Task

LEAST_ACCURACY = 0.9
LEAST_R2 = 0.8
"""What a method must reach on the toy task where source and target have the same distribution."""


def declares_its_contract(name: str) -> None:
    """The file defines one method with a docstring, `reads`, and a default and a description for each option."""
    kind = methods.method_class(name)
    try:
        kind.check()
    except ValueError as error:
        raise TlbenchError(str(error)) from error
    if not methods.method_summary(name).strip():
        raise TlbenchError("The file has no docstring. Begin it with one that says what the method does and names its source.")
    fields = kind.Options.model_fields
    if missing := [option for option, field in fields.items() if field.is_required()]:
        raise TlbenchError(f"These options have no default: {', '.join(missing)}.")
    if missing := [option for option, field in fields.items() if not field.description]:
        raise TlbenchError(f"These options have no description: {', '.join(missing)}. Write Field(..., description=...).")


def rejects_invalid_options(name: str) -> None:
    """Unknown options and values of a wrong type are rejected."""
    invalid: list[dict[str, Any]] = [
        {"no_such_option": 1},
        *({option: object()} for option in methods.method_class(name).Options.model_fields),
    ]
    for options in invalid:
        try:
            methods.method_options(name, options)
        except TlbenchError:
            continue
        raise TlbenchError(f"The invalid option {options} is accepted. Declare its type and range.")


def predicts_finite_scores(name: str) -> None:
    """Predictions are class scores of shape (N, C), none of which is NaN, and some of which is finite for each sample."""
    metrics.predicted_classes(base_scores(name))


def depends_exactly_on_reads(name: str) -> None:
    """The result depends on every split that `reads` names, and on no other; and on class names where it reads them."""
    kind, fitted = methods.method_class(name), fit_method(name, toy_task())
    before = predict_scores(fitted, fixed_samples())
    influential = {split for split in SPLITS if not torch.equal(before, scores_after_fit(name, toy_task(swapped=split)))}
    if follows_the_stream(name, fitted, before):
        influential.add(STREAM_SPLIT)
    # the engine withholds class names from all other methods
    if kind.reads_class_texts and torch.equal(before, scores_after_fit(name, toy_task(swapped="class_texts"))):
        raise TlbenchError("`reads_class_texts` is True, but the result does not depend on the class names.")
    reads = kind.reads
    if influential != reads:
        raise TlbenchError(f"`reads` names {sorted(reads)}, but the result depends on {sorted(influential)}.")


def is_deterministic(name: str) -> None:
    """Two runs of the same case give the same predictions, bit for bit."""
    if not torch.equal(base_scores(name), scores_after_fit(name, toy_task())):
        raise TlbenchError(
            "A second run of the same case gives other predictions. Draw random numbers from torch's generator only."
        )


def classifies_without_shift(name: str) -> None:
    """A classifier reaches an accuracy of 0.9 where source and target have the same distribution."""
    if "classification" not in methods.method_class(name).tasks:
        return
    splits: dict[str, Any] = {"source": toy_samples(1), "target": toy_samples(2).x, "target_labeled": toy_samples(3, 30)}
    task = dataclasses.replace(toy_task(), **splits)
    test = toy_samples(4, 90)
    scores = predict_scores(fit_method(name, task, steps=200), test.x)
    accuracy = float((scores.argmax(1) == test.y).double().mean())
    if accuracy < LEAST_ACCURACY:
        raise TlbenchError(f"Without a shift the accuracy is {accuracy:.2f}. It must be at least {LEAST_ACCURACY}.")


def regresses_without_shift(name: str) -> None:
    """A regression of one or two columns reaches an R2 of 0.8 where source and target have the same distribution."""
    if "regression" not in methods.method_class(name).tasks:
        return
    for columns in (1, 2):
        source, target, target_labeled = (toy_regression(*draw, columns=columns) for draw in ((1, 120), (2, 120), (3, 30)))
        task = Task(columns, source, target.x, target_labeled, regression=True)
        test = toy_regression(4, 90, columns=columns)
        predictions = predict_scores(fit_method(name, task, steps=400), test.x)
        r2 = metrics.regression_scores(predictions, test.y, ())["r2"]
        if not isinstance(r2, float) or r2 < LEAST_R2:
            raise TlbenchError(f"Without a shift R2 is {r2} for target columns: {columns}. It must be at least {LEAST_R2}.")


def every_parameter_gets_a_gradient(name: str) -> None:
    """Every parameter of a deep method gets a gradient during the training."""
    kind = methods.method_class(name)
    if not issubclass(kind, DeepMethod):
        return
    initial: dict[str, Tensor] = {}
    init, is_inherited = kind.__init__, "__init__" not in vars(kind)

    def init_and_copy(self: DeepMethod, *arguments: Any, **options: Any) -> None:
        init(self, *arguments, **options)
        initial.update({key: parameter.detach().clone() for key, parameter in self.named_parameters()})

    kind.__init__ = init_and_copy  # type: ignore[method-assign]
    try:
        fitted = fit_method(name, toy_task())
    finally:
        if is_inherited:
            del kind.__init__
        else:
            kind.__init__ = init  # type: ignore[method-assign]
    assert isinstance(fitted.method, DeepMethod)
    # the toy suite has neither weight decay nor momentum: without a gradient a parameter keeps its value
    unchanged = [key for key, parameter in fitted.method.named_parameters() if torch.equal(parameter, initial[key])]
    if unchanged:
        raise TlbenchError(
            f"These parameters never get a gradient: {', '.join(unchanged)}. Use them in the loss, or remove them."
        )


def weight_zero_is_source_only(name: str) -> None:
    """A deep method on source and target with an option `weight` equals source_only at weight 0, bit for bit."""
    kind = methods.method_class(name)
    if not issubclass(kind, DeepMethod) or kind.reads != {"source", "target"} or "weight" not in kind.Options.model_fields:
        return
    if not torch.equal(scores_after_fit(name, toy_task(), {"weight": 0.0}), base_scores("source_only")):
        raise TlbenchError(
            "At weight = 0 the result is not that of source_only. Return self.supervised(step) before anything else is "
            "computed or drawn."
        )


def is_invariant_to_sample_order(name: str) -> None:
    """The order of the samples in a batch, or in a split of a shallow method, changes nothing beyond rounding."""
    kind, task = methods.method_class(name), toy_task()
    if issubclass(kind, ShallowMethod):
        assert task.source is not None and task.target is not None and task.target_labeled is not None
        order = torch.randperm(120, generator=torch.Generator().manual_seed(0))
        target_labeled = task.target_labeled[torch.arange(14, -1, -1)]
        splits: dict[str, Any] = {"source": task.source[order], "target": task.target[order], "target_labeled": target_labeled}
        permuted = dataclasses.replace(task, **splits)
        if not torch.allclose(scores_after_fit(name, task), scores_after_fit(name, permuted), rtol=1e-4, atol=1e-6):
            raise TlbenchError("The result depends on the order of the samples.")
        return
    if kind.draws_per_sample:
        return  # a permuted batch draws other values: the losses agree in distribution only
    fitted = fit_method(name, task)
    assert isinstance(fitted.method, DeepMethod)
    *_, phase = (phase for phase in fitted.method.phases() if phase.loss is not None)
    indices = {split: draw_batches(len(getattr(task, split)), 1, 32, 7, CPU)[0] for split in SPLITS if split in phase.reads}
    order = torch.randperm(32, generator=torch.Generator().manual_seed(1))

    def loss(indices: Mapping[str, Tensor]) -> Tensor:
        batches = {split: getattr(task, split)[index] for split, index in indices.items()}
        step = Step(**batches, indices=indices, progress=0.5)
        assert phase.loss is not None
        with seeded_rng(5, CPU):
            if isinstance(phase.loss, tuple):
                return torch.stack([update.loss(step) for update in phase.loss])
            value = phase.loss(step)
        return torch.stack(value) if isinstance(value, tuple) else value

    permuted_indices = {split: index[order] for split, index in indices.items()}
    if not torch.allclose(loss(indices), loss(permuted_indices), rtol=1e-4, atol=1e-6):
        raise TlbenchError("The loss depends on the order of the samples in a batch.")


METHOD_CHECKS: tuple[Callable[[str], None], ...] = (
    declares_its_contract,
    rejects_invalid_options,
    predicts_finite_scores,
    depends_exactly_on_reads,
    is_deterministic,
    classifies_without_shift,
    regresses_without_shift,
    every_parameter_gets_a_gradient,
    weight_zero_is_source_only,
    is_invariant_to_sample_order,
    takes_class_probabilities,
    adapts_without_the_source,
    ignores_scored_labels,
    remembers_no_other_case,
)


def check_method(name: str) -> list[str]:
    """Run all contract checks on a method.

    Raises:
        TlbenchError: with a line for every check that fails.

    Returns:
        A sentence for each check.
    """
    try:
        kind: type[Method] | None = methods.method_class(name)
    except TlbenchError:  # the first check says why
        kind = None
    origin = defined_at(kind) if kind is not None else ""
    return run_checks(METHOD_CHECKS, name, f"{origin}: method {name}" if origin else f"method {name}", kind)


def run_checks(checks: tuple[Callable[[str], None], ...], name: str, where: str, kind: type[Method] | None = None) -> list[str]:
    """Run contract checks on a method or a backbone; where the first fails, the others have no meaning and do not run.

    Args:
        checks: the checks.
        name: the method or backbone.
        where: what stands at the start of the error.
        kind: the class of the method: an error that it raises is reported with the line in its file.

    Raises:
        ContractError: with a line for each reason for which checks fail.

    Returns:
        A sentence for each check, the first line of its docstring.
    """
    passed: list[str] = []
    failed: dict[str, tuple[str, list[str]]] = {}
    """By its reason without numbers, which sample sizes decide, the first reason and the checks that fail for it."""
    trace = ""
    for check in checks:
        try:
            with restored_state():
                check(name)
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # third-party code may raise anything
            reason = failure_reason(error, kind)
            failed.setdefault(re.sub(r"\d+", "#", reason), (reason, []))[1].append(check.__name__)
            trace = trace or ("" if isinstance(error, TlbenchError) else traceback_text(error))
            if check is checks[0]:
                break
        else:
            passed.append((check.__doc__ or check.__name__).partition("\n")[0])
    if failed:
        lines = [f"{_listed(names)}: {reason}" for reason, names in failed.values()]
        raise ContractError(f"{where}:\n  " + "\n  ".join(lines), passed, trace)
    return passed


def _listed(names: list[str]) -> str:
    """The first of several names, and how many there are more."""
    more = len(names) - 1
    return names[0] if not more else f"{names[0]} and {more} more check{'s' * (more > 1)}"
