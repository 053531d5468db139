"""The trials of the table `[tuning]`: of every method entry as many, the baseline among them, each with its own records.

A trial of an entry `dann` is the entry `dann.trial-3` in the results directory of the tuning. Which configuration a rule
selects is computed from the candidates beside the records (`reports.rule_selections`).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from tlbench import methods
from tlbench.errors import TlbenchError, unknown_name
from tlbench.suite import MethodEntry, Suite
from tlbench.suite.pairs import Pair, pair_label, validation_pairs
from tlbench.sweep.draws import draw, draw_option
from tlbench.sweep.rules import rules
from tlbench.sweep.search import LEARNING_RATE, RunCases, SweepResult, run_sweep
from tlbench.sweep.search_space import Range, search_space


def tuning_suites(suite: Suite, pairs: Sequence[str] = ()) -> list[Suite]:
    """The suite of each trial: its method entries `NAME.trial-N` with the options and the learning rate of the trial.

    A shallow method without an option that can be drawn has the first trial alone, for the others would be copies of it.

    Args:
        suite: with `[tuning]`, and `[selection]` unless methods see no target sample.
        pairs: pairs such as "a+b:c"; empty: all of the suite. `trial_pairs` adds those of a cross-validation.

    Raises:
        TlbenchError: the suite has no such table or pair, or a range is none of its method entry.
    """
    suite = dataclasses.replace(suite, pairs=trial_pairs(suite, pairs))
    spaces = tuning_spaces(suite)
    assert suite.tuning is not None
    return [_trial_suite(suite, trial, spaces) for trial in range(suite.tuning.trials)]


def tuning_spaces(suite: Suite) -> dict[str, Mapping[str, Range]]:
    """The ranges of each method entry of a suite that is tuned; empty where an entry has none.

    Raises:
        TlbenchError: the suite has no table `[tuning]` or `[selection]`, or a range is none of its method entry.
    """
    if suite.tuning is None or (suite.selection is None and not _is_generalization(suite)):
        raise TlbenchError(
            f"Suite {suite.name} has no table [{'tuning' if suite.tuning is None else 'selection'}], and a tuning of all its "
            "method entries needs [tuning] and [selection]. Add it, or name one entry with --method."
        )
    unknown = [name for name in suite.tuning.ranges if name not in suite.methods]
    if unknown:
        raise TlbenchError(unknown_name("method entry", unknown[0], suite.methods, "tuning.ranges"))
    return {name: _space(suite, name) for name in suite.methods}


def tune_by_rule(
    suite: Suite,
    results: Path,
    root: Path,
    run_cases: RunCases,
    *,
    pairs: Sequence[str] = (),
    seeds: Sequence[int] = (),
) -> Iterator[tuple[str, SweepResult | TlbenchError]]:
    """Search all method entries of a suite whose trials Optuna proposes, and go on where an entry has no number of the rule.

    The first trial of each is the entry as the suite declares it; an entry that has nothing to search has no other.

    Args:
        suite: with `[selection]`, and `[tuning]` that names Optuna and the rule.
        results: the results directory of the trials; the studies lie in its folder `.studies`.
        root: the data root.
        run_cases: runs a plan.
        pairs: the pairs of each trial; empty: all.
        seeds: the seeds of each trial; empty: those of the suite.

    Yields:
        Each entry with its best trial, or with the reason why none has a number.

    Raises:
        TlbenchError: as `tuning_spaces`, or the suite does not allow the rule.
    """
    suite = dataclasses.replace(suite, pairs=trial_pairs(suite, pairs))
    spaces, tuning = tuning_spaces(suite), suite.tuning
    assert tuning is not None
    if tuning.rule not in (allowed := [rule.name for rule in rules(suite)]):
        raise TlbenchError(unknown_name("selection rule of one trial", tuning.rule, allowed, "tuning.rule"))
    for name, space in spaces.items():
        ranges = {**space}
        if tuning.lr is not None and _is_deep(suite, name):
            ranges[LEARNING_RATE] = Range("float", *tuning.lr, log=True)
        study = results / ".studies" / suite.name / name
        try:
            best: SweepResult | TlbenchError = run_sweep(
                *(suite, name, tuning.trials if ranges else 1, study, root, run_cases),
                rule=tuning.rule,
                seeds=seeds,
                ranges=ranges,
                results=results,
                declared_first=True,
                sampler_seed=tuning.seed,
            )
        except TlbenchError as error:
            best = error
        yield name, best


def trial_pairs(suite: Suite, pairs: Sequence[str] = ()) -> tuple[Pair, ...]:
    """The pairs of trials: those of the suite, and where no target is granted, those that leave one more domain out.

    Args:
        suite: of the trials.
        pairs: pairs such as "a+b:c"; empty: all of the suite.

    Raises:
        TlbenchError: the suite lacks a pair.
    """
    labels = [pair_label(pair) for pair in suite.pairs]
    if errors := [unknown_name(f"pair of suite {suite.name}", pair, labels, "--pair") for pair in pairs if pair not in labels]:
        raise TlbenchError("\n".join(errors))
    asked = [pair for pair in suite.pairs if not pairs or pair_label(pair) in pairs]
    inner = [one for pair in asked for one in validation_pairs(pair)] if _is_generalization(suite) else []
    return tuple(dict.fromkeys((*asked, *inner)))


def _is_generalization(suite: Suite) -> bool:
    """Whether methods see no target sample, so that the label-free facts of a target choose nothing."""
    return "target" not in suite.protocol.grants and not suite.protocol.target_labels


def _is_deep(suite: Suite, name: str) -> bool:
    from tlbench.methods.base import DeepMethod

    return issubclass(methods.method_class(suite.methods[name].method or name), DeepMethod)


def _space(suite: Suite, name: str) -> Mapping[str, Range]:
    """The ranges of a method entry: those of `[tuning.ranges]`, else those that its method declares; none without any."""
    assert suite.tuning is not None
    entry = suite.methods[name]
    method, given = entry.method or name, suite.tuning.ranges.get(name, ())
    if given:
        return search_space(method, entry.options, given)
    try:
        return search_space(method, entry.options)
    except TlbenchError:  # nothing that can be searched, as of a baseline
        return {}


def _trial_suite(suite: Suite, trial: int, spaces: Mapping[str, Mapping[str, Range]]) -> Suite:
    """The suite of one trial; the first has the options and the learning rate of the suite."""
    tuning = suite.tuning
    assert tuning is not None
    trials: dict[str, MethodEntry] = {}
    for name, entry in suite.methods.items():
        method = entry.method or name
        if trial and not spaces[name] and not (tuning.lr is not None and _is_deep(suite, name)):
            continue
        options: dict[str, Any] = dict(entry.options)
        if trial:
            options |= {key: draw_option(range_, tuning.seed, trial, name, key) for key, range_ in spaces[name].items()}
            methods.method_options(method, options)  # raises where drawn options do not go together
        trials[f"{name}.trial-{trial}"] = MethodEntry.model_validate({"method": method, **options})
    lr = draw(*tuning.lr, True, tuning.seed, trial, "lr") if trial and tuning.lr is not None else suite.train.lr
    return dataclasses.replace(suite, methods=trials, train=suite.train.model_copy(update={"lr": lr}))
