"""Declared augmentation: each kind against torchvision's functions on the same images and parameters, and its distribution."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from pydantic import ValidationError
from scipy.stats import kstest
from torchvision.transforms.v2 import CutMix as TorchvisionCutMix
from torchvision.transforms.v2 import MixUp as TorchvisionMixUp
from torchvision.transforms.v2 import RandAugment as TorchvisionRandAugment
from torchvision.transforms.v2 import functional as TF

from tlbench.errors import TlbenchError, schema_errors
from tlbench.nn.augmentation import Pipeline, colors, geometry, mixing, rand_augment, selected, series
from tlbench.nn.augmentation.pipeline import check_shape
from tlbench.suite import Training
from tlbench.suite.augmentation import described

SHAPES = [(3, 17, 24), (1, 28, 28)]


def images(shape=(3, 17, 24), count=6, seed=0) -> torch.Tensor:
    """Byte images (count, *shape), the last of them of one value."""
    x = torch.randint(256, (count, *shape), dtype=torch.uint8, generator=torch.Generator().manual_seed(seed))
    x[-1] = 77
    return x


def floats(shape=(3, 17, 24), count=6, seed=0) -> torch.Tensor:
    return images(shape, count, seed).float() / 255


def pipeline(*kinds, shape=(3, 17, 24)) -> Pipeline:
    return Pipeline(Training.model_validate({"augment": list(kinds)}).augment, shape)


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


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


def test_mixed_samples_and_labels_are_those_of_torchvision(monkeypatch):
    x, y = floats(), torch.tensor([0, 1, 2, 0, 2, 1])
    monkeypatch.setattr(TorchvisionMixUp, "make_params", lambda self, flat: {"lam": 0.3})
    expected_x, expected_y = TorchvisionMixUp(num_classes=3)(x, y)
    parameters = torch.tensor([0.3, 0.3, 0, 0, 0, 0]).expand(6, -1)
    assert torch.allclose(mixing.mixed_samples(x, parameters, 6), expected_x)
    assert torch.allclose(mixing.mixed_labels(y, parameters, 6, 3), expected_y)

    share, center_y, center_x = torch.tensor(0.35, dtype=torch.float64), torch.tensor(4), torch.tensor(21)
    monkeypatch.setattr(torch.distributions.Beta, "sample", lambda self, shape: share)
    draws = iter([center_x[None], center_y[None]])
    with monkeypatch.context() as patched:
        patched.setattr(torch, "randint", lambda *arguments, **options: next(draws))
        theirs = TorchvisionCutMix(num_classes=3).make_params([x])
    left, top, right, bottom = theirs["box"]
    box = mixing.rectangle(share, center_y, center_x, 17, 24)
    assert [int(edge) for edge in box] == [top, bottom, left, right]
    monkeypatch.setattr(TorchvisionCutMix, "make_params", lambda self, flat: theirs)
    expected_x, expected_y = TorchvisionCutMix(num_classes=3)(x, y)
    parameters = torch.tensor([theirs["lam_adjusted"], 1, *map(float, box)]).expand(6, -1)
    assert torch.allclose(mixing.mixed_samples(x, parameters, 6), expected_x)
    assert torch.allclose(mixing.mixed_labels(y, parameters, 6, 3), expected_y)


def test_samples_are_mixed_within_their_batch_and_targets_in_the_same_shares():
    x, parameters = torch.arange(6.0)[:, None], torch.tensor([0.25, 0.25, 0, 0, 0, 0]).expand(6, -1)
    expected = 0.25 * x + 0.75 * torch.tensor([2.0, 0, 1, 5, 3, 4])[:, None]
    assert torch.allclose(mixing.mixed_samples(x, parameters, 3), expected)
    assert torch.allclose(mixing.mixed_labels(10 * x, parameters, 3, 1), 10 * expected)


@pytest.mark.parametrize("kind", ["mixup", "cutmix"])
def test_shares_follow_the_beta_distribution(kind):
    parameters = pipeline({"kind": kind, "alpha": 0.5}).draw((40_000,), generator())
    share = parameters[:, 0].double()
    assert share.min() >= 0 and share.max() <= 1
    if kind == "mixup":
        assert float(share.mean()) == pytest.approx(0.5, abs=0.01)
        assert float(share.var()) == pytest.approx(1 / 8, rel=0.02)  # 1 / (4 (2 alpha + 1))
        assert torch.equal(parameters[:, 0], parameters[:, 1]) and not parameters[:, 2:].any()
    else:
        top, bottom, left, right = parameters[:, 2:].double().T
        assert torch.allclose(share, 1 - (bottom - top) * (right - left) / (17 * 24), atol=1e-6)
        assert float(share.mean()) > 0.5  # rectangles are cut at the edges


def test_where_both_are_listed_each_sample_draws_mixup_or_cutmix():
    parameters = pipeline({"kind": "mixup"}, {"kind": "cutmix"}).draw((20_000,), generator())
    is_mixup = (parameters[:, 2:] == 0).all(dim=1) & (parameters[:, 0] == parameters[:, 1])
    assert float((parameters[:, 1] == 1).double().mean()) == pytest.approx(0.5, abs=0.02)
    assert float(is_mixup.double().mean()) == pytest.approx(0.5, abs=0.02)


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


def test_noise_is_standard_normal_and_follows_from_its_seed():
    seeds = torch.randint(series.SEEDS, (400,), generator=generator())
    noise = series.noise(seeds, 1000)
    assert torch.equal(noise, series.noise(seeds.float(), 1000)) and torch.equal(noise[3:4, :7], series.noise(seeds[3:4], 7))
    numbers = noise.double().flatten().numpy()
    assert kstest(numbers, "norm").pvalue > 1e-3
    assert abs(numbers.mean()) < 0.006 and abs(numbers.std() - 1) < 0.005 and abs((numbers**4).mean() - 3) < 0.1
    neighbours = series.noise(torch.arange(400), 1000).double().numpy()  # seeds in a row
    for a, b in ((noise[:, 1:], noise[:, :-1]), (neighbours[1:], neighbours[:-1]), (noise[1:, 3:], noise[:-1, :-3])):
        assert abs(np.corrcoef(np.ravel(a), np.ravel(b))[0, 1]) < 0.006


def test_series_get_noise_and_factors_for_each_channel():
    x = torch.randn(300, 4, 50, generator=generator())
    factors = pipeline({"kind": "scaling", "sigma": 0.2}, shape=(4, 50))
    parameters = factors.draw((300,), generator(1))
    assert torch.allclose(factors.views(x, parameters), x * parameters[:, :, None])
    assert float(parameters.mean()) == pytest.approx(1, abs=0.02) and float(parameters.std()) == pytest.approx(0.2, rel=0.1)
    jitter = pipeline({"kind": "jitter", "sigma": 0.3}, {"kind": "mixup"}, shape=(4, 50))
    parameters = jitter.draw((300,), generator(1))
    views = jitter.views(x, parameters)
    assert float((views - x).std()) == pytest.approx(0.3, rel=0.01) and abs(float((views - x).mean())) < 0.01
    assert torch.equal(views[5:6], jitter.views(x[5:6], parameters[5:6]))


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


@pytest.mark.parametrize(
    ("kind", "shape", "message"),
    [
        (
            "flip",
            (12,),
            "flip changes images, and the samples are vectors. Leave it out; for vectors there are jitter and mixup.",
        ),
        ("cutmix", (6, 128), "cutmix changes images, and the samples are series"),
        ("scaling", (12,), "scaling changes series, and the samples are vectors"),
        ("jitter", (3, 8, 8), "jitter changes vectors and series, and the samples are images. Leave it out."),
        ({"kind": "color", "hue": 0.1}, (13, 8, 8), "one or three channels, and these have 13"),
        ("rand_augment", (2, 8, 8), "one or three channels, and these have 2"),
        ({"kind": "crop", "padding": 8, "fill": "reflect"}, (3, 9, 8), "can't mirror 8 pixels of images of 9x8"),
    ],
)
def test_samples_that_a_kind_does_not_apply_to_are_refused(kind, shape, message):
    with pytest.raises(TlbenchError, match=message):
        pipeline(kind, shape=shape)


def test_an_augmentation_is_described_by_what_it_declares():
    kinds = [{"kind": "crop", "padding": 2, "fill": "edge"}, {"kind": "flip", "probability": 0.5}, "cutmix"]
    texts = [described(one) for one in Training.model_validate({"augment": kinds}).augment]
    assert texts == ["crop (padding = 2, fill = edge)", "flip", "cutmix"]


@pytest.mark.parametrize(
    ("kinds", "message"),
    [
        ([{"kind": "filp"}], "train.augment[0]: Unknown kind 'filp'. Did you mean 'flip'?"),
        ([{"kind": "crop", "paddng": 1}], "train.augment[0]: Unknown option 'paddng' of crop. Did you mean 'padding'?"),
        (["flip", {"kind": "crop", "padding": 0}], "train.augment[1]: padding = 0 should be greater than or equal to 1."),
        ([{"kind": "color"}], "train.augment[0]: color changes nothing. Set brightness, contrast, saturation or hue above 0."),
        ([{"kind": "random_resized_crop", "scale": [0.5]}], "must be a list of two numbers, the smallest and the largest."),
        ([{"kind": "random_resized_crop", "scale": [0.5, 2]}], "must be two shares of the area"),
        ([{"kind": "random_resized_crop", "ratio": [2, 1]}], "must be two ratios"),
        ([{"kind": "mixup"}, {"kind": "flip"}], "train.augment: mixup mixes finished samples and comes last."),
        (["mixup", "cutmix", "mixup"], "train.augment: mixup is listed twice. List it once."),
        ([3], "train.augment[0]: An entry must be a table with the key 'kind'. Available: crop, flip,"),
        ("flip", "train.augment = 'flip' should be a valid list."),
    ],
)
def test_a_wrong_declaration_is_one_readable_error(kinds, message):
    with pytest.raises(ValidationError) as raised:
        Training.model_validate({"augment": kinds})
    ((_, text),) = schema_errors(raised.value, Training, "train")
    assert message in text


def test_token_ids_are_refused():
    with pytest.raises(TlbenchError, match="the samples are token ids"):
        check_shape(Training.model_validate({"augment": ["mixup"]}).augment, (64,), tokens=True)
