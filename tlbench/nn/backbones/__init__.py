"""The registry of backbones: one module each, with a class `Options` and `build(shape, options) -> Backbone`.

A module may have a function `published_file(options) -> Path | None` as well: the file of published weights that the option
`weights` names (`weights.downloaded` fetches it where that is allowed), or None where it names a file of the user's.

A function `published_weights(options)` gives what is stated of those weights, a `weights_facts.PublishedWeights` or None.

`PATH_KEYS` of a module names the options that are paths, where they are others than `weights`; the paths that `build` gets are
those of the files below the data root. `READS_TOKENS = True` in a module says that its samples are token ids (N, length).

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
from tlbench.data import resolve_data_root
from tlbench.errors import TlbenchError, schema_errors, unknown_name
from tlbench.nn import weights
from tlbench.nn.shapes import suitable_backbone
from tlbench.suite import NamedFile, Network

if TYPE_CHECKING:
    from tlbench.nn.net import Backbone

ENTRY_POINTS = "tlbench.backbones"
"""The entry-point group of installed packages; each entry point names a module."""
RESERVED_KEYS = frozenset(Network.model_fields)
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

    A shipped file keeps its name. A file that was edited since an earlier registration is imported anew.

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
    plugins.forget_changed_file(file.resolve())
    return name


def registered_files() -> list[Path]:
    """The files outside the package that `register_file` has registered."""
    return list(_registered.values())


def resolve_backbone(name: str, shape: tuple[int, ...]) -> str:
    """Chosen by a sample's shape: mlp for vectors, conv1d for series, lenet for images (from 20 pixels on) or convnet.

    Names other than `auto` stay as they are.
    """
    return suitable_backbone(shape) if name == "auto" else name


def plugin_hash(name: str) -> str | None:
    """The sha256 of the file that defines a third-party backbone, as `plugins.module_hash`; None for a shipped one.

    Raises:
        TlbenchError: there is no such backbone, or it cannot be imported.
    """
    family = name.partition(":")[0]
    if family in _registered:
        return plugins.file_hash(_registered[family])
    return None if family == "auto" or family in _shipped() else plugins.module_hash(backbone_module(family).__name__)


def full_name(name: str, options: Mapping[str, Any], shape: tuple[int, ...] | None) -> str | None:
    """The name of a backbone with its network, `torchvision:resnet18`; None for `auto` where no shape of a sample is given."""
    if name == "auto" and shape is None:
        return None
    family, options = family_and_options(name if shape is None else resolve_backbone(name, shape), options)
    network = options.get("network")
    return f"{family}:{network}" if isinstance(network, str) and network else family


def named_files(name: str, options: Mapping[str, Any], root: Path, sha256: str = "") -> dict[str, NamedFile]:
    """The files that the options of a backbone name, weights among them, by the text that names them.

    Args:
        name: the backbone, as the suite declares it.
        options: its options.
        root: the data root.
        sha256: what the suite states for the option `weights`; empty: nothing.

    Raises:
        TlbenchError: a file is not there, lies outside the data root or has another sha256 than stated; or published weights
            are not on this machine, and can't or may not be downloaded.
    """
    name, options = family_and_options(name, options)
    path_keys = _path_keys(name)
    published = None
    if options.get("weights") and not str(options["weights"]).startswith(weights.PREFIX):
        module = backbone_module(name)
        if (find := getattr(module, "published_file", None)) is not None:
            try:
                published = find(module.Options(**options))
            except TlbenchError as error:
                raise TlbenchError(f"net.weights: {error}") from error
    return weights.named_files(options, root, published, sha256, path_keys)


def declared_paths(name: str, options: Mapping[str, Any]) -> list[str]:
    """What the options of a backbone that are paths name; `named_files` has to locate each of them.

    Args:
        name: the backbone, as the suite declares it.
        options: its options.

    Raises:
        TlbenchError: there is no such backbone, or it cannot be imported.
    """
    name, options = family_and_options(name, options)
    keys = _path_keys(name)
    return [text for key, text in weights.texts(options) if key in keys]


def check_tokens(name: str, *, tokens: bool) -> None:
    """Check that a backbone and samples agree on token ids; the module of a backbone that reads them has `READS_TOKENS = True`.

    Args:
        name: the backbone, as the suite declares it.
        tokens: whether the samples are token ids.

    Raises:
        TlbenchError: one is for token ids, and the other is not.
    """
    family = name.partition(":")[0]
    reads_tokens = family != "auto" and bool(getattr(backbone_module(family), "READS_TOKENS", False))
    if tokens and not reads_tokens:
        raise TlbenchError(
            f"net.backbone: The samples are token ids, which {name} does not read. Choose hf:FOLDER, the network of the "
            "tokenizer, or word_vectors:FILE."
        )
    if reads_tokens and not tokens:
        raise TlbenchError(
            f"net.backbone: {family} reads token ids, and the samples are none. Set features = 'tokens' in the text reader."
        )


def build_backbone(
    name: str, shape: tuple[int, ...], options: Mapping[str, Any], files: Mapping[str, NamedFile] | None = None
) -> Backbone:
    """Build a backbone for samples of a shape, with new weights or those that its options name.

    Args:
        name: the name of the backbone; `torchvision:resnet18` names its network as well.
        shape: the shape of a sample.
        options: the options of the backbone.
        files: the files that the options name, from `named_files`; None: they are looked for below TLBENCH_DATA or the current
            folder.

    Raises:
        TlbenchError: the backbone or an option does not exist, the backbone cannot take samples of this shape, a file is not
            there or has changed since `named_files`, or a third-party backbone breaks the contract.
    """
    from tlbench.nn.net import Backbone

    name, options = family_and_options(resolve_backbone(name, shape), options)
    if errors := suite_errors({"net": {"backbone": name, **options}}):
        raise TlbenchError("\n".join(errors))
    module = backbone_module(name)
    if files is None:
        files = named_files(name, options, resolve_data_root(None))
    backbone = module.build(shape, module.Options(**weights.with_paths(options, files)))
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
    if net.get("sha256") and not net.get("weights"):
        return ["net.sha256: It is the checksum of the file that net.weights names. Name the file, or leave the checksum out."]
    name, options = family_and_options(
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


def family_and_options(name: str, options: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    """The module of a backbone and its options: `torchvision:resnet18` is `torchvision` with network = 'resnet18'."""
    family, _, network = name.partition(":")
    return family, {**options, **({"network": network} if network else {})}


def _path_keys(family: str) -> tuple[str, ...]:
    """The options of a backbone that are paths."""
    return () if family == "auto" else tuple(getattr(backbone_module(family), "PATH_KEYS", weights.PATH_KEYS))


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
