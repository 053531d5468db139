"""Synthetic records for the tests of tables, and access to the numbers of a table."""

import numpy as np
from swept_domains import levels_by_name

from tlbench.terms import Record

PAIRS = ("a:b", "b:a", "a:c", "c:a", "b:c", "c:b")
SOURCE_ONLY = {"a:b": [0.50, 0.52, 0.57], "b:a": [0.60, 0.61, 0.59]}
DANN = {"a:b": [0.60, 0.64, 0.62], "b:a": [0.55, 0.58, 0.57]}
HOSTILE = "a|b\n| x | y |\x1b[31m\u202e\\ `*_<b>_[c] & 100% $\\pm$ {#}~^\ud800"


def record(entry="source_only", pair="a:b", seed=0, accuracy=0.5, **more):
    sources, target = pair.rsplit(":", 1)
    cost = more.pop("cost", {})
    machine = {"device": more.pop("device", "cpu"), "torch": "2.11", "precision": more.pop("precision", "fp32")}
    fields = {"suite": "toy", "suite_version": 1, "entry": entry, "method": entry, "identity": "i", "status": "done"}
    fields |= {
        "baseline": "source_only",
        "data": dict.fromkeys([*sources.split("+"), target], "f"),
        "code": {"tlbench": more.pop("tlbench", "0")},
        "machine": machine,
    }
    fields |= {"started": "2026-01-01T00:00:00Z", "finished": "2026-01-01T00:00:00Z", "cost": cost}
    fields |= {"sources": tuple(sources.split("+")), "target": target, "seed": seed}
    fields |= {"sweep_levels": levels_by_name([*sources.split("+"), target])}
    return Record(**fields | {"scores": {"target_accuracy": accuracy}} | more)


def cells(entry, pairs, **more):
    """Records of an entry from {pair: [score of seed 0, 1, ...]}."""
    return [record(entry, pair, seed, score, **more) for pair, scores in pairs.items() for seed, score in enumerate(scores)]


def grid(entry, level, spread=0.01, pairs=PAIRS, seeds=3, **more):
    """Records of an entry: its level plus a little noise of its own."""
    rng = np.random.default_rng(list(entry.encode()))
    noise = spread * rng.normal(size=(len(pairs), seeds))
    return cells(entry, {pair: (level + of).tolist() for pair, of in zip(pairs, noise, strict=True)}, **more)


def of_classes(entry, seed, shares, pair="a:b", column="per_class_accuracy", **more):
    """A record with accuracies of classes, whose mean is the target accuracy."""
    accuracy = float(np.mean([share for share in shares.values() if share is not None]))
    return record(entry, pair, seed, scores={"target_accuracy": accuracy, column: shares}, **more)


def value(table, entry, quantity, pair=None, subgroup=None):
    """The number of a table's data for one entry and quantity, and for a pair or a subgroup; None where it has none."""
    data = table.data
    of_pair = data["pair"].isna() if pair is None else data["pair"] == pair
    of_entry = (data["entry"] == entry) & (data["quantity"] == quantity)
    values = data[of_entry & (data["subgroup"] == subgroup if subgroup else of_pair)]["value"]
    return values.item() if len(values) else None
