"""The plan of a run: the cases of a suite, sorted into those on file and those still to run."""

from __future__ import annotations

import dataclasses
import warnings
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import torch

import tlbench
from tlbench import data, engine, methods, records
from tlbench.errors import TlbenchError
from tlbench.methods.base import DeepMethod
from tlbench.nn import backbones, weights_facts
from tlbench.plugins import file_hash
from tlbench.records import ResultsLog
from tlbench.runner.duplicates import duplicate_warnings
from tlbench.runner.duration_estimates import CellKey, DurationEstimates
from tlbench.runner.worker import NO_LIMITS, Job, Limits, WorkerSetup
from tlbench.suite import Suite
from tlbench.terms import Case, Domain, Record

MAX_SHOWN_VERSIONS = 3
"""The software versions that a plan lists by name."""


@dataclass(frozen=True)
class RunPlan:
    """The cases that a run has to do, the records that stand for all others, and the loaded domains."""

    suite: Suite
    pending: list[Case]
    """The cases without a valid record."""
    on_file: list[Record]
    """The records of the cases that are not run again."""
    domains: dict[str, Domain]
    earlier_records: list[Record] = field(default_factory=list)
    """All records of the suite on file, of other versions too: durations are estimated from them."""
    root: Path = Path()
    """The data root."""
    identities: list[str] = field(default_factory=list)
    """The identities of the `pending` cases, in the same order."""
    log: ResultsLog | None = None
    """How far the results files were read, so that the scheduler sees what other runs append."""
    save_models: bool = False
    """Whether the fitted methods are saved beside the records."""

    def jobs(self) -> list[Job]:
        """The pending cases as jobs for the worker slots of a pool."""
        identities = self.identities or engine.identities(self.pending, self.suite, self.fingerprints)
        return [Job(case, identity) for case, identity in zip(self.pending, identities, strict=True)]

    def worker_setup(
        self, limits: Limits = NO_LIMITS, concurrent_cases: int = 1, checkpoints: Path | None = None
    ) -> WorkerSetup:
        """The setup of the workers that run the pending cases.

        Args:
            limits: time, threads and attempts of a case.
            concurrent_cases: the number of cases that run at once on one device, for the records.
            checkpoints: the folder of checkpoints; None: no checkpoints are written.
        """
        plugins = tuple(methods.registered_files())
        hashes = tuple(map(file_hash, plugins))
        where = plugins, checkpoints, concurrent_cases, hashes
        return WorkerSetup(self.suite, self.root, self.fingerprints, limits, *where, save_models=self.save_models)

    @property
    def fingerprints(self) -> dict[str, str]:
        """The fingerprint of each domain, by name."""
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
    """Load the domains of the selected cases, check their pairs, and sort the cases into on file and pending.

    A case is recognised by its identity; a `failed` one is tried again. Samples that a pair both trains on and scores raise
    a UserWarning with their count.

    Args:
        suite: the suite to run.
        results: the results directory.
        root: the data root.
        entries: names of method entries; empty: all.
        pairs: pairs such as "a+b:c"; empty: all.
        seeds: seed numbers; empty: those of the suite.
        fresh: run cases again that are on file.

    Raises:
        TlbenchError: unknown entries, pairs or seeds, data or weights that can't be loaded, or pairs that can't be run; all
            errors of one kind are in one message.
    """
    with records.gc_paused():
        cases = suite.cases(entries, pairs, seeds)
    suite = with_files(suite, root, {case.entry for case in cases})
    selected_pairs = list(dict.fromkeys((case.sources, case.target) for case in cases))
    names = dict.fromkeys(name for sources, target in selected_pairs for name in (*sources, target))
    domains = load_domains(suite, list(names), root)
    selected = {entry: method for entry, method in suite.methods.items() if not entries or entry in entries}
    engine.check_pairs(dataclasses.replace(suite, methods=selected), domains, selected_pairs)
    for sources, target in selected_pairs:
        protocol = suite.protocol_of(target)
        for message in duplicate_warnings([domains[name] for name in sources], domains[target], protocol):
            warnings.warn(message, UserWarning, stacklevel=2)
    with records.gc_paused():
        log = records.ResultsLog(results, suite.name)
        earlier_records = [record for entry in suite.methods for record in log.read_new(entry)]
        finished = {record.identity: record for record in earlier_records if record.status != "failed"}
        fingerprints = {name: domain.fingerprint for name, domain in domains.items()}
        pending, on_file, pending_identities = [], [], []
        for case, identity in zip(cases, engine.identities(cases, suite, fingerprints), strict=True):
            record = finished.get(identity)
            if record is None or record.entry != case.entry or fresh:
                pending.append(case)
                pending_identities.append(identity)
            else:
                on_file.append(record)
    return RunPlan(suite, pending, on_file, domains, earlier_records, root, pending_identities, log)


def other_software(on_file: Sequence[Record]) -> str:
    """The sentence on the records that stand for cases and are of other software than runs here; empty where none is."""
    here = torch.__version__, tlbench.__version__
    others = Counter((record.machine.torch, record.code.tlbench) for record in on_file)
    del others[here]
    if not others:
        return ""
    listed = ", ".join(f"{count} of torch {of[0]}, tlbench {of[1]}" for of, count in others.most_common(MAX_SHOWN_VERSIONS))
    more = f" and {len(others) - MAX_SHOWN_VERSIONS} more versions" if len(others) > MAX_SHOWN_VERSIONS else ""
    return (
        f"{others.total()} of the {len(on_file)} records on file are of other software than here (torch {here[0]}, tlbench "
        f"{here[1]}): {listed}{more}. They count as done, for their identity is the same; --fresh runs them again."
    )


def with_files(suite: Suite, root: Path, entries: Collection[str]) -> Suite:
    """The suite with the files that its backbone reads, by their content; weights are downloaded where that is allowed.

    Args:
        suite: the suite.
        root: the data root.
        entries: the method entries that will run; where none of them has a network, no file is looked for.

    Raises:
        TlbenchError: a file is not there or has another sha256 than stated, or weights may not be downloaded.
    """
    try:
        suite = dataclasses.replace(suite, net=weights_facts.with_published_facts(suite.net))
    except TlbenchError as error:
        raise TlbenchError(f"{suite.path or suite.name}: {error}") from error
    classes = [methods.method_class(suite.methods[entry].method or entry) for entry in entries]
    if not suite.net.frozen and not any(issubclass(kind, DeepMethod) for kind in classes):
        return suite
    try:
        files = backbones.named_files(suite.net.backbone, suite.net.options, root, suite.net.sha256)
    except TlbenchError as error:
        raise TlbenchError(f"{suite.path or suite.name}: {error}") from error
    return dataclasses.replace(suite, files=files)


def changed_contents(plan: RunPlan) -> list[str]:
    """A sentence for each file of weights and each plug-in whose content is another than in records of pending cases."""
    on_file: dict[tuple[str, str, int], Record] = {(r.entry, r.pair, r.seed): r for r in plan.earlier_records}
    changes: Counter[tuple[str, str]] = Counter()
    for case in plan.pending:
        if (record := on_file.get((case.entry, case.pair, case.seed))) is None:
            continue
        here = engine.contents(case, plan.suite)
        for kind, stated, present in (
            ("weights", record.weights, here.weights),
            ("plugin", record.plugins, here.plugins),
        ):
            for name, sha256 in present.items():
                if stated is not None and name in stated and stated[name] != sha256:
                    changes[kind, name] += 1
    return [
        f"{kind} {name}: The content is another than in the records of {count} cases, which therefore run again."
        for (kind, name), count in changes.items()
    ]


def load_domains(suite: Suite, names: Sequence[str], root: Path) -> dict[str, Domain]:
    """Load the named domains of a suite from the data root.

    Raises:
        TlbenchError: domains that can't be loaded; the errors of all of them are in one message.
    """
    domains, errors = {}, []
    for name in names:
        try:
            domains[name] = data.load(suite.domains[name], root, data.cache.cache_folder())
        except TlbenchError as error:
            errors.append(str(error))
    if errors:
        raise TlbenchError("\n".join(dict.fromkeys(errors)))
    return domains


def estimate_seconds(cases: Sequence[Case], finished: Sequence[Record]) -> tuple[float, int]:
    """Estimate the duration of cases from finished records of the same method entry and pair, else of the same entry.

    Returns:
        The seconds of all cases that can be estimated, one after the other, and the number of cases that can't be.
    """
    return DurationEstimates(finished).total(Counter(CellKey(case.entry, case.pair) for case in cases))
