"""PADA: DANN whose source samples count by how often the target is predicted to be of their class.

Cao, Ma, Long and Wang, Partial adversarial domain adaptation, ECCV 2018. https://arxiv.org/abs/1808.04205
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor

from tlbench.methods.base import DeepMethod, Passes, Phase
from tlbench.nn.gradient_reversal import reversal_schedule, reverse_gradient
from tlbench.nn.heads import Discriminator
from tlbench.nn.net import concatenated
from tlbench.terms import Step

LEAST_WEIGHT = 1e-6  # a batch of absent classes only would have no weight to divide by


class PADA(DeepMethod):
    """Weighted CE(source) + weight * weighted BCE(d(R_k(features)), domain), a mean over the source and the target batch.

    The weight of a class is the mean of its probability over all target samples. In the cross-entropy the weights of a batch
    have the sum 1, in the domain loss the maximum 1, and target samples weigh 1: the scales of the authors' code.
    """

    reads = frozenset({"source", "target"})
    label_sets = frozenset({"closed", "partial"})
    weight: float = Field(1.0, ge=0, description="of the domain loss, for the discriminator and the features alike")
    rounds: int = Field(24, ge=1, description="stretches of the training; class weights are equal in the first, then renewed")
    temperature: float = Field(1.0, gt=0, description="of the target's predictions that the class weights are the mean of")
    hidden: int = Field(256, ge=0, description="width of the discriminator's two hidden layers; 0: a logistic regression")
    gamma: float = Field(10.0, gt=0, description="steepness of the schedule of the gradient reversal")
    class_weight_C: Tensor

    def build(self) -> None:
        """Create the discriminator and the class weights, which are 1 until the second round."""
        self.discriminator = Discriminator(self.net.backbone.width, self.hidden)
        self.register_buffer("class_weight_C", torch.ones(self.classes))
        self.round = 0

    def phases(self) -> tuple[Phase, ...]:
        """One phase, at whose rounds the class weights are computed; at weight 0 the baseline."""
        if not self.weight:
            return (Phase(self.supervised, self.reads),)
        return (Phase(self.loss, self.reads, begin=self.renew_weights, rounds=self.rounds),)

    def renew_weights(self, passes: Passes) -> None:
        """Set the class weights from all target samples; before the first step the head knows nothing, and they stay 1."""
        if self.round:
            self.class_weight_C.copy_(self.class_weights(passes.map("target", self.net)))
        self.round += 1

    def class_weights(self, logits_NC: Tensor) -> Tensor:
        """Logits (N, C) of target samples -> class weights (C,) of mean 1."""
        mean_C = (logits_NC.float() / self.temperature).softmax(dim=1).mean(dim=0)
        return (mean_C / mean_C.mean()).clamp(min=LEAST_WEIGHT)

    def loss(self, step: Step) -> Tensor:
        """The sum of both terms, a scalar; the weights are constants."""
        source_BD, target_BD = self.net.features(step.source.x, step.target)
        task = F.cross_entropy(self.net.head(source_BD), step.source.y, weight=self.class_weight_C)
        reversed_BD = reverse_gradient(concatenated(source_BD, target_BD), reversal_schedule(step.progress, self.gamma))
        logits, weight_B = self.discriminator(reversed_BD), self.class_weight_C[step.source.y]
        is_source, weights = torch.zeros_like(logits), torch.ones_like(logits)
        is_source[: len(source_BD)] = 1
        weights[: len(source_BD)] = weight_B / weight_B.max()
        return task + self.weight * F.binary_cross_entropy_with_logits(logits, is_source, weights)
