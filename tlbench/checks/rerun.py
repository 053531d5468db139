"""Run some cases of a results file again on this machine, and compare the scores: `tlbench verify`."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import torch

from tlbench import engine, records, runner
from tlbench.errors import TlbenchError
from tlbench.metrics import METRICS
from tlbench.reports.statistics.intervals import t_quantile
from tlbench.runner.isolation import run_isolated
from tlbench.runner.plan import with_files
from tlbench.suite import Suite
from tlbench.terms import Case, Record

NOISE_RULE = (
    "within noise: the two values differ by no more than t(0.975; df) * sqrt(2) * s, where s is the standard deviation over "
    "seeds of this entry, pooled over its pairs (df = records minus pairs), or by no more than two scored samples; "
    "same: not at all"
)
"""How a verdict is reached: two runs of one entry with different seeds are within noise 19 times in 20."""

MACHINE_FACTS = ("device", "cpu", "cores", "driver", "torch", "cuda", "precision")
LEAST_SAMPLES = 2
"""A difference of so many scored samples counts as noise, however small the spread over seeds."""


@dataclass(frozen=True)
class RerunResult:
    """A record on file, the same case run again here, and how their scores compare."""

    on_file: Record
    here: Record
    verdict: Literal["same", "within noise", "different"]
    values: tuple[float | None, float | None]
    """The suite's metric on file and here, in the units of the records; None where the case has no score."""
    noise: float
    """The largest difference that counts as noise, in the same units."""

    @property
    def machine_differences(self) -> dict[str, tuple[object, object]]:
        """The facts in which the two machines differ: name -> (on file, here); empty where they are the same."""
        facts = {name: (getattr(self.on_file.machine, name), getattr(self.here.machine, name)) for name in MACHINE_FACTS}
        return {name: (on_file, here) for name, (on_file, here) in facts.items() if on_file != here}


def verify(
    file: Path, suite: Suite, root: Path, device: torch.device, sample: int = 3, *, isolated: bool = True
) -> Iterator[RerunResult]:
    """Run some cases of a results file again, spread over its pairs and seeds; no record is written.

    The identities of the cases alone decide which ones are run: the same file and sample size always give the same cases.

    Args:
        file: the results file.
        suite: the suite that it belongs to.
        root: the folder of the data.
        device: the device on which the cases run.
        sample: the number of cases to run; all of them where there are fewer.
        isolated: whether each method runs in a process of its own that holds no label of a scored sample.

    Raises:
        TlbenchError: there is no record that can be run again, or the suite, the method or the data are not those on file.
    """
    done = [record for record in records.read(file) if record.suite_version == suite.version and record.status == "done"]
    if not done:
        raise TlbenchError(
            f"{file}: There is no finished record of suite {suite.name} v{suite.version} that could be run again."
        )
    if (entry := done[0].entry) not in suite.methods:
        raise TlbenchError(f"{file}: The suite has no entry {entry!r}. Name the suite file that has it with --suite FILE.")
    selected = _sample(done, sample)
    suite = with_files(suite, root, [entry])
    names = dict.fromkeys(name for record in selected for name in (*record.sources, record.target))
    domains = runner.load_domains(suite, list(names), root)
    fingerprints = {name: domain.fingerprint for name, domain in domains.items()}
    cases = [(record, _case(record, suite)) for record in selected]
    changes = [change for record, case in cases for change in _changes(record, case, suite, fingerprints)]
    if changes:
        raise TlbenchError(f"{file}: These cases cannot be run again here:\n  " + "\n  ".join(dict.fromkeys(changes)))
    noise = _noise(done)
    run = run_isolated if isolated else engine.run_case
    for record, case in cases:
        yield compare(record, run(case, suite, domains, device), noise)


def compare(on_file: Record, here: Record, noise: float) -> RerunResult:
    """Compare a record on file with a record of the same case from here, by the suite's metric.

    Where both have predictions, the verdict "same" takes equal predictions, else equal values.

    Args:
        on_file: the record on file.
        here: the record of the same case that was run here.
        noise: the largest difference that counts as noise, in the units of the records.
    """
    first, second = _value(on_file), _value(here)
    if first is None or second is None:
        return RerunResult(on_file, here, "different", (first, second), noise)
    both_predicted = on_file.scores.predictions is not None and here.scores.predictions is not None
    is_same = on_file.scores.predictions == here.scores.predictions if both_predicted else first == second
    samples = here.scores.scored_samples or 1
    is_share = METRICS[on_file.metric].factor == 100.0
    noise = max(noise, LEAST_SAMPLES / samples if is_share else 0.0)
    verdict: Literal["same", "within noise", "different"] = "same" if is_same else "different"
    if not is_same and abs(first - second) <= noise * (1 + 1e-12):
        verdict = "within noise"
    return RerunResult(on_file, here, verdict, (first, second), noise)


def _value(record: Record) -> float | None:
    """The suite's metric of a record; None where it was not measured."""
    scores = record.scores
    if record.metric == "worst_group_accuracy":
        return min((share for share in (scores.per_group_accuracy or {}).values() if share is not None), default=None)
    value: float | None = getattr(scores, record.metric, None)
    return value


def _noise(done: Sequence[Record]) -> float:
    """The bound t(0.975; df) sqrt(2) s of `NOISE_RULE`; 0 where no pair has two seeds."""
    by_pair: dict[str, dict[int, float]] = defaultdict(dict)
    for record in done:
        if (value := _value(record)) is not None:
            by_pair[record.pair][record.seed] = value
    cells = [list(values.values()) for values in by_pair.values() if len(values) > 1]
    df = sum(len(values) - 1 for values in cells)
    if df == 0:
        return 0.0
    s = np.sqrt(sum(np.var(values, ddof=1) * (len(values) - 1) for values in cells) / df)
    return float(t_quantile(np.array(float(df))) * np.sqrt(2) * s)


def _sample(done: Sequence[Record], size: int) -> list[Record]:
    """The last records of `size` cases: one case of every pair before a second one of any."""
    last = {(record.pair, record.seed): record for record in done}
    shuffled = sorted(last.values(), key=lambda record: hashlib.sha256(record.identity.encode()).hexdigest())
    seen: dict[str, int] = defaultdict(int)
    ranked: list[tuple[int, int, Record]] = []
    for record in shuffled:
        ranked.append((seen[record.pair], len(ranked), record))
        seen[record.pair] += 1
    return [record for _, _, record in sorted(ranked, key=lambda ranks: ranks[:2])[:size]]


def _case(record: Record, suite: Suite) -> Case:
    """The case of a record with the method and the options that its entry has in the suite."""
    method = suite.methods[record.entry]
    facts = record.model_dump(include=set(Case.model_fields))
    return Case(**{**facts, "method": method.method or record.entry, "options": method.options})


def _changes(record: Record, case: Case, suite: Suite, fingerprints: Mapping[str, str]) -> Iterator[str]:
    """The reasons why a case that runs here would not be the case on file."""
    for name, on_file in record.data.items():
        if fingerprints.get(name, on_file) != on_file:
            yield f"Domain {name} has the fingerprint {fingerprints[name]} here and {on_file} on file."
    here = engine.contents(case, suite)
    for kind, stated, present in (("weights", record.weights, here.weights), ("plugin", record.plugins, here.plugins)):
        for name, sha256 in present.items():
            if stated is not None and stated.get(name, sha256) != sha256:
                yield f"{kind} {name} has the sha256 {sha256} here and {stated[name]} on file."
    if record.suite_hash != suite.hash:
        yield f"The suite's protocol, network or budget has the hash {suite.hash} here and {record.suite_hash} on file."
    elif record.data.items() <= fingerprints.items() and engine.identity(case, suite, record.data) != record.identity:
        yield f"{record.entry} has another method, version or options here than on file."
