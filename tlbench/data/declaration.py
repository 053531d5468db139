"""The tables of a suite -> a checked Declaration, or every mistake in them at once. Nothing is read from disk."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, Field, PositiveInt, model_validator

from tlbench.data import preparation, readers, shifts
from tlbench.data.decoding.arrays import UNKNOWN
from tlbench.data.function_registry import FunctionRegistry
from tlbench.data.validation import check
from tlbench.errors import did_you_mean
from tlbench.terms import Strict


class Operation(Strict):
    """A shift or a preparation, with all its options."""

    kind: str
    options: dict[str, Any] = Field(default_factory=dict)


class DataSource(Strict):
    """Where the rows of one part come from: the main rows, or the domain's own test rows."""

    reader: str
    options: dict[str, Any]
    shape: tuple[int, ...] | None = None
    samples: int | None = None


class Declaration(Strict):
    """A checked domain table; `model_dump(mode="json")` says all that decides what `load` gives."""

    name: str
    main: DataSource
    test: DataSource | None = None
    task: Literal["classification", "regression"] = "classification"
    classes: tuple[str, ...] | None = None
    label_map: dict[str, str] = Field(default_factory=dict)
    others: Literal["refuse", "drop", "unknown"] = "refuse"
    keep: tuple[str, ...] | None = None
    shifts: tuple[Operation, ...] = ()
    prepare: tuple[Operation, ...] = ()
    licence: str | None = None
    citation: str | None = None
    source: str | None = None
    sha256: dict[str, str] = Field(default_factory=dict)


def _distinct(labels: list[Any]) -> list[Any]:
    texts = [str(label) for label in labels]
    if twice := sorted({text for text in texts if texts.count(text) > 1}):
        raise ValueError(f"must name each class once; {twice[0]!r} is there twice")
    return labels


class CommonKeys(Strict, strict=True):
    """The keys that every domain table may have; all others belong to the reader."""

    reader: str
    task: Literal["classification", "regression"] = "classification"
    """For regression the labels are targets: numbers, in one column or several; there are no classes then."""
    shape: Annotated[list[PositiveInt], Field(min_length=1)] | None = None
    samples: PositiveInt | None = None
    classes: Annotated[list[str | int], Field(min_length=1), AfterValidator(_distinct)] | None = None
    label_map: dict[str, str | int] = Field(default_factory=dict)
    """Label as it is in the source -> as it is called here; what is not named keeps its name."""
    drop_others: bool = False
    """Rows whose label is outside `classes` are left out."""
    unknown: bool = False
    """Labels outside `classes` become one more class, "unknown" (open-set targets)."""
    keep: Annotated[list[str | int], Field(min_length=1), AfterValidator(_distinct)] | None = None
    """Classes whose rows stay; the others stay in the list of classes, without rows (partial targets)."""
    shifts: list[Any] = Field(default_factory=list)
    prepare: list[Any] = Field(default_factory=list)
    licence: str | None = None
    citation: str | None = None
    source: str | None = None
    sha256: dict[str, Annotated[str, Field(pattern="^[0-9a-f]{64}$")]] = Field(default_factory=dict)
    """File below the data root -> its checksum; another one stops the run."""
    test: dict[str, Any] | None = None

    @model_validator(mode="after")
    def _one_label_set(self) -> Self:
        names = {str(label) for label in self.classes or ()} | ({UNKNOWN} if self.unknown else set())
        of_classes = {"classes": self.classes, "label_map": self.label_map, "keep": self.keep}
        if self.task == "regression" and (odd := [key for key, value in of_classes.items() if value]):
            raise ValueError(f"{odd[0]} is for class labels; with task = 'regression' labels are numbers")
        if self.drop_others and self.unknown:
            raise ValueError("drop_others and unknown can't both be set: other labels are either dropped or unknown")
        if (self.drop_others or self.unknown or self.keep) and self.classes is None:
            raise ValueError("drop_others, unknown and keep need the key classes")
        if self.keep and (odd := [str(label) for label in self.keep if str(label) not in names]):
            raise ValueError(f"keep names {odd[0]!r}, which is not among the classes. {did_you_mean(odd[0], names)}")
        return self


TEST_KEYS = frozenset({"reader", "shape", "rows"})
"""The common keys that a `test` table may override."""


def declare(name: str, table: Mapping[str, Any], defaults: Mapping[str, Any]) -> tuple[Declaration | None, list[str]]:
    """Check `[domains.NAME]` over the defaults of `[data]`.

    A domain with another reader than the defaults takes none of that reader's keys from them. Mistakes in a default say
    `data:`, so that they are the same sentence for every domain.

    Returns:
        The Declaration (None if anything is wrong), and all mistakes as sentences.
    """
    where, common = f"domains.{name}", set(CommonKeys.model_fields)
    if "reader" in table and table["reader"] != defaults.get("reader", table["reader"]):
        defaults = {key: value for key, value in defaults.items() if key in common - {"shape", "test"}}
    merged = {**defaults, **table}

    def place(key: str) -> str:
        return where if key in table or key not in defaults else "data"

    known = _reader_keys(merged.get("reader"))
    wrong: list[str] = []
    found = check(CommonKeys, {key: value for key, value in merged.items() if key in common})
    if "reader" in found and "reader" not in merged:
        found["reader"] = f"The key 'reader' is missing. Available readers: {', '.join(readers.names())}"
    elif "reader" not in found and known is None:
        found["reader"] = f"Unknown reader {merged['reader']!r}. {did_you_mean(merged['reader'], readers.names())}"
    wrong += [f"{place(key)}: {text}" for key, text in found.items()]

    options, refused = _options(merged, common)
    wrong += [f"{place(key)}: {text}" for key, text in refused.items()]
    operations = {}
    for key, kinds in (("shifts", shifts.kinds), ("prepare", preparation.registry)):
        operations[key], more = _operations(kinds, merged.get(key, []), f"{place(key)}.{key}")
        wrong += more

    test = merged.get("test")
    part = None
    if isinstance(test, dict):
        part, more = _test(merged, test, set(refused) | set(found), f"{place('test')}.test")
        wrong += more
    if not wrong:
        wrong += _choices(operations["shifts"], options, merged.get("task") == "regression", f"{place('shifts')}.shifts")
    if wrong:
        return None, wrong

    checked = CommonKeys.model_validate({key: value for key, value in merged.items() if key in common})
    classes = None if checked.classes is None else tuple(str(label) for label in checked.classes)
    if classes is not None and checked.unknown and UNKNOWN not in classes:
        classes = (*classes, UNKNOWN)
    return Declaration(
        name=name,
        main=_data_source(checked, options),
        test=part,
        task=checked.task,
        classes=classes,
        label_map={label: str(name) for label, name in checked.label_map.items()},
        others="drop" if checked.drop_others else "unknown" if checked.unknown else "refuse",
        keep=None if checked.keep is None else tuple(str(label) for label in checked.keep),
        shifts=operations["shifts"],
        prepare=operations["prepare"],
        licence=checked.licence,
        citation=checked.citation,
        source=checked.source,
        sha256=dict(checked.sha256),
    ), []


def _choices(operations: Sequence[Operation], options: Mapping[str, Any], regression: bool, where: str) -> list[str]:
    """Shifts that need what the domain does not have: class labels, or features before its rows are chosen."""
    wrong = []
    for i, operation in enumerate(operations):
        if regression and operation.kind in shifts.OF_LABELS:
            wrong.append(f"{where}[{i}] ({operation.kind}): is for class labels, and task = 'regression' has none")
        if options.get("fit") == "source" and fits_features(options) and operation.kind in shifts.BY_FEATURES:
            wrong.append(
                f"{where}[{i}] ({operation.kind}): goes by the features of rows, which are learned from the source of "
                "each pair here; declare them (categories), or name the rows to learn from (fit)"
            )
    return wrong


def fits_features(options: Mapping[str, Any]) -> bool:
    """Whether the options of a reader may make it learn features from rows."""
    return (
        options.get("features") == "tfidf"
        or options.get("words") == "tfidf"
        or any(options.get(key) for key in ("encode", "impute", "standardise"))
    )


def _reader_keys(reader: Any) -> set[str] | None:
    return set(readers.get(reader).Options.model_fields) if reader in readers.names() else None


def _data_source(checked: CommonKeys, options: dict[str, Any]) -> DataSource:
    shape = None if checked.shape is None else tuple(checked.shape)
    return DataSource(reader=checked.reader, options=options, shape=shape, samples=checked.samples)


def _options(merged: Mapping[str, Any], common: set[str]) -> tuple[dict[str, Any], dict[str, str]]:
    """The reader's options with their defaults, or the mistakes by key."""
    if _reader_keys(merged.get("reader")) is None:
        return {}, {}
    schema = readers.get(merged["reader"]).Options
    own = {key: value for key, value in merged.items() if key not in common}
    if wrong := check(schema, own, common):
        return {}, wrong
    return schema.model_validate(own).model_dump(), {}


def _test(main: Mapping[str, Any], test: dict[str, Any], known: set[str], where: str) -> tuple[DataSource | None, list[str]]:
    """The test part: the domain's table with the keys of `test` over it; mistakes in `known` keys were said before."""
    common = set(CommonKeys.model_fields)
    wrong = [
        f"{where}: {key!r} holds for both parts alike; say it in the domain's own table"
        for key in test
        if key in common - TEST_KEYS
    ]
    reader: Any = test.get("reader", main.get("reader"))
    kept = common if reader != main.get("reader") else set(main)
    merged = {key: value for key, value in main.items() if key in kept} | test
    per_part = {key: value for key, value in merged.items() if key in TEST_KEYS}
    found = check(CommonKeys, per_part)
    if "reader" in test and "reader" not in found and _reader_keys(reader) is None:
        found["reader"] = f"Unknown reader {reader!r}. {did_you_mean(reader, readers.names())}"
    options, refused = _options(merged, common)
    found |= refused
    wrong += [f"{where}: {text}" for key, text in found.items() if key in test or key not in known]
    if wrong or found:
        return None, wrong
    return _data_source(CommonKeys.model_validate(per_part), options), []


def _operations(kinds: FunctionRegistry, written: Any, where: str) -> tuple[tuple[Operation, ...], list[str]]:
    """A list of names or tables {kind = ..., options} -> checked operations, or what is wrong with them."""
    if not isinstance(written, list):
        return (), []  # the common schema says so
    wrong: list[str] = []
    done: list[Operation] = []
    for i, item in enumerate(written):
        here = f"{where}[{i}]"
        table = {"kind": item} if isinstance(item, str) else item
        if not isinstance(table, dict) or not isinstance(table.get("kind"), str):
            wrong.append(f"{here}: must be a name or a table with a kind; there are {', '.join(kinds.names())}")
            continue
        kind, options = table["kind"], {key: value for key, value in table.items() if key != "kind"}
        if kind not in kinds.names():
            wrong.append(f"{here}: Unknown kind {kind!r}. {did_you_mean(kind, kinds.names())}")
            continue
        schema = kinds.options(kind)
        if found := check(schema, options):
            wrong += [f"{here} ({kind}): {text}" for text in found.values()]
            continue
        done.append(Operation(kind=kind, options=schema.model_validate(options).model_dump()))
    return tuple(done), wrong
