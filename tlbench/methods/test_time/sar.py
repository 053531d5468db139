"""SAR: sharpness-aware entropy minimisation on reliable samples, which starts again where the predictions collapse.

Niu, Wu, Zhang, Wen, Chen, Zhao and Tan, Towards stable test-time adaptation in dynamic wild world, ICLR 2023.
https://arxiv.org/abs/2302.12400
"""

from __future__ import annotations

import math

import torch
from pydantic import Field
from torch import Tensor
from torch.nn.modules.batchnorm import _BatchNorm

from tlbench.methods.base import Group
from tlbench.methods.norm_adaptation import NormAdaptation
from tlbench.methods.online import OnlineAdaptation, OnlineUpdate
from tlbench.nn.entropy import entropy


class SAR(NormAdaptation):
    """CE on the source; then the gradient of the entropy is taken where the entropy is highest within a radius."""

    lr: float = Field(2.5e-4, ge=0, description="learning rate of scale and shift on the stream, of SGD with momentum 0.9")
    rho: float = Field(0.05, ge=0, description="radius of the perturbation")
    entropy_margin: float = Field(0.4, gt=0, description="as a share of log C: samples of a higher entropy are left out")
    reset_below: float = Field(0.2, ge=0, description="the parameters start again where the mean entropy in nats falls below")

    def groups(self) -> tuple[Group, ...]:
        """The normalisation layers without those of the last stage of the backbone; all, where there are no others."""
        stages = list(self.net.backbone.stages)
        last = {module for module in stages[-1].modules() if isinstance(module, _BatchNorm)}
        return tuple(Group((norm,)) for norm in self.norms if norm not in last or len(last) == len(self.norms))

    def online(self) -> OnlineAdaptation:
        """The normalisation layers learn, by SGD with momentum."""
        return OnlineAdaptation(None, self.groups(), self.lr, "sgd", 0.9, self.adapt, self.begin, decides_on_host=True)

    def begin(self) -> None:
        """Forget the mean entropy."""
        super().begin()
        self.mean_entropy: float | None = None

    def adapt(self, x: Tensor, update: OnlineUpdate) -> Tensor:
        """Network inputs (B, ...) -> logits (B, C)."""
        margin = self.entropy_margin * math.log(self.classes)
        logits_BC = self.net(x)
        entropy_B = entropy(logits_BC)
        reliable_B = entropy_B.detach() < margin
        if not reliable_B.any():
            return logits_BC
        parameters = [p for group in self.groups() for module in group.modules for p in module.parameters()]
        before = [parameter.detach().clone() for parameter in parameters]
        gradients = torch.autograd.grad(entropy_B[reliable_B].mean(), parameters)
        length = torch.stack([gradient.norm() for gradient in gradients]).norm() + 1e-12
        with torch.no_grad():
            for parameter, gradient in zip(parameters, gradients, strict=True):
                parameter.add_(gradient * (self.rho / length))
        second_B = entropy(self.net(x))[reliable_B]
        second_B = second_B[second_B.detach() < margin]

        def restore() -> None:
            for parameter, value in zip(parameters, before, strict=True):
                parameter.data.copy_(value)

        if not len(second_B):
            restore()
            return logits_BC
        loss = second_B.mean()
        mean = float(loss.detach())
        self.mean_entropy = mean if self.mean_entropy is None else 0.9 * self.mean_entropy + 0.1 * mean
        update(loss, before_step=restore)
        if self.mean_entropy < self.reset_below:
            update.reset()
            self.mean_entropy = None
        return logits_BC
