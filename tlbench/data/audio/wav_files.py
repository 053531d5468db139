"""WAV files: which files are recordings, and what they hold, as one channel of a wanted rate."""

from __future__ import annotations

import io
import math
import warnings
from pathlib import PurePosixPath
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from tlbench.errors import TlbenchError

SUFFIXES = frozenset({".wav", ".wave"})
UNREAD_SUFFIXES = frozenset(
    {".mp3", ".flac", ".ogg", ".oga", ".opus", ".m4a", ".aac", ".aif", ".aiff", ".aifc", ".wma", ".au", ".snd", ".sph", ".amr"}
    | {".caf", ".w64", ".ape", ".wv"}
)
"""Suffixes of other recordings, which are not to be left out without a word."""
HEAD_BYTES = 12
"""So many first bytes tell whether a file is a WAV file."""
RECORDING_LIMIT_BYTES = 256 * 2**20
"""The limit of one file."""
RATES = (1_000, 384_000)
"""The sampling rates in Hz that are read, lowest and highest."""

Signal = NDArray[np.float64]


def is_recording(name: str, head: bytes) -> bool:
    """Whether a file is a recording, by its suffix or by its first bytes.

    Args:
        name: its name.
        head: its first `HEAD_BYTES` bytes.
    """
    is_wav = head[:4] in (b"RIFF", b"RIFX", b"RF64") and head[8:12] == b"WAVE"
    return is_wav or PurePosixPath(name).suffix.lower() in SUFFIXES | UNREAD_SUFFIXES


def decode(name: str, content: bytes) -> tuple[int, Signal]:
    """The sampling rate of a WAV file in Hz, and its samples (T,) with 1 as full scale; several channels are averaged.

    Integers of 8, 16, 24 and 32 bits and floats are read.

    Args:
        name: its name, for the error about another format.
        content: its bytes.

    Raises:
        TlbenchError: the file is of another format, damaged, truncated or empty.
    """
    from scipy.io import wavfile

    suffix = PurePosixPath(name).suffix.lower()
    if not content:
        raise TlbenchError("the file is empty")
    if content[:4] not in (b"RIFF", b"RIFX", b"RF64") or content[8:12] != b"WAVE":
        unread = suffix in UNREAD_SUFFIXES
        raise TlbenchError(f"recordings of the format {suffix} are not read; convert it to WAV" if unread else "no WAV file")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", wavfile.WavFileWarning)
            warnings.filterwarnings("ignore", "Chunk .*not understood", wavfile.WavFileWarning)  # such as cue points
            rate, samples = wavfile.read(io.BytesIO(content))
    except Exception as error:  # SciPy raises nearly anything on damaged bytes
        reason = " ".join(f"{type(error).__name__}: {error}".split()).rstrip(".")
        raise TlbenchError(f"not a whole WAV file that SciPy reads: {reason:.120}") from error
    if not RATES[0] <= rate <= RATES[1]:
        raise TlbenchError(f"{rate} Hz is no rate from {RATES[0]:,} to {RATES[1]:,}")
    missing = _stated_bytes(content) - samples.nbytes * _bits(content) // (8 * samples.itemsize)
    if missing > 0:
        raise TlbenchError(f"truncated: {missing} bytes of samples are missing")
    if not samples.size:
        raise TlbenchError("the file holds no samples")
    signal = _full_scale(samples)
    if not np.isfinite(signal).all():
        raise TlbenchError("a sample is NaN or infinite")
    return rate, signal if signal.ndim == 1 else signal.mean(axis=1)


def _full_scale(samples: NDArray[np.generic]) -> Signal:
    """Stored samples as numbers with 1 as full scale; 24 bits come as the highest of 32."""
    if samples.dtype.kind == "f":
        return samples.astype(np.float64)
    if samples.dtype.kind == "u":
        return (samples.astype(np.float64) - 128) / 128
    return samples.astype(np.float64) / 2.0 ** (8 * samples.itemsize - 1)


def _stated_bytes(content: bytes) -> int:
    """The bytes of samples that the header states; 0 where it has none."""
    return _chunk(content, b"data")[1]


def _bits(content: bytes) -> int:
    """The bits that a sample takes in the file: 24 of them are read as 32."""
    start, _ = _chunk(content, b"fmt ")
    order = _byte_order(content)
    channels = int.from_bytes(content[start + 2 : start + 4], order)
    block = int.from_bytes(content[start + 12 : start + 14], order)
    return 8 * block // max(channels, 1)


def _byte_order(content: bytes) -> Literal["little", "big"]:
    return "big" if content[:4] == b"RIFX" else "little"


def _chunk(content: bytes, name: bytes) -> tuple[int, int]:
    """Where the content of the first chunk of a name begins, and its size as stated; (0, 0) without one."""
    order = _byte_order(content)
    position = 12
    while position + 8 <= len(content):
        size = int.from_bytes(content[position + 4 : position + 8], order)
        if content[position : position + 4] == name:
            is_64_bit = content[:4] == b"RF64" and size == 2**32 - 1  # then the chunk ds64 states it
            return position + 8, 0 if is_64_bit else size
        position += 8 + size + size % 2
    return 0, 0


def resampled(signal: Signal, from_rate: int, to_rate: int, length: int) -> Signal:
    """The first samples (length,) of a recording at another rate, by a polyphase filter; silence follows a shorter one.

    Args:
        signal: samples (T,).
        from_rate: its rate in Hz.
        to_rate: the wanted rate in Hz.
        length: the wanted number of samples.
    """
    if from_rate != to_rate:
        from scipy.signal import resample_poly

        divisor = math.gcd(from_rate, to_rate)
        up, down = to_rate // divisor, from_rate // divisor
        margin = 10 * max(up, down) // up + 2  # the filter reaches so far
        needed = -(-length * down // up) + margin
        signal = resample_poly(signal[:needed], up, down)
    signal = signal[:length]
    return np.pad(signal, (0, length - len(signal)))
