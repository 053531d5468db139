"""Records of one method entry compared with the entry in the suite: method, options, budget, identity and contents of files."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic_core import to_jsonable_python

from tlbench import engine, methods
from tlbench.engine.runtime.earlier_identities import earlier_identities
from tlbench.engine.runtime.identity import ENGINE_VERSION
from tlbench.errors import TlbenchError
from tlbench.methods.base import DeepMethod
from tlbench.reports.tables.captions import plural
from tlbench.runner.plan import with_files
from tlbench.suite import Suite
from tlbench.suite.renamed_keys import current_options
from tlbench.terms import POSITION_TASKS, Record, SweepLevel

ENGINE_SCHEMA = 3
"""Records of this schema and later ones state the version of the engine."""


@dataclass
class EntryReport:
    """The errors of the records of an entry, and what is no error: a sentence each."""

    errors: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def _as_recorded(options: Mapping[str, Any]) -> dict[str, Any]:
    """Options as a record has them, which is JSON: a tuple is a list there."""
    return dict(to_jsonable_python(options))


def check_entry(current: Sequence[Record], entry: str, suite: Suite, root: Path | None) -> EntryReport:
    """Compare the records of one entry with the suite: another method, other options, or another case than they say.

    Args:
        current: the records, of the version of the suite.
        entry: the name of the method entry.
        suite: the suite.
        root: the data root, where files of weights are looked for; None: there is none.
    """
    if entry not in suite.methods:
        return EntryReport(
            [f"methods: The suite has no entry {entry!r}. Add [methods.{entry}] to it, so that others can run it, too."]
        )
    method = suite.methods[entry].method or entry
    try:
        options = _as_recorded(methods.method_options(method, suite.methods[entry].options))
    except TlbenchError as error:
        return EntryReport([f"{error} Name the file of a third-party method with --plugin."])
    if others := sorted({record.method for record in current} - {method}):
        return EntryReport([f"methods.{entry}: The records are of {', '.join(others)}, and the entry's method is {method}."])
    defaults = _as_recorded(methods.method_options(method, {}))
    renamed = [record.model_copy(update={"options": current_options(record.options, defaults)}) for record in current]
    # an option that is younger than a record had its default
    deviating = [record for record in renamed if {**defaults, **record.options} != options]
    if deviating:
        recorded = {**defaults, **deviating[0].options}
        example = {key: value for key, value in recorded.items() if options.get(key) != value}
        return EntryReport([f"methods.{entry}: {len(deviating)} records have other options than the suite, such as {example}."])
    report = EntryReport([*_budget_errors(renamed, method, suite)])
    _check_identities(renamed, suite, report)
    _check_contents(renamed, suite, root, report)
    return report


def _budget_errors(current: Sequence[Record], method: str, suite: Suite) -> Iterator[str]:
    """Errors where records state another kind, task, grant, sweep or budget than those of the method and the suite."""
    method_class = methods.method_class(method)
    is_deep = issubclass(method_class, DeepMethod)
    deviations: Counter[tuple[str, str, str]] = Counter()
    for record in current:
        facts: dict[str, tuple[object, object]] = {
            "kind": (record.kind, "deep" if is_deep else "shallow"),
            "reads": (tuple(sorted(record.reads)), tuple(sorted(method_class.reads))),
            "task": (record.task, suite.protocol.task),
            "label_set": (record.label_set, suite.protocol.label_set),
            "target_labels": (record.target_labels, suite.protocol_of(record.target).target_labels),
        }
        if record.sweep_levels is not None:  # earlier records do not tell
            levels = suite.sweep_levels_of((*record.sources, record.target))
            facts["sweep_levels"] = _levels_text(record.sweep_levels), _levels_text(levels)
        if record.status == "done":
            facts["cost.steps"] = record.cost.steps, suite.train.steps if is_deep else None
            facts["cost.batch"] = record.cost.batch, suite.train.batch if is_deep else None
            if record.cost.positions is not None:  # earlier records do not tell
                drawn = suite.train.positions if is_deep and suite.protocol.task in POSITION_TASKS else None
                facts["cost.positions"] = record.cost.positions, drawn
        deviations.update((key, repr(value), repr(right)) for key, (value, right) in facts.items() if value != right)
    for (key, value, right), count in deviations.items():
        yield f"{key}: {count} records have {value}, and the suite and the method give {right}."


def _levels_text(levels: dict[str, SweepLevel]) -> str:
    return ", ".join(f"{name}: {one.kind} {one.level} of {one.base}" for name, one in sorted(levels.items())) or "no sweep"


def _check_identities(current: Sequence[Record], suite: Suite, report: EntryReport) -> None:
    """Compare the identities of records with what they state; those of earlier versions of the method are to be run again."""
    foreign: list[Record] = []
    pending: list[Record] = []
    for record in current:
        if record.suite_hash != suite.hash or engine.stated_identity(record, suite) == record.identity:
            continue
        (pending if record.identity in earlier_identities(record, suite) else foreign).append(record)
    if foreign:
        report.errors.append(
            f"identity: {len(foreign)} records have an identity that does not follow from their case, such as "
            f"{foreign[0].pair} seed {foreign[0].seed}."
        )
    if pending:
        report.notes.append(
            f"{plural(len(pending), 'record')} of {pending[0].entry}: they are of an earlier version of the method or of the "
            "engine. `tlbench run` runs these cases again."
        )


def _check_contents(current: Sequence[Record], suite: Suite, root: Path | None, report: EntryReport) -> None:
    """Compare backbone, weights, third-party code and engine version with those at hand; earlier schemas do not state them."""
    later = [record for record in current if (record.code.engine or 0) > ENGINE_VERSION]
    if later:
        report.errors.append(
            f"code.engine: {len(later)} records are of engine version {later[0].code.engine}, and this tlbench has version "
            f"{ENGINE_VERSION}. Install the later one."
        )
    if silent := [record for record in current if record.code.engine is None and record.schema_ >= ENGINE_SCHEMA]:
        report.errors.append(
            f"code.engine: {len(silent)} records of schema {silent[0].schema_} state no version of the engine, which every "
            f"run writes since schema {ENGINE_SCHEMA}. Contribute the lines as the run wrote them, or run the cases again."
        )
    stating = [record for record in current if record.weights is not None or record.plugins or record.backbone]
    if not stating:
        return
    try:
        suite = suite if root is None else with_files(suite, root, [stating[0].entry])
        here = engine.contents(stating[0], suite)
    except TlbenchError as error:
        report.notes.append(f"Weights were not compared: {' '.join(str(error).split())}")
        return
    deviations: Counter[str] = Counter()
    for record in stating:
        if record.backbone and here.backbone and here.backbone != "auto" and record.backbone != here.backbone:
            deviations[f"have the backbone {record.backbone}, and the suite gives {here.backbone}."] += 1
        for kind, stated, present in (("weights", record.weights, here.weights), ("plug-in", record.plugins, here.plugins)):
            for name in sorted({*present} - {*(present if stated is None else stated)}):
                deviations[f"state no hash of {kind} {name}, which their case reads here."] += 1
            for name in stated or ():
                if name not in present:
                    deviations[f"state a hash of {kind} {name}, which their case does not read here."] += 1
                elif (stated or {})[name] != present[name]:
                    deviations[f"state the hash {(stated or {})[name]} of {kind} {name}, and it is {present[name]} here."] += 1
    if others := sum(bool(one.weights) and one.weights_source not in (None, suite.net.weights_source) for one in stating):
        report.notes.append(f"{plural(others, 'record')} state another source or licence of the weights than the suite does.")
    report.errors += [f"contents: {plural(count, 'record')} {text}" for text, count in deviations.items()]
