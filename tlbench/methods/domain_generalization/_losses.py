"""The forms of loss that methods for domain generalisation share: a penalty after a warm-up, and a distance between sources."""

from __future__ import annotations

from collections.abc import Callable

from pydantic import Field
from torch import Tensor

from tlbench.methods.base import DeepMethod, Phase
from tlbench.methods.domain_generalization._risks import mean_over_sources
from tlbench.methods.multi_source._sources import source_shares
from tlbench.terms import Step


class WarmUpMethod(DeepMethod):
    """A loss whose penalty sets in after a warm-up, with a new optimizer, as in DomainBed, where Adam's state is reset."""

    reads = frozenset({"source"})
    soft_labels = True
    warm_up: float = Field(
        0.1, ge=0, lt=1, description="share of the steps before the penalty sets in; DomainBed: 500 of 5,000"
    )

    def warm_up_loss(self, step: Step) -> Tensor:
        """The loss of a step of the warm-up, a scalar."""
        raise NotImplementedError

    def phases(self) -> tuple[Phase, ...]:
        """The warm-up, if there is one, and the training with the penalty."""
        after = self.after_step()
        last = Phase(self.loss, self.reads, 1 - self.warm_up, after=after)
        return (Phase(self.warm_up_loss, self.reads, self.warm_up, after=after), last) if self.warm_up else (last,)

    def after_step(self) -> Callable[[float], None] | None:
        """What follows each step of both phases."""
        return None


class WeightedWarmUp(WarmUpMethod):
    """A penalty that is there from the start, with a weight of at most 1 during the warm-up."""

    weight: float = Field(1.0, ge=0, description="of the penalty after the warm-up")

    def phases(self) -> tuple[Phase, ...]:
        """The warm-up and the training; at weight 0 the baseline."""
        return super().phases() if self.weight else (Phase(self.supervised, self.reads),)

    def warm_up_loss(self, step: Step) -> Tensor:
        """The loss with a weight of at most 1, a scalar."""
        return self.penalized(step, min(self.weight, 1.0))

    def loss(self, step: Step) -> Tensor:
        """The loss with the weight of the option, a scalar."""
        return self.penalized(step, self.weight)

    def penalized(self, step: Step, weight: float) -> Tensor:
        """The mean risk of the sources plus weight times the penalty, a scalar."""
        raise NotImplementedError


class SourceDistanceMethod(DeepMethod):
    """Mean risk of the sources + weight * a distance between their features; with one source it is `source_only`."""

    reads = frozenset({"source"})
    soft_labels = True
    weight: float = Field(1.0, ge=0, description="of the distances between sources")

    def loss(self, step: Step) -> Tensor:
        """Both terms from one forward pass, a scalar."""
        if not self.weight or self.source_count == 1:
            return self.supervised(step)
        shares_SB = source_shares(step.source, self.source_count)
        features_BD = self.net.backbone(step.source.x)
        risk_S = shares_SB @ self.criterion(self.net.head(features_BD), step.source.y, "none")
        return mean_over_sources(risk_S, shares_SB) + self.weight * self.distance(features_BD, shares_SB)

    def distance(self, features_BD: Tensor, shares_SB: Tensor) -> Tensor:
        """The distance between the sources of features (B, D), a scalar; `shares_SB` are the weights (S, B) of the samples."""
        raise NotImplementedError
