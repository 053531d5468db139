"""The cache of decoded domains: a hit is the same domain, a change is never a hit, and a damaged entry is never read."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from domain_tables import declare_domain

from tlbench import data
from tlbench.data import cache, cache_entries, loading
from tlbench.errors import TlbenchError
from tlbench.terms import Domain, Labelled

TABLE = {"reader": "npz", "path": "a.npz", "x": "x", "y": "y", "test": {"path": "b.npz"}}


def write(file: Path, seed: int, count: int = 400) -> None:
    rng = np.random.default_rng(seed)
    x = rng.integers(0, 256, (count, 1, 8, 8), dtype=np.uint8)
    np.savez(file, x=x, y=np.arange(count) % 3)


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two files, old enough for their checksums to be remembered, and a cache for domains of any size."""
    monkeypatch.setattr(cache, "SMALL_BYTES", 1)
    cache._log_once.cache_clear()
    for seed, name in enumerate(("a", "b")):
        write(tmp_path / f"{name}.npz", seed)
    return tmp_path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "cache"


def load(root: Path, folder: Path | None, **changes: Any) -> Domain:
    return data.load(declare_domain(TABLE | changes), root, folder)


def same(one: Domain, other: Domain) -> bool:
    def subsets(domain: Domain) -> list[Labelled]:
        return [subset for subset in (domain.samples, domain.test) if subset is not None]

    pairs = list(zip(subsets(one), subsets(other), strict=True))
    equal = all(torch.equal(a.x, b.x) and torch.equal(a.y, b.y) and a.x.dtype == b.x.dtype for a, b in pairs)
    return equal and (one.classes, one.fingerprint) == (other.classes, other.fingerprint)


@pytest.fixture
def decodings(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the domains that were decoded, in turn."""
    seen: list[str] = []
    decode = loading.decode

    def noted(declaration: data.Declaration, root: Path) -> Domain:
        seen.append(declaration.name)
        return decode(declaration, root)

    monkeypatch.setattr(loading, "decode", noted)
    return seen


def entry(folder: Path) -> Path:
    (only,) = [path for path in (folder / "domains").iterdir() if path.is_dir()]
    return only


def test_a_second_load_maps_what_the_first_one_decoded(root: Path, folder: Path, decodings: list[str]) -> None:
    plain, first, second = load(root, None), load(root, folder), load(root, folder)
    assert decodings == ["d", "d"] and same(plain, first) and same(first, second)
    assert second.test is not None and second.name == "d"
    assert load(root, folder, licence="CC0").fingerprint == plain.fingerprint and len(decodings) == 2


def test_writes_to_mapped_samples_stay_out_of_the_cache(root: Path, folder: Path) -> None:
    first = load(root, folder)
    before = first.samples.x.clone()
    first.samples.x.zero_()
    assert torch.equal(load(root, folder).samples.x, before)


def test_a_file_changed_while_it_is_read_is_not_cached(root: Path, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    decode = loading.decode

    def disturbed(declaration: data.Declaration, root: Path) -> Domain:
        write(root / "a.npz", 9, count=401)
        return decode(declaration, root)

    monkeypatch.setattr(loading, "decode", disturbed)
    assert len(load(root, folder).samples) == 401 and cache.entries(folder) == []


def test_a_domain_of_another_name_shares_the_entry(root: Path, folder: Path, decodings: list[str]) -> None:
    load(root, folder)
    assert data.load(declare_domain(TABLE, "other"), root, folder).name == "other" and decodings == ["d"]


@pytest.mark.parametrize(
    "change",
    [{"samples": 50}, {"prepare": ["scale"]}, {"shifts": [{"kind": "noise", "sigma": 0.1}]}, {"classes": [2, 1, 0]}],
    ids=lambda change: next(iter(change)),
)
def test_another_declaration_is_another_entry(root: Path, folder: Path, change: dict[str, Any]) -> None:
    load(root, folder)
    assert same(load(root, folder, **change), load(root, None, **change))
    assert len(cache.entries(folder)) == 2


def test_other_content_of_the_same_size_is_another_entry(root: Path, folder: Path) -> None:
    old = load(root, folder)
    size = (root / "a.npz").stat().st_size
    write(root / "a.npz", 7)
    assert (root / "a.npz").stat().st_size == size
    assert same(load(root, folder), load(root, None)) and not same(load(root, folder), old)


def test_swapped_files_are_another_entry(root: Path, folder: Path) -> None:
    old = load(root, folder)
    (root / "a.npz").rename(root / "c")
    (root / "b.npz").rename(root / "a.npz")
    (root / "c").rename(root / "b.npz")
    new = load(root, folder)
    assert old.test is not None and torch.equal(new.samples.x, old.test.x) and not same(new, old)


def test_other_code_is_another_entry(root: Path, folder: Path, decodings: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    load(root, folder)
    monkeypatch.setattr(cache, "_code_digest", lambda reader: "of tomorrow")
    load(root, folder)
    assert len(decodings) == 2


@pytest.mark.parametrize(
    ("module", "changes"),
    [
        ("loading.py", True),
        ("decoding/arrays.py", True),
        ("shifts/images.py", True),
        ("readers/npz.py", True),
        ("preview.py", False),
    ],
)
def test_the_key_follows_the_code_that_makes_a_domain(module: str, changes: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    digest = cache._code_digest.__wrapped__
    before = digest("npz")
    changed = Path(data.__file__).parent / module
    read_bytes = Path.read_bytes
    monkeypatch.setattr(Path, "read_bytes", lambda path: read_bytes(path) + (b"#" if path == changed else b""))
    assert (digest("npz") != before) == changes


def test_only_modules_without_effect_are_left_out_of_the_key() -> None:
    package = Path(data.__file__).parent
    left_out = {file.relative_to(package).as_posix() for file in set(package.rglob("*.py")) - cache._code_files("npz")}
    of_cache = {"cache.py", "cache_entries.py", "checksums.py", "entry_contents.py"}
    assert left_out == of_cache | {"divergence.py", "duplicates.py", "preview.py"}


@pytest.mark.parametrize("damaged", ["samples.x.npy", "samples.y.npy", "test.x.npy", "entry.json"])
@pytest.mark.parametrize("damage", ["gone", "empty", "cut", "longer", "junk"])
def test_a_damaged_entry_is_written_again(root: Path, folder: Path, decodings: list[str], damaged: str, damage: str) -> None:
    first = load(root, folder)
    file = entry(folder) / damaged
    content = file.read_bytes()
    del first
    if damage == "gone":
        file.unlink()
    else:
        file.write_bytes({"empty": b"", "cut": content[:-1], "longer": content + b"x", "junk": b"\0" * len(content)}[damage])
    assert same(load(root, folder), load(root, None))
    assert len(decodings) == 3
    load(root, folder)
    assert len(decodings) == 3  # whole again


@pytest.mark.parametrize(
    "metadata",
    ["[]", "{}", '{"format": 1}', '{"format": 2}', '{"format": 2, "arrays": 3, "facts": [], "warnings": []}'],
)
def test_metadata_of_another_format_is_no_entry(root: Path, folder: Path, metadata: str) -> None:
    load(root, folder)
    (entry(folder) / "entry.json").write_text(metadata)
    assert same(load(root, folder), load(root, None))


def test_what_a_killed_process_left_is_never_read_and_is_removed(root: Path, folder: Path) -> None:
    load(root, folder)
    whole = entry(folder)
    incomplete = whole.with_name(f"{whole.name}.tmpkilled")
    whole.rename(incomplete)
    (incomplete / "entry.json").unlink()
    assert cache.entries(folder) == []
    load(root, folder)
    assert entry(folder) == whole


CHILD = """
import sys
from pathlib import Path
from tlbench import data
from tlbench.data import cache, loading
cache.SMALL_BYTES = 1
decode = loading.decode
def logged(declaration, root):
    print("decoded")
    return decode(declaration, root)
loading.decode = logged
declaration, _ = data.declare("d", {"reader": "npz", "path": "a.npz", "x": "x", "y": "y"}, {})
print(data.load(declaration, Path(sys.argv[1]), Path(sys.argv[2])).fingerprint)
"""


def test_concurrent_processes_decode_once(root: Path, folder: Path) -> None:
    command = [sys.executable, "-c", CHILD, str(root), str(folder)]
    started = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    outputs = [process.communicate(timeout=120)[0].split() for process in started]
    assert all(process.returncode == 0 for process in started)
    assert sum(words.count("decoded") for words in outputs) == 1
    assert len({words[-1] for words in outputs}) == 1


def test_an_unwritable_cache_is_warned_of_once(
    root: Path, tmp_path: Path, decodings: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").write_text("in the way")
    with caplog.at_level(logging.WARNING):
        for _ in range(2):
            assert same(load(root, tmp_path / "file"), loading.decode(declare_domain(TABLE), root))
    assert len(caplog.records) == 1 and "can't be written" in caplog.text and "TLBENCH_CACHE=DIR" in caplog.text


def test_a_full_disk_is_no_failure(
    root: Path, folder: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def full(*_: Any, **__: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(cache_entries.os, "fsync", full)
    assert len(load(root, folder).samples) == 400 and "No space left" in caplog.text
    assert cache.entries(folder) == [] and not list((folder / "domains").glob("*/"))


def test_small_domains_and_those_without_files_are_not_cached(tmp_path: Path, folder: Path) -> None:
    write(tmp_path / "a.npz", 0)
    write(tmp_path / "b.npz", 1)
    data.load(declare_domain(TABLE), tmp_path, folder)
    data.load(declare_domain({"reader": "scikit_learn", "name": "iris"}), tmp_path, folder)
    (tmp_path / "c.csv").write_text("a,b,y\n1,2,u\n3,4,v\n")
    columns = declare_domain({"reader": "csv", "path": "c.csv", "features": ["a", "b"], "label": "y"})
    assert len(data.load(columns, tmp_path, folder).samples) == 2
    assert cache.entries(folder) == []


def test_a_missing_file_is_still_a_clear_error(root: Path, folder: Path) -> None:
    (root / "b.npz").unlink()
    with pytest.raises(TlbenchError, match=r"domains\.d\.test: The file 'b\.npz' is not there"):
        load(root, folder)


def test_pruning_removes_old_entries_or_all(root: Path, folder: Path) -> None:
    load(root, folder)
    old = entry(folder)
    os.utime(old / "entry.json", (1000, 1000))
    young = load(root, folder, samples=50)
    before = young.samples.x.clone()
    assert [one.samples for one in cache.entries(folder)] == [50, 400]
    assert cache.prune(folder, before=2000) > 400 * 64 and not old.exists()
    assert [one.samples for one in cache.entries(folder)] == [50]
    assert cache.prune(folder) > 0 and cache.entries(folder) == []
    assert torch.equal(young.samples.x, before)  # still mapped
    assert cache.prune(folder / "nowhere") == 0


def test_warnings_of_decoding_are_repeated_on_each_load(root: Path, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import warnings

    decode = loading.decode

    def warning_decode(declaration: data.Declaration, root: Path) -> Domain:
        warnings.warn("domains.d: 3 images were skipped", UserWarning, stacklevel=2)
        return decode(declaration, root)

    monkeypatch.setattr(loading, "decode", warning_decode)
    for _ in range(2):
        with pytest.warns(UserWarning, match="3 images were skipped"):
            load(root, folder)
