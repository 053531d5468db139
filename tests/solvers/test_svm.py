"""DASVM: the exchange of source samples for target samples."""

from __future__ import annotations

import numpy as np
import torch
from golden_arrays import GoldenArrays

from tlbench.solvers import svm

theirs = GoldenArrays("reweighting")


def test_dasvm_agrees_with_skada_on_nearly_all_samples():
    """skada adds samples by another rule after its first round: the last machines are close, not equal."""
    sign = torch.tensor(np.where(theirs.arrays["dasvm_y"] == 1, 1.0, -1.0))
    result = svm.dasvm(theirs("dasvm_source"), sign, theirs("dasvm_target"), c=1.0, count=3, rounds=200)
    ours = (result.decision(theirs("dasvm_target")) > 0).long()
    assert float((ours == theirs("dasvm")).double().mean()) >= 0.95 and 0 < result.rounds < 200


def test_without_a_target_sample_in_the_margin_the_exchange_is_one_fit():
    source = torch.tensor([[-1.0, 0.0], [-2.0, 1.0], [1.0, 0.0], [2.0, -1.0]]).double()
    target = torch.tensor([[-5.0, 0.0], [-6.0, 2.0], [5.0, 1.0], [7.0, 0.0]]).double()
    result = svm.dasvm(source, torch.tensor([-1.0, -1.0, 1.0, 1.0]).double(), target, c=1.0, count=1, rounds=50)
    assert result.rounds == 0 and result.remaining_sources == 4
    plain, converged = svm.fit_binary_svm(target, torch.tensor([-1.0, -1.0, 1.0, 1.0]).double(), 1.0)
    assert converged and torch.equal(result.decision(target), plain(target))


def test_a_given_gram_matrix_changes_nothing_in_the_exchange():
    source, sign, target = theirs("dasvm_source"), 2.0 * theirs("dasvm_y") - 1, theirs("dasvm_target")
    gram = svm.gram_matrix(source, target)
    assert gram is not None and gram.shape == (160, 160)
    one, two = (svm.dasvm(source, sign, target, c=1.0, count=3, rounds=200, gram=g) for g in (gram, None))
    assert (one.rounds, one.remaining_sources) == (two.rounds, two.remaining_sources) and one.rounds > 5
    assert torch.allclose(one.decision(target), two.decision(target), atol=1e-6)
