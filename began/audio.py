"""Sound files as what is heard of them: mixed down to mono at 16 kHz (paper, section 3.2), checked, and hashed."""

from __future__ import annotations

import functools
import hashlib
import os
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from began.containers import UNKNOWN
from began.errors import InputError, printable
from began.files import StrPath
from began.media_fragments import describe_path
from began.sound_errors import AGAIN, truncated
from began.sound_file import BLOCK_SECONDS, SoundFile, count_block, open_audio, read_blocks

SAMPLE_RATE = 16_000
"""Sample rate of everything behind `read_audio`, in Hz (paper, section 3.2)."""

MAX_AMPLITUDE = 2.0
"""Largest sample that is taken; floats, and what MP3, Vorbis and Opus made of them, may exceed full scale a little, but
integers in float samples are a mistake."""

UNBOUNDED = ("FLOAT", "DOUBLE", "VORBIS", "OPUS", "MPEG_LAYER_I", "MPEG_LAYER_II", "MPEG_LAYER_III", "MEDIA")
"""Encodings whose samples can have any value."""

SILENCE = 1e-4
"""Amplitude below which a file holds no sound (-80 dB of full scale) in any channel, apart from a constant offset."""


def stream_audio(path: StrPath, speed: float = 1.0) -> Iterator[np.ndarray]:
    """Yields a sound file as consecutive blocks of at most about a minute, so that any length fits in memory.

    Args:
        path: any file that libsndfile or PyAV reads, or a part (`name_part`) or channel (`name_channel`) of it, at any rate.
            The mean of its channels is taken; or, with a note on standard error, the loudest where they cancel
            (see `_choose_channel`).
        speed: how much faster it is played: tempo and pitch change together, as if another voice had spoken (Ko et al. 2015).
    Yields:
        float32, shape (n_samples,), in [-1, 1] up to the resampler's overshoot, at 16 kHz.
    Raises:
        InputError: missing, unreadable, not sound, truncated, empty, silent (known at its end), or with samples or a
            sample rate that no recording has.
    """
    if isinstance(path, Recording):
        yield from path.play(speed)
        return
    with open_audio(path) as file:
        yield from _resample_blocks(_read_mono(Path(path), file), file.samplerate, file.frames, speed)


class Recording:
    """A sound file in memory, in the place of its path: it is read once, and resampled once for each speed."""

    def __init__(self, path: StrPath, file: SoundFile, mono: list[np.ndarray]) -> None:
        self._path, self._sample_rate, self._n_frames = os.fspath(path), file.samplerate, file.frames
        self._mono = mono
        self._played: dict[float, list[np.ndarray]] = {}
        self.speech: dict[float, Any] = {}  # where it lies at each speed, which `began.front_end` finds once

    def __fspath__(self) -> str:
        return self._path

    @property
    def seconds(self) -> float:
        """How long it is."""
        return sum(map(len, self._mono)) / self._sample_rate

    def play(self, speed: float) -> list[np.ndarray]:
        """Returns the blocks that `stream_audio` yields."""
        if speed not in self._played:
            self._played[speed] = list(_resample_blocks(self._mono, self._sample_rate, self._n_frames, speed))
        return self._played[speed]

    @functools.cached_property
    def sound_hash(self) -> str:
        """What `hash_sound` returns."""
        return _hash_mono(self._sample_rate, self._mono)


def load_recording(path: StrPath) -> StrPath | Recording:
    """Returns a sound file in memory, or its path where it lasts more than a minute; for errors see `stream_audio`."""
    with open_audio(path) as file:
        n_most, n_read, mono = BLOCK_SECONDS * file.samplerate, 0, []
        if n_most < file.frames < UNKNOWN:
            return path
        for block in _read_mono(Path(path), file):
            n_read += len(block)
            if n_read > n_most:
                return path
            mono.append(block)
        return Recording(path, file, mono)


def measure_seconds(path: StrPath) -> float:
    """Returns how long a sound file is; it is read where neither header nor frames tell."""
    if isinstance(path, Recording):
        return path.seconds
    with open_audio(path) as file:
        n_samples = file.frames if file.frames < UNKNOWN else sum(map(len, read_blocks(file)))
        return float(n_samples / file.samplerate)


def hash_sound(path: StrPath, on_block: Callable[[int, np.ndarray], None] | None = None) -> str:
    """Returns the SHA-256, in hexadecimal, of what a sound file plays: its sample rate, and its samples mixed down to mono.

    The same samples give the same hash in any container that loses none (WAV, FLAC, …), and under any name; a part of a file
    has the hash of its own samples.

    Args:
        path: see `stream_audio`, also for errors.
        on_block: is given the file's rate in Hz, and each block as it lies in the file, float32, shape (n_samples, n_channels);
            not of what is in memory.
    """
    if isinstance(path, Recording):
        return path.sound_hash
    with open_audio(path) as file:
        return _hash_mono(file.samplerate, _read_mono(Path(path), file, on_block))


def _hash_mono(sample_rate: int, blocks: Iterable[np.ndarray]) -> str:
    digest = hashlib.sha256(b"%d Hz" % sample_rate)
    for block in blocks:
        digest.update((block + 0.0).data)  # -0.0 is the same sample as 0.0
    return digest.hexdigest()


def is_silent(block: np.ndarray) -> bool:
    """Tells whether samples, shape (n_samples, n_channels), are silence in every channel; a constant is no sound."""
    return not len(block) or float(np.ptp(block, axis=0).max()) < 2 * SILENCE


def _read_mono(path: Path, file: SoundFile, on_block: Callable[[int, np.ndarray], None] | None = None) -> Iterator[np.ndarray]:
    """Yields an open file mixed down to mono, at its own rate: float32, shape (n_samples,); and checks what it reads."""
    name, n_read, lowest, highest = describe_path(path), 0, np.full(file.channels, np.inf), np.full(file.channels, -np.inf)
    channel: int | None = 0 if file.channels == 1 else None
    for block in read_blocks(file, BLOCK_SECONDS):
        if on_block is not None:
            on_block(file.samplerate, block)
        if file.subtype in UNBOUNDED:
            is_beyond = file.subtype == "DOUBLE" and not np.isfinite(block).all()
            _check_samples(name, _read_double(file, n_read, len(block)) if is_beyond else block)
        if n_read == 0 and file.channels > 1:
            channel = _find_channel(path, file, block)
        n_read += len(block)
        mono = block.mean(axis=1) if channel is None else np.ascontiguousarray(block[:, channel])
        lowest, highest = np.minimum(lowest, block.min(axis=0)), np.maximum(highest, block.max(axis=0))
        yield mono
    if n_read == 0:
        raise InputError.about(name, "a sound file without samples", "at least one sample", AGAIN)
    if n_read < file.frames < UNKNOWN:
        raise truncated(name, f"{n_read} samples", file.frames)
    if is_silent(np.stack([lowest, highest])):
        found = f"silence (below {SILENCE:g} of full scale, apart from a constant offset)"
        raise InputError.about(name, found, "speech", "check the recording")


def _resample_blocks(blocks: Iterable[np.ndarray], sample_rate: int, n_frames: int, speed: float) -> Iterator[np.ndarray]:
    """Yields the blocks of a file of so many frames, mono, at 16 kHz."""
    n_read, resample = 0, _make_resampler(sample_rate * speed)
    for mono in blocks:
        n_read += len(mono)
        resampled = resample(mono, n_read >= n_frames)
        if len(resampled):
            yield resampled
    if n_frames >= UNKNOWN and len(resampled := resample(np.zeros(0, np.float32), True)):
        yield resampled


def _read_double(file: SoundFile, start: int, n_samples: int) -> np.ndarray:
    """Returns samples as a file of float64 has them: some that are finite there are infinite in float32."""
    file.seek(start)
    return file.read(n_samples, dtype="float64", always_2d=True)


def _check_samples(name: str, block: np.ndarray) -> None:
    peak = float(np.abs(block).max())
    if not np.isfinite(peak):
        raise InputError.about(name, "samples that are not finite (NaN or infinity)", "samples from -1 to 1", AGAIN)
    if peak > MAX_AMPLITUDE:
        action = "divide integers in float samples by their full scale (16 bits: 32768), or export it at a lower level"
        raise InputError.about(name, f"samples up to {peak:g}", "samples from -1 to 1", action)


def _find_channel(path: Path, file: SoundFile, first: np.ndarray) -> int | None:
    """Returns what `_choose_channel` chooses for a file whose first block has been read: a longer one is read once more."""
    if len(first) < count_block(file, BLOCK_SECONDS) or len(first) >= file.frames:
        starts = range(0, len(first), file.samplerate)
        channel = _choose_channel((first[start : start + file.samplerate] for start in starts), file)
    else:
        with open_audio(path) as again:
            channel = _choose_channel(read_blocks(again, 1), again)
    if channel is not None:
        _note(f"{printable(path)}: its channels cancel each other; channel {channel + 1} is taken, not their mean")
    return channel


def _choose_channel(blocks: Iterable[np.ndarray], file: SoundFile) -> int | None:
    """Returns the loudest channel where speech cancels in the mean of all, or None where it does not.

    It does where the mean has less than a quarter of the energy that unrelated channels leave it: two equally loud channels
    correlate below -0.75. Speech is what is loud between 300 and 3400 Hz: hum does not count, and each frequency of each frame
    of 50 ms counts by its energy squared, so that neither noise between words nor a long quiet beginning decides.
    """
    n_samples = file.samplerate // 20  # frequencies 20 Hz apart
    window = np.hanning(n_samples).astype(np.float32)[:, np.newaxis]
    mixed, single = 0.0, np.zeros(file.channels)
    with np.errstate(over="ignore", invalid="ignore"):  # samples that are refused when it is their turn
        for block in blocks:
            frames = np.pad(block, ((0, -len(block) % n_samples), (0, 0))).reshape(-1, n_samples, file.channels)
            spectra = np.fft.rfft(frames * window, axis=1)[:, 300 // 20 : 3400 // 20 + 1]
            energy = np.square(np.abs(spectra))
            weight = energy.mean(axis=2)
            mixed += np.sum(weight * np.square(np.abs(spectra.mean(axis=2))), dtype=np.float64)
            single += np.sum(weight[..., np.newaxis] * energy, axis=(0, 1), dtype=np.float64)
    return int(single.argmax()) if mixed < 0.25 * single.mean() / file.channels else None


@functools.cache
def _note(text: str) -> None:
    """Prints a note on standard error, once."""
    print(f"note: {text}", file=sys.stderr)


def _make_resampler(rate_hz: float) -> Callable[[np.ndarray, bool], np.ndarray]:
    if rate_hz == SAMPLE_RATE:
        return lambda block, last: block
    import soxr

    stream = soxr.ResampleStream(rate_hz, SAMPLE_RATE, 1, dtype="float32", quality="HQ")
    return lambda block, last: stream.resample_chunk(block, last=last)


def read_audio(path: StrPath, speed: float = 1.0) -> np.ndarray:
    """Returns a sound file from beginning to end, see `stream_audio`: float32, shape (n_samples,), mono, 16 kHz."""
    return np.concatenate([np.zeros(0, np.float32), *stream_audio(path, speed)])
