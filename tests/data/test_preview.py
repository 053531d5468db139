"""Previews of domains: summaries and contact sheets."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from tlbench import data
from tlbench.data import preview
from tlbench.terms import Domain, Labelled


def test_a_summary_has_what_is_declared() -> None:
    facts = {"licence": "CC BY 4.0", "citation": "Somebody 2001", "source": "https://example.org"}
    declaration, _ = data.declare("a", {"reader": "scikit_learn", "name": "digits", **facts}, {})
    assert declaration is not None
    said = preview.summary_text(declaration, data.load(declaration, Path()))
    for part in (*facts.values(), "1 x 8 x 8 (images, uint8)", "10: 0 178, 1 182", "1,797"):
        assert part in said


def rows(shape: tuple[int, ...], seed: int = 0, shift: float = 0.0, kind: torch.dtype = torch.float32) -> Labelled:
    x = torch.randn(90, *shape, generator=torch.Generator().manual_seed(seed)) + shift
    return Labelled((x * 255).to(kind) if kind == torch.uint8 else x, torch.arange(90) % 3)


ZEROS = Labelled(torch.zeros(90, 3), torch.arange(90) % 3)


@pytest.mark.parametrize(
    "samples",
    [rows((3, 9, 7), kind=torch.uint8), rows((1, 5, 5)), rows((4, 50)), rows((50, 4)), rows((6,)), rows((1,)), ZEROS],
    ids=["rgb", "grey", "series", "turned", "vectors", "one", "constant"],
)
@pytest.mark.parametrize("count", [1, 3])
def test_every_kind_of_samples_can_be_drawn(tmp_path: Path, samples: Labelled, count: int) -> None:
    names = ("a $class$ of a rather long name", "b", "c")
    domains = [Domain(f"d{i}", samples, names, "") for i in range(count)]
    preview.contact_sheet(domains, tmp_path / "new" / "sheet.png", "title")
    assert (tmp_path / "new" / "sheet.png").stat().st_size > 1000


def test_classes_that_only_one_domain_has_can_be_drawn(tmp_path: Path) -> None:
    samples = rows((1, 5, 5))
    domains = [Domain("a", samples, ("x", "y", "z"), ""), Domain("b", samples, ("z", "w", "v"), "")]
    preview.contact_sheet(domains, tmp_path / "sheet.png")
