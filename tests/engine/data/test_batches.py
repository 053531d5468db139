"""Batches: the draws of all steps, slices of one tensor, and network inputs."""

from __future__ import annotations

import pytest
import torch
from tiny_suite import CPU

from tlbench.engine.data.batches import Batches
from tlbench.engine.data.inputs import Inputs, check_channels, draw_batches
from tlbench.engine.data.storage import SampleStore, Subset
from tlbench.errors import TlbenchError
from tlbench.nn.net import concatenated
from tlbench.suite import Network


def test_each_row_is_drawn_once_per_epoch():
    for rows, steps, batch in ((40, 10, 8), (7, 30, 7), (3, 200, 5), (1, 4, 2)):
        drawn = draw_batches(rows, steps, batch, 3, CPU)
        assert drawn.shape == (steps, batch)
        flat = drawn.flatten()
        whole = flat[: len(flat) // rows * rows].view(-1, rows)
        assert torch.equal(whole.sort(dim=1).values, torch.arange(rows).expand_as(whole))
        assert len(flat[len(whole) * rows :].unique()) == len(flat) - len(whole) * rows
        assert torch.equal(drawn, draw_batches(rows, steps, batch, 3, CPU))
    assert not torch.equal(draw_batches(40, 10, 8, 3, CPU), draw_batches(40, 10, 8, 4, CPU))
    epochs = draw_batches(40, 10, 8, 3, CPU).flatten().view(2, 40)
    assert not torch.equal(epochs[0], epochs[1])


@pytest.mark.parametrize("resident", [True, False])
def test_parts_of_a_step_are_drawn_into_one_tensor(resident):
    images = [torch.randint(0, 256, (9, 1, 4, 4), dtype=torch.uint8), torch.randint(0, 256, (7, 1, 4, 4), dtype=torch.uint8)]
    store = SampleStore(images, CPU, resident)
    numbers = torch.arange(16)
    parts = {"source": [Subset(store, numbers[:9], torch.arange(9) % 3)], "target": [Subset(store, numbers[9:])]}
    rows = {"source": [torch.tensor([[3, 1], [0, 8]])], "target": [torch.tensor([[6, 6, 0], [1, 2, 3]])]}
    inputs = Inputs(Network(), channels_last=True)
    batches = Batches(parts, rows, inputs)
    for at in (0, 1):
        step = batches.at(at, 0.0)
        assert torch.equal(step.source.x, inputs(images[0][rows["source"][0][at]]))
        assert torch.equal(step.target, inputs(images[1][rows["target"][0][at]]))
        assert torch.equal(step.source.y, rows["source"][0][at] % 3)
        whole = concatenated(step.source.x, step.target)
        assert whole.data_ptr() == step.source.x.data_ptr() and torch.equal(whole, torch.cat([step.source.x, step.target]))


def test_joined_copies_all_but_the_pieces_of_one_tensor_in_order():
    whole = torch.randn(9, 4, requires_grad=True)
    a, b, c = whole.split([2, 3, 4])
    for parts, same in (((a, b, c), True), ((b, c), False), ((a,), False), ((b, a), False), ((a, c), False), ((a, a), False)):
        one = concatenated(*parts)
        assert torch.equal(one, torch.cat(parts))
        assert (one.untyped_storage().data_ptr() == whole.untyped_storage().data_ptr()) == same
    for others in (
        (torch.ones(2, 4), torch.ones(3, 4)),
        (a, torch.ones(1, 4)),
        (whole[:, :2], whole[:, 2:]),
        (whole[::2], whole[1::2]),
    ):
        assert torch.equal(concatenated(*others), torch.cat(others))
    (concatenated(a, b, c).square().sum() + a.sum()).backward()
    assert torch.allclose(whole.grad, 2 * whole + torch.tensor([1.0] * 2 + [0.0] * 7)[:, None])


def test_inputs_are_scaled_images_and_plain_vectors():
    inputs = Inputs(Network(mean=0.25, std=0.5), channels_last=True)
    image = torch.tensor([0, 255], dtype=torch.uint8).view(2, 1, 1, 1).expand(2, 3, 4, 4)
    made = inputs(image)
    assert made.dtype == torch.float32 and made.is_contiguous(memory_format=torch.channels_last)
    assert made[0].unique().tolist() == [-0.5] and made[1].unique().tolist() == [1.5]
    assert torch.allclose(inputs(image.float() / 255), made)
    vector = torch.randn(3, 4, dtype=torch.float64)
    assert torch.equal(inputs(vector), vector.float())
    assert image[1, 0, 0, 0] == 255  # stored rows are left alone


@pytest.mark.parametrize("channels_last", [True, False])
def test_mean_and_deviation_of_each_channel(channels_last):
    mean, std = [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]
    inputs = Inputs(Network.model_validate({"mean": mean, "std": std}), channels_last)
    image = torch.randint(0, 256, (2, 3, 4, 5), dtype=torch.uint8)
    expected = torch.stack([(image[:, c].float() / 255 - mean[c]) / std[c] for c in range(3)], dim=1)
    for x in (image, image.float() / 255):
        assert torch.allclose(inputs(x), expected, atol=1e-6) and inputs(x).dtype == torch.float32
    alike = Inputs(Network.model_validate({"mean": [0.25] * 3, "std": 0.5}), channels_last)
    assert torch.allclose(alike(image), Inputs(Network(mean=0.25, std=0.5), channels_last)(image), atol=1e-6)
    with pytest.raises(TlbenchError, match=r"net\.mean has 3 values, and the images have 1 channels"):
        inputs(image[:, :1])
    with pytest.raises(TlbenchError, match=r"net\.std has 2 values"):
        check_channels(Network.model_validate({"std": [0.1, 0.2]}), (3, 8, 8))
    vectors = torch.randn(3, 4)
    assert torch.equal(inputs(vectors), vectors)
