"""Encodings of tables and texts that are fitted on some samples: categories, imputation, standardisation, tf-idf.

A category that the fitted samples lack becomes a block of zeros, an n-gram that they lack is ignored, and a missing number is
imputed from them (mean, median or most frequent value). No other samples are used.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal, Self

import numpy as np

from tlbench.data.decoding.arrays import DENSE_LIMIT_BYTES, Array, UnencodedSamples
from tlbench.errors import TlbenchError

if TYPE_CHECKING:
    import pandas as pd

MANY_CATEGORIES, ONE_HOT_CELLS = 1000, 2**27
"""A column of more categories than this may take so many cells (1 GiB) as 0 and 1; names and ids take more."""
Impute = Literal["mean", "median", "most_frequent"]


@dataclass(frozen=True)
class UnencodedTable(UnencodedSamples):
    """Samples with columns of numbers and of categories; every column of `frame` is a feature."""

    frame: pd.DataFrame
    category_columns: tuple[str, ...]
    """The other columns hold numbers, some of which may be missing."""
    categories: Mapping[str, Sequence[str | int]]
    """Column -> its declared categories; an empty list stands for the categories of the fitted samples."""
    impute: Impute | None
    standardize: bool = False
    """Whether numbers (not categories) get mean 0 and standard deviation 1 over the fitted samples."""

    def __len__(self) -> int:
        return len(self.frame)

    def __getitem__(self, indices: Any) -> Self:
        return replace(self, frame=self.frame.iloc[indices])

    @property
    def requires_fit(self) -> bool:
        """Whether there is anything to fit: undeclared categories, imputation, or the scale of numbers."""
        scaled = self.standardize and len(self.category_columns) < len(self.frame.columns)
        return self.impute is not None or scaled or any(not self.categories.get(name) for name in self.category_columns)

    def digest(self) -> bytes:
        """A checksum of the content of the table."""
        import pandas as pd

        frame = self.frame.astype(dict.fromkeys(self.category_columns, str))
        return hashlib.sha256(pd.util.hash_pandas_object(frame, index=False).to_numpy().tobytes()).digest()

    def encode(self, fit_on: Sequence[Self]) -> Array:
        """Features (N, D) float64: the columns of numbers, imputed, then each column of categories as 0 and 1.

        Raises:
            TlbenchError: a missing number without imputation, or a value outside the declared categories.
        """
        import pandas as pd

        frames = [table.frame for table in fit_on]
        for frame in frames:
            if list(frame.columns) != list(self.frame.columns):
                others = sorted(set(frame.columns) ^ set(self.frame.columns))
                raise TlbenchError(
                    f"The samples that features are fitted on have other columns: {', '.join(others[:8])}. "
                    "Give all domains of a pair the same features."
                )
        fit_frame = frames[0] if len(frames) == 1 else pd.concat(frames, ignore_index=True)
        number_columns = [name for name in self.frame.columns if name not in self.category_columns]
        self._check_size(fit_frame)
        blocks = [self._encode_numbers(fit_frame, number_columns)] if number_columns else []
        blocks += [
            one_hot(self.frame[name], fit_frame[name], self.categories.get(name, []), name) for name in self.category_columns
        ]
        return np.concatenate(blocks, axis=1)

    def _check_size(self, fit_frame: pd.DataFrame) -> None:
        """Check that the columns of 0 and 1 fit into memory, before any is made.

        Raises:
            TlbenchError: a column with a category for nearly every sample, or too many columns of categories.
        """
        counts = {name: len(self.categories.get(name) or ()) or fit_frame[name].nunique() for name in self.category_columns}
        for name, count in counts.items():
            if count > MANY_CATEGORIES and count * len(self) > ONE_HOT_CELLS:
                raise TlbenchError(
                    f"The column {name!r} holds {count:,} categories, which are as many features of {len(self):,} samples. "
                    "A name or an id is no feature: leave it out by features, or declare the categories that matter."
                )
        largest = max(counts, key=lambda name: counts[name], default="")
        if (size_bytes := 8 * sum(counts.values()) * len(self)) > DENSE_LIMIT_BYTES:
            raise TlbenchError(
                f"The {sum(counts.values()):,} categories of {len(counts)} columns take {size_bytes / 2**30:.1f} GiB as "
                f"features, and {DENSE_LIMIT_BYTES / 2**30:g} GiB are allowed. Leave the column {largest!r} out by features."
            )

    def _encode_numbers(self, fit_frame: pd.DataFrame, columns: Sequence[str]) -> Array:
        x_ND = number_matrix(self.frame, columns)
        missing = np.isnan(x_ND)
        if missing.any() and self.impute is None:
            first = columns[int(missing.any(axis=0).argmax())]
            raise TlbenchError(
                f"{int(missing.sum())} numbers are missing, first in column {first!r}. "
                "Set impute = 'median', or leave these samples out by `where`."
            )
        fit_MD = number_matrix(fit_frame, columns)
        if self.impute is not None:
            from sklearn.impute import SimpleImputer

            # a column without any number in the fitted samples becomes zeros: the number of features must not depend on them
            imputer = SimpleImputer(strategy=self.impute, keep_empty_features=True).fit(fit_MD)
            x_ND, fit_MD = imputer.transform(x_ND), imputer.transform(fit_MD)
        if self.standardize:
            from sklearn.preprocessing import StandardScaler

            x_ND = StandardScaler().fit(fit_MD).transform(x_ND)
        return np.asarray(x_ND)


def number_matrix(frame: pd.DataFrame, columns: Sequence[str]) -> Array:
    """Columns of numbers as (N, D) float64; a missing number is NaN."""
    import pandas as pd

    series = [frame[name] if frame[name].dtype.kind in "biuf" else pd.to_numeric(frame[name]) for name in columns]
    return np.stack([np.asarray(column.to_numpy(dtype=np.float64, na_value=np.nan)) for column in series], axis=1)


def one_hot(column: pd.Series[Any], fit_column: pd.Series[Any], declared: Sequence[str | int], name: str) -> Array:
    """A column of categories as (N, categories) of 0 and 1; a missing value is a category of its own, named ''.

    Args:
        column: the values (N,) to encode.
        fit_column: the values (M,) whose categories are used where none are declared; other values become zeros.
        declared: the declared categories, or none.
        name: the name of the column, for errors.

    Raises:
        TlbenchError: a value that is not among the declared categories.
    """
    from sklearn.preprocessing import OneHotEncoder

    values, fit_values = _category_texts(column), _category_texts(fit_column)
    if declared:
        categories = [str(category) for category in declared]
        if unknown := sorted(set(values[:, 0]) - set(categories)):
            raise TlbenchError(
                f"The column {name!r} holds {unknown[0]!r}, which is not among its categories {', '.join(categories)}. "
                "Declare it, or leave these samples out by `where`."
            )
        encoder = OneHotEncoder(categories=[categories], sparse_output=False)
    else:
        encoder = OneHotEncoder(handle_unknown="ignore", sparse_output=False)
    return np.asarray(encoder.fit(fit_values if not declared else values).transform(values))


def _category_texts(column: pd.Series[Any]) -> Array:
    """The values of a column as texts (N, 1); 1.0 is "1", and a missing value ""."""
    values = column.astype(object).where(column.notna(), "")
    texts = [str(int(v)) if isinstance(v, float) and v.is_integer() else str(v).strip() for v in values]
    return np.array(texts, dtype=object)[:, None]


@dataclass(frozen=True)
class UnencodedTexts(UnencodedSamples):
    """Texts whose features are the tf-idf weights of their n-grams."""

    texts: Array
    """(N,) of objects."""
    size: int
    """The maximal number of n-grams: the most frequent ones of the fitted samples."""
    ngrams: int
    """The maximal length of an n-gram in words."""

    def __len__(self) -> int:
        return len(self.texts)

    def __getitem__(self, indices: Any) -> Self:
        return replace(self, texts=self.texts[indices])

    @property
    def requires_fit(self) -> bool:
        """Always true: n-grams and their weights are fitted."""
        return True

    def digest(self) -> bytes:
        """A checksum of the texts."""
        hasher = hashlib.sha256()
        for text in self.texts:
            encoded = text.encode("utf-8", errors="surrogatepass")
            hasher.update(len(encoded).to_bytes(8, "little") + encoded)
        return hasher.digest()

    def encode(self, fit_on: Sequence[Self]) -> Any:
        """Sparse features (N, n-grams) float32 of Euclidean norm 1.

        Raises:
            TlbenchError: no text to fit on holds a word.
        """
        from sklearn.feature_extraction.text import TfidfVectorizer

        try:
            vectorizer = TfidfVectorizer(max_features=self.size, ngram_range=(1, self.ngrams), dtype=np.float32)
            return vectorizer.fit([text for samples in fit_on for text in samples.texts]).transform(self.texts)
        except ValueError as error:
            raise TlbenchError(f"The texts have no tf-idf features: {error}") from error


def hashed_counts(texts: Sequence[str], size: int, ngrams: int) -> Any:
    """Texts as hashed counts of their n-grams: sparse features (N, size) float32 of Euclidean norm 1. Nothing is fitted."""
    from sklearn.feature_extraction.text import HashingVectorizer

    vectorizer = HashingVectorizer(n_features=size, alternate_sign=False, ngram_range=(1, ngrams), dtype=np.float32)
    return vectorizer.transform(texts)
