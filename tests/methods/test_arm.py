"""ARM-CML: its loss, gradient and predictions beside DomainBed's, and where a context comes from.

The golden numbers come from ARM and ContextNet of facebookresearch/DomainBed at b93c22a with the same network and weights on
the same tensors: three sources of four images, in training mode; then the first source as a test batch, in evaluation mode.
"""

from __future__ import annotations

import pytest
import torch
from wave_samples import CLASSES, is_close, new_method, wave

from tlbench import methods
from tlbench.errors import NotApplicableError
from tlbench.nn import backbones
from tlbench.nn.net import Net
from tlbench.terms import Labelled, Step

SIZE = 4
IMAGES = torch.cat([wave(SIZE, 2 * 36, 50 + i).view(SIZE, 2, 6, 6) * (1 + 0.3 * i) for i in range(3)])
LABELS = torch.arange(3 * SIZE) * 3 % CLASSES
SOURCES = torch.arange(3).repeat_interleave(SIZE)


@pytest.fixture
def arm():
    """The method on a small convolutional network, with weights that need no generator."""
    net = Net(backbones.build_backbone("convnet", (2, 6, 6), {"channels": 3, "width": 8}), CLASSES)
    method = methods.method_class("arm")(net, 3, **methods.method_options("arm", {}))
    for module, size in ((method.net, 2), (method.context, 4)):
        for index, parameter in enumerate(module.parameters()):
            scale = size * len(parameter[0].flatten()) ** -0.5 if parameter.dim() > 1 else 0.1
            parameter.data = wave(1, parameter.numel(), index).view(parameter.shape) * scale
    return method


def test_loss_gradient_and_predictions_are_domain_beds(arm):
    x = IMAGES.clone().requires_grad_()
    loss = arm.loss(Step(Labelled(x, LABELS, SOURCES), progress=0.5))
    (gradient,) = torch.autograd.grad(loss, x)
    assert is_close(loss, 1.5134171)
    golden = [-0.0052850, 0.0278875, -0.0024761, 0.0043676, 0.0091571, 0.0165118, -0.0096060]
    assert is_close(gradient[2 * SIZE, :, 2, :4].flatten()[:7], golden)
    arm.eval()
    with torch.no_grad():
        logits = arm.online().adapt(IMAGES[:SIZE], None)
    golden = [1.0646579, -0.8040912, 0.3113434, -1.1483412, -0.3586356, 0.5715461, 0.3928744, -0.2210798]
    assert is_close(logits.flatten()[:8], golden)


def test_a_context_is_that_of_the_batch_on_the_stream_and_of_the_sample_elsewhere(arm):
    arm.eval()
    with torch.no_grad():
        alone, together = arm.predict(IMAGES[:1]), arm.predict(IMAGES)[:1]
        with_others = arm.online().adapt(IMAGES, None)[:1]
        of_one = arm.online().adapt(IMAGES[:1], None)
    torch.testing.assert_close(alone, together)
    torch.testing.assert_close(alone, of_one)
    assert not torch.allclose(alone, with_others, atol=1e-4)


def test_vectors_have_as_many_context_features(arm):
    method = new_method("arm")
    assert method.net.backbone.stages[0][1].weight.shape == (8, 16)
    x = wave(12, 8, 1).requires_grad_()
    (gradient,) = torch.autograd.grad(method.loss(Step(Labelled(x, LABELS), progress=0.5)), x)
    assert gradient.abs().sum() > 0


def test_a_network_without_a_first_layer_to_widen_is_refused():
    net = Net(backbones.build_backbone("features", (8,), {}), CLASSES)
    with pytest.raises(NotApplicableError, match="arm widens a first layer"):
        methods.method_class("arm")(net, 1, **methods.method_options("arm", {}))
