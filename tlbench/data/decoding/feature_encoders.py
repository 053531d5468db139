"""Texts and tables that are not numbers yet, and what makes numbers of them once it is known whose rows may be learned from.

A category that the learned rows lack becomes a row of zeros in its block, a word that they lack counts nothing, and a missing
number becomes their mean, median or most frequent one. Nothing is learned from any other row.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal, Self

import numpy as np

from tlbench.data.decoding.arrays import Array, Cells
from tlbench.errors import TlbenchError

if TYPE_CHECKING:
    import pandas as pd

Impute = Literal["mean", "median", "most_frequent"]


@dataclass(frozen=True)
class TableCells(Cells):
    """Columns of numbers and of categories: the rows of a table that lie in `frame`, whose columns are all features."""

    frame: pd.DataFrame
    texts: tuple[str, ...]
    """The columns of categories; the others hold numbers, and gaps."""
    categories: Mapping[str, Sequence[str | int]]
    """Column -> its declared categories; an empty list: those of the learned rows."""
    impute: Impute | None
    standardise: bool = False
    """Whether numbers (not categories) get mean 0 and deviation 1 over the learned rows."""

    def __len__(self) -> int:
        return len(self.frame)

    def __getitem__(self, rows: Any) -> Self:
        return replace(self, frame=self.frame.iloc[rows])

    @property
    def learns(self) -> bool:
        """Whether a number depends on the rows that are learned from: an undeclared category, a filling, a scale."""
        scaled = self.standardise and len(self.texts) < len(self.frame.columns)
        return self.impute is not None or scaled or any(not self.categories.get(name) for name in self.texts)

    def digest(self) -> bytes:
        """A checksum of what the cells hold."""
        import pandas as pd

        words = self.frame.astype(dict.fromkeys(self.texts, str))
        return hashlib.sha256(pd.util.hash_pandas_object(words, index=False).to_numpy().tobytes()).digest()

    def encoded(self, learned: Sequence[Self]) -> Array:
        """The numbers, gaps filled, then each column of categories as 0 and 1: float64 (N, D).

        Raises:
            TlbenchError: a number that is missing with nothing to fill it, or a value that is not among its categories.
        """
        import pandas as pd

        frames = [cells.frame for cells in learned]
        for frame in frames:
            if list(frame.columns) != list(self.frame.columns):
                odd = sorted(set(frame.columns) ^ set(self.frame.columns))
                raise TlbenchError(f"the rows that are learned from have other columns: {', '.join(odd[:8])}")
        known = frames[0] if len(frames) == 1 else pd.concat(frames, ignore_index=True)
        plain = [name for name in self.frame.columns if name not in self.texts]
        blocks = [self._filled(known, plain)] if plain else []
        blocks += [onehot(self.frame[name], known[name], self.categories.get(name, []), name) for name in self.texts]
        return np.concatenate(blocks, axis=1)

    def _filled(self, known: pd.DataFrame, plain: Sequence[str]) -> Array:
        x_ND = numbers(self.frame, plain)
        gaps = np.isnan(x_ND)
        if gaps.any() and self.impute is None:
            first = plain[int(gaps.any(axis=0).argmax())]
            raise TlbenchError(
                f"{int(gaps.sum())} numbers are missing, first in column {first!r}; "
                "set impute = 'median', or leave rows out by `where`"
            )
        learned_ND = numbers(known, plain)
        if self.impute is not None:
            from sklearn.impute import SimpleImputer

            # a column that the learned rows lack altogether is kept, as zeros: the width must not follow the rows
            imputer = SimpleImputer(strategy=self.impute, keep_empty_features=True).fit(learned_ND)
            x_ND, learned_ND = imputer.transform(x_ND), imputer.transform(learned_ND)
        if self.standardise:
            from sklearn.preprocessing import StandardScaler

            x_ND = StandardScaler().fit(learned_ND).transform(x_ND)
        return np.asarray(x_ND)


def numbers(frame: pd.DataFrame, names: Sequence[str]) -> Array:
    """Columns of numbers (N, D) float64; a missing one is NaN."""
    import pandas as pd

    columns = [frame[name] if frame[name].dtype.kind in "biuf" else pd.to_numeric(frame[name]) for name in names]
    return np.stack([np.asarray(column.to_numpy(dtype=np.float64, na_value=np.nan)) for column in columns], axis=1)


def onehot(column: pd.Series[Any], learned: pd.Series[Any], declared: Sequence[str | int], name: str) -> Array:
    """One column for each category (N, categories); a missing value is a category of its own, named ''.

    Raises:
        TlbenchError: a value that is not among the declared categories.
    """
    from sklearn.preprocessing import OneHotEncoder

    cells, seen = _words(column), _words(learned)
    if declared:
        categories = [str(category) for category in declared]
        if unknown := sorted(set(cells[:, 0]) - set(categories)):
            raise TlbenchError(
                f"column {name!r} holds {unknown[0]!r}, which is not among its categories {', '.join(categories)}"
            )
        encoder = OneHotEncoder(categories=[categories], sparse_output=False)
    else:
        encoder = OneHotEncoder(handle_unknown="ignore", sparse_output=False)
    return np.asarray(encoder.fit(seen if not declared else cells).transform(cells))


def _words(column: pd.Series[Any]) -> Array:
    words = column.astype(object).where(column.notna(), "")
    return np.array([str(int(w)) if isinstance(w, float) and w.is_integer() else str(w).strip() for w in words], dtype=object)[
        :, None
    ]


@dataclass(frozen=True)
class TextCells(Cells):
    """Texts that become tf-idf of their n-grams."""

    texts: Array
    """(N,) of objects."""
    size: int
    """At most so many n-grams, the most frequent ones of the learned rows."""
    ngrams: int

    def __len__(self) -> int:
        return len(self.texts)

    def __getitem__(self, rows: Any) -> Self:
        return replace(self, texts=self.texts[rows])

    @property
    def learns(self) -> bool:
        """Always: the n-grams and their weights."""
        return True

    def digest(self) -> bytes:
        """A checksum of the texts."""
        hasher = hashlib.sha256()
        for text in self.texts:
            held = text.encode("utf-8", errors="surrogatepass")
            hasher.update(len(held).to_bytes(8, "little") + held)
        return hasher.digest()

    def encoded(self, learned: Sequence[Self]) -> Any:
        """Sparse rows (N, n-grams) float32 of length 1.

        Raises:
            TlbenchError: texts to learn from that hold no word.
        """
        from sklearn.feature_extraction.text import TfidfVectorizer

        try:
            learner = TfidfVectorizer(max_features=self.size, ngram_range=(1, self.ngrams), dtype=np.float32)
            return learner.fit([text for cells in learned for text in cells.texts]).transform(self.texts)
        except ValueError as error:
            raise TlbenchError(f"the texts can't become features: {error}") from error


def hashed_counts(texts: Sequence[str], size: int, ngrams: int) -> Any:
    """Texts as counts of their n-grams, hashed: sparse rows (N, size) float32 of length 1. Nothing is learned."""
    from sklearn.feature_extraction.text import HashingVectorizer

    learner = HashingVectorizer(n_features=size, alternate_sign=False, ngram_range=(1, ngrams), dtype=np.float32)
    return learner.transform(texts)
