"""The files of candidates beside records: content, range, and whether the last candidate is what the record scored."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from tlbench import records
from tlbench.errors import TlbenchError
from tlbench.records.candidates import label_free_facts, sealed_facts
from tlbench.terms import Record


def candidate_errors(results: Path, record: Record) -> Iterator[str]:
    """The errors of the files of candidates that a record names; files that are not there are none, for they are large."""
    scores = record.scores
    try:
        facts = None if scores.label_free_facts is None else label_free_facts(results, record.suite, scores.label_free_facts)
        sealed = None if scores.sealed_facts is None else sealed_facts(results, record.suite, scores.sealed_facts)
    except TlbenchError as error:
        yield str(error)
        return
    if facts is not None and sealed is not None and len(facts["step"]) != len(sealed["predicted"]):
        yield "Its files of candidates are of different numbers of candidates."
    predictions = records.predictions(results, record)
    if sealed is None or predictions is None:
        return
    positions = sealed["positions"]
    if int(positions.max()) >= len(predictions[0]):
        yield "Its candidates have predictions of samples that are not scored."
    elif not (
        np.array_equal(sealed["predicted"][-1], predictions[0][positions])
        and np.array_equal(sealed["correct"][-1], predictions[1][positions])
    ):
        yield "The predictions of its last candidate are not those that its scores are of."
