"""Streams of test samples: the table `protocol.stream`, pairs with several targets one after the other, and several orders.

`stream = { order = "by_class", batch = 16 }` in `[protocol]` says how the scored samples come to methods that adapt at test
time. Several targets that are written with `>` are one stream: in `"clean:noise>blur"` the samples of noise come before those
of blur, and a severity sweep stands there for all its severities. A list of orders, `order = ["shuffled", "by_class"]`, stands
for one target of each order: `a:b` becomes `a:b_shuffled` and `a:b_by_class`, which share data, network and training.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any, Literal, NamedTuple, get_args

from pydantic import ConfigDict, Field, model_validator

from tlbench.data import Declaration
from tlbench.suite.pairs import SEQUENCE, Pair
from tlbench.terms import Strict

Order = Literal["shuffled", "by_class", "stored"]


class Stream(Strict):
    """The table `protocol.stream`."""

    model_config = ConfigDict(strict=True)

    order: Order = "shuffled"
    """The samples of a domain come at random, class after class, or as the domain stores them. A suite file may give a list."""
    concentration: float = Field(
        0.0, ge=0, allow_inf_nan=False, description="with order = 'by_class': of the Dirichlet draw; 0: no class comes twice"
    )
    domains: Literal["gradual", "mixed"] = "gradual"
    """The domains of a sequence come one after the other, or as one domain."""
    batch: int = Field(0, ge=0, description="samples of a batch; 0: as many as in training")
    reset: Literal["never", "each_domain", "each_batch"] = "never"
    """When a method gets back the state that it had before the stream."""

    @model_validator(mode="after")
    def _options_that_fit(self) -> Stream:
        if self.concentration and self.order != "by_class":
            raise ValueError("concentration is an option of order = 'by_class'. Leave it out, or set this order.")
        if self.reset == "each_domain" and self.domains == "mixed":
            raise ValueError("reset = 'each_domain' has no meaning with domains = 'mixed'. Set 'never' or 'each_batch'.")
        return self


class StreamOrder(NamedTuple):
    """The order of a generated target, and the target that it was generated from."""

    domain: str
    order: Order


def with_one_order(raw: Mapping[str, Any]) -> tuple[dict[str, Any], tuple[Order, ...], list[str]]:
    """The tables of a suite with the first of several orders, the orders (none where there is one), and the errors in them."""
    protocol = raw.get("protocol")
    stream = protocol.get("stream") if isinstance(protocol, Mapping) else None
    orders = stream.get("order") if isinstance(stream, Mapping) else None
    if not isinstance(protocol, Mapping) or not isinstance(stream, Mapping) or not isinstance(orders, list):
        return dict(raw), (), []
    known = get_args(Order)
    is_valid = len(orders) > 1 and all(order in known for order in orders) and len(set(orders)) == len(orders)
    one = {**raw, "protocol": {**protocol, "stream": {**stream, "order": orders[0] if is_valid else known[0]}}}
    if is_valid:
        return one, tuple(orders), []
    return (
        one,
        (),
        [f"protocol.stream.order = {orders!r} must be several different ones of {', '.join(known)}, or one of them."],
    )


def stream_targets(
    domains: Mapping[str, Declaration], pairs: Sequence[Pair], orders: Sequence[Order], label_budgets: Collection[str]
) -> tuple[dict[str, Declaration], tuple[Pair, ...], dict[str, StreamOrder], list[str]]:
    """The domains and pairs of a suite with those that streams generate, the order of each generated target, and errors.

    Args:
        domains: the declared domains; those with errors are missing.
        pairs: the pairs, whose targets may be sequences.
        orders: the orders of the stream; empty: there is one.
        label_budgets: the targets that label budgets generate, which can't be combined with either.
    """
    every, generated, errors = dict(domains), dict[str, StreamOrder](), list[str]()
    if label_budgets and (orders or any(SEQUENCE in target for _, target in pairs)):
        errors.append(
            "protocol.target_labels: Label budgets can't be combined with several orders of the stream, nor with pairs that "
            f"have {SEQUENCE!r}. Give one number of labels."
        )
    for _, target in pairs:
        members = [domains[name] for name in target.split(SEQUENCE) if name in domains]
        if target not in every and len(members) > 1:
            every[target] = members[0].model_copy(update={"name": target, "sequence": tuple(members)})
    expanded: list[Pair] = []
    for sources, target in pairs:
        if not orders:
            expanded.append((sources, target))
        for order in orders:
            name = f"{target}_{order}"
            if name in domains:
                errors.append(f"domains.{name}: The orders of protocol.stream generate a domain of this name. Rename this one.")
            generated[name] = StreamOrder(target, order)
            if target in every:
                every[name] = every[target].model_copy(update={"name": name})
            expanded.append((sources, name))
    return every, tuple(dict.fromkeys(expanded)), generated, errors
