"""The one walk over folders: hidden names, links, odd kinds of files; each reader of folders uses it."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

import tlbench
from tlbench.data.decoding import folders
from tlbench.errors import TlbenchError

HIDDEN = (".DS_Store", "._a.png", ".ipynb_checkpoints", "__MACOSX", "@eaDir", "$RECYCLE.BIN", "Thumbs.db", "desktop.ini")


def write(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"x")


def walked(folder: Path, **options: bool) -> list[str]:
    return [str(path.relative_to(folder)) for path in folders.walk(folder, folder, **options)[0]]


@pytest.mark.parametrize("name", HIDDEN)
def test_hidden_names_are_left_out_as_files_and_as_folders(tmp_path: Path, name: str) -> None:
    write(tmp_path, "file/a", f"file/{name}", "folder/a", f"folder/{name}/b")
    assert walked(tmp_path) == ["file/a", "folder/a"]
    assert {path.name for path in folders.walk(tmp_path)[1]} == {name}
    assert len(walked(tmp_path, hidden=True)) == 4


def test_links_inside_are_followed_and_others_refused(tmp_path: Path) -> None:
    home = tmp_path / "home"
    write(home, "shared/a", "b/c")
    write(tmp_path, "outside/d")
    (home / "b" / "shared").symlink_to("../shared")
    (home / "b" / "file").symlink_to("../shared/a")
    assert walked(home) == ["b/c", "b/file", "b/shared/a", "shared/a"]
    (home / "out").symlink_to(tmp_path / "outside")
    with pytest.raises(TlbenchError, match="is a link that leaves"):
        folders.walk(home, home)
    assert len(folders.walk(home)[0]) == 5  # where no folder is named, as for the files that a cache key is made of
    (home / "out").unlink()
    (home / "b" / "up").symlink_to("..")
    with pytest.raises(TlbenchError, match="a link to a folder that holds it"):
        folders.walk(home, home)
    (home / "b" / "up").unlink()
    (home / "loop").symlink_to("loop")
    with pytest.raises(TlbenchError, match="leads back to itself"):
        folders.walk(home, home)


def test_a_name_that_is_not_utf_8_is_one_sentence(tmp_path: Path) -> None:
    Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xff.png")).write_bytes(b"x")
    with pytest.raises(TlbenchError, match=r"is not valid UTF-8\. Rename the file or folder"):
        folders.walk(tmp_path)


def test_no_reader_walks_a_folder_in_a_way_of_its_own() -> None:
    package = Path(tlbench.__file__).parent / "data"
    own_walks = re.compile(r"\.rglob\(|os\.walk\(|os\.scandir\(|\.iterdir\(")
    offenders = [file.name for file in package.rglob("*.py") if own_walks.search(file.read_text())]
    assert sorted(offenders) == ["cache.py", "cache_entries.py", "folders.py"]  # those of the cache walk no data
