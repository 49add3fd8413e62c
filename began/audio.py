"""Sound files to 1-s chunks: any file that libsndfile reads, mixed down to mono at 16 kHz (paper, section 3.2)."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from began.errors import InputError
from began.files import describe_no_file

if TYPE_CHECKING:
    import soundfile

SAMPLE_RATE = 16_000
"""Sample rate of everything behind `read_audio`, in Hz (paper, section 3.2)."""

CHUNK_SAMPLES = SAMPLE_RATE
"""Length of a chunk in samples: one second (paper, section 3.2)."""

AUDIO_SUFFIXES = (".wav", ".flac", ".ogg", ".oga", ".opus", ".mp3", ".aiff", ".aif", ".au", ".caf", ".w64", ".rf64")
"""File name endings under which folders are searched for sound."""

TAILS = ("overlap", "pad", "drop")
"""What may happen to the samples behind the last full chunk, see `cut_chunks`."""

MIN_RATE_HZ, MAX_RATE_HZ = 2_000, 1_000_000
"""Sample rates of files that are taken: others come from damaged headers, and would stretch a second to hours."""

MAX_AMPLITUDE = 1_000.0
"""Largest sample that is taken; a float file may exceed full scale, but one of integers in float samples is a mistake."""

BLOCK_SECONDS = 60
"""How much of a file is in memory at a time."""

UNDAMAGED, AGAIN = "an undamaged sound file (WAV, FLAC, OGG, MP3, AIFF, …)", "copy, download or export it again"


def stream_audio(path: str | os.PathLike[str], speed: float = 1.0) -> Iterator[np.ndarray]:
    """Yields a sound file as consecutive blocks of at most about a minute, so that any length fits in memory.

    Args:
        path: any file that libsndfile reads, at any rate, with any number of channels (their mean is taken).
        speed: how much faster it is played: tempo and pitch change together, as if another voice had spoken (Ko et al. 2015).
    Yields:
        float32, shape (n_samples,), in [-1, 1] up to the resampler's overshoot, at 16 kHz.
    Raises:
        InputError: missing, unreadable, not sound, truncated, empty, with samples or a sample rate that no recording has.
    """
    import soundfile

    path = Path(path)
    check_file(path)
    try:
        with soundfile.SoundFile(os.fsencode(path)) as file:
            yield from _resample_blocks(path, file, speed)
    except soundfile.LibsndfileError as error:
        found = f"a file that cannot be decoded ({error.error_string.rstrip('.')})"
        raise InputError.about(path, found, UNDAMAGED, AGAIN) from error
    except OSError as error:
        raise _cannot_open(path, error) from error


def _resample_blocks(path: Path, file: soundfile.SoundFile, speed: float) -> Iterator[np.ndarray]:
    if not MIN_RATE_HZ <= file.samplerate <= MAX_RATE_HZ:
        expected = f"{MIN_RATE_HZ} to {MAX_RATE_HZ} Hz"
        raise InputError.about(path, f"a sample rate of {file.samplerate} Hz", expected, AGAIN)
    n_read = 0
    resample = _make_resampler(file.samplerate * speed)
    # `read` allocates what is left of the file, `blocks` a whole minute for every utterance.
    while len(block := file.read(BLOCK_SECONDS * file.samplerate, dtype="float32", always_2d=True)):
        n_read += len(block)
        if not file.subtype.startswith("PCM") and not (peak := np.abs(block).max()) <= MAX_AMPLITUDE:  # true for NaN, too
            found = f"samples up to {peak:g}" if np.isfinite(block).all() else "samples that are not finite (NaN or infinity)"
            raise InputError.about(path, found, "samples from -1 to 1", AGAIN)
        mono = block[:, 0] if block.shape[1] == 1 else block.mean(axis=1)
        resampled = resample(mono, n_read >= file.frames)
        if len(resampled):
            yield resampled
    if n_read == 0:
        raise InputError.about(path, "a sound file without samples", "at least one sample", AGAIN)
    if n_read < file.frames:
        raise _truncated(path, f"{n_read} samples", file.frames)


def _make_resampler(rate_hz: float) -> Callable[[np.ndarray, bool], np.ndarray]:
    if rate_hz == SAMPLE_RATE:
        return lambda block, last: block
    import soxr

    stream = soxr.ResampleStream(rate_hz, SAMPLE_RATE, 1, dtype="float32", quality="HQ")
    return lambda block, last: stream.resample_chunk(np.ascontiguousarray(block), last=last)


def check_file(path: Path) -> None:
    """Raises InputError where a file needs no decoding to be refused: missing, no file, empty, unreadable, a WAV cut off."""
    if not path.is_file():
        raise InputError.about(path, describe_no_file(path), "a sound file", "check the path")
    size = path.stat().st_size
    if size == 0:
        raise InputError.about(path, "an empty file (0 bytes)", UNDAMAGED, AGAIN)
    try:
        with open(path, "rb") as file:
            header = file.read(12)
    except OSError as error:
        raise _cannot_open(path, error) from error
    # libsndfile reads a WAV cut off in the middle without a word; its RIFF header tells.
    if header[:4] == b"RIFF" and header[8:] == b"WAVE":
        declared = int.from_bytes(header[4:8], "little") + 8
        unknown_length = declared in (8, 0xFFFFFFFF + 8)  # written by programs that stream
        if not unknown_length and size < declared - 1:
            raise _truncated(path, f"{size} bytes", declared)


def _truncated(path: Path, found: str, declared: int) -> InputError:
    return InputError.about(path, f"a truncated file: {found} of the {declared} that its header names", UNDAMAGED, AGAIN)


def _cannot_open(path: Path, error: OSError) -> InputError:
    found = f"a file that cannot be opened ({error.strerror or error})"
    return InputError.about(path, found, "a readable sound file", "check its permissions")


def read_audio(path: str | os.PathLike[str], speed: float = 1.0) -> np.ndarray:
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
    return np.concatenate([np.zeros((0, CHUNK_SAMPLES), np.float32), *_chunk_blocks([waveform], hop_samples, tail)])


def stream_chunks(
    path: str | os.PathLike[str], *, hop_samples: int = CHUNK_SAMPLES, tail: str = "overlap", speed: float = 1.0
) -> Iterator[np.ndarray]:
    """Yields the chunks of a sound file block by block, at constant memory; together they equal `cut_chunks`."""
    return _chunk_blocks(stream_audio(path, speed), hop_samples, tail)


def _chunk_blocks(blocks: Iterable[np.ndarray], hop_samples: int, tail: str) -> Iterator[np.ndarray]:
    if tail not in TAILS:
        raise ValueError(f"tail is {tail!r}; expected one of {', '.join(TAILS)}")
    if not 1 <= hop_samples <= CHUNK_SAMPLES:
        raise ValueError(f"hop_samples is {hop_samples}; expected 1 to {CHUNK_SAMPLES}")
    held = np.zeros(0, np.float32)  # samples still needed, the last chunk's among them
    start = 0  # of the next chunk, within `held`
    covered = 0  # samples of `held` that lie in a chunk already
    for block in blocks:
        block = block.astype(np.float32, copy=False)
        held = np.concatenate([held, block]) if len(held) else block
        if len(held) - start >= CHUNK_SAMPLES:
            chunks = np.lib.stride_tricks.sliding_window_view(held[start:], CHUNK_SAMPLES)[::hop_samples]
            yield np.ascontiguousarray(chunks)
            covered = start + (len(chunks) - 1) * hop_samples + CHUNK_SAMPLES
            start += len(chunks) * hop_samples
            # A tail that overlaps looks back by at most one chunk.
            drop = max(0, min(start, len(held) - CHUNK_SAMPLES))
            held, start, covered = held[drop:], start - drop, covered - drop
    if tail == "drop" or len(held) <= covered:
        return
    rest = held[max(0, len(held) - CHUNK_SAMPLES) :] if tail == "overlap" else held[start:]
    yield np.pad(rest, (0, CHUNK_SAMPLES - len(rest)))[np.newaxis]
