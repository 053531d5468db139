"""Inductive label sets, whose target has classes of its own: which methods can learn them, and when their head is replaced.

A method trains on the source with a head for its classes; before its first phase on the target the head is replaced by one for
those of the target. Which methods can do so follows from their `reads` and from the splits of their phases; none is named here.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from tlbench.clock import Clock
from tlbench.engine.runtime.seeds import seeded_rng
from tlbench.errors import NotApplicableError
from tlbench.methods.base import DeepMethod, Method, Phase, ShallowMethod

SAME_CLASSES = "which takes the same classes in both, and the label set of the suite is inductive"


def check_inductive_reads(name: str, kind: type[Method]) -> None:
    """Check that a method can learn classes that only labelled target samples show, as far as its `reads` tells.

    Args:
        name: the name of the method.
        kind: its class.

    Raises:
        NotApplicableError: it reads neither labelled target samples nor class names, or it is fitted to labelled target samples
            and to source samples at once.
    """
    if "target_labeled" not in kind.reads and not kind.reads_class_texts:
        raise NotApplicableError(
            f"{name} reads no labelled target samples, and no others show the classes of the target, for the label set of the "
            "suite is inductive"
        )
    if issubclass(kind, ShallowMethod) and "source" in kind.reads:
        raise NotApplicableError(f"{name} is fitted to source and target samples at once, {SAME_CLASSES}")


def phase_of_new_head(name: str, phases: Sequence[Phase]) -> int:
    """The index of the first phase on the target, before which the head is replaced.

    Args:
        name: the name of the method.
        phases: its phases.

    Raises:
        NotApplicableError: a phase uses samples of both sides, or a phase on the source comes after one on the target.
    """
    uses = [phase.reads | phase.passes for phase in phases]
    if any("source" in splits and len(splits) > 1 for splits in uses):
        raise NotApplicableError(f"{name} uses source and target samples at once, {SAME_CLASSES}")
    first = next(index for index, splits in enumerate(uses) if splits and "source" not in splits)
    if any("source" in splits for splits in uses[first:]):
        raise NotApplicableError(f"{name} comes back to the source after the target, {SAME_CLASSES}")
    return first


class NewHead:
    """The replacement of the head in a training; nothing happens where the target has the classes of the source.

    Args:
        method: the method that is trained.
        phases: its phases.
        seed: the use of a random draw -> its seed.

    Raises:
        NotApplicableError: see `phase_of_new_head`.
    """

    def __init__(self, method: DeepMethod, phases: Sequence[Phase], seed: Callable[[str], int]) -> None:
        self._method, self._seed = method, seed
        is_inductive = method.net.is_inductive
        self._phase = phase_of_new_head(type(method).__name__, phases) if is_inductive else None

    def before(self, phase: int, clock: Clock) -> None:
        """Replace the head where the phase of this index is the first on the target; the new one has a seed of its own."""
        if phase == self._phase:
            device = self._method.net.head.weight.device
            with seeded_rng(self._seed("target head"), device), clock.measure("train"):
                self._method.renew_head()
