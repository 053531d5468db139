"""A fitted method -> bytes of plain tensors and JSON, and back; no code is stored, and none is read.

A deep method is stored as its state (`training.method_state`) and restored into a network that is built anew. A shallow method
keeps a closure that only its own code can make, so the splits that it reads are stored, and it is fitted on them again.
"""

from __future__ import annotations

import io
import warnings
import zipfile
from collections.abc import Callable, Mapping
from typing import Any

import torch
from pydantic import BaseModel, ConfigDict, ValidationError
from torch import Tensor

from tlbench import methods
from tlbench.clock import Clock
from tlbench.engine.data.storage import Grants, SampleStore, Subset
from tlbench.engine.data.tasks import TargetScale
from tlbench.engine.fitting import FittedMethod, fit, prepare_training
from tlbench.engine.training import method_state
from tlbench.engine.training.outcome import Outcome
from tlbench.errors import NotApplicableError, NotSerializableError, TlbenchError
from tlbench.methods.base import DeepMethod
from tlbench.nn import backbones
from tlbench.nn.untrained import untrained_options
from tlbench.suite import NamedFile, Network, Protocol, Suite, Training
from tlbench.terms import SPLITS, Case, LabeledTask

FORMAT = 1
"""Raise it when the content of a file changes; files of other formats are refused."""
MAX_MODEL_BYTES = 2**31
"""Larger methods are not saved: a shallow method on gigabytes of samples."""
SAVED_TASKS = ("classification", "regression", "multi_task")
"""Tasks with one prediction a sample."""
SEEDS = ("solve", "stream")
"""The uses of random draws after the training of a deep method, and of the whole fit of a shallow one."""

FilesOf = Callable[[Network], Mapping[str, NamedFile]]
"""A network whose architecture is in files -> these files."""


class MethodFacts(BaseModel):
    """What a file holds of a fitted method beside tensors."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    format: int
    case: Case
    version: int
    """The version of the method's numbers under its options."""
    plugin: str | None
    """The hash of a third-party method."""
    torch: str
    protocol: Protocol
    net: Network
    train: Training
    precision: str
    shape: tuple[int, ...]
    """Of a sample."""
    dtype: str
    """Of stored samples: uint8, float32 or int32."""
    classes: int
    source_classes: int | None
    source_count: int
    regression: bool
    open_set: bool
    tasks: tuple[tuple[str, tuple[str, ...]], ...]
    seeds: dict[str, int]


def pack_method(
    fitted: FittedMethod, case: Case, suite: Suite, granted: Grants, precision: str, seed: Callable[[str], int]
) -> bytes:
    """The bytes of a fitted method.

    Args:
        fitted: the method after its training, and before it has adapted to a stream.
        case: the case that it was fitted in.
        suite: its network and training.
        granted: the granted splits.
        precision: of its steps.
        seed: the use of a random draw -> its seed.

    Raises:
        NotSerializableError: the method holds something that no file can store, or too much of it.
    """
    facts = _facts(case, suite, granted, precision, seed)
    method = fitted.method
    content: dict[str, Any]
    if isinstance(method, DeepMethod):
        scale = fitted.scale
        content = {"method": method_state.state_of_method(method), "mean": scale.mean, "deviation": scale.deviation}
    else:
        content = {"splits": _splits(granted, type(method).reads)}
    packed = io.BytesIO()
    torch.save({"facts": facts.model_dump_json(by_alias=True), **content}, packed)
    if packed.tell() > MAX_MODEL_BYTES:
        raise NotSerializableError(f"it takes {packed.tell():,} bytes, and {MAX_MODEL_BYTES:,} are the most")
    return packed.getvalue()


def load_method(content: bytes, device: torch.device, files_of: FilesOf = lambda net: {}) -> tuple[MethodFacts, FittedMethod]:
    """The fitted method that bytes hold, on a device; no code in them is run.

    Args:
        content: from `pack_method`, or a file of someone else.
        device: where it predicts.
        files_of: gives the files of a network whose architecture is in files.

    Raises:
        TlbenchError: they hold no fitted method, or one that this tlbench can't restore.
    """
    facts, stored = _parsed(content, device)
    _check_code(facts)
    case = facts.case
    domains = (case.sources, case.target)
    suite = Suite(case.suite, case.suite_version, "", "", {}, (domains,), facts.protocol, facts.net, facts.train, {})
    try:
        if not issubclass(methods.method_class(case.method), DeepMethod):
            return facts, _refitted(facts, suite, stored["splits"], device)
        blank = _blank_grants(facts, device)
        prepared = prepare_training(case, _without_weights(suite, files_of), blank, lambda use: 0, device)
        method = prepared.learner.method
        if method.net.is_inductive:
            method.renew_head()
        method_state.check_state(method, stored["method"])
        method_state.restore_method(method, stored["method"])
        scale = TargetScale(stored["mean"], stored["deviation"])
    except NotSerializableError as error:
        raise TlbenchError(f"{case.method} can't be restored: {error}. Run the case again with this tlbench.") from error
    except (KeyError, TypeError, AttributeError, RuntimeError, ValueError) as error:
        raise TlbenchError(f"The file holds no state of {case.method} ({type(error).__name__}). Run the case again.") from error
    return facts, FittedMethod(scale(prepared.learner.predictor), prepared.inputs, Outcome(), method, scale=scale)


def _facts(case: Case, suite: Suite, granted: Grants, precision: str, seed: Callable[[str], int]) -> MethodFacts:
    method_class = methods.method_class(case.method)
    if suite.protocol.task not in SAVED_TASKS:
        raise NotSerializableError("models that predict each position of a sample are not saved yet")
    if method_class.reads_class_texts:
        raise NotSerializableError("it embeds class names by the network of the suite, which is no part of the method")
    store = next(subset for split in SPLITS if (subset := getattr(granted, split)) is not None).store
    source = granted.source
    return MethodFacts(
        format=FORMAT,
        case=Case.model_validate(case.model_dump(include=set(Case.model_fields), by_alias=True)),
        version=method_class.version_with(methods.method_options(case.method, case.options)),
        plugin=methods.plugin_hash(case.method),
        torch=torch.__version__,
        protocol=suite.protocol,
        net=suite.net,
        train=suite.train,
        precision=precision,
        shape=store.shape,
        dtype=str(store.dtype).removeprefix("torch."),
        classes=granted.classes,
        source_classes=granted.source_classes,
        source_count=1 if source is None or source.domain is None else int(source.domain.max()) + 1,
        regression=granted.regression,
        open_set=granted.open_set,
        tasks=tuple((task.name, task.classes) for task in granted.tasks),
        seeds={use: seed(use) for use in SEEDS},
    )


def _splits(granted: Grants, reads: frozenset[str]) -> dict[str, dict[str, Tensor]]:
    """The tensors of the splits that a shallow method reads, on the CPU."""
    splits: dict[str, dict[str, Tensor]] = {}
    for split in SPLITS:
        subset: Subset | None = getattr(granted, split)
        if subset is None or split not in reads:
            continue
        if subset.store.shape and len(subset) * subset.store.tensors[0][:1].nbytes > MAX_MODEL_BYTES:
            raise NotSerializableError(f"its {split} samples take more than {MAX_MODEL_BYTES:,} bytes")
        facts = {"x": subset.x, "y": subset.y, "domain": subset.domain}
        splits[split] = {name: fact.detach().cpu().contiguous() for name, fact in facts.items() if fact is not None}
    return splits


def _parsed(content: bytes, device: torch.device) -> tuple[MethodFacts, dict[str, Any]]:
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            if any(member.compress_type != zipfile.ZIP_STORED for member in archive.infolist()):
                raise ValueError("compressed")
        with warnings.catch_warnings(action="ignore"):  # torch's, about kinds of tensors that are refused later
            stored = torch.load(io.BytesIO(content), map_location=device, weights_only=True)
        facts = MethodFacts.model_validate_json(stored["facts"])
    except ValidationError as error:
        raise TlbenchError("The file is of another version of tlbench. Run the case again with this one.") from error
    except Exception as error:  # torch and zipfile raise nearly anything on a stranger's bytes
        raise TlbenchError(f"The file holds no fitted method ({type(error).__name__}).") from error
    if facts.format != FORMAT:
        raise TlbenchError(f"The model has the format {facts.format}, and this tlbench reads {FORMAT}. Run the case again.")
    return facts, stored


def _check_code(facts: MethodFacts) -> None:
    """Check that the method is known here, and is the one that was saved.

    Raises:
        TlbenchError: it is unknown, or has other numbers here.
    """
    case = facts.case
    if facts.plugin is not None and case.method not in methods.method_names():
        raise TlbenchError(f"Method {case.method!r} is not part of tlbench. Name its file: plugins=['{case.method}.py'].")
    if (here := methods.plugin_hash(case.method)) != facts.plugin:
        raise TlbenchError(f"The file of method {case.method!r} has the hash {here}, and had {facts.plugin} in the run.")
    version = methods.method_class(case.method).version_with(methods.method_options(case.method, case.options))
    if version != facts.version:
        raise TlbenchError(
            f"The model is of version {facts.version} of {case.method}, which is version {version} here and may predict "
            "otherwise. Run the case again, or install the tlbench that its record names."
        )


def _without_weights(suite: Suite, files_of: FilesOf) -> Suite:
    """The suite with a network that reads no weights; with its files where the architecture is in them."""
    net = suite.net
    try:
        options = untrained_options(net.backbone, net.options, suite.files)
    except NotApplicableError:
        return Suite(**{**vars(suite), "files": files_of(net)})
    if backbones.declared_paths(net.backbone, options):
        return Suite(**{**vars(suite), "files": files_of(net)})
    named = net.model_dump(exclude={*net.options, "weights_source"}, exclude_unset=True)
    return Suite(**{**vars(suite), "net": Network.model_validate({**named, **options})})


def _blank_grants(facts: MethodFacts, device: torch.device) -> Grants:
    """A blank sample in each split: all that the construction of a method asks of its data."""
    dtype = {"uint8": torch.uint8, "int32": torch.int32}.get(facts.dtype, torch.float32)
    store = SampleStore([torch.zeros((1, *facts.shape), dtype=dtype)], device)
    index = torch.zeros(1, dtype=torch.long, device=device)
    tasks = tuple(LabeledTask(name, classes) for name, classes in facts.tasks)
    columns = len(tasks) or facts.classes
    y = torch.zeros((1, columns), device=device) if facts.regression or tasks else index
    labeled = Subset(store, index, y, index + facts.source_count - 1)
    return Grants(
        facts.classes,
        source=labeled,
        target=Subset(store, index),
        target_labeled=Subset(store, index, y),
        regression=facts.regression,
        open_set=facts.open_set,
        tasks=tasks,
        source_classes=facts.source_classes,
    )


def _refitted(
    facts: MethodFacts, suite: Suite, splits: Mapping[str, Mapping[str, Tensor]], device: torch.device
) -> FittedMethod:
    """A shallow method, fitted again on the splits that it was fitted on."""

    def subset(split: str) -> Subset | None:
        if (stored := splits.get(split)) is None:
            return None
        x = stored["x"]
        return Subset(SampleStore([x], x.device), torch.arange(len(x), device=x.device), stored.get("y"), stored.get("domain"))

    named: dict[str, Any] = {split: subset(split) for split in SPLITS}
    tasks = tuple(LabeledTask(name, classes) for name, classes in facts.tasks)
    granted = Grants(
        facts.classes,
        regression=facts.regression,
        open_set=facts.open_set,
        tasks=tasks,
        source_classes=facts.source_classes,
        **named,
    )
    return fit(facts.case, suite, granted, Clock(device), lambda use: facts.seeds[use], device)
