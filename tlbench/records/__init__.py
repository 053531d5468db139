"""Records as JSON lines: append, read, validate, merge. A line is never changed once it is written.

Files are `<results>/<suite>/<entry>.jsonl`. A line is a single write, flushed to the disk before the next case starts.
"""

from tlbench.records.json_lines import from_line, gc_paused, to_line
from tlbench.records.predictions import has_predictions, outputs, predictions, predictions_file, predictions_named
from tlbench.records.pruning import prune_records
from tlbench.records.reading import (
    file_of,
    files,
    iterate_records,
    read,
    read_all,
    suite_files,
    suite_folders,
)
from tlbench.records.times import case_times, last_possible_time
from tlbench.records.writing import ResultsLog, append, lock, prepare, replace

__all__ = [
    "ResultsLog",
    "append",
    "case_times",
    "file_of",
    "files",
    "from_line",
    "gc_paused",
    "has_predictions",
    "iterate_records",
    "last_possible_time",
    "lock",
    "outputs",
    "predictions",
    "predictions_file",
    "predictions_named",
    "prepare",
    "prune_records",
    "read",
    "read_all",
    "replace",
    "suite_files",
    "suite_folders",
    "to_line",
]
