"""Which cases are left to do, and where they run."""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tlbench import data, engine, methods, records
from tlbench.errors import TlbenchError
from tlbench.records import ResultsLog
from tlbench.runner.duplicates import duplicate_warnings
from tlbench.runner.duration_estimates import CellKey, DurationEstimates, seconds_of
from tlbench.runner.worker import NO_LIMITS, Job, Limits, WorkerSetup
from tlbench.suite import Suite
from tlbench.terms import Case, Domain, Record

__all__ = ["RunPlan", "estimate", "load_domains", "plan_run", "seconds_of"]


@dataclass(frozen=True)
class RunPlan:
    """What a run would do: the cases left, the records that stand for the others, the loaded domains."""

    suite: Suite
    pending: list[Case]
    on_file: list[Record]
    domains: dict[str, Domain]
    earlier_records: list[Record] = field(default_factory=list)
    """All records of the suite on file, of other versions too: what a case takes is learnt from them."""
    root: Path = Path()
    """The data root."""
    identities: list[str] = field(default_factory=list)
    """Of the cases in `todo`, in their order."""
    log: ResultsLog | None = None
    """What was read of the results files, so that what other runs add is seen."""

    def jobs(self) -> list[Job]:
        """The cases in `todo`, as places take them."""
        found = self.identities or engine.identities(self.pending, self.suite, self.fingerprints)
        return [Job(case, identity) for case, identity in zip(self.pending, found, strict=True)]

    def worker_setup(self, limits: Limits = NO_LIMITS, places: int = 1, checkpoints: Path | None = None) -> WorkerSetup:
        """What a place needs to run the cases."""
        return WorkerSetup(
            self.suite, self.root, self.fingerprints, limits, tuple(methods.registered_files()), checkpoints, places
        )

    @property
    def fingerprints(self) -> dict[str, str]:
        """Of each domain, by name."""
        return {name: domain.fingerprint for name, domain in self.domains.items()}


def plan_run(
    suite: Suite,
    results: Path,
    root: Path,
    *,
    entries: Sequence[str] = (),
    pairs: Sequence[str] = (),
    seeds: Sequence[int] = (),
    fresh: bool = False,
) -> RunPlan:
    """Load the domains that the chosen cases need, check the pairs, and sort the cases into done and left.

    A case counts as done by its identity; a `failed` one is tried again. Rows that a pair both trains on and scores are
    warned of, with their count.

    Raises:
        TlbenchError: bad filter, data that can't be loaded, or pairs that can't be run; all of them in one text.
    """
    with records.gc_paused():
        cases = suite.cases(entries, pairs, seeds)
    wanted = dict.fromkeys((case.sources, case.target) for case in cases)
    names = dict.fromkeys(name for sources, target in wanted for name in (*sources, target))
    domains = load_domains(suite, list(names), root)
    engine.check_pairs(suite, domains, list(wanted))
    for sources, target in wanted:
        for said in duplicate_warnings([domains[name] for name in sources], domains[target], suite.protocol_of(target)):
            warnings.warn(said, UserWarning, stacklevel=2)
    with records.gc_paused():
        log = records.ResultsLog(results, suite.name)
        earlier = [record for row in suite.methods for record in log.new(row)]
        ended = {record.identity: record for record in earlier if record.status != "failed"}
        todo, kept, left = [], [], []
        fingerprints = {name: domain.fingerprint for name, domain in domains.items()}
        for case, identity in zip(cases, engine.identities(cases, suite, fingerprints), strict=True):
            record = ended.get(identity)
            if record is None or record.entry != case.entry or fresh:
                todo.append(case)
                left.append(identity)
            else:
                kept.append(record)
    return RunPlan(suite, todo, kept, domains, earlier, root, left, log)


def load_domains(suite: Suite, names: Sequence[str], root: Path) -> dict[str, Domain]:
    """The named domains of a suite; all that can't be loaded is said at once.

    Raises:
        TlbenchError: with every mistake in one text.
    """
    domains, wrong = {}, []
    for name in names:
        try:
            domains[name] = data.load(suite.domains[name], root, data.cache.cache_folder())
        except TlbenchError as error:
            wrong.append(str(error))
    if wrong:
        raise TlbenchError("\n".join(dict.fromkeys(wrong)))
    return domains


def estimate(cases: Sequence[Case], finished: Sequence[Record]) -> tuple[float, int]:
    """Seconds that cases will take, from finished records of their method and pair, else of their method.

    Returns:
        The seconds of the cases that can be estimated, and how many can't.
    """
    return DurationEstimates(finished).total(Counter(CellKey(case.entry, case.pair) for case in cases))
