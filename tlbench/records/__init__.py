"""Record <-> one JSON line; append, read, validate. A line that was once written is never changed.

Files are `<results>/<suite>/<row>.jsonl`. A line is written in one piece and flushed to the disk before the next case starts.
"""

from tlbench.records.json_lines import from_line, to_line, uncollected
from tlbench.records.reading import each, file_of, files, predictions, predictions_file, predictions_named, read, read_all
from tlbench.records.writing import Log, Say, append, lock, prepare, replace, thin

__all__ = [
    "Log",
    "Say",
    "append",
    "each",
    "file_of",
    "files",
    "from_line",
    "lock",
    "predictions",
    "predictions_file",
    "predictions_named",
    "prepare",
    "read",
    "read_all",
    "replace",
    "thin",
    "to_line",
    "uncollected",
]
