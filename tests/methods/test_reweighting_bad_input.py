"""Reweighting methods on bad input, and the notes of their records."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from reweighting_samples import FAMILY, method, shifted_pair

from tlbench import checks
from tlbench.errors import TlbenchError
from tlbench.solvers import base_learners
from tlbench.terms import Labelled, Task


def scores_and_notes(
    name: str, source: Labelled, target: torch.Tensor, classes: int = 2, **options: Any
) -> tuple[torch.Tensor, tuple[str, ...]]:
    """Scores of the target samples, and the notes."""
    fitted = method(name, **options)
    task = Task(classes, source if "source" in fitted.reads else None, target, Labelled(target[:6], torch.arange(6) % 2))
    with torch.no_grad():
        predictor = fitted.fit(task)
        return predictor(target), fitted.notes


def degenerate_inputs() -> dict[str, tuple[Labelled, torch.Tensor]]:
    source, target = (x.float() for x in shifted_pair(40, 30))
    y = (source[:, 0] > 0).long()
    return {
        "far apart": (Labelled(source, y), target + 1e4),
        "an empty column": (Labelled(source * torch.tensor([1.0, 1.0, 0.0]), y), target * torch.tensor([1.0, 1.0, 0.0])),
        "all columns empty": (Labelled(source * 0, y), target * 0),
        "one class": (Labelled(source, y * 0), target),
        "more columns than samples": (Labelled(torch.randn(6, 40), torch.arange(6) % 2), torch.randn(8, 40)),
        "two target samples": (Labelled(source, y), target[:2].repeat(3, 1)),
        "huge": (Labelled(source * 1e18, y), target * 1e18),
    }


@pytest.mark.parametrize("name", [*FAMILY, "tradaboost", "dasvm"])
@pytest.mark.parametrize("fault", degenerate_inputs())
def test_bad_input_ends_in_numbers_or_in_a_sentence(name, fault):
    source, target = degenerate_inputs()[fault]
    options = {"learner": "ridge"} if name in FAMILY else {}
    try:
        scores, _ = scores_and_notes(name, source, target, **options)
    except TlbenchError as error:
        assert len(str(error)) > 20
        return
    assert scores.shape == (len(target), 2) and not bool(torch.isnan(scores).any())


def test_weights_that_vanish_are_noted():
    source, target = (x.float() for x in shifted_pair(40, 30))
    y = (source[:, 0] > 0).long()
    scores, notes = scores_and_notes("kliep", Labelled(source, y), target + 1e4, gamma=1.0)
    assert "All weights vanish: the source samples are weighted equally." in notes
    assert torch.allclose(scores, base_learners.fit_logistic(source, y, 2)(target + 1e4))
    _, notes = scores_and_notes("gaussian_ratio", Labelled(source, y), target + 8)
    assert any("weights rest on few samples" in note for note in notes)
    with pytest.raises(TlbenchError, match="not finite"):
        scores_and_notes("kmm", Labelled(source, y), target * float("inf"))
    with pytest.raises(TlbenchError, match=r"bound = 0\.001"):
        scores_and_notes("kmm", Labelled(source, y), target, bound=0.001)


def test_sources_are_pooled_and_the_record_says_so():
    task = checks.toy_task()
    assert task.source is not None
    two = Task(3, Labelled(task.source.x, task.source.y, torch.arange(120) % 2), task.target, task.target_labeled)
    assert checks.fit_method("kmm", two).notes == ("2 sources are pooled.",)


def test_a_kernel_beyond_its_limit_goes_through_landmarks_with_a_note():
    fit = checks.fit_method("kmm", checks.toy_task(), {"exact_rows": 50, "landmarks": 40})
    assert "The kernel of 120 source samples goes through 40 landmarks (Nystrom)." in fit.notes
