"""Several IDX files as one domain."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from domain_tables import load_domain, refused_domain
from small_files import idx_bytes

SEVERAL = {"reader": "idx", "images": ["train", "test"], "labels": ["train_labels", "test_labels"]}


def write_two(folder: Path, pixels: int = 4) -> None:
    images = np.arange(5 * 16, dtype=np.uint8).reshape(5, 4, 4)
    (folder / "train").write_bytes(idx_bytes(images[:3]))
    (folder / "test").write_bytes(idx_bytes(images[3:, :pixels]))
    (folder / "train_labels").write_bytes(idx_bytes(np.array([0, 1, 0], dtype=np.uint8)))
    (folder / "test_labels").write_bytes(idx_bytes(np.array([1, 0], dtype=np.uint8)))


def test_samples_come_one_file_after_the_other(tmp_path: Path) -> None:
    write_two(tmp_path)
    domain = load_domain(SEVERAL, tmp_path)
    assert torch.equal(domain.samples.x.flatten(), torch.arange(80, dtype=torch.uint8))
    assert domain.samples.y.tolist() == [0, 1, 0, 1, 0] and "samples train, test" in domain.reading[0]


def test_files_of_other_shapes_are_refused(tmp_path: Path) -> None:
    write_two(tmp_path, pixels=3)
    assert "test: Its entries are 2 of 3 x 4 (uint8), and those of train are 3 of 4 x 4" in refused_domain(SEVERAL, tmp_path)
