"""The registry of backbones: one module each, with a class `Options` and `build(shape, options) -> Backbone`.

A file of this folder is a backbone under its name. Third-party backbones are files that `--plugin` names, or modules that an
installed package names in its entry-point group `tlbench.backbones`; a suite uses all of them as `backbone = "NAME"`.
"""

from __future__ import annotations

import functools
import importlib
import inspect
import pkgutil
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ValidationError

from tlbench import plugins
from tlbench.errors import TlbenchError, schema_errors, unknown_name
from tlbench.nn.shapes import suitable_backbone

if TYPE_CHECKING:
    from tlbench.nn.net import Backbone

ENTRY_POINTS = "tlbench.backbones"
"""The entry-point group of installed packages; each entry point names a module."""
RESERVED_KEYS = frozenset({"backbone", "mean", "std", "frozen", "bottleneck"})
"""Keys of the `[net]` table that the suite reads itself, so that no backbone may have an option of the same name."""
_registered: dict[str, Path] = {}


def backbone_names() -> list[str]:
    """The names of all backbones; no backbone is imported."""
    return sorted({*_shipped(), *_registered, *plugins.entry_points(ENTRY_POINTS)})


def backbone_summary(name: str) -> str:
    """The first line of a backbone's docstring; no backbone is imported."""
    if name == "auto":
        return (resolve_backbone.__doc__ or "").partition("\n")[0]
    if name in _registered:
        return plugins.summary(_registered[name])
    if name in _shipped():
        return plugins.summary(Path(__file__).with_name(f"{name}.py"))
    return f"(entry point {plugins.entry_points(ENTRY_POINTS)[name].value})"


def register_file(file: Path) -> str:
    """Register the backbone that a file outside the package defines, and return its name, that of the file.

    A shipped file keeps its name. Records do not hold the content of the file: rename it when its numbers change.

    Raises:
        TlbenchError: the file does not exist or lacks `Options` or `build`, or the name is taken.
    """
    plugins.check_file(file)
    name = file.stem
    if missing := plugins.missing_backbone_names(file):
        raise TlbenchError(
            f"plugin {file}: A backbone's file defines a class Options and a function build(shape, options); this one lacks "
            f"{' and '.join(missing)}. Define both, or, in a method's file, neither at its top level."
        )
    if name in _shipped() and file.resolve().parent == Path(__file__).resolve().parent:
        return name
    if name == "auto" or name in _shipped():
        raise TlbenchError(f"plugin {file}: There is already a backbone {name!r}. Rename the file.")
    if name in _registered and _registered[name] != file.resolve():
        raise TlbenchError(f"plugin {file}: {_registered[name]} already defines a backbone {name!r}. Rename one of the files.")
    _registered[name] = file.resolve()
    return name


def registered_files() -> list[Path]:
    """The files outside the package that `register_file` has registered."""
    return list(_registered.values())


def resolve_backbone(name: str, shape: tuple[int, ...]) -> str:
    """Chosen by a sample's shape: mlp for vectors, conv1d for series, lenet for images (from 20 pixels on) or convnet.

    Names other than `auto` stay as they are.
    """
    return suitable_backbone(shape) if name == "auto" else name


def build_backbone(name: str, shape: tuple[int, ...], options: Mapping[str, Any]) -> Backbone:
    """Build a backbone with new weights for samples of `shape`.

    Raises:
        TlbenchError: the backbone or an option does not exist, the backbone cannot take samples of this shape, or a third-party
            one breaks the contract.
    """
    from tlbench.nn.net import Backbone

    name, options = _with_network(resolve_backbone(name, shape), options)
    if errors := suite_errors({"net": {"backbone": name, **options}}):
        raise TlbenchError("\n".join(errors))
    module = backbone_module(name)
    backbone = module.build(shape, module.Options(**options))
    if not isinstance(backbone, Backbone):
        raise TlbenchError(
            f"backbone {name}: build(shape, options) returned an object of {type(backbone).__name__}. It must return a "
            "tlbench.nn.net.Backbone(stages, width)."
        )
    return backbone


def backbone_module(name: str) -> ModuleType:
    """The module of a backbone.

    Raises:
        TlbenchError: there is no such backbone, it cannot be imported, or it breaks the contract of `Options` and `build`.
    """
    if name in _shipped():
        return importlib.import_module(f"{__name__}.{name}")
    if name in _registered:
        module, where = plugins.import_file(_registered[name]), f"plugin {_registered[name]}"
    elif name in plugins.entry_points(ENTRY_POINTS):
        point = plugins.entry_points(ENTRY_POINTS)[name]
        module, where = plugins.load_entry_point(point), f"entry point {name} of {ENTRY_POINTS}"
    else:
        raise TlbenchError(unknown_name("backbone", name, [*backbone_names(), "auto"]))
    _check_contract(module, where)
    return module


def suite_errors(raw: Mapping[str, Any]) -> list[str]:
    """The errors in the `[net]` table of a suite, a sentence each."""
    net = raw.get("net", {})
    if not isinstance(net, Mapping) or not isinstance(net.get("backbone", "auto"), str):
        return []  # the suite's own schema reports it
    if net.get("bottleneck") and not net.get("frozen"):
        return ["net.bottleneck: A bottleneck is a layer on frozen features. Set frozen = true as well."]
    name, options = _with_network(
        net.get("backbone", "auto"), {key: value for key, value in net.items() if key not in RESERVED_KEYS}
    )
    if name == "auto":
        return [f"net.{key}: The backbone 'auto' has no options. Name a backbone to set them." for key in options]
    if name not in backbone_names():
        return [unknown_name("backbone", name, [*backbone_names(), "auto"], "net.backbone")]
    try:
        model: type[BaseModel] = backbone_module(name).Options
    except TlbenchError as error:
        return [str(error)]
    try:
        model.model_validate(options)
    except ValidationError as error:
        return [sentence for _, sentence in schema_errors(error, model, "net")]
    return []


@functools.cache
def _shipped() -> frozenset[str]:
    return frozenset(module.name for module in pkgutil.iter_modules(__path__))


def _with_network(name: str, options: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    """`torchvision:resnet18` is the backbone `torchvision` with the option network = 'resnet18'."""
    family, _, network = name.partition(":")
    return family, {**options, **({"network": network} if network else {})}


def _check_contract(module: object, where: str) -> None:
    """Check that a third-party module defines `Options` and `build` as the contract asks."""
    model: Any = getattr(module, "Options", None)
    build: Any = getattr(module, "build", None)
    if not isinstance(model, type) or not issubclass(model, BaseModel):
        raise TlbenchError(f"{where}: Options is no pydantic model. Write `class Options(pydantic.BaseModel)`.")
    if model.model_config.get("extra") != "forbid":
        raise TlbenchError(
            f"{where}: Options accepts unknown options, so that a misspelt one would have no effect. "
            'Give it model_config = ConfigDict(extra="forbid").'
        )
    if reserved := sorted(RESERVED_KEYS & {*model.model_fields}):
        raise TlbenchError(f"{where}: The suite reads the key {reserved[0]!r} of [net] itself. Rename the option.")
    try:
        inspect.signature(build).bind((), None)
    except (TypeError, ValueError) as error:
        raise TlbenchError(f"{where}: build must be a function of two arguments, build(shape, options): {error}.") from error
