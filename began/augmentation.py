"""Altered copies for training: speech with noise and behind random channels, and spectrograms with masks."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace

import numpy as np

from began.audio import SAMPLE_RATE, Recording, stream_audio
from began.files import StrPath
from began.front_end import LOUD_LEVEL_DB, cut_speech, find_speech, measure_speech

NOISE_DB = (10.0, 40.0)
"""How far the noise of altered copies lies below the loud level: drawn evenly for each."""

COLOUR_HZ, COLOUR_DB = (100.0, 300.0, 800.0, 1600.0, 3200.0, 6000.0), 12.0
"""Frequencies at which a channel's gain is drawn, and the largest gain or loss; between them it is interpolated."""

HIGH_PASS_HZ, LOW_PASS_HZ = (0.0, 300.0), (3400.0, 7000.0)
"""Where the band of a channel ends: from the telephone's (ITU-T G.712) to that of wideband speech."""

COLOUR_SHARE, BAND_SHARE = 0.5, 0.75
"""Shares of the channels that colour the sound, and that end its band."""

CHANNEL_TAPS = 257
"""Length of a channel's impulse response in samples."""

MASK_SHARES = (27 / 80, 0.2)
"""Widest masks of `mask_spectrograms`, as shares of bins and frames: Park et al. 2019, F of table 1 (LB) and p of SM."""


def stream_augmented_speech(
    path: StrPath, front_end: str, speed: float, seed: Sequence[int], random_channel: bool = False
) -> Iterator[np.ndarray]:
    """Yields what a front end leaves of a sound file with white noise over all of it: for training on rooms and lines.

    Args:
        path, speed: see `began.front_end.stream_speech`.
        front_end: "normalized"; or "trimmed", which leaves the loud level where it is without noise and channel.
        seed: of the channel, of the noise, and of how far it lies below the loud level, see `NOISE_DB`.
        random_channel: let the sound first pass a channel that colours it and ends its band, see `draw_channel`.
    """
    generator = np.random.default_rng(seed)
    response = draw_channel(generator) if random_channel else None
    level_db, noise_seed = LOUD_LEVEL_DB - generator.uniform(*NOISE_DB), generator.integers(2**31)

    def transmit() -> Iterable[np.ndarray]:
        blocks = stream_audio(path, speed)
        return blocks if response is None else _filter(blocks, response)

    transmitted = _repeatable(path, transmit)
    # A channel may leave nothing of whistles.
    speech = (measure_speech(transmitted()) if random_channel else None) or find_speech(path, speed)
    amplitude = np.float32(10.0 ** (level_db / 20.0) / speech.gain)

    def add_noise() -> Iterable[np.ndarray]:
        noise = np.random.default_rng(noise_seed)
        return (block + amplitude * noise.standard_normal(len(block), np.float32) for block in transmitted())

    noisy = _repeatable(path, add_noise)
    own_gain = find_speech(path, speed).gain if front_end == "trimmed" else 1.0
    found = measure_speech(noisy()) or speech
    return cut_speech(noisy(), replace(found, gain=found.gain / own_gain))


def _repeatable(path: StrPath, make: Callable[[], Iterable[np.ndarray]]) -> Callable[[], Iterable[np.ndarray]]:
    """Returns a function that gives blocks made of a sound file at every call; of a recording in memory they are made once."""
    return functools.cache(lambda: list(make())) if isinstance(path, Recording) else make


def draw_channel(generator: np.random.Generator) -> np.ndarray:
    """Returns the impulse response of a random channel at 16 kHz, float64 (CHANNEL_TAPS,): microphone, room and line."""
    from scipy.signal import firwin2

    hz = np.linspace(0.0, SAMPLE_RATE / 2, 513)
    gain_db = np.zeros(len(hz))
    if generator.random() < COLOUR_SHARE:
        gain_db += np.interp(hz, COLOUR_HZ, generator.uniform(-COLOUR_DB, COLOUR_DB, len(COLOUR_HZ)))
    if generator.random() < BAND_SHARE:
        low, high = generator.uniform(*HIGH_PASS_HZ), generator.uniform(*LOW_PASS_HZ)
        outside = np.maximum(low - hz, 0.0) / 100.0 * 40.0 + np.maximum(hz - high, 0.0) / 300.0 * 60.0
        gain_db -= np.minimum(outside, 60.0)
    return firwin2(CHANNEL_TAPS, hz / hz[-1], 10.0 ** (gain_db / 20.0))


def _filter(blocks: Iterable[np.ndarray], response: np.ndarray) -> Iterator[np.ndarray]:
    """Yields consecutive blocks, float32 (n_samples,) each, behind a linear filter; the whole is late by half its length."""
    from scipy.signal import oaconvolve

    held = np.zeros(len(response) - 1, np.float32)
    for block in blocks:
        if len(block):
            held = np.concatenate([held, block])
            yield oaconvolve(held, response, mode="valid").astype(np.float32)
            held = held[len(held) - len(response) + 1 :]


def mask_spectrograms(spectrograms: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """Returns spectrograms with a band of frequencies and a span of time set to zero, which is near the mean of "log".

    Width and place of both are drawn for every chunk (SpecAugment without its time warping).  Source: Park et al. 2019.

    Args:
        spectrograms: float32, shape (n_chunks, n_bins, n_frames).
        generator: gives four numbers per chunk.
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
