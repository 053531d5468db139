"""A search over a method's options, chosen by a rule that looks at no scored row.

Optuna proposes, in a study kept in an SQLite file; the pools of `runner/` run the trials. Each trial is a row of its own in a
results directory beside the study, so that a sweep that was stopped goes on from where it was.
"""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING, Any, Protocol

from filelock import FileLock, Timeout

from tlbench import methods, records, runner
from tlbench.errors import TlbenchError, unknown_name
from tlbench.runner import RunPlan
from tlbench.suite import MethodEntry, Suite
from tlbench.sweep.search_space import Range, search_space
from tlbench.terms import Record

if TYPE_CHECKING:
    import optuna

__all__ = ["SweepResult", "Range", "Rule", "rules", "run_sweep", "search_space"]


@dataclass(frozen=True)
class Rule:
    """What trials are chosen by: a number of a record that no scored row had a part in."""

    name: str
    value: Callable[[Record], float | None]
    higher_is_better: bool


def _source_validation(record: Record) -> float | None:
    """The score on source rows that no training saw."""
    return record.scores.source_r2 if record.task == "regression" else record.scores.source_accuracy


def _target_entropy(record: Record) -> float | None:
    """The mean entropy of the predictions on unlabelled target rows."""
    return record.scores.trace[-1].target_entropy if record.scores.trace else None


RULES = {
    rule.name: rule
    for rule in (
        Rule("source_validation", _source_validation, True),
        Rule("target_entropy", _target_entropy, False),
    )
}


def rules(suite: Suite) -> list[Rule]:
    """The rules that a suite allows (`protocol.selection`)."""
    return [RULES[name] for name in suite.protocol.selection]


@dataclass(frozen=True)
class SweepResult:
    """The outcome of a sweep."""

    entry: str
    method: str
    options: Mapping[str, Any]
    """The chosen options: those of the best trial, and those that the row had before."""
    value: float
    """What the rule says of the best trial: the mean over its cases."""
    trial: int
    trials: int
    """How many ended with a value."""
    failed: int
    rule: Rule

    def table(self, name: str) -> str:
        """The chosen options as a row of a suite file."""
        lines = [
            f"# chosen by {self.rule.name} ({self.value:.6g}): trial {self.trial} of {self.trials}, {self.failed} failed",
            f"[methods.{name}]",
            f"method = {_toml(self.method)}",
        ]
        return "\n".join([*lines, *(f"{key} = {_toml(value)}" for key, value in sorted(self.options.items()))]) + "\n"


Tell = Callable[[int, float | None, Mapping[str, Any]], None]
"""Told of a trial that ended: its number, its value (None: it failed), its options."""


class Drive(Protocol):
    """Runs what a plan has left and gives its records; `plan.todo` may be empty."""

    def __call__(self, plan: RunPlan, results: Path) -> Sequence[Record]:
        """The records of the cases that were left."""


def run_sweep(
    suite: Suite,
    entry: str,
    trials: int,
    folder: Path,
    root: Path,
    run_cases: Drive,
    *,
    rule: str | None = None,
    pairs: Sequence[str] = (),
    seeds: Sequence[int] = (),
    ranges: Mapping[str, Range] | None = None,
    parallel_trials: int = 1,
    on_trial: Tell = lambda number, value, options: None,
) -> SweepResult:
    """Search the options of a suite's row until `trials` of them have ended, counting those of earlier calls.

    Args:
        suite: its protocol, budget and domains are those of every trial.
        row: the row whose method is searched; its own options stay where the search does not change them.
        trials: in all.
        folder: where the study and the records of the trials are kept.
        root: the data root.
        drive: runs a plan.
        rule: one of the suite's; its first without any.
        pairs: the pairs that a trial runs; all without any.
        seeds: the seeds that a trial runs; the suite's without any.
        ranges: searched instead of the ranges that the options declare.
        at_once: trials that are proposed together and run side by side.
        tell: told of each trial that ends: its number, its value, its options.

    Raises:
        TlbenchError: unknown row or rule, nothing to search, another sweep in the folder, or no trial that ended with a value.
    """
    if entry not in suite.methods:
        raise TlbenchError(unknown_name(f"method entry of suite {suite.name}", entry, suite.methods, "--method"))
    base = suite.methods[entry]
    searched = ranges or search_space(base.method or entry, base.options)
    search = _Search(suite, entry, folder, root, run_cases, _rule(suite, rule), tuple(pairs), tuple(seeds), searched, parallel_trials, on_trial)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with FileLock(folder / ".lock", timeout=0):
            study = _study(folder, search.rule, searched)
            search.go_on(study, trials)
    except Timeout as error:
        raise TlbenchError(f"{folder}: another sweep runs there; wait for it, or give this one a folder with --out") from error
    except OSError as error:
        raise TlbenchError(f"{folder}: cannot be written to: {error.strerror}; choose another with --out") from error
    ended = [trial for trial in study.trials if trial.value is not None]
    if not ended:
        raise TlbenchError(f"none of {len(study.trials)} trials ended with a value; their records in {folder} say why")
    best = study.best_trial
    options = {**base.options, **best.params}
    failed = len([t for t in study.trials if t.state.is_finished()]) - len(ended)
    return SweepResult(entry, base.method or entry, options, float(study.best_value), best.number, len(ended), failed, search.rule)


def _rule(suite: Suite, name: str | None) -> Rule:
    allowed = {rule.name: rule for rule in rules(suite)}
    if name is not None and name not in allowed:
        raise TlbenchError(
            unknown_name("selection rule", name, allowed, "--rule")
            + f" Suite {suite.name} allows {', '.join(allowed)} (protocol.selection)."
        )
    return allowed[name] if name else next(iter(allowed.values()))


def _study(folder: Path, rule: Rule, searched: Mapping[str, Range]) -> optuna.Study:
    try:
        import optuna
    except ImportError as error:
        raise TlbenchError("a sweep needs the extra `sweep`: pip install 'tlbench[sweep]'") from error
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    seed = int.from_bytes(hashlib.sha256(repr(sorted(searched.items())).encode()).digest()[:4], "big")
    study = optuna.create_study(
        storage=f"sqlite:///{(folder / 'study.db').absolute()}",
        study_name="sweep",
        load_if_exists=True,
        direction="maximize" if rule.higher_is_better else "minimize",
        sampler=optuna.samplers.TPESampler(seed=seed, constant_liar=True),
    )
    asked = {"rule": rule.name, "space": {name: str(range_) for name, range_ in searched.items()}}
    before = study.user_attrs.get("asked")
    if before is not None and before != asked:
        raise TlbenchError(
            f"{folder} holds a sweep that asked for {before}, not for {asked}; give this one a folder with --out"
        )
    study.set_user_attr("asked", asked)
    return study


@dataclass(frozen=True)
class _Search:
    """What all trials of a sweep share; arguments as those of `sweep`."""

    suite: Suite
    entry: str
    folder: Path
    root: Path
    drive: Drive
    rule: Rule
    pairs: tuple[str, ...]
    seeds: tuple[int, ...]
    ranges: Mapping[str, Range]
    at_once: int
    tell: Tell

    def go_on(self, study: optuna.Study, trials: int) -> None:
        """Trials that a stopped sweep left unfinished, then new ones."""
        from optuna.trial import TrialState

        while True:
            # a trial without all its options was stopped while it was proposed: it has run nothing
            left = [trial for trial in study.trials if trial.state == TrialState.RUNNING]
            whole = {trial.number: dict(trial.params) for trial in left if set(trial.params) == set(self.ranges)}
            for trial in left:
                if trial.number not in whole:
                    study.tell(trial.number, state=TrialState.FAIL)
            ended = sum(trial.state == TrialState.COMPLETE for trial in study.trials)
            tried = sum(trial.state == TrialState.FAIL and bool(trial.params) for trial in study.trials)
            while len(whole) < self.at_once and ended + tried + len(whole) < trials:
                fresh = study.ask()
                whole[fresh.number] = {name: range_.suggest(fresh, name) for name, range_ in self.ranges.items()}
            if not whole:
                return
            for number, value in self._run(whole).items():
                study.tell(number, value, state=TrialState.FAIL if value is None else TrialState.COMPLETE)
                self.tell(number, value, whole[number])

    def _run(self, whole: Mapping[int, Mapping[str, Any]]) -> dict[int, float | None]:
        """What the rule says of each trial: the mean over its cases, None where one of them has no such number."""
        base = self.suite.methods[self.entry]
        name = base.method or self.entry
        rows = {f"{self.entry}.trial-{number}": number for number in whole}
        methods_of = {
            trial: MethodEntry.model_validate(
                {"method": name, **methods.method_options(name, {**base.options, **whole[number]})}
            )
            for trial, number in rows.items()
        }
        tried = dataclasses.replace(self.suite, methods=methods_of)
        records.prepare(self.folder, tried.name)
        plan = runner.plan_run(tried, self.folder, self.root, pairs=self.pairs, seeds=self.seeds)
        found = [*plan.on_file, *self.drive(plan, self.folder)]
        values: dict[int, float | None] = {}
        for trial, number in rows.items():
            said = [self.rule.value(record) for record in found if record.entry == trial]
            known = [value for value in said if value is not None]
            values[number] = fmean(known) if known and len(known) == len(said) else None
        return values


def _toml(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return repr(value)
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_toml, value))}]"
    import json

    return json.dumps(str(value), ensure_ascii=False)  # a basic string of TOML is one of JSON
