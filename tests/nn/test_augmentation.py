"""Declared augmentation: each kind against torchvision's functions on the same images and parameters, and its distribution."""

from __future__ import annotations

import math

import pytest
import torch
from augmented_samples import floats, generator, images, pipeline
from torchvision.transforms.v2 import RandAugment as TorchvisionRandAugment
from torchvision.transforms.v2 import functional as TF

from tlbench.nn.augmentation import colors, geometry, rand_augment, selected

SHAPES = [(3, 17, 24), (1, 28, 28)]


@pytest.mark.parametrize(("fill", "mode"), [("black", "constant"), ("edge", "edge"), ("reflect", "reflect")])
def test_crops_are_those_of_torchvision(fill, mode):
    x = images()
    top, left = torch.tensor([0, 3, 5, 8, 4, 1]), torch.tensor([8, 0, 2, 4, 7, 1])
    crops = geometry.padded_crop(x, top.float(), left.float(), 4, fill)
    assert crops.dtype == torch.uint8
    padded = TF.pad(x.float(), [4], padding_mode=mode).byte()  # torchvision mirrors no bytes
    for number, crop in enumerate(crops):
        assert torch.equal(crop, TF.crop(padded[number], int(top[number]), int(left[number]), 17, 24))


def test_mirror_images_are_those_of_torchvision():
    x, is_mirrored = images(), torch.tensor([True, False, True, True, False, False])
    for dim, flip in ((-1, TF.horizontal_flip), (-2, TF.vertical_flip)):
        views = geometry.mirrored(x, is_mirrored, dim)
        assert all(torch.equal(views[i], flip(x[i]) if is_mirrored[i] else x[i]) for i in range(len(x)))


def test_resized_crops_are_those_of_torchvision():
    x = floats()
    box = torch.tensor([[0, 0, 17, 24], [3, 5, 4, 9], [16, 23, 1, 1], [2, 0, 15, 3], [0, 7, 1, 17], [5, 5, 8, 8]])
    views = geometry.resized_crop(x, box.float())
    for number, (top, left, height, width) in enumerate(box.tolist()):
        expected = TF.resized_crop(x[number], top, left, height, width, [17, 24], antialias=True)
        assert torch.allclose(views[number], expected, atol=1e-5), number


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize(
    ("ours", "torchvision", "amounts"),
    [
        (colors.brightness, TF.adjust_brightness, [0.0, 0.3, 1.0, 1.7, 0.9, 2.0]),
        (colors.contrast, TF.adjust_contrast, [0.0, 0.3, 1.0, 1.7, 0.9, 2.0]),
        (colors.saturation, TF.adjust_saturation, [0.0, 0.3, 1.0, 1.7, 0.9, 2.0]),
        (colors.sharpness, TF.adjust_sharpness, [0.0, 0.3, 1.0, 1.7, 0.9, 2.0]),
        (colors.hue, TF.adjust_hue, [-0.5, -0.3, 0.0, 0.1, 0.25, 0.5]),
        (colors.posterize, lambda x, bits: TF.posterize(x, int(bits)), [8.0, 4.0, 1.0, 2.0, 7.0, 5.0]),
        (colors.solarize, TF.solarize, [0.0, 0.3, 1.0, 0.5, 0.9, 0.2]),
        (colors.autocontrast, lambda x, _: TF.autocontrast(x), [0.0] * 6),
        (colors.equalize, lambda x, _: TF.equalize(x), [0.0] * 6),
    ],
)
def test_colours_are_those_of_torchvision(shape, ours, torchvision, amounts):
    x = floats(shape)
    x[1] = x[1] * 0.2 + 0.3  # of little contrast
    views = ours(x, torch.tensor(amounts))
    for number, amount in enumerate(amounts):
        assert torch.allclose(views[number], torchvision(x[number], amount), atol=2e-6), number


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("name", list(rand_augment.OPERATIONS))
@pytest.mark.parametrize("magnitude", [4, 9, 30])
def test_the_operations_of_rand_augment_are_those_of_torchvision(shape, name, magnitude):
    position = list(rand_augment.OPERATIONS).index(name)
    theirs = list(TorchvisionRandAugment._AUGMENTATION_SPACE)[position]
    magnitudes, is_signed = TorchvisionRandAugment._AUGMENTATION_SPACE[theirs]
    levels = magnitudes(31, *shape[1:])
    expected = 0.0 if levels is None else float(levels[magnitude])
    amount = float(rand_augment.strengths(magnitude, *shape[1:])[position])
    assert amount == pytest.approx(expected, abs=1e-5) and is_signed == (1 <= position < rand_augment.SIGNED)
    x, operation, tool = floats(shape), rand_augment.OPERATIONS[name], TorchvisionRandAugment()
    for sign in (1, -1) if is_signed else (1,):
        views = x if operation is None else operation(x, torch.full((len(x),), sign * amount))
        expected_views = tool._apply_image_or_video_transform(
            x.clone(), theirs, sign * expected, interpolation=tool.interpolation, fill=tool._fill
        )
        # a position between two pixels may be rounded to either
        agree = (views - expected_views).abs().amax(dim=1) < 2e-5
        assert agree.double().mean() > (0.995 if name in ("shear_x", "shear_y", "rotate") else 0.99999)


def test_each_sample_gets_the_operation_that_was_drawn_for_it():
    x, choice = floats(), torch.tensor([0, 1, 2, 1, 0, 2])
    amount = torch.tensor([0.1, 0.2, 0.3, 0.4, 0.5, 0.6])
    views = selected.apply_selected(x, [None, colors.brightness, colors.solarize], choice, amount)
    expected = [
        x[0],
        x[1] * 0.2,
        colors.solarize(x[2:3], amount[2:3])[0],
        x[3] * 0.4,
        x[4],
        colors.solarize(x[5:], amount[5:])[0],
    ]
    assert torch.allclose(views, torch.stack(expected))


def test_a_gpu_selects_what_a_cpu_computes_for_the_samples_that_drew_it(monkeypatch):
    kinds = [{"kind": "rand_augment", "operations": 3}, {"kind": "color", "brightness": 0.3, "hue": 0.2}]
    chain, x = pipeline(*kinds), images(count=64)
    parameters = chain.draw((64,), generator())
    on_cpu = chain.views(x, parameters)
    monkeypatch.setattr(selected, "_to_those_that_drew_it", selected._to_all)
    assert torch.allclose(chain.views(x, parameters), on_cpu, atol=1e-6)


def test_color_follows_the_drawn_order_and_amounts():
    color = {"kind": "color", "brightness": 0.4, "contrast": 0.3, "saturation": 0.2, "hue": 0.1}
    chain, x = pipeline(color), floats()
    parameters = chain.draw((6,), generator())
    views = chain.views(x, parameters)
    functions = [TF.adjust_brightness, TF.adjust_contrast, TF.adjust_saturation, TF.adjust_hue]
    for number, one in enumerate(parameters):
        expected = x[number]
        for choice in one[:4].int().tolist():
            expected = functions[choice](expected, float(one[4 + choice]))
        assert torch.allclose(views[number], expected, atol=1e-5)
    many = chain.draw((20_000,), generator())
    assert sorted({tuple(order) for order in many[:, :4].int().tolist()}) == sorted(
        {tuple(order) for order in torch.cartesian_prod(*[torch.arange(4)] * 4).tolist() if len(set(order)) == 4}
    )
    for column, (center, bound) in enumerate([(1, 0.4), (1, 0.3), (1, 0.2), (0, 0.1)]):
        amounts = many[:, 4 + column]
        assert amounts.min() >= center - bound - 1e-6 and amounts.max() <= center + bound + 1e-6
        assert float(amounts.mean()) == pytest.approx(center, abs=0.01 * bound + 0.004)
        assert float(amounts.std()) == pytest.approx(bound / math.sqrt(3), rel=0.03)


def test_flips_and_crops_are_drawn_evenly_and_for_each_sample():
    chain = pipeline({"kind": "flip", "probability": 0.3}, {"kind": "crop", "padding": 2})
    parameters = chain.draw((500, 40), generator())
    assert float(parameters[..., 0].mean()) == pytest.approx(0.3, abs=0.01)
    for column in (1, 2):
        counts = torch.bincount(parameters[..., column].flatten().int(), minlength=5) / 20_000
        assert len(counts) == 5 and float((counts - 0.2).abs().max()) < 0.01
    x = images(count=1).expand(40, -1, -1, -1)
    views = chain.views(x, parameters[0])
    assert views.dtype == torch.uint8 and len({view.numpy().tobytes() for view in views}) > 20


def test_rectangles_have_the_declared_areas_and_ratios():
    crop = {"kind": "random_resized_crop", "scale": [0.3, 0.8], "ratio": [0.5, 2.0]}
    top, left, height, width = pipeline(crop, shape=(3, 64, 48)).draw((20_000,), generator()).double().T
    assert top.min() >= 0 and left.min() >= 0 and (top + height).max() <= 64 and (left + width).max() <= 48
    area = height * width / (64 * 48)
    assert area.min() > 0.27 and area.max() < 0.83 and float(area.mean()) == pytest.approx(0.53, abs=0.02)
    assert (width / height).min() > 0.47 and (width / height).max() < 2.1
    assert float((top == 0).double().mean()) < 0.2
    narrow = pipeline({"kind": "random_resized_crop", "scale": [0.9, 1.0], "ratio": [0.1, 0.2]}).draw((9,), generator())
    assert narrow.tolist() == [[0, 10, 17, 3]] * 9  # none fits: the largest one at the centre, as in torchvision


def test_views_of_all_kinds_stay_in_range_and_differ_between_samples():
    kinds = [
        {"kind": "crop"},
        {"kind": "flip"},
        {"kind": "color", "brightness": 0.4, "hue": 0.1},
        {"kind": "random_resized_crop"},
        {"kind": "rand_augment"},
        {"kind": "mixup"},
        {"kind": "cutmix"},
    ]
    chain, x = pipeline(*kinds), images(count=1).expand(16, -1, -1, -1)
    parameters = chain.draw((16,), generator(3))
    views = chain.mixed_samples(chain.views(x, parameters), parameters, 16)
    assert views.shape == x.shape and views.dtype == torch.float32 and views.min() >= 0 and views.max() <= 1
    assert len({view.numpy().tobytes() for view in views}) == 16
    assert torch.equal(parameters, chain.draw((16,), generator(3))) and not torch.equal(
        parameters, chain.draw((16,), generator(4))
    )
    assert torch.equal(
        chain.views(x, parameters), torch.cat([chain.views(x[i : i + 1], parameters[i : i + 1]) for i in range(16)])
    )
