"""Records made up for the tests of tables, and a look into a table's numbers."""

from tlbench.terms import Record

HOSTILE = "a|b\n| x | y |\x1b[31m\u202e\\ `*_<b>_[c] & 100% $\\pm$ {#}~^\ud800"


def record(row="source_only", pair="a:b", seed=0, accuracy=0.5, **more):
    sources, target = pair.rsplit(":", 1)
    cost = more.pop("cost", {})
    machine = {"device": more.pop("device", "cpu"), "torch": "2.11", "precision": more.pop("precision", "fp32")}
    fields = {"suite": "toy", "suite_version": 1, "entry": row, "method": row, "identity": "i", "status": "done"}
    fields |= {
        "baseline": "source_only",
        "data": {target: "f"},
        "code": {"tlbench": more.pop("tlbench", "0")},
        "machine": machine,
    }
    fields |= {"started": "2026-01-01T00:00:00Z", "finished": "2026-01-01T00:00:00Z", "cost": cost}
    fields |= {"sources": tuple(sources.split("+")), "target": target, "seed": seed}
    return Record(**fields | {"scores": {"target_accuracy": accuracy}} | more)


def cells(row, pairs, **more):
    """Records of a row from {pair: [score of seed 0, 1, ...]}."""
    return [record(row, pair, seed, score, **more) for pair, scores in pairs.items() for seed, score in enumerate(scores)]


def value(table, row, quantity, pair=None, part=None):
    data = table.data
    at_pair = data["pair"].isna() if pair is None else data["pair"] == pair
    of = (data["entry"] == row) & (data["quantity"] == quantity)
    found = data[of & (data["part"] == part if part else at_pair)]["value"]
    return found.item() if len(found) else None
