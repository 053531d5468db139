"""The kinds of damage to an entry of the cache: a table of functions, each of which damages the entry of a path."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from tlbench.data import checksums

Damage = Callable[[Path], None]
"""Damages the entry of a path."""
CARD, NOTE = "entry.json", "verified.json"


def flip(file: Path, position: int = -1, restore_time: bool = False) -> None:
    """Flip the lowest bit of a byte."""
    status = file.stat()
    content = bytearray(file.read_bytes())
    content[position] ^= 1
    file.write_bytes(content)
    if restore_time:
        os.utime(file, ns=(status.st_atime_ns, status.st_mtime_ns))


def rewrite(file: Path, change: Callable[[Any], Any]) -> None:
    """Replace an array by a changed one."""
    array = change(np.load(file))
    np.save(file, array, allow_pickle=array.dtype == object)


def edit_card(entry: Path, change: Callable[[dict[str, Any]], Any], sign: bool = False) -> None:
    """Change the card of an entry; with `sign` its checksum is computed anew."""
    file = entry / CARD
    card = json.loads(file.read_text())
    changed = change(card) or card
    if sign:
        changed.pop("checksum", None)
        checksums.write_json(file, changed)
    else:
        file.write_text(json.dumps(changed))


def forge(entry: Path, name: str, change: Callable[[Any], Any]) -> None:
    """Change an array and state its new size, type, shape and checksums in the card, as a faulty program would write it."""
    file = entry / f"{name}.npy"
    rewrite(file, change)
    array = np.load(file, allow_pickle=False)
    facts = {
        "bytes": file.stat().st_size,
        "dtype": array.dtype.str,
        "shape": list(array.shape),
        "crc32": checksums.crc32(file),
    }
    field, _, subset = name.partition(".")
    edit_card(entry, lambda card: card["arrays"][field].update({subset: facts}), sign=True)


def replaced(file: Path, make: Callable[[Path], Any]) -> None:
    """Put something else at the path of a file."""
    file.unlink(missing_ok=True)
    make(file)


def link_to_copy(file: Path) -> None:
    """Replace a file by a link to a copy of it outside of the entry."""
    copy = file.parents[2] / f"copy of {file.name}"
    file.rename(copy)
    file.symlink_to(copy)


def swap(one: Path, other: Path) -> None:
    """Swap two files."""
    third = one.with_name("third")
    one.rename(third)
    other.rename(one)
    third.rename(other)


def replace_entry(entry: Path, make: Callable[[Path], Any]) -> None:
    """Put something else at the path of the entry."""
    shutil.rmtree(entry)
    make(entry)


def as_another_key(entry: Path) -> None:
    """The whole entry of another key, at the path of this one."""
    edit_card(entry, lambda card: card.update(key="0" * 32), sign=True)


def huge_header(file: Path) -> None:
    """A header that declares samples beyond all memory, and the size of the file as it was."""
    size = file.stat().st_size
    with file.open("wb") as stream:
        header = {"descr": "<f4", "fortran_order": False, "shape": (2**40, 2**20)}
        np.lib.format.write_array_header_1_0(stream, header)
        stream.truncate(size)


def junk_beside(entry: Path) -> None:
    """Files and folders of others in the entry."""
    (entry / "junk").mkdir()
    (entry / "junk" / "file").write_bytes(b"\0" * 1000)
    (entry / "samples.extra.npy").write_bytes(b"junk")
    os.mkfifo(entry / "pipe")


def write(file: Path, content: bytes) -> None:
    """Write other content to a file."""
    file.write_bytes(content)


def zeros(file: Path) -> None:
    """As many zeros as the file has bytes."""
    file.write_bytes(bytes(file.stat().st_size))


def with_reversed_classes(card: dict[str, Any]) -> dict[str, Any]:
    """A card whose classes are in reverse order."""
    return {**card, "facts": {**card["facts"], "classes": card["facts"]["classes"][::-1]}}


def without_samples(card: dict[str, Any]) -> dict[str, Any]:
    """A card without the main samples."""
    return {**card, "arrays": {field: facts for field, facts in card["arrays"].items() if field != "samples"}}


def nested(file: Path) -> None:
    """JSON nested deeper than Python recurses."""
    file.write_text("[" * 100_000 + "]" * 100_000)


X, Y, GROUP, TEST_X, TEST_Y = "samples.x", "samples.y", "samples.group", "test.x", "test.y"
DAMAGES: dict[str, Damage] = {
    "a bit of the samples is flipped": lambda entry: flip(entry / f"{X}.npy"),
    "the same, and the time of modification is set back": lambda entry: flip(entry / f"{X}.npy", restore_time=True),
    "a bit of the labels is flipped": lambda entry: flip(entry / f"{Y}.npy", -8),
    "a bit of the groups is flipped": lambda entry: flip(entry / f"{GROUP}.npy", -8),
    "a bit of the test samples is flipped": lambda entry: flip(entry / f"{TEST_X}.npy"),
    "a bit of an array's header is flipped": lambda entry: flip(entry / f"{X}.npy", 20),
    "the labels are zeroed": lambda entry: rewrite(entry / f"{Y}.npy", np.zeros_like),
    "labels and test labels are swapped": lambda entry: swap(entry / f"{Y}.npy", entry / f"{TEST_Y}.npy"),
    "samples and labels are swapped": lambda entry: swap(entry / f"{X}.npy", entry / f"{Y}.npy"),
    "samples are missing": lambda entry: (entry / f"{X}.npy").unlink(),
    "samples are truncated": lambda entry: os.truncate(entry / f"{X}.npy", 1000),
    "samples are an empty file": lambda entry: os.truncate(entry / f"{X}.npy", 0),
    "the file of the labels is longer": lambda entry: os.truncate(entry / f"{Y}.npy", (entry / f"{Y}.npy").stat().st_size + 8),
    "samples are of another type": lambda entry: rewrite(entry / f"{X}.npy", lambda x: x.astype(np.float64)),
    "samples have another shape of as many numbers": lambda entry: rewrite(
        entry / f"{X}.npy", lambda x: x.reshape(len(x) // 2, 2, -1)
    ),
    "samples are pickled objects": lambda entry: rewrite(entry / f"{X}.npy", lambda x: x[:3].astype(object)),
    "samples are zeros without a header": lambda entry: zeros(entry / f"{X}.npy"),
    "samples claim a shape beyond all memory": lambda entry: huge_header(entry / f"{X}.npy"),
    "samples are a pipe": lambda entry: replaced(entry / f"{X}.npy", os.mkfifo),
    "samples are a folder": lambda entry: replaced(entry / f"{X}.npy", Path.mkdir),
    "samples are a link to a copy": lambda entry: link_to_copy(entry / f"{X}.npy"),
    "the card has its classes reversed": lambda entry: edit_card(entry, with_reversed_classes),
    "a bit of the card is flipped": lambda entry: flip(entry / CARD, 60),
    "the card is missing": lambda entry: (entry / CARD).unlink(),
    "the card is empty": lambda entry: os.truncate(entry / CARD, 0),
    "the card is truncated": lambda entry: os.truncate(entry / CARD, 200),
    "the card is binary junk": lambda entry: write(entry / CARD, bytes(range(256))),
    "the card is a list": lambda entry: write(entry / CARD, b"[1, 2]"),
    "the card is nested 100,000 deep": lambda entry: nested(entry / CARD),
    "the card holds a number of 10,000 digits": lambda entry: write(entry / CARD, b'{"format": ' + b"9" * 10_000 + b"}"),
    "the card is of an older version": lambda entry: edit_card(entry, lambda card: card.update(format=2), sign=True),
    "the card is of a later version": lambda entry: edit_card(entry, lambda card: card.update(later=1), sign=True),
    "the card lacks the samples": lambda entry: edit_card(entry, without_samples, sign=True),
    "the card is a pipe": lambda entry: replaced(entry / CARD, os.mkfifo),
    "the card is a link to a copy": lambda entry: link_to_copy(entry / CARD),
    "the entry is that of another key": as_another_key,
    "labels out of range were written": lambda entry: forge(entry, Y, lambda y: y + 100),
    "negative labels were written": lambda entry: forge(entry, Y, lambda y: y - 1),
    "groups out of range were written": lambda entry: forge(entry, GROUP, lambda group: group + 100),
    "labels of another type were written": lambda entry: forge(entry, Y, lambda y: y.astype(np.float32)),
    "too few labels were written": lambda entry: forge(entry, Y, lambda y: y[:-1]),
    "the entry is a file": lambda entry: replace_entry(entry, lambda path: path.write_text("junk")),
    "the entry is an empty folder": lambda entry: replace_entry(entry, Path.mkdir),
    "the entry is a link to nowhere": lambda entry: replace_entry(entry, lambda path: path.symlink_to("nowhere")),
    "the entry holds junk beside its files": junk_beside,
    "the note of the stamps is missing": lambda entry: (entry / NOTE).unlink(),
    "the note of the stamps is nested 100,000 deep": lambda entry: nested(entry / NOTE),
    "the note of the stamps is a pipe": lambda entry: replaced(entry / NOTE, os.mkfifo),
}
"""Name of a kind of damage -> the function that does it."""
HARMLESS = frozenset(name for name in DAMAGES if "junk beside" in name or name.startswith("the note of the stamps"))
"""The kinds that leave the samples as they are."""
