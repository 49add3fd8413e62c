"""1-s chunks to spectrograms and back: the one implementation for pre-training, heads and prediction."""

from __future__ import annotations

import threading
from dataclasses import asdict, dataclass, fields
from typing import Any

import numpy as np

from began.audio import CHUNK_SAMPLES, SAMPLE_RATE
from began.errors import InputError

MAGNITUDES = ("log", "linear")

MASK_SHARES = (27 / 80, 0.2)
"""Widest masks of `mask_spectrograms`, as shares of bins and frames: Park et al. 2019, F of table 1 (LB) and p of SM."""

CHUNKS_AT_ONCE = 16
"""Chunks a step: so many that threads seldom meet at Python's lock, so few that a step stays in the cache."""


@dataclass(frozen=True)
class SpectrogramConfig:
    """How a chunk becomes the networks' input; saved with every encoder and head, and compared when they meet.

    Attributes:
        n_fft: length of the Fourier transform in samples (paper, section 3.2).
        hop_length: distance of two frames in samples (paper, section 3.2: "a length of 512").
        magnitude: "log", decibels below a full-scale sine, mapped from [db_min, db_max] to [-1, 1] by a fixed affine
            map; or "linear", |STFT| as it is, which is what the authors' earlier code uses.
        db_min, db_max: ends of the logarithmic range; values beyond are clipped. Assumption: chosen so that
            LibriSpeech's mean lies near zero (BEGAN wants zero-centred input).
        input_scale: factor on the result, for experiments with the scale of BEGAN's losses.
    """

    n_fft: int = 1024
    hop_length: int = 512
    magnitude: str = "log"
    db_min: float = -140.0
    db_max: float = -20.0
    input_scale: float = 1.0

    def __post_init__(self) -> None:
        if self.magnitude not in MAGNITUDES:
            raise InputError.about(
                "magnitude", found=repr(self.magnitude), expected=" or ".join(MAGNITUDES), action="choose one of them"
            )
        if not self.db_min < self.db_max:
            raise ValueError(f"db_min is {self.db_min}, db_max {self.db_max}; expected db_min < db_max")
        if self.n_fft % 2:
            raise ValueError(f"n_fft is {self.n_fft}; expected an even number")
        if not self.input_scale > 0:
            raise ValueError(f"input_scale is {self.input_scale}; expected a positive number")

    @property
    def n_bins(self) -> int:
        """Frequency bins kept: the highest (Nyquist) is left out, so that the networks can halve three times."""
        return self.n_fft // 2

    @property
    def n_frames(self) -> int:
        """Frames of a 1-s chunk, centred and padded as librosa does."""
        return 1 + CHUNK_SAMPLES // self.hop_length

    def to_dict(self) -> dict[str, Any]:
        """Returns the settings as plain types, for JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, settings: dict[str, Any]) -> SpectrogramConfig:
        """Returns the settings that `to_dict` gave.

        Raises:
            InputError: a setting is missing or unknown.
        """
        names = {field.name for field in fields(cls)}
        if set(settings) != names:
            raise InputError.about(
                "spectrogram settings",
                found=", ".join(sorted(settings)),
                expected=", ".join(sorted(names)),
                action="use a file of this version of the project",
            )
        return cls(**settings)

    def require(self, other: SpectrogramConfig, subject: object) -> None:
        """Refuses to combine two things made with different settings.

        Raises:
            InputError: `other`, the settings of `subject`, differ from these; the differing ones are named.
        """
        ours, theirs = self.to_dict(), other.to_dict()
        differing = [name for name in ours if ours[name] != theirs[name]]
        if differing:
            raise InputError.about(
                subject,
                found=", ".join(f"{name}={theirs[name]}" for name in differing),
                expected=", ".join(f"{name}={ours[name]}" for name in differing),
                action="use files that were made with the same spectrogram settings",
            )


def compute_spectrograms(chunks: np.ndarray, config: SpectrogramConfig, dtype: Any = np.float32) -> np.ndarray:
    """Returns the spectrograms of chunks.  Source: paper, section 3.2.

    Equal to `librosa.stft` (periodic Hann window, centred frames, zeros beyond the ends) to the rounding of single
    precision, and several times as fast: single precision throughout, and every step in place in memory that is kept.

    Args:
        chunks: float32, shape (n_chunks, 16000), in [-1, 1], at 16 kHz.
        config: the settings.
        dtype: of the result; half precision saves the chunk store a pass.
    Returns:
        `dtype`, shape (n_chunks, n_bins, n_frames); "log": in [-1, 1] times input_scale, 1 being db_max below
        a full-scale sine; "linear": |STFT| times input_scale, at least 0.
    Raises:
        ValueError: `chunks` has another shape.
    """
    from scipy import fftpack

    if chunks.ndim != 2 or chunks.shape[1] != CHUNK_SAMPLES:
        raise ValueError(f"chunks have shape {chunks.shape}; expected (n_chunks, {CHUNK_SAMPLES})")
    half_window = config.n_fft // 2
    buffers = _buffers(config)
    spectrograms = np.empty((len(chunks), config.n_bins, config.n_frames), dtype)
    for start in range(0, len(chunks), CHUNKS_AT_ONCE):
        block = chunks[start : start + CHUNKS_AT_ONCE]
        n = len(block)
        buffers.padded[:n, half_window : half_window + CHUNK_SAMPLES] = block
        windowed = np.multiply(buffers.frames[:n], buffers.window, out=buffers.windowed[:n])
        # Not scipy.fft, which returns fresh memory: its pages cost as much as the transform.
        magnitude = _magnitude(fftpack.rfft(windowed, overwrite_x=True), buffers.magnitude[:n])
        if config.magnitude == "log":
            _to_log(magnitude, config)
        if config.input_scale != 1.0:
            magnitude *= np.float32(config.input_scale)
        _transpose(magnitude, spectrograms[start : start + n], buffers.scratch[:n])
    return spectrograms


def _magnitude(packed: np.ndarray, out: np.ndarray) -> np.ndarray:
    """Returns |STFT| without the Nyquist bin from FFTPACK's packing, in `out`, (n, n_frames, n_bins).

    A row of `packed`, (n, n_frames, n_fft), is Re 0, Re 1, Im 1, Re 2, Im 2, ..., Re n_fft / 2: from the second number on,
    all rows together are complex numbers already, but for Nyquist bins paired with the next row's Re 0, which replaces them.
    """
    np.abs(packed.reshape(-1)[1:-1].view(np.complex64), out=out.reshape(-1)[1:])
    np.abs(packed[..., 0], out=out[..., 0])
    return out


class _Buffers:
    """Memory of one thread's transforms. To allocate it for every file costs as much as the transform itself.

    Attributes:
        padded: float32, (CHUNKS_AT_ONCE, n_samples), zeros beyond a chunk's ends.
        frames: the same memory as overlapping frames, (CHUNKS_AT_ONCE, n_frames, n_fft).
        window: float32, (n_fft,).
        windowed: float32, (CHUNKS_AT_ONCE, n_frames, n_fft).
        magnitude: float32, (CHUNKS_AT_ONCE, n_frames, n_bins).
        scratch: the same.
    """

    def __init__(self, config: SpectrogramConfig) -> None:
        shape = (CHUNKS_AT_ONCE, config.n_frames, config.n_bins)
        self.padded = np.zeros((CHUNKS_AT_ONCE, CHUNK_SAMPLES + 2 * (config.n_fft // 2)), np.float32)
        self.frames = np.lib.stride_tricks.sliding_window_view(self.padded, config.n_fft, axis=1)[:, :: config.hop_length]
        self.window = _hann_window(config.n_fft).astype(np.float32)
        self.windowed = np.empty((*shape[:2], config.n_fft), np.float32)
        self.magnitude = np.empty(shape, np.float32)
        self.scratch = np.empty(shape, np.float32)


_threads = threading.local()


def _buffers(config: SpectrogramConfig) -> _Buffers:
    key = (config.n_fft, config.hop_length)
    if getattr(_threads, "key", None) != key:
        _threads.key, _threads.buffers = key, _Buffers(config)
    return _threads.buffers


def _to_log(magnitude: np.ndarray, config: SpectrogramConfig) -> None:
    """Maps 20 log10 |S| - 20 log10(full scale) from [db_min, db_max] to [-1, 1], in place: one affine step on log |S|."""
    gain = 2.0 / (config.db_max - config.db_min)
    with np.errstate(divide="ignore"):  # digital silence: log 0 is clipped with all else below db_min
        np.log(magnitude, out=magnitude)
    magnitude *= np.float32(20.0 / np.log(10.0) * gain)
    magnitude += np.float32(-1.0 - gain * (config.db_min + 20.0 * np.log10(_full_scale(config))))
    np.clip(magnitude, np.float32(-1.0), np.float32(1.0), out=magnitude)


def _transpose(values: np.ndarray, out: np.ndarray, scratch: np.ndarray) -> None:
    """Writes float32 (n, n_frames, n_bins) to `out`, (n, n_bins, n_frames), rounding where `out` is of half precision.

    NumPy rounds to half precision value by value, which costs as much as the Fourier transform. The same rounding, to
    the nearest and ties to even, in whole-array steps: Veltkamp's splitting (Dekker 1971) leaves the 11 bits that a half
    has; 2^-112 brings the exponent to a half's bias, and then the upper bits of the single are the half.

    Args:
        values: overwritten.
        scratch: float32, of the same shape; overwritten.
    """
    if out.dtype != np.float16 or values.size == 0 or np.abs(values, out=scratch).max() > np.finfo(np.float16).max:
        out[:] = values.transpose(0, 2, 1)
        return
    np.multiply(values, np.float32(2**13 + 1), out=scratch)
    np.subtract(scratch, values, out=values)
    np.subtract(scratch, values, out=values)
    values *= np.float32(2.0**-112)
    bits = values.view(np.uint32)
    half, sign = scratch.reshape(-1).view(np.uint16).reshape(2, *values.shape)
    np.right_shift(bits, 13, out=half, casting="unsafe")  # the sign is lost at bit 18
    np.right_shift(bits, 16, out=sign, casting="unsafe")
    sign &= np.uint16(0x8000)
    half |= sign
    out.view(np.uint16)[:] = half.transpose(0, 2, 1)


def mask_spectrograms(spectrograms: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """Returns spectrograms with a band of frequencies and a span of time set to zero each, which is near the mean of "log".

    Width and place of both are drawn for every chunk (SpecAugment without its time warping).  Source: Park et al. 2019.

    Args:
        spectrograms: float32, shape (n_chunks, n_bins, n_frames).
        generator: takes four numbers a chunk from it.
    """
    drawn = generator.random((len(spectrograms), 2, 2))
    masked = spectrograms.copy()
    for axis, share in enumerate(MASK_SHARES):
        size = spectrograms.shape[1 + axis]
        width = np.floor(drawn[:, axis, 0] * (int(share * size) + 1))
        start = np.floor(drawn[:, axis, 1] * (size - width + 1))
        inside = (np.arange(size) >= start[:, None]) & (np.arange(size) < (start + width)[:, None])
        masked *= ~np.expand_dims(inside, 2 - axis)
    return masked


def invert_spectrograms(spectrograms: np.ndarray, config: SpectrogramConfig, n_iterations: int = 64) -> np.ndarray:
    """Returns chunks whose spectrograms come close to the given ones, to be listened to (Griffin & Lim 1984).

    Args:
        spectrograms: float32, shape (n_chunks, n_bins, n_frames), as `compute_spectrograms` returns them.
        config: the settings they were made with.
        n_iterations: rounds of the phase search.
    Returns:
        float32, shape (n_chunks, 16000), at 16 kHz.
    """
    import librosa

    scaled = np.asarray(spectrograms, np.float32) / config.input_scale
    if config.magnitude == "linear":
        magnitude = np.maximum(scaled, 0.0)
    else:
        decibels = (np.clip(scaled, -1.0, 1.0) + 1.0) / 2.0 * (config.db_max - config.db_min) + config.db_min
        magnitude = _full_scale(config) * 10.0 ** (decibels / 20.0)
    magnitude = np.pad(magnitude, ((0, 0), (0, 1), (0, 0)))  # the Nyquist bin that was left out
    return np.stack(
        [
            librosa.griffinlim(
                one, n_iter=n_iterations, n_fft=config.n_fft, hop_length=config.hop_length, length=CHUNK_SAMPLES, random_state=0
            )
            for one in magnitude
        ]
    ).astype(np.float32)


def _hann_window(n_fft: int) -> np.ndarray:
    """The periodic Hann window, as librosa takes it."""
    return 0.5 - 0.5 * np.cos(2.0 * np.pi * np.arange(n_fft) / n_fft)


def _full_scale(config: SpectrogramConfig) -> float:
    """|STFT| of a full-scale sine in the middle of a bin: half the sum of the Hann window."""
    return config.n_fft / 4


assert SAMPLE_RATE == CHUNK_SAMPLES, "a chunk is one second"
