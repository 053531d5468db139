"""A case in two processes: this one splits the data, keeps the labels and scores; another runs the method (`label_free`).

What the other process sends back is read as JSON and plain tensors, so that nothing of a method runs in this one.
"""

from __future__ import annotations

import io
import pickle
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch
from pydantic import BaseModel, ConfigDict, ValidationError
from torch import Tensor

from tlbench import methods
from tlbench.engine.candidates.collector import Block
from tlbench.engine.case import case_facts, to_record
from tlbench.engine.failure import failure_reason, traceback_text
from tlbench.engine.label_free import CaseInputs, CaseOutputs, fit_and_predict
from tlbench.engine.measurement import Measurement, PreparedCase, score
from tlbench.engine.runtime.device import device_context
from tlbench.engine.training.loop import OnStep
from tlbench.engine.training.oom_retry import retry_accumulated
from tlbench.errors import NotApplicableError, TlbenchError
from tlbench.methods.base import DeepMethod
from tlbench.suite import Suite
from tlbench.terms import Case, Cost, Domain, Record, TracePoint

ISOLATED_NOTE = "isolated: the process that ran the method held no label of a scored sample"
_READING_ERRORS = (
    *(AttributeError, EOFError, KeyError, OSError, RuntimeError, TypeError, ValueError),
    *(pickle.UnpicklingError, ValidationError),
)
"""What reading a result raises that is none."""


@dataclass(frozen=True)
class CaseFailure:
    """Why the method of a case gave no outputs."""

    status: Literal["skipped", "failed"]
    reason: str
    traceback: str


class _Facts(BaseModel):
    """What a result holds beside tensors."""

    model_config = ConfigDict(extra="forbid")
    cost: Cost | None = None
    trace: list[TracePoint] = []
    notes: list[str] = []
    status: Literal["skipped", "failed"] | None = None
    reason: str = ""
    traceback: str = ""


class IsolatedCase:
    """The half of a case that holds its labels. The other half needs `inputs` alone.

    Args:
        case: one of `suite.cases()`.
        suite: its protocol, network and training.
        domains: the loaded domains of the pair, by name.
        device: where the method will run.
    """

    def __init__(self, case: Case, suite: Suite, domains: Mapping[str, Domain], device: torch.device) -> None:
        fingerprints = {name: domains[name].fingerprint for name in (*case.sources, case.target)}
        self._facts = case_facts(case, suite, fingerprints, device, tuple(domains[case.target].samples.x.shape[1:]))
        self.error: BaseException | None = None
        """Why the case can't be prepared; its record says so."""
        try:
            with device_context(device):
                self._prepared = PreparedCase(case, suite, domains, device, on_device=False)
        except Exception as error:
            self.error = error

    @property
    def inputs(self) -> CaseInputs:
        """What the method is fitted on and predicts, without the labels of the scored samples, on the host."""
        return self._prepared.inputs

    def record(self, content: bytes | None) -> Record:
        """The record of the case.

        Args:
            content: the result of the other process, as `run_packed` gives it; None where the case could not be prepared.
        """
        if content is None:
            return to_record(self._facts, self._raise)
        try:
            result = unpack(content)
        except TlbenchError as error:
            result = CaseFailure("failed", str(error), "")
        if isinstance(result, CaseFailure):
            self.error = (NotApplicableError if result.status == "skipped" else TlbenchError)(result.reason)
            return to_record(self._facts, self._raise).attach_traceback(result.traceback or None)
        return to_record(self._facts, lambda: self._score(result))

    def _raise(self) -> Measurement:
        raise self.error or TlbenchError("The case has no result.")

    def _score(self, outputs: CaseOutputs) -> Measurement:
        data = self._prepared.case_data
        positions = data.granted.positions
        _check_shape(outputs.scored, len(data.scored) * positions, data.granted.columns)
        if outputs.validation is not None:
            _check_shape(outputs.validation, len(data.validation or ()) * positions, data.granted.columns)
        self._prepared.notes = (*self._prepared.notes, ISOLATED_NOTE)
        return score(self._prepared, outputs)


def run_packed(inputs: CaseInputs, device: torch.device, on_step: OnStep | None = None) -> bytes:
    """Run the method of a case in this process, and pack its outputs, or why there are none.

    Args:
        inputs: the case with its splits, on the device.
        device: where the method runs.
        on_step: called from time to time with the steps done and the steps in all.
    """
    try:
        kind = methods.method_class(inputs.case.method)
        with device_context(device):
            outputs, notes = retry_accumulated(
                lambda: fit_and_predict(inputs, device, on_step), issubclass(kind, DeepMethod), device
            )
        tensors = {"scored": outputs.scored, "validation": outputs.validation, **_flat(outputs.candidates)}
        if outputs.model is not None:
            tensors["model"] = torch.frombuffer(bytearray(outputs.model), dtype=torch.uint8)
        facts = _Facts(cost=outputs.cost, trace=outputs.trace, notes=[str(note) for note in (*outputs.notes, *notes)])
        return _pack(facts, tensors)
    except BaseException as error:
        return pack_failure(error, inputs.case)


def pack_failure(error: BaseException, case: Case) -> bytes:
    """Pack why the method of a case gave no outputs."""
    try:
        kind = methods.method_class(case.method)
    except TlbenchError:
        kind = None
    status: Literal["skipped", "failed"] = "skipped" if isinstance(error, NotApplicableError) else "failed"
    return _pack(_Facts(status=status, reason=failure_reason(error, kind), traceback=traceback_text(error)), {})


def _pack(facts: _Facts, tensors: Mapping[str, Tensor | None]) -> bytes:
    content = io.BytesIO()
    present = {name: tensor for name, tensor in tensors.items() if tensor is not None}
    torch.save({"facts": facts.model_dump_json(), **present}, content)
    return content.getvalue()


def unpack(content: bytes) -> CaseOutputs | CaseFailure:
    """What a process sent; no code in it is run.

    Raises:
        TlbenchError: the content is no such result.
    """
    try:
        values: dict[str, Any] = torch.load(io.BytesIO(content), weights_only=True)
        facts = _Facts.model_validate_json(values["facts"])
        if facts.status is not None:
            return CaseFailure(facts.status, facts.reason, facts.traceback)
        scored, validation, cost = values["scored"], values.get("validation"), facts.cost
        candidates, model = _nested(values), values.get("model")
        tensors = [
            scored,
            *(one for one in (validation, model) if one is not None),
            *(one for block in candidates for one in block.values()),
        ]
        if cost is None or not all(type(tensor) is Tensor for tensor in tensors):
            raise ValueError("no cost, or no tensors")
    except _READING_ERRORS as error:
        raise TlbenchError(
            f"The process of the case sent a result that can't be read ({type(error).__name__}). A method must leave the "
            "connections of its process alone."
        ) from error
    model_bytes = None if model is None else model.numpy().tobytes()
    return CaseOutputs(scored, validation, facts.trace, cost, tuple(facts.notes), candidates, model_bytes)


def _flat(candidates: Sequence[Block]) -> dict[str, Tensor]:
    """The tensors of the candidates by their number and name."""
    return {f"candidate {number} {name}": tensor for number, block in enumerate(candidates) for name, tensor in block.items()}


def _nested(values: Mapping[str, Any]) -> list[Block]:
    """The candidates whose tensors `_flat` names, in their order."""
    blocks: dict[int, Block] = {}
    for key, value in values.items():
        kind, _, rest = key.partition(" ")
        if kind == "candidate":
            number, _, name = rest.partition(" ")
            blocks.setdefault(int(number), {})[name] = value
    return [blocks[number] for number in sorted(blocks)]


def _check_shape(outputs: Tensor, samples: int, columns: tuple[int, ...]) -> None:
    """Check the outputs of another process, as `training.outputs.check_outputs` checks them there.

    Raises:
        TlbenchError: they are no real numbers of the shape (samples, columns).
    """
    if outputs.shape not in [(samples, count) for count in columns] or outputs.is_complex() or outputs.dtype == torch.bool:
        raise TlbenchError(
            f"The process of the case sent outputs of the shape {tuple(outputs.shape)} and the dtype {outputs.dtype}. They "
            f"must be real numbers of the shape {' or '.join(str((samples, count)) for count in columns)}."
        )
