"""Looking at a candidate while its method trains: its outputs and features, without any trace in the training."""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from tlbench import selection
from tlbench.clock import Clock
from tlbench.engine.candidates.samples import CandidateSamples, facts_of, labels_of
from tlbench.engine.data.inputs import CHUNK_SAMPLES, Inputs, map_in_chunks
from tlbench.engine.data.passes import eval_mode
from tlbench.engine.data.storage import Subset
from tlbench.engine.runtime.seeds import seeded_rng
from tlbench.engine.runtime.throughput import UNSCORED
from tlbench.errors import TlbenchError
from tlbench.methods.base import DeepMethod, Predictor

SELECTION = "selection"
"""The clock's name for all work on candidates."""
MIXED_SHARE = 0.55
"""The weight of the first of two mixed target samples, as in MixVal."""
LARGEST = 60000.0
"""Class scores are clipped to what a half-precision number holds."""
FEATURE_FACTS = ("source_features", "source_train_features", "target_features", "classifier_weights")
"""The facts of a rule that are too large to store: numbers of rules that read one are computed while the method trains."""
SEED = 0
"""The seed of what a method draws while it predicts a candidate's samples."""

Block = dict[str, Tensor]
"""What is stored of a candidate, on the CPU, by the names in `packing`."""


@dataclass
class CandidateCollector:
    """Collects what is stored of the candidates of one case, in the order of its training."""

    samples: CandidateSamples
    checkpoints: int
    """The number of candidates that the training adapts."""
    blocks: list[Block] = field(default_factory=list)

    def collect(
        self,
        step: int,
        *,
        adapted: bool,
        predictor: Predictor,
        method: DeepMethod | None,
        inputs: Inputs,
        clock: Clock,
        scored_outputs: Tensor | None = None,
        streamed: bool = False,
    ) -> None:
        """Look at the model after a step. It returns to its modes, and random numbers go on where they were.

        Args:
            step: the steps that are done.
            adapted: whether the model has learned from the target.
            predictor: network inputs -> class scores.
            method: the deep method, whose features are read; None: there are no features.
            inputs: stored samples -> network inputs.
            clock: all of it is billed to `SELECTION`, and the predictions to `UNSCORED` as well.
            scored_outputs: the class scores (N, C) of all scored samples, where they are known.
            streamed: whether those were predicted on the stream, so that nothing else can be predicted by the same model.
        """
        samples = self.samples
        block: Block = {"step": torch.tensor(step), "adapted": torch.tensor(adapted)}
        device = samples.scored.store.device
        modes = contextlib.nullcontext() if method is None else eval_mode(method)
        with clock.measure(SELECTION), seeded_rng(SEED, device), modes, torch.no_grad():
            facts: dict[str, Any] = {}
            with clock.measure(UNSCORED, work_only=True):
                if streamed and scored_outputs is not None and samples.target_positions is not None:
                    facts["target_logits"] = scored_outputs[samples.target_positions]
                elif not streamed:
                    facts = self._facts(predictor, method, inputs)
                if scored_outputs is None:
                    scored_outputs = facts_of(map_in_chunks(predictor, samples.scored, inputs, CHUNK_SAMPLES), samples.scored)
                else:
                    scored_outputs = scored_outputs[samples.scored_outputs]
                block["scored_outputs"] = stored_outputs(scored_outputs)
                block["scored_classes"] = scored_outputs.argmax(dim=1).cpu()  # half precision may tie what differs
                if not streamed and _can_be_mixed(samples.target):
                    assert samples.target is not None
                    block["mixed_classes"] = _mixed_outputs(predictor, samples.target, inputs).argmax(dim=1).cpu()
            for side in ("source", "target"):
                if (logits := facts.get(f"{side}_logits")) is not None:
                    block[f"{side}_outputs"] = stored_outputs(logits)
            block |= _rule_numbers(facts, step)
        self.blocks.append(block)

    def _facts(self, predictor: Predictor, method: DeepMethod | None, inputs: Inputs) -> dict[str, Any]:
        """The facts of a model by the names of `selection.Facts`, as tensors; those that there are."""
        samples = self.samples
        facts: dict[str, Any] = {}
        for side, subset in (("source", samples.source), ("target", samples.target)):
            if subset is not None:
                logits, features = _outputs_and_features(predictor, method, subset, inputs)
                facts |= {f"{side}_logits": logits, f"{side}_features": features}
        if samples.source is not None and samples.source.y is not None:
            facts["source_labels"] = labels_of(samples.source)
        if samples.source_train is not None and method is not None:
            facts["source_train_features"] = _outputs_and_features(predictor, method, samples.source_train, inputs)[1]
        head = None if method is None else getattr(method.net.head, "weight", None)
        if isinstance(head, Tensor) and head.ndim == 2:
            facts["classifier_weights"] = head
        return {name: value.detach() for name, value in facts.items() if value is not None}


def stored_outputs(logits: Tensor) -> Tensor:
    """Class scores (N, C) as half-precision log-probabilities, and in a last column the log-sum-exp of the scores: (N, C + 1).

    Near 0, where the probabilities are, such a logarithm is the most exact; sums of the columns give the scores again.
    """
    scores = logits.detach().cpu().as_subclass(Tensor).float().clamp(-LARGEST, LARGEST)
    level = scores.logsumexp(dim=1, keepdim=True)
    return torch.cat(((scores - level).clamp(-LARGEST, 0.0), level.clamp(-LARGEST, LARGEST)), dim=1).half()


def mixed_partners(samples: int) -> np.ndarray[Any, np.dtype[np.intp]]:
    """The sample that each of N target samples is mixed with: one permutation, always the same."""
    return np.random.default_rng(SEED).permutation(samples)


def _mixed_outputs(predictor: Predictor, samples: Subset, inputs: Inputs) -> Tensor:
    """The class scores of each target sample mixed with its partner."""
    partners = torch.from_numpy(mixed_partners(len(samples)))
    chunks = torch.arange(len(samples)).split(CHUNK_SAMPLES)
    if len(chunks) > 1 and len(chunks[-1]) == 1:  # batch statistics need two samples
        chunks = (*chunks[:-2], torch.cat(chunks[-2:]))
    mixed = (
        MIXED_SHARE * inputs(samples[chunk].x) + (1 - MIXED_SHARE) * inputs(samples[partners[chunk]].x) for chunk in chunks
    )
    return torch.cat([predictor(x) for x in mixed])


def _outputs_and_features(
    predictor: Predictor, method: DeepMethod | None, samples: Subset, inputs: Inputs
) -> tuple[Tensor, Tensor | None]:
    """The class scores (N, C) of samples, and what the backbone gave for them (N, D) in the same pass.

    There are no features where the backbone ran otherwise than once for each sample, or gave no vectors.
    """
    with _recorded(None if method is None else method.net.backbone) as outputs:
        logits = map_in_chunks(predictor, samples, inputs, CHUNK_SAMPLES)
    is_vector = all(isinstance(one, Tensor) and one.ndim == 2 for one in outputs)
    if not outputs or not is_vector or sum(map(len, outputs)) != len(logits):
        return facts_of(logits, samples), None
    return facts_of(logits, samples), facts_of(torch.cat([one.float() for one in outputs]), samples)


def _can_be_mixed(samples: Subset | None) -> bool:
    """Whether there are target samples to be mixed: no token ids, and no samples whose positions have labels."""
    return samples is not None and samples.store.dtype != torch.int32 and samples.counted is None


@contextlib.contextmanager
def _recorded(module: nn.Module | None) -> Iterator[list[Tensor]]:
    """The outputs of a module inside the block."""
    outputs: list[Tensor] = []
    if module is None:
        yield outputs
        return
    handle = module.register_forward_hook(lambda _, __, output: outputs.append(output))
    try:
        yield outputs
    finally:
        handle.remove()


def _rule_numbers(facts: dict[str, Any], step: int) -> Block:
    """The numbers of the rules that read facts which are not stored; a rule without a finite number has NaN."""
    numbers: Block = {}
    for name in selection.rule_names():
        required = selection.make_rule(name).required()
        if not {*required} & {*FEATURE_FACTS}:
            continue
        value = float("nan")
        if {*required} <= facts.keys():
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # of solvers that reach their limit on few samples
                with contextlib.suppress(TlbenchError, np.linalg.LinAlgError, ValueError):
                    value = selection.score(name, **{fact: facts[fact] for fact in required})
        numbers[f"rule_{name}"] = torch.tensor(value)
    return numbers
