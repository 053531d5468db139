"""What `train.augment` may declare: wrong kinds and options, samples that a kind does not apply to, its description."""

from __future__ import annotations

import pytest
from augmented_samples import pipeline
from pydantic import ValidationError

from tlbench.errors import TlbenchError, schema_errors
from tlbench.nn.augmentation.pipeline import check_shape
from tlbench.suite import Training
from tlbench.suite.augmentation import described


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
