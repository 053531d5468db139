"""Lines and files that strangers may put into a results directory, each as a change of a right one."""

from __future__ import annotations

import io
import json
import os
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

ESCAPES = "\x1b[2J\x1b[32mok\x1b[0m\u202e"


def with_fact(path: str, value: Any) -> Callable[[dict[str, Any]], str]:
    """The line with another value of one key, given as `cost.steps`."""

    def line(facts: dict[str, Any]) -> str:
        *parents, key = path.split(".")
        table = facts
        for parent in parents:
            table = table[parent]
        table[key] = value
        return json.dumps(facts)

    return line


def with_text(path: str, text: str) -> Callable[[dict[str, Any]], str]:
    """The line with a JSON text in the place of one value, which json.dumps would not write."""

    def line(facts: dict[str, Any]) -> str:
        return with_fact(path, "@@")(facts).replace('"@@"', text)

    return line


def without(path: str) -> Callable[[dict[str, Any]], str]:
    """The line without one domain's fingerprint."""

    def line(facts: dict[str, Any]) -> str:
        del facts["data"][path]
        return json.dumps(facts)

    return line


NUMBERS = ("suite_version", "seed", "target_labels", "scores.target_accuracy", "scores.macro_f1", "scores.scored_rows")
NUMBERS += ("cost.train_seconds", "cost.train_samples_per_second", "cost.peak_memory_bytes", "cost.steps", "machine.cores")
VALUES = {"5,000 digits": "9" * 5000, "20 digits": "9" * 20, "-1e308": "-1e308", "1e400": "1e400", "NaN": "NaN"}

REFUSED_LINES: dict[str, Callable[[dict[str, Any]], str]] = {
    **{f"{path} {name}": with_text(path, text) for path in NUMBERS for name, text in VALUES.items()},
    "r2 -1e308": with_text("scores.r2", "-1e308"),
    "loss -1e308": with_text("scores.trace", '[{"step": 1, "loss": -1e308}]'),
    **{f"nested {key}": with_text(key, "[" * 100_000 + "]" * 100_000) for key in ("options", "why", "scores")},
    "nested tables": with_text("options", '{"a":' * 5000 + "1" + "}" * 5000),
    "options nested 50 deep": with_text("options", '{"a":' * 50 + "1" + "}" * 50),
    "nested without end": lambda facts: "[" * 1_000_000,
    "option of 5,000 digits": with_text("options", '{"weight": ' + "9" * 5000 + "}"),
    "option of 20 digits": with_fact("options", {"weight": 10**19}),
    "no fingerprint of the target": without("b"),
    "no fingerprint of the source": without("a"),
    "no data": with_fact("data", {}),
    "no source": with_fact("sources", []),
    **{f"half a surrogate pair in {key}": with_text(key, r'"\ud800"') for key in ("why", "row", "suite", "method", "target")},
    "half a surrogate pair in a class": with_text("scores.per_class_accuracy", r'{"\ud800": 0.5}'),
    **{f"empty {key}": with_fact(key, "") for key in ("suite", "row", "method", "target")},
    "name of 10,000 characters": with_fact("method", "x" * 10_000),
    "a line of 20 MB": with_fact("why", "x" * 20_000_000),
    "negative threads": with_fact("machine.threads", -5),
    "two lines torn": lambda facts: json.dumps(facts)[:100] + "\n" + json.dumps(facts)[:50] + "\n" + json.dumps(facts),
    "an array": lambda facts: "[1, 2]",
    "text": lambda facts: '"text"',
    "NUL": lambda facts: "\0" * 100 + "\n" + json.dumps(facts),
}
"""Lines that are no records; every command says so and ends with 2."""

SHOWN_LINES: dict[str, Callable[[dict[str, Any]], str]] = {
    "ANSI escapes in a reason": lambda facts: json.dumps(facts | {"status": "failed", "why": ESCAPES}),
    **{f"ANSI escapes in {path}": with_fact(path, ESCAPES) for path in ("method", "baseline", "metric", "suite_hash")},
    **{f"ANSI escapes in {path}": with_fact(path, ESCAPES) for path in ("machine.device", "machine.torch", "code.tlbench")},
    "ANSI escapes in a class": with_fact("scores.per_class_accuracy", {ESCAPES: 0.5, "b": 0.5}),
    "ANSI escapes in a domain": lambda facts: json.dumps(facts | {"target": ESCAPES, "data": {"a": "1", ESCAPES: "2"}}),
    "ANSI escapes in times": lambda facts: json.dumps(facts | {"started": ESCAPES, "finished": ESCAPES}),
    "ANSI escapes in notes": with_fact("notes", [ESCAPES]),
    "names of 300 characters": lambda facts: json.dumps(facts | {"target": "t" * 300, "data": {"a": "1", "t" * 300: "2"}}),
    "a class of 300 characters": with_fact("scores.per_class_accuracy", {"c" * 300: 0.5, "d" * 300: 0.5}),
    "many classes": with_fact("scores.per_class_accuracy", {str(n): 0.5 for n in range(5000)}),
    "the future": with_fact("finished", "9999-12-31T23:59:59+00:00"),
    "no time": with_fact("finished", "never"),
    "a path as predictions": with_fact("scores.predictions", "../../../etc/passwd"),
    "a seed of 19 digits": with_fact("seed", 2**63 - 1),
    "a large version": with_fact("suite_version", 2**63 - 1),
    "the largest numbers": with_fact("cost.train_samples_per_second", 1e15),
    "unknown metric": with_fact("metric", "nonsense"),
    "unknown device": with_fact("machine.device", "x" * 5000),
}  # fmt: skip
"""Records that no run writes; commands show them, or refuse them in a sentence, and print nothing that a terminal obeys."""


def make_fifo(path: Path) -> None:
    os.mkfifo(path)


ODD_FILES: dict[str, Callable[[Path], None]] = {
    "a FIFO": make_fifo,
    "a device": lambda path: path.symlink_to("/dev/zero"),
    "a link to nowhere": lambda path: path.symlink_to("nowhere"),
    "links in a cycle": lambda path: path.symlink_to(path.name),
    "a folder": lambda path: path.mkdir(),
    "bytes": lambda path: path.write_bytes(bytes(range(256)) * 100) and None,
    "a file of 2 GiB": lambda path: path.touch() or os.truncate(path, 2**31),
}
"""What a name that ends with .jsonl may be, beside a file of records."""


def npz(members: dict[str, bytes], compression: int = zipfile.ZIP_DEFLATED) -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", compression) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return content.getvalue()


def npy(array: Any, **options: Any) -> bytes:
    content = io.BytesIO()
    np.save(content, array, **options)
    return content.getvalue()


def header(text: str) -> bytes:
    """The start of an .npy file with a header of this text, and no data."""
    padded = text.ljust(117) + "\n"
    return b"\x93NUMPY\x01\x00" + len(padded).to_bytes(2, "little") + padded.encode()


RIGHT = npy(np.zeros(2, np.uint8))


def encrypted() -> bytes:
    """An archive whose members say that they are encrypted."""
    content = bytearray(npz({"predicted.npy": RIGHT, "right.npy": RIGHT}))
    for mark, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        start = -1
        while (start := content.find(mark, start + 1)) >= 0:
            content[start + offset] |= 1
    return bytes(content)


def unknown_compression() -> bytes:
    content = bytearray(npz({"predicted.npy": RIGHT, "right.npy": RIGHT}))
    start = -1
    while (start := content.find(b"PK\x01\x02", start + 1)) >= 0:
        content[start + 10] = 99
    return bytes(content)


HUGE = "{'descr': '|u1', 'fortran_order': False, 'shape': (3221225472,), }"
ODD_PREDICTIONS: dict[str, Callable[[], bytes]] = {
    "empty": lambda: b"",
    "no archive": lambda: b"text",
    "no members": lambda: npz({}),
    "a bomb": lambda: npz({"predicted.npy": npy(np.zeros(2_000_000, np.uint8)), "right.npy": RIGHT}),
    "a header of 3 GiB": lambda: npz({"predicted.npy": header(HUGE), "right.npy": RIGHT}),
    "a header of code": lambda: npz({"predicted.npy": header("__import__('os').getcwd()"), "right.npy": RIGHT}),
    "a nested header": lambda: npz({"predicted.npy": header("(" * 100), "right.npy": RIGHT}),
    "encrypted": encrypted,
    "an unknown compression": unknown_compression,
    "pickled": lambda: npz({"predicted.npy": npy(np.array([{}]), allow_pickle=True), "right.npy": RIGHT}),
    **{
        f"dtype {kind}": lambda kind=kind: npz({"predicted.npy": npy(np.zeros(2, kind)), "right.npy": RIGHT})  # type: ignore[misc]
        for kind in ("f8", "i8", "c16", "U5", "S5", "M8[s]", ">u2", "u1,u1", "?")
    },
    "two axes": lambda: npz({"predicted.npy": npy(np.zeros((2, 2), np.uint8)), "right.npy": RIGHT}),
    "no axis": lambda: npz({"predicted.npy": npy(np.uint8(1)), "right.npy": RIGHT}),
    "more flags than classes": lambda: npz({"predicted.npy": npy(np.zeros(100, np.uint8)), "right.npy": RIGHT}),
    "cut off": lambda: npz({"predicted.npy": RIGHT, "right.npy": RIGHT})[:-30],
}
"""Contents of predictions files that hold no predictions."""
