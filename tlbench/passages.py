"""The texts behind samples of question answering (task = "spans"): what answers are compared as, and no method sees."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


@dataclass(frozen=True)
class Passages:
    """The context and the right answers of each of N samples, and the characters of the context that each token stands for."""

    contexts: tuple[str, ...]
    answers: tuple[tuple[str, ...], ...]
    """The right answers of each sample, of which any will do."""
    characters: NDArray[np.int32]
    """(N, P, 2) the first character of each token within the context, and the one after its last; 0 and 0 elsewhere."""
    longest: int
    """The most tokens of an answer that is predicted."""

    def __len__(self) -> int:
        return len(self.contexts)

    def __getitem__(self, indices: Any) -> Passages:
        """The samples at some indices (M,)."""
        chosen = [int(index) for index in indices]
        return Passages(
            tuple(self.contexts[index] for index in chosen),
            tuple(self.answers[index] for index in chosen),
            self.characters[chosen],
            self.longest,
        )

    def text(self, sample: int, first: int, last: int) -> str:
        """The text of a sample from its token `first` to its token `last`, both of them included."""
        return self.contexts[sample][int(self.characters[sample, first, 0]) : int(self.characters[sample, last, 1])]

    def digest(self) -> bytes:
        """A checksum of the content."""
        hasher = hashlib.sha256(repr((self.contexts, self.answers, self.longest)).encode())
        hasher.update(self.characters.tobytes())
        return hasher.digest()
