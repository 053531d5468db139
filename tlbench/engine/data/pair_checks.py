"""Whether a pair can be run under a protocol."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from tlbench.data import fit_features
from tlbench.engine.data.pair_classes import class_sides, label_indices, label_set_error, pair_classes
from tlbench.engine.data.position_checks import check_positions
from tlbench.engine.data.tasks import check_tasks
from tlbench.errors import TlbenchError
from tlbench.suite import Protocol
from tlbench.suite.schema import NO_LABELS_FOR_HEAD
from tlbench.terms import POSITION_TASKS, Domain


def check_pair(sources: Sequence[Domain], target: Domain, protocol: Protocol) -> None:
    """Check, before any training, that a pair can be run under a protocol.

    Raises:
        TlbenchError: the tasks, target columns, classes or sample shapes of the domains do not fit together, or the protocol
            scores samples that the target does not have.
    """
    sources, target = fit_features(sources, target)
    pair = _pair_name(sources, target)
    regression = protocol.task == "regression"
    for domain in (*sources, target):
        kind = "classification" if domain.classes else "multi_task" if domain.tasks else "regression"
        declared = domain.position_task or kind
        if declared != protocol.task:
            raise TlbenchError(
                f"{pair}: protocol.task is {protocol.task!r}, but domain {domain.name} is declared for {declared}. "
                f"Set task = {declared if declared != 'classification' else protocol.task!r} in both, or in neither."
            )
    if protocol.task == "multi_task":
        check_tasks(pair, sources, target)
    columns = {domain.name: domain.targets for domain in (*sources, target)}
    if regression and len({*columns.values()}) > 1:
        listed = "; ".join(f"{name}: {', '.join(names)}" for name, names in columns.items())
        raise TlbenchError(f"{pair}: The domains have different target columns ({listed}). Give them the same ones.")
    _check_label_set(pair, sources, target, protocol)
    shapes = {domain.name: tuple(domain.samples.x.shape[1:]) for domain in (*sources, target)}
    if len(set(shapes.values())) > 1:
        listed = ", ".join(f"{name} {list(shape)}" for name, shape in shapes.items())
        raise TlbenchError(
            f"{pair}: The domains have samples of different shapes: {listed}. Give them one shape with `shape` or `prepare`."
        )
    if protocol.scored == "test" and target.test is None:
        raise TlbenchError(
            f"{pair}: protocol.scored = 'test', but domain {target.name} declares no test samples. "
            "Give it a `test = {...}` table, or score 'adapted' or 'held_out'."
        )
    if protocol.task in POSITION_TASKS:
        check_positions(pair, sources, target, protocol)
    _check_metric(pair, target, protocol)
    _check_labeled_targets(pair, sources, target, protocol)


def _check_metric(pair: str, target: Domain, protocol: Protocol) -> None:
    """Raise TlbenchError where the metric of the suite has no value on the target."""
    if protocol.metric == "worst_group_accuracy" and not target.groups:
        raise TlbenchError(
            f"{pair}: protocol.metric = 'worst_group_accuracy', but domain {target.name} declares no groups. Name their column "
            "or array by `group` in its table, or choose another metric."
        )
    scored = target.test if protocol.scored == "test" and target.test is not None else target.samples
    if protocol.metric == "r2" and (scored.y == scored.y[:1]).all(dim=0).any():
        constant = [name for name, same in zip(target.targets, (scored.y == scored.y[:1]).all(dim=0), strict=True) if same]
        raise TlbenchError(
            f"{pair}: protocol.metric = 'r2', but the target {', '.join(constant)} of domain {target.name} is constant over "
            "the samples to score, so that no share of its variance can be explained. Choose metric = 'rmse' or 'mae'."
        )


def _check_label_set(pair: str, sources: Sequence[Domain], target: Domain, protocol: Protocol) -> None:
    """Raise TlbenchError where the classes of a pair are not those of the label set, or nothing shows those of a new head."""
    if protocol.task != "classification" and protocol.task not in POSITION_TASKS:
        return
    unknown = protocol.task not in POSITION_TASKS
    error = label_set_error(protocol.label_set, *class_sides(sources, target, protocol.label_set), unknown=unknown)
    if error is not None:
        raise TlbenchError(f"{pair}: {error}")
    if protocol.label_set == "inductive" and not protocol.target_labels:
        raise TlbenchError(f"{pair}: {NO_LABELS_FOR_HEAD}")


def _check_labeled_targets(pair: str, sources: Sequence[Domain], target: Domain, protocol: Protocol) -> None:
    """Raise TlbenchError where the granted target labels leave no sample to score."""
    labels = protocol.target_labels
    if protocol.task != "classification":
        counts = {f"domain {target.name}": len(target.samples)}
    else:
        classes = pair_classes(sources, target, protocol.label_set)
        y = label_indices(target, classes.target, target.samples.y, open_set=classes.open_set)
        of_class = torch.bincount(y, minlength=len(classes.target)).tolist()
        counts = {f"class {name!r} of domain {target.name}": n for name, n in zip(classes.target, of_class, strict=True) if n}
    for owner, samples in counts.items():
        if labels and samples <= labels:
            raise TlbenchError(
                f"{pair}: {owner} has {samples} samples. With protocol.target_labels = {labels} none is left to score. "
                "Grant fewer labels."
            )


def _pair_name(sources: Sequence[Domain], target: Domain) -> str:
    """The pair as error messages name it."""
    return f"pair {'+'.join(source.name for source in sources)}:{target.name}"
