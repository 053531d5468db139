"""Contract checks of suites: what a suite asks for can be run, and its table can be filled; data are not read."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tlbench import data, engine, methods, runner
from tlbench.engine.data.inductive import check_inductive_reads
from tlbench.engine.data.pair_classes import label_set_error
from tlbench.errors import NotApplicableError, TlbenchError
from tlbench.nn import backbones
from tlbench.reports.tables.captions import plural
from tlbench.runner.plan import with_files
from tlbench.suite import Suite

LEAST_SEEDS = 3
"""Fewer seeds give no confidence interval."""


def check_suite(suite: Suite) -> list[str]:
    """Check a suite whose file has already been read without an error.

    Returns:
        A sentence with the suite's size, and one for each thing that its table will lack: entries that are skipped, intervals.

    Raises:
        TlbenchError: with all errors.
    """
    granted = {*suite.protocol.grants, *(["target_labeled"] if suite.protocol.target_labels or suite.label_budgets else [])}
    lacking = {
        entry: sorted(methods.method_class(method.method or entry).reads - granted) for entry, method in suite.methods.items()
    }
    if errors := _errors(suite, lacking):
        raise TlbenchError(f"{suite.path or suite.name}:\n  " + "\n  ".join(errors))
    report = [
        f"Suite {suite.name} has {plural(len(suite.domains), 'domain')}, {plural(len(suite.pairs), 'pair')}, "
        f"{plural(len(suite.methods), 'method')} and {plural(len(suite.cases()), 'case')}; `tlbench data check` checks its "
        "data."
    ]
    report += [
        f"{entry} will be skipped: it reads {', '.join(splits)}, which the suite does not grant."
        for entry, splits in lacking.items()
        if splits
    ]
    unfit = _unfit_entries(suite)
    report += [f"{entry} will be skipped: {reason}." for entry, reason in unfit.items() if not lacking[entry]]
    if len(suite.protocol.seeds) < LEAST_SEEDS:
        report.append(f"The suite has {plural(len(suite.protocol.seeds), 'seed')}, and a 95 % CI takes {LEAST_SEEDS}.")
    return report


def suite_warnings(suite: Suite) -> list[str]:
    """A sentence where a suite starts from weights and does not say what they were trained on, or under which licence.

    Args:
        suite: a suite that `session.load_suite` has read, with what published weights state of themselves.
    """
    paths = backbones.declared_paths(suite.net.backbone, suite.net.options)
    stated = suite.net.weights_source
    missing = [
        f"{key} ({meaning})"
        for key, meaning, value in (
            ("trained_on", "the data that they were trained on", stated.trained_on),
            ("licence", "that under which they come, or that none was found", stated.licence),
        )
        if not value
    ]
    if not paths or not missing:
        return []
    return [
        f"{suite.path or suite.name}: net.weights_source: The suite starts from {', '.join(paths)} and does not state "
        f"{' and '.join(missing)}. State it in [net.weights_source]."
    ]


def _errors(suite: Suite, lacking: dict[str, list[str]]) -> list[str]:
    """The errors of a suite, a sentence each; `lacking` holds the splits that each entry reads and the suite withholds."""
    errors = []
    if suite.path is not None and suite.path.stem != suite.name:
        errors.append(
            f"name: {suite.name!r} is not the file's name, {suite.path.stem!r}. Records are stored under the suite's name: "
            "rename one of the two."
        )
    baseline = suite.protocol.baseline
    if lacking[baseline]:
        errors.append(
            f"protocol.baseline: {baseline} reads {', '.join(lacking[baseline])}, which the suite does not grant, so that "
            "there would be no delta. Grant it, or choose another baseline."
        )
    elif (reason := _unfit_entries(suite).get(baseline)) is not None:
        errors.append(
            f"protocol.baseline: {baseline} would be skipped, for {reason}. Choose another baseline, so that there is a delta."
        )
    errors += _declared_class_errors(suite)
    if suite.protocol.metric == "worst_group_accuracy":
        errors += [
            f"protocol.metric: 'worst_group_accuracy' needs groups, and domain {name} has none. Name their column or array by "
            f"`group` in domains.{name} (or in data), or choose another metric."
            for name in dict.fromkeys(target for _, target in suite.pairs)
            if _lacks_groups(suite.domains[name].main.options)
        ]
    first_of: dict[str, str] = {}
    for entry, method in suite.methods.items():
        name = method.method or entry
        first = first_of.setdefault(f"{name} {sorted(methods.method_options(name, method.options).items())}", entry)
        if first != entry:
            errors.append(f"methods.{entry}: This is the same method with the same options as {first}. Remove one of them.")
    return errors


def check_suite_data(suite: Suite, root: Path) -> list[str]:
    """Check the pairs of a suite with their data: classes, shapes, and what the protocol scores and grants.

    Args:
        suite: the suite.
        root: the data root.

    Returns:
        A sentence.

    Raises:
        TlbenchError: with the errors of all domains or pairs.
    """
    names = dict.fromkeys(name for sources, target in suite.pairs for name in (*sources, target))
    domains = runner.load_domains(suite, list(names), root)
    engine.check_pairs(with_files(suite, root, suite.methods), domains, suite.pairs)
    return [f"The data of {plural(len(suite.pairs), 'pair')} fit the label set {suite.protocol.label_set} and the protocol."]


def _unfit_entries(suite: Suite) -> dict[str, str]:
    """The entries whose methods have no meaning under the label set of the suite, with the reason, as far as it is known here.

    Whether a deep method uses source and target samples at once is known when its case runs.
    """
    label_set, reasons = suite.protocol.label_set, {}
    for entry, method in suite.methods.items():
        kind = methods.method_class(method.method or entry)
        try:
            if label_set not in kind.label_sets:
                reasons[entry] = (
                    f"it supports the label sets {' and '.join(sorted(kind.label_sets))}, and this one is {label_set}"
                )
            elif label_set == "inductive":
                check_inductive_reads("it", kind)
        except NotApplicableError as error:
            reasons[entry] = str(error)
    return reasons


def _declared_class_errors(suite: Suite) -> list[str]:
    """The errors of pairs whose domains name their classes, of which the label set is another; data are not read."""
    errors = []
    for sources, target in suite.pairs:
        names = [_declared_classes(suite.domains[name], suite.protocol.label_set) for name in (*sources, target)]
        stated = [side for side in names if side is not None]
        if len(stated) < len(names):
            continue
        union = [name for side in stated[:-1] for name in side]
        error = label_set_error(suite.protocol.label_set, list(dict.fromkeys(union)), stated[-1])
        if error is not None:
            errors.append(f"pair {'+'.join(sources)}:{target}: {error}")
    return errors


def _declared_classes(declaration: data.Declaration, label_set: str) -> tuple[str, ...] | None:
    """The classes that a domain states; None where they are those of its files."""
    return declaration.classes if label_set == "closed" else declaration.keep or declaration.classes


def _lacks_groups(options: Mapping[str, Any]) -> bool:
    """Whether a reader has a key for groups, which is not set; MATLAB's cells are groups, and other readers may have theirs."""
    return "group" in options and options["group"] is None and not options.get("cells")
