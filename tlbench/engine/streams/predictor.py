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
        for number, indices in enumerate(samples.indices.split(list(sizes))):
            if number in resets:
                self.reset()
            with torch.set_grad_enabled(bool(self.adaptation.groups)):
                logits = self._predict_batch(self._inputs(samples.store.take(indices)))
            net = self._method.net
            check_outputs(logits, len(indices) * net.positions, net.columns, self._method, regression=net.regression)
            scores.append(logits.detach())
        return torch.cat(scores)

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
