"""Sound of any length to spectrograms, and chunks back: the one implementation for pre-training, heads and prediction."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, fields
from typing import Any

import numpy as np

from began.audio import SAMPLE_RATE
from began.chunks import CHUNK_SAMPLES
from began.errors import InputError, printable
from began.front_end import FRONT_ENDS

MAGNITUDES = ("log", "linear")

BAND_HZ = (50.0, 7000.0)
"""Band that front ends other than "literal" keep: that of wideband speech (ITU-T G.722). What lies above is the resamplers'."""

FLOOR_DB = -77.0
"""Power that they add to every bin, in decibels below a full-scale sine. Assumption: 57 dB below loud speech of
normalized level; what is softer are codecs, rooms and rounding."""


CHUNKS_AT_ONCE = 4
"""Chunks that are transformed together: so few that they stay in the processor's cache."""


@dataclass(frozen=True)
class SpectrogramConfig:
    """How a chunk becomes the networks' input; saved with every encoder and model.

    Attributes:
        n_fft: length of the Fourier transform in samples (paper, section 3.2).
        hop_length: distance of two frames in samples (paper, section 3.2: "a length of 512").
        magnitude: "log", decibels below a full-scale sine, mapped from [db_min, db_max] to [-1, 1] by a fixed affine
            map; or "linear", |STFT| as it is, which is what the authors' earlier code uses.
        db_min, db_max: ends of the logarithmic range; values beyond are clipped. Assumption: chosen so that
            LibriSpeech's mean lies near zero (BEGAN wants zero-centred input).
        front_end: "literal", the recording as it is, or another one (`began.front_end`), of which bins outside `BAND_HZ` are
            left empty and `FLOOR_DB` is added to all.
    Raises:
        InputError: a setting has a value or type that cannot be used.
    """

    n_fft: int = 1024
    hop_length: int = 512
    magnitude: str = "log"
    db_min: float = -140.0
    db_max: float = -20.0
    front_end: str = "literal"

    @classmethod
    def of(cls, front_end: str, magnitude: str = "log") -> SpectrogramConfig:
        """Returns the settings of a front end, with the logarithmic range in which LibriSpeech's mean lies near zero."""
        return cls(magnitude=magnitude, db_min=-140.0 if front_end == "literal" else -120.0, front_end=front_end)

    def __post_init__(self) -> None:
        lengths, levels = (self.n_fft, self.hop_length), (self.db_min, self.db_max)
        usable = (
            all(isinstance(length, int) and 0 < length <= CHUNK_SAMPLES for length in lengths)
            and self.n_fft % 2 == 0
            and self.magnitude in MAGNITUDES
            and self.front_end in FRONT_ENDS
            and all(isinstance(level, (int, float)) and math.isfinite(level) for level in levels)
            and self.db_min < self.db_max
        )
        if not usable:
            found = ", ".join(f"{name}={str(value)[:40]}" for name, value in self.to_dict().items())
            choices = f"magnitude {' or '.join(MAGNITUDES)}, front_end {' or '.join(FRONT_ENDS)}"
            expected = f"an even n_fft, a hop_length, {choices}, and db_min below db_max"
            raise InputError.about("spectrogram settings", found, expected, "correct the settings")

    @property
    def n_bins(self) -> int:
        """Frequency bins kept: the highest (Nyquist) is left out, so that the networks can halve three times."""
        return self.n_fft // 2

    @property
    def n_frames(self) -> int:
        """Frames of a 1-s chunk, centred and padded as librosa does."""
        return 1 + CHUNK_SAMPLES // self.hop_length

    @property
    def full_scale(self) -> float:
        """|STFT| of a full-scale sine in the middle of a bin: half the sum of the Hann window."""
        return self.n_fft / 4

    def to_dict(self) -> dict[str, Any]:
        """Returns the settings as plain types, for JSON; without the front end where it is "literal", as it always was."""
        settings = asdict(self)
        if self.front_end == "literal":
            del settings["front_end"]
        return settings

    @classmethod
    def from_dict(cls, settings: Any, subject: object = "spectrogram settings") -> SpectrogramConfig:
        """Returns the settings that `to_dict` gave, from whatever JSON held in their place in the file `subject`.

        Files of version 0.1 also hold a factor `input_scale`, which is accepted where it is 1.

        Raises:
            InputError: a setting is missing, unknown or cannot be used.
        """
        found = dict(settings) if isinstance(settings, dict) else {}
        if found.get("input_scale") == 1.0:
            del found["input_scale"]
        names = [field.name for field in fields(cls)]
        if {"front_end", *found} != set(names):
            listed = f"the spectrogram settings {', '.join(sorted(found)) or 'none'}"
            raise InputError.about(subject, listed, ", ".join(names), "use a file that this version of the project wrote")
        try:
            return cls(**found)
        except InputError as error:
            raise InputError(f"{printable(subject)}: {error}") from error


def compute_spectrograms(waveforms: np.ndarray, config: SpectrogramConfig, dtype: Any = np.float32) -> np.ndarray:
    """Returns the spectrograms of waveforms of equal length, such as chunks.  Source: paper, section 3.2.

    Equal to `librosa.stft` (periodic Hann window, centred frames, zeros beyond the ends) to the rounding of single
    precision, and several times as fast: single precision throughout, a few chunks at a time, bins before frames.

    Args:
        waveforms: float32, shape (n, n_samples), in [-1, 1], at 16 kHz.
        dtype: of the result, such as half precision for the chunk store.
    Returns:
        `dtype`, shape (n, n_bins, 1 + n_samples // hop_length); "log": in [-1, 1], 1 being db_max below a full-scale sine;
        "linear": |STFT|, at least 0.
    Raises:
        ValueError: `waveforms` has not two axes.
    """
    if waveforms.ndim != 2:
        raise ValueError(f"waveforms have shape {waveforms.shape}; expected (n, n_samples)")
    half_window = config.n_fft // 2
    padded = np.zeros((len(waveforms), waveforms.shape[1] + 2 * half_window), np.float32)
    padded[:, half_window : half_window + waveforms.shape[1]] = waveforms
    return _transform(padded, config, dtype)


def stream_spectrogram(blocks: Iterable[np.ndarray], config: SpectrogramConfig) -> Iterator[np.ndarray]:
    """Yields the spectrogram of one waveform piece by piece, at constant memory: together as `compute_spectrograms` gives it.

    Args:
        blocks: consecutive parts of the waveform, float32, shape (n_samples,) each.
    Yields:
        float32, shape (n_bins, n_frames), consecutive frames.
    Raises:
        ValueError: frames lie farther apart than they are long.
    """
    if config.hop_length > config.n_fft:
        raise ValueError(f"hop_length is {config.hop_length}; expected at most n_fft, {config.n_fft}")
    edge = np.zeros(config.n_fft // 2, np.float32)
    held, n_samples, n_frames = edge, 0, 0
    for block in itertools.chain(blocks, [None]):
        held = np.concatenate([held, edge if block is None else block])
        n_samples += 0 if block is None else len(block)
        ready = (len(held) - config.n_fft) // config.hop_length + 1
        if block is None:  # the last frame is the last that is centred in the waveform
            ready = min(ready, 1 + n_samples // config.hop_length - n_frames) if n_samples else 0
        if ready > 0:
            yield _transform(held[np.newaxis, : (ready - 1) * config.hop_length + config.n_fft], config, np.float32)[0]
            held, n_frames = held[ready * config.hop_length :], n_frames + ready


def _transform(padded: np.ndarray, config: SpectrogramConfig, dtype: Any) -> np.ndarray:
    """Returns the spectrograms of all whole frames of padded waveforms, float32, shape (n, n_samples)."""
    from scipy import fft

    window = (0.5 - 0.5 * np.cos(2.0 * np.pi * np.arange(config.n_fft) / config.n_fft)).astype(np.float32)
    frames = np.lib.stride_tricks.sliding_window_view(padded, config.n_fft, axis=1)[:, :: config.hop_length]
    frames = frames.transpose(0, 2, 1)  # (n, n_fft, n_frames), a view
    spectrograms = np.empty((len(padded), config.n_bins, frames.shape[2]), dtype)
    for start in range(0, len(padded), CHUNKS_AT_ONCE):
        some = slice(start, start + CHUNKS_AT_ONCE)
        magnitude = np.abs(fft.rfft(frames[some] * window[:, np.newaxis], axis=1)[:, : config.n_bins])
        if config.front_end != "literal":
            _limit_band(magnitude, config)
        if config.magnitude == "log":
            _to_log(magnitude, config)
            magnitude = _round_to_half(magnitude) if spectrograms.dtype == np.float16 else magnitude
        spectrograms[some] = magnitude
    return spectrograms


def _limit_band(magnitude: np.ndarray, config: SpectrogramConfig) -> None:
    """Empties the bins, shape (n, n_bins, n_frames), outside `BAND_HZ` and adds the power of `FLOOR_DB` to all, in place."""
    low, high = (math.ceil(edge_hz * config.n_fft / SAMPLE_RATE) for edge_hz in BAND_HZ)
    magnitude[:, :low] = 0.0
    magnitude[:, high:] = 0.0
    np.hypot(magnitude, np.float32(config.full_scale * 10.0 ** (FLOOR_DB / 20.0)), out=magnitude)


def _to_log(magnitude: np.ndarray, config: SpectrogramConfig) -> None:
    """Maps 20 log10 |S| - 20 log10(full scale) from [db_min, db_max] to [-1, 1], in place: one affine step on log |S|."""
    gain = 2.0 / (config.db_max - config.db_min)
    with np.errstate(divide="ignore"):  # digital silence: log 0 is clipped with all else below db_min
        np.log(magnitude, out=magnitude)
    magnitude *= np.float32(20.0 / np.log(10.0) * gain)
    magnitude += np.float32(-1.0 - gain * (config.db_min + 20.0 * np.log10(config.full_scale)))
    np.clip(magnitude, np.float32(-1.0), np.float32(1.0), out=magnitude)


def _round_to_half(values: np.ndarray) -> np.ndarray:
    """Returns float32 in [-1, 1] as float16, to the nearest and ties to even; the values are destroyed.

    NumPy rounds value by value, which takes as long as the Fourier transform. 2^-112 brings the exponents to the range that
    a half has, and then the upper bits of the singles are the halves.
    """
    values *= np.float32(2.0**-112)
    bits = values.view(np.uint32)
    bits += ((bits >> 13) & 1) + 0xFFF
    return ((bits >> 13).astype(np.uint16) & 0x7FFF | (bits >> 16).astype(np.uint16) & 0x8000).view(np.float16)


def to_decibels(spectrograms: np.ndarray, config: SpectrogramConfig) -> np.ndarray:
    """Returns spectrograms of any shape in decibels below a full-scale sine, whichever magnitude they have."""
    if config.magnitude == "log":
        return (np.clip(spectrograms, -1.0, 1.0) + 1.0) / 2.0 * (config.db_max - config.db_min) + config.db_min
    return 20.0 * np.log10(np.maximum(spectrograms, 1e-9) / config.full_scale)


def invert_spectrograms(spectrograms: np.ndarray, config: SpectrogramConfig, n_iterations: int = 64) -> np.ndarray:
    """Returns chunks whose spectrograms come close to the given ones, to be listened to (Griffin & Lim 1984).

    Args:
        spectrograms: float32, shape (n_chunks, n_bins, n_frames), as `compute_spectrograms` returns them.
        n_iterations: rounds of the phase search.
    Returns:
        float32, shape (n_chunks, 16000), at 16 kHz.
    """
    import librosa

    magnitude = config.full_scale * 10.0 ** (to_decibels(np.asarray(spectrograms, np.float32), config) / 20.0)
    magnitude = np.pad(magnitude, ((0, 0), (0, 1), (0, 0)))  # the Nyquist bin that was left out
    waveforms = librosa.griffinlim(
        magnitude, n_iter=n_iterations, n_fft=config.n_fft, hop_length=config.hop_length, length=CHUNK_SAMPLES, random_state=0
    )
    return waveforms.astype(np.float32)
