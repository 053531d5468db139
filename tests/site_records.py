"""Records made up for the tests of the site and its plots, some of them with hostile texts."""

from swept_domains import levels_by_name

from tlbench.terms import Record

HOSTILE = "<img src=x onerror=alert(1)>\x1b[31m\u202e\"'&"
SCRIPT = "</script><script>alert(1)</script>"


def record(row, accuracy, seed=0, suite="toy", pair=("a", "b"), **changes):
    fields = {"suite": suite, "suite_version": 1, "entry": row, "method": row, "sources": pair[:1], "target": pair[1]}
    fields |= {"seed": seed, "identity": f"{row}{pair}{seed}", "status": "done", "baseline": "source_only", "data": {}}
    fields |= {"machine": {"device": "cpu", "torch": "2"}, "code": {"tlbench": "0"}}
    fields |= {"started": "2026-01-01T00:00:00Z", "finished": "2026-01-01T00:00:00Z"}
    fields |= {"scores": {"target_accuracy": accuracy}, "sweep_levels": levels_by_name(pair)}
    fields |= {"cost": {"train_seconds": 1 + accuracy, "peak_memory_bytes": round(1e8 * accuracy)}}
    return Record(**{**fields, **changes})


def records(suite="toy"):
    rows = {"source_only": 0.6, "dann": 0.5, HOSTILE: 0.7}
    pairs = (("a", "b"), ("b", "a"))
    return [
        record(row, at + seed / 1000 - number / 100, seed, suite, pair)
        for row, at in rows.items()
        for number, pair in enumerate(pairs)
        for seed in range(3)
    ]
