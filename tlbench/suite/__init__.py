"""A TOML file -> a checked Suite (every mistake said at once) -> its list of Cases.

Nothing here knows how anything is trained: names of methods and backbones are checked by functions that the caller passes in.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import tomllib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from tlbench import data
from tlbench.errors import TlbenchError, schema_errors, unknown_name
from tlbench.suite import sweeps
from tlbench.suite.schema import MethodEntry, Network, Protocol, SuiteFile, Training, hashed_keys, renamed_keys
from tlbench.suite.sweeps import LabelBudget
from tlbench.terms import Case

__all__ = [
    "MethodEntry",
    "Network",
    "Protocol",
    "Suite",
    "SuiteCheck",
    "Training",
    "digest",
    "load_suite",
    "locate_suite",
    "parse_suite",
    "shipped_suites",
]

SuiteCheck = Callable[[Mapping[str, Any]], list[str]]
"""A check that another room adds: the raw tables of a suite -> what is wrong with them."""


@dataclass(frozen=True)
class Suite:
    """A checked suite."""

    name: str
    version: int
    title: str
    citation: str
    domains: Mapping[str, data.Declaration]
    pairs: tuple[tuple[tuple[str, ...], str], ...]
    protocol: Protocol
    net: Network
    train: Training
    methods: Mapping[str, MethodEntry]
    path: Path | None = None
    rungs: Mapping[str, LabelBudget] = field(default_factory=dict)
    """By name, the targets that are steps of a ladder of granted labels."""

    def cases(self, rows: Sequence[str] = (), pairs: Sequence[str] = (), seeds: Sequence[int] = ()) -> list[Case]:
        """The cells of the suite, those of one pair and seed together; empty filters let everything through.

        Raises:
            TlbenchError: a filter names a row or a pair that the suite lacks.
        """
        known = [f"{'+'.join(s)}:{t}" for s, t in self.pairs]
        wrong = [
            unknown_name(f"method entry of suite {self.name}", r, self.methods, "--method")
            for r in rows
            if r not in self.methods
        ]
        wrong += [unknown_name(f"pair of suite {self.name}", p, known, "--pair") for p in pairs if p not in known]
        if wrong:
            raise TlbenchError("\n".join(wrong))
        return [
            Case(
                suite=self.name,
                suite_version=self.version,
                entry=row,
                method=method.method or row,
                options=method.options,
                sources=sources,
                target=target,
                seed=seed,
            )
            for (sources, target), label in zip(self.pairs, known, strict=True)
            if not pairs or label in pairs
            for seed in (seeds or self.protocol.seeds)
            for row, method in self.methods.items()
            if not rows or row in rows
        ]

    def protocol_of(self, target: str) -> Protocol:
        """The protocol on a target: on a step of a ladder of labels, with as many as it grants."""
        if target not in self.rungs:
            return self.protocol
        return self.protocol.model_copy(update={"target_labels": self.rungs[target].labels})

    def decides(self, target: str = "") -> dict[str, Any]:
        """What of the suite decides a case's numbers, beside its domains, method and seed; how a step is run decides none.

        Only what differs from its default: a key that a later tlbench adds leaves the records on file valid. A default that
        changes numbers is never changed in place. What a ladder of labels grants is told for a target alone.
        """
        protocol = self.protocol_of(target).model_dump(
            mode="json", exclude={"seeds", "baseline", "metric", "selection"}, exclude_defaults=True
        )
        return {
            "protocol": protocol,
            "net": hashed_keys(self.net.model_dump(mode="json", exclude_defaults=True)),
            "train": hashed_keys(
                self.train.model_dump(mode="json", exclude={"compile", "resident", "vmap_seeds"}, exclude_defaults=True)
            ),
        }

    @property
    def hash(self) -> str:
        """Hash of `decides()`: records of one suite version should all carry the same one."""
        return digest(self.decides())


def digest(value: Any) -> str:
    """16 hex digits of sha256 over the canonical JSON of a value."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def load_suite(path: Path, checks: Iterable[SuiteCheck] = ()) -> Suite:
    """Read and check a suite file.

    Args:
        path: the TOML file.
        checks: what other rooms know of the tables (`methods.mistakes`, `backbones.mistakes`).

    Raises:
        TlbenchError: with every mistake of the file in one text.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError as error:
        raise TlbenchError(f"no suite file {path}; `tlbench list suites` names those that ship") from error
    except (OSError, UnicodeDecodeError) as error:
        raise TlbenchError(f"{path}: cannot be read as a text file: {error}") from error
    try:
        raw = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise TlbenchError(f"{path}: not TOML: {error}") from error
    return parse_suite(raw, str(path), checks, path)


def parse_suite(raw: Mapping[str, Any], where: str, checks: Iterable[SuiteCheck] = (), path: Path | None = None) -> Suite:
    """As `load`, from tables that are already read."""
    raw, wrong = renamed_keys(raw)
    raw, mistakes = sweeps.expand_severities(raw)
    wrong += mistakes
    raw, rungs, mistakes = sweeps.expand_label_budgets(raw)
    wrong += mistakes
    file: SuiteFile | None = None
    try:
        file = SuiteFile.model_validate(raw)
    except ValidationError as error:
        wrong += [sentence for _, sentence in schema_errors(error, SuiteFile)]

    tables = raw.get("domains")
    defaults = raw.get("data")
    declared: dict[str, data.Declaration] = {}
    names: list[str] = []
    if isinstance(tables, Mapping):
        names = list(tables)
        for name, table in tables.items():
            if isinstance(table, Mapping):
                declaration, mistakes = data.declare(name, table, defaults if isinstance(defaults, Mapping) else {})
                wrong += mistakes
                if declaration is not None:
                    declared[name] = declaration
            if "+" in name or ":" in name or not name.strip():
                wrong.append(f"domains: {name!r} may not hold '+' or ':' (they write pairs); choose another name")
    pairs, mistakes = _pairs(raw.get("pairs"), names)
    wrong += mistakes
    for check in checks:
        wrong += check(raw)
    wrong += _cross(raw)
    if wrong or file is None:
        raise TlbenchError(f"{where}:\n  " + "\n  ".join(dict.fromkeys(wrong)))
    return Suite(
        name=file.name,
        version=file.version,
        title=file.title,
        citation=file.citation,
        domains=declared,
        pairs=pairs,
        protocol=file.protocol,
        net=file.net,
        train=file.train,
        methods=file.methods,
        path=path,
        rungs=rungs,
    )


def _pairs(value: Any, names: Sequence[str]) -> tuple[tuple[tuple[tuple[str, ...], str], ...], list[str]]:
    """`[pairs]`: all = true, or list = ["a:b", "a+c:b"]; an unknown domain or a target among its sources is a mistake."""
    rule = 'say all = true, or list = ["source:target", "source+source:target"]'
    if not isinstance(value, Mapping) or not value:
        return (), [f"pairs: missing; {rule}"]
    wrong = [unknown_name("key", key, ("all", "list"), "pairs") for key in value if key not in {"all", "list"}]
    pairs: list[tuple[tuple[str, ...], str]] = []
    if value.get("all") is True:
        pairs += [((a,), b) for a, b in itertools.permutations(names, 2)]
        if not pairs:
            wrong.append("pairs: all = true needs two domains at least")
    elif "all" in value and value["all"] is not False:
        wrong.append("pairs.all: must be true or false")
    written = value.get("list", [])
    if not isinstance(written, list) or not all(isinstance(p, str) and p.count(":") == 1 for p in written):
        return (), [*wrong, f"pairs.list: {rule}"]
    for text in written:
        left, target = text.split(":")
        sources = tuple(left.split("+"))
        wrong += [unknown_name("domain", n, names, f"pairs.list {text!r}") for n in (*sources, target) if n not in names]
        if target in sources or len(set(sources)) < len(sources):
            wrong.append(f"pairs.list {text!r}: a domain stands in it twice")
        pairs.append((sources, target))
    if not pairs and not wrong:
        wrong.append(f"pairs: no pair; {rule}")
    return tuple(dict.fromkeys(pairs)), wrong


def _cross(raw: Mapping[str, Any]) -> list[str]:
    """Mistakes between tables, as far as those are tables."""
    rows, protocol = raw.get("methods"), raw.get("protocol", {})
    rows = list(rows) if isinstance(rows, Mapping) else []
    protocol = protocol if isinstance(protocol, Mapping) else {}
    baseline = protocol.get("baseline", Protocol.model_fields["baseline"].default)
    seeds = protocol.get("seeds")
    wrong = []
    if rows and isinstance(baseline, str) and baseline not in rows:
        wrong.append(unknown_name("method entry", baseline, rows, "protocol.baseline"))
    if isinstance(seeds, list) and len(set(map(str, seeds))) < len(seeds):
        wrong.append("protocol.seeds: a seed stands in it twice")
    wrong += [
        f"methods.{row!r}: a row's name is also a file's name: letters, digits, '_', '-', '.' and no other"
        for row in rows
        if not row.replace("_", "").replace("-", "").replace(".", "").isalnum() or row.startswith(".")
    ]
    return wrong


def shipped_suites() -> dict[str, Path]:
    """The suites that come with tlbench, by name: from the wheel, or from the checkout."""
    package = Path(__file__).parent.parent
    folder = package / "_suites" if (package / "_suites").is_dir() else package.parent / "suites"
    return {file.stem: file for file in sorted(folder.glob("*.toml"))}


def locate_suite(name: str) -> Path:
    """A suite file by its path or, for a shipped one, by its name.

    Raises:
        TlbenchError: there is neither.
    """
    path = Path(name)
    if path.suffix == ".toml" or path.is_file():
        if not path.is_file():
            raise TlbenchError(f"no suite file {name}; `tlbench list suites` names those that ship")
        return path
    if name not in shipped_suites():
        raise TlbenchError(unknown_name("suite", name, shipped_suites()) + " A file of yours is named with its suffix .toml.")
    return shipped_suites()[name]
