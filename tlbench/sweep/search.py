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


LEARNING_RATE = "train.lr"
"""The name of the learning rate of a trial among the ranges of a search."""
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
    results: Path | None = None,
    declared_first: bool = False,
    sampler_seed: int = 0,
) -> SweepResult:
    """Search the options of a method entry until `trials` trials have ended, counting those of earlier calls.

    Args:
        suite: its protocol, budget and domains apply to every trial.
        entry: the method entry to search; its own options stay where the search does not change them.
        trials: the number of trials in all.
        folder: holds the study.
        root: the data root.
        run_cases: runs a plan.
        rule: the name of one of the suite's rules; None: its first.
        pairs: the pairs of each trial; empty: all.
        seeds: the seeds of each trial; empty: those of the suite.
        ranges: the ranges to search, by option, and by `LEARNING_RATE` for that of `[train]`; None: those that the options
            declare.
        parallel_trials: the number of trials that are proposed and run at once.
        on_trial: called with each trial that ends.
        results: the results directory of the trials; None: the folder of the study.
        declared_first: whether the first trial is the entry as the suite declares it.
        sampler_seed: of the proposals, beside the ranges.

    Raises:
        TlbenchError: an unknown entry or rule, nothing to search, another sweep in the folder, or no trial that ended with a
            value.
    """
    if entry not in suite.methods:
        raise TlbenchError(unknown_name(f"method entry of suite {suite.name}", entry, suite.methods, "--method"))
    base = suite.methods[entry]
    searched = search_space(base.method or entry, base.options) if ranges is None else ranges
    search = _Search(
        *(suite, entry, results or folder, root, run_cases, _rule(suite, rule)),
        *(tuple(pairs), tuple(seeds), searched, parallel_trials, on_trial, declared_first),
    )
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with FileLock(folder / ".lock", timeout=0):
            study = _study(folder, search.rule, searched, sampler_seed)
            search.run(study, trials)
    except Timeout as error:
        raise TlbenchError(f"{folder}: Another sweep runs there. Wait for it, or choose another folder with --out.") from error
    except OSError as error:
        raise TlbenchError(f"{folder}: The folder can't be written to: {error.strerror}. Choose another with --out.") from error
    return search.result(study)


def _rule(suite: Suite, name: str | None) -> Rule:
    allowed = {rule.name: rule for rule in rules(suite)}
    if name is not None and name not in allowed:
        raise TlbenchError(
            unknown_name("selection rule", name, allowed, "--rule")
            + f" Suite {suite.name} allows {', '.join(allowed)} (protocol.selection)."
            + (" Those of stored facts need the table [selection]." if suite.selection is None else "")
        )
    return allowed[name] if name else next(iter(allowed.values()))


def _study(folder: Path, rule: Rule, searched: Mapping[str, Range], sampler_seed: int) -> optuna.Study:
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
    seed = (seed + sampler_seed) % 2**32
    study = optuna.create_study(
        storage=f"sqlite:///{(folder / 'study.db').absolute()}",
        study_name="sweep",
        load_if_exists=True,
        direction="maximize" if rule.higher_is_better else "minimize",
        sampler=optuna.samplers.TPESampler(seed=seed, constant_liar=True),
    )
    asked: dict[str, Any] = {"rule": rule.name, "space": {name: str(range_) for name, range_ in searched.items()}}
    asked |= {"seed": sampler_seed} if sampler_seed else {}
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
    results: Path
    root: Path
    run_cases: RunCases
    rule: Rule
    pairs: tuple[str, ...]
    seeds: tuple[int, ...]
    ranges: Mapping[str, Range]
    parallel_trials: int
    on_trial: OnTrial
    declared_first: bool

    def run(self, study: optuna.Study, trials: int) -> None:
        """Run the trials that a stopped sweep left unfinished, then new ones."""
        from optuna.trial import TrialState

        while True:
            # a trial without all its options was stopped while it was proposed: it has run nothing
            unfinished = [trial for trial in study.trials if trial.state == TrialState.RUNNING]
            batch = {trial.number: dict(trial.params) for trial in unfinished if self._is_whole(trial)}
            for trial in unfinished:
                if trial.number not in batch:
                    study.tell(trial.number, state=TrialState.FAIL)
            complete = sum(trial.state == TrialState.COMPLETE for trial in study.trials)
            failed = sum(trial.state == TrialState.FAIL and self._is_whole(trial) for trial in study.trials)
            while len(batch) < self.parallel_trials and complete + failed + len(batch) < trials:
                new_trial = study.ask()
                ranges = {} if self._is_declared(new_trial.number) else self.ranges
                batch[new_trial.number] = {name: range_.suggest(new_trial, name) for name, range_ in ranges.items()}
            if not batch:
                return
            for number, value in self._run_batch(batch).items():
                study.tell(number, value, state=TrialState.FAIL if value is None else TrialState.COMPLETE)
                self.on_trial(number, value, batch[number])

    def result(self, study: optuna.Study) -> SweepResult:
        """The best trial of a study.

        Raises:
            TlbenchError: no trial ended with a value.
        """
        valued = [trial for trial in study.trials if trial.value is not None]
        if not valued:
            raise TlbenchError(
                f"None of {len(study.trials)} trials ended with a value. Their records in {self.results} say why."
            )
        base, best = self.suite.methods[self.entry], study.best_trial
        options = {**base.options, **{key: value for key, value in best.params.items() if key != LEARNING_RATE}}
        failed = sum(trial.state.is_finished() for trial in study.trials) - len(valued)
        method, value = base.method or self.entry, float(study.best_value)
        return SweepResult(self.entry, method, options, value, best.number, len(valued), failed, self.rule)

    def _is_declared(self, number: int) -> bool:
        """Whether a trial is the entry as the suite declares it."""
        return self.declared_first and number == 0

    def _is_whole(self, trial: optuna.trial.FrozenTrial) -> bool:
        """Whether a trial has a value for each range; one that was stopped while it was proposed has not."""
        return self._is_declared(trial.number) or set(trial.params) == set(self.ranges)

    def _run_batch(self, batch: Mapping[int, Mapping[str, Any]]) -> dict[int, float | None]:
        """Run trials, given as options by trial number.

        Returns:
            The rule's value for each trial: the mean over its cases, None where a case has no value.
        """
        entries = {number: f"{self.entry}.trial-{number}" for number in batch}
        records.prepare(self.results, self.suite.name)
        all_records: list[Record] = []
        for lr in {options.get(LEARNING_RATE): None for options in batch.values()}:
            suite = self._trial_suite({entries[n]: of for n, of in batch.items() if of.get(LEARNING_RATE) == lr}, lr)
            plan = runner.plan_run(suite, self.results, self.root, pairs=self.pairs, seeds=self.seeds)
            all_records += [*plan.on_file, *self.run_cases(plan, self.results)]
        means: dict[int, float | None] = {}
        for number, entry in entries.items():
            values = [self.rule.value(record, self.results) for record in all_records if record.entry == entry]
            present = [value for value in values if value is not None]
            means[number] = fmean(present) if present and len(present) == len(values) else None
        return means

    def _trial_suite(self, trials: Mapping[str, Mapping[str, Any]], lr: float | None) -> Suite:
        """The suite of trials with one learning rate, each of which is a method entry.

        Args:
            trials: the options by entry.
            lr: the learning rate; None: that of the suite.
        """
        base = self.suite.methods[self.entry]
        method = base.method or self.entry
        entries = {}
        for name, drawn in trials.items():
            options = {**base.options, **{key: value for key, value in drawn.items() if key != LEARNING_RATE}}
            entries[name] = MethodEntry.model_validate({"method": method, **methods.method_options(method, options)})
        train = self.suite.train if lr is None else self.suite.train.model_copy(update={"lr": lr})
        return dataclasses.replace(self.suite, methods=entries, train=train)


def _toml_value(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return repr(value)
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_toml_value, value))}]"
    return json.dumps(str(value), ensure_ascii=False)  # a basic string of TOML is one of JSON
