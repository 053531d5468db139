"""A model file: a fitted method, and what turns samples into its inputs and its outputs into answers."""

from __future__ import annotations

import io
import zipfile
from dataclasses import dataclass

import torch
from pydantic import BaseModel, ConfigDict
from torch import Tensor

from tlbench.errors import TlbenchError
from tlbench.suite import Network, Training

FORMAT = 1
"""Raise it when the content of a file changes; files of other formats are refused."""


class ModelFacts(BaseModel):
    """What a model file holds beside the fitted method."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    format: int = FORMAT
    classes: tuple[str, ...]
    """The names of the C classes, in the order of the class scores; empty for numbers."""
    targets: tuple[str, ...] = ()
    """The names of the K target columns of a regression."""
    frozen: Network | None = None
    """The network whose frozen backbone gives the features that the method reads; None: it reads samples."""
    train: Training | None = None
    """The training of the suite, whose precision and layout that backbone has."""
    shape: tuple[int, ...]
    """Of a sample, before any frozen backbone."""
    dtype: str
    """Of stored samples: uint8, float32 or int32."""


@dataclass(frozen=True)
class ModelContent:
    """The content of a model file."""

    facts: ModelFacts
    method: bytes
    """See `method_file.load_method`."""


def pack_model(facts: ModelFacts, method: bytes) -> bytes:
    """The bytes of a model file."""
    packed = io.BytesIO()
    content = torch.frombuffer(bytearray(method), dtype=torch.uint8)
    torch.save({"facts": facts.model_dump_json(by_alias=True), "method": content}, packed)
    return packed.getvalue()


def read_model(content: bytes) -> ModelContent:
    """The content of a model file; no code in it is run.

    Raises:
        TlbenchError: the bytes are no model file of this version.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            if any(member.compress_type != zipfile.ZIP_STORED for member in archive.infolist()):
                raise ValueError("compressed")
        stored = torch.load(io.BytesIO(content), weights_only=True)
        facts = ModelFacts.model_validate_json(stored["facts"])
        method = stored["method"]
        if type(method) is not Tensor or method.dtype != torch.uint8 or method.ndim != 1:
            raise ValueError("no bytes")
    except Exception as error:  # torch and zipfile raise nearly anything on a stranger's bytes
        raise TlbenchError(f"The file is no model of this version of tlbench ({type(error).__name__}).") from error
    if facts.format != FORMAT:
        raise TlbenchError(f"The model file has the format {facts.format}, and this tlbench reads format {FORMAT}.")
    return ModelContent(facts, method.numpy().tobytes())
