"""The memory banks of source-free methods: the unit features and the predictions of all target samples, by their index."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tlbench.methods.base import Passes, Phase
from tlbench.methods.source_free._source_free import SourceFree
from tlbench.nn.net import Net


class Banks(nn.Module):
    """Unit features (N, D) and predictions (N, C) of the target, from the last step that drew each sample.

    They are attributes, not buffers, for their size is known when the phase on the target begins.
    """

    features_ND: Tensor
    softmax_NC: Tensor

    def fill(self, passes: Passes, net: Net) -> None:
        """Fill both banks in a pass over the target, in evaluation mode."""
        features_ND = passes.map("target", net.backbone)
        self.softmax_NC = net.head(features_ND).softmax(dim=1).detach()
        self.features_ND = F.normalize(features_ND)

    @torch.no_grad()
    def write(self, index_B: Tensor, features_BD: Tensor, softmax_BC: Tensor) -> Tensor:
        """Replace the entries of a batch by its features (B, D) and predictions (B, C); returns its unit features (B, D)."""
        unit_BD = F.normalize(features_BD).to(self.features_ND)
        self.features_ND[index_B], self.softmax_NC[index_B] = unit_BD, softmax_BC.to(self.softmax_NC)
        return unit_BD

    @torch.no_grad()
    def nearest(self, unit_QD: Tensor, index_Q: Tensor, count: int) -> Tensor:
        """The indices (Q, K) of the nearest entries by the cosine, K = `count` or N - 1.

        Args:
            unit_QD: unit features (Q, D).
            index_Q: their own entries (Q,), which are no neighbours of theirs.
            count: how many neighbours.
        """
        cosines_QN = unit_QD @ self.features_ND.T
        cosines_QN.scatter_(1, index_Q[:, None], -torch.inf)
        return cosines_QN.topk(min(count, cosines_QN.shape[1] - 1), dim=1).indices


class BankedSourceFree(SourceFree):
    """A source-free method with banks, which are filled as the network of the source sees the target."""

    def build(self) -> None:
        """Create the banks."""
        super().build()
        self.banks = Banks()

    def target_phase(self) -> Phase:
        """The phase on the target; the whole network learns."""
        return self.adaptation(begin=self.fill_banks)

    def fill_banks(self, passes: Passes) -> None:
        """Fill the banks in a pass over the target."""
        self.banks.fill(passes, self.net)
