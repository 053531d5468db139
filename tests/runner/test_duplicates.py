"""Warnings about samples that are both trained on and scored, and notes about images that were left out."""

from __future__ import annotations

import warnings
from pathlib import Path

import command_line
import numpy as np
import pytest
import tiny_suite
import torch

from tlbench import data, engine, runner
from tlbench.data import cache
from tlbench.runner import duplicates
from tlbench.suite import load_suite
from tlbench.terms import Domain, Labelled


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the tiny suite, whose target has nine samples of its source."""
    tiny_suite.write_domains(tmp_path)
    target = np.load(tmp_path / "b.npz")
    x = np.concatenate([np.load(tmp_path / "a.npz")["x"][:9], target["x"][9:]])
    np.savez(tmp_path / "b.npz", x=x, y=target["y"])
    (tmp_path / "tiny.toml").write_text(tiny_suite.SUITE, encoding="utf-8")
    monkeypatch.setenv("TLBENCH_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(duplicates, "_messages_of", {})
    return tmp_path


WARNING = "pair a:b: 9 of 60 samples of b that may be scored are also samples of a."


def test_a_run_warns_once_of_samples_that_are_trained_on_and_scored(home: Path) -> None:
    done = command_line.tlbench("run", "tiny.toml", "--plan", cwd=home)
    assert done.returncode == 0 and done.stderr.splitlines().count(f"warning: {WARNING}") == 1
    assert "UserWarning" not in done.stderr


def test_samples_are_compared_once_for_all_cases_and_plans(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    counted: list[int] = []
    count = data.count_duplicates
    monkeypatch.setattr(data, "count_duplicates", lambda *inputs: counted.append(1) or count(*inputs))
    for _ in range(2):
        with pytest.warns(UserWarning, match=WARNING):
            assert len(runner.plan_run(load_suite(home / "tiny.toml"), home / "results", home).pending) == 2
    assert len(counted) == 1


def test_large_pairs_are_left_to_data_check(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    suite = load_suite(home / "tiny.toml")
    domains = runner.load_domains(suite, ["a", "b"], home)
    size = sum(domain.samples.x.nbytes for domain in domains.values())
    given = [domains["a"]], domains["b"], suite.protocol
    assert duplicates.duplicate_warnings(*given, max_bytes=size - 1) == []
    for max_bytes in (size, None):
        assert duplicates.duplicate_warnings(*given, max_bytes=max_bytes) == [WARNING]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        monkeypatch.setattr(duplicates.duplicate_warnings, "__kwdefaults__", {"max_bytes": size - 1})
        runner.plan_run(suite, home / "results", home)


def domain(name: str, samples: list[int], test: list[int] | None = None) -> Domain:
    def labelled(numbers: list[int]) -> Labelled:
        x = torch.tensor([[float(number), 1.0] for number in numbers])
        return Labelled(x, torch.arange(len(x)) % 2)

    return Domain(name, labelled(samples), ("0", "1"), f"{name}{samples}{test}", None if test is None else labelled(test))


@pytest.mark.parametrize(
    ("protocol", "expected"),
    [
        ({}, ["2 of 5 samples of t that may be scored are also samples of s."]),
        (
            {"scored": "test"},
            [
                "1 of 4 samples of t that may be scored are also samples of s.",
                "3 of 4 test samples of t are also training samples of it.",
            ],
        ),
        (
            {"scored": "test", "grants": ["source"]},
            ["1 of 4 samples of t that may be scored are also samples of s."],
        ),
        ({"scored": "held_out"}, ["2 of 5 samples of t that may be scored", "3 of 5 samples of t occur more than once"]),
        ({"target_labels": 1}, ["2 of 5 samples of t that may be scored", "3 of 5 samples of t occur more than once"]),
    ],
)
def test_what_is_trained_on_and_what_is_scored_follow_the_protocol(protocol: dict[str, object], expected: list[str]) -> None:
    suite = tiny_suite.suite(protocol=protocol)
    messages = duplicates.duplicate_warnings(
        [domain("s", [1, 2, 3])], domain("t", [2, 3, 7, 7, 7], [7, 7, 7, 1]), suite.protocol
    )
    assert len(messages) == len(expected)
    for message, text in zip(messages, expected, strict=True):
        assert message.startswith("pair s:t: ") and text in message


def test_texts_that_two_domains_share_are_recognised_whatever_their_features(tmp_path: Path) -> None:
    (tmp_path / "s.csv").write_text("words,y\nfine book,1\ndull day,0\nfine day,1\n")
    (tmp_path / "t.csv").write_text("words,y\nfine book,1\nbitter soup,0\nfine soup,1\n")
    table = {"reader": "text", "column": "words", "label": "y", "features": "tfidf", "size": 20}
    domains = []
    for name in "st":
        declaration, errors = data.declare(name, table | {"path": f"{name}.csv"}, {})
        assert declaration is not None, errors
        domains.append(data.load(declaration, tmp_path))
    (message,) = duplicates.duplicate_warnings(domains[:1], domains[1], tiny_suite.suite().protocol)
    assert message.startswith("pair s:t: 1 of 3 samples of t")


def test_what_was_left_out_of_a_domain_is_a_note_of_its_records(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from PIL import Image

    for name in "ab":
        for label in ("cat", "dog"):
            (tmp_path / "photos" / name / label).mkdir(parents=True)
            for number in range(4):
                shade = Image.new("RGB", (8, 8), (60 * number, 9 if name == "a" else 99, 99 if label == "cat" else 9))
                shade.save(tmp_path / "photos" / name / label / f"{number}.png")
    text = tiny_suite.SUITE.replace('"npz"\nx = "x"\ny = "y"', '"images"\npath = "photos"\nsize = 8\nskip_bad = true')
    text = text.replace('path = "a.npz"', 'domain = "a"').replace('path = "b.npz"', 'domain = "b"')
    (tmp_path / "tiny.toml").write_text(text, encoding="utf-8")
    monkeypatch.setenv("TLBENCH_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(cache, "SMALL_BYTES", 1)
    suite = load_suite(tmp_path / "tiny.toml")
    whole = runner.load_domains(suite, ["a", "b"], tmp_path)
    case = suite.cases(["source_only"], [], [0])[0]
    assert not any("decode" in note for note in engine.run_case(case, suite, whole, tiny_suite.CPU).notes)
    (tmp_path / "photos" / "b" / "dog" / "2.png").write_bytes(b"junk")
    for _ in range(2):  # from its files, and from the cache
        with pytest.warns(UserWarning, match="1 of 8 images do not decode"):
            domains = runner.load_domains(suite, ["a", "b"], tmp_path)
        record = engine.run_case(case, suite, domains, tiny_suite.CPU)
        assert record.status == "done" and record.scores is not None and record.scores.scored_samples == 7
        assert any(note.startswith("b: 1 of 8 images do not decode: dog/2.png") for note in record.notes)
        assert not any(note.startswith("a: ") for note in record.notes)


def test_the_files_of_a_domain_of_images_are_its_own(tmp_path: Path) -> None:
    from PIL import Image

    from tlbench.data import source_files

    for name, count in (("phone", 2), ("scanner", 5)):
        (tmp_path / "photos" / name / "cat").mkdir(parents=True)
        for number in range(count):
            Image.new("L", (4, 4), number).save(tmp_path / "photos" / name / "cat" / f"{number}.png")
    (tmp_path / "p.tar").write_bytes(b"x")

    def files(path: str, domain: str) -> list[str] | None:
        declaration, errors = data.declare("d", {"reader": "images", "path": path, "domain": domain, "size": 4}, {})
        assert declaration is not None, errors
        paths = source_files.files_of(declaration, tmp_path)
        return None if paths is None else [str(file.relative_to(tmp_path)) for file in paths]

    assert files("photos", "phone") == ["photos/phone/cat/0.png", "photos/phone/cat/1.png"]
    assert len(files("photos", "scanner") or ()) == 5 and len(files("photos", "") or ()) == 7
    assert files("p.tar", "phone") == ["p.tar"]
    assert files("../photos", "phone") is None and files("photos", "../p") is None and files("photos", "none") is None
