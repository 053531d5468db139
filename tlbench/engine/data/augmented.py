"""Train-time augmentation of the batches of a phase: what `train.augment` declares, with parameters that are drawn ahead.

The parameters of all steps are drawn before the first one, on the CPU and from seeds of their own, as sample indices are: all
methods of a cell get the same views, whatever random numbers they draw, and no step synchronises for them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from tlbench.nn.augmentation import Pipeline


class BatchAugmentation:
    """The views of the batches of all steps of a phase.

    Args:
        pipeline: the declared augmentation.
        parameters: the split name -> parameters (steps, batch_size, P) of its views, one tensor for each seed.
        labeled: the splits whose samples have labels; only these are mixed.
        classes: C, the number of classes.
    """

    def __init__(
        self, pipeline: Pipeline, parameters: Mapping[str, Sequence[Tensor]], labeled: frozenset[str], classes: int
    ) -> None:
        self._pipeline, self._classes = pipeline, classes
        self._mixed = labeled if pipeline.mixes else frozenset()
        self._tables = {
            split: per_seed[0] if len(per_seed) == 1 else torch.stack(list(per_seed), dim=1)
            for split, per_seed in parameters.items()
        }
        """(steps, batch_size, P), or (steps, seeds, batch_size, P)."""

    def views(self, step: int | Tensor, splits: Sequence[str], x: Tensor) -> Tensor:
        """Views (B, ...) of the stored samples of a step, those of the named splits one after the other.

        Args:
            step: its index, or a tensor (1,) on the device that holds it.
            splits: the splits.
            x: their samples (B, ...).
        """
        parameters = [self._of(step, split) for split in splits]
        whole = self._pipeline.views(x, torch.cat(parameters))
        if self._mixed.isdisjoint(splits):
            return whole
        sizes = [len(of_split) for of_split in parameters]
        return torch.cat(
            [
                self._pipeline.mixed_samples(views, of_split, self._batch_size(split)) if split in self._mixed else views
                for split, views, of_split in zip(splits, whole.split(sizes), parameters, strict=True)
            ]
        )

    def labels(self, step: int | Tensor, split: str, y: Tensor) -> Tensor:
        """The labels of a batch, as its samples were mixed; unchanged where they were not.

        Args:
            step: its index, or a tensor (1,) on the device that holds it.
            split: the split.
            y: classes (B,) or targets (B, K); of several seeds (seeds, B) or (seeds, B, K).

        Returns:
            Class probabilities (B, C) or targets (B, K); of several seeds (seeds, B, C) or (seeds, B, K).
        """
        if split not in self._mixed:
            return y
        several = self._tables[split].ndim == 4
        flat = y.flatten(0, 1) if several else y
        mixed = self._pipeline.mixed_labels(flat, self._of(step, split), self._batch_size(split), self._classes)
        return mixed.unflatten(0, y.shape[:2]) if several else mixed

    def _of(self, step: int | Tensor, split: str) -> Tensor:
        """The parameters (B, P) of a step, of all seeds one after the other."""
        table = self._tables[split]
        parameters = table[step] if isinstance(step, int) else table.index_select(0, step)[0]
        return parameters.flatten(0, -2)

    def _batch_size(self, split: str) -> int:
        return self._tables[split].shape[-2]
