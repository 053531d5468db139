"""ARM: the network reads a context beside each sample, a mean over unlabelled samples of the sample's domain.

Zhang, Marklund, Dhawan, Gupta, Levine and Finn, Adaptive risk minimization: learning to adapt to domain shift, NeurIPS 2021.
https://arxiv.org/abs/2007.02931
"""

from __future__ import annotations

import torch
from pydantic import Field
from torch import Tensor, nn

from tlbench.errors import NotApplicableError
from tlbench.methods.base import DeepMethod
from tlbench.methods.multi_source._sources import source_shares
from tlbench.methods.online import OnlineAdaptation, OnlineUpdate
from tlbench.nn.inserted_layers import context_network, widen
from tlbench.terms import Step


class ARM(DeepMethod):
    """CE on the source of a network with contexts (ARM-CML), means over samples of a source, or over a batch of the stream.

    The context is one more input channel of an image, or as many more features as a vector has: the first layer of the backbone
    is made wider. Outside the stream, as on held-out source samples, the context of a sample is that of itself alone, so that
    no prediction there depends on another sample.
    """

    reads = frozenset({"source", "stream"})
    soft_labels = True
    positions = False
    hidden: int = Field(64, ge=1, description="channels or units of both hidden layers of the context network")

    def build(self) -> None:
        """Create the context network, and widen the first layer of the backbone.

        Raises:
            NotApplicableError: the backbone does not begin with a convolution of images or a linear layer.
        """
        first = next((module for module in self.net.backbone.modules() if [*module.parameters(recurse=False)]), None)
        if isinstance(first, nn.Conv2d) and first.groups == 1:
            self.context = context_network(first, 1, self.hidden)
            widen(first, 1)
        elif isinstance(first, nn.Linear):
            self.context = context_network(first, first.in_features, self.hidden)
            widen(first, first.in_features)
        else:
            raise NotApplicableError("arm widens a first layer that is a 2-d convolution or linear, and the backbone has none.")
        self.of_images = isinstance(first, nn.Conv2d)

    def loss(self, step: Step) -> Tensor:
        """The criterion on the source batch, a scalar; samples of a source share the mean of their contexts."""
        x_B, domain_B = self.flat(step.source.x), step.source.domain
        context_B = self.context(x_B)
        shares_SB = source_shares(step.source, self.source_count)
        means_S = (shares_SB @ context_B.flatten(1)).unflatten(1, context_B.shape[1:])
        of_sample_B = means_S[:1].expand_as(context_B) if domain_B is None else means_S[domain_B]
        return self.criterion(self.net(torch.cat([x_B, of_sample_B], dim=1)), step.source.y)

    def online(self) -> OnlineAdaptation:
        """Nothing learns by gradients, and no batch depends on another."""
        return OnlineAdaptation(adapt=self.predict_batch)

    def predict_batch(self, x: Tensor, update: OnlineUpdate) -> Tensor:
        """Network inputs (B, ...) -> logits (B, C) with the mean context of the batch."""
        x_B = self.flat(x)
        context_B = self.context(x_B)
        logits: Tensor = self.net(torch.cat([x_B, context_B.mean(dim=0, keepdim=True).expand_as(context_B)], dim=1))
        return logits

    def predict(self, x: Tensor) -> Tensor:
        """Network inputs (B, ...) -> logits (B, C), each sample with the context of itself alone."""
        x_B = self.flat(x)
        logits: Tensor = self.net(torch.cat([x_B, self.context(x_B)], dim=1))
        return logits

    def flat(self, x: Tensor) -> Tensor:
        """Images as they are (B, channels, height, width); inputs of a linear layer as vectors (B, D)."""
        return x if self.of_images else x.flatten(1)
