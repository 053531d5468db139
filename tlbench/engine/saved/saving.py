"""Saving the method of a case: it is packed, restored and tried, and a note says why where that fails."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextvars import ContextVar

import torch
from torch import Tensor

from tlbench.engine.data.storage import Grants, Subset
from tlbench.engine.fitting import FittedMethod, predict
from tlbench.engine.runtime.precision import matmul_precision
from tlbench.engine.saved.method_file import load_method, pack_method
from tlbench.errors import plain_text
from tlbench.suite import NamedFile, Suite
from tlbench.terms import Case

saves_models: ContextVar[bool] = ContextVar("saves_models", default=False)
"""Whether the fitted method of the case that runs is saved. The runner sets it."""
TOLERANCE = 1e-4
"""Outputs of the restored method differ by no more than this share of the largest; on a CPU they are equal."""
NOT_SAVED = "no model is saved"
"""The beginning of the note on a method that can't be stored."""
NOTE_CHARACTERS = 200


class ModelSaver:
    """Saves the fitted method of one case, where the run asks for it.

    Args:
        fitted: the method after its training.
        case: the case.
        suite: its network and training.
        granted: the granted splits.
        precision: of its steps.
        seed: the use of a random draw -> its seed.
    """

    def __init__(
        self, fitted: FittedMethod, case: Case, suite: Suite, granted: Grants, precision: str, seed: Callable[[str], int]
    ) -> None:
        self._fitted, self._files = fitted, suite.files
        self._facts = case, suite, granted, precision, seed
        self.content: bytes | None = None
        """The bytes of the method, once it is packed."""
        self.notes: tuple[str, ...] = ()
        """Why there are none."""
        if saves_models.get() and fitted.is_online:
            self._pack()  # as it is before the stream, on which it changes

    def finish(self, samples: Subset, expected: Tensor) -> None:
        """Pack the method, unless that is done, and drop what does not predict the same once it is restored.

        Args:
            samples: stored samples.
            expected: what the method predicted of them, before any stream.
        """
        if not saves_models.get():
            return
        if not self._fitted.is_online:
            self._pack()
        if self.content is not None and (note := trial_note(self.content, samples, expected, self._files)):
            self.content, self.notes = None, (note,)

    def _pack(self) -> None:
        try:
            self.content = pack_method(self._fitted, *self._facts)
        except Exception as error:  # what a third-party method holds may raise nearly anything when it is written
            self.notes = (f"{NOT_SAVED}: {plain_text(str(error), NOTE_CHARACTERS)}",)


def trial_note(content: bytes, samples: Subset, expected: Tensor, files: Mapping[str, NamedFile]) -> str:
    """Restore a fitted method and predict with it: a note on why it can't be used, or "" where it predicts the same.

    Args:
        content: from `pack_method`.
        samples: stored samples.
        expected: what the method itself predicted of them.
        files: the files of the suite's network.
    """
    try:
        facts, fitted = load_method(content, samples.store.device, lambda net: files)
        with matmul_precision(facts.precision, samples.store.device):
            outputs = predict(fitted, samples)
    except Exception as error:
        return f"{NOT_SAVED}: {plain_text(str(error), NOTE_CHARACTERS)}"
    tolerance = TOLERANCE * float(expected.abs().max())
    if outputs.shape != expected.shape or not torch.allclose(outputs, expected, rtol=TOLERANCE, atol=tolerance):
        return f"{NOT_SAVED}: a method of the stored state predicts otherwise, so that some of its state is elsewhere"
    return ""
