"""The identity of a case: a hash of everything that decides its numbers."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from typing import Any

from tlbench import methods
from tlbench.suite import Suite
from tlbench.suite.hashing import hashed_keys
from tlbench.terms import Case


def identity(case: Case, suite: Suite, fingerprints: Mapping[str, str]) -> str:
    """A hash of everything that decides the numbers of a case: its configuration, the data's content and the method's version.

    Options at their defaults are left out, as in `Suite.hashed_settings`, so that a method may get a new option without a new
    version.
    """
    return identities([case], suite, fingerprints)[0]


def identities(cases: Iterable[Case], suite: Suite, fingerprints: Mapping[str, str]) -> list[str]:
    """The identity of each case, in order.

    Text that cases share is written once, so that a folder of 50,000 records is resumed in a second or two.

    Args:
        cases: the cases.
        suite: their suite.
        fingerprints: domain name -> fingerprint, for at least the domains that the cases name.
    """
    decided: dict[str, str] = {}
    method_texts: dict[tuple[str, str], str] = {}
    pair_texts: dict[tuple[tuple[str, ...], str], tuple[str, str]] = {}
    hashes = []
    for case in cases:
        options = case.method, repr(case.options)
        if options not in method_texts:
            method_texts[options] = _canonical(_method_facts(case))
        pair = case.sources, case.target
        if pair not in pair_texts:
            data = {name: fingerprints[name] for name in (*case.sources, case.target)}
            pair_texts[pair] = _canonical(data), _canonical(pair)
        if (step := case.target if case.target in suite.label_budgets else "") not in decided:
            decided[step] = _canonical(suite.hashed_settings(step))
        data_text, pair_text = pair_texts[pair]
        # the canonical JSON of one object with sorted keys, which `suite.digest` hashes
        text = (
            f'{{"data":{data_text},"decides":{decided[step]},"method":{method_texts[options]},"pair":{pair_text},'
            f'"seed":{case.seed},"suite":{_canonical([case.suite, case.suite_version])}}}'
        )
        hashes.append(hashlib.sha256(text.encode()).hexdigest()[:16])
    return hashes


def _method_facts(case: Case) -> list[Any]:
    kind = methods.method_class(case.method)
    defaults = kind.Options.model_construct().model_dump()
    options = methods.method_options(case.method, case.options)
    changed = {key: value for key, value in options.items() if key not in defaults or value != defaults[key]}
    return [case.method, kind.version_with(options), hashed_keys(changed)]


def _canonical(value: Any) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
