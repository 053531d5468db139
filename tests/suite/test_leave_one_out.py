"""`pairs.leave_one_out`: each domain as the target of all others."""

from __future__ import annotations

import tomllib

from suite_tables import suite_errors, suite_tables

from tlbench.suite import Suite, locate_suite, parse_suite
from tlbench.suite.pairs import pair_label

DOMAIN = {"reader": "scikit_learn", "name": "iris"}


def with_pairs(name: str, **pairs: object) -> Suite:
    """A shipped suite with another table of pairs."""
    return parse_suite({**tomllib.loads(locate_suite(name).read_text(encoding="utf-8")), "pairs": pairs}, name)


def test_the_pairs_of_pacs_in_one_line() -> None:
    listed = parse_suite(tomllib.loads(locate_suite("pacs").read_text(encoding="utf-8")), "pacs")
    declared = with_pairs("pacs", leave_one_out=True)
    assert declared.pairs == listed.pairs and declared.hash == listed.hash
    assert declared.cases() == listed.cases()


def test_two_domains_and_pairs_beside_them() -> None:
    suite = parse_suite(suite_tables(pairs={"leave_one_out": True, "all": True}), "mine")
    assert len(suite.pairs) == len(set(suite.pairs)) == 2  # of two domains, both keys mean the same pairs


def test_three_domains_with_label_budgets() -> None:
    tables = {
        "name": "three",
        "version": 1,
        "domains": {"a": DOMAIN, "b": DOMAIN, "c": DOMAIN},
        "pairs": {"leave_one_out": True},
        "protocol": {"target_labels": [1, 3]},
        "methods": {"source_only": {}},
    }
    labels = [pair_label(pair) for pair in parse_suite(tables, "three").pairs]
    assert labels == ["b+c:a_l1", "b+c:a_l3", "a+c:b_l1", "a+c:b_l3", "a+b:c_l1", "a+b:c_l3"]


def test_what_is_refused() -> None:
    assert "pairs.leave_one_out = 1 must be true or false." in suite_errors(pairs={"leave_one_out": 1})
    alone = suite_errors(domains={"a": DOMAIN}, pairs={"leave_one_out": True})
    assert "pairs: leave_one_out = true needs at least two domains." in alone
    assert "Unknown key 'leave_one'. Did you mean 'leave_one_out'?" in suite_errors(pairs={"leave_one": True})
