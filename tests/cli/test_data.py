"""`tlbench data`: check, show and cache, as a user types them; mistakes end with exit code 2 and a sentence."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import tiny_suite

from tlbench import cli, data
from tlbench.data import cache, loading
from tlbench.data.declaration import Declaration
from tlbench.errors import TlbenchError

Run = Callable[..., SimpleNamespace]


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the tiny suite, its two domains, and a cache of its own."""
    tiny_suite.write_domains(tmp_path)
    (tmp_path / "tiny.toml").write_text(tiny_suite.SUITE, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("TLBENCH_DATA", raising=False)
    monkeypatch.setenv("TLBENCH_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(cache, "SMALL_BYTES", 1)
    cache._log_once.cache_clear()
    return tmp_path


@pytest.fixture
def run(home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """`tlbench data WORDS` in this process: code, out, err."""

    def typed(*words: str) -> SimpleNamespace:
        monkeypatch.setattr(sys, "argv", ["tlbench", "data", *words])
        capsys.readouterr()
        try:
            cli.main()
            code: Any = 0
        except SystemExit as end:
            code = end.code or 0
        captured = capsys.readouterr()
        assert "Traceback" not in captured.err + captured.out
        return SimpleNamespace(code=code, out=captured.out, err=captured.err)

    return typed


def test_check_reads_every_domain_and_prints_its_size(run: Run) -> None:
    done = run("check", "tiny.toml")
    assert done.code == 0 and done.err == ""
    first, reading, second, _, classes = done.out.splitlines()
    assert classes == "label set closed: 3 source classes (0, 1, 2), 3 target classes (the same): a:b"
    assert reading.strip().startswith("samples x, 60 of ") and reading.endswith("; labels y")
    assert " ".join(first.split()) == "ok a 60 samples, 3 classes, 1 files, 0 with a declared sha256"
    assert second.startswith("ok  b ")


def test_check_reports_all_errors_at_once(run: Run, home: Path) -> None:
    (home / "a.npz").unlink()
    (home / "b.npz").write_bytes((home / "b.npz").read_bytes()[:100])
    done = run("check", "tiny.toml")
    assert done.code == 2
    assert (
        "domains.a: The file 'a.npz' is not there" in done.err and "domains.b: " in done.err and "not a whole npz" in done.err
    )


def test_check_goes_on_after_a_bad_domain(run: Run, home: Path) -> None:
    (home / "a.npz").unlink()
    done = run("check", "tiny.toml")
    assert done.code == 2 and "ok  b" in done.out


@pytest.mark.parametrize("words", [("check", "tinny"), ("show", "tinny"), ("check", "tinny.toml")])
def test_an_unknown_suite_is_one_sentence(run: Run, words: tuple[str, ...]) -> None:
    done = run(*words)
    assert done.code == 2 and done.err.startswith("tlbench: ") and "tinny" in done.err


def test_the_data_root_is_an_option(run: Run, home: Path) -> None:
    (home / "elsewhere").mkdir()
    assert run("check", "tiny.toml", "--data", "elsewhere").code == 2
    for name in ("a.npz", "b.npz"):
        (home / name).rename(home / "elsewhere" / name)
    assert run("check", "tiny.toml", "--data", "elsewhere").code == 0


def test_test_samples_that_are_trained_on_are_counted(run: Run, home: Path) -> None:
    arrays = np.load(home / "a.npz")
    x = np.concatenate([arrays["x"][:7], arrays["x"][7:20] + 1]).astype(np.float32)
    np.savez(home / "t.npz", x=x, y=arrays["y"][:20])
    text = tiny_suite.SUITE.replace('path = "a.npz"', 'path = "a.npz"\ntest = { path = "t.npz" }')
    (home / "tiny.toml").write_text(text, encoding="utf-8")
    done = run("check", "tiny.toml")
    assert done.code == 0 and "60 + 20 test samples" in done.out
    assert "warning: domains.a: 7 of 20 test samples are training samples too" in done.err


def stated(home: Path, sums: dict[str, str]) -> Declaration:
    declaration, _ = data.declare("a", {"reader": "npz", "path": "a.npz", "x": "x", "y": "y"}, {})
    assert declaration is not None
    return declaration.model_copy(update={"sha256": sums})


def test_a_checksum_is_declared_in_the_suite(run: Run, home: Path) -> None:
    text = tiny_suite.SUITE.replace('path = "a.npz"', 'path = "a.npz"\nsha256 = { "a.npz" = "' + "0" * 64 + '" }')
    (home / "tiny.toml").write_text(text, encoding="utf-8")
    done = run("check", "tiny.toml")
    assert done.code == 2 and "file 'a.npz' has the sha256" in done.err
    (home / "tiny.toml").write_text(text.replace("0" * 64, "no checksum"), encoding="utf-8")
    done = run("check", "tiny.toml")
    assert done.code == 2 and "sha256" in done.err


@pytest.mark.parametrize("folder", [None, "cache"])
def test_all_wrong_checksums_are_reported(home: Path, folder: str | None) -> None:
    from tlbench.data.source_files import file_hashes

    right = file_hashes([home / "a.npz"])[home / "a.npz"]
    place = None if folder is None else home / folder
    assert len(data.load(stated(home, {"a.npz": right.upper()}), home, place).samples) == 60
    with pytest.raises(TlbenchError) as caught:
        data.load(stated(home, {"a.npz": "0" * 64, "b.npz": "1" * 64, "c.npz": "2" * 64}), home, place)
    said = str(caught.value)
    assert said.startswith("domains.a: ") and f"file 'a.npz' has the sha256 {right}, and the suite states 000" in said
    assert "file 'b.npz' has" in said and "file 'c.npz' is not there" in said


def test_source_samples_that_may_be_scored_are_counted(run: Run, home: Path) -> None:
    arrays = np.load(home / "b.npz")
    x = np.concatenate([np.load(home / "a.npz")["x"][:9], arrays["x"][9:]])
    np.savez(home / "b.npz", x=x, y=arrays["y"])
    done = run("check", "tiny.toml")
    assert done.code == 0
    assert "warning: pair a:b: 9 of 60 samples of b that may be scored are also samples of a." in done.err


def test_images_that_were_skipped_are_noted(run: Run, home: Path) -> None:
    from PIL import Image

    for domain in ("a", "b"):
        for label in ("cat", "dog"):
            (home / "photos" / domain / label).mkdir(parents=True)
            for number in range(3):
                Image.new("RGB", (8, 8), (number, 9, 9)).save(home / "photos" / domain / label / f"{number}.png")
    (home / "photos" / "a" / "cat" / "1.png").write_bytes(b"junk")
    text = tiny_suite.SUITE.replace(
        'reader = "npz"\nx = "x"\ny = "y"', 'reader = "images"\npath = "photos"\nsize = 8\nskip_bad = true'
    )
    text = text.replace('path = "a.npz"', 'domain = "a"').replace('path = "b.npz"', 'domain = "b"')
    (home / "tiny.toml").write_text(text, encoding="utf-8")
    done = run("check", "tiny.toml")
    assert done.code == 0 and "note: domains.a: 1 of 6 images do not decode: cat/1.png" in done.err
    assert done.err.count("do not decode") == 1 and "warning: domains" not in done.err
    for _ in range(2):  # from its files, and from the cache
        with pytest.warns(UserWarning, match="1 of 6 images"):
            done = run("show", "tiny.toml", "a")
        assert "note         1 of 6 images do not decode" in done.out


@pytest.mark.parametrize("command", ["check", "show"])
def test_nothing_is_fetched_unless_download_is_given(
    run: Run, home: Path, command: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    import huggingface_hub

    monkeypatch.setenv("TLBENCH_DOWNLOAD", "")  # so that what --download sets is taken back
    asked: list[bool] = []

    def fetched(*_: Any, local_files_only: bool, **__: Any) -> str:
        asked.append(not local_files_only)
        raise OSError("no network in a test")

    monkeypatch.setattr(huggingface_hub, "snapshot_download", fetched)
    hub = f'reader = "datasets"\nhub = "some/thing"\nrevision = "{"0" * 40}"\nlabel = "y"\nfeatures = ["a"]'
    text = tiny_suite.SUITE.replace('reader = "npz"\nx = "x"\ny = "y"', hub)
    (home / "tiny.toml").write_text(text.replace('path = "a.npz"', "").replace('path = "b.npz"', ""), encoding="utf-8")
    without = run(command, "tiny.toml")
    assert without.code == 2 and "is not on this machine, and --download is not given" in without.err and not any(asked)
    given = run(command, "tiny.toml", "--download")
    assert given.code == 2 and "could not be fetched" in given.err and asked[-1]
    assert without.err.count("hf download some/thing --repo-type dataset") >= 1


def test_show_prints_summaries_and_divergences_and_draws(run: Run, home: Path) -> None:
    done = run("show", "tiny.toml", "--out", "pictures")
    assert done.code == 0 and done.err == ""
    for part in (
        "a\n  samples      60\n",
        "shape        4 (vectors, float32)",
        "classes      3: 0 20, 1 20, 2 20",
        "not stated",
    ):
        assert part in done.out
    assert "fingerprint  " in done.out and "a:b" in done.out and "MMD^2" in done.out
    assert (home / "pictures" / "tiny-vectors.png").read_bytes().startswith(b"\x89PNG")


def test_show_one_domain(run: Run, home: Path) -> None:
    done = run("show", "tiny.toml", "b", "--out", "p")
    assert done.code == 0 and done.out.startswith("b\n") and "MMD" not in done.out and (home / "p" / "tiny-b.png").is_file()
    done = run("show", "tiny.toml", "bb")
    assert done.code == 2 and "Did you mean 'b'?" in done.err


def test_show_with_nowhere_to_write(run: Run, home: Path) -> None:
    (home / "file").write_text("in the way")
    done = run("show", "tiny.toml", "--out", "file")
    assert done.code == 2 and "can't be written" in done.err


def test_the_cache_is_listed_and_pruned(run: Run, home: Path) -> None:
    assert run("cache").out == f"0 domains, 0 B in {home / 'cache'}\n"
    run("show", "tiny.toml", "--out", "p")
    done = run("cache")
    assert done.code == 0 and "2 domains" in done.out and "60 samples of 4" in done.out and " s ago" in done.out
    assert "2 domains" in run("cache", "--prune", "--days", "1").out
    assert "freed" in (pruned := run("cache", "--prune")).out and "0 domains" in pruned.out


def test_days_without_prune_and_no_cache_at_all(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    done = run("cache", "--days", "3")
    assert done.code == 2 and "--days works only with --prune" in done.err
    monkeypatch.setenv("TLBENCH_CACHE", "off")
    assert "switched off" in run("cache").out


def test_a_damaged_cache_is_repaired_and_an_unwritable_one_is_logged(
    run: Run, home: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    first = run("show", "tiny.toml", "--out", "p").out
    for file in (home / "cache").rglob("*.npy"):
        file.write_bytes(b"junk")
    assert run("show", "tiny.toml", "--out", "p").out == first
    (home / "file").write_text("in the way")
    monkeypatch.setenv("TLBENCH_CACHE", str(home / "file"))
    done = run("show", "tiny.toml", "--out", "p")
    assert done.code == 0 and done.out == first
    assert caplog.text.count("can't be written") == 1


def test_a_run_uses_the_cache(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from tlbench import runner
    from tlbench.suite import load_suite

    suite = load_suite(home / "tiny.toml")
    first = runner.load_domains(suite, ["a", "b"], home)
    monkeypatch.setattr(loading, "decode", lambda *_: pytest.fail("decoded again"))
    second = runner.load_domains(suite, ["a", "b"], home)
    assert {name: one.fingerprint for name, one in first.items()} == {name: one.fingerprint for name, one in second.items()}


def test_entries_are_verified_anew_and_damaged_ones_are_removed(run: Run, home: Path) -> None:
    run("show", "tiny.toml")
    assert "verified every entry, removed 0" in run("cache", "--verify").out
    entry = min(path for path in (home / "cache" / "domains").iterdir() if path.is_dir())
    file = entry / "samples.x.npy"
    file.write_bytes(file.read_bytes()[:-1] + b"!")
    done = run("cache", "--verify")
    assert "removed 1" in done.out and f"damaged: {entry.name}: " in done.err and not entry.exists()
    assert "removed 0" in run("cache", "--verify").out
