"""A sample of a results file run again here: do the numbers come back, and is it the same machine?"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import torch

from tlbench import engine, records, runner
from tlbench.errors import TlbenchError
from tlbench.reports.statistics.intervals import quantile
from tlbench.suite import Suite
from tlbench.terms import METRICS, Case, Record

RULE = (
    "within noise: the two values differ by no more than t(0.975; df) * sqrt(2) * s, where s is the spread over seeds of this "
    "row, pooled over its pairs (df = records minus pairs), and never less than two scored rows; same: not at all"
)
"""How `verify` tells noise from a difference: two runs of one row with different seeds would differ as much 19 times in 20."""

MACHINE = ("device", "cpu", "cores", "driver", "torch", "cuda", "precision")


@dataclass(frozen=True)
class Again:
    """A case on file, the same case run here, and how they compare. Values are in the units of the records."""

    filed: Record
    here: Record
    verdict: Literal["same", "within noise", "different"]
    values: tuple[float | None, float | None]
    noise: float

    @property
    def machine(self) -> dict[str, tuple[object, object]]:
        """What differs between the two machines: fact -> (on file, here); empty for the same machine."""
        facts = {name: (getattr(self.filed.machine, name), getattr(self.here.machine, name)) for name in MACHINE}
        return {name: two for name, two in facts.items() if two[0] != two[1]}


def verify(file: Path, suite: Suite, root: Path, device: torch.device, sample: int = 3) -> Iterator[Again]:
    """Run some cases of a results file again, spread over its pairs and seeds; nothing is written.

    Which cases is decided by their identities alone, so that all who verify a file with one sample size run the same.

    Raises:
        TlbenchError: no record that could be run again, or the suite, the method or the data here are not those on file.
    """
    found = [r for r in records.read(file) if r.suite_version == suite.version and r.status == "done"]
    if not found:
        raise TlbenchError(f"{file}: no finished record of suite {suite.name} v{suite.version}, so nothing to run again")
    if (row := found[0].entry) not in suite.methods:
        raise TlbenchError(f"{file}: the suite has no row {row!r}; name the suite file that has it with --suite")
    chosen = _sample(found, sample)
    domains = runner.load_domains(suite, list(dict.fromkeys(n for r in chosen for n in (*r.sources, r.target))), root)
    noise = _noise(found)
    cases = [(record, _case(record, suite)) for record in chosen]
    prints = {name: domain.fingerprint for name, domain in domains.items()}
    if wrong := [said for record, case in cases for said in _changed(record, case, suite, prints)]:
        raise TlbenchError(f"{file}: these cases can't be run again here:\n  " + "\n  ".join(dict.fromkeys(wrong)))
    for record, case in cases:
        yield compare(record, engine.run_case(case, suite, domains, device), noise)


def compare(filed: Record, here: Record, noise: float) -> Again:
    """Hold a record made here against the one on file, by the suite's metric; `noise` is in the units of the records."""
    one, two = _value(filed), _value(here)
    if one is None or two is None:
        return Again(filed, here, "different", (one, two), noise)
    known = filed.scores.predictions is not None and here.scores.predictions is not None
    alike = filed.scores.predictions == here.scores.predictions if known else one == two
    rows = here.scores.scored_samples or 1
    least = 2 / rows if METRICS[filed.metric].factor == 100.0 else 0.0
    verdict: Literal["same", "within noise", "different"] = "same" if alike else "different"
    if not alike and abs(one - two) <= max(noise, least) * (1 + 1e-12):
        verdict = "within noise"
    return Again(filed, here, verdict, (one, two), max(noise, least))


def _value(record: Record) -> float | None:
    """The metric of the suite, from the facts of a record."""
    scores = record.scores
    if record.metric == "worst_group_accuracy":
        return min((share for share in (scores.per_group_accuracy or {}).values() if share is not None), default=None)
    value: float | None = getattr(scores, record.metric, None)
    return value


def _noise(found: list[Record]) -> float:
    """t(0.975; df) sqrt(2) s of the file's own records; 0 where no pair has two seeds."""
    of_pair: dict[str, dict[int, float]] = defaultdict(dict)
    for record in found:
        if (value := _value(record)) is not None:
            of_pair[record.pair][record.seed] = value
    cells = [list(values.values()) for values in of_pair.values() if len(values) > 1]
    df = sum(len(values) - 1 for values in cells)
    if df == 0:
        return 0.0
    s = np.sqrt(sum(np.var(values, ddof=1) * (len(values) - 1) for values in cells) / df)
    return float(quantile(np.array(float(df))) * np.sqrt(2) * s)


def _sample(found: list[Record], sample: int) -> list[Record]:
    """The last record of each of `sample` cases: one of every pair before a second of any."""
    last = {(record.pair, record.seed): record for record in found}
    mixed = sorted(last.values(), key=lambda record: hashlib.sha256(record.identity.encode()).hexdigest())
    nth: dict[str, int] = defaultdict(int)
    turns: list[tuple[int, int, Record]] = []
    for record in mixed:
        turns.append((nth[record.pair], len(turns), record))
        nth[record.pair] += 1
    return [record for _, _, record in sorted(turns, key=lambda turn: turn[:2])[:sample]]


def _case(record: Record, suite: Suite) -> Case:
    method = suite.methods[record.entry]
    facts = record.model_dump(include=set(Case.model_fields))
    return Case(**{**facts, "method": method.method or record.entry, "options": method.options})


def _changed(record: Record, case: Case, suite: Suite, prints: dict[str, str]) -> Iterator[str]:
    """Why the case here would not be the case on file."""
    yield from (
        f"domain {name}: its content here is {prints[name]}, on file {filed}"
        for name, filed in record.data.items()
        if prints.get(name, filed) != filed
    )
    if record.suite_hash != suite.hash:
        yield f"the suite's protocol, network or budget here has the hash {suite.hash}, on file {record.suite_hash}"
    elif record.data.items() <= prints.items() and engine.identity(case, suite, record.data) != record.identity:
        yield f"{record.entry}: its method, the method's version or its options here are not those on file"
