"""Class names in readable words, and their embeddings by the network of a suite, for methods with `reads_class_texts`."""

from __future__ import annotations

import dataclasses
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from tlbench import methods
from tlbench.data.labels.classes import listed
from tlbench.engine import frozen
from tlbench.engine.runtime.precision import matmul_precision, resolve_precision
from tlbench.errors import TlbenchError
from tlbench.suite import Suite
from tlbench.terms import Case, Domain

TEXTS = 256
"""Texts of a forward pass."""


@dataclass(frozen=True)
class TextEmbedder:
    """The text side of the frozen backbone of a suite, as a function of texts; it can be sent to another process.

    Args:
        suite: its network, training and files.
        shape: the shape of a sample, which the backbone is built for.
        device: where it runs.
    """

    suite: Suite
    shape: tuple[int, ...]
    device: torch.device

    def __call__(self, texts: Sequence[str]) -> Tensor:
        """C texts -> embeddings (C, D), float32.

        Raises:
            NotApplicableError: the backbone embeds no texts.
            TlbenchError: its embeddings are not of the width of its features.
        """
        precision = resolve_precision(self.suite.train, self.device)
        backbone = frozen.new_backbone(self.suite, self.shape, precision).to(self.device)
        with torch.no_grad(), matmul_precision(precision, self.device):
            chunks = [backbone.embed_classes(texts[start : start + TEXTS]) for start in range(0, len(texts), TEXTS)]
            embeddings_CD = torch.cat(chunks).float().to(self.device)
        if embeddings_CD.shape != (len(texts), backbone.width):
            raise TlbenchError(
                f"embed_classes of {self.suite.net.backbone} returned the shape {tuple(embeddings_CD.shape)} for {len(texts)} "
                f"texts. It must return (C, width) = ({len(texts)}, {backbone.width})."
            )
        return embeddings_CD


def with_network(case: Case, suite: Suite) -> Suite:
    """The suite as the case reads it: methods that read class names get the features of its network, frozen or not."""
    if suite.net.frozen or not methods.method_class(case.method).reads_class_texts:
        return suite
    return dataclasses.replace(suite, net=suite.net.model_copy(update={"frozen": True}))


def declared_texts(suite: Suite, names: Iterable[str]) -> dict[str, str]:
    """Class -> the words that the suite declares for it.

    Args:
        suite: its declarations.
        names: the domains of a pair; of two texts for one class, that of the later domain counts.
    """
    tables = [suite.domains[name].class_texts for name in names if name in suite.domains]
    return {label: text for table in tables for label, text in table.items()}


def class_texts(classes: Sequence[str], declared: Mapping[str, str]) -> tuple[str, ...]:
    """The words of each class: those that are declared, or its label with spaces in the place of `_` and control characters."""
    return tuple(declared.get(label) or _readable(label) for label in classes)


def _readable(label: str) -> str:
    characters = (" " if sign == "_" or unicodedata.category(sign).startswith("C") else sign for sign in label)
    return " ".join("".join(characters).split()) or label


def check_declared(suite: Suite, domains: Mapping[str, Domain]) -> None:
    """Check that class texts are of classes that occur.

    Raises:
        TlbenchError: a text is declared for a label that is a class of no domain.
    """
    if {*suite.domains} - {*domains}:
        return  # a run of some pairs, whose domains may lack classes of the others
    known = {label for domain in domains.values() for label in domain.classes}
    for label in declared_texts(suite, domains):
        if label not in known:
            raise TlbenchError(
                f"class_texts names {label!r:.60}, which is a class of no domain. The classes are {listed(sorted(known))}."
            )
