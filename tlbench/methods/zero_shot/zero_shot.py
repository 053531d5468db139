"""Zero-shot classification: the class whose embedded name has the largest cosine with the features; no sample is read.

Radford et al., Learning transferable visual models from natural language supervision, ICML 2021 (section 3.1.4: several
templates). https://arxiv.org/abs/2103.00020. With the backbone `conse` it is Norouzi et al., Zero-shot learning by convex
combination of semantic embeddings, ICLR 2014. https://arxiv.org/abs/1312.5650
"""

from __future__ import annotations

from typing import Annotated

import torch
import torch.nn.functional as F
from pydantic import AfterValidator, Field
from torch import Tensor

from tlbench.methods import shallow
from tlbench.methods.base import Predictor, ShallowMethod
from tlbench.terms import Task

SLOT = "{}"


def _with_slot(template: str) -> str:
    if template.count(SLOT) != 1:
        raise ValueError(f"{template!r:.60} must have {SLOT} for the class name once, as in 'a photo of a {SLOT}.'.")
    return template


class ZeroShot(ShallowMethod):
    """Scores are scale * cos(features, w_c), where w_c is the mean over the templates of the normalised embeddings, in float64.

    A class whose words have no embedding, as words without a vector, is never predicted.
    """

    reads = frozenset()
    reads_class_texts = True
    templates: tuple[Annotated[str, AfterValidator(_with_slot)], ...] = Field(
        (SLOT,), min_length=1, strict=False, description="texts with {} for the class name"
    )
    scale: float = Field(100.0, gt=0, description="of the cosines; 100 is the largest that CLIP learns")

    def fit(self, task: Task) -> Predictor:
        """Embed the class names; the predictor holds their normalised means over the templates."""
        assert task.embed_classes is not None  # the engine gives what `reads_class_texts` asks for
        count = len(task.class_texts)
        texts = [template.replace(SLOT, text) for template in self.templates for text in task.class_texts]
        embeddings_TCD = F.normalize(task.embed_classes(texts).double(), dim=1).unflatten(0, (-1, count))
        weights_CD = F.normalize(embeddings_TCD.mean(dim=0))
        is_empty_C = (weights_CD == 0).all(dim=1)
        for text, is_empty in zip(task.class_texts, is_empty_C.tolist(), strict=True):
            if is_empty:
                self.note(f"No word of the class {text!r} has an embedding: it is never predicted.")
        if len({*task.class_texts}) < count:
            self.note("Some classes have the same words, and the first of them is predicted.")

        def predict(x: Tensor) -> Tensor:
            scores_NC = self.scale * F.normalize(shallow.sample_matrix(x, "scored")) @ weights_CD.to(x.device).T
            return scores_NC.masked_fill(is_empty_C.to(x.device), torch.finfo(scores_NC.dtype).min)

        return predict
