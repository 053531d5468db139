"""Log-mel spectrograms: the power of a signal in bands of the mel scale, in decibels."""

from __future__ import annotations

import functools
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from tlbench.data.audio.wav_files import Signal
from tlbench.errors import TlbenchError

FLOOR_DECIBELS = -100.0
"""No band is quieter than this."""
BYTES_PER_DECIBEL = 2
"""Decibels as bytes: x = 2 (dB + 100), from -100 to 27.5 dB."""
Scale = Literal["htk", "slaney"]


def filter_bank(rate: int, n_fft: int, mels: int, lowest: float, highest: float, scale: Scale) -> Signal:
    """Triangular filters (n_fft // 2 + 1, mels) whose corners are evenly spaced on the mel scale, each with the peak 1.

    Args:
        rate: of the signal in Hz.
        n_fft: samples of a window.
        mels: bands.
        lowest: the lower corner of the first band in Hz.
        highest: the upper corner of the last band in Hz.
        scale: `htk`: mel = 2595 log10(1 + f / 700); `slaney`: linear to 1 kHz and logarithmic from there.
    """
    frequencies = np.linspace(0, rate / 2, n_fft // 2 + 1)
    corners = _to_hertz(np.linspace(_to_mel(np.array(lowest), scale), _to_mel(np.array(highest), scale), mels + 2), scale)
    widths = np.diff(corners)
    distance = corners - frequencies[:, None]
    rising, falling = -distance[:, :-2] / widths[:-1], distance[:, 2:] / widths[1:]
    return np.maximum(0, np.minimum(rising, falling))


def _to_mel(hertz: Signal, scale: Scale) -> Signal:
    if scale == "htk":
        return 2595 * np.log10(1 + hertz / 700)
    logarithmic = 15 + 27 * np.log(np.maximum(hertz, 1000) / 1000) / np.log(6.4)
    return np.where(hertz < 1000, 3 * hertz / 200, logarithmic)


def _to_hertz(mel: Signal, scale: Scale) -> Signal:
    if scale == "htk":
        return 700 * (10 ** (mel / 2595) - 1)
    return np.where(mel < 15, 200 * mel / 3, 1000 * np.exp((np.maximum(mel, 15) - 15) * np.log(6.4) / 27))


class LogMel:
    """Signals -> log-mel spectrograms, in decibels of a sine wave of full scale.

    Windows are those of Hann, centred at the multiples of `hop`; the signal is mirrored at both ends.

    Args:
        rate: of the signals in Hz.
        n_fft: samples of a window.
        hop: samples from one window to the next.
        mels: bands.
        lowest: the lower corner of the first band in Hz.
        highest: the upper corner of the last band in Hz; None: half of the rate.
        scale: of the bands.

    Raises:
        TlbenchError: the corners are no frequencies of such a signal, or a band holds no frequency of the windows.
    """

    def __init__(
        self,
        rate: int,
        n_fft: int,
        hop: int,
        mels: int,
        lowest: float = 0.0,
        highest: float | None = None,
        scale: Scale = "htk",
    ) -> None:
        highest = rate / 2 if highest is None else highest
        if not lowest < highest <= rate / 2:
            raise TlbenchError(
                f"The bands from {lowest:g} to {highest:g} Hz are not within 0 and {rate / 2:g} Hz, half of the rate. Correct "
                "lowest or highest."
            )
        self._filters = filter_bank(rate, n_fft, mels, lowest, highest, scale)
        if len(silent := np.flatnonzero(~self._filters.any(axis=0))):
            raise TlbenchError(
                f"{len(silent)} of mels = {mels} bands hold no frequency of windows of n_fft = {n_fft} samples. Lower mels, or "
                "raise n_fft."
            )
        self._window, self._hop = _hann(n_fft), hop

    def frames(self, length: int) -> int:
        """The number of windows of a signal of so many samples."""
        return 1 + length // self._hop

    def __call__(self, signal: Signal) -> Signal:
        """The spectrogram (mels, frames) of a signal (T,) in decibels; T must be over half a window."""
        mirrored = np.pad(signal, len(self._window) // 2, mode="reflect")
        windows = np.lib.stride_tricks.sliding_window_view(mirrored, len(self._window))[:: self._hop]
        amplitudes = np.fft.rfft(windows * self._window) / (self._window.sum() / 2)
        power = (np.abs(amplitudes) ** 2) @ self._filters
        decibels: Signal = 10 * np.log10(np.maximum(power, 10 ** (FLOOR_DECIBELS / 10))).T
        return decibels


@functools.cache
def _hann(length: int) -> Signal:
    """The periodic window of Hann."""
    return 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(length) / length)


def as_bytes(decibels: Signal) -> NDArray[np.uint8]:
    """Decibels as bytes 2 (dB + 100), rounded, and clipped at 27.5 dB."""
    scaled = np.rint(BYTES_PER_DECIBEL * (decibels - FLOOR_DECIBELS))
    return np.clip(scaled, 0, 255).astype(np.uint8)


def as_floats(decibels: Signal) -> NDArray[np.float32]:
    """Decibels as float32 (dB + 100) / 127.5: what bytes are after their division by 255, without rounding."""
    return (BYTES_PER_DECIBEL * (decibels - FLOOR_DECIBELS) / 255).astype(np.float32)
