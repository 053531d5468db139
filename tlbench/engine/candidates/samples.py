"""The samples that candidates are looked at on: evenly spread, the same for all methods of a cell, and few enough to store.

Where each position (token, pixel) of a sample has a label, they are `POSITIONS` positions of each sample, and to a rule a
position is a sample.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from tlbench.engine.data.positions import SplitPositions
from tlbench.engine.data.storage import Grants, Subset
from tlbench.suite.schema import Protocol, Selection
from tlbench.terms import POSITION_TASKS, STREAM_SPLIT

SOURCE_SAMPLES, TARGET_SAMPLES, SCORED_SAMPLES = 1000, 2000, 5000
"""The most samples of held-out source (and of source training), of the target that a rule reads, and of the scored ones."""
POSITIONS = 4
"""The positions of each sample, where positions have labels; there are so many samples fewer."""
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
    """The indices of the target samples' outputs among those of the scored ones, where they come as a stream."""
    scored_outputs: Tensor
    """The indices, among the outputs of all scored samples, of those that are stored."""
    scored_positions: Tensor
    """The indices of the same among the stored predictions, which leave out positions without a label."""
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
    if selection is None or protocol.task not in ("classification", *POSITION_TASKS) or granted.source_classes is not None:
        return None
    share = output_share(selection.checkpoints, granted.columns[-1]) / (1 if scored.counted is None else POSITIONS)
    positions = None
    target = granted.target
    if target is not None:
        target = target[_spread(len(target), share * TARGET_SAMPLES)]
    elif STREAM_SPLIT in protocol.grants:
        streamed = _spread(len(scored), share * TARGET_SAMPLES)
        target = scored[streamed].unlabeled()
        positions = _output_indices(target, streamed)
    if validation is not None and validation.y is not None:
        validation = validation[_spread(len(validation), share * SOURCE_SAMPLES)]
    train = granted.source
    if train is not None:
        train = train[_spread(len(train), share * SOURCE_SAMPLES)].unlabeled()
    chosen = _spread(len(scored), SCORED_SAMPLES if scored.counted is None else SCORED_SAMPLES // POSITIONS)
    stored = scored[chosen].unlabeled()
    outputs = _output_indices(stored, chosen)
    ranks = outputs if scored.counted is None else scored.counted.flatten().cpu().cumsum(0)[outputs] - 1
    return CandidateSamples(validation, train, target, positions, outputs, ranks, stored)


def facts_of(outputs: Tensor, samples: Subset) -> Tensor:
    """The outputs (n, ...) of n samples; of n * P positions those of `POSITIONS` that count in each sample."""
    if samples.counted is None:
        return outputs
    return outputs[_output_indices(samples, torch.arange(len(samples))).to(outputs.device)]


def labels_of(samples: Subset) -> Tensor:
    """The labels of the same samples or positions."""
    assert samples.y is not None
    return facts_of(samples.y.flatten(), samples)


def _output_indices(samples: Subset, numbers: Tensor) -> Tensor:
    """The indices of the outputs of some samples among those of all, on the CPU.

    Args:
        samples: the samples.
        numbers: their indices among all samples.
    """
    if samples.counted is None:
        return numbers
    fixed = SplitPositions(samples, POSITIONS).at(torch.arange(len(samples), device=samples.counted.device))
    return (numbers[:, None] * samples.counted.shape[1] + fixed.cpu()).flatten()


def output_share(checkpoints: int, columns: int) -> float:
    """The share of the most samples whose class scores are stored: 1, or less where they would take too many bytes."""
    stored = (checkpoints + 1) * (SOURCE_SAMPLES + TARGET_SAMPLES) * (columns + 1) * OUTPUT_BYTES
    return min(1.0, MAX_OUTPUT_BYTES / stored)


def _spread(samples: int, most: float) -> Tensor:
    """The positions of at most so many samples, evenly spread, for files are often sorted by class."""
    return torch.linspace(0, samples - 1, min(samples, max(int(most), 2))).long()
