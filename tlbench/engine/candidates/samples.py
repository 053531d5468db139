"""The samples that candidates are looked at on: evenly spread, the same for all methods of a cell, and few enough to store."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from tlbench.engine.data.storage import Grants, Subset
from tlbench.suite.schema import Protocol, Selection
from tlbench.terms import STREAM_SPLIT

SOURCE_SAMPLES, TARGET_SAMPLES, SCORED_SAMPLES = 1000, 2000, 5000
"""The most samples of held-out source (and of source training), of the target that a rule reads, and of the scored ones."""
MAX_OUTPUT_BYTES = 2**22
"""The largest size of all class scores of a case; beyond it there are fewer samples."""
OUTPUT_BYTES = 2
"""A stored class score is a half-precision number."""


@dataclass(frozen=True)
class CandidateSamples:
    """The samples that candidates are looked at on; None: there are none that a rule may read."""

    source: Subset | None
    """Held-out source samples, with labels."""
    source_train: Subset | None
    """Source samples that methods train on."""
    target: Subset | None
    """Unlabelled target samples: those that methods adapt to, or the scored ones where these come as a stream."""
    target_positions: Tensor | None
    """The positions of the target samples among the scored ones, where they come as a stream."""
    scored_positions: Tensor
    """The positions, among the scored samples, of those whose predictions are stored."""
    scored: Subset
    """Those samples, without labels."""

    @property
    def sizes(self) -> tuple[int, ...]:
        """The number of samples of each pass over them; mixed target samples are a pass of their own."""
        subsets = (self.source, self.source_train, self.target, self.target, self.scored)
        return tuple(len(subset) for subset in subsets if subset is not None)


def candidate_samples(
    selection: Selection | None, protocol: Protocol, granted: Grants, validation: Subset | None, scored: Subset
) -> CandidateSamples | None:
    """The samples that the candidates of a case are looked at on; None where no facts are stored.

    Facts are of the class scores of one task; where the target has other classes than the source, there are none either.

    Args:
        selection: what the suite declares.
        protocol: what it grants.
        granted: the granted splits.
        validation: the held-out source samples.
        scored: the scored samples.
    """
    if selection is None or protocol.task != "classification" or granted.source_classes is not None:
        return None
    share = output_share(selection.checkpoints, granted.columns[-1])
    positions = None
    target = granted.target
    if target is not None:
        target = target[_spread(len(target), share * TARGET_SAMPLES)]
    elif STREAM_SPLIT in protocol.grants:
        positions = _spread(len(scored), share * TARGET_SAMPLES)
        target = scored[positions].unlabeled()
    if validation is not None and validation.y is not None:
        validation = validation[_spread(len(validation), share * SOURCE_SAMPLES)]
    train = granted.source
    if train is not None:
        train = train[_spread(len(train), share * SOURCE_SAMPLES)].unlabeled()
    stored = _spread(len(scored), SCORED_SAMPLES)
    return CandidateSamples(validation, train, target, positions, stored, scored[stored].unlabeled())


def output_share(checkpoints: int, columns: int) -> float:
    """The share of the most samples whose class scores are stored: 1, or less where they would take too many bytes."""
    stored = (checkpoints + 1) * (SOURCE_SAMPLES + TARGET_SAMPLES) * (columns + 1) * OUTPUT_BYTES
    return min(1.0, MAX_OUTPUT_BYTES / stored)


def _spread(samples: int, most: float) -> Tensor:
    """The positions of at most so many samples, evenly spread, for files are often sorted by class."""
    return torch.linspace(0, samples - 1, min(samples, max(int(most), 2))).long()
