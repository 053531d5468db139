"""The text of a suite of CSV tables, one for each domain, with the nearest neighbour as its baseline."""

from __future__ import annotations

from collections.abc import Sequence


def table_suite(name: str, domains: Sequence[str], pairs: Sequence[str]) -> str:
    """A suite whose domains are files NAME.csv with a column `label`; all of the target is adapted to and scored."""
    tables = "\n".join(f'[domains.{one}]\npath = "{one}.csv"' for one in domains)
    listed = ", ".join(f'"{pair}"' for pair in pairs)
    return f"""name = "{name}"
version = 1
[data]
reader = "csv"
label = "label"
{tables}
[pairs]
list = [{listed}]
[protocol]
scored = "adapted"
source_held_out = 0.0
seeds = [0]
[methods.source_only]
method = "nearest_neighbor"
"""
