"""Recordings in WAV files as log-mel spectrograms; classes and domains are folders, or parts of the names of the files.

A domain is a folder of folders of classes, `<domain>/<class>/*.wav`, or a list of files; or a pattern tells the class and the
domain from each name, such as `(?P<label>\\d)_(?P<domain>[a-z]+)_\\d+\\.wav` for `7_jackson_32.wav`.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path, PurePosixPath
from typing import Annotated, Literal

import numpy as np
from pydantic import Field, field_validator

from tlbench.data.audio import log_mel, recordings, wav_files
from tlbench.data.audio.recordings import Recording
from tlbench.data.decoding import files, folders, mapped_arrays
from tlbench.data.decoding.arrays import Array, ReaderResult
from tlbench.errors import TlbenchError
from tlbench.terms import Strict

LIBRARIES = ("scipy",)
SHOWN_ERRORS = 5
"""An error message names this many damaged recordings."""
SPECTROGRAMS_LIMIT_BYTES = 256 * 2**30

Paths = str | Annotated[tuple[str, ...], Field(strict=False, min_length=1)]


class Options(Strict, strict=True):
    """The recordings, and the spectrograms that are made of them."""

    path: Annotated[Paths, Field(description="a folder, or a list of files, relative to the data root")]
    domain: Annotated[
        str,
        Field(description="the folder inside path that holds the folders of the classes; with pattern, the value of its group"),
    ] = ""
    pattern: (
        Annotated[
            str, Field(max_length=500, description="a regular expression for names, with the groups label, domain and group")
        ]
        | None
    ) = None
    rate: Annotated[int, Field(ge=1000, le=384_000, description="samples per second to resample to")]
    seconds: Annotated[float, Field(gt=0, le=600, description="length of a sample; longer ones are cut, shorter ones padded")]
    n_fft: Annotated[int, Field(ge=16, le=65_536, description="samples of a window")]
    hop: Annotated[int, Field(ge=1, le=65_536, description="samples from one window to the next")]
    mels: Annotated[int, Field(ge=1, le=1024, description="bands of the mel scale")]
    lowest: Annotated[float, Field(ge=0, description="lower corner of the first band in Hz")] = 0.0
    highest: (
        Annotated[float, Field(gt=0, description="upper corner of the last band in Hz; half of rate without it")] | None
    ) = None
    scale: Annotated[log_mel.Scale, Field(description="of the mel bands")] = "htk"
    values: Annotated[
        Literal["uint8", "float32"], Field(description="bytes 2 (dB + 100), or (dB + 100) / 127.5 without rounding")
    ] = "uint8"
    skip_bad: Annotated[bool, Field(description="whether recordings that can't be read are left out")] = False

    @field_validator("pattern")
    @classmethod
    def _valid_pattern(cls, pattern: str | None) -> str | None:
        if pattern is not None and (error := recordings.pattern_error(pattern)) is not None:
            raise ValueError(f"{pattern!r:.80}: {error}.")
        return pattern


def read(options: Options, root: Path) -> ReaderResult:
    """Spectrograms (N, 1, mels, frames), sorted by class and name, their classes (N,), and groups where a pattern has them.

    Raises:
        TlbenchError: a folder or file that is not there, links that leave it, recordings that can't be read, or settings that
            do not fit together.
    """
    length = round(options.rate * options.seconds)
    if length <= options.n_fft // 2:
        raise TlbenchError(
            f"seconds = {options.seconds:g} at rate = {options.rate} are {length} samples, no more than half a window of "
            f"n_fft = {options.n_fft}. Raise seconds, or lower n_fft."
        )
    by_folder = options.pattern is None and isinstance(options.path, str)
    if options.domain and not by_folder and not recordings.has_domain(options.pattern):
        raise TlbenchError("domain needs folders of classes, or a pattern with the group 'domain'. Leave it out.")
    spectrogram = log_mel.LogMel(
        options.rate, options.n_fft, options.hop, options.mels, options.lowest, options.highest, options.scale
    )
    selection = recordings.select(root, options.path, options.domain, options.pattern)
    x, decoded, notes, counts = _decode(selection.recordings, options, spectrogram, length)
    chosen = [selection.recordings[index] for index in decoded]
    has_groups = any(one.group is not None for one in chosen)
    group = np.array([one.group or "" for one in chosen]) if has_groups else None
    changed = ", ".join(f"{count:,} {what}" for what, count in sorted(counts.items())) or "none changed"
    classes = len({one.label for one in chosen})
    reading = (
        f"{len(chosen):,} of {len(selection.recordings):,} recordings of {classes} classes; {changed}",
        f"{options.seconds:g} s at {options.rate} Hz as {options.mels} mel bands of {spectrogram.frames(length)} windows",
    )
    y = np.array([one.label for one in chosen])
    return ReaderResult(x, y, group, notes=(*selection.notes, *notes), reading=reading)


def sources(options: Options, root: Path) -> list[Path]:
    """The files of the list, or all plain files below the folder of the domain.

    Raises:
        TlbenchError: a link leaves the folder, or leads to a folder that holds it.
    """
    paths = (options.path,) if isinstance(options.path, str) else options.path
    if any(PurePosixPath(path).is_absolute() or ".." in PurePosixPath(path).parts for path in (*paths, options.domain)):
        return []
    if not isinstance(options.path, str):
        return [root / path for path in dict.fromkeys(paths) if (root / path).is_file()]
    whole = root / options.path
    folder = whole if options.pattern is not None else whole / options.domain
    return [file for file in folders.walk(folder, whole)[0] if file.is_file()] if folder.is_dir() else []


def _decode(
    chosen: list[Recording], options: Options, spectrogram: log_mel.LogMel, length: int
) -> tuple[Array, Array, tuple[str, ...], Counter[str]]:
    """Decode recordings.

    Args:
        chosen: the recordings.
        options: the options of the reader.
        spectrogram: makes a spectrogram of a signal.
        length: of a signal, in samples.

    Returns:
        Spectrograms (M, 1, mels, frames), the indices (M,) of the recordings that could be read, notes on the others, and how
        many were resampled, cut or padded.

    Raises:
        TlbenchError: some can't be read (unless skip_bad is set), or none can.
    """
    shape = (len(chosen), 1, options.mels, spectrogram.frames(length))
    dtype = np.dtype(options.values)
    if (size_bytes := int(np.prod(shape, dtype=object)) * dtype.itemsize) > SPECTROGRAMS_LIMIT_BYTES:
        raise TlbenchError(
            f"{len(chosen)} spectrograms of {shape[2]}x{shape[3]} take {size_bytes / 2**30:.1f} GiB, and "
            f"{SPECTROGRAMS_LIMIT_BYTES / 2**30:g} GiB are allowed. Lower seconds or mels, or raise hop."
        )
    x = mapped_arrays.empty(shape, dtype)
    errors: dict[int, str] = {}
    counts: Counter[str] = Counter()
    for index, recording in enumerate(chosen):
        try:
            rate, signal = wav_files.decode(recording.name, _content(recording.path))
        except TlbenchError as error:
            errors[index] = f"{recording.name} ({error})"
            continue
        duration = len(signal) / rate
        counts["resampled"] += rate != options.rate
        counts["cut"] += duration > options.seconds
        counts["padded with silence"] += duration < options.seconds
        decibels = spectrogram(wav_files.resampled(signal, rate, options.rate, length))
        x[index, 0] = log_mel.as_bytes(decibels) if dtype == np.uint8 else log_mel.as_floats(decibels)
        if index % 1000 == 0:
            mapped_arrays.release(x)
    counts = Counter({what: count for what, count in counts.items() if count})
    if not errors:
        return x, np.arange(len(chosen)), (), counts
    shown = "; ".join([errors[index] for index in sorted(errors)[:SHOWN_ERRORS]])
    text = f"{len(errors)} of {len(chosen)} recordings can't be read: {shown}{'; ...' if len(errors) > SHOWN_ERRORS else ''}"
    if not options.skip_bad:
        raise TlbenchError(f"{text}. Repair them, or set skip_bad = true to leave them out.")
    if len(errors) == len(chosen):
        raise TlbenchError(f"{text}. Check the path.")
    indices = np.setdiff1d(np.arange(len(chosen)), list(errors))
    return mapped_arrays.take(x, indices), indices, (f"{text}; left out, as skip_bad says",), counts


def _content(path: Path) -> bytes:
    """The bytes of a recording.

    Raises:
        TlbenchError: they are too many, or may not be read.
    """
    if (size := path.stat().st_size) > wav_files.RECORDING_LIMIT_BYTES:
        raise TlbenchError(f"{size} bytes are more than the {wav_files.RECORDING_LIMIT_BYTES} allowed")
    with files.guarded_reading(path, "WAV"):
        return path.read_bytes()
