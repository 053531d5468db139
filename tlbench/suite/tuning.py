"""The table `[tuning]` of a suite: the trials that every method entry gets, the baseline among them."""

from __future__ import annotations

from typing import Literal

from pydantic import ConfigDict, Field, field_validator, model_validator

from tlbench.terms import Strict


class Tuning(Strict):
    """The table `[tuning]`: how many configurations of each method entry are tried, and what is drawn for them.

    The first trial is the entry as the suite declares it. The others are drawn at random, so that all selection rules choose
    among the same ones, or proposed by Optuna to raise the number of one rule. The scores of a case do not depend on it.
    """

    model_config = ConfigDict(strict=True)

    trials: int = Field(8, ge=2, le=1000, description="configurations of each method entry, its own one among them")
    sampler: Literal["random", "optuna"] = "random"
    """Where trials come from. Optuna's tree-structured Parzen estimator (Bergstra et al., NeurIPS 2011) reads the numbers of
    `rule` on the trials before, for each entry on its own."""
    rule: str = Field("", description="the selection rule whose number Optuna raises; it reads no label of a scored sample")
    seed: int = Field(0, ge=0, lt=2**63, description="of the draws")
    lr: tuple[float, float] | None = Field(None, strict=False)
    """The ends of the learning rates of deep methods, drawn on a logarithmic scale, one a trial for all entries; none: that of
    `[train]`."""
    ranges: dict[str, list[str]] = Field(default_factory=dict)
    """By method entry, the ranges that are drawn in place of those that its method declares, as "weight=0.1:10:log"."""

    @field_validator("lr")
    @classmethod
    def _rising_rates(cls, lr: tuple[float, float] | None) -> tuple[float, float] | None:
        if lr is not None and not 0 < lr[0] < lr[1] < float("inf"):
            raise ValueError(f"{list(lr)} is no range of learning rates. Give a low end above 0, and a higher one.")
        return lr

    @model_validator(mode="after")
    def _rule_of_the_sampler(self) -> Tuning:
        if (self.sampler == "optuna") != bool(self.rule):
            raise ValueError(
                "sampler = 'optuna' raises the number of one rule, and random trials have none. "
                + ("State the rule, such as rule = 'im'." if not self.rule else "Leave rule out, or set sampler = 'optuna'.")
            )
        return self
