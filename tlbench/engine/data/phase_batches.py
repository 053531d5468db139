"""The batches of a phase: the sample indices of all steps, and the parameters of their views, drawn before the first step."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch

from tlbench.engine.data.augmented import BatchAugmentation
from tlbench.engine.data.batches import Batches
from tlbench.engine.data.inputs import Inputs, draw_batches
from tlbench.engine.data.positions import PhasePositions, draw_offsets
from tlbench.engine.data.storage import Subset
from tlbench.engine.runtime.seeds import augmentation_draw, batches_draw, generator, positions_draw
from tlbench.engine.training import ddp
from tlbench.engine.training.learners import Learner
from tlbench.nn.augmentation import Pipeline
from tlbench.suite import Training


class PhaseDraws:
    """What the steps of a phase draw.

    Args:
        learners: one, or several seeds of one case.
        subsets: the split name -> its samples, one subset for each learner.
        phase: the number of the phase within the training.
        steps: of the phase.
        training: batch size and augmentation.
        device: where the draws are stored.
        fixed_positions: whether all steps draw the same positions of a sample, as passes over all samples do.
    """

    def __init__(
        self,
        learners: Sequence[Learner],
        subsets: Mapping[str, Sequence[Subset]],
        phase: int,
        steps: int,
        training: Training,
        device: torch.device,
        *,
        fixed_positions: bool = False,
    ) -> None:
        self._fixed_positions = fixed_positions
        self._learners, self._subsets, self._phase = learners, subsets, phase
        self._steps, self._training, self._device = steps, training, device

    def batches(self, inputs: Inputs, first_step: int) -> Batches:
        """The batches of the phase from a step on.

        Args:
            inputs: stored samples -> network inputs.
            first_step: the first step that is asked for.
        """
        size, steps = self._training.batch, self._steps
        indices = {
            split: [
                ddp.own_columns(
                    draw_batches(len(subset), steps, size, learner.seed(batches_draw(split, self._phase)), self._device)
                )
                for subset, learner in zip(subsets, self._learners, strict=True)
            ]
            for split, subsets in self._subsets.items()
        }
        return Batches(self._subsets, indices, inputs, first_step, self._augmentation(), self._positions())

    def _positions(self) -> PhasePositions | None:
        """The positions that the steps draw of each sample; None where a sample has one label."""
        subsets = {split: per_seed[0] for split, per_seed in self._subsets.items()}
        if not subsets or next(iter(subsets.values())).counted is None:
            return None
        count, size, seed = self._training.positions, self._training.batch, self._learners[0].seed
        if self._fixed_positions:
            return PhasePositions(subsets, None, count)
        offsets = {
            split: ddp.own_columns(
                draw_offsets(self._steps, size, count, seed(positions_draw(split, self._phase))).to(self._device)
            )
            for split in subsets
        }
        return PhasePositions(subsets, offsets, count)

    def _augmentation(self) -> BatchAugmentation | None:
        """The views of all steps; None where the suite declares none."""
        if not self._training.augment or not self._subsets:
            return None
        first = next(iter(self._subsets.values()))[0]
        pipeline = Pipeline(self._training.augment, first.store.shape)
        shape = (self._steps, self._training.batch)
        parameters = {
            split: [
                ddp.own_columns(
                    pipeline.draw(shape, generator(learner.seed(augmentation_draw(split, self._phase)))).to(self._device)
                )
                for learner in self._learners
            ]
            for split in self._subsets
        }
        labeled = frozenset(split for split, subsets in self._subsets.items() if subsets[0].y is not None)
        return BatchAugmentation(pipeline, parameters, labeled, self._learners[0].granted.classes)
