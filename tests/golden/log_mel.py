"""Makes log_mel.npz: mel spectrograms and filters of torchaudio, of a signal that is drawn here and stored with them.

Run it in this folder where torchaudio is installed (2.11.0 made the file): python log_mel.py
"""

from __future__ import annotations

import numpy as np
import torch
from torchaudio.functional import melscale_fbanks
from torchaudio.transforms import MelSpectrogram

time = np.arange(4000) / 8000
noise = np.random.default_rng(0).normal(size=4000)
signal = 0.4 * np.sin(2 * np.pi * (300 + 900 * time) * time) + 0.01 * noise * (time > 0.2)
arrays = {"signal": signal}
for scale in ("htk", "slaney"):
    arrays[f"filters_{scale}"] = melscale_fbanks(129, 50.0, 3800.0, 24, 8000, mel_scale=scale).numpy()
    spectrogram = MelSpectrogram(8000, 256, hop_length=100, f_min=50.0, f_max=3800.0, n_mels=24, mel_scale=scale).double()
    arrays[f"power_{scale}"] = spectrogram(torch.from_numpy(signal)).numpy()
np.savez_compressed("log_mel.npz", **arrays)
