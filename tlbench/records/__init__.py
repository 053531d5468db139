"""Record <-> one JSON line; append, read, validate. A line that was once written is never changed.

Files are `<results>/<suite>/<row>.jsonl`. A line is written in one piece and flushed to the disk before the next case starts.
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
from tlbench.records.writing import ResultsLog, Say, append, lock, prepare, prune_records, replace

__all__ = [
    "ResultsLog",
    "Say",
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
