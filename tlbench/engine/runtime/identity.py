"""The identity of a case: a hash of all that decides its numbers."""

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
    """Hash of all that decides a case's numbers: what was asked, the data's content and the method's version.

    Options at their defaults are left out, as in `Suite.hashed_settings`: a method may get a new option without a new version.
    """
    return identities([case], suite, fingerprints)[0]


def identities(cases: Iterable[Case], suite: Suite, fingerprints: Mapping[str, str]) -> list[str]:
    """The identity of each case, in order; `fingerprints` holds at least the domains that the cases name.

    What cases share is written once: a directory of 50,000 records is resumed in a second or two.
    """
    decided: dict[str, str] = {}
    chosen: dict[tuple[str, str], str] = {}
    pairs: dict[tuple[tuple[str, ...], str], tuple[str, str]] = {}
    found = []
    for case in cases:
        options = case.method, repr(case.options)
        if options not in chosen:
            chosen[options] = _canonical(_method(case))
        pair = case.sources, case.target
        if pair not in pairs:
            data = {name: fingerprints[name] for name in (*case.sources, case.target)}
            pairs[pair] = _canonical(data), _canonical(pair)
        if (step := case.target if case.target in suite.label_budgets else "") not in decided:
            decided[step] = _canonical(suite.hashed_settings(step))
        data_text, pair_text = pairs[pair]
        # the canonical JSON of one object, its keys in order: what `suite.digest` hashes
        text = (
            f'{{"data":{data_text},"decides":{decided[step]},"method":{chosen[options]},"pair":{pair_text},'
            f'"seed":{case.seed},"suite":{_canonical([case.suite, case.suite_version])}}}'
        )
        found.append(hashlib.sha256(text.encode()).hexdigest()[:16])
    return found


def _method(case: Case) -> list[Any]:
    kind = methods.method_class(case.method)
    defaults = kind.Options.model_construct().model_dump()
    given = methods.method_options(case.method, case.options)
    changed = {key: value for key, value in given.items() if key not in defaults or value != defaults[key]}
    return [case.method, kind.version, hashed_keys(changed)]


def _canonical(value: Any) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
