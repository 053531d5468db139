"""The trials of the table `[tuning]`: of every method entry as many, the baseline among them, each with its own records.

A trial of an entry `dann` is the entry `dann.trial-3` in the results directory of the tuning. Which configuration a rule
selects is computed from the candidates beside the records (`reports.rule_selections`).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from tlbench import methods
from tlbench.errors import TlbenchError, unknown_name
from tlbench.suite import MethodEntry, Suite
from tlbench.sweep.draws import draw, draw_option
from tlbench.sweep.search_space import Range, search_space


def tuning_suites(suite: Suite) -> list[Suite]:
    """The suite of each trial: its method entries `NAME.trial-N` with the options and the learning rate of the trial.

    A shallow method without an option that can be drawn has the first trial alone, for the others would be copies of it.

    Raises:
        TlbenchError: the suite has no table `[tuning]` or `[selection]`, or a range is none of its method entry.
    """
    if suite.tuning is None or suite.selection is None:
        raise TlbenchError(
            f"Suite {suite.name} has no table [{'tuning' if suite.tuning is None else 'selection'}], and a tuning of all its "
            "method entries needs [tuning] and [selection]. Add it, or name one entry with --method."
        )
    unknown = [name for name in suite.tuning.ranges if name not in suite.methods]
    if unknown:
        raise TlbenchError(unknown_name("method entry", unknown[0], suite.methods, "tuning.ranges"))
    spaces = {name: _space(suite, name) for name in suite.methods}
    return [_trial_suite(suite, trial, spaces) for trial in range(suite.tuning.trials)]


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
    from tlbench.methods.base import DeepMethod

    tuning = suite.tuning
    assert tuning is not None
    trials: dict[str, MethodEntry] = {}
    for name, entry in suite.methods.items():
        method = entry.method or name
        is_deep = issubclass(methods.method_class(method), DeepMethod)
        if trial and not spaces[name] and not (is_deep and tuning.lr is not None):
            continue
        options: dict[str, Any] = dict(entry.options)
        if trial:
            options |= {key: draw_option(range_, tuning.seed, trial, name, key) for key, range_ in spaces[name].items()}
            methods.method_options(method, options)  # raises where drawn options do not go together
        trials[f"{name}.trial-{trial}"] = MethodEntry.model_validate({"method": method, **options})
    lr = draw(*tuning.lr, True, tuning.seed, trial, "lr") if trial and tuning.lr is not None else suite.train.lr
    return dataclasses.replace(suite, methods=trials, train=suite.train.model_copy(update={"lr": lr}))
