"""Records -> one flat data frame, a row per record; and from it the cube of scores that every table starts from."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from tlbench.reports import statistics
from tlbench.terms import Record, TlbenchError

SCORES = ("target_accuracy", "source_accuracy", "macro_f1")
"""The scores that a suite may name as its metric: shares in [0, 1]."""

_json = json.JSONEncoder(sort_keys=True, default=str).encode

_REAL = (*SCORES, "train_seconds", "train_samples_per_second", "predict_samples_per_second", "energy_joules")
_WHOLE = ("schema", "suite_version", "seed", "target_labels")
_WHOLE_OR_NULL = ("scored_rows", "peak_memory_bytes", "steps", "batch", "cores")

COLUMNS = (
    *("suite", "suite_version", "row", "method", "options", "sources", "target", "pair", "seed", "status", "why"),
    *("kind", "reads", "metric", "baseline", "target_labels"),
    *(*SCORES, "scored_rows"),
    *("train_seconds", "train_samples_per_second", "predict_samples_per_second"),
    *("peak_memory_bytes", "energy_joules", "steps", "batch"),
    *("device", "precision", "torch", "driver", "cuda", "cpu", "cores", "tlbench", "commit", "dirty"),
    *("data", "suite_hash", "started", "finished", "schema", "identity"),
)
"""The columns of a frame, in order. `options` and `data` are JSON text, `sources` and `reads` are joined by "+"."""


def frame(records: Iterable[Record]) -> pd.DataFrame:
    """One row per record, flat columns (`COLUMNS`); what was not measured is missing, never 0.

    All records are kept, also those that a later record of the same case stands in for: tables leave those out.
    """
    rows = [_flat(record) for record in records]
    try:
        flat = pd.DataFrame(rows, columns=list(COLUMNS))
    except UnicodeEncodeError:  # half a surrogate pair, which JSON can spell and Arrow can't hold
        flat = pd.DataFrame([tuple(map(_encodable, row)) for row in rows], columns=list(COLUMNS))
    kinds = dict.fromkeys(_REAL, "float64") | dict.fromkeys(_WHOLE, "int64") | dict.fromkeys(_WHOLE_OR_NULL, "Int64")
    return flat.astype({**kinds, "dirty": "boolean"})


def _flat(record: Record) -> tuple[object, ...]:
    scores, cost, machine, code = record.scores, record.cost, record.machine, record.code
    return (
        *(record.suite, record.suite_version, record.row, record.method, _json(record.options)),
        *("+".join(record.sources), record.target, record.pair, record.seed, record.status, record.why),
        *(record.kind, "+".join(record.reads), record.metric, record.baseline, record.target_labels),
        *(scores.target_accuracy, scores.source_accuracy, scores.macro_f1, scores.scored_rows),
        *(cost.train_seconds, cost.train_samples_per_second, cost.predict_samples_per_second),
        *(cost.peak_memory_bytes, cost.energy_joules, cost.steps, cost.batch),
        *(machine.device, machine.precision, machine.torch, machine.driver, machine.cuda, machine.cpu, machine.cores),
        *(code.tlbench, code.commit, code.dirty),
        *(_json(record.data), record.suite_hash, record.started, record.finished, record.schema_, record.identity),
    )


def _encodable(value: object) -> object:
    return value.encode("utf-8", "backslashreplace").decode("utf-8") if isinstance(value, str) else value


def counted(frame: pd.DataFrame, by: tuple[str, ...] = ()) -> pd.DataFrame:
    """The records that count: of several for one case (and one value of the columns `by`), the one finished last."""
    case = ["suite", "suite_version", "row", "pair", "seed", *by]
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


@dataclass(frozen=True, eq=False)
class Cube:
    """The scores of one suite in per cent: values (R rows, P pairs, S seeds), NaN where there is no score.

    Pairs and seeds are all that any record of the suite shows, whatever its row and status, so that a partial run has
    blanks. Rows stand best mean first, rows without a mean last.
    """

    suite: str
    version: int
    metric: str
    rows: pd.Index[str]
    pairs: pd.Index[str]
    seeds: pd.Index[int]
    values: npt.NDArray[np.float64]

    @property
    def name(self) -> str:
        """The suite with its version, as titles show it."""
        return f"{self.suite} v{self.version}"


def cube(frame: pd.DataFrame) -> Cube:
    """The cube of one suite's frame, over the records that count.

    Raises TlbenchError for no record, for more than one suite or version, and for a metric that records do not hold.
    """
    suite, version = _one_suite(frame)
    metric = str(latest(frame, "metric"))
    if metric not in SCORES:
        raise TlbenchError(f"suite {suite!r}: no metric {metric!r} in its records; there are {', '.join(SCORES)}")
    last = counted(frame)
    rows, pairs = pd.Index(frame["row"].unique()), pd.Index(frame["pair"].unique())
    seeds = pd.Index(np.sort(frame["seed"].unique()))
    score = last[metric].where(last["status"] == "done").to_numpy(dtype=np.float64)
    values = np.full((len(rows), len(pairs), len(seeds)), np.nan)
    at = (rows.get_indexer(last["row"]), pairs.get_indexer(last["pair"]), seeds.get_indexer(last["seed"]))
    values[at] = 100 * np.where(np.isfinite(score), score, np.nan)
    best_first = np.argsort(-statistics.these_pairs(values).mean.round(9), kind="stable")
    return Cube(suite, version, metric, rows[best_first], pairs, seeds, values[best_first])


def not_empty(frame: pd.DataFrame) -> None:
    """Raise TlbenchError for a frame without records."""
    if frame.empty:
        raise TlbenchError("no records, so no tables; run a suite first, e.g. `tlbench run quickstart`")


def _one_suite(frame: pd.DataFrame) -> tuple[str, int]:
    not_empty(frame)
    suites = frame[["suite", "suite_version"]].drop_duplicates()
    if len(suites) > 1:
        names = ", ".join(f"{name!r} v{version}" for name, version in suites.to_numpy().tolist())
        raise TlbenchError(f"one table is of one suite and version, these records are of {names}; use `tables`")
    return str(suites["suite"].iloc[0]), int(suites["suite_version"].iloc[0])
