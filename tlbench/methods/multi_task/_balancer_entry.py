"""A balancer as a suite writes it: a name, or a table with its options."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import AfterValidator

from tlbench import balancers
from tlbench.errors import TlbenchError


def _checked(entry: str | dict[str, Any]) -> str | dict[str, Any]:
    try:
        balancers.check_balancer(entry)
    except TlbenchError as error:
        raise ValueError(str(error)) from error
    return entry


BalancerEntry = Annotated[str | dict[str, Any], AfterValidator(_checked)]
"""The type of an option that names a balancer of `tlbench.balancers`."""
