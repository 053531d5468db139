"""One flat data frame from records: one line per record, one column per fact."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from itertools import islice
from typing import Any

import pandas as pd

from tlbench.errors import TlbenchError
from tlbench.metrics import METRICS
from tlbench.records import last_possible_time
from tlbench.terms import Cost, Record

_json = json.JSONEncoder(sort_keys=True, default=str).encode

_COSTS = ("train_seconds", "train_samples_per_second", "predict_samples_per_second", "peak_memory_bytes", "energy_joules")

DETAILS = tuple(name for name in Cost.model_fields if name not in (*_COSTS, "steps", "batch", "positions", "predict_rates"))
"""The fields of `Cost` that hold a number and that the main cost tables do not show."""

SCORES = tuple(dict.fromkeys((*METRICS, "source_accuracy")))
"""The scores of a record, in the record's units; all metrics by which a suite may be compared are among them."""

_REAL = (*SCORES, "mean_class_accuracy", *_COSTS[:3], "energy_joules", *DETAILS)
_WHOLE = ("schema", "suite_version", "seed", "target_labels")
_WHOLE_OR_NULL = (
    "scored_samples",
    "scored_positions",
    "peak_memory_bytes",
    "steps",
    "batch",
    "positions",
    "cores",
    "threads",
    "concurrent_cases",
    "devices",
    "classes",
)

COLUMNS = (
    *("suite", "suite_version", "entry", "method", "options", "sources", "target", "pair", "seed", "status", "reason"),
    *("kind", "reads", "metric", "baseline", "target_labels"),
    *(*SCORES, "mean_class_accuracy", "classes", "per_class", "per_group"),
    *("per_task", "online_accuracy", "scored_samples", "scored_positions", "predictions"),
    *("train_seconds", "train_samples_per_second", "predict_samples_per_second"),
    *("peak_memory_bytes", "energy_joules", "steps", "batch", "positions", *DETAILS),
    *("device", "precision", "torch", "driver", "cuda", "cpu", "cores", "threads", "concurrent_cases", "devices"),
    *("tlbench", "commit", "dirty"),
    *("data", "suite_hash", "sweep_levels", "weights_source", "started", "finished", "schema", "identity", "model"),
)
"""The columns of a frame, in order.

`options`, `data`, `sweep_levels` and `weights_source` are JSON text; `sources` and `reads` are joined by "+". `per_class` and
`per_group` hold the record's mappings of accuracies, `per_task` that of the scores of each task, and `online_accuracy` its
list. `mean_class_accuracy` is the mean over the classes that have scored samples, `classes` their number, and
`worst_group_accuracy` the lowest accuracy of a group.
"""

_DTYPES: dict[str, Any] = {
    **dict.fromkeys(_REAL, "float64"),
    **dict.fromkeys(_WHOLE, "int64"),
    **dict.fromkeys(_WHOLE_OR_NULL, "Int64"),
    "dirty": "boolean",
    **dict.fromkeys(("per_class", "per_group", "per_task", "online_accuracy"), object),
    **dict.fromkeys(("reason", "kind", "baseline", "predictions", "driver", "cuda", "cpu", "commit"), "str"),
    **dict.fromkeys(("suite_hash", "sweep_levels", "weights_source", "model"), "str"),
}
"""The types of the columns that pandas can't infer from a chunk of records in which every value is missing."""

_CHUNK = 5000
"""Records that are converted at a time; converting all at once would take several times the memory."""


def frame(records: Iterable[Record]) -> pd.DataFrame:
    """The data frame of the records: one line per record, the columns `COLUMNS`.

    A value that was not measured is missing, never 0. The frame keeps superseded records too, those with a later record of
    the same case; the tables leave them out.
    """
    chunks, remaining = [], iter(records)
    while values := [_values_of(record) for record in islice(remaining, _CHUNK)]:
        chunks.append(_frame(values))
    return pd.concat(chunks, ignore_index=True) if chunks else _frame([])


def _frame(values: list[tuple[object, ...]]) -> pd.DataFrame:
    try:
        flat = pd.DataFrame(values, columns=list(COLUMNS))
    except UnicodeEncodeError:  # a lone surrogate, which JSON can spell and Arrow can't hold
        flat = pd.DataFrame([tuple(map(_encodable, of_record)) for of_record in values], columns=list(COLUMNS))
    return flat.astype(_DTYPES)


def _values_of(record: Record) -> tuple[object, ...]:
    """The values of one record in the order of `COLUMNS`."""
    scores, cost, machine, code = record.scores, record.cost, record.machine, record.code
    groups, classes = _measured(scores.per_group_accuracy), _measured(scores.per_class_accuracy)
    derived = {"worst_group_accuracy": min(groups, default=None)}
    return (
        *(record.suite, record.suite_version, record.entry, record.method, _json(record.options)),
        *("+".join(record.sources), record.target, record.pair, record.seed, record.status, record.reason),
        *(record.kind, "+".join(record.reads), record.metric, record.baseline, record.target_labels),
        *(derived[name] if name in derived else getattr(scores, name) for name in SCORES),
        *(sum(classes) / len(classes) if classes else None, len(classes) or None),
        *(scores.per_class_accuracy, scores.per_group_accuracy, _tasks(record), scores.online_accuracy),
        *(scores.scored_samples, scores.scored_positions, scores.predictions),
        *(cost.train_seconds, cost.train_samples_per_second, cost.predict_samples_per_second),
        *(cost.peak_memory_bytes, cost.energy_joules, cost.steps, cost.batch, cost.positions),
        *(getattr(cost, name) for name in DETAILS),
        *(machine.device, machine.precision, machine.torch, machine.driver, machine.cuda, machine.cpu, machine.cores),
        *(machine.threads, machine.concurrent_cases, machine.devices),
        *(code.tlbench, code.commit, code.dirty),
        *(_json(record.data), record.suite_hash, _levels(record), _weights_source(record)),
        *(record.started, record.finished, record.schema_, record.identity, record.model),
    )


def _tasks(record: Record) -> dict[str, dict[str, float | int | None]] | None:
    """The scores of each of several tasks by their names."""
    per_task = record.scores.per_task
    return None if per_task is None else {name: scores.model_dump() for name, scores in per_task.items()}


def _levels(record: Record) -> str | None:
    """What a record tells of sweeps, as JSON text; None where it tells nothing."""
    if record.sweep_levels is None:
        return None
    return _json({name: level.model_dump() for name, level in record.sweep_levels.items()})


def _weights_source(record: Record) -> str | None:
    """What a record states of pre-trained weights, as JSON text; None where it states nothing."""
    return None if record.weights_source is None else _json(record.weights_source.model_dump())


def _measured(accuracies: Mapping[str, float | None] | None) -> list[float]:
    """The accuracies of the classes or groups that have scored samples."""
    return [accuracy for accuracy in (accuracies or {}).values() if accuracy is not None]


def _encodable(value: object) -> object:
    """The value with lone surrogates spelt as backslash escapes."""
    if isinstance(value, dict):
        return {_encodable(name): number for name, number in value.items()}
    return value.encode("utf-8", "backslashreplace").decode("utf-8") if isinstance(value, str) else value


def latest_records(frame: pd.DataFrame, by: tuple[str, ...] = ()) -> pd.DataFrame:
    """The records that the tables use: of several records of one case, the one that finished last.

    A record that is dated in the future counts only where its case has no other.

    Args:
        frame: from `frame`.
        by: further columns that tell cases apart, such as those of the machine.
    """
    case = ["suite", "suite_version", "entry", "pair", "seed", *by]
    return _by_finish_time(frame).drop_duplicates(case, keep="last").sort_index()


def latest_value(frame: pd.DataFrame, column: str) -> object:
    """The value of the record that finished last in a column that all records of a suite share, such as `baseline`.

    None where the value is null.
    """
    value = _by_finish_time(frame)[column].iloc[-1]
    return None if pd.isna(value) else value


def _by_finish_time(frame: pd.DataFrame) -> pd.DataFrame:
    """The records by the time at which they finished, unreadable and future times first; the index is that of `frame`."""
    frame = frame.reset_index(drop=True)
    finished = _finish_times(frame)
    finished = finished.where(finished <= last_possible_time())
    return frame.loc[finished.sort_values(kind="stable", na_position="first").index]


def future_records(frame: pd.DataFrame) -> str:
    """A sentence that counts the records that are dated in the future, and says how tables take them; empty without any."""
    future = frame[_finish_times(frame) > last_possible_time()]
    if future.empty:
        return ""
    example = future.iloc[0]
    return (
        f"{len(future)} of {len(frame)} records are dated in the future, such as {example['entry']} {example['pair']} seed "
        f"{example['seed']} ({example['finished']}): they count only where their case has no other record."
    )


def _finish_times(frame: pd.DataFrame) -> pd.Series:
    """When each record finished; missing where the time can't be read."""
    return pd.to_datetime(frame["finished"], format="ISO8601", utc=True, errors="coerce")


def require_records(frame: pd.DataFrame) -> None:
    """Raise TlbenchError for a frame without records."""
    if frame.empty:
        raise TlbenchError("There are no records, so there are no tables. Run a suite first, such as `tlbench run quickstart`.")


def suite_and_version(frame: pd.DataFrame) -> tuple[str, int]:
    """The suite of a frame and its version.

    Raises:
        TlbenchError: the frame has no records, or records of more than one suite or version.
    """
    require_records(frame)
    suites = frame[["suite", "suite_version"]].drop_duplicates()
    if len(suites) > 1:
        names = ", ".join(f"{name!r} v{version}" for name, version in suites.to_numpy().tolist())
        raise TlbenchError(
            f"The records are of more than one suite or version: {names}. A table is of one; `tables` takes all."
        )
    return str(suites["suite"].iloc[0]), int(suites["suite_version"].iloc[0])
