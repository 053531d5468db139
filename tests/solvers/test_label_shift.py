"""Class weights from a confusion matrix."""

from __future__ import annotations

import torch

from tlbench.solvers.reweighting import label_shift


def test_class_weights_from_a_confusion_of_known_shares():
    generator = torch.Generator().manual_seed(0)
    given = torch.rand(4, 4, generator=generator).double() + 3 * torch.eye(4).double()
    given = given / given.sum(dim=0)
    prior, later = torch.tensor([0.1, 0.2, 0.3, 0.4]).double(), torch.tensor([0.4, 0.3, 0.2, 0.1]).double()
    joint, share = given * prior, given @ later
    actual, omitted = label_shift.class_weights(joint, share, 1e-6)
    assert omitted == 0 and torch.allclose(actual, later / prior, atol=1e-12)
    assert torch.allclose(label_shift.class_weights(joint, joint.sum(dim=1), 1e-6)[0], torch.ones(4).double())
    order = torch.tensor([2, 0, 3, 1])
    assert torch.allclose(label_shift.class_weights(joint[order][:, order], share[order], 1e-6)[0], actual[order])
    identical = torch.full((2, 2), 0.25).double()  # an uninformative classifier
    actual, omitted = label_shift.class_weights(identical, torch.tensor([0.5, 0.5]).double(), 1e-2)
    assert omitted == 1 and torch.allclose(actual, torch.ones(2).double())
