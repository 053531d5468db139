"""Kinds of damage to an entry of the cache, and what the next load makes of each: of a decoded domain, and of frozen features.

    python -m benchmarks.damage

Every entry was verified before it is damaged, and its stamps are noted, so that an intact file would not be read again. The
last line counts the kinds that give wrong numbers without a word; the exit code is 1 if there are any, or a traceback, or a
load that takes more than 20 seconds.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from tlbench import data
from tlbench.data import cache, checksums, loading
from tlbench.terms import Domain, Labelled

Damage = Callable[[Path], None]
"""Damages the entry of a path."""
LIMIT_SECONDS = 20
STAMP_SECONDS = checksums.CLOCK_TICK_NS / 10**9 + 0.1
"""The age from which the stamp of a file counts."""
CARD, NOTE = "entry.json", "verified.json"
KINDS = ("domain", "features")
"""What an entry holds: a decoded domain, or the features of a frozen backbone."""
RENEWED, INTACT, UNNOTED = "made anew, with a note", "read, the same domain", "made anew, without a note"
SILENT, TRACEBACK, HANGS = "SILENTLY WRONG", "TRACEBACK", "HANGS"


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


class Trial:
    """A domain with test samples and groups, in files and decoded, and entries of it and of its features in caches.

    Args:
        root: an empty folder.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        rng = np.random.default_rng(0)
        for name in ("main", "test"):
            x, y = rng.integers(0, 256, (120, 1, 8, 8), dtype=np.uint8), rng.integers(0, 3, 120)
            np.savez(root / f"{name}.npz", x=x, y=np.array(["cat", "dog", "eel"])[y], g=rng.integers(0, 2, 120))
        table = {"reader": "npz", "path": "main.npz", "x": "x", "y": "y", "group": "g", "test": {"path": "test.npz"}}
        declaration, errors = data.declare("animals", table, {})
        assert declaration is not None, errors
        self.declaration = declaration
        self.weights_DF = torch.from_numpy(rng.standard_normal((64, 16)).astype(np.float32))
        self.base = loading.decode(declaration, root)
        self.expected = {"domain": self.base, "features": self._features()[0]}
        self.computed = 0
        """How many domains were decoded or computed so far."""

    def load(self, kind: str, folder: Path) -> Domain:
        """The domain of a kind, from its entry in a cache folder if there is an intact one."""
        if kind == "domain":
            return cache.load_cached(self.declaration, self.root, folder, self._decoded)
        return cache.load_derived(folder, "features", self.base, self._features).domain

    def entry(self, folder: Path) -> Path:
        """The only entry of a cache folder."""
        (entry,) = [path for path in (folder / "domains").iterdir() if path.is_dir()]
        return entry

    def prepare(self, names: list[str]) -> dict[tuple[str, str], Path]:
        """A cache folder for each kind and name of a damage, with a verified entry whose stamps count."""
        folders = {(kind, name): self.root / f"{kind} {number}" for kind in KINDS for number, name in enumerate(names)}
        for (kind, _), folder in folders.items():
            self.load(kind, folder)
        time.sleep(STAMP_SECONDS)
        for (kind, _), folder in folders.items():
            self.load(kind, folder)
        return folders

    def result(self, kind: str, name: str, folder: Path) -> str:
        """Damage the entry of a cache folder and load it twice: what came of it."""
        DAMAGES[name](self.entry(folder))
        before = self.computed
        try:
            with time_limit(LIMIT_SECONDS), recorded_notes() as notes:
                damaged, after = self.load(kind, folder), self.computed
                again = self.load(kind, folder)
        except TimeoutError:
            return HANGS
        except Exception as error:
            return f"{TRACEBACK} {type(error).__name__}: {error}"
        if not all(same(domain, self.expected[kind]) for domain in (damaged, again)) or self.computed > after:
            return SILENT if self.computed == after else "made anew again and again"
        if after == before:
            return INTACT
        return RENEWED if notes else UNNOTED

    def _decoded(self) -> Domain:
        self.computed += 1
        return loading.decode(self.declaration, self.root)

    def _features(self) -> tuple[Domain, float]:
        self.computed = getattr(self, "computed", 0) + 1
        subsets = [self._subset(samples) for samples in (self.base.samples, self.base.test) if samples is not None]
        return replace(self.base, samples=subsets[0], test=subsets[1]), 1.0

    def _subset(self, samples: Labelled) -> Labelled:
        return replace(samples, x=samples.x.flatten(1).float() @ self.weights_DF)


def same(one: Domain, other: Domain) -> bool:
    """Whether two domains hold the same samples, labels, groups and names."""
    facts = [replace(domain, samples=None, test=None) for domain in (one, other)]  # type: ignore[arg-type]
    subsets = [(one.samples, other.samples), (one.test, other.test)]
    tensors = [(getattr(a, name), getattr(b, name)) for a, b in subsets for name in ("x", "y", "group")]
    return facts[0] == facts[1] and all(a.dtype == b.dtype and torch.equal(a, b) for a, b in tensors)


@contextlib.contextmanager
def time_limit(seconds: int) -> Iterator[None]:
    """Raise a TimeoutError in a block that takes longer."""

    def stop(*_: Any) -> None:
        raise TimeoutError

    before = signal.signal(signal.SIGALRM, stop)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


@contextlib.contextmanager
def recorded_notes() -> Iterator[list[str]]:
    """The notes that the cache logs in a block."""
    notes: list[str] = []
    handler = logging.Handler()
    handler.emit = lambda record: notes.append(record.getMessage())  # type: ignore[method-assign]
    logger = logging.getLogger("tlbench.cache")
    logger.addHandler(handler)
    try:
        yield notes
    finally:
        logger.removeHandler(handler)


def main() -> int:
    cache.SMALL_BYTES = 1  # domains of any size are cached
    with tempfile.TemporaryDirectory() as temporary:
        trial = Trial(Path(temporary))
        folders = trial.prepare(list(DAMAGES))
        results = {key: trial.result(*key, folder) for key, folder in folders.items()}
    width = max(map(len, DAMAGES))
    print(f"{'damage':{width}}  {'decoded domain':26}  frozen features")
    for name in DAMAGES:
        print(f"{name:{width}}  {results['domain', name]:26}  {results['features', name]}")
    good = {RENEWED, INTACT}
    bad = [result for result in results.values() if result not in good]
    silent = sum(result == SILENT for result in bad)
    print(f"{len(DAMAGES)} kinds of damage to {len(KINDS)} kinds of entries: {silent} silently wrong, {len(bad)} not as due")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
