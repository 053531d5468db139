"""Scores of records derived again from the predictions beside them, and compared with each other.

Of a classification follow from the predictions and from the numbers of samples per class: the accuracy, that of every class,
and the macro F1. The labels of the data, where they are at hand, decide the rest (`data_labels`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np

from tlbench import records
from tlbench.engine.runtime.metrics import open_set_scores
from tlbench.label_sets import OPEN_SETS, UNKNOWN
from tlbench.metrics import OPEN_SET_METRICS
from tlbench.terms import POSITION_TASKS, Record

TOLERANCE = 1e-9
"""Derived and stored scores are computed in the same order, in double precision."""

SCORES_OF_TASKS: dict[tuple[str, ...], tuple[str, ...]] = {
    ("classification", *POSITION_TASKS): ("target_accuracy", "per_class_accuracy", "macro_f1"),
    ("classification",): ("per_group_accuracy", "online_accuracy"),
    ("regression",): ("r2", "rmse", "mae", "per_target_r2", "source_r2"),
    ("multi_task",): ("per_task", "task_score"),
    POSITION_TASKS: ("scored_positions",),
    ("tokens",): ("entity_f1", "per_entity_f1"),
    ("pixels",): ("mean_iou", "dice"),
    ("spans",): ("exact_match", "answer_f1"),
}
"""Tasks -> the scores that cases of these tasks alone have."""


def prediction_errors(results: Path, record: Record) -> Iterator[str]:
    """The errors of a finished record whose predictions are missing, or whose scores do not follow from them.

    Every run writes them. Regressions had none once; what such a record states can't be told from a lie, so it is run again.
    """
    name, scores = record.scores.predictions, record.scores
    has_classes = record.task == "classification" or record.task in POSITION_TASKS
    is_regression = not has_classes  # or several tasks: a number for each, a class index or a value
    if record.status != "done":
        return
    if name is None:
        yield (
            "It names no predictions, and its scores can't be derived. Contribute the record and the file beside it as the "
            f"run wrote them; a record of before regressions had predictions takes `tlbench run {record.suite} --fresh`."
        )
        return
    predictions = None if is_regression else records.predictions(results, record)
    outputs = records.outputs(results, record) if is_regression else None
    if predictions is None and outputs is None:
        yield f"Its predictions {name} are not beside it, or their content does not have this hash."
    elif outputs is not None:
        samples, columns = outputs.shape
        if samples != scores.scored_samples or columns != (len(scores.per_target_r2 or scores.per_task or ()) or columns):
            yield f"It has {columns} predictions for each of {samples} samples, and scored_rows is {scores.scored_samples}."
    elif predictions is not None:
        yield from _classification_errors(record, *predictions)


def _classification_errors(record: Record, predicted_N: np.ndarray, is_correct_N: np.ndarray) -> Iterator[str]:
    """The errors of the scores of a classification that do not follow from its predictions."""
    scores = record.scores
    correct = int(np.count_nonzero(is_correct_N))
    if record.task in POSITION_TASKS and scores.scored_positions != len(predicted_N):
        yield f"It has predictions of {len(predicted_N)} positions, and scored_positions is {scores.scored_positions}."
        return
    if record.task not in POSITION_TASKS and len(predicted_N) != scores.scored_samples:
        yield f"It has predictions of {len(predicted_N)} samples, and scored_rows is {scores.scored_samples}."
        return
    if scores.target_accuracy is not None and abs(scores.target_accuracy - correct / len(predicted_N)) > TOLERANCE:
        yield f"{correct} of its {len(predicted_N)} predictions are correct, and target_accuracy is {scores.target_accuracy:g}."
    if not scores.per_class_accuracy or int(predicted_N.max()) >= len(scores.per_class_accuracy):
        yield f"Its predictions name {int(predicted_N.max()) + 1} classes, and per_class_accuracy has fewer."
        return
    yield from _class_errors(scores.per_class_accuracy, predicted_N, is_correct_N, scores.macro_f1)


def _class_errors(
    shares: Mapping[str, float | None], predicted_N: np.ndarray, is_correct_N: np.ndarray, macro_f1: float | None
) -> Iterator[str]:
    """The errors of accuracies of classes and of the macro F1, from which the numbers of samples per class follow.

    Args:
        shares: the accuracy of each class, in the order of the classes; None for a class without samples.
        predicted_N: the predicted classes.
        is_correct_N: whether they are correct.
        macro_f1: as the record states it.
    """
    predicted_C = np.bincount(predicted_N, minlength=len(shares))
    correct_C = np.bincount(predicted_N[is_correct_N], minlength=len(shares))
    samples, f1, unknown = 0, [], 0
    for (name, share), predicted, correct in zip(shares.items(), predicted_C.tolist(), correct_C.tolist(), strict=True):
        if not share:
            if correct:
                yield f"per_class_accuracy of {name!r} is {share}, and {correct} of its predictions are correct."
                return
            unknown += share is not None
            f1 += [0.0] if share is not None else []
            continue
        size = round(correct / share)
        if size < 1 or abs(correct / size - share) > TOLERANCE:
            yield f"per_class_accuracy of {name!r} is {share:g}, and {correct} correct predictions are no such share."
            return
        samples += size
        f1.append(2 * correct / (size + predicted))
    rest = len(predicted_N) - samples
    if rest < unknown or (rest > 0 and not unknown):
        yield f"Its per_class_accuracy adds up to {samples} samples, and {len(predicted_N)} are scored."
    elif macro_f1 is None or abs(macro_f1 - float(np.mean(f1))) > TOLERANCE:
        yield f"The macro F1 of its predictions is {float(np.mean(f1)):.6g}, and macro_f1 is {macro_f1}."


def _open_set_errors(record: Record) -> Iterator[str]:
    """The errors of the scores of an open set, which follow from the accuracy of each class."""
    by_class = record.scores.per_class_accuracy
    derived = dict.fromkeys(OPEN_SET_METRICS)
    if record.label_set in OPEN_SETS and by_class:
        if [*by_class][-1] != UNKNOWN:
            yield f"The last class of per_class_accuracy is {[*by_class][-1]!r}, and in an open set it is {UNKNOWN!r}."
            return
        derived = open_set_scores(by_class)
    for name, value in derived.items():
        stated = getattr(record.scores, name)
        agree = stated == value if stated is None or value is None else abs(stated - value) <= TOLERANCE
        if not agree:
            yield f"{name} is {stated}, and per_class_accuracy and the label set {record.label_set!r} give {value}."


def _foreign_score_errors(record: Record) -> Iterator[str]:
    """An error for each score that no case of the record's task has."""
    for tasks, names in SCORES_OF_TASKS.items():
        if record.task not in tasks:
            for name in names:
                if (value := getattr(record.scores, name)) is not None:
                    yield f"{name} is {value}, and a case of task {record.task!r} has no such score."


def _window_errors(record: Record) -> Iterator[str]:
    """An error where the accuracies of the windows of a stream, which cover the scored samples, have another mean than all."""
    scores = record.scores
    windows, samples = scores.online_accuracy, scores.scored_samples
    if windows is None or samples is None or scores.target_accuracy is None:
        return
    if not 0 < len(windows) <= samples:
        yield f"online_accuracy has {len(windows)} windows of {samples} scored samples."
        return
    size, longer = divmod(samples, len(windows))  # as torch.tensor_split cuts: the first windows have one sample more
    sizes = [size + (number < longer) for number in range(len(windows))]
    mean = float(np.average(windows, weights=sizes))
    if abs(mean - scores.target_accuracy) > TOLERANCE:
        yield f"The windows of online_accuracy have the mean {mean:g}, and target_accuracy is {scores.target_accuracy:g}."


def _task_errors(record: Record) -> Iterator[str]:
    """The errors of the scores of several tasks that contradict each other."""
    scores = record.scores
    per_task = scores.per_task or {}
    for name, one in per_task.items():
        if scores.scored_samples is not None and one.samples > scores.scored_samples:
            yield f"per_task of {name!r} is of {one.samples} samples, and {scores.scored_samples} are scored."
        if one.accuracy is not None and abs(one.accuracy * one.samples - round(one.accuracy * one.samples)) > 1e-3:
            yield f"The accuracy {one.accuracy:g} of task {name!r} is no whole number of {one.samples} samples."
    shares = [one.r2 if one.accuracy is None else one.accuracy for one in per_task.values()]
    measured = [share for share in shares if share is not None]
    mean = float(np.mean(measured)) if measured else None
    stated = scores.task_score
    agree = stated == mean if stated is None or mean is None else abs(stated - mean) <= 1e-6 * max(1.0, abs(mean))
    if not agree:
        yield f"The mean over the tasks of per_task is {mean}, and task_score is {stated}."


def score_errors(record: Record) -> Iterator[str]:
    """The errors of scores of a record that contradict each other, whatever its predictions are."""
    scores = record.scores
    is_of_positions = record.task in POSITION_TASKS
    scored = scores.scored_positions if is_of_positions else scores.scored_samples
    if scored is not None and scores.target_accuracy is not None:
        correct = scores.target_accuracy * scored
        if abs(correct - round(correct)) > 1e-3:
            unit = "positions" if is_of_positions else "samples"
            share = f"target_accuracy {scores.target_accuracy:g} of {scored} scored {unit}"
            yield f"{share} is no whole number of correct predictions."
    for name, shares in (("class", scores.per_class_accuracy), ("group", scores.per_group_accuracy)):
        measured = [share for share in (shares or {}).values() if share is not None]
        if not measured or scores.target_accuracy is None:
            continue
        if not min(measured) - TOLERANCE <= scores.target_accuracy <= max(measured) + TOLERANCE:
            yield f"target_accuracy {scores.target_accuracy:g} is not between the lowest and the highest accuracy of a {name}."
    yield from _open_set_errors(record)
    yield from _foreign_score_errors(record)
    yield from _window_errors(record)
    yield from _task_errors(record)
    if scores.r2 is not None and scores.per_target_r2:
        mean = float(np.mean(list(scores.per_target_r2.values())))
        if abs(mean - scores.r2) > 1e-6 * max(1.0, abs(mean)):
            yield f"The mean of per_target_r2 is {mean:g}, and r2 is {scores.r2:g}."
    if scores.mae is not None and scores.rmse is not None and scores.mae > scores.rmse * (1 + 1e-6):
        yield f"mae is {scores.mae:g} and rmse is {scores.rmse:g}, and a mean absolute error is never the larger one."
