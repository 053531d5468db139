"""Test-time adaptation: the scored rows in order, each batch predicted before it is learnt from. No label is near."""

from __future__ import annotations

import torch
from torch import Tensor

from tlbench.engine.data.inputs import Inputs
from tlbench.engine.data.storage import Subset
from tlbench.engine.training.optimizer import PhaseOptimizer
from tlbench.methods.base import DeepMethod, OnlineAdaptation, Phase
from tlbench.suite import Training


def predict_online(method: DeepMethod, online: OnlineAdaptation, rows: Subset, inputs: Inputs, batch: int) -> Tensor:
    """Scores (N, C) of rows, `batch` at a time; the method is changed on the way.

    A last batch of one row is joined to the one before it: batch statistics need two.
    """
    training = Training(steps=1, batch=max(batch, 2), optimizer="adam", lr=online.lr or 1.0)
    phase = Phase(None, frozenset(), groups=online.groups)
    rates = PhaseOptimizer(method, phase, training)
    method.eval()  # dropout predicts; the groups that learn are in training mode again from here
    rates.set(0.0)
    sizes = [batch] * (len(rows) // batch)
    rest = len(rows) - sum(sizes)
    if rest == 1 and sizes:
        sizes[-1] += 1
    elif rest:
        sizes.append(rest)
    scores = []
    for numbers in torch.split(rows.indices, sizes):
        logits, loss = online.loss(inputs(rows.store.take(numbers)))
        scores.append(logits.detach())
        if not online.lr:
            continue  # batch statistics alone adapt
        rates.clear()
        loss.backward()
        rates.optimizer.step()
    return torch.cat(scores)
