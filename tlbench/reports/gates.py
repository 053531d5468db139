"""The gate "adapt only if a rule says so", as method entries of their own: records that follow from those of two cases.

Of a method and the baseline of its suite on the same pair and seed, the one is taken that has the higher number under a rule.
Both have been trained from the same network, so that no case runs for a gate, and its rows stand in every table.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from tlbench import selection
from tlbench.errors import TlbenchError, unknown_name
from tlbench.records.rule_numbers import candidates_of, rule_number
from tlbench.reports.rule_selections import latest_records_of_candidates, with_unadapted
from tlbench.terms import Cost, Record

SUMMED = ("wall_seconds", "train_seconds", "compile_seconds", "selection_seconds", "energy_joules")
"""The costs that a gate has twice, for the baseline is trained as well."""
PREDICTION = ("predict_samples_per_second", "predict_rates")
"""The costs of the model that is taken."""
LABELED = frozenset({"k_labels", "reverse_validation"})
"""Rules that no gate takes: their labelled samples are among the scored ones, or nothing is stored for them."""


def gated_records(results: Path, records: Iterable[Record], rules: Sequence[str]) -> list[Record]:
    """A record for each rule and each finished case of a method whose candidates, and whose baseline's, are on file.

    The entry is named after method and rule, as in "dann + im". A tie, or a number that is not finite, refuses to adapt. A note
    says which model was taken, and both numbers. Times of training are sums of both, for a gate has to train both.

    Args:
        results: the results directory.
        records: its records.
        rules: the names of rules that read no label of a target sample.

    Raises:
        TlbenchError: there is no such rule, it reads labels of the target, no case has candidates, or a file is damaged.
    """
    available = [name for name in selection.rule_names() if name not in LABELED]
    if errors := [unknown_name("rule of a gate", rule, available, "--gate") for rule in rules if rule not in available]:
        raise TlbenchError("\n".join(errors))
    latest = latest_records_of_candidates(records)
    gated: list[Record] = []
    for (suite, version, pair, seed, entry), adapted in latest.items():
        unadapted = latest.get((suite, version, pair, seed, adapted.baseline))
        if unadapted is None or entry == adapted.baseline:
            continue
        case, base = candidates_of(results, adapted), candidates_of(results, unadapted)
        pool = None if case is None else with_unadapted({**case, "adapted": np.ones_like(case["adapted"])}, base)
        if pool is None or pool["adapted"][0] != 0:
            continue
        for rule in rules:
            numbers = tuple(rule_number(pool, rule, position, int(seed)) for position in (0, -1))
            gated.append(_gated(adapted, unadapted, rule, numbers))
    if not gated:
        raise TlbenchError(
            "No case of a method has candidates on file beside those of its baseline, and a gate compares these. Run a suite "
            "with the table [selection], without --gate."
        )
    return gated


def _gated(adapted: Record, unadapted: Record, rule: str, numbers: tuple[float, ...]) -> Record:
    """The record of one gate.

    Args:
        adapted: the record of the method.
        unadapted: that of the baseline.
        rule: the name of the rule.
        numbers: of the unadapted and of the adapted model.
    """
    accepts = bool(np.isfinite(numbers).all()) and numbers[1] > numbers[0]
    chosen = adapted if accepts else unadapted
    note = f"gate {rule}: {'adapted' if accepts else 'not adapted'}, {numbers[1]:.6g} against {numbers[0]:.6g}"
    facts = {
        "entry": f"{adapted.entry} + {rule}",
        "scores": chosen.scores,
        "cost": _cost(adapted.cost, unadapted.cost, chosen.cost),
        "finished": max(adapted.finished, unadapted.finished),
        "notes": (*adapted.notes, note),
    }
    return adapted.model_copy(update=facts)


def _cost(adapted: Cost, unadapted: Cost, chosen: Cost) -> Cost:
    """The cost of a gate: both trainings, and the predictions of the model that is taken."""
    costs = {}
    for name in SUMMED:
        values = [getattr(adapted, name), getattr(unadapted, name)]
        costs[name] = None if None in values else sum(values)
    return adapted.model_copy(update={**costs, **{name: getattr(chosen, name) for name in PREDICTION}})
