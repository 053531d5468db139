"""What methods for several sources share: means over the samples of each source in a batch."""

from __future__ import annotations

import torch
from torch import Tensor

from tlbench.terms import Labelled


def source_shares(source: Labelled, source_count: int) -> Tensor:
    """The weights (S, B) of a source batch whose products with values (B, ...) are their means over each of S sources.

    A source of which the batch has no sample has the weights 0.
    """
    domain_B = torch.zeros(len(source.y), dtype=torch.int64, device=source.y.device) if source.domain is None else source.domain
    members_SB = (torch.arange(source_count, device=domain_B.device)[:, None] == domain_B).float()
    return members_SB / members_SB.sum(dim=1, keepdim=True).clamp_min(1)
