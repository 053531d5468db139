"""The schema of a suite file: every key, its type, its range and its default."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from tlbench.terms import REGRESSION_METRICS, Strict

HASHED_AS = {
    "backbone": "trunk",
    "optimizer": "optimiser",
    "target_weight": "few_weight",
    "backbone_lr": "trunk_lr",
    "max_samples": "rows",
}
"""Keys of [net], [train] and of methods' options that had another name when the first records were written: identities are
hashed under the old names, for a renamed key changes no number."""

RENAMED = {
    "net": {"trunk": "backbone"},
    "train": {"optimiser": "optimizer", "together": "vmap_seeds"},
    "data": {"rows": "samples"},
    "domains": {"rows": "samples"},
    "methods": {"few_weight": "target_weight", "trunk_lr": "backbone_lr"},
}
"""Old keys of each table (of each table in [domains] and [methods]), and what they are called now."""


def renamed_keys(raw: Mapping[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """The tables of a suite without keys of an older tlbench, and a sentence for each that was there."""
    errors: list[str] = []

    def current(table: Any, names: Mapping[str, str], where: str) -> Any:
        if not isinstance(table, Mapping):
            return table
        errors.extend(
            f"{where}.{old}: This key is now called {new!r}. Rename it." for old, new in names.items() if old in table
        )
        return {key: value for key, value in table.items() if key not in names}

    tables = dict(raw)
    for name, names in RENAMED.items():
        if name in {"domains", "methods"} and isinstance(tables.get(name), Mapping):
            tables[name] = {key: current(table, names, f"{name}.{key}") for key, table in tables[name].items()}
        elif name in tables:
            tables[name] = current(tables[name], names, name)
    return tables, errors


def hashed_keys(table: Mapping[str, Any]) -> dict[str, Any]:
    """A table under the keys that identities are hashed with."""
    return {HASHED_AS.get(key, key): value for key, value in table.items()}


class Table(Strict):
    """A table of a suite: no number for a text or the other way round."""

    model_config = ConfigDict(strict=True)


class Protocol(Table):
    """What is granted, what is scored, and against what it is compared."""

    task: Literal["classification", "regression"] = "classification"
    grants: tuple[Literal["source", "target", "stream"], ...] = Field(("source", "target"), strict=False)
    """Withhold `target` for domain generalisation; `few` is granted by `target_labels`; `stream` is test-time adaptation."""
    target_labels: int = Field(0, ge=0, description="labelled target rows per class (in all, for regression); never scored")
    """In a suite file also a list, such as [1, 3, 10]: a ladder, see `ladder`."""
    scored: Literal["adapted", "held_out", "test"] = "adapted"
    """Score the unlabelled target rows that were adapted to, a held-out share of them, or the domain's own test rows."""
    held_out: float = Field(0.5, gt=0, lt=1, description="share of target rows held out, with scored = 'held_out'")
    source_held_out: float = Field(0.1, ge=0, lt=1, description="share of source rows kept for source_accuracy")
    baseline: str = "source_only"
    metric: Literal["target_accuracy", "macro_f1", "worst_group_accuracy", "r2", "rmse", "mae"] = "target_accuracy"
    """r2, rmse and mae are of regression, and r2 is its default."""
    seeds: tuple[int, ...] = Field((0, 1, 2), min_length=1, strict=False)
    selection: tuple[Literal["source_validation", "target_entropy"], ...] = Field(
        ("source_validation",), min_length=1, strict=False
    )
    """The rules by which a sweep may choose options; none of them sees a scored row's label."""

    @model_validator(mode="before")
    @classmethod
    def _of_regression(cls, given: Any) -> Any:
        if isinstance(given, dict) and given.get("task") == "regression":
            return {"metric": "r2", **given}
        return given

    @model_validator(mode="after")
    def _metric_of_the_task(self) -> Protocol:
        if (self.metric in REGRESSION_METRICS) != (self.task == "regression"):
            raise ValueError(f"metric {self.metric!r} is not one of {self.task}; r2, rmse and mae are those of regression")
        return self


class Network(BaseModel):
    """The trunk and its options; other keys are the trunk's own."""

    model_config = ConfigDict(extra="allow", frozen=True, strict=True, allow_inf_nan=False)

    backbone: str = "auto"
    mean: float = 0.5
    """Images arrive as (x - mean) / std with x in [0, 1]; vectors arrive as they are."""
    std: float = Field(0.5, gt=0)
    frozen: bool = False
    """The trunk does not learn: its features are made once for each domain, and shared by all methods, seeds and runs."""
    bottleneck: int = Field(0, ge=0, description="width of a layer that learns on frozen features; 0: the head alone learns")

    @property
    def options(self) -> dict[str, Any]:
        """The trunk's own options."""
        return dict(self.model_extra or {})


class Training(Table):
    """The fixed budget: every method of a cell takes the same number of steps; the last one is scored."""

    steps: int = Field(1000, ge=1)
    batch: int = Field(64, ge=2, description="rows of each part that a step draws")
    optimizer: Literal["adam", "adamw", "sgd"] = "adam"
    lr: float = Field(1e-3, gt=0)
    momentum: float = Field(0.9, ge=0, lt=1, description="of sgd, with Nesterov's form")
    weight_decay: float = Field(0.0, ge=0)
    schedule: Literal["constant", "cosine", "inverse"] = "constant"
    """inverse: lr / (1 + 10 p)^0.75 over the progress p (Ganin and Lempitsky 2015)."""
    layout: Literal["auto", "contiguous", "channels_last"] = "auto"
    precision: Literal["auto", "fp32", "tf32", "bf16"] = "auto"
    """Of the trunk: bf16 is autocast, and auto takes it on a GPU that has it. tf32 is of all products of a step, on CUDA."""
    compile: Literal["auto", "off", "step", "graph"] = "auto"
    """How a step runs: compiled, or captured as a CUDA graph; auto does on a GPU what pays, and nothing on a CPU."""
    resident: Literal["auto", "on", "off"] = "auto"
    """Whether the rows live on the device; off: batches are sent there ahead of the steps. auto: where they fit."""
    vmap_seeds: Literal["auto", "on", "off"] = "auto"
    """Whether the seeds of a case are trained in one program; auto: on a GPU, where it is faster."""
    trace: int = Field(5, ge=0, description="checkpoints at which label-free facts are kept")


class MethodEntry(BaseModel):
    """A method row; other keys are the method's own options."""

    model_config = ConfigDict(extra="allow", frozen=True, strict=True)

    method: str = ""

    @property
    def options(self) -> dict[str, Any]:
        """The method's own options, as the suite gives them."""
        return dict(self.model_extra or {})


class SuiteFile(Table):
    """The top level of a suite file."""

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9_\-]*$")
    version: int = Field(ge=1)
    title: str = ""
    citation: str = ""
    data: dict[str, Any] = Field(default_factory=dict)
    domains: dict[str, dict[str, Any]] = Field(min_length=1)
    pairs: Any = None
    protocol: Protocol = Protocol()
    net: Network = Network()
    train: Training = Training()
    methods: dict[str, MethodEntry] = Field(min_length=1)
