"""The numbers of selection rules on stored candidates: facts that no label of a scored sample has decided."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from tlbench import selection
from tlbench.errors import TlbenchError
from tlbench.records.candidates import label_free_facts, sealed_facts
from tlbench.terms import Record

Candidates = dict[str, np.ndarray[Any, np.dtype[np.float64]]]
"""The arrays of candidates, T of them along the first axis."""


def candidates_of(results: Path, record: Record) -> Candidates | None:
    """What is stored of the candidates of a record; None where a file is missing."""
    names = record.scores.label_free_facts, record.scores.sealed_facts
    facts = None if names[0] is None else label_free_facts(results, record.suite, names[0])
    sealed = None if names[1] is None else sealed_facts(results, record.suite, names[1])
    return None if facts is None or sealed is None else {**facts, **sealed}


def rule_number(case: Candidates, rule: str, position: int, seed: int) -> float:
    """The number of one candidate under a rule; NaN where it has none.

    Args:
        case: the candidates.
        rule: the name of a rule that reads no label of a target sample.
        position: of the candidate.
        seed: of the case.
    """
    if f"rule_{rule}" in case:
        return float(case[f"rule_{rule}"][position])
    return number_of(rule, facts_of(case, position, seed))


def number_of(rule: str, facts: dict[str, Any]) -> float:
    """The number of a rule; NaN where it has none."""
    try:
        return selection.score(rule, **{name: facts[name] for name in selection.make_rule(rule).required()})
    except (TlbenchError, KeyError, np.linalg.LinAlgError):
        return float("nan")


def facts_of(case: Candidates, number: int, seed: int) -> dict[str, Any]:
    """What rules may read of one candidate, by the names of `selection.Facts`."""
    facts: dict[str, Any] = {"step": int(case["step"][number]), "seed": abs(seed)}
    for side in ("source", "target"):
        if (outputs := case.get(f"{side}_outputs")) is not None and np.isfinite(outputs[number]).all():
            facts[f"{side}_logits"] = logits_of(outputs[number])
    if "source_logits" in facts:
        facts["source_labels"] = case["source_labels"]
    if "target_logits" in facts:
        pool = case["target_outputs"]
        facts["pool_logits"] = np.stack([logits_of(one) for one in pool if np.isfinite(one).all()])
        mixed = case.get("mixed_classes")
        if mixed is not None and mixed[number].max() < facts["target_logits"].shape[1]:
            facts["mixed_logits"] = np.eye(facts["target_logits"].shape[1])[mixed[number]]
            facts["mixed_indices"] = np.stack((np.arange(mixed.shape[1]), case["mixed_partners"]), axis=1)
    return facts


def logits_of(outputs: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """The class scores (n, C) of stored outputs (n, C + 1)."""
    return outputs[:, :-1].astype(np.float64) + outputs[:, -1:].astype(np.float64)
