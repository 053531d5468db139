"""`fit`: one method on arrays or tensors of your own, without a suite."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import torch
from pydantic import BaseModel, ValidationError
from torch import Tensor

from tlbench import clock, engine, methods, session
from tlbench.api.conversion import Array, LabelledSamples, Samples, TaskData, TaskKind, sample_tensor, task_data
from tlbench.data import resolve_data_root
from tlbench.engine.data.inputs import CHUNK_SAMPLES, chunk_sizes, map_in_chunks
from tlbench.engine.data.storage import Subset
from tlbench.engine.runtime.device import device_context
from tlbench.engine.runtime.seeds import seed_of, seeded_rng
from tlbench.engine.streams.predictor import StreamPredictor
from tlbench.errors import TlbenchError, schema_errors
from tlbench.methods.base import DeepMethod, Method
from tlbench.nn import backbones, weights_facts
from tlbench.suite import Network, Protocol, Suite, Training
from tlbench.terms import SPLITS, STREAM_SPLIT, Case

Model = TypeVar("Model", bound=BaseModel)


class FittedPredictor:
    """A method that `tlbench.fit` has fitted."""

    def __init__(self, fitted: engine.FittedMethod, data: TaskData, device: torch.device, batch: int) -> None:
        self.classes: Array | None = data.classes
        """The class labels (C,), in the order of the class scores; None for regression."""
        self.method: Method = fitted.method
        """The fitted method; a deep one has its network as `method.net`."""
        self.notes: tuple[str, ...] = fitted.notes
        """What ran otherwise than asked, and why."""
        self._fitted, self._data, self._device, self._batch = fitted, data, device, batch
        self._stream: StreamPredictor | None = None

    def predict(self, x: Samples) -> Array:
        """Predict samples (N, ...): class labels (N,); for regression values (N,) or (N, K), as the labels were given.

        A method that reads the stream goes on adapting to `x`, one batch after the other in the order of `x`.

        Raises:
            TlbenchError: the samples are not finite, or have another shape than those that the method was fitted on.
        """
        scores = self.decision_function(x)
        if self.classes is None:
            return scores[:, 0] if self._data.single_target else scores
        labels: Array = self.classes[scores.argmax(axis=1)]
        return labels

    def decision_function(self, x: Samples) -> Array:
        """Class scores (N, C) of samples (N, ...), which are logits for a deep method; for regression, values (N, K).

        Raises:
            TlbenchError: as `predict`.
        """
        samples = self._checked(x)
        with device_context(self._device):
            if not self._fitted.is_online or not isinstance(self.method, DeepMethod):
                scores = engine.predict_scored(self._fitted, samples, self._batch, 0, clock.Clock(self._device))
            else:
                with seeded_rng(0, self._device):
                    self._stream = self._stream or StreamPredictor(self.method, self._fitted.inputs)
                    scores = self._stream.predict(Subset.of(samples), chunk_sizes(len(samples), self._batch))
        array: Array = scores.detach().cpu().numpy()
        return array

    def features_of_inputs(self, x: Samples, method: DeepMethod) -> Array:
        """Features (N, D) that the backbone of the method gives of what the method reads (N, ...)."""
        samples = self._checked(x)
        with device_context(self._device):
            features = map_in_chunks(method.net.backbone.eval(), samples, self._fitted.inputs, CHUNK_SAMPLES)
        array: Array = features.detach().cpu().numpy()
        return array

    def _checked(self, x: Samples) -> Tensor:
        """The samples (N, ...) on the device.

        Raises:
            TlbenchError: they are not finite, or have another shape than those that the method was fitted on.
        """
        samples = sample_tensor(x, "x", self._device)
        if tuple(samples.shape[1:]) != self._data.shape:
            raise TlbenchError(
                f"x has samples of shape {tuple(samples.shape[1:])}, but the method was fitted on {self._data.shape}. "
                "Give samples with the same features."
            )
        return samples


def fit(
    method: str | Path | type[Method],
    source: LabelledSamples | Sequence[LabelledSamples] | None,
    target: Samples | None = None,
    target_labeled: LabelledSamples | None = None,
    *,
    task: TaskKind | None = None,
    net: Mapping[str, Any] | None = None,
    train: Mapping[str, Any] | None = None,
    device: str = "auto",
    seed: int = 0,
    **options: Any,
) -> FittedPredictor:
    """Fit one method on arrays or tensors, and return its predictor.

    Samples are (N, D) for vectors, (N, channels, length) for series and (N, channels, height, width) for images; images are
    uint8, or floats in [0, 1]. Vectors and series are used as they are: scale them first. Labels are (N,) of integers or texts
    for classification; for regression (N,) or (N, K) of floats.

    Args:
        method: the name of a method (`tlbench.list_methods()`), a subclass of DeepMethod or ShallowMethod, or the path of a
            Python file with one.
        source: source samples and labels `(x, y)`; a list of such tuples where there are several sources; None where the method
            does not read the source.
        target: unlabelled target samples (M, ...).
        target_labeled: labelled target samples and their labels `(x, y)`.
        task: classification or regression; None: regression where labels are floats.
        net: keys of a suite's [net] table, such as {"backbone": "mlp", "hidden": [64]}; None: a backbone chosen by the shape of
            a sample. Only deep methods use it.
        train: keys of a suite's [train] table, such as {"steps": 500, "batch": 32, "lr": 1e-3}; None: their defaults, 1,000
            steps of Adam. Only deep methods use it.
        device: auto, cpu, cuda or cuda:N.
        seed: the seed of initial weights, batches and all other random draws.
        **options: the method's own options, such as `weight=10.0`.

    Returns:
        A predictor with `predict` and `decision_function`. Splits that the method does not read change nothing.

    Raises:
        TlbenchError: the method reads a split that is not given, an option or key does not exist, samples and labels don't fit
            together, or the training diverges.

    Example:
        >>> import numpy as np
        >>> import tlbench
        >>> rng = np.random.default_rng(0)
        >>> y = np.repeat(["cat", "dog"], 100)
        >>> x = rng.normal(size=(200, 5)) + 3.0 * (y == "dog")[:, None]
        >>> x_target = x + rng.normal(0.5, 0.1, size=(200, 5))
        >>> predictor = tlbench.fit("coral", (x, y), x_target, train={"steps": 100}, weight=1.0)
        >>> bool((predictor.predict(x_target) == y).mean() > 0.9)
        True
    """
    name, on = _method_name(method), engine.device_of(device)
    given = {"source": source, "target": target, "target_labeled": target_labeled}
    _check_reads(name, {split for split, value in given.items() if value is not None})
    data = task_data(source, target, target_labeled, task, on)
    return _fit(name, options, data, _suite(name, data, net or {}, train or {}), on, seed)


def _fit(name: str, options: dict[str, Any], data: TaskData, suite: Suite, device: torch.device, seed: int) -> FittedPredictor:
    pair = {"sources": ("source",), "target": "target"}
    case = Case(suite=suite.name, suite_version=1, entry=name, method=name, options=options, seed=seed, **pair)
    draw_seed = functools.partial(seed_of, case, fingerprints={})
    with device_context(device):
        fitted = engine.fit(case, suite, data.task, clock.Clock(device), draw_seed, device)
    return FittedPredictor(fitted, data, device, suite.train.batch)


def _method_name(method: str | Path | type[Method]) -> str:
    """The name that the engine knows a method by; a file or a class is registered."""
    if isinstance(method, type):
        return methods.register_class(method)
    if isinstance(method, Path) or method.endswith(".py"):
        session.register_plugins([Path(method)])
        return Path(method).stem
    return method


def _check_reads(name: str, given: set[str]) -> None:
    """Raise TlbenchError where a method reads a split that is not given."""
    missing = [split for split in SPLITS if split in methods.method_class(name).reads - given]
    if missing:
        keywords = {"source": "source=(x, y)", "target": "target=x", "target_labeled": "target_labeled=(x, y)"}
        raise TlbenchError(
            f"Method {name!r} reads {' and '.join(missing)}, which {'is' if len(missing) == 1 else 'are'} not given. "
            f"Pass {', '.join(keywords[split] for split in missing)}, or choose another method (tlbench.list_methods())."
        )


def _suite(name: str, data: TaskData, net: Mapping[str, Any], train: Mapping[str, Any]) -> Suite:
    """A suite without files for one task, with the network and the budget of `fit`.

    Raises:
        TlbenchError: a key of `net` or `train` does not exist or has a wrong value, or the method does not do such tasks.
    """
    task = "regression" if data.task.regression else "classification"
    tasks = methods.method_class(name).tasks
    if task not in tasks:
        raise TlbenchError(
            f"Method {name!r} does {' and '.join(sorted(tasks))}, and these labels are of {task}. "
            "Choose another method, or state the task with task=..."
        )
    network, training = _validated(Network, net, "net"), _validated(Training, train, "train")
    if network.frozen or network.bottleneck:
        raise TlbenchError("net.frozen and net.bottleneck are for suites. Pass features of a frozen backbone as samples.")
    if network.backbone == "auto" and len(data.shape) == 2:
        network = network.model_copy(update={"backbone": "conv1d"})
    if errors := backbones.suite_errors({"net": {"backbone": network.backbone, **network.options}}):
        raise TlbenchError("\n".join(errors))
    network = weights_facts.with_published_facts(network)
    protocol = Protocol.model_validate({"task": task, "grants": ["source", "target", STREAM_SPLIT]})
    files = backbones.named_files(network.backbone, network.options, resolve_data_root(None), network.sha256)
    return Suite("fit", 1, "", "", {}, ((("source",), "target"),), protocol, network, training, {}, files=files)


def _validated(model: type[Model], table: Mapping[str, Any], name: str) -> Model:
    """A table of settings, checked by its schema."""
    try:
        return model.model_validate(dict(table))
    except ValidationError as error:
        raise TlbenchError("\n".join(sentence for _, sentence in schema_errors(error, model, name))) from error
