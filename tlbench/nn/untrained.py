"""The options of a backbone without its pre-trained weights, for the baseline that starts from a fresh network."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from tlbench.errors import NotApplicableError
from tlbench.nn import backbones


def untrained_options(name: str, options: Mapping[str, Any], files: Iterable[str] = ()) -> dict[str, Any]:
    """The options of the same network with new weights: without `weights`, and with `pretrained = false` where it exists.

    Args:
        name: the backbone, as the suite declares it.
        options: its options.
        files: the texts among the options that name files, such as the keys of `Suite.files`.

    Raises:
        NotApplicableError: the backbone is frozen, so that its features are all there is, or it consists of a file's content.
    """
    family, way_out = name.partition(":")[0], "A fresh network needs a backbone that learns and can do without them."
    if family == "features":
        raise NotApplicableError(f"the backbone is frozen: its features are those of the suite's weights. {way_out}")
    untrained = {key: value for key, value in options.items() if key != "weights"}
    has_switch = family != "auto" and "pretrained" in backbones.backbone_module(family).Options.model_fields
    if has_switch:
        return {**untrained, "pretrained": False}
    if others := sorted(set(files) - {str(options.get("weights"))}):
        raise NotApplicableError(f"the backbone {family} consists of the content of {others[0]}. {way_out}")
    return untrained
