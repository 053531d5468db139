"""The checked suite: its domains, pairs, protocol, network, training and methods, and the cases that they stand for."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tlbench import data
from tlbench.errors import TlbenchError, unknown_name
from tlbench.suite.hashing import digest, hashed_keys
from tlbench.suite.pairs import Pair, pair_label
from tlbench.suite.schema import MethodEntry, NamedFile, Network, Protocol, PublishedLevel, Selection, Training, seed_errors
from tlbench.suite.streams import StreamOrder
from tlbench.suite.sweeps import LabelBudget
from tlbench.suite.tuning import Tuning
from tlbench.terms import Case, SweepLevel

NOT_HASHED = {
    "protocol": {"seeds", "baseline", "metric", "selection"},
    "net": {"sha256", "normalization", "weights_source"},
    "train": {"compile", "resident", "vmap_seeds"},
}
"""Keys that change no number of a case: which cases there are, how they are compared, and how a step is run."""
SHALLOW_KEYS = {"mean", "std"}
"""The keys of [net] that decide the numbers of a shallow method where the backbone is not frozen: images are scaled by them."""
FROZEN_KEYS = {"layout", "precision"}
"""The keys of [train] that decide the features of a frozen backbone."""


@dataclass(frozen=True)
class Suite:
    """A checked suite."""

    name: str
    version: int
    title: str
    citation: str
    domains: Mapping[str, data.Declaration]
    pairs: tuple[Pair, ...]
    protocol: Protocol
    net: Network
    train: Training
    methods: Mapping[str, MethodEntry]
    path: Path | None = None
    selection: Selection | None = None
    """What is stored of candidates for selection rules; None: nothing."""
    tuning: Tuning | None = None
    """The trials of each method entry; no case depends on it."""
    published: tuple[PublishedLevel, ...] = ()
    """What others report for the baseline, each with its metric; no case depends on it."""
    label_budgets: Mapping[str, LabelBudget] = field(default_factory=dict)
    """By name, the target domains that `protocol.target_labels` generated, each with its number of labels."""
    stream_orders: Mapping[str, StreamOrder] = field(default_factory=dict)
    """By name, the targets that several orders of `protocol.stream` generated, each with its order."""
    sweep_levels: Mapping[str, SweepLevel] = field(default_factory=dict)
    """By name, the domains that sweeps over severity or label budgets generated, and what each stands for."""
    files: Mapping[str, NamedFile] = field(default_factory=dict)
    """By their declared text, the files that options of the backbone name. A run adds them, from its data root."""

    def cases(self, entries: Sequence[str] = (), pairs: Sequence[str] = (), seeds: Sequence[int] = ()) -> list[Case]:
        """The cases of the suite, ordered by pair, then seed, then method entry; an empty filter selects everything.

        Args:
            entries: names of method entries.
            pairs: pairs as they are written in a suite, such as "a+b:c".
            seeds: seeds to use in place of the suite's own.

        Raises:
            TlbenchError: a filter names a method entry or a pair that the suite lacks, or a seed takes more than 64 bits.
        """
        labels = [pair_label(pair) for pair in self.pairs]
        errors = [
            unknown_name(f"method entry of suite {self.name}", entry, self.methods, "--method")
            for entry in entries
            if entry not in self.methods
        ]
        errors += [unknown_name(f"pair of suite {self.name}", pair, labels, "--pair") for pair in pairs if pair not in labels]
        errors += [f"--seed: {error}" for error in seed_errors(seeds)]
        if errors:
            raise TlbenchError("\n".join(errors))
        return [
            Case(
                suite=self.name,
                suite_version=self.version,
                entry=entry,
                method=method.method or entry,
                options=method.options,
                sources=sources,
                target=target,
                seed=seed,
            )
            for (sources, target), label in zip(self.pairs, labels, strict=True)
            if not pairs or label in pairs
            for seed in (seeds or self.protocol.seeds)
            for entry, method in self.methods.items()
            if not entries or entry in entries
        ]

    def protocol_of(self, target: str) -> Protocol:
        """The protocol on a target domain; with label budgets, or several orders of the stream, it is that of this target."""
        if target in self.stream_orders and self.protocol.stream is not None:
            stream = self.protocol.stream.model_copy(update={"order": self.stream_orders[target].order})
            return self.protocol.model_copy(update={"stream": stream})
        if target not in self.label_budgets:
            return self.protocol
        return self.protocol.model_copy(update={"target_labels": self.label_budgets[target].labels})

    def has_own_protocol(self, target: str) -> bool:
        """Whether `protocol_of` a target differs from that of other targets."""
        return target in self.label_budgets or target in self.stream_orders

    def base_of(self, target: str) -> str:
        """The domain that a label budget or an order of the stream generated a target from; otherwise the target itself."""
        generated = self.label_budgets.get(target) or self.stream_orders.get(target)
        return target if generated is None else generated.domain

    def sweep_levels_of(self, names: Iterable[str]) -> dict[str, SweepLevel]:
        """Those of some domains that a sweep generated, and those they were generated from, with what each stands for."""
        levels: dict[str, SweepLevel] = {}
        for name in names:
            while (level := self.sweep_levels.get(name)) is not None:
                levels[name] = level
                name = level.base
        return levels

    def hashed_settings(self, target: str = "", *, shallow: bool = False) -> dict[str, Any]:
        """The settings of the suite that decide a case's numbers, beside its domains, method and seed.

        Only settings that differ from their defaults are included, so that a key which a later tlbench adds leaves existing
        records valid; hence a default that changes numbers must never be changed in place. A label budget is included for
        its own target alone.

        Args:
            target: the target domain; without one, the label budgets are left out.
            shallow: whether the case is of a shallow method, for which the budget decides nothing, and the network only as a
                frozen one.
        """
        protocol = self.protocol_of(target).model_dump(mode="json", exclude=NOT_HASHED["protocol"], exclude_defaults=True)
        net = self.net.model_dump(mode="json", exclude=NOT_HASHED["net"], exclude_defaults=True)
        train = self.train.model_dump(mode="json", exclude=NOT_HASHED["train"], exclude_defaults=True)
        if shallow:
            net = {key: value for key, value in net.items() if self.net.frozen or key in SHALLOW_KEYS}
            net.pop("bottleneck", None)
            train = {key: value for key, value in train.items() if self.net.frozen and key in FROZEN_KEYS}
        settings = {"protocol": protocol, "net": hashed_keys(net), "train": hashed_keys(train)}
        if self.selection is not None:  # it decides no score, but what is on file
            settings["selection"] = self.selection.model_dump(mode="json")
        return settings

    @property
    def hash(self) -> str:
        """The hash of `hashed_settings()`; all records of one suite version should carry the same one."""
        return digest(self.hashed_settings())
