"""Records as JSON lines: append, read, validate, merge. A line is never changed once it is written.

Files are `<results>/<suite>/<entry>.jsonl`. A line is a single write, flushed to the disk before the next case starts.
"""

from tlbench.records.json_lines import from_line, gc_paused, to_line
from tlbench.records.reading import (
    file_of,
    files,
    iterate_records,
    predictions,
    predictions_file,
    predictions_named,
    read,
    read_all,
)
from tlbench.records.writing import ResultsLog, append, lock, prepare, prune_records, replace

__all__ = [
    "ResultsLog",
    "append",
    "file_of",
    "files",
    "from_line",
    "gc_paused",
    "iterate_records",
    "lock",
    "predictions",
    "predictions_file",
    "predictions_named",
    "prepare",
    "prune_records",
    "read",
    "read_all",
    "replace",
    "to_line",
]
