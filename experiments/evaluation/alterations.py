"""What happens to recordings on their way, as functions of a waveform: level, noise, lines, codecs, rooms, cuts, tempo, rate.

All take float32, shape (n_samples,), at 16 kHz; what is random takes a generator, so that the same seed gives the same samples.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np

from began.audio import SAMPLE_RATE
from began.files import StrPath

TELEPHONE_HZ = (300.0, 3400.0)
"""Band of narrowband telephony (ITU-T G.712)."""

TELEPHONE_RATE_HZ, STUDIO_RATE_HZ = 8_000, 48_000

REVERBERATION_SECONDS = 0.6
"""Until the reverberation is 60 dB softer: a living room to a classroom."""


def change_gain(waveform: np.ndarray, gain_db: float) -> np.ndarray:
    """Returns a waveform whose level is changed by some decibels."""
    return waveform * np.float32(10.0 ** (gain_db / 20.0))


def add_noise(waveform: np.ndarray, generator: np.random.Generator, snr_db: float) -> np.ndarray:
    """Returns a waveform with white noise; the ratio of their mean powers, pauses included, is `snr_db` decibels."""
    noise = generator.standard_normal(len(waveform))
    factor = np.sqrt(np.mean(waveform**2, dtype=np.float64) / np.mean(noise**2)) * 10.0 ** (-snr_db / 20.0)
    return (waveform + factor * noise).astype(np.float32)


def limit_to_telephone_band(waveform: np.ndarray) -> np.ndarray:
    """Returns a waveform limited to `TELEPHONE_HZ`, at `TELEPHONE_RATE_HZ`."""
    from scipy.signal import butter, sosfilt

    band = butter(8, TELEPHONE_HZ, "bandpass", fs=SAMPLE_RATE, output="sos")
    return change_rate(sosfilt(band, waveform).astype(np.float32), TELEPHONE_RATE_HZ)


def reverberate(waveform: np.ndarray, generator: np.random.Generator, seconds: float = REVERBERATION_SECONDS) -> np.ndarray:
    """Returns a waveform as in a room: the direct sound, and behind it noise that decays by 60 dB in some seconds.

    Both have the same energy, as at the critical distance, and the whole the level that the waveform had. It becomes longer.
    Source: Polack 1988, the impulse response of a diffuse field.
    """
    from scipy.signal import fftconvolve

    n_samples = round(seconds * SAMPLE_RATE)
    tail = generator.standard_normal(n_samples) * 10.0 ** (-3.0 * np.arange(n_samples) / n_samples)
    response = np.concatenate([[1.0], tail / np.sqrt(np.sum(tail**2))])
    return fftconvolve(waveform, response / np.sqrt(2.0)).astype(np.float32)


def surround_with_silence(waveform: np.ndarray, seconds: float) -> np.ndarray:
    """Returns a waveform with digital silence before and behind it."""
    return np.pad(waveform, round(seconds * SAMPLE_RATE))


def change_speed(waveform: np.ndarray, factor: float) -> np.ndarray:
    """Returns a waveform played faster, or slower where the factor lies below 1: tempo and pitch change together."""
    return change_rate(waveform, SAMPLE_RATE / factor)


def change_rate(waveform: np.ndarray, rate_hz: float) -> np.ndarray:
    """Returns a waveform at another sample rate."""
    import soxr

    return soxr.resample(waveform, SAMPLE_RATE, rate_hz, quality="HQ")


@dataclass(frozen=True)
class Alteration:
    """What is done to a recording, and how it is kept.

    Attributes:
        title: for tables.
        alter: waveform -> waveform, or (waveform, generator) -> waveform where `is_random`.
        rate_hz: of what `alter` returns.
        is_random: whether it takes a generator.
        file: format, subtype, compression_level and bitrate_mode of libsndfile; the suffix follows from the format.
    """

    title: str
    alter: Callable[..., np.ndarray] = np.asarray
    rate_hz: int = SAMPLE_RATE
    is_random: bool = False
    file: dict[str, Any] = field(default_factory=lambda: {"format": "WAV", "subtype": "FLOAT"})

    @property
    def suffix(self) -> str:
        """Of a file's name."""
        return f".{self.file['format'].lower()}"

    def write(self, path: StrPath, waveform: np.ndarray, seed: int) -> None:
        """Writes an altered waveform as a sound file."""
        import soundfile

        randomness = (np.random.default_rng(seed),) if self.is_random else ()
        with soundfile.SoundFile(path, "w", self.rate_hz, 1, **self.file) as file:
            file.write(self.alter(waveform, *randomness))


# libsndfile takes the place between the highest and the lowest rate in place of kbit/s; measured on speech.
_MP3 = {"format": "MP3", "subtype": "MPEG_LAYER_III", "compression_level": 0.842, "bitrate_mode": "CONSTANT"}
_VORBIS = {"format": "OGG", "subtype": "VORBIS", "compression_level": 1.0}
_OPUS = {"format": "OGG", "subtype": "OPUS", "compression_level": 0.965}

UNALTERED = "unaltered"

ALTERATIONS = {
    UNALTERED: Alteration("as recorded"),
    "gain_minus_12_db": Alteration("12 dB less gain", partial(change_gain, gain_db=-12.0)),
    "gain_minus_40_db": Alteration("40 dB less gain", partial(change_gain, gain_db=-40.0)),
    "noise_20_db": Alteration("white noise, SNR 20 dB", partial(add_noise, snr_db=20.0), is_random=True),
    "noise_10_db": Alteration("white noise, SNR 10 dB", partial(add_noise, snr_db=10.0), is_random=True),
    "noise_0_db": Alteration("white noise, SNR 0 dB", partial(add_noise, snr_db=0.0), is_random=True),
    "telephone": Alteration("telephone band, 300–3400 Hz at 8 kHz", limit_to_telephone_band, TELEPHONE_RATE_HZ),
    "mp3_32_kbit": Alteration("MP3, 32 kbit/s", file=_MP3),
    "vorbis": Alteration("Ogg Vorbis, lowest quality", file=_VORBIS),
    "opus_16_kbit": Alteration("Opus, about 16 kbit/s", file=_OPUS),
    "reverberation": Alteration("reverberation, 0.6 s", reverberate, is_random=True),
    "silence_around": Alteration("1 s of silence around", partial(surround_with_silence, seconds=1.0)),
    "speed_0.9": Alteration("speed 0.9", partial(change_speed, factor=0.9)),
    "speed_1.1": Alteration("speed 1.1", partial(change_speed, factor=1.1)),
    "rate_48_khz": Alteration("resampled to 48 kHz", partial(change_rate, rate_hz=STUDIO_RATE_HZ), STUDIO_RATE_HZ),
}
"""Name -> what is done, in the order of the table."""
