"""Contract checks of a results file against its suite, before it goes on a leaderboard.

The file must follow the suite's protocol in full: all pairs, at least three seeds, the suite's options, committed code, and the
data of the suite's other results.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path

from tlbench import records
from tlbench.checks.candidates import candidate_errors
from tlbench.checks.data_labels import DataLabels
from tlbench.checks.entries import check_entry
from tlbench.checks.known_labels import KnownLabels
from tlbench.checks.results import records_of, result_errors, result_notes
from tlbench.checks.scores import prediction_errors
from tlbench.checks.suite import LEAST_SEEDS
from tlbench.errors import ContractError, TlbenchError
from tlbench.records.models import model_errors
from tlbench.reports.tables.captions import plural, short_list
from tlbench.suite import Suite
from tlbench.suite.pairs import pair_label
from tlbench.terms import POSITION_TASKS, Record

_OF_RECORD = re.compile(r"record (\d+): (.*)", re.DOTALL)

UNVERIFIED = (
    "Not verified, for no other fact tells them: source scores, training traces, times, throughput, memory, energy, numbers of "
    "parameters, the machine, the commit, and the texts of notes and reasons. They are plausible; `tlbench verify` runs a "
    "sample of the cases again."
)


def check_contribution(file: Path, suite: Suite, root: Path | None = None) -> list[str]:
    """Check a results file, `<results>/<suite>/<entry>.jsonl`, against its suite.

    The other files of its folder tell on which data the suite has been run so far. Scores are derived from the predictions
    beside the records, and from the labels of the data where the data root has them.

    Args:
        file: the results file.
        suite: the suite that it belongs to.
        root: the data root; None: labels are not read.

    Returns:
        A sentence for each group of checks, and one for each fact that could not be compared.

    Raises:
        ContractError: with all errors, each once, and the sentences of the groups without any.
        TlbenchError: the results file can't be read, or a pack beside it is damaged.
    """
    on_file = records_of(file)
    current = [record for record in on_file if record.suite_version == suite.version]
    by_entry = defaultdict(list)
    for record in current:
        by_entry[record.entry].append(record)
    reports = [check_entry(of_entry, entry, suite, root) for entry, of_entry in by_entry.items()]
    others = _other_entries(file, current)
    results = file.absolute().parent.parent
    labels = DataLabels(suite, root)
    seeds = len({record.seed for record in current})
    committed = any(record.code.commit for record in current)
    groups = (
        ([*result_errors(file, on_file), *model_errors(results, on_file)], _plausible(on_file, current)),
        (
            [*_version_errors(on_file, suite), *_protocol_errors(current, suite), *(e for of in reports for e in of.errors)],
            f"Protocol, budget and options are those of suite {suite.name} v{suite.version} (hash {suite.hash}).",
        ),
        (
            [*_completeness_errors(current, suite)],
            f"It has {plural(len(suite.pairs), 'pair')} with {plural(seeds, 'seed')} each, and no case twice.",
        ),
        (
            [*_code_errors(current)],
            "The code was committed." if committed else "The commit is not known, for an installed tlbench ran the cases.",
        ),
        (
            [*_data_errors(current, others)],
            "Data and numbers of samples agree with each other and with the other entries of the suite.",
        ),
        (_score_errors(on_file, results, KnownLabels(results, others, suite), labels), ""),
    )
    passed = [sentence for errors, sentence in groups if sentence and not errors]
    if errors := _each_once([error for of_group, _ in groups for error in of_group]):
        raise ContractError(f"{file}:\n  " + "\n  ".join(errors), passed)
    return [
        *passed,
        *_score_sentences(current, others),
        *labels.sentences(),
        UNVERIFIED,
        *(note for report in reports for note in report.notes),
        *result_notes(on_file),
    ]


def _plausible(on_file: Sequence[Record], current: Sequence[Record]) -> str:
    """The sentence on the number of records."""
    done = sum(record.status == "done" for record in on_file)
    earlier = f", {len(on_file) - len(current)} of earlier versions of the suite" if len(on_file) > len(current) else ""
    return f"The records are plausible: {len(on_file)} in all, {done} done{earlier}."


def _score_errors(on_file: Sequence[Record], results: Path, known: KnownLabels, labels: DataLabels) -> list[str]:
    """The errors in scores that predictions, labels and earlier records tell; a record without any adds to `known`."""
    errors = []
    for number, record in enumerate(on_file, 1):
        of_record = [*prediction_errors(results, record), *known.errors(record)]
        of_record += labels.errors(results, record)
        of_record += candidate_errors(results, record)
        errors += [f"record {number}: {error}" for error in of_record]
        if not of_record:
            known.add(record)
    return errors


def _each_once(errors: Sequence[str]) -> list[str]:
    """The errors, those that several records have in the same words as one, with the numbers of the records."""
    numbers: dict[str, list[str]] = {}
    for error in errors:
        match = _OF_RECORD.fullmatch(error)
        numbers.setdefault(match[2] if match else error, []).extend([match[1]] if match else [])
    return [
        f"{'records' if len(of) > 1 else 'record'} {short_list(of)}: {text}" if of else text for text, of in numbers.items()
    ]


def _score_sentences(current: Sequence[Record], others: Sequence[Record]) -> Iterator[str]:
    """What the scores of the finished records were derived from or compared with."""
    done = [record for record in current if record.status == "done"]
    if not others:
        yield "No other entry is in its folder, and nothing was compared with others. Merge them and check again."
    if any(record.task == "classification" or record.task in POSITION_TASKS for record in done):
        yield (
            "Accuracies and macro F1 follow from the predictions beside the records, which agree with each other and with "
            "those of the other entries. Accuracies of groups are bounded by the accuracy."
        )
    if any(record.task == "regression" for record in done):
        yield "Scores of a regression agree with each other and with other entries."
    if any(record.task == "multi_task" for record in done):
        yield "Scores of several tasks agree with each other."


def _version_errors(on_file: Sequence[Record], suite: Suite) -> Iterator[str]:
    versions = Counter(record.suite_version for record in on_file)
    if on_file and suite.version not in versions:
        available = ", ".join(map(str, sorted(versions)))
        yield f"suite_version: The records are of version {available}, and suite {suite.name} has version {suite.version}."
    for version in versions:
        if version > suite.version:
            yield f"suite_version: {version} is later than the suite's version, {suite.version}. Update tlbench or the suite."


def _protocol_errors(current: Sequence[Record], suite: Suite) -> Iterator[str]:
    """Errors where the records do not follow the suite's protocol, its baseline or its metric."""
    protocol = {"suite_hash": suite.hash, "baseline": suite.protocol.baseline, "metric": suite.protocol.metric}
    for key, expected in protocol.items():
        others = Counter(getattr(record, key) for record in current if getattr(record, key) != expected)
        for value, count in others.items():
            yield f"{key}: {count} records have {value!r}, and the suite has {expected!r}."


def _completeness_errors(current: Sequence[Record], suite: Suite) -> Iterator[str]:
    """Errors where pairs or seeds are missing, or a case was run in several ways."""
    pairs = [*map(pair_label, suite.pairs)]
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
