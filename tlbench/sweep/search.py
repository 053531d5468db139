"""The search itself: trials are proposed by Optuna, run as method entries of the suite, and resumed after a stop.

Each trial is a method entry of its own in a results directory beside the study, so that a sweep that was stopped resumes.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
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
from tlbench.sweep.rules import Rule, rules
from tlbench.sweep.search_space import Range, search_space
from tlbench.terms import Record

if TYPE_CHECKING:
    import optuna


@dataclass(frozen=True)
class SweepResult:
    """The outcome of a sweep: the options of the best trial."""

    entry: str
    method: str
    options: Mapping[str, Any]
    """The options of the best trial, and those of the method entry that were not searched."""
    value: float
    """The rule's value for the best trial: the mean over its cases."""
    trial: int
    """The number of the best trial."""
    trials: int
    """The number of trials that ended with a value."""
    failed: int
    rule: Rule

    def to_toml(self, name: str) -> str:
        """The best options as a method entry of a suite file."""
        lines = [
            f"# chosen by {self.rule.name} ({self.value:.6g}): trial {self.trial} of {self.trials}, {self.failed} failed",
            f"[methods.{name}]",
            f"method = {_toml_value(self.method)}",
        ]
        return "\n".join([*lines, *(f"{key} = {_toml_value(value)}" for key, value in sorted(self.options.items()))]) + "\n"


OnTrial = Callable[[int, float | None, Mapping[str, Any]], None]
"""Called with each trial that ends: its number, its value (None: it failed), its options."""


class RunCases(Protocol):
    """Runs the pending cases of a plan; `plan.pending` may be empty."""

    def __call__(self, plan: RunPlan, results: Path) -> Sequence[Record]:
        """The records of the cases that were pending."""


def run_sweep(
    suite: Suite,
    entry: str,
    trials: int,
    folder: Path,
    root: Path,
    run_cases: RunCases,
    *,
    rule: str | None = None,
    pairs: Sequence[str] = (),
    seeds: Sequence[int] = (),
    ranges: Mapping[str, Range] | None = None,
    parallel_trials: int = 1,
    on_trial: OnTrial = lambda number, value, options: None,
) -> SweepResult:
    """Search the options of a method entry until `trials` trials have ended, counting those of earlier calls.

    Args:
        suite: its protocol, budget and domains apply to every trial.
        entry: the method entry to search; its own options stay where the search does not change them.
        trials: the number of trials in all.
        folder: holds the study and the records of the trials.
        root: the data root.
        run_cases: runs a plan.
        rule: the name of one of the suite's rules; None: its first.
        pairs: the pairs of each trial; empty: all.
        seeds: the seeds of each trial; empty: those of the suite.
        ranges: the ranges to search, by option; None: those that the options declare.
        parallel_trials: the number of trials that are proposed and run at once.
        on_trial: called with each trial that ends.

    Raises:
        TlbenchError: an unknown entry or rule, nothing to search, another sweep in the folder, or no trial that ended with a
            value.
    """
    if entry not in suite.methods:
        raise TlbenchError(unknown_name(f"method entry of suite {suite.name}", entry, suite.methods, "--method"))
    base = suite.methods[entry]
    method = base.method or entry
    searched = ranges or search_space(method, base.options)
    search = _Search(
        *(suite, entry, folder, root, run_cases, _rule(suite, rule)),
        *(tuple(pairs), tuple(seeds), searched, parallel_trials, on_trial),
    )
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with FileLock(folder / ".lock", timeout=0):
            study = _study(folder, search.rule, searched)
            search.run(study, trials)
    except Timeout as error:
        raise TlbenchError(f"{folder}: Another sweep runs there. Wait for it, or choose another folder with --out.") from error
    except OSError as error:
        raise TlbenchError(f"{folder}: The folder can't be written to: {error.strerror}. Choose another with --out.") from error
    valued = [trial for trial in study.trials if trial.value is not None]
    if not valued:
        raise TlbenchError(f"None of {len(study.trials)} trials ended with a value. Their records in {folder} say why.")
    best = study.best_trial
    options = {**base.options, **best.params}
    failed = sum(trial.state.is_finished() for trial in study.trials) - len(valued)
    return SweepResult(entry, method, options, float(study.best_value), best.number, len(valued), failed, search.rule)


def _rule(suite: Suite, name: str | None) -> Rule:
    allowed = {rule.name: rule for rule in rules(suite)}
    if name is not None and name not in allowed:
        raise TlbenchError(
            unknown_name("selection rule", name, allowed, "--rule")
            + f" Suite {suite.name} allows {', '.join(allowed)} (protocol.selection)."
        )
    return allowed[name] if name else next(iter(allowed.values()))


def _study(folder: Path, rule: Rule, searched: Mapping[str, Range]) -> optuna.Study:
    """The study of a folder, created where there is none.

    Raises:
        TlbenchError: Optuna is not installed, or the folder holds a study of another rule or search space.
    """
    try:
        import optuna
    except ImportError as error:
        raise TlbenchError("A sweep needs the extra `sweep`: pip install 'tlbench[sweep]'.") from error
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
            f"{folder}: The folder holds a sweep of {before}, not of {asked}. Choose another folder for this one with --out."
        )
    study.set_user_attr("asked", asked)
    return study


@dataclass(frozen=True)
class _Search:
    """What all trials of a sweep share; the fields are those of `run_sweep`."""

    suite: Suite
    entry: str
    folder: Path
    root: Path
    run_cases: RunCases
    rule: Rule
    pairs: tuple[str, ...]
    seeds: tuple[int, ...]
    ranges: Mapping[str, Range]
    parallel_trials: int
    on_trial: OnTrial

    def run(self, study: optuna.Study, trials: int) -> None:
        """Run the trials that a stopped sweep left unfinished, then new ones."""
        from optuna.trial import TrialState

        while True:
            # a trial without all its options was stopped while it was proposed: it has run nothing
            unfinished = [trial for trial in study.trials if trial.state == TrialState.RUNNING]
            batch = {trial.number: dict(trial.params) for trial in unfinished if set(trial.params) == set(self.ranges)}
            for trial in unfinished:
                if trial.number not in batch:
                    study.tell(trial.number, state=TrialState.FAIL)
            complete = sum(trial.state == TrialState.COMPLETE for trial in study.trials)
            failed = sum(trial.state == TrialState.FAIL and bool(trial.params) for trial in study.trials)
            while len(batch) < self.parallel_trials and complete + failed + len(batch) < trials:
                new_trial = study.ask()
                batch[new_trial.number] = {name: range_.suggest(new_trial, name) for name, range_ in self.ranges.items()}
            if not batch:
                return
            for number, value in self._run_batch(batch).items():
                study.tell(number, value, state=TrialState.FAIL if value is None else TrialState.COMPLETE)
                self.on_trial(number, value, batch[number])

    def _run_batch(self, batch: Mapping[int, Mapping[str, Any]]) -> dict[int, float | None]:
        """Run trials, given as options by trial number.

        Returns:
            The rule's value for each trial: the mean over its cases, None where a case has no value.
        """
        base = self.suite.methods[self.entry]
        method = base.method or self.entry
        entries = {number: f"{self.entry}.trial-{number}" for number in batch}
        methods_of = {
            entry: MethodEntry.model_validate(
                {"method": method, **methods.method_options(method, {**base.options, **batch[number]})}
            )
            for number, entry in entries.items()
        }
        trial_suite = dataclasses.replace(self.suite, methods=methods_of)
        records.prepare(self.folder, trial_suite.name)
        plan = runner.plan_run(trial_suite, self.folder, self.root, pairs=self.pairs, seeds=self.seeds)
        all_records = [*plan.on_file, *self.run_cases(plan, self.folder)]
        means: dict[int, float | None] = {}
        for number, entry in entries.items():
            values = [self.rule.value(record) for record in all_records if record.entry == entry]
            present = [value for value in values if value is not None]
            means[number] = fmean(present) if present and len(present) == len(values) else None
        return means


def _toml_value(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return repr(value)
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_toml_value, value))}]"
    return json.dumps(str(value), ensure_ascii=False)  # a basic string of TOML is one of JSON
