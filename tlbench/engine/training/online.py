"""Test-time adaptation: scored samples come in order, and each batch is predicted before the method learns from it.

The module handles no labels.
"""

from __future__ import annotations

import torch
from torch import Tensor

from tlbench.engine.data.inputs import Inputs, chunk_sizes
from tlbench.engine.data.storage import Subset
from tlbench.engine.training.optimizer import PhaseOptimizer
from tlbench.engine.training.outputs import check_outputs
from tlbench.methods.base import DeepMethod, OnlineAdaptation, Phase
from tlbench.suite import Training


def predict_online(method: DeepMethod, online: OnlineAdaptation, samples: Subset, inputs: Inputs, batch_size: int) -> Tensor:
    """Predict samples batch by batch, while the method learns from each batch after its prediction.

    A last batch of one sample is joined to the batch before it, for batch statistics need two samples.

    Args:
        method: the method; it is changed in place.
        online: its loss, groups and learning rate.
        samples: N samples in the order of the stream.
        inputs: stored samples -> network inputs.
        batch_size: samples of a batch.

    Returns:
        Class scores (N, C), in the order of the stream.
    """
    training = Training(steps=1, batch=max(batch_size, 2), optimizer="adam", lr=online.lr or 1.0)
    phase = Phase(None, frozenset(), groups=online.groups)
    optimizer = PhaseOptimizer(method, phase, training)
    method.eval()  # turns dropout off; `set_progress` puts the groups that learn back into training mode
    optimizer.set_progress(0.0)
    scores = []
    for indices in samples.indices.split(chunk_sizes(len(samples), batch_size)):
        logits, loss = online.loss(inputs(samples.store.take(indices)))
        check_outputs(logits, len(indices), method.net.columns, method, regression=method.net.regression)
        scores.append(logits.detach())
        if not online.lr:
            continue  # only batch statistics adapt
        optimizer.zero_grad()
        loss.backward()
        optimizer.torch_optimizer.step()
    return torch.cat(scores)
