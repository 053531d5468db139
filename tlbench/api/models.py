"""`load_model`: the fitted method of a case that was run with `--save-models`, to predict samples of your own."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from tlbench import engine, session
from tlbench.api.arrays import FittedPredictor
from tlbench.api.conversion import Array, Samples, TaskData
from tlbench.data import resolve_data_root
from tlbench.engine.runtime.device import device_context
from tlbench.engine.saved.frozen_features import FeatureExtractor
from tlbench.engine.saved.method_file import load_method
from tlbench.engine.saved.model_file import ModelContent, read_model
from tlbench.errors import TlbenchError
from tlbench.methods.base import DeepMethod
from tlbench.nn import backbones
from tlbench.records.models import SAVE_AGAIN, model_file, read_model_file
from tlbench.suite import NamedFile, Network
from tlbench.terms import Case, Record, Task

if TYPE_CHECKING:
    import pandas as pd


class LoadedModel(FittedPredictor):
    """A fitted method from a model file; `tlbench.load_model` makes it."""

    def __init__(self, content: ModelContent, root: Path, device: torch.device) -> None:
        def files_of(net: Network) -> Mapping[str, NamedFile]:
            return backbones.named_files(net.backbone, net.options, root, net.sha256)

        stored = content.facts
        self._shape, self._tokens, self._extractor = stored.shape, stored.dtype == "int32", None
        with device_context(device):
            facts, fitted = load_method(content.method, device, files_of)
            if stored.frozen is not None and stored.train is not None:
                files = files_of(stored.frozen)
                self._extractor = FeatureExtractor(stored.frozen, stored.train, stored.shape, files, device)
        classes = np.array(stored.classes) if stored.classes else None
        task = Task(facts.classes, regression=facts.regression)
        super().__init__(fitted, TaskData(task, facts.shape, classes, len(stored.targets) == 1), device, facts.train.batch)
        self.case: Case = facts.case
        """The case that the method was fitted in."""
        self.tasks: tuple[tuple[str, tuple[str, ...]], ...] = facts.tasks
        """The names of several tasks, each with those of its classes; `decision_function` has their outputs side by side."""

    def decision_function(self, x: Samples) -> Array:
        """Class scores (N, C) of samples (N, ...), which are logits for a deep method; for numbers, predictions (N, K).

        Samples are as the suite prepares them (see `tlbench data show SUITE`): vectors (N, D), images (N, channels, height,
        width), token ids (N, L).

        Raises:
            TlbenchError: the samples are not finite, or have another shape than those that the method was fitted on.
        """
        return super().decision_function(self._method_inputs(x))

    def features(self, x: Samples) -> Array:
        """Features (N, D) of samples (N, ...): what the head of a deep method reads.

        Raises:
            TlbenchError: as `decision_function`; or the method is shallow, and has no network.
        """
        if not isinstance(self.method, DeepMethod):
            raise TlbenchError(
                f"{self.case.method} is a shallow method and has no network with features. Choose a deep method."
            )
        return self.features_of_inputs(self._method_inputs(x), self.method)

    def _method_inputs(self, x: Samples) -> Samples:
        """What the method reads of samples: themselves, or the features of the frozen backbone."""
        if not self._tokens and self._extractor is None:
            return x
        samples = x if isinstance(x, Tensor) else torch.as_tensor(np.asarray(x))
        samples = samples.to(torch.int32) if self._tokens else samples
        if tuple(samples.shape[1:]) != self._shape:
            raise TlbenchError(f"x has samples of shape {tuple(samples.shape[1:])}, but the case has {self._shape}.")
        return samples if self._extractor is None else self._extractor(samples)


def load_model(
    record: Record | pd.Series[Any] | Mapping[Hashable, Any] | str | Path,
    *,
    results: str | Path = "results",
    data: str | Path | None = None,
    device: str = "auto",
    plugins: str | Path | Iterable[str | Path] = (),
) -> LoadedModel:
    """Load the fitted method of a case that was run with `--save-models`.

    A deep method is restored from its state. A shallow method is fitted again on the samples in the file, which takes as long
    as in the run. A method that adapts at test time is as it was before the stream. No code in the file is run.

    Args:
        record: a line of the frame that `tlbench.run` returns, a record, or the path of a model file.
        results: the results directory that the record is from.
        data: the data root, where a frozen backbone has weights in files; None: TLBENCH_DATA, else the working directory.
        device: auto, cpu, cuda or cuda:N.
        plugins: Python files with methods outside the package.

    Returns:
        A predictor with `predict`, `decision_function` and, of a deep method, `features`.

    Raises:
        TlbenchError: the record names no model, its file is missing or was changed, or this tlbench can't restore the method.
    """
    session.register_plugins([Path(file) for file in ([plugins] if isinstance(plugins, str | Path) else plugins)])
    content = read_model(_content(record, Path(results)))
    root = resolve_data_root(None if data is None else Path(data))
    return LoadedModel(content, root, engine.device_of(device))


def _content(record: Record | pd.Series[Any] | Mapping[Hashable, Any] | str | Path, results: Path) -> bytes:
    """The bytes of the model file that a record names, or that lies at a path."""
    if isinstance(record, str | Path):
        return read_model_file(Path(record), Path(record).stem)
    if isinstance(record, Record) and record.attached_model is not None:
        return record.attached_model  # the case ran in this process
    named: tuple[Any, Any] = (record.suite, record.model) if isinstance(record, Record) else (record["suite"], record["model"])
    suite, model = named
    if not isinstance(suite, str) or not isinstance(model, str):
        raise TlbenchError(f"The record names no model. {SAVE_AGAIN}")
    return read_model_file(model_file(results, suite, model), model)
