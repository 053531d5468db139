"""The backbones that exist: one file each, found by lying here. Each gives `Options` and `build(shape, options) -> Backbone`."""

from __future__ import annotations

import ast
import importlib
import pkgutil
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ValidationError

from tlbench.errors import TlbenchError, schema_errors, unknown_name

if TYPE_CHECKING:
    from tlbench.nn.net import Backbone


OURS = frozenset({"backbone", "mean", "std", "frozen", "bottleneck"})
"""Keys of the `[net]` table that are no backbone's option."""


def backbone_names() -> list[str]:
    """The backbones that exist, by their file names; nothing is imported to answer."""
    return sorted(module.name for module in pkgutil.iter_modules(__path__))


def backbone_summary(name: str) -> str:
    """The first line of a backbone's file; nothing is imported to answer."""
    if name == "auto":
        return (resolve_backbone.__doc__ or "").partition("\n")[0]
    text = Path(__file__).with_name(f"{name}.py").read_text(encoding="utf-8")
    return (ast.get_docstring(ast.parse(text)) or "").partition("\n")[0]


def resolve_backbone(name: str, shape: tuple[int, ...]) -> str:
    """`auto` for rows of a shape: vectors get mlp, images lenet from 20 pixels on, smaller ones convnet."""
    if name != "auto":
        return name
    if len(shape) == 1:
        return "mlp"
    return "lenet" if min(shape[-2:]) >= 20 else "convnet"


def build_backbone(name: str, shape: tuple[int, ...], options: Mapping[str, Any]) -> Backbone:
    """A fresh backbone for rows of `shape`.

    Raises:
        TlbenchError: unknown backbone or option, or a backbone that can't take rows of this shape.
    """
    name, extra = _split(resolve_backbone(name, shape), options)
    if wrong := suite_errors({"net": {"backbone": name, **extra}}):
        raise TlbenchError("\n".join(wrong))
    module = importlib.import_module(f"{__name__}.{name}")
    backbone: Backbone = module.build(shape, module.Options(**extra))
    return backbone


def suite_errors(raw: Mapping[str, Any]) -> list[str]:
    """What is wrong with the `[net]` table of a suite."""
    net = raw.get("net", {})
    if not isinstance(net, Mapping) or not isinstance(net.get("backbone", "auto"), str):
        return []  # the suite's own schema says so
    if net.get("bottleneck") and not net.get("frozen"):
        return ["net.bottleneck: a layer on frozen features; it needs frozen = true"]
    name, options = _split(net.get("backbone", "auto"), {k: v for k, v in net.items() if k not in OURS})
    if name == "auto":
        return [f"net.{key}: unknown; backbone = 'auto' has no options, name a backbone to set them" for key in options]
    if name not in backbone_names():
        return [unknown_name("backbone", name, [*backbone_names(), "auto"], "net.backbone")]
    kind: type[BaseModel] = importlib.import_module(f"{__name__}.{name}").Options
    try:
        kind.model_validate(options)
    except ValidationError as error:
        return [sentence for _, sentence in schema_errors(error, kind, "net")]
    return []


def _split(name: str, options: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    """`torchvision:resnet18` is the backbone `torchvision` with the option network = 'resnet18'."""
    family, _, network = name.partition(":")
    return family, {**options, **({"network": network} if network else {})}
