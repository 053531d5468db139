"""SimpleShot: the class whose mean over the labelled target samples is nearest, on features as they are and without training.

Wang, Chao, Weinberger and van der Maaten, SimpleShot: revisiting nearest-neighbor classification for few-shot learning, 2019.
https://arxiv.org/abs/1911.04623
"""

from __future__ import annotations

from typing import Literal

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor

from tlbench.methods import shallow
from tlbench.methods.base import Predictor, ShallowMethod
from tlbench.nn.prototypes import class_means
from tlbench.terms import Task


class SimpleShot(ShallowMethod):
    """Minus the squared distance, or the cosine, between a sample and the mean of each class, in float64.

    Samples are normalised before anything else (the paper's L2N) or taken as they are (its UN). A class without labelled
    samples is never predicted.
    """

    reads = frozenset({"target_labeled"})
    normalized: bool = Field(True, description="samples of norm 1 (L2N); false: as they are (UN)")
    distance: Literal["euclidean", "cosine"] = Field("euclidean", description="between a sample and the mean of a class")

    def fit(self, task: Task) -> Predictor:
        """The predictor holds the means."""
        samples = shallow.target_labeled_samples(task)
        means_CD, counts_C = class_means(self._scaled(samples.x), samples.y, task.classes)

        def predict(x: Tensor) -> Tensor:
            x_ND = self._scaled(x.flatten(1).double())
            if self.distance == "cosine":
                scores_NC = F.normalize(x_ND, dim=1) @ F.normalize(means_CD, dim=1).T
            else:
                scores_NC = -torch.cdist(x_ND, means_CD).square()
            return scores_NC.masked_fill(counts_C == 0, torch.finfo(scores_NC.dtype).min)

        return predict

    def _scaled(self, x_ND: Tensor) -> Tensor:
        return F.normalize(x_ND, dim=1) if self.normalized else x_ND
