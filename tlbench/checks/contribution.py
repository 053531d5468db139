"""Contract checks of a results file against its suite, before it goes on a leaderboard.

The file must follow the suite's protocol in full: all pairs, at least three seeds, the suite's options, committed code, and the
data of the suite's other results.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path

from tlbench import engine, methods, records
from tlbench.checks.results import result_errors, result_notes
from tlbench.checks.scores import KnownLabels, prediction_errors
from tlbench.checks.suite import LEAST_SEEDS
from tlbench.errors import TlbenchError
from tlbench.methods.base import DeepMethod
from tlbench.reports.tables.captions import plural
from tlbench.suite import Suite
from tlbench.terms import Record

UNVERIFIED = (
    "Not verified, for no other fact tells them: source scores, training traces, times, throughput, memory, energy and the "
    "machine. They are plausible; `tlbench verify` runs a sample of the cases again."
)


def check_contribution(file: Path, suite: Suite) -> list[str]:
    """Check a results file, `<results>/<suite>/<entry>.jsonl`, against its suite.

    The other files of its folder tell on which data the suite has been run so far.

    Returns:
        A sentence for each group of checks.

    Raises:
        TlbenchError: with all errors.
    """
    on_file = records.read(file)
    current = [record for record in on_file if record.suite_version == suite.version]
    errors = result_errors(file, on_file)
    errors += _version_errors(on_file, suite)
    errors += _protocol_errors(current, suite)
    errors += _completeness_errors(current, suite)
    errors += _code_errors(current)
    others = _other_entries(file, current)
    errors += _data_errors(current, others)
    results = file.absolute().parent.parent
    labels = KnownLabels(results, others)
    for number, record in enumerate(on_file, 1):
        score_errors = (*prediction_errors(results, record), *labels.errors(record))
        errors += [f"record {number}: {error}" for error in score_errors]
    if errors:
        raise TlbenchError(f"{file}:\n  " + "\n  ".join(errors))
    done = sum(record.status == "done" for record in on_file)
    earlier = f", {len(on_file) - len(current)} of earlier versions of the suite" if len(on_file) > len(current) else ""
    seeds = len({record.seed for record in current})
    committed = any(record.code.commit for record in current)
    return [
        f"The records are plausible: {len(on_file)} in all, {done} done{earlier}.",
        f"Protocol, budget and options are those of suite {suite.name} v{suite.version} (hash {suite.hash}).",
        f"It has {plural(len(suite.pairs), 'pair')} with {plural(seeds, 'seed')} each, and no case twice.",
        "The code was committed." if committed else "The commit is not known, for an installed tlbench ran the cases.",
        "Data and numbers of samples agree with each other and with the other entries of the suite.",
        *_score_sentences(current, others),
        UNVERIFIED,
        *result_notes(on_file),
    ]


def _score_sentences(current: Sequence[Record], others: Sequence[Record]) -> Iterator[str]:
    """What the scores of the finished records were derived from or compared with."""
    tasks = {record.task for record in current if record.status == "done"}
    if not others:
        yield "No other entry is in its folder, and nothing was compared with others. Merge them and check again."
    if "classification" in tasks:
        yield (
            "Accuracies and macro F1 follow from the predictions beside the records, which agree with those of the other "
            "entries. Accuracies of groups are bounded by the accuracy."
        )
    if "regression" in tasks:
        yield "Scores of a regression agree with each other and with other entries; there are no predictions to derive them."


def _version_errors(on_file: Sequence[Record], suite: Suite) -> Iterator[str]:
    versions = Counter(record.suite_version for record in on_file)
    if on_file and suite.version not in versions:
        available = ", ".join(map(str, sorted(versions)))
        yield f"suite_version: The records are of version {available}, and suite {suite.name} has version {suite.version}."
    for version in versions:
        if version > suite.version:
            yield f"suite_version: {version} is later than the suite's version, {suite.version}. Update tlbench or the suite."


def _protocol_errors(current: Sequence[Record], suite: Suite) -> Iterator[str]:
    """Errors where the records do not follow the suite's protocol, its baseline, or an entry and its options."""
    protocol = {"suite_hash": suite.hash, "baseline": suite.protocol.baseline, "metric": suite.protocol.metric}
    for key, expected in protocol.items():
        others = Counter(getattr(record, key) for record in current if getattr(record, key) != expected)
        for value, count in others.items():
            yield f"{key}: {count} records have {value!r}, and the suite has {expected!r}."
    for entry in dict.fromkeys(record.entry for record in current):
        if entry not in suite.methods:
            yield f"methods: The suite has no entry {entry!r}. Add [methods.{entry}] to it, so that others can run it, too."
        else:
            yield from _entry_errors([record for record in current if record.entry == entry], entry, suite)


def _entry_errors(current: Sequence[Record], entry: str, suite: Suite) -> Iterator[str]:
    """The first error of the records of one entry: another method, other options, or another case than they say."""
    method = suite.methods[entry].method or entry
    try:
        options = methods.method_options(method, suite.methods[entry].options)
    except TlbenchError as error:
        yield f"{error} Name the file of a third-party method with --plugin."
        return
    if others := sorted({record.method for record in current} - {method}):
        yield f"methods.{entry}: The records are of {', '.join(others)}, and the entry's method is {method}."
        return
    defaults = methods.method_options(method, {})
    # an option that is younger than a record had its default
    deviating = [record for record in current if {**defaults, **record.options} != options]
    if deviating:
        recorded = {**defaults, **deviating[0].options}
        example = {key: value for key, value in recorded.items() if options.get(key) != value}
        yield f"methods.{entry}: {len(deviating)} records have other options than the suite, such as {example}."
        return
    yield from _budget_errors(current, method, suite)
    same_protocol = [record for record in current if record.suite_hash == suite.hash]
    foreign = [record for record in same_protocol if engine.stated_identity(record, suite) != record.identity]
    if foreign:
        yield (
            f"identity: {len(foreign)} records have an identity that does not follow from their case, such as "
            f"{_case_name(foreign[0])}."
        )


def _budget_errors(current: Sequence[Record], method: str, suite: Suite) -> Iterator[str]:
    """Errors where records state another kind, task, grant or budget than those of the method and the suite."""
    method_class = methods.method_class(method)
    is_deep = issubclass(method_class, DeepMethod)
    deviations: Counter[tuple[str, object, object]] = Counter()
    for record in current:
        facts: dict[str, tuple[object, object]] = {
            "kind": (record.kind, "deep" if is_deep else "shallow"),
            "reads": (tuple(sorted(record.reads)), tuple(sorted(method_class.reads))),
            "task": (record.task, suite.protocol.task),
            "target_labels": (record.target_labels, suite.protocol_of(record.target).target_labels),
        }
        if record.status == "done":
            facts["cost.steps"] = record.cost.steps, suite.train.steps if is_deep else None
            facts["cost.batch"] = record.cost.batch, suite.train.batch if is_deep else None
        deviations.update((key, value, right) for key, (value, right) in facts.items() if value != right)
    for (key, value, right), count in deviations.items():
        yield f"{key}: {count} records have {value!r}, and the suite and the method give {right!r}."


def _completeness_errors(current: Sequence[Record], suite: Suite) -> Iterator[str]:
    """Errors where pairs or seeds are missing, or a case was run in several ways."""
    pairs = [f"{'+'.join(sources)}:{target}" for sources, target in suite.pairs]
    seeds: dict[str, set[int]] = {pair: set() for pair in pairs}
    failures: dict[tuple[str, int], Record] = {}
    for record in current:
        if record.pair not in seeds:
            yield f"pairs: {record.pair!r} is no pair of suite {suite.name}."
        elif record.status == "failed":
            failures[record.pair, record.seed] = record
        else:
            seeds[record.pair].add(record.seed)
    for pair, own in seeds.items():
        if not own and not any(failed_pair == pair for failed_pair, _ in failures):
            yield f"pairs: There is no record of {pair}."
        elif len(own) < LEAST_SEEDS:
            yield f"seeds: {pair} has {len(own)} seeds that did not fail. It takes {LEAST_SEEDS} at least."
        elif missing := sorted(set().union(*seeds.values()) - own):
            yield f"seeds: {pair} lacks {', '.join(map(str, missing))}, which other pairs have."
    for (pair, seed), record in failures.items():
        if seed not in seeds[pair]:
            yield f"{pair} seed {seed} failed: {record.reason}"
    cases = {(record.pair, record.seed, record.identity) for record in current if record.status != "failed"}
    for (pair, seed), count in Counter((pair, seed) for pair, seed, _ in cases).items():
        if count > 1:
            yield f"{pair} seed {seed} was run in {count} ways: data, method version or options changed in between. Keep one."


def _code_errors(current: Sequence[Record]) -> Iterator[str]:
    if uncommitted := [record for record in current if record.code.dirty]:
        yield (
            f"commit: {len(uncommitted)} records are of uncommitted code, such as {_case_name(uncommitted[0])}. Commit it "
            "and run the cases again."
        )


def _other_entries(file: Path, current: Sequence[Record]) -> list[Record]:
    """The records of the other files of a folder, of the same versions of the suite."""
    versions = {record.suite_version for record in current}
    siblings = [path for path in records.suite_files(file.absolute().parent) if path.stem != file.stem]
    return [record for path in siblings for record in _readable_records(path) if record.suite_version in versions]


def _data_errors(current: Sequence[Record], others: Sequence[Record]) -> Iterator[str]:
    """Errors where a domain has several contents, or one content several numbers of scored samples or sets of classes."""
    for name in sorted({name for record in current for name in record.data}):
        own = {record.data[name] for record in current if name in record.data}
        if len(own) > 1:
            yield f"data: Domain {name} has {len(own)} different contents. All records must be of the same data."
        fingerprints = {record.data[name] for record in others if name in record.data}
        if fingerprints and not own & fingerprints:
            yield f"data: Domain {name} is not that of the suite's other entries ({', '.join(sorted(fingerprints))})."
    shapes: dict[tuple[str, str, str], set[tuple[int | None, tuple[str, ...]]]] = defaultdict(set)
    for record in (*others, *current):
        if record.status == "done":
            shape = (record.scores.scored_samples, tuple(record.scores.per_class_accuracy or ()))
            shapes[record.data.get(record.target, ""), record.pair, record.suite_hash or ""].add(shape)
    for (fingerprint, pair, _), variants in shapes.items():
        if len(variants) > 1:
            counts = ", ".join(sorted(f"{samples} samples of {len(classes)} classes" for samples, classes in variants))
            yield f"scored_rows: Records of the same target data ({pair}, fingerprint {fingerprint}) scored {counts}."


def _readable_records(file: Path) -> list[Record]:
    try:
        return records.read(file)
    except TlbenchError:
        return []  # the file of another entry is checked by itself


def _case_name(record: Record) -> str:
    return f"{record.pair} seed {record.seed}"
