"""Arrays of other packages, which golden/alignment.py and golden/reweighting.py made."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

FOLDER = Path(__file__).parent / "golden"


class GoldenArrays:
    """One .npz file; an array by its name, as a tensor."""

    def __init__(self, name: str) -> None:
        self.arrays = np.load(FOLDER / f"{name}.npz")

    def __call__(self, name: str) -> torch.Tensor:
        """The tensor of this name."""
        return torch.tensor(self.arrays[name])
