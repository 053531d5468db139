"""From a TOML file to a checked Suite: locate the file, read it, and report all of its errors at once."""

from __future__ import annotations

import functools
import tomllib
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from tlbench import data
from tlbench.errors import TlbenchError, schema_errors, unknown_name
from tlbench.plain_files import read_plain
from tlbench.suite.pairs import pair_label, parse_pairs
from tlbench.suite.published_levels import level_errors, levels_in, with_metric
from tlbench.suite.renamed_keys import without_renamed_keys
from tlbench.suite.schema import NO_LABELS_FOR_HEAD, SINGLE_TASK, Protocol, PublishedLevel, SuiteFile
from tlbench.suite.streams import stream_targets, with_one_order
from tlbench.suite.suite import Suite
from tlbench.suite.sweeps import expand_label_budgets, expand_severities, sweep_levels
from tlbench.suite.task_baseline import task_errors, with_single_task
from tlbench.terms import SweepLevel

MAX_BYTES = 16 * 2**20
"""The largest suite file that is read."""
Expansion = Callable[[Mapping[str, Any]], tuple[Mapping[str, Any], list[str]]]
"""What a later package writes out in the raw tables of a suite; it returns them with the errors in what it read."""
SuiteCheck = Callable[[Mapping[str, Any]], list[str]]
"""A check that a later package adds: it gets the raw tables of a suite and returns their errors."""


def shipped_suites() -> dict[str, Path]:
    """The files of the suites that come with tlbench, by name: from the wheel, or from the checkout."""
    package = Path(__file__).parent.parent
    folder = package / "_suites" if (package / "_suites").is_dir() else package.parent / "suites"
    return {file.stem: file for file in sorted(folder.glob("*.toml"))}


def locate_suite(name: str) -> Path:
    """The file of a suite, given by its path or, for a shipped one, by its name.

    Raises:
        TlbenchError: there is no such file and no shipped suite of this name.
    """
    path = Path(name)
    if path.suffix == ".toml" or path.is_file():
        if not path.exists():
            raise _no_file(path)
        return path
    if name not in shipped_suites():
        hint = "For a file of your own, give its path with the suffix .toml."
        raise TlbenchError(f"{unknown_name('suite', name, shipped_suites())} {hint}")
    return shipped_suites()[name]


def load_suite(path: Path, checks: Iterable[SuiteCheck] = (), expansion: Expansion | None = None) -> Suite:
    """Read and check a suite file.

    Args:
        path: the TOML file.
        checks: what later packages check in the tables (`methods.suite_errors`, `backbones.suite_errors`).
        expansion: what a later package writes out first (`methods.named_sets.with_members`).

    Raises:
        TlbenchError: with every error of the file in one text.
    """
    try:
        raw = tomllib.loads(read_plain(path, MAX_BYTES).decode("utf-8"))
    except FileNotFoundError as error:
        raise _no_file(path) from error
    except UnicodeDecodeError as error:
        raise TlbenchError(f"{path}: The file cannot be read as UTF-8 text: {error}") from error
    except tomllib.TOMLDecodeError as error:
        raise TlbenchError(f"{path}: The file is not valid TOML: {error}") from error
    except ValueError as error:  # Python converts integers of up to 4,300 digits
        raise TlbenchError(f"{path}: A number has thousands of digits.") from error
    except RecursionError as error:
        raise TlbenchError(f"{path}: Arrays or tables are nested without end. No suite needs that.") from error
    return parse_suite(raw, str(path), checks, path, expansion)


def parse_suite(
    raw: Mapping[str, Any],
    where: str,
    checks: Iterable[SuiteCheck] = (),
    path: Path | None = None,
    expansion: Expansion | None = None,
) -> Suite:
    """Check the tables of a suite.

    Args:
        raw: the tables, as `tomllib` reads them.
        where: the name of the file, for error messages.
        checks: see `load_suite`.
        path: the file that the suite came from, if any.
        expansion: see `load_suite`.

    Raises:
        TlbenchError: with every error of the tables in one text.
    """
    raw, errors = _with_method_tables(raw, expansion)
    written = raw
    raw, sweep_errors = expand_severities(with_single_task(raw))
    raw, label_budgets, budget_errors = expand_label_budgets(raw)
    raw, orders, order_errors = with_one_order(raw)
    file, file_errors = _validated(raw)
    errors += sweep_errors + budget_errors + order_errors + file_errors
    domains, domain_errors = _declared_domains(raw)
    tables = raw.get("domains")
    pairs, pair_errors = parse_pairs(raw.get("pairs"), list(tables) if isinstance(tables, Mapping) else [])
    domains, pairs, stream_orders, stream_errors = stream_targets(domains, pairs, orders, label_budgets)
    errors += domain_errors + pair_errors + stream_errors
    for check in checks:
        errors += check(raw)
    errors += _errors_between_tables(raw)
    published = () if file is None else with_metric(file.published, file.protocol.metric)
    errors += level_errors(published, list(file.methods) if file else [], [pair_label(pair) for pair in pairs])
    errors += [] if file is None else [*_label_errors(file, bool(label_budgets)), *task_errors(file, domains)]
    if errors or file is None:
        raise TlbenchError(f"{where}:\n  " + "\n  ".join(dict.fromkeys(errors)))
    return Suite(
        name=file.name,
        version=file.version,
        title=file.title,
        citation=file.citation,
        domains=domains,
        pairs=pairs,
        protocol=file.protocol,
        net=file.net,
        train=file.train,
        methods=file.methods,
        path=path,
        published=published,
        selection=file.selection,
        tuning=file.tuning,
        label_budgets=label_budgets,
        stream_orders=stream_orders,
        sweep_levels=sweep_levels(written, label_budgets),
    )


def _validated(raw: Mapping[str, Any]) -> tuple[SuiteFile | None, list[str]]:
    """The tables by their schema, or None with a sentence for each error."""
    try:
        return SuiteFile.model_validate(raw), []
    except ValidationError as error:
        return None, [sentence for _, sentence in schema_errors(error, SuiteFile)]


def _label_errors(file: SuiteFile, has_budgets: bool) -> list[str]:
    """What is wrong with the labels that a suite grants for the head of other classes."""
    needs_labels = file.protocol.label_set == "inductive" and not (file.protocol.target_labels or has_budgets)
    return [NO_LABELS_FOR_HEAD] if needs_labels else []


def _with_method_tables(raw: Mapping[str, Any], expansion: Expansion | None) -> tuple[Mapping[str, Any], list[str]]:
    """The tables by their present keys, with a table for each method: `methods = ["dann", "coral"]` are two without options."""
    raw, errors = without_renamed_keys(raw)
    listed = raw.get("methods")
    if isinstance(listed, list) and all(isinstance(name, str) for name in listed):
        raw = {**raw, "methods": {name: {} for name in listed}}
        errors += [f"methods: {name!r} stands there twice. Name it once." for name in raw["methods"] if listed.count(name) > 1]
    if expansion is None:
        return raw, errors
    raw, expansion_errors = expansion(raw)
    return raw, errors + expansion_errors


@functools.cache
def shipped_sweep_levels(name: str) -> Mapping[str, SweepLevel]:
    """The domains that the sweeps of a shipped suite generate; {} for a suite that is not shipped."""
    if name not in shipped_suites():
        return {}
    raw = tomllib.loads(shipped_suites()[name].read_text(encoding="utf-8"))
    return sweep_levels(raw, expand_label_budgets(expand_severities(raw)[0])[1])


@functools.cache
def shipped_version(name: str) -> int | None:
    """The version of a shipped suite; None for a suite that is not shipped."""
    if name not in shipped_suites():
        return None
    return int(tomllib.loads(shipped_suites()[name].read_text(encoding="utf-8"))["version"])


@functools.cache
def shipped_published_levels(name: str, version: int) -> tuple[PublishedLevel, ...]:
    """The published levels in a shipped suite; () for a suite that is not shipped, or not in this version."""
    if name not in shipped_suites():
        return ()
    raw = tomllib.loads(shipped_suites()[name].read_text(encoding="utf-8"))
    return levels_in(raw) if raw["version"] == version else ()


def _no_file(path: Path) -> TlbenchError:
    return TlbenchError(f"There is no suite file {path}. `tlbench list suites` names those that ship with tlbench.")


def _declared_domains(raw: Mapping[str, Any]) -> tuple[dict[str, data.Declaration], list[str]]:
    """The declarations of the table `[domains]`, with the defaults of `[data]`, and all errors in them."""
    tables, defaults = raw.get("domains"), raw.get("data")
    declarations: dict[str, data.Declaration] = {}
    errors: list[str] = []
    if not isinstance(tables, Mapping):
        return declarations, errors
    for name, table in tables.items():
        if isinstance(table, Mapping):
            declaration, table_errors = data.declare(name, table, defaults if isinstance(defaults, Mapping) else {})
            errors += table_errors
            if declaration is not None:
                declarations[name] = declaration
        if {*"+:>"} & {*name} or not name.strip():
            errors.append(f"domains: The name {name!r} is empty or holds '+', ':' or '>', which separate those of a pair.")
    return declarations, errors


def _errors_between_tables(raw: Mapping[str, Any]) -> list[str]:
    """Errors of keys that refer to other tables, and of names; tables that are none are left to the schema."""
    methods, protocol = raw.get("methods"), raw.get("protocol", {})
    entries = list(methods) if isinstance(methods, Mapping) else []
    protocol = protocol if isinstance(protocol, Mapping) else {}
    default = SINGLE_TASK if protocol.get("task") == "multi_task" else Protocol.model_fields["baseline"].default
    baseline = protocol.get("baseline", default)
    seeds = protocol.get("seeds")
    errors = []
    if entries and isinstance(baseline, str) and baseline not in entries:
        errors.append(unknown_name("method entry", baseline, entries, "protocol.baseline"))
    net, train = (raw[name] if isinstance(raw.get(name), Mapping) else {} for name in ("net", "train"))
    if net.get("frozen") is True and train.get("augment"):
        errors.append(
            "train.augment: net.frozen = true makes the features of each sample once, so that no view of it is ever seen. "
            "Leave out one of the two."
        )
    if isinstance(seeds, list) and len(set(map(str, seeds))) < len(seeds):
        errors.append("protocol.seeds: A seed appears twice. Give each seed once.")
    errors += [
        f"methods.{entry!r}: The name of a method entry is also a file name. Use letters, digits, '_', '-' and '.', "
        "and do not begin with '.'."
        for entry in entries
        if not entry.replace("_", "").replace("-", "").replace(".", "").isalnum() or entry.startswith(".")
    ]
    return errors
