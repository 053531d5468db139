"""Weights of backbones: the files that a suite names, and state dicts loaded into networks.

`weights = "file:PATH"`, or a plain path, names a file by a path that is absolute or below the data root; so do the options that
a backbone names in `PATH_KEYS`. Any other text among the options that is the path of a file there counts as well, and with a
slash that of a folder. The sha256 of each is in the identity of the cases that read it.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlparse

from tlbench import content_hashes
from tlbench.data.decoding import files
from tlbench.errors import TlbenchError
from tlbench.suite import NamedFile

if TYPE_CHECKING:
    from torch import Tensor, nn

PREFIX = "file:"
PATH_KEYS = ("weights",)
"""The options of a backbone that are paths, where its module has no `PATH_KEYS` of its own."""
TORCH_SUFFIXES = (".pth", ".th", ".pt", ".tar", ".bin")
SAFETENSORS_SUFFIX = ".safetensors"
STATE_KEYS = ("state_dict_ema", "state_dict", "model")
"""The keys of checkpoints that hold a state dict, in the order in which they are tried: averaged weights come first."""
KEY_PREFIXES = ("module.", "_orig_mod.")
"""What data parallel and compiled training put before the name of every tensor."""
SHOWN_KEYS = 3
"""So many keys of each kind are named where a file does not fit a network."""


def named_files(
    options: Mapping[str, Any],
    root: Path,
    published: Path | None = None,
    sha256: str = "",
    path_keys: Collection[str] = PATH_KEYS,
) -> dict[str, NamedFile]:
    """The files and folders that the options of a backbone name, by the text that names them.

    Args:
        options: the options, as the suite declares them.
        root: the data root.
        published: the file of the weights, where the option `weights` is the name of published ones.
        sha256: what the suite states for `weights`; empty: nothing.
        path_keys: the options that are paths; what they name must be there.

    Raises:
        TlbenchError: a file is not there or lies outside the data root, or has another sha256 than stated.
    """
    named: dict[str, NamedFile] = {}
    for key, text in texts(options):
        is_weights = key == "weights"
        with files.error_prefix(f"net.{key}"):
            if is_weights and published is not None:
                path: Path | None = published
            elif key in path_keys or text.startswith(PREFIX):
                path = _located(text.removeprefix(PREFIX), root)
            else:
                path = _existing(text, root)
            if path is None:
                continue
            named[text] = NamedFile(path.absolute(), _sha256(path))
            if is_weights and sha256 and named[text].sha256 != sha256:
                raise TlbenchError(
                    f"The file {text!r} has the sha256 {named[text].sha256}, and the suite states {sha256}. Use the file that "
                    "the suite means, or state the new checksum."
                )
    return named


def with_paths(options: Mapping[str, Any], named: Mapping[str, NamedFile]) -> dict[str, Any]:
    """The options of a backbone with the path of each named file in the place of the text that names it.

    Raises:
        TlbenchError: a file is not on this machine, or has changed since the run was planned.
    """
    paths: dict[str, str] = {}
    for text, file in named.items():
        with files.error_prefix("net"):
            if _sha256(file.path) != file.sha256:
                raise TlbenchError(
                    f"{file.path} has the sha256 {_sha256(file.path)}, and had {file.sha256} when the run was planned. Weights "
                    "must not change during a run, and must be the same on every machine: start the run again."
                )
        paths[text] = str(file.path)

    def replaced(value: Any) -> Any:
        if isinstance(value, str):
            return paths.get(value, value)
        if isinstance(value, Mapping):
            return {key: replaced(item) for key, item in value.items()}
        return [replaced(item) for item in value] if isinstance(value, list | tuple) else value

    return {key: replaced(value) for key, value in options.items()} if paths else dict(options)


def downloaded(name: str, url: str, file_name: str = "") -> Path:
    """The file of published weights in torch's folder of checkpoints (TORCH_HOME), downloaded where that is allowed.

    Args:
        name: what the file holds, for errors: "DEFAULT of resnet50".
        url: its address.
        file_name: the name of the file there; empty: the last part of the address.

    Raises:
        TlbenchError: the file is not on this machine and downloads are not allowed, or the download fails.
    """
    from torch import hub

    path = Path(hub.get_dir()) / "checkpoints" / (file_name or Path(urlparse(url).path).name)
    if path.is_file():
        return path
    if not files.download_allowed():
        raise TlbenchError(
            f"The weights {name} are not on this machine ({path}). Allow their download from {url} by --download, or name a "
            'file of your own, as in weights = "file:PATH".'
        )
    stated = re.search(r"-([a-f0-9]{8,})\.", path.name)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        hub.download_url_to_file(url, str(path), stated and stated.group(1), progress=False)
    except (OSError, RuntimeError) as error:  # no network, a full disk, another checksum
        raise TlbenchError(
            f"The weights {name} can't be downloaded from {url}: {error}. Check the network, or put the file at {path}."
        ) from error
    return path


def load(network: nn.Module, path: Path, *, name: str, last: str = "", unused: Iterable[str] = ()) -> None:
    """Load a file's weights into a network. Half precision becomes that of the network.

    The file and the network must hold the same tensors of the same shapes; only what is named here is left out.

    Args:
        network: the network, whose weights are replaced.
        path: a checkpoint of torch, or a safetensors file.
        name: the name of the network, for errors.
        last: the path of its last layer, which is not loaded: the file may be of another number of classes, or lack it.
        unused: prefixes of tensors in the file that the network lacks on purpose, such as those of auxiliary classifiers.

    Raises:
        TlbenchError: the file can't be read or does not fit the network.
    """
    import torch

    left_out = (*unused, *([f"{last}."] if last else []))
    expected = {key: tensor for key, tensor in network.state_dict().items() if not key.startswith(left_out)}
    state = {key: tensor for key, tensor in read_state(path).items() if not key.startswith(left_out)}
    counters = {key for key in expected if key.endswith("num_batches_tracked")}  # older checkpoints lack them
    differences = {
        "missing": [key for key in expected if key not in state and key not in counters],
        "unexpected": [key for key in state if key not in expected],
        "of another shape": [key for key in expected if key in state and expected[key].shape != state[key].shape],
    }
    if any(differences.values()):
        listed = "; ".join(f"{len(keys)} {kind}, such as {_listed(keys)}" for kind, keys in differences.items() if keys)
        raise TlbenchError(
            f"{path} does not fit {name}: of its {len(expected)} tensors, {listed}. Name the network that the file is of, or "
            "another file."
        )
    with torch.no_grad():
        network.load_state_dict({**network.state_dict(), **state})


def read_state(path: Path) -> dict[str, Tensor]:
    """The state dict of a file, on the CPU: of a checkpoint of torch (no code in it is run), or of a safetensors file.

    Checkpoints may hold it at the top, or under one of `STATE_KEYS`; a prefix of `KEY_PREFIXES` that all names have is removed.

    Raises:
        TlbenchError: the file is of neither kind, is damaged, or holds no tensors by name.
    """
    import torch

    if path.suffix == SAFETENSORS_SUFFIX:
        from safetensors.torch import load_file

        with files.guarded_reading(path, "safetensors"):
            content: Any = load_file(path)
    elif path.suffix in TORCH_SUFFIXES:
        with files.guarded_reading(path, "checkpoint (a state dict of torch, read with weights_only=True)"):
            content = torch.load(path, map_location="cpu", weights_only=True)
    else:
        suffixes = ", ".join((*TORCH_SUFFIXES, SAFETENSORS_SUFFIX))
        raise TlbenchError(f"{path}: Weights are files with a suffix of {suffixes}. Rename the file, or convert it.")
    for key in STATE_KEYS:
        if isinstance(content, Mapping) and isinstance(content.get(key), Mapping):
            content = content[key]
            break
    tensors = content if isinstance(content, Mapping) else {}
    state = {str(key): value for key, value in tensors.items() if isinstance(value, torch.Tensor)}
    if not state:
        raise TlbenchError(f"{path}: The file holds no tensors by name, at its top or under {', '.join(STATE_KEYS)}.")
    for prefix in KEY_PREFIXES:
        if all(key.startswith(prefix) for key in state):
            state = {key.removeprefix(prefix): value for key, value in state.items()}
    return state


def _listed(keys: list[str]) -> str:
    return ", ".join(keys[:SHOWN_KEYS])


def texts(options: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """The texts among options that are not empty, each with the key of its option."""
    for key, value in options.items():
        for text in files.nested_texts(value):
            if text:
                yield key, text


def _located(text: str, root: Path) -> Path:
    """The file or folder of a path: absolute, or below the data root.

    Raises:
        TlbenchError: it is not there, or is relative and leaves the data root.
    """
    if not Path(text).is_absolute():
        return files.find(root, text, folder=(root / text).is_dir())
    if not Path(text).exists():
        raise TlbenchError(f"There is no file {text!r}. Give the path of a file of weights, absolute or below the data root.")
    return Path(text)


def _existing(text: str, root: Path) -> Path | None:
    """The file that a text names, or the folder where it has a slash; None where there is none."""
    try:
        path = _located(text, root)
    except (TlbenchError, OSError, ValueError):
        return None
    return path if "/" in text or path.is_file() else None


def _sha256(path: Path) -> str:
    try:
        return content_hashes.sha256(path)
    except OSError as error:
        raise TlbenchError(f"{path} can't be read on this machine: {error.strerror}.") from error
