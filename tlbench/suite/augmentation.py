"""What `train.augment` declares: one class for each kind of train-time augmentation, with its options and their ranges."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from tlbench.errors import schema_errors, unknown_name
from tlbench.terms import Strict


class Kind(Strict):
    """The base class of all kinds; values are not converted between numbers and texts."""

    model_config = ConfigDict(strict=True, allow_inf_nan=False)


class Crop(Kind):
    """A random crop of an image that was padded on all sides, of the size that the image had."""

    kind: Literal["crop"]
    padding: int = Field(4, ge=1, le=1024, description="pixels added on each side")
    fill: Literal["black", "edge", "reflect"] = "black"
    """What the padding holds: 0, the nearest pixel of the image, or its mirror image."""


class Flip(Kind):
    """A mirror image, with a probability."""

    kind: Literal["flip"]
    direction: Literal["horizontal", "vertical"] = "horizontal"
    probability: float = Field(0.5, gt=0, le=1)


class Rotation(Kind):
    """A rotation about the centre by a random angle, by the nearest pixel; what comes from outside is black."""

    kind: Literal["rotation"]
    degrees: float = Field(10.0, gt=0, le=180, description="the angle is drawn from [-degrees, degrees]")


class Color(Kind):
    """Brightness, contrast and saturation times a factor in [1 - value, 1 + value], and hue turned by up to its value.

    They follow each other in a random order, as in torchvision's ColorJitter.
    """

    kind: Literal["color"]
    brightness: float = Field(0.0, ge=0, le=1)
    contrast: float = Field(0.0, ge=0, le=1)
    saturation: float = Field(0.0, ge=0, le=1)
    hue: float = Field(0.0, ge=0, le=0.5, description="share of the colour circle")

    @model_validator(mode="after")
    def _changes_something(self) -> Color:
        if not (self.brightness or self.contrast or self.saturation or self.hue):
            raise ValueError("color changes nothing. Set brightness, contrast, saturation or hue above 0.")
        return self


def _two_numbers(value: Any) -> Any:
    if not isinstance(value, list | tuple) or len(value) != 2:
        raise ValueError(f"{value!r:.60} must be a list of two numbers, the smallest and the largest.")
    return tuple(value)


Range = Annotated[tuple[float, float], BeforeValidator(_two_numbers)]


class RandomResizedCrop(Kind):
    """A random rectangle of an image, resized to the size of the image. Szegedy et al., Going deeper with convolutions, 2015.

    https://arxiv.org/abs/1409.4842
    """

    kind: Literal["random_resized_crop"]
    scale: Range = (0.08, 1.0)
    """The share of the image's area that the rectangle covers."""
    ratio: Range = (3 / 4, 4 / 3)
    """Its width over its height."""

    @model_validator(mode="after")
    def _ordered_ranges(self) -> RandomResizedCrop:
        if not 0 < self.scale[0] <= self.scale[1] <= 1:
            raise ValueError(f"scale = {list(self.scale)} must be two shares of the area, 0 < smallest <= largest <= 1.")
        if not 0.1 <= self.ratio[0] <= self.ratio[1] <= 10:
            raise ValueError(f"ratio = {list(self.ratio)} must be two ratios, 0.1 <= smallest <= largest <= 10.")
        return self


class RandAugment(Kind):
    """Several operations, drawn for each image from the 14 of RandAugment. Cubuk et al., RandAugment, 2020.

    https://arxiv.org/abs/1909.13719
    """

    kind: Literal["rand_augment"]
    operations: int = Field(2, ge=1, le=10, description="operations for each image")
    magnitude: int = Field(9, ge=0, le=30, description="strength of the operations, from 0 to 30")


class Jitter(Kind):
    """Gaussian noise on vectors and series. Um et al., Data augmentation of wearable sensor data, ICMI 2017.

    https://arxiv.org/abs/1706.00527
    """

    kind: Literal["jitter"]
    sigma: float = Field(0.05, gt=0, le=100, description="standard deviation, in the unit of the samples")


class Scaling(Kind):
    """A factor for each channel of a series, drawn from N(1, sigma^2). Um et al., ICMI 2017, as `jitter`."""

    kind: Literal["scaling"]
    sigma: float = Field(0.1, gt=0, le=10, description="standard deviation of the factors")


class MixUp(Kind):
    """Each labelled sample and its labels blended with those of another one, with a share drawn from Beta(alpha, alpha).

    Zhang et al., mixup: Beyond empirical risk minimization, ICLR 2018. https://arxiv.org/abs/1710.09412
    """

    kind: Literal["mixup"]
    alpha: float = Field(0.2, gt=0, le=100)


class CutMix(Kind):
    """A rectangle of each labelled image taken from another one, and the labels mixed by area, from Beta(alpha, alpha).

    Yun et al., CutMix, ICCV 2019. https://arxiv.org/abs/1905.04899
    """

    kind: Literal["cutmix"]
    alpha: float = Field(1.0, gt=0, le=100)


AnyKind = Crop | Flip | Rotation | Color | RandomResizedCrop | RandAugment | Jitter | Scaling | MixUp | CutMix
KINDS: dict[str, type[AnyKind]] = {
    "crop": Crop,
    "flip": Flip,
    "rotation": Rotation,
    "color": Color,
    "random_resized_crop": RandomResizedCrop,
    "rand_augment": RandAugment,
    "jitter": Jitter,
    "scaling": Scaling,
    "mixup": MixUp,
    "cutmix": CutMix,
}
MIXING_KINDS = frozenset({"mixup", "cutmix"})
"""The kinds that mix samples, and their labels with them."""


def _checked(entry: Any) -> Any:
    """An entry of the list, a table or the name of a kind, as the class of its kind.

    Raises:
        ValueError: the kind does not exist, or an option is wrong.
    """
    if isinstance(entry, Kind):
        return entry
    table = {"kind": entry} if isinstance(entry, str) else entry
    if not isinstance(table, Mapping) or not isinstance(table.get("kind"), str):
        raise ValueError(f"An entry must be a table with the key 'kind'. Available: {', '.join(KINDS)}.")
    name = table["kind"]
    if name not in KINDS:
        raise ValueError(unknown_name("kind", name, KINDS))
    try:
        return KINDS[name].model_validate(dict(table))
    except ValidationError as error:
        raise ValueError(" ".join(text for _, text in schema_errors(error, KINDS[name], what=f"option of {name}"))) from error


Augmentation = Annotated[AnyKind, BeforeValidator(_checked)]
"""One entry of `train.augment`."""


def described(kind: AnyKind) -> str:
    """A kind with those of its options that are not at their defaults, such as `crop (padding = 2)`."""
    options = kind.model_dump(mode="json", exclude={"kind"}, exclude_defaults=True)
    listed = ", ".join(f"{key} = {value}" for key, value in options.items())
    return f"{kind.kind} ({listed})" if listed else kind.kind


def order_error(kinds: Sequence[AnyKind]) -> str | None:
    """What is wrong with the order of a list of augmentations; None where nothing is."""
    names = [one.kind for one in kinds]
    mixing = [name for name in names if name in MIXING_KINDS]
    if len(set(mixing)) < len(mixing):
        return f"{mixing[0]} is listed twice. List it once."
    if mixing and names[-len(mixing) :] != mixing:
        return f"{mixing[0]} mixes finished samples and comes last. Move it to the end of the list."
    return None
