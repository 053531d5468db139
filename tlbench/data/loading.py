"""A checked Declaration -> a Domain: read, check, select classes, encode, shift, prepare, fingerprint."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tlbench.data import preparation, readers, shifts, source_files
from tlbench.data.cache import load_cached
from tlbench.data.declaration import DataSource, Declaration, Operation
from tlbench.data.decoding import arrays, files, mapped_arrays
from tlbench.data.decoding.arrays import UnencodedSamples
from tlbench.data.domain_sequence import domain_sequence
from tlbench.data.finished_arrays import fingerprint, merged_features, to_arrays, to_labelled
from tlbench.data.fitted_features import UnfittedFeatures
from tlbench.data.labels.classes import (
    UNKNOWN,
    encode_labels,
    label_array,
    listed,
    rename_labels,
    select_classes,
    target_array,
)
from tlbench.data.labels.groups import group_indices
from tlbench.data.labels.positions import as_classes, domain_classes, position_labels
from tlbench.data.labels.spans import spans_only
from tlbench.data.labels.tasks import task_labels
from tlbench.errors import TlbenchError
from tlbench.passages import Passages
from tlbench.terms import POSITION_TASKS, Domain, LabeledTask

SUBSAMPLE_USE = "rows"
"""Seeds the generator of the sample limit; every recorded fingerprint depends on this name."""


def load(declaration: Declaration, root: Path, cache: Path | None = None) -> Domain:
    """The domain of a declaration: decoded from the files below the data root, or mapped from the cache folder.

    Stated checksums are verified in either case. Features that are to be fitted on the source of a pair are fitted here on the
    domain's own samples; `tlbench.data.fit_features` fits them anew.

    Args:
        declaration: a checked domain table.
        root: the data root.
        cache: the cache folder; runs use `tlbench.data.cache.cache_folder()`. None: nothing is cached.

    Raises:
        TlbenchError: a file or its content is not as declared; the error names the domain.
    """
    if declaration.sequence:
        return domain_sequence(declaration.name, [load(member, root, cache) for member in declaration.sequence])
    with files.error_prefix(f"domains.{declaration.name}"):
        source_files.verify_checksums(declaration, root, cache)
    if cache is None or declaration.task == "multi_task" or declaration.task in POSITION_TASKS:
        return decode(declaration, root)
    return load_cached(declaration, root, cache, lambda: decode(declaration, root))


def decode(declaration: Declaration, root: Path) -> Domain:
    """Read a domain from its files, without the cache.

    Raises:
        TlbenchError: a file or its content is not as declared; the error names the domain.
    """
    where = f"domains.{declaration.name}"
    with files.error_prefix(where):
        raw = _read(declaration.main, root, declaration)
        classes = domain_classes(declaration.task, declaration.classes, raw.names)
        main = _select_classes(raw, classes, declaration)
        occurring = {*raw.names, UNKNOWN}
        absent = [name for name in classes if name not in occurring]
        if absent and declaration.keep is None and declaration.task == "classification":
            raise TlbenchError(
                f"No sample has the class {absent[0]!r}. The labels are {listed(raw.names)}. A domain that lacks a class on "
                "purpose names the classes it has by keep; a class of another spelling is renamed by label_map."
            )
        groups = () if main.group is None else tuple(encode_labels(np.asarray(main.group))[0])
    test = None
    if declaration.test is not None:
        with files.error_prefix(f"{where}.test"):
            test = _select_classes(_read(declaration.test, root, declaration), classes, declaration)
    fit_on = None
    if isinstance(main.x, UnencodedSamples):
        with files.error_prefix(where):
            fit_on = main.x[_resampled_indices(declaration, main, root)]
    return UnpreparedDomain(declaration, root, main, test, classes, groups, fit_on).prepare([] if fit_on is None else [fit_on])


@dataclass(frozen=True)
class RawSamples:
    """What was read of the main or the test samples."""

    x: Any
    """Samples (N, ...) or `UnencodedSamples`."""
    y: NDArray[Any]
    """Labels (N,) as indices into `names`, or (N, P) of positions, or regression targets (N, K)."""
    names: tuple[str, ...]
    """The names of the classes or of the K targets."""
    group: Any
    """The group of each sample (N,) as it was read, or None."""
    notes: tuple[str, ...]
    reading: tuple[str, ...] = ()
    tokens: bool = False
    """Whether the samples are token ids."""
    tasks: tuple[LabeledTask, ...] = ()
    """The tasks of the label columns (N, tasks)."""
    passages: Passages | None = None
    """The texts of the samples, where answers are spans of them."""


@dataclass(frozen=True)
class UnpreparedDomain:
    """A domain whose samples are read and whose labels are final; it remains to encode, shift and prepare the samples."""

    declaration: Declaration
    root: Path
    main: RawSamples
    test: RawSamples | None
    classes: tuple[str, ...]
    groups: tuple[str, ...]
    fit_on: UnencodedSamples | None
    """The main samples that an encoding may be fitted on: those that are left after all selections; None if encoded."""

    def prepare(self, fit_on: Sequence[UnencodedSamples]) -> Domain:
        """The finished domain, by an encoding that is fitted on some samples if there is one."""
        declaration, where = self.declaration, f"domains.{self.declaration.name}"
        with files.error_prefix(where):
            _check_token_operations(self.main, declaration)
            encoded = _encode(self.main, declaration.main, fit_on)
            main_x, y, group, passages = _shift(encoded, self.main, declaration, declaration.main.samples, self.root)
            prepared = _prepare(main_x, main_x, declaration.prepare)
            merged = merged_features(prepared)
            subsets = [to_arrays(prepared, y, group_indices(group, self.groups), tokens=self.main.tokens)]
        if self.test is not None and declaration.test is not None:
            with files.error_prefix(f"{where}.test"):
                x = _encode(self.test, declaration.test, fit_on)
                if x.shape[1:] != encoded.shape[1:]:
                    raise TlbenchError(
                        f"The test samples are {x.shape[1:]}, and the main samples {encoded.shape[1:]}. Both need one shape."
                    )
                x, y, group, _ = _shift(x, self.test, declaration, declaration.test.samples, self.root)
                prepared, groups = _prepare(x, main_x, declaration.prepare), group_indices(group, self.groups)
                subsets.append(to_arrays(prepared, y, groups, tokens=self.test.tokens))
        raw_subsets = [raw for raw in (self.main, self.test) if raw is not None]
        digests = [raw.x.digest() for raw in raw_subsets if isinstance(raw.x, UnencodedSamples)]
        digests += [] if passages is None else [passages.digest()]
        targets = self.main.names if declaration.task == "regression" else ()
        labelled = [to_labelled(*subset) for subset in subsets]
        return Domain(
            name=declaration.name,
            samples=labelled[0],
            classes=self.classes,
            fingerprint=fingerprint(subsets, (self.classes or targets or _described(self.main.tasks)), digests),
            test=labelled[1] if len(labelled) > 1 else None,
            groups=self.groups,
            targets=targets,
            tasks=self.main.tasks,
            position_task=declaration.task if declaration.task in ("tokens", "pixels", "spans") else "",
            passages=passages,
            notes=tuple(dict.fromkeys([*(note for raw in raw_subsets for note in raw.notes), *merged])),
            reading=tuple(text for raw in raw_subsets for text in raw.reading),
            unfitted=None if self.fit_on is None else UnfittedFeatures(self.fit_on, self.prepare),
        )


def _read(source: DataSource, root: Path, declaration: Declaration) -> RawSamples:
    """Samples with labels as indices into the sorted names of their own classes, or with targets and their names."""
    reader = readers.get(source.reader)
    output = reader.read(reader.Options.model_validate(source.options), root)
    result = output if isinstance(output, arrays.ReaderResult) else arrays.ReaderResult(*output)
    for note in result.notes:
        warnings.warn(f"domains.{declaration.name}: {note}", UserWarning, stacklevel=2)
    y: NDArray[Any]
    tasks: tuple[LabeledTask, ...] = ()
    passages: Passages | None = None
    if declaration.task == "multi_task":
        tasks, y = task_labels(result, declaration.tasks, declaration.tasks_by_group)
        names = tuple(task.name for task in tasks)
    elif declaration.task in POSITION_TASKS:
        names, y = position_labels(result.y, declaration.label_map)
        passages = spans_only(result.passages, declaration.task)
    elif declaration.task == "regression":
        count = result.x.shape[0] if hasattr(result.x, "shape") else None
        y, names = target_array(result.y, result.targets, count, result.number)
    else:
        if np.ndim(result.y) == 2 and 1 not in np.shape(result.y) and len(result.targets) > 1:
            raise TlbenchError(
                f"{len(result.targets)} columns of labels are targets of a regression. Set task = 'regression', or name one."
            )
        read_names, read_y = encode_labels(label_array(result.y))
        label_names, y = rename_labels(read_names, read_y, declaration.label_map)
        names = tuple(label_names)
    x = result.x
    if isinstance(x, UnencodedSamples):
        if len(x) != len(y):
            raise TlbenchError(f"x has {len(x)} samples and y {len(y)} labels; each sample needs one label.")
    else:
        x = arrays.sample_array(x, len(y), source.shape)
    limit = source.samples if source.samples is not None and source.samples < len(y) else None
    limited = () if limit is None else (f"samples = {limit} takes a stratified subsample of {len(y):,} samples",)
    notes, reading = (*result.notes, *result.left_out), (*result.reading, *limited)
    return RawSamples(x, y, names, result.group, notes, reading, result.tokens, tasks, passages)


def _described(tasks: Sequence[LabeledTask]) -> tuple[str, ...]:
    """The tasks and their classes as texts, for a fingerprint."""
    return tuple(text for task in tasks for text in (f"task {task.name}", *task.classes))


def _select_classes(raw: RawSamples, classes: Sequence[str], declaration: Declaration) -> RawSamples:
    """The samples of the declared classes, their labels (N,) as indices into these classes; of positions all samples."""
    if declaration.task in POSITION_TASKS:
        return replace(
            raw, y=as_classes(raw.names, raw.y, classes, drop_others=declaration.others == "drop"), names=tuple(classes)
        )
    if declaration.task != "classification":
        return raw
    indices, y = select_classes(raw.names, raw.y, classes, declaration.others)
    if declaration.keep is not None:
        mask_N = np.isin(y, [list(classes).index(name) for name in declaration.keep])
        if not mask_N.any():
            raise TlbenchError(f"keep leaves no samples: none has a class of {', '.join(declaration.keep)}.")
        indices, y = indices[mask_N], y[mask_N]
    if len(indices) == len(raw.y):
        return replace(raw, y=y, names=tuple(classes))
    dropped = f"{len(raw.y) - len(indices):,} of {len(raw.y):,} samples are left out by drop_others or keep"
    x = raw.x[indices] if isinstance(raw.x, UnencodedSamples) else mapped_arrays.take(raw.x, indices)
    group = None if raw.group is None else raw.group[indices]
    return RawSamples(x, y, tuple(classes), group, raw.notes, (*raw.reading, dropped), raw.tokens)


def _encode(raw: RawSamples, source: DataSource, fit_on: Sequence[UnencodedSamples]) -> Any:
    if not isinstance(raw.x, UnencodedSamples):
        return raw.x
    if not fit_on:
        raise TlbenchError("The test samples need an encoding, and the main samples have none. Read both in the same way.")
    return arrays.sample_array(raw.x.encode(fit_on), len(raw.y), source.shape)


def _strata(y: NDArray[Any]) -> NDArray[np.int64]:
    """The strata of stratified subsamples (N,): the classes, or the tasks where each sample has one; otherwise a single one."""
    if y.ndim == 2 and y.dtype.kind == "f" and (np.isfinite(y).sum(axis=1) == 1).all():
        return np.isfinite(y).argmax(axis=1)
    return y if y.ndim == 1 else np.zeros(len(y), dtype=np.int64)


def _resampled_indices(declaration: Declaration, raw: RawSamples, root: Path) -> NDArray[np.int64]:
    """The indices of the main samples that are left after the sample limit and the shifts that resample."""
    y, limit = _strata(raw.y), declaration.main.samples
    indices = np.arange(len(y)) if limit is None else shifts.subsample(y, limit, shifts.generator(SUBSAMPLE_USE, 0))
    for shift in declaration.shifts:
        if shift.kind in shifts.SELECTION_KINDS:
            _, _, selected = shifts.apply_shift(shift.kind, shift.options, indices, y[indices], root)
            indices = indices if selected is None else indices[selected]
    return indices


def _shift(
    x: Any, raw: RawSamples, declaration: Declaration, limit: int | None, root: Path
) -> tuple[Any, NDArray[Any], Any, Passages | None]:
    """Samples, labels, groups and texts after the sample limit and each shift in turn."""
    y, left = raw.y, np.arange(len(raw.y))
    if limit is not None and limit < len(y):
        indices = shifts.subsample(_strata(y), limit, shifts.generator(SUBSAMPLE_USE, 0))
        x, y, left = mapped_arrays.take(x, indices), y[indices], left[indices]
    for shift in declaration.shifts:
        x, labels, selected = shifts.apply_shift(shift.kind, shift.options, x, _strata(y), root)
        if selected is not None:
            y, left = y[selected], left[selected]
        elif y.ndim == 1:
            y = labels
    group = None if raw.group is None else np.asarray(raw.group)[left]
    return x, y, group, None if raw.passages is None else raw.passages[left]


def _check_token_operations(raw: RawSamples, declaration: Declaration) -> None:
    """Refuse preparations and shifts that would compute with token ids as if they were measurements."""
    kinds = [operation.kind for operation in declaration.prepare]
    kinds += [shift.kind for shift in declaration.shifts if shift.kind not in ("part", "label_shift")]
    if raw.tokens and kinds:
        raise TlbenchError(
            f"The samples are token ids, and {kinds[0]!r} is for measurements. Leave it out, or declare features of the texts."
        )


def _prepare(x: Any, main: Any, operations: Sequence[Operation]) -> Any:
    """Samples after each preparation in turn; `main`, which gives the statistics, is prepared alongside."""
    for operation in operations:
        function = preparation.registry.function(operation.kind)
        prepared = function(x, main, **operation.options)
        main = prepared if x is main else function(main, main, **operation.options)
        x = prepared
    return x
