"""Test-time adaptation: scored samples come in order, and no prediction depends on a later batch.

The module handles no labels.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence

import torch
from torch import Tensor, nn

from tlbench.engine.data.inputs import Inputs, chunk_sizes
from tlbench.engine.data.storage import Subset
from tlbench.engine.training.optimizer import make_optimizer, parameters_by_group
from tlbench.engine.training.outputs import check_outputs
from tlbench.errors import TlbenchError
from tlbench.methods.base import DeepMethod
from tlbench.methods.online import OnlineAdaptation
from tlbench.nn.positions.net import counted_positions
from tlbench.suite import Training


class StreamPredictor:
    """Predicts a stream batch by batch, while the method adapts to it.

    Args:
        method: a method with `online`; it is changed in place.
        inputs: stored samples -> network inputs.
    """

    def __init__(self, method: DeepMethod, inputs: Inputs) -> None:
        online = method.online()
        if online is None or (online.loss is None) == (online.adapt is None):
            raise TlbenchError(f"{type(method).__name__}.online must give an OnlineAdaptation with either `loss` or `adapt`.")
        self._method, self._inputs, self.adaptation = method, inputs, online
        self._initial = {name: tensor.detach().clone() for name, tensor in method.state_dict().items()}
        self._begin()

    def _begin(self) -> None:
        method = self._method
        for parameter in method.parameters():
            parameter.requires_grad_(False)
        method.eval()
        for group in self.adaptation.groups:
            for module in group.modules:
                module.train()
        self._update = _Update(self.adaptation)
        if self.adaptation.begin is not None:
            self.adaptation.begin()

    def reset(self) -> None:
        """Give the method the state that it had before the stream."""
        with torch.no_grad():
            for name, tensor in self._method.state_dict().items():
                if name in self._initial:
                    tensor.copy_(self._initial[name])
        self._begin()

    def predict(self, samples: Subset, sizes: Sequence[int], resets: Collection[int] = ()) -> Tensor:
        """Class scores (N, C) of samples, in their order; (N*P, C) where each position has a label.

        Args:
            samples: N samples in the order of the stream.
            sizes: the number of samples of each batch.
            resets: the indices of the batches before which the method is reset.
        """
        scores = []
        all_counted = [None] * len(sizes) if samples.counted is None else samples.counted.split(list(sizes))
        for number, (indices, counted) in enumerate(zip(samples.indices.split(list(sizes)), all_counted, strict=True)):
            if number in resets:
                self.reset()
            with torch.set_grad_enabled(bool(self.adaptation.groups)):
                logits = self._predict_positions(self._inputs(samples.store.take(indices)), counted)
            net = self._method.net
            check_outputs(logits, len(indices) * net.positions, net.columns, self._method, regression=net.regression)
            scores.append(logits.detach())
        return torch.cat(scores)

    def _predict_positions(self, x: Tensor, counted_BP: Tensor | None) -> Tensor:
        """Network inputs (B, ...) -> logits (B*P, C) of positions, 0 where one does not count: the method saw none of these.

        Where a sample has one label, and where all positions count, it is `_predict_batch`.
        """
        if counted_BP is None or bool(counted_BP.all()):
            return self._predict_batch(x)
        with counted_positions(self._method.net, counted_BP):
            logits_MC = self._predict_batch(x)
        method = self._method
        check_outputs(logits_MC, int(counted_BP.sum()), method.net.columns, method, regression=False)
        logits = logits_MC.new_zeros(counted_BP.numel(), logits_MC.shape[1])
        logits[counted_BP.flatten()] = logits_MC.detach()
        return logits

    def _predict_batch(self, x: Tensor) -> Tensor:
        """Network inputs (B, ...) -> logits (B, C); the method has adapted to them afterwards."""
        if self.adaptation.adapt is not None:
            return self.adaptation.adapt(x, self._update)
        assert self.adaptation.loss is not None
        logits, loss = self.adaptation.loss(x)
        self._update(loss)
        return logits


class _Update:
    """One optimizer for the stream; its calls are described at `OnlineUpdate`."""

    def __init__(self, online: OnlineAdaptation) -> None:
        self._online = online
        self._parameters: list[list[nn.Parameter]] = [p for p in parameters_by_group(online.groups) if p]
        for parameter in self._all():
            parameter.requires_grad_(True)
        self._initial = [parameter.detach().clone() for parameter in self._all()]
        self._optimizer = self._new_optimizer()

    def _all(self) -> list[nn.Parameter]:
        return [parameter for parameters in self._parameters for parameter in parameters]

    def _new_optimizer(self) -> torch.optim.Optimizer | None:
        online = self._online
        if not online.lr or not self._parameters:
            return None
        groups = [{"params": parameters} for parameters in self._parameters]
        if online.optimizer == "sgd":
            return torch.optim.SGD(groups, lr=online.lr, momentum=online.momentum, fused=True)
        return make_optimizer(groups, Training(steps=1, optimizer="adam", lr=online.lr))

    def __call__(self, loss: Tensor, before_step: Callable[[], None] | None = None) -> None:
        if self._optimizer is None:
            if before_step is not None:
                before_step()
            return  # only batch statistics and memories adapt
        for parameter in self._all():
            parameter.grad = None
        loss.backward()
        if before_step is not None:
            before_step()
        self._optimizer.step()

    def reset(self) -> None:
        with torch.no_grad():
            for parameter, initial in zip(self._all(), self._initial, strict=True):
                parameter.copy_(initial)
        if self._optimizer is not None:
            self._optimizer.state.clear()


def predict_online(method: DeepMethod, samples: Subset, inputs: Inputs, batch_size: int) -> Tensor:
    """Predict samples in batches of one size, while the method adapts to them.

    A last batch of one sample is joined to the batch before it, for batch statistics need two samples.

    Args:
        method: a method with `online`; it is changed in place.
        samples: N samples in the order of the stream.
        inputs: stored samples -> network inputs.
        batch_size: samples of a batch.

    Returns:
        Class scores (N, C), in the order of the stream.
    """
    return StreamPredictor(method, inputs).predict(samples, chunk_sizes(len(samples), batch_size))
