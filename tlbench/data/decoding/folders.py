"""The one walk over folders of data files: what is below a folder, without hidden names, and with links that stay inside."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path

from tlbench.errors import TlbenchError

HIDDEN_NAMES = frozenset(
    {
        "__macosx",
        "@eadir",
        "#recycle",
        "$recycle.bin",
        "system volume information",
        "lost+found",
        "thumbs.db",
        "ehthumbs.db",
        "desktop.ini",
    }
)
"""Names, in lower case, that operating systems and storage devices give to files and folders of their own."""
SHOWN_NAMES = 5
"""A note names this many files or suffixes."""


def is_hidden(name: str) -> bool:
    """Whether a name is that of a hidden or a system file or folder, such as `.ipynb_checkpoints`, `._0.png` or `__MACOSX`."""
    return name.startswith(".") or name.casefold() in HIDDEN_NAMES


def walk(folder: Path, within: Path | None = None, hidden: bool = False) -> tuple[list[Path], list[Path]]:
    """The files below a folder, in sorted order; links to files and folders are followed where they stay inside.

    Args:
        folder: where the walk starts; its own name may be hidden.
        within: the folder that no link may leave; None: links may lead anywhere.
        hidden: whether hidden files and folders are walked as well.

    Returns:
        The paths of the files (of whatever kind: `is_file` is false for a pipe), and the hidden files and folders left out.

    Raises:
        TlbenchError: a link leaves the folder or leads to a folder that holds it, or a name is not valid UTF-8.
    """
    home = None if within is None else within.resolve()
    paths: list[Path] = []
    left_out: list[Path] = []

    def visit(path: Path, holders: frozenset[Path]) -> None:
        for one in sorted(path.iterdir()):
            if is_hidden(one.name) and not hidden:
                left_out.append(one)
                continue
            _check_name(one)
            try:
                target = one.resolve()
            except (OSError, RuntimeError) as error:
                raise TlbenchError(f"{one} is a link that leads back to itself. Remove it.") from error
            if home is not None and not target.is_relative_to(home):
                raise TlbenchError(f"{one} is a link that leaves {within}. It is refused; replace it by a copy.")
            if not one.is_dir():
                paths.append(one)
            elif target in holders:
                raise TlbenchError(f"{one} is a link to a folder that holds it, so that it would be read for ever. Remove it.")
            else:
                visit(one, holders | {target})

    visit(folder, frozenset({folder.resolve()}))
    return paths, left_out


def files_below(path: Path) -> list[Path]:
    """The plain files that a path stands for: itself, or all below a folder, hidden ones among them; [] if there are none.

    Raises:
        TlbenchError: see `walk`.
    """
    if path.is_file():
        return [path]
    return [file for file in walk(path, hidden=True)[0] if file.is_file()] if path.is_dir() else []


def _check_name(path: Path) -> None:
    try:
        path.name.encode()
    except UnicodeEncodeError as error:
        shown = path.name.encode(errors="surrogateescape").decode(errors="replace")
        raise TlbenchError(f"{path.parent}: The name {shown!r} is not valid UTF-8. Rename the file or folder.") from error


def hidden_note(names: Iterable[object]) -> Iterator[str]:
    """A note on hidden files and folders that were left out; none where there are none."""
    if listed := [str(name) for name in names]:
        noun = "hidden file or folder is" if len(listed) == 1 else "hidden files and folders are"
        yield f"{len(listed)} {noun} left out: {_shown(listed)}"


def suffix_note(names: Iterable[str], what: str) -> Iterator[str]:
    """A note on files that were left out, counted by suffix; none where there are none.

    Args:
        names: the names of the files.
        what: what they are not, such as "no images".
    """
    if listed := list(names):
        counts = Counter(Path(name).suffix.lower() or "no suffix" for name in listed)
        shown = _shown([f"{count} {suffix}" for suffix, count in sorted(counts.items())])
        yield f"{len(listed)} {'file is' if len(listed) == 1 else 'files are'} {what} and left out: {shown}"


def _shown(texts: list[str]) -> str:
    return ", ".join(texts[:SHOWN_NAMES]) + (", ..." if len(texts) > SHOWN_NAMES else "")
