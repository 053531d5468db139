"""What methods share that adapt the scale and shift of batch normalisation on the stream, as tent does."""

from __future__ import annotations

from torch import Tensor

from tlbench.errors import NotApplicableError
from tlbench.methods.base import DeepMethod, Group
from tlbench.nn.stream_norms import batch_norms, use_batch_statistics
from tlbench.terms import Step


class NormAdaptation(DeepMethod):
    """Cross-entropy on the source; on the stream, layers of batch normalisation use the statistics of each batch.

    A layer that gets a single value per channel, as behind a pooling or in an mlp with batches of one sample, uses its running
    statistics instead, which have moved with the batches of the stream so far.
    """

    reads = frozenset({"source", "stream"})
    soft_labels = True

    def build(self) -> None:
        """Collect the batch-normalisation layers of the network."""
        self.norms = batch_norms(self.net)

    def loss(self, step: Step) -> Tensor:
        """CE(source), a scalar.

        Raises:
            NotApplicableError: the network has no batch normalisation.
        """
        if not self.norms:
            name = type(self).__module__.rpartition(".")[2]
            raise NotApplicableError(f"{name} adapts batch normalisation, and the backbone has none.")
        return self.supervised(step)

    def groups(self) -> tuple[Group, ...]:
        """The layers of batch normalisation, which are the only ones that learn."""
        return tuple(Group((norm,)) for norm in self.norms)

    def begin(self) -> None:
        """Normalise by the statistics of each batch from now on."""
        use_batch_statistics(self.norms)
