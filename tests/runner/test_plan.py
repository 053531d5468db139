"""Identities of cases, and the estimated durations that order them."""

from __future__ import annotations

from tiny_suite import case, record, suite

from tlbench import engine, methods
from tlbench.runner.duration_estimates import CellKey, DurationEstimates
from tlbench.suite import digest
from tlbench.terms import Cost


def test_identities_are_hashes_of_the_canonical_facts():
    """The quick way for many cases gives what the plain way says."""
    chosen = suite(methods={"source_only": {}, "strong": {"method": "coral", "weight": 5.0}})
    prints = {"a": "1 é", "b": "2"}
    for one in chosen.cases():
        kind = methods.method_class(one.method)
        options = {"weight": 5.0} if one.entry == "strong" else {}
        plain = {
            "suite": ["tiny", 1],
            "method": [one.method, kind.version, options],
            "pair": [one.sources, one.target],
            "seed": 0,
            "data": prints,
            "decides": chosen.hashed_settings(),
        }
        assert engine.identity(one, chosen, prints) == digest(plain)
    assert len(set(engine.identities(chosen.cases(), chosen, prints))) == len(chosen.cases())


def test_long_cases_start_first_and_unknown_ones_are_tried_early():
    def timed(entry: str, seconds: float, sources: tuple[str, ...] = ("a",)):
        return record(entry=entry, sources=sources, cost=Cost(wall_seconds=seconds))

    estimates = DurationEstimates([timed("short", 1.0), timed("long", 9.0), timed("long", 11.0), timed("long", 4.0, ("c",))])
    cases = [case(name) for name in ("short", "long", "new", "new")] + [case("long", sources=("c",))]
    order = estimates.longest_first(cases)
    assert [cases[i].entry for i in order] == ["new", "long", "new", "long", "short"] and order[0] == 2
    assert estimates.seconds(CellKey("long", "a:b")) == 10.0 and estimates.seconds(CellKey("long", "x:b")) == 9.0
    assert estimates.total({CellKey("long", "a:b"): 2, CellKey("new", "a:b"): 3}) == (20.0, 3)
    assert estimates.wall_seconds({CellKey("long", "a:b"): 2}, 2) == 10.0
    assert DurationEstimates().wall_seconds({CellKey("long", "a:b"): 2}, 2) is None
    assert estimates.update(timed("new", 1.0)) and not estimates.update(timed("new", 1.0))
