"""Records -> one flat data frame, a row per record."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from itertools import islice
from typing import Any

import pandas as pd

from tlbench.errors import TlbenchError
from tlbench.terms import METRICS, Cost, Record

_json = json.JSONEncoder(sort_keys=True, default=str).encode

_COSTS = ("train_seconds", "train_samples_per_second", "predict_samples_per_second", "peak_memory_bytes", "energy_joules")

DETAILS = tuple(
    name
    for name, field in Cost.model_fields.items()
    if name not in (*_COSTS, "steps", "batch") and field.annotation in (int | None, float | None)
)
"""The numbers of a `Cost` that the main cost tables do not show, by their field names."""

SCORES = tuple(dict.fromkeys((*METRICS, "source_accuracy")))
"""The scores of a record, the metrics that a suite may be compared by among them, in the units of the record."""

_REAL = (*SCORES, "mean_class_accuracy", *_COSTS[:3], "energy_joules", *DETAILS)
_WHOLE = ("schema", "suite_version", "seed", "target_labels")
_WHOLE_OR_NULL = (
    "scored_samples",
    "peak_memory_bytes",
    "steps",
    "batch",
    "cores",
    "threads",
    "concurrent_cases",
    "devices",
    "classes",
)

COLUMNS = (
    *("suite", "suite_version", "entry", "method", "options", "sources", "target", "pair", "seed", "status", "reason"),
    *("kind", "reads", "metric", "baseline", "target_labels"),
    *(*SCORES, "mean_class_accuracy", "classes", "per_class", "per_group", "scored_samples", "predictions"),
    *("train_seconds", "train_samples_per_second", "predict_samples_per_second"),
    *("peak_memory_bytes", "energy_joules", "steps", "batch", *DETAILS),
    *("device", "precision", "torch", "driver", "cuda", "cpu", "cores", "threads", "concurrent_cases", "devices"),
    *("tlbench", "commit", "dirty"),
    *("data", "suite_hash", "started", "finished", "schema", "identity"),
)
"""The columns of a frame, in order. `options` and `data` are JSON text, `sources` and `reads` are joined by "+"; `per_class`
and `per_group` hold the record's mapping of accuracies, `mean_class_accuracy` its mean and `classes` its length, over the
classes with scored rows; `worst_group_accuracy` is the least of the groups."""


_KINDS: dict[str, Any] = {
    **dict.fromkeys(_REAL, "float64"),
    **dict.fromkeys(_WHOLE, "int64"),
    **dict.fromkeys(_WHOLE_OR_NULL, "Int64"),
    "dirty": "boolean",
    **dict.fromkeys(("per_class", "per_group"), object),
    **dict.fromkeys(("reason", "kind", "baseline", "predictions", "driver", "cuda", "cpu", "commit", "suite_hash"), "str"),
}
"""Of the columns whose kind a part of the records can't tell, because they may all be missing there."""

_AT_ONCE = 5000
"""Records that are turned into columns together: all at once would take several times the memory."""


def frame(records: Iterable[Record]) -> pd.DataFrame:
    """One row per record, flat columns (`COLUMNS`); what was not measured is missing, never 0.

    All records are kept, also those that a later record of the same case stands in for: tables leave those out.
    """
    parts, left = [], iter(records)
    while rows := [_flat(record) for record in islice(left, _AT_ONCE)]:
        parts.append(_frame(rows))
    return pd.concat(parts, ignore_index=True) if parts else _frame([])


def _frame(rows: list[tuple[object, ...]]) -> pd.DataFrame:
    try:
        flat = pd.DataFrame(rows, columns=list(COLUMNS))
    except UnicodeEncodeError:  # half a surrogate pair, which JSON can spell and Arrow can't hold
        flat = pd.DataFrame([tuple(map(_encodable, row)) for row in rows], columns=list(COLUMNS))
    return flat.astype(_KINDS)


def _flat(record: Record) -> tuple[object, ...]:
    scores, cost, machine, code = record.scores, record.cost, record.machine, record.code
    groups, classes = _values(scores.per_group_accuracy), _values(scores.per_class_accuracy)
    derived = {"worst_group_accuracy": min(groups, default=None)}
    return (
        *(record.suite, record.suite_version, record.entry, record.method, _json(record.options)),
        *("+".join(record.sources), record.target, record.pair, record.seed, record.status, record.reason),
        *(record.kind, "+".join(record.reads), record.metric, record.baseline, record.target_labels),
        *(derived[name] if name in derived else getattr(scores, name) for name in SCORES),
        *(sum(classes) / len(classes) if classes else None, len(classes) or None),
        *(scores.per_class_accuracy, scores.per_group_accuracy, scores.scored_samples, scores.predictions),
        *(cost.train_seconds, cost.train_samples_per_second, cost.predict_samples_per_second),
        *(cost.peak_memory_bytes, cost.energy_joules, cost.steps, cost.batch),
        *(getattr(cost, name) for name in DETAILS),
        *(machine.device, machine.precision, machine.torch, machine.driver, machine.cuda, machine.cpu, machine.cores),
        *(machine.threads, machine.concurrent_cases, machine.devices),
        *(code.tlbench, code.commit, code.dirty),
        *(_json(record.data), record.suite_hash, record.started, record.finished, record.schema_, record.identity),
    )


def _values(shares: Mapping[str, float | None] | None) -> list[float]:
    """The shares that were measured."""
    return [share for share in (shares or {}).values() if share is not None]


def _encodable(value: object) -> object:
    if isinstance(value, dict):
        return {_encodable(name): share for name, share in value.items()}
    return value.encode("utf-8", "backslashreplace").decode("utf-8") if isinstance(value, str) else value


def latest_done(frame: pd.DataFrame, by: tuple[str, ...] = ()) -> pd.DataFrame:
    """The records that count: of several for one case (and one value of the columns `by`), the one finished last."""
    case = ["suite", "suite_version", "entry", "pair", "seed", *by]
    return _by_time(frame).drop_duplicates(case, keep="last").sort_index()


def latest(frame: pd.DataFrame, column: str) -> object:
    """What the record finished last says in a column that a suite shares, such as its baseline; None where null."""
    value = _by_time(frame)[column].iloc[-1]
    return None if pd.isna(value) else value


def _by_time(frame: pd.DataFrame) -> pd.DataFrame:
    """The records by the time they finished, unreadable times first; the index is each one's place in `frame`."""
    frame = frame.reset_index(drop=True)
    when = pd.to_datetime(frame["finished"], format="ISO8601", utc=True, errors="coerce")
    return frame.loc[when.sort_values(kind="stable", na_position="first").index]


def not_empty(frame: pd.DataFrame) -> None:
    """Raise TlbenchError for a frame without records."""
    if frame.empty:
        raise TlbenchError("no records, so no tables; run a suite first, e.g. `tlbench run quickstart`")


def one_suite(frame: pd.DataFrame) -> tuple[str, int]:
    """The suite and the version that a frame is of; raises TlbenchError for none and for several."""
    not_empty(frame)
    suites = frame[["suite", "suite_version"]].drop_duplicates()
    if len(suites) > 1:
        names = ", ".join(f"{name!r} v{version}" for name, version in suites.to_numpy().tolist())
        raise TlbenchError(f"one table is of one suite and version, these records are of {names}; use `tables`")
    return str(suites["suite"].iloc[0]), int(suites["suite_version"].iloc[0])
