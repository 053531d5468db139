"""Label sets on the command line: what does not fit is refused before any run, and the classes of each side are listed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from command_line import tlbench
from tiny_suite import SUITE, blobs

PARTIAL = SUITE.replace("seeds = [0]", 'seeds = [0]\nlabel_set = "partial"')


@pytest.fixture
def unlike(tmp_path: Path) -> Path:
    """A folder with the tiny suite, whose target lacks one of the source's three classes."""
    for name, classes in (("a", 3), ("b", 2)):
        samples = blobs(1, 60, classes=classes)
        np.savez(tmp_path / f"{name}.npz", x=samples.x.numpy(), y=samples.y.numpy())
    (tmp_path / "tiny.toml").write_text(SUITE)
    return tmp_path


@pytest.mark.parametrize(
    "words",
    [
        ("run", "tiny.toml", "--plan"),
        ("run", "tiny.toml"),
        ("data", "check", "tiny.toml"),
        ("check", "tiny.toml", "--data", "."),
    ],
    ids=" ".join,
)
def test_a_closed_suite_of_different_classes_is_refused(unlike, words):
    refused = tlbench(*words, cwd=unlike)
    assert refused.returncode == 2 and not [*unlike.rglob("*.jsonl")]
    expected = "protocol.label_set = 'closed', but the target lacks classes of the sources (2). Say label_set = 'partial'"
    assert expected in refused.stderr


def test_the_label_set_and_the_classes_of_each_side_are_listed(unlike):
    (unlike / "tiny.toml").write_text(PARTIAL)
    checked = tlbench("data", "check", "tiny.toml", cwd=unlike)
    assert checked.returncode == 0, checked.stderr
    assert (
        "label set partial: 3 source classes (0, 1, 2), 2 target classes (0, 1); only in the sources: 2: a:b" in checked.stdout
    )
    assert tlbench("check", "tiny.toml", "--data", ".", cwd=unlike).returncode == 0


def test_declared_classes_are_compared_without_data(tmp_path):
    classes = 'path = "a.npz"\nclasses = [0, 1, 2]', 'path = "b.npz"\nclasses = [0, 1]'
    text = SUITE.replace('path = "a.npz"', classes[0]).replace('path = "b.npz"', classes[1])
    (tmp_path / "tiny.toml").write_text(text)
    refused = tlbench("check", "tiny.toml", cwd=tmp_path)
    assert refused.returncode == 2 and "pair a:b: protocol.label_set = 'closed', but the target lacks" in refused.stderr
    inductive = text.replace("seeds = [0]", 'seeds = [0]\nlabel_set = "inductive"')
    (tmp_path / "tiny.toml").write_text(inductive)
    refused = tlbench("check", "tiny.toml", cwd=tmp_path)
    assert refused.returncode == 2 and "needs labelled target samples" in refused.stderr


def test_a_baseline_that_would_be_skipped_is_refused(tmp_path):
    text = SUITE.replace("seeds = [0]", 'seeds = [0]\nlabel_set = "inductive"\ntarget_labels = 2')
    (tmp_path / "tiny.toml").write_text(text)
    refused = tlbench("check", "tiny.toml", cwd=tmp_path)
    assert (
        refused.returncode == 2
        and "protocol.baseline: source_only would be skipped, for it reads no labelled target samples" in refused.stderr
    )
    (tmp_path / "tiny.toml").write_text(text.replace("seeds", 'baseline = "target_only"\nseeds') + "[methods.target_only]\n")
    checked = tlbench("check", "tiny.toml", cwd=tmp_path)
    assert checked.returncode == 0, checked.stderr
    assert "source_only will be skipped: it reads no labelled target samples" in checked.stdout
