"""Which recordings a domain has, and the class and group of each: by folders, or by a pattern of their names."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from tlbench.data.audio import wav_files
from tlbench.data.decoding import files, folders
from tlbench.errors import TlbenchError, did_you_mean

PATTERN_GROUPS = frozenset({"label", "domain", "group"})


class Recording(NamedTuple):
    """A file to read."""

    label: str
    name: str
    """For messages: its path below the folder, or as the suite gives it."""
    path: Path
    group: str | None = None


@dataclass
class Selection:
    """What a walk over a folder or a list of files gives."""

    recordings: list[Recording] = field(default_factory=list)
    notes: tuple[str, ...] = ()


def pattern_error(pattern: str) -> str | None:
    """What is wrong with a pattern; None where nothing is."""
    try:
        groups = {*re.compile(pattern).groupindex}
        _of_paths(pattern)
    except (re.error, OverflowError, RecursionError) as error:
        return f"it is no regular expression: {error}"
    if unknown := sorted(groups - PATTERN_GROUPS):
        return f"its group {unknown[0]!r} is none of label, domain and group"
    return None if groups else "it names no group. Write (?P<label>...) around the class"


def has_domain(pattern: str | None) -> bool:
    """Whether a pattern has the group `domain`."""
    return pattern is not None and "domain" in re.compile(pattern).groupindex


def _of_paths(pattern: str) -> re.Pattern[str]:
    """The expression that matches a whole path whose end, from a folder on, matches a pattern."""
    return re.compile(rf"(?:.*/)?(?:{pattern})", re.DOTALL)


def select(root: Path, path: str | Sequence[str], domain: str, pattern: str | None) -> Selection:
    """The recordings of a domain, sorted by class and name.

    Args:
        root: the data root.
        path: a folder, or files.
        domain: the folder that holds the folders of the classes; with a pattern, what its group `domain` matches.
        pattern: a regular expression that matches the end of each path from a folder on; None: classes are folders.

    Raises:
        TlbenchError: there is no such folder or file, a link leaves the folder, or no recording is selected.
    """
    notes: list[str] = []
    inside = domain if pattern is None else ""
    if is_folder := isinstance(path, str):
        candidates, where = _in_folder(root, path, inside, notes), str(root / path / inside)
    else:
        candidates, where = _in_list(root, path), "path"
    if pattern is None:
        recordings, beside = [], []
        for name, file in candidates:
            parents = name.parent.parts if is_folder else (file.parent.name,)
            if parents:
                recordings.append(Recording(parents[0], str(name), file))
            else:
                beside.append(str(name))
        if beside:
            notes.append(f"{len(beside)} recordings lie in no folder of a class and are left out")
        if not recordings:
            raise TlbenchError(
                f"{where}: There is no recording in folders <class>/*. Set domain to their folder, or set a pattern."
            )
    else:
        recordings = _matching(where, list(candidates), domain, pattern, notes)
    return Selection(sorted(recordings), tuple(notes))


def _matching(
    where: str, candidates: Sequence[tuple[PurePosixPath, Path]], domain: str, pattern: str, notes: list[str]
) -> list[Recording]:
    """The recordings whose names match a pattern, and whose group `domain` is the wanted one."""
    end = _of_paths(pattern)
    matches = [(end.fullmatch(str(name)), name, file) for name, file in candidates]
    others = [str(name) for match, name, _ in matches if match is None]
    if len(others) == len(matches):
        example = f"; the first of {len(others)} is {others[0]!r}" if others else ""
        raise TlbenchError(
            f"{where}: There is no recording that matches pattern = {pattern!r}{example}. Correct one of the two."
        )
    if others:
        notes.append(
            f"{len(others)} of {len(matches)} recordings do not match the pattern and are left out, such as {others[0]!r}"
        )
    recordings, domains = [], set()
    for match, name, file in matches:
        if match is None:
            continue
        facts = match.groupdict()
        domains.add(facts.get("domain") or "")
        if domain and facts.get("domain") != domain:
            continue
        label = facts.get("label", file.parent.name)
        if label is None:
            raise TlbenchError(f"{where}: pattern matches {str(name)!r} without its group 'label'. Let it match in every name.")
        recordings.append(Recording(label, str(name), file, facts.get("group")))
    if not recordings:
        raise TlbenchError(f"{where}: No recording has the domain {domain!r}. {did_you_mean(domain, sorted(domains))}")
    return recordings


def _in_folder(root: Path, path: str, inside: str, notes: list[str]) -> Iterator[tuple[PurePosixPath, Path]]:
    """The recordings below a folder, by their paths below it; notes on what is left out are added once all were seen."""
    folder = PurePosixPath(inside)
    if folder.is_absolute() or ".." in folder.parts:
        raise TlbenchError(f"The domain {inside!r} leaves {path!r}. Name a folder inside it.")
    whole = files.find_folder(root, path)
    home = files.find_folder(whole, inside) if inside else whole
    paths, hidden = folders.walk(home, whole)
    others: list[str] = []
    for file in paths:
        name = file.relative_to(home)
        if not file.is_file():  # opening a pipe would block for ever
            raise TlbenchError(f"{file} is no plain file (a broken link, a pipe or a device). Remove it.")
        with files.guarded_reading(file, "WAV"), file.open("rb") as stream:
            head = stream.read(wav_files.HEAD_BYTES)
        if wav_files.is_recording(file.name, head):
            yield PurePosixPath(name.as_posix()), file
        else:
            others.append(str(name))
    notes += folders.hidden_note(str(one.relative_to(home)) for one in hidden)
    notes += folders.suffix_note(others, "no recordings")


def _in_list(root: Path, paths: Sequence[str]) -> Iterator[tuple[PurePosixPath, Path]]:
    for path in dict.fromkeys(paths):
        yield PurePosixPath(path), files.find(root, path)
