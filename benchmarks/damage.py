"""Kinds of damage to an entry of the cache, and what the next load makes of each: of a decoded domain, and of frozen features.

    python -m benchmarks.damage

Every entry was verified before it is damaged, and its stamps are noted, so that an intact file would not be read again. The
last line counts the kinds that give wrong numbers without a word; the exit code is 1 if there are any, or a traceback, or a
load that takes more than 20 seconds.
"""

from __future__ import annotations

import contextlib
import logging
import signal
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.damage_kinds import DAMAGES
from tlbench import data
from tlbench.data import cache, checksums, loading
from tlbench.terms import Domain, Labelled

LIMIT_SECONDS = 20
STAMP_SECONDS = checksums.CLOCK_TICK_NS / 10**9 + 0.1
"""The age from which the stamp of a file counts."""
KINDS = ("domain", "features")
"""What an entry holds: a decoded domain, or the features of a frozen backbone."""
RENEWED, INTACT, UNNOTED = "made anew, with a note", "read, the same domain", "made anew, without a note"
SILENT, TRACEBACK, HANGS = "SILENTLY WRONG", "TRACEBACK", "HANGS"


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
