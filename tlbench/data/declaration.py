"""The domain tables of a suite -> checked Declarations, or all errors in them at once. No file is read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from pydantic import Field

from tlbench.data import preparation, readers, shifts
from tlbench.data.domain_keys import COMMON_KEYS, TEST_KEYS, CommonKeys
from tlbench.data.function_registry import FunctionRegistry
from tlbench.data.labels.classes import UNKNOWN, normalized
from tlbench.data.validation import check
from tlbench.errors import unknown_name
from tlbench.terms import Strict, TaskName


class Operation(Strict):
    """A shift or a preparation, with all its options."""

    kind: str
    options: dict[str, Any] = Field(default_factory=dict)


class DataSource(Strict):
    """What the main samples or the test samples of a domain are read from."""

    reader: str
    options: dict[str, Any]
    shape: tuple[int, ...] | None = None
    """The shape of one sample; None: as read."""
    samples: int | None = None
    """The maximal number of samples, a stratified subsample; None: all."""


class Declaration(Strict):
    """A checked domain table: all that decides what `load` returns."""

    name: str
    main: DataSource
    test: DataSource | None = None
    task: TaskName = "classification"
    tasks: dict[str, Literal["classification", "regression"]] = Field(default_factory=dict)
    tasks_by_group: Literal["classification", "regression"] | None = None
    classes: tuple[str, ...] | None = None
    """None: the labels that occur."""
    label_map: dict[str, str] = Field(default_factory=dict)
    class_texts: dict[str, str] = Field(default_factory=dict)
    """Class -> readable words. No sample depends on them."""
    others: Literal["refuse", "drop", "unknown"] = "refuse"
    """What happens to samples whose label is outside `classes`."""
    keep: tuple[str, ...] | None = None
    shifts: tuple[Operation, ...] = ()
    prepare: tuple[Operation, ...] = ()
    licence: str | None = None
    citation: str | None = None
    source: str | None = None
    sha256: dict[str, str] = Field(default_factory=dict)
    sequence: tuple[Declaration, ...] = ()
    """Of a target that is several domains, one after the other; the other keys are then those of the first."""


@dataclass(frozen=True)
class _MergedTable:
    """A domain table over the defaults of `[data]`."""

    name: str
    table: Mapping[str, Any]
    defaults: Mapping[str, Any]

    @property
    def values(self) -> dict[str, Any]:
        """The keys of the table and of the defaults; the table has precedence."""
        return {**self.defaults, **self.table}

    @property
    def common_values(self) -> dict[str, Any]:
        """Those of the keys that do not belong to the reader."""
        return {key: value for key, value in self.values.items() if key in COMMON_KEYS}

    def path(self, key: str) -> str:
        """The table that a key is written in: `domains.NAME`, or `data` for a default."""
        return f"domains.{self.name}" if key in self.table or key not in self.defaults else "data"


def declare(name: str, table: Mapping[str, Any], defaults: Mapping[str, Any]) -> tuple[Declaration | None, list[str]]:
    """Check `[domains.NAME]` over the defaults of `[data]`.

    A domain with another reader than the defaults takes none of that reader's keys from them. Errors in a default begin with
    `data:`, so that they are the same sentence for every domain.

    Args:
        name: the name of the domain.
        table: the domain table.
        defaults: the table `[data]`.

    Returns:
        The Declaration (None if there are errors), and all errors as sentences.
    """
    if "reader" in table and table["reader"] != defaults.get("reader", table["reader"]):
        defaults = {key: value for key, value in defaults.items() if key in COMMON_KEYS - {"shape", "test"}}
    merged = _MergedTable(name, table, defaults)
    values, path = merged.values, merged.path

    key_errors = _common_errors(merged)
    options, option_errors = _reader_options(values)
    errors = [f"{path(key)}: {text}" for key, text in (*key_errors.items(), *option_errors.items())]
    shift_list, shift_errors = _operations(shifts.registry, values.get("shifts", []), f"{path('shifts')}.shifts")
    prepare_list, prepare_errors = _operations(preparation.registry, values.get("prepare", []), f"{path('prepare')}.prepare")
    errors += shift_errors + prepare_errors
    test = None
    if isinstance(values.get("test"), dict):
        reported = set(key_errors) | set(option_errors)
        test, test_errors = _test_source(values, values["test"], reported, f"{path('test')}.test")
        errors += test_errors
    if not errors:
        errors = _shift_conflicts(shift_list, options, values.get("task", "classification"), f"{path('shifts')}.shifts")
    if errors:
        return None, errors
    common = CommonKeys.model_validate(merged.common_values)
    return _declaration(name, common, _data_source(common, options), test, shift_list, prepare_list), []


def _declaration(
    name: str,
    common: CommonKeys,
    main: DataSource,
    test: DataSource | None,
    shift_list: tuple[Operation, ...],
    prepare_list: tuple[Operation, ...],
) -> Declaration:
    """The Declaration of checked keys."""
    classes = None if common.classes is None else tuple(normalized(str(label)) for label in common.classes)
    if classes is not None and common.unknown and UNKNOWN not in classes:
        classes = (*classes, UNKNOWN)
    return Declaration(
        name=name,
        main=main,
        test=test,
        task=common.task,
        tasks=common.tasks,
        tasks_by_group=common.tasks_by_group,
        classes=classes,
        label_map={normalized(label): normalized(str(renamed)) for label, renamed in common.label_map.items()},
        class_texts={normalized(label): text for label, text in common.class_texts.items()},
        others="drop" if common.drop_others else "unknown" if common.unknown else "refuse",
        keep=None if common.keep is None else tuple(normalized(str(label)) for label in common.keep),
        shifts=shift_list,
        prepare=prepare_list,
        licence=common.licence,
        citation=common.citation,
        source=common.source,
        sha256=dict(common.sha256),
    )


def _data_source(common: CommonKeys, options: dict[str, Any]) -> DataSource:
    shape = None if common.shape is None else tuple(common.shape)
    return DataSource(reader=common.reader, options=options, shape=shape, samples=common.samples)


def _common_errors(merged: _MergedTable) -> dict[str, str]:
    """Errors of the common keys, by key."""
    errors = check(CommonKeys, merged.common_values)
    reader = merged.values.get("reader")
    if "reader" in errors and reader is None:
        errors["reader"] = f"The key 'reader' is missing. Available readers: {', '.join(readers.names())}."
    elif "reader" not in errors and reader not in readers.names():
        errors["reader"] = unknown_name("reader", str(reader), readers.names())
    return errors


def _reader_options(values: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, str]]:
    """The options of a table's reader with their defaults, and the errors by key; neither for an unknown reader."""
    if values.get("reader") not in readers.names():
        return {}, {}
    schema = readers.get(values["reader"]).Options
    own = {key: value for key, value in values.items() if key not in COMMON_KEYS}
    if errors := check(schema, own, COMMON_KEYS):
        return {}, errors
    return schema.model_validate(own).model_dump(), {}


def _test_source(
    main: Mapping[str, Any], test: Mapping[str, Any], reported: set[str], path: str
) -> tuple[DataSource | None, list[str]]:
    """The source of the test samples: the domain's keys with those of `test` over them.

    Args:
        main: the keys of the domain.
        test: the keys of its `test` table.
        reported: keys of the domain whose errors are reported already.
        path: the table `test`, for errors.

    Returns:
        The source (None if there are errors), and the errors.
    """
    errors = [
        f"{path}: The key {key!r} holds for main and test samples alike. Set it in the domain's own table."
        for key in test
        if key in COMMON_KEYS - TEST_KEYS
    ]
    reader: Any = test.get("reader", main.get("reader"))
    inherited = COMMON_KEYS if reader != main.get("reader") else main.keys()
    values = {key: value for key, value in main.items() if key in inherited} | dict(test)
    source_values = {key: value for key, value in values.items() if key in TEST_KEYS}
    key_errors = check(CommonKeys, source_values)
    if "reader" in test and "reader" not in key_errors and reader not in readers.names():
        key_errors["reader"] = unknown_name("reader", str(reader), readers.names())
    options, option_errors = _reader_options(values)
    key_errors |= option_errors
    errors += [f"{path}: {text}" for key, text in key_errors.items() if key in test or key not in reported]
    if errors or key_errors:
        return None, errors
    return _data_source(CommonKeys.model_validate(source_values), options), []


def _operations(registry: FunctionRegistry, entries: Any, path: str) -> tuple[tuple[Operation, ...], list[str]]:
    """A list of names or tables {kind = ..., options} -> checked operations, and errors."""
    if not isinstance(entries, list):
        return (), []  # the check of the common keys reports this
    errors: list[str] = []
    operations: list[Operation] = []
    for i, entry in enumerate(entries):
        table = {"kind": entry} if isinstance(entry, str) else entry
        if not isinstance(table, dict) or not isinstance(table.get("kind"), str):
            errors.append(
                f"{path}[{i}]: An entry must be a name or a table with the key 'kind'. "
                f"Available: {', '.join(registry.names())}."
            )
            continue
        kind, options = table["kind"], {key: value for key, value in table.items() if key != "kind"}
        if kind not in registry.names():
            errors.append(unknown_name("kind", kind, registry.names(), f"{path}[{i}]"))
            continue
        schema = registry.options(kind)
        if option_errors := check(schema, options):
            errors += [f"{path}[{i}] ({kind}): {text}" for text in option_errors.values()]
            continue
        operations.append(Operation(kind=kind, options=schema.model_validate(options).model_dump()))
    return tuple(operations), errors


def _shift_conflicts(operations: Sequence[Operation], options: Mapping[str, Any], task: str, path: str) -> list[str]:
    """Errors of shifts that need class labels, or features before they are fitted, where the domain has none.

    Args:
        operations: the shifts of the domain.
        options: the options of its reader.
        task: what its labels are.
        path: the key of the shifts, for errors.
    """
    errors = []
    for i, operation in enumerate(operations):
        if task != "classification" and operation.kind in shifts.CLASS_LABEL_KINDS:
            errors.append(
                f"{path}[{i}] ({operation.kind}): This shift is for class labels, and task = {task!r} has none. Leave it out."
            )
        if task == "pixels" and operation.kind in shifts.GEOMETRIC_KINDS:
            errors.append(
                f"{path}[{i}] ({operation.kind}): This shift moves pixels, and their labels would stay. Leave it out."
            )
        if options.get("fit") == "source" and fits_features(options) and operation.kind in shifts.FEATURE_BASED_KINDS:
            errors.append(
                f"{path}[{i}] ({operation.kind}): This shift needs features, and here they are fitted on the source of each "
                "pair, which comes later. Declare the categories, or name the rows to fit on (fit)."
            )
    return errors


def fits_features(options: Mapping[str, Any]) -> bool:
    """Whether the options of a reader may make it fit an encoding on samples."""
    return (
        options.get("features") == "tfidf"
        or options.get("words") == "tfidf"
        or any(options.get(key) for key in ("encode", "impute", "standardise"))
    )
