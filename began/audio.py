"""Sound files to 1-s chunks: whatever libsndfile or PyAV reads, mixed down to mono at 16 kHz (paper, section 3.2)."""

from __future__ import annotations

import functools
import hashlib
import math
import os
import re
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from began.containers import AGAIN, UNDAMAGED, UNKNOWN, has_header, open_sound, truncated
from began.errors import InputError, counted, printable, raise_resource_error
from began.files import StrPath, describe_no_file, is_file
from began.media import HEAD_BYTES, MediaFile, find_container, find_unread_container, say_how_to_convert

SAMPLE_RATE = 16_000
"""Sample rate of everything behind `read_audio`, in Hz (paper, section 3.2)."""

CHUNK_SAMPLES = SAMPLE_RATE
"""Length of a chunk in samples: one second (paper, section 3.2)."""

AUDIO_SUFFIXES = tuple(".wav .wave .flac .ogg .oga .opus .mp3 .mp2 .aiff .aif .aifc .au .caf .w64 .rf64 .sph .nist".split())
"""File name endings under which folders are searched for sound."""

FOREIGN_SUFFIXES = tuple(".m4a .m4b .m4v .mp4 .mov .3gp .webm .weba .mka .mkv .aac .amr .wma .raw".split())
"""Endings of what telephones, browsers and cameras record, which needs PyAV (`began.media`), and of sound without a header."""

TAILS = ("overlap", "pad", "drop")
"""What may happen to the samples behind the last full chunk, see `cut_chunks`."""

MIN_RATE_HZ, MAX_RATE_HZ = 2_000, 1_000_000
"""Sample rates of files that are taken: others come from damaged headers, and would stretch a second to hours."""

MAX_AMPLITUDE = 2.0
"""Largest sample that is taken; floats, and what MP3, Vorbis and Opus made of them, may exceed full scale a little, but
integers in float samples are a mistake."""

UNBOUNDED = ("FLOAT", "DOUBLE", "VORBIS", "OPUS", "MPEG_LAYER_I", "MPEG_LAYER_II", "MPEG_LAYER_III", "MEDIA")
"""Encodings whose samples can have any value."""

SILENCE = 1e-4
"""Amplitude below which a file holds no sound (-80 dB of full scale) in any channel, apart from a constant offset."""

_UNRECOGNISED = 1
"""libsndfile's error for a format that it does not know."""

BLOCK_SECONDS, BLOCK_VALUES = 60, 5_760_000
"""How much of a file is in memory at a time: at most a minute, and as many values as one of stereo at 48 kHz has."""


class SoundFile(Protocol):
    """An open file, as `soundfile.SoundFile`: what all readers below use of it."""

    samplerate: int
    channels: int
    frames: int
    subtype: str

    def seek(self, frame: int) -> Any: ...

    def read(self, n_frames: int, **options: Any) -> np.ndarray: ...


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


def hash_sound(path: StrPath, on_block: Callable[[int, np.ndarray], None] | None = None) -> str:
    """Returns the SHA-256, in hexadecimal, of what a sound file plays: its sample rate, and its samples mixed down to mono.

    The same samples give the same hash in any container that loses none (WAV, FLAC, …), and under any name; a part of a file
    has the hash of its own samples.

    Args:
        path: see `stream_audio`, also for errors.
        on_block: is given the file's rate in Hz, and each block as it lies in the file, float32, shape (n_samples, n_channels).
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


def name_part(path: StrPath, start_seconds: float, end_seconds: float) -> str:
    """Returns the name of a part of a sound file, as a media fragment (W3C 2012, section 4.2.1), which all readers take."""
    return f"{path}#t={round(start_seconds, 6)},{round(end_seconds, 6)}"


def split_part(path: StrPath) -> tuple[Path, float, float | None]:
    """Returns file, start and end in seconds of what `name_part` named; 0 and None where it is a whole file."""
    part = re.fullmatch(r"(.*)#t=([\d.e+-]+),([\d.e+-]+)", os.fspath(path), re.DOTALL)
    try:
        start, end = (float(part[2]), float(part[3])) if part else (0.0, 0.0)
    except ValueError:
        part = None
    if part is None or not math.isfinite((abs(start) + abs(end)) * MAX_RATE_HZ) or is_file(path):  # a file may be called so
        return Path(path), 0.0, None
    return Path(part[1]), start, end


CHANNELS = ("left", "right")
"""Channels of a stereo file, in their order."""


def name_channel(path: StrPath, channel: str) -> str:
    """Returns the name of one of CHANNELS of a stereo file, as a media fragment (W3C 2012, section 4.2.3)."""
    return f"{path}#track={channel}"


def split_channel(path: StrPath) -> tuple[Path, str]:
    """Returns file and channel of what `name_channel` named; "" where it is all of a file."""
    part = re.fullmatch(rf"(.*)#track=({'|'.join(CHANNELS)})", os.fspath(path), re.DOTALL)
    if part is None or is_file(path):  # a file may be called so
        return Path(path), ""
    return Path(part[1]), part[2]


def describe_path(path: StrPath) -> str:
    """Returns the name of a sound file as messages have it: what `name_channel` named is a file and its channel."""
    file, channel = split_channel(path)
    return f"{file}, {channel} channel" if channel else str(file)


class _Channel:
    """A channel of an open stereo file, in the place of a file of one channel."""

    channels = 1

    def __init__(self, file: SoundFile, name: str, channel: str) -> None:
        if file.channels != len(CHANNELS):
            found = counted(file.channels, "channel")
            action = "leave out --channel, or give a stereo recording"
            raise InputError.about(name, found, "two, a left and a right one", action)
        self.samplerate, self.frames, self.subtype = file.samplerate, file.frames, file.subtype
        self._file, self._index = file, CHANNELS.index(channel)

    def seek(self, frame: int) -> None:
        self._file.seek(frame)

    def read(self, n_frames: int, **options: Any) -> np.ndarray:
        return self._file.read(n_frames, **options)[:, self._index : self._index + 1]


class _Part:
    """A part of an open sound file, in the place of a file: the same attributes and methods, as far as readers use them."""

    def __init__(self, file: SoundFile, name: str, start_seconds: float, end_seconds: float) -> None:
        self.samplerate, self.channels, self.subtype = file.samplerate, file.channels, file.subtype
        self._file, self._name, self._first = file, name, round(start_seconds * file.samplerate)
        self.frames = round(end_seconds * file.samplerate) - self._first
        if not 0 <= self._first < self._first + self.frames <= file.frames:
            raise self._behind_end(f"a file of {file.frames / file.samplerate:g} s")
        self.seek(0)

    def _behind_end(self, found: str) -> InputError:
        return InputError.about(self._name, found, "one that has this part", "correct the part's start and end")

    def seek(self, frame: int) -> None:
        try:
            self._file.seek(self._first + frame)
        except RuntimeError as error:  # libsndfile's
            if self._file.frames < UNKNOWN:
                raise
            raise self._behind_end("a file that ends before") from error
        self._n_left = self.frames - frame

    def read(self, n_frames: int, **options: Any) -> np.ndarray:
        block = self._file.read(min(n_frames, self._n_left), **options)
        self._n_left -= len(block)
        if self._n_left and not len(block) and self._file.frames >= UNKNOWN:  # else `read_blocks` finds what is missing
            raise self._behind_end("a file that ends before")
        return block


@contextmanager
def open_audio(path: StrPath) -> Iterator[SoundFile]:
    """Opens a sound file, or a part or channel of it, to be read forward; what is wrong, now or later, is an InputError."""
    import soundfile

    named, (whole, channel) = describe_path(path), split_channel(path)
    path, start_seconds, end_seconds = split_part(whole)
    if not is_file(path):
        raise InputError.about(path, describe_no_file(path), "a sound file", "check the path")
    try:
        if path.stat().st_size == 0:
            raise InputError.about(path, "an empty file (0 bytes)", UNDAMAGED, AGAIN)
        with open(path, "rb") as beginning:
            container = find_container(path, head := beginning.read(HEAD_BYTES))
        if path.suffix.lower() == ".raw" and not container and not has_header(head):
            action = say_how_to_convert(path, "-f s16le -ar 16000 -ac 1 ")  # which only its maker knows
            raise InputError.about(path, "samples without a header, which no reader understands", UNDAMAGED, action)
        if unread := find_unread_container(head):
            expected = "a container that is read (WAV, FLAC, OGG, MP3, MP4, WebM, …)"
            raise InputError.about(path, f"a file of the kind {unread}, which is not read", expected, say_how_to_convert(path))
        with MediaFile(path, container) if container else open_sound(path) as file:
            if not MIN_RATE_HZ <= file.samplerate <= MAX_RATE_HZ:
                expected = f"{MIN_RATE_HZ} to {MAX_RATE_HZ} Hz"
                raise InputError.about(path, f"a sample rate of {file.samplerate} Hz", expected, AGAIN)
            chosen: SoundFile = file if end_seconds is None else _Part(file, named, start_seconds, end_seconds)
            yield _Channel(chosen, named, channel) if channel else chosen
    except soundfile.LibsndfileError as error:
        found = f"a file that cannot be decoded ({error.error_string.rstrip('.')})"
        action = f"{AGAIN}; another format can be converted" if error.code == _UNRECOGNISED else AGAIN
        raise InputError.about(path, found, UNDAMAGED, action) from error
    except OSError as error:
        raise_resource_error(error)
        found = f"a file that cannot be opened ({error.strerror or error})"
        raise InputError.about(path, found, "a readable sound file", "check its permissions") from error


def measure_seconds(path: StrPath) -> float:
    """Returns how long a sound file is; it is read where neither header nor frames tell."""
    with open_audio(path) as file:
        n_samples = file.frames if file.frames < UNKNOWN else sum(map(len, read_blocks(file)))
        return float(n_samples / file.samplerate)


def read_blocks(file: SoundFile, max_seconds: float = BLOCK_SECONDS) -> Iterator[np.ndarray]:
    """Yields the samples of an open file, float32, shape (n_samples, n_channels), as long as there are any."""
    n_samples = min(_count_block(file, max_seconds), max(1, file.frames))
    while len(block := file.read(n_samples, dtype="float32", always_2d=True)):
        yield block


def _count_block(file: SoundFile, max_seconds: float) -> int:
    return max(1, min(round(max_seconds * file.samplerate), BLOCK_VALUES // file.channels))


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
            _check_samples(name, block)
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


def _check_samples(name: str, block: np.ndarray) -> None:
    peak = float(np.abs(block).max())
    if not np.isfinite(peak):
        raise InputError.about(name, "samples that are not finite (NaN or infinity)", "samples from -1 to 1", AGAIN)
    if peak > MAX_AMPLITUDE:
        action = "divide integers in float samples by their full scale (16 bits: 32768), or export it at a lower level"
        raise InputError.about(name, f"samples up to {peak:g}", "samples from -1 to 1", action)


def _find_channel(path: Path, file: SoundFile, first: np.ndarray) -> int | None:
    """Returns what `_choose_channel` chooses for a file whose first block has been read: a longer one is read once more."""
    if len(first) < _count_block(file, BLOCK_SECONDS) or len(first) >= file.frames:
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


def cut_chunks(waveform: np.ndarray, *, hop_samples: int = CHUNK_SAMPLES, tail: str = "overlap") -> np.ndarray:
    """Returns the 1-s chunks of a waveform.  Source: paper, section 3.2 (1-s chunks without overlap).

    Assumption: the paper does not say what happens behind the last full second. The authors' earlier code drops it, and
    with it every clip of a second or less; the default here loses no utterance.

    Args:
        waveform: float32, shape (n_samples,), at 16 kHz.
        hop_samples: distance of two chunks' starts; 16 000 is the paper's "without overlap".
        tail: "overlap", the last chunk ends where the utterance ends and overlaps the one before; "pad", the last chunk
            is filled with zeros; "drop", the tail is lost. An utterance under a second becomes one chunk, filled with
            zeros at its end, or none with "drop".
    Returns:
        float32, shape (n_chunks, 16000).
    Raises:
        ValueError: `waveform` is not one-dimensional, `hop_samples` is not in 1…16000, or `tail` is unknown.
    """
    if waveform.ndim != 1:
        raise ValueError(f"waveform has shape {waveform.shape}; expected one dimension")
    return np.concatenate([np.zeros((0, CHUNK_SAMPLES), np.float32), *chunk_blocks([waveform], hop_samples, tail)])


def chunk_blocks(
    blocks: Iterable[np.ndarray], hop_samples: int = CHUNK_SAMPLES, tail: str = "overlap", n_samples: int = CHUNK_SAMPLES
) -> Iterator[np.ndarray]:
    """Yields the chunks of consecutive blocks of a waveform at constant memory; together they equal `cut_chunks`.

    However far they overlap, at most a minute of them is yielded at a time, or one where they are longer.

    Args:
        blocks: float32, shape (n,) each.
        hop_samples, tail: see `cut_chunks`.
        n_samples: length of a chunk.
    """
    if tail not in TAILS:
        raise ValueError(f"tail is {tail!r}; expected one of {', '.join(TAILS)}")
    if not 1 <= hop_samples <= n_samples:
        raise ValueError(f"hop_samples is {hop_samples}; expected 1 to {n_samples}")
    n_together = max(1, int(BLOCK_SECONDS * SAMPLE_RATE) // n_samples)
    held = np.zeros(0, np.float32)  # samples still needed, the last chunk's among them
    start = 0  # of the next chunk, within `held`
    covered = 0  # samples of `held` that lie in a chunk already
    for block in blocks:
        block = block.astype(np.float32, copy=False)
        held = np.concatenate([held, block]) if len(held) else block
        if len(held) - start >= n_samples:
            chunks = np.lib.stride_tricks.sliding_window_view(held[start:], n_samples)[::hop_samples]
            for first in range(0, len(chunks), n_together):
                yield chunks[first : first + n_together].copy()
            covered = start + (len(chunks) - 1) * hop_samples + n_samples
            start += len(chunks) * hop_samples
            # A tail that overlaps looks back by at most one chunk.
            drop = max(0, min(start, len(held) - n_samples))
            held, start, covered = held[drop:], start - drop, covered - drop
    if tail == "drop" or len(held) <= covered:
        return
    rest = held[max(0, len(held) - n_samples) :] if tail == "overlap" else held[start:]
    yield np.pad(rest, (0, n_samples - len(rest)))[np.newaxis]
