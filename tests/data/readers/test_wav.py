"""Recordings in folders, lists and by patterns; WAV files of each kind, and damaged ones; spectrograms against torchaudio."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from domain_tables import load_domain, refused_domain
from golden_arrays import GoldenArrays
from hypothesis import given
from hypothesis import strategies as st
from reader_files import quick
from scipy.io import wavfile
from scipy.signal import resample_poly
from tiny_suite import CPU, IMAGES, case, domain, suite

from tlbench import data, engine
from tlbench.data.audio import log_mel, wav_files
from tlbench.errors import TlbenchError
from tlbench.terms import Labelled

GOLDEN = GoldenArrays("log_mel").arrays
WAV = {"reader": "wav", "path": "speech", "rate": 8000, "seconds": 0.1, "n_fft": 128, "hop": 64, "mels": 12}
FSDD = WAV | {"path": "recordings", "pattern": r"(?P<label>\d)_(?P<domain>[a-z]+)_\d+\.wav"}


def tone(hertz: float = 440.0, rate: int = 8000, seconds: float = 0.1) -> np.ndarray[Any, Any]:
    return 0.5 * np.sin(2 * np.pi * hertz * np.arange(round(rate * seconds)) / rate)


def write_wav(path: Path, signal: Any, rate: int = 8000) -> Path:
    """Write a signal in [-1, 1] with 16 bits, and return its path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    wavfile.write(path, rate, np.rint(32767 * np.asarray(signal)).astype(np.int16))
    return path


@pytest.fixture
def speech(tmp_path: Path) -> Path:
    """Folders of classes in folders of domains, and the files of FSDD."""
    for speaker, shift in (("ann", 0), ("bob", 100)):
        for number, word in enumerate(("no", "yes")):
            for take in range(2):
                write_wav(tmp_path / f"speech/{speaker}/{word}/{take}.wav", tone(400 + 800 * number + shift + 10 * take))
    for digit in (0, 7):
        for speaker in ("jackson", "theo"):
            for take in (0, 32):
                write_wav(tmp_path / f"recordings/{digit}_{speaker}_{take}.wav", tone(300 + 100 * digit + take))
    return tmp_path


@pytest.mark.parametrize("scale", ["htk", "slaney"])
def test_filters_and_spectrograms_are_those_of_torchaudio(scale):
    filters = log_mel.filter_bank(8000, 256, 24, 50.0, 3800.0, scale)
    assert np.allclose(filters, GOLDEN[f"filters_{scale}"], atol=2e-5)
    power = GOLDEN[f"power_{scale}"] / (128 / 2) ** 2  # in units of a sine wave of full scale: the window sums to 128
    decibels = log_mel.LogMel(8000, 256, 100, 24, 50.0, 3800.0, scale)(GOLDEN["signal"])
    assert decibels.shape == power.shape == (24, 41)
    assert np.allclose(decibels, 10 * np.log10(np.maximum(power, 1e-10)), atol=0.01)


def test_a_sine_wave_of_full_scale_has_0_decibels():
    spectrogram = log_mel.LogMel(8000, 256, 128, 40, scale="slaney")
    signal = np.sin(2 * np.pi * 1000 * np.arange(8000) / 8000)  # 1000 Hz is a frequency of the windows
    loudest = spectrogram(signal)[:, 5:-5].max()
    assert abs(loudest) < 3  # a band adds up what the window spreads over three frequencies
    silent = spectrogram(np.zeros(8000))
    assert (silent == log_mel.FLOOR_DECIBELS).all() and not log_mel.as_bytes(silent).any()
    assert log_mel.as_bytes(np.array([-100.0, -99.75, -50.0, 0.0, 27.5, 90.0])).tolist() == [0, 0, 100, 200, 255, 255]
    assert log_mel.as_floats(np.array([0.0]))[0] == pytest.approx(200 / 255)


def test_classes_and_domains_are_folders(speech: Path) -> None:
    ann = load_domain(WAV | {"domain": "ann"}, speech)
    assert ann.samples.x.shape == (4, 1, 12, 13) and ann.samples.x.dtype == torch.uint8
    assert ann.classes == ("no", "yes") and ann.samples.y.tolist() == [0, 0, 1, 1]
    assert load_domain(WAV | {"path": "speech/ann"}, speech).fingerprint == ann.fingerprint
    loudest = ann.samples.x[:, 0].float().mean(dim=2).argmax(dim=1)
    assert loudest[0] == loudest[1] < loudest[2]  # 400 Hz lies in a lower band than 1,200 Hz
    files = [f"speech/ann/{word}/{take}.wav" for word in ("yes", "no") for take in (1, 0)]
    assert load_domain(WAV | {"path": files}, speech).fingerprint == ann.fingerprint
    floats = load_domain(WAV | {"domain": "ann", "values": "float32"}, speech).samples.x
    assert floats.dtype == torch.float32 and torch.allclose(floats, ann.samples.x / 255, atol=0.5 / 255 + 1e-6)


def test_a_pattern_tells_class_and_domain(speech: Path) -> None:
    jackson = load_domain(FSDD | {"domain": "jackson"}, speech)
    assert jackson.classes == ("0", "7") and jackson.samples.y.tolist() == [0, 0, 1, 1]
    assert len(load_domain(FSDD, speech).samples) == 8
    by_folder = WAV | {"pattern": r"(?P<domain>\w+)/\w+/\d\.wav", "domain": "bob"}
    assert load_domain(by_folder, speech).classes == ("no", "yes")
    grouped = load_domain(FSDD | {"pattern": r"(?P<label>\d)_(?P<group>[a-z]+)_\d+\.wav"}, speech)
    assert grouped.groups == ("jackson", "theo") and grouped.samples.group.tolist() == [0, 0, 1, 1] * 2
    files = [f"recordings/{digit}_theo_0.wav" for digit in (0, 7)]
    assert load_domain(FSDD | {"path": files, "domain": "theo"}, speech).samples.y.tolist() == [0, 1]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"domain": "anna"}, "'anna' is not there"),
        ({"domain": "../speech/ann"}, "leaves 'speech'"),
        ({"path": "speach"}, "Did you mean 'speech'?"),
        ({"path": "speech/ann/no"}, "There is no recording in folders <class>/*"),
        ({"path": ["speech/ann/no/9.wav"]}, "'speech/ann/no/9.wav' is not there"),
        ({"path": ["speech/ann/no/0.wav"], "domain": "ann"}, "domain needs folders of classes, or a pattern"),
        ({"pattern": r"(?P<label>\d)\.wav", "domain": "ann"}, "domain needs folders of classes, or a pattern"),
        ({"pattern": r"(?P<label>\d)_x\.wav"}, "There is no recording that matches pattern"),
        (
            {"pattern": r"(?P<domain>\w+)/\w+/\d\.wav", "domain": "bop"},
            "No recording has the domain 'bop'. Did you mean 'bob'?",
        ),
        ({"pattern": r"(?:(?P<label>q)u)?.*"}, "without its group 'label'"),
        ({"seconds": 0.005}, "are 40 samples, no more than half a window of n_fft = 128"),
        ({"mels": 100}, "bands hold no frequency of windows of n_fft = 128 samples. Lower mels"),
        ({"highest": 5000.0}, "The bands from 0 to 5000 Hz are not within 0 and 4000 Hz"),
    ],
)
def test_recordings_and_settings_that_do_not_fit_are_refused(speech: Path, change: dict[str, Any], message: str) -> None:
    assert message in refused_domain(WAV | change, speech)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"pattern": "(?P<label>"}, "it is no regular expression"),
        ({"pattern": r"(?P<lable>\d)"}, "its group 'lable' is none of label, domain and group"),
        ({"pattern": r"\d"}, "it names no group"),
        ({"pattern": r"(?i)(?P<label>\d)"}, "it is no regular expression: global flags not at the start"),
        ({"rate": 100}, "rate"),
        ({"values": "int16"}, "values: Unknown value 'int16'. Did you mean 'uint8'?"),
        ({"melz": 3}, "Did you mean 'mels'?"),
        ({"path": []}, "path"),
    ],
)
def test_keys_are_checked_before_any_file_is_read(change: dict[str, Any], message: str) -> None:
    declaration, errors = data.declare("d", WAV | change, {})
    assert declaration is None and any(message in error for error in errors), errors


def test_all_kinds_of_wav_files_give_one_signal(tmp_path: Path) -> None:
    signal = tone()
    quantized = {
        "u8": np.rint(127 * signal + 128).astype(np.uint8),
        "i16": np.rint(32767 * signal).astype(np.int16),
        "i32": np.rint(2147483647 * signal).astype(np.int32),
        "f32": signal.astype(np.float32),
        "f64": signal,
        "stereo": np.rint(32767 * np.stack([1.5 * signal, 0.5 * signal], axis=1)).astype(np.int16),
    }
    for name, samples in quantized.items():
        wavfile.write(tmp_path / f"{name}.wav", 8000, samples)
    (tmp_path / "i24.wav").write_bytes(wav_of_24_bits(signal))
    for name in (*quantized, "i24"):
        rate, read = wav_files.decode(f"{name}.wav", (tmp_path / f"{name}.wav").read_bytes())
        assert rate == 8000 and read.shape == (800,)
        assert np.allclose(read, signal, atol=1 / 100 if name == "u8" else 1e-4), name


def wav_of_24_bits(signal: Any) -> bytes:
    """A WAV file of 24 bits, with a chunk of notes that no reader needs."""
    samples = b"".join(round(8388607 * value).to_bytes(3, "little", signed=True) for value in signal)
    form = (1).to_bytes(2, "little") + (1).to_bytes(2, "little") + (8000).to_bytes(4, "little") + (24000).to_bytes(4, "little")
    form += (3).to_bytes(2, "little") + (24).to_bytes(2, "little")
    chunks = b"".join(
        name + len(content).to_bytes(4, "little") + content
        for name, content in ((b"fmt ", form), (b"note", b"none"), (b"data", samples))
    )
    return b"RIFF" + (4 + len(chunks)).to_bytes(4, "little") + b"WAVE" + chunks


def test_other_rates_are_resampled_cut_and_padded(speech: Path) -> None:
    for take, rate in enumerate((8000, 16_000, 44_100, 11_025)):
        write_wav(speech / f"rates/a/{take}.wav", tone(rate=rate), rate)
    x = load_domain(WAV | {"path": "rates", "values": "float32"}, speech).samples.x[:, 0, :, 2:-2]
    is_loud = x[0] > 60 / 127.5  # over -40 dB; elsewhere the filter of 11,025 Hz leaves traces
    assert bool(is_loud.any()) and float((x - x[0])[:, is_loud].abs().max()) < 0.5 / 127.5
    long_signal = tone(rate=44_100, seconds=2)  # its first part alone is resampled
    whole = resample_poly(long_signal, 80, 441)
    assert np.allclose(wav_files.resampled(long_signal, 44_100, 8000, 800), whole[:800], atol=1e-12)
    write_wav(speech / "lengths/a/long.wav", tone(seconds=0.3))
    write_wav(speech / "lengths/a/short.wav", tone(seconds=0.05))
    long, short = load_domain(WAV | {"path": "lengths"}, speech).samples.x[:, 0]
    assert torch.equal(long[:, :6], load_domain(WAV | {"path": "rates"}, speech).samples.x[0, 0, :, :6])
    assert short[:, 9:].max() == 0 and torch.equal(short[:, :5], long[:, :5])


def test_what_is_no_recording_is_left_out_with_a_note(speech: Path) -> None:
    clean = load_domain(WAV | {"domain": "ann"}, speech)
    folder = speech / "speech/ann"
    for name in ("no/.hidden.wav", "no/._0.wav", ".ipynb_checkpoints/0.wav", "__MACOSX/0.wav"):
        write_wav(folder / name, tone())
    (folder / "no/transcript.txt").write_text("no")
    write_wav(folder / "beside.wav", tone())
    (folder / "yes/1.wav").rename(folder / "yes/1")  # told by its first bytes
    with pytest.warns(UserWarning, match="left out"):
        domain_with_notes = load_domain(WAV | {"domain": "ann"}, speech)
    assert domain_with_notes.fingerprint == clean.fingerprint
    notes = " | ".join(domain_with_notes.notes)
    assert "4 hidden files and folders are left out" in notes and "1 .txt" in notes and "1 recordings lie in no folder" in notes
    write_wav(speech / "recordings/readme_9.wav", tone())
    with pytest.warns(UserWarning, match="1 of 9 recordings do not match the pattern and are left out, such as 'readme_9.wav'"):
        assert len(load_domain(FSDD, speech).samples) == 8


def test_damaged_recordings_are_named_and_counted(speech: Path) -> None:
    folder = speech / "speech/ann"
    whole = (folder / "no/0.wav").read_bytes()
    (folder / "no/0.wav").write_bytes(whole[:-100])
    (folder / "no/1.wav").write_bytes(b"")
    (folder / "yes/2.mp3").write_bytes(b"ID3")
    (folder / "yes/3.wav").write_bytes(b"junk")
    text = refused_domain(WAV | {"domain": "ann"}, speech)
    assert "4 of 6 recordings can't be read: no/0.wav (" in text and "no/1.wav (the file is empty)" in text
    assert "recordings of the format .mp3 are not read; convert it to WAV" in text and "yes/3.wav (no WAV file)" in text
    assert text.endswith("Repair them, or set skip_bad = true to leave them out.")
    with pytest.warns(UserWarning, match="4 of 6 recordings can't be read"):
        readable = load_domain(WAV | {"domain": "ann", "skip_bad": True}, speech)
    assert readable.samples.y.tolist() == [0, 0] and readable.classes == ("yes",)
    assert "Check the path" in refused_domain(WAV | {"path": ["speech/ann/yes/3.wav"], "skip_bad": True}, speech)


def test_numbers_that_are_not_finite_and_absurd_rates_are_refused(tmp_path: Path) -> None:
    signal = tone().astype(np.float32)
    signal[5] = np.nan
    for name, samples, rate, message in (
        ("nan", signal, 8000, "a sample is NaN or infinite"),
        ("slow", tone().astype(np.float32), 10, "10 Hz is no rate from 1,000 to 384,000"),
        ("fast", tone().astype(np.float32), 500_000_000, "500000000 Hz is no rate"),
        ("empty", np.zeros(0, np.int16), 8000, "holds no samples"),
    ):
        (tmp_path / name / "a").mkdir(parents=True)
        wavfile.write(tmp_path / name / "a/0.wav", rate, samples)
        assert message in refused_domain(WAV | {"path": name}, tmp_path), name


def test_links_and_pipes_are_refused(speech: Path) -> None:
    write_wav(speech / "secret.wav", tone())
    link = speech / "speech/ann/no/z.wav"
    link.symlink_to(speech / "secret.wav")
    assert "is a link that leaves" in refused_domain(WAV, speech)
    link.unlink()
    os.mkfifo(link)
    assert "is no plain file" in refused_domain(WAV, speech)


@given(share=st.floats(0, 1, exclude_max=True), position=st.integers(0, 1643), value=st.integers(0, 255))
@quick
def test_a_file_cut_or_changed_anywhere_is_a_clear_error_or_a_recording(speech: Path, share: float, position: int, value: int):
    whole = (speech / "recordings/0_theo_0.wav").read_bytes()
    changed = bytearray(whole)
    changed[position] = value
    target = speech / "mutated/a/0.wav"
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(whole[: int(share * len(whole))])
    assert "can't be read: a/0.wav (" in refused_domain(WAV | {"path": "mutated"}, speech)
    target.write_bytes(bytes(changed))
    with contextlib.suppress(TlbenchError):
        assert load_domain(WAV | {"path": "mutated"}, speech).samples.x.shape == (1, 1, 12, 13)


@pytest.mark.parametrize("backbone", ["convnet", "resnet"])
def test_networks_for_images_learn_from_spectrograms(speech: Path, backbone: str) -> None:
    domains = {}
    for name, speaker in (("a", "ann"), ("b", "bob")):
        loaded = load_domain(WAV | {"domain": speaker, "mels": 16, "seconds": 0.15}, speech)
        samples = Labelled(loaded.samples.x.repeat(6, 1, 1, 1), loaded.samples.y.repeat(6))
        domains[name] = domain(name, samples, classes=2)
    chosen = suite(IMAGES.replace("lenet", backbone), train={"steps": 3})
    record = engine.run_case(case("coral"), chosen, domains, CPU)
    assert record.status == "done", record.reason
