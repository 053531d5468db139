"""The features of a suite's frozen backbone, of samples that are in no domain of it."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from tlbench.engine import frozen
from tlbench.engine.runtime.precision import resolve_precision
from tlbench.suite import NamedFile, Network, Protocol, Suite, Training
from tlbench.terms import Domain, Labelled


class FeatureExtractor:
    """Samples (N, ...) -> features (N, D) of a frozen backbone, as methods of the suite read them.

    Args:
        net: the network of the suite.
        train: its training, which says precision and layout.
        shape: of a sample.
        files: the files that the backbone reads.
        device: where it runs.
    """

    def __init__(
        self, net: Network, train: Training, shape: tuple[int, ...], files: Mapping[str, NamedFile], device: torch.device
    ) -> None:
        self._suite = Suite("features", 1, "", "", {}, (), Protocol(), net, train, {}, files=files)
        self._device, self._precision = device, resolve_precision(train, device)
        self._backbone = frozen.new_backbone(self._suite, shape, self._precision)

    def __call__(self, x: Tensor) -> Tensor:
        """Stored samples (N, ...) -> features (N, D) on the CPU."""
        samples = Domain("x", Labelled(x, torch.zeros(len(x), dtype=torch.long)), (), "")
        return frozen.extract_features(samples, self._backbone, self._suite, self._device, self._precision).samples.x
