"""The identity of a case: a hash of everything that decides its numbers."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from tlbench import methods
from tlbench.engine.runtime.class_texts import declared_texts, with_network
from tlbench.errors import TlbenchError
from tlbench.methods.base import DeepMethod
from tlbench.nn import backbones
from tlbench.suite import Suite
from tlbench.suite.hashing import hashed_keys
from tlbench.terms import Case, Record

ENGINE_VERSION = 1
"""Raise the version when the engine changes the numbers of all methods: every case then runs again. Version 1 is not hashed."""


@dataclass(frozen=True)
class Contents:
    """What a case reads beside its data: the fields of a record of the same names."""

    backbone: str | None
    weights: dict[str, str]
    plugins: dict[str, str]


def contents(case: Case, suite: Suite, shape: tuple[int, ...] | None = None) -> Contents:
    """The backbone, the weights and the third-party code of a case.

    Args:
        case: the case.
        suite: its suite, with the files that a run has added.
        shape: the shape of a sample, which decides what `auto` stands for; None: not known.
    """
    if not _uses_network(case, suite):
        return Contents(None, {}, _plugins(case, suite))
    backbone = backbones.full_name(suite.net.backbone, suite.net.options, shape)
    return Contents(backbone, _weights(suite), _plugins(case, suite))


def identity(case: Case, suite: Suite, fingerprints: Mapping[str, str]) -> str:
    """A hash of everything that decides the numbers of a case: its configuration, and what its data, weights and code hold.

    Options at their defaults are left out, as in `Suite.hashed_settings`, so that a method may get a new option without a new
    version.

    Raises:
        TlbenchError: the suite names weights, and no run has added their files.
    """
    return identities([case], suite, fingerprints)[0]


def stated_identity(record: Record, suite: Suite, case: Case | None = None) -> str:
    """The identity that follows from what a record states of its data and weights; no file of either is read.

    Args:
        record: the record.
        suite: its suite.
        case: the case with the method and options that the suite has today; None: those of the record.
    """
    return identities([case or record], suite, record.data, record.weights or {})[0]


def identities(
    cases: Iterable[Case], suite: Suite, fingerprints: Mapping[str, str], weights: Mapping[str, str] | None = None
) -> list[str]:
    """The identity of each case, in order.

    Text that cases share is written once, so that a folder of 50,000 records is resumed in a second or two.

    Args:
        cases: the cases.
        suite: their suite.
        fingerprints: domain name -> fingerprint, for at least the domains that the cases name.
        weights: declared path -> sha256 of the files that the backbone reads; None: those that a run has added to the suite.

    Raises:
        TlbenchError: the suite names weights, and neither `weights` nor a run gives their content.
    """
    decided: dict[tuple[str, bool, bool], str] = {}
    method_texts: dict[tuple[str, str], str] = {}
    content_texts: dict[str, str] = {}
    pair_texts: dict[tuple[tuple[str, ...], str], tuple[str, str]] = {}
    engine = f'"engine":{ENGINE_VERSION},' if ENGINE_VERSION > 1 else ""
    hashes = []
    for case in cases:
        options = case.method, repr(case.options)
        if options not in method_texts:
            method_texts[options] = canonical(method_facts(case))
        if case.method not in content_texts:
            content_texts[case.method] = content_text(case, suite, weights)
        pair = case.sources, case.target
        if pair not in pair_texts:
            data = {name: fingerprints[name] for name in (*case.sources, case.target)}
            pair_texts[pair] = canonical(data), canonical(pair)
        step = case.target if suite.has_own_protocol(case.target) else "", not is_deep(case), reads_class_texts(case)
        if step not in decided:
            decided[step] = canonical(with_network(case, suite).hashed_settings(step[0], shallow=step[1]))
        data_text, pair_text = pair_texts[pair]
        # the canonical JSON of one object with sorted keys, which `suite.digest` hashes
        text = (
            f'{{{names_text(case, suite)}"data":{data_text},"decides":{decided[step]},{engine}{content_texts[case.method]}'
            f'"method":{method_texts[options]},"pair":{pair_text},'
            f'"seed":{case.seed},"suite":{canonical([case.suite, case.suite_version])}}}'
        )
        hashes.append(hashlib.sha256(text.encode()).hexdigest()[:16])
    return hashes


def names_text(case: Case, suite: Suite) -> str:
    """The key `class_texts` of the hashed text, with the class names that a case reads as words; empty without any.

    Labels themselves are in the fingerprints of the data.
    """
    texts = declared_texts(suite, (*case.sources, case.target)) if reads_class_texts(case) else {}
    return f'"class_texts":{canonical(texts)},' if texts else ""


def content_text(case: Case, suite: Suite, weights: Mapping[str, str] | None) -> str:
    """The key `files` of the hashed text, with the contents of a case's weights and third-party code; empty without any."""
    facts: dict[str, Mapping[str, str]] = {"plugins": _plugins(case, suite)}
    if _uses_network(case, suite):
        facts["weights"] = _weights(suite) if weights is None else weights
    facts = {name: hashes for name, hashes in facts.items() if hashes}
    return f'"files":{canonical(facts)},' if facts else ""


def _weights(suite: Suite) -> dict[str, str]:
    """Declared path -> sha256 of the files that the backbone reads."""
    if missing := [path for path in backbones.declared_paths(suite.net.backbone, suite.net.options) if path not in suite.files]:
        raise TlbenchError(f"The file {missing[0]} of suite {suite.name} was not looked for yet.")
    return {text: file.sha256 for text, file in suite.files.items()}


def _plugins(case: Case, suite: Suite) -> dict[str, str]:
    """Name -> hash of the third-party method and backbone of a case."""
    hashes = {case.method: methods.plugin_hash(case.method)}
    if _uses_network(case, suite):
        family = suite.net.backbone.partition(":")[0]
        taken = hashes.get(family) is not None  # entry points of two groups may have one name
        hashes[f"{family} (backbone)" if taken else family] = backbones.plugin_hash(family)
    return {name: sha256 for name, sha256 in hashes.items() if sha256 is not None}


def is_deep(case: Case) -> bool:
    """Whether the method of a case is a deep one."""
    return issubclass(methods.method_class(case.method), DeepMethod)


def reads_class_texts(case: Case) -> bool:
    """Whether the method of a case reads class names, and so the network that embeds them."""
    return methods.method_class(case.method).reads_class_texts


def _uses_network(case: Case, suite: Suite) -> bool:
    return suite.net.frozen or is_deep(case) or reads_class_texts(case)


def method_facts(case: Case) -> list[Any]:
    """The method of a case, its version, and those of its options that are not at their defaults."""
    kind = methods.method_class(case.method)
    defaults = kind.Options.model_construct().model_dump()
    options = methods.method_options(case.method, case.options)
    changed = {key: value for key, value in options.items() if key not in defaults or value != defaults[key]}
    return [case.method, kind.version_with(options), hashed_keys(changed)]


def canonical(value: Any) -> str:
    """The canonical JSON of a value: sorted keys, no spaces, ASCII."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
