"""Makes spectrogram.npy: what `began.spectrogram` must return for `golden_chunk`, computed by librosa in double precision.

python tests/golden/make_spectrogram.py
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

FILE = Path(__file__).with_name("spectrogram.npy")


def golden_chunk() -> np.ndarray:
    """Returns a chunk with a rising tone, a steady one, a click and a silent end: float32, shape (16000,)."""
    seconds = np.arange(16_000) / 16_000
    wave = 0.4 * np.sin(2 * np.pi * (200 * seconds + 1500 * seconds**2)) + 0.05 * np.sin(2 * np.pi * 5000 * seconds)
    wave[4000] += 0.5
    wave[14_000:] = 0.0
    return wave.astype(np.float32)


def make() -> np.ndarray:
    """Returns float16, shape (512, 32): decibels below a full-scale sine, -140 to -20 mapped to -1 to 1."""
    import librosa

    magnitude = np.abs(librosa.stft(golden_chunk().astype(np.float64), n_fft=1024, hop_length=512))[:512]
    decibels = librosa.amplitude_to_db(magnitude / 256.0, ref=1.0, amin=1e-7, top_db=None)
    return np.clip((decibels + 140.0) / 60.0 - 1.0, -1.0, 1.0).astype(np.float16)


if __name__ == "__main__":
    np.save(FILE, make())
