"""What the networks hear of a recording: its speech, from the first sound to the last, at one level.

Absolute level, the silence around an utterance and the band next to 8 kHz tell of the microphone, of who cut the file and of
resamplers and codecs, and little of emotion; log spectrograms down to -140 dB show all three at face value. The front end
"normalized" takes them out: ends far below the recording's own loud level are cut off, the loud level becomes
`LOUD_LEVEL_DB`, and `began.spectrogram` keeps the band of wideband speech above a floor. "trimmed" does the same but for the
level, which does tell of emotion where one speaker and one microphone are known. "literal" is the paper's input.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

import numpy as np

from began.audio import SAMPLE_RATE, Recording, measure_seconds, stream_audio
from began.chunks import CHUNK_SAMPLES, chunk_blocks
from began.errors import InputError
from began.files import StrPath
from began.media_fragments import describe_path

FRONT_ENDS = ("literal", "trimmed", "normalized")

WINDOW_SAMPLES, HOP_SAMPLES = SAMPLE_RATE // 50, SAMPLE_RATE // 500
"""Level is measured in windows of 20 ms, every 2 ms: ends are cut so finely that an utterance is framed in the same way
whatever silence stands before it."""

LOUD_LEVEL_DB = -20.0
"""Level that a recording's loud windows get, in decibels: effective value, relative to full scale."""

LOUD_SHARE, LOUD_RANGE_DB = 0.05, 20.0
"""The loud level is the one that 5 % of the windows exceed, counting only windows at most 20 dB below it."""

LOUD_SECONDS = 0.1
"""The search for it starts at the level exceeded for 0.1 s in all, so that a single click does not set it."""

TRIM_DB = 30.0
"""Ends that lie so far below the loud level are cut off."""

LONGEST_PAUSE_SECONDS, SHORTENED_PAUSE_SECONDS = 0.8, 0.2
"""Pauses inside a recording that are longer become as short as the second."""

ONSET_SAMPLES = 2 * HOP_SAMPLES
"""A window rises above its surroundings once this many of its samples are sound; speech is taken to begin there."""

_LOWEST_DB, _STEPS_PER_DB = -120.0, 10


@dataclass(frozen=True)
class Speech:
    """Where a recording's speech lies at 16 kHz, and the factor that brings it to the common level.

    Attributes:
        start, end: samples, before any front end.
        gain: of amplitudes.
    """

    start: int
    end: int
    gain: float


def stream_speech(path: StrPath, front_end: str = "literal", speed: float = 1.0) -> Iterator[np.ndarray]:
    """Yields what a front end leaves of a sound file, block by block: see `began.audio.stream_audio`.

    But for "literal" the file is read twice, at constant memory: to measure it, and to cut and scale it.

    Args:
        path, speed: see `began.audio.stream_audio`, also for errors. The file is read to its end, whatever is cut off.
        front_end: one of FRONT_ENDS.
    Yields:
        float32, shape (n_samples,), at 16 kHz; the loud level of "normalized" is `LOUD_LEVEL_DB`, single samples may lie beyond
        full scale.
    """
    if front_end == "literal":
        return stream_audio(path, speed)
    return cut_speech(stream_audio(path, speed), locate_speech(path, front_end, speed))


def stream_chunks(
    path: StrPath, front_end: str = "literal", *, hop_samples: int = CHUNK_SAMPLES, tail: str = "overlap"
) -> Iterator[np.ndarray]:
    """Yields the 1-s chunks of what `stream_speech` yields, block by block, as `began.chunks.cut_chunks` cuts them."""
    return chunk_blocks(stream_speech(path, front_end), hop_samples, tail)


def search_speech(path: StrPath, speed: float = 1.0) -> Speech | None:
    """Returns where a sound file's speech lies, None where it holds only clicks; raises as `began.audio.stream_audio` does."""
    found: dict[float, Speech | None] = path.speech if isinstance(path, Recording) else {}
    if speed not in found:
        found[speed] = measure_speech(stream_audio(path, speed))
    return found[speed]


def find_speech(path: StrPath, speed: float = 1.0) -> Speech:
    """Returns where a sound file's speech lies; raises as `search_speech` does, and where there is none."""
    speech = search_speech(path, speed)
    if speech is None:
        raise InputError.about(describe_path(path), "silence, but for single clicks", "speech", "check the recording")
    return speech


def locate_speech(path: StrPath, front_end: str, speed: float = 1.0) -> Speech:
    """Returns what a front end hears of a sound file: its speech, or with "literal" all of it; raises as `find_speech` does."""
    if front_end == "literal":
        return Speech(0, round(measure_seconds(path) * SAMPLE_RATE / speed), 1.0)
    speech = find_speech(path, speed)
    return speech if front_end == "normalized" else replace(speech, gain=1.0)


def measure_remaining_gain(path: StrPath, front_end: str) -> float:
    """Returns what brings the loud level of a file to `LOUD_LEVEL_DB` behind a front end; 0.0 where only clicks are."""
    if front_end == "normalized":
        return 1.0
    found = search_speech(path)
    return found.gain if found else 0.0


def stream_windows(
    path: StrPath, speech: Speech, window_seconds: float, hop_seconds: float
) -> Iterator[tuple[float, float, np.ndarray]]:
    """Yields start and end in seconds, and the samples, of the windows of a file's speech at constant memory.

    The last window ends with the speech; speech that is shorter than a window is one, of its own length.

    Args:
        speech: what `locate_speech` returns; the samples are scaled by its gain.
        window_seconds, hop_seconds: length of the windows, and distance of their starts.
    """
    n_samples, hop = round(window_seconds * SAMPLE_RATE), round(hop_seconds * SAMPLE_RATE)
    length = speech.end - speech.start
    blocks = chunk_blocks(cut_speech(stream_audio(path), speech), hop, "overlap", n_samples)
    for number, window in enumerate(window for block in blocks for window in block):
        start = max(0, min(number * hop, length - n_samples))
        end = min(start + n_samples, length)
        yield (speech.start + start) / SAMPLE_RATE, (speech.start + end) / SAMPLE_RATE, window[: end - start]


def measure_speech(blocks: Iterable[np.ndarray]) -> Speech | None:
    """Returns where the speech of consecutive blocks, float32 (n_samples,) each, lies; None where there is none.

    Every window's level goes into a histogram, which also keeps the first and the last window of each level: all that is
    needed behind the last block, whatever the length.
    """
    n_steps = round((24.0 - _LOWEST_DB) * _STEPS_PER_DB)
    counts, first, last = np.zeros(n_steps, np.int64), np.full(n_steps, np.iinfo(np.int64).max), np.full(n_steps, -1)
    n_windows = n_samples = 0
    for held, n_new in _surround(blocks):
        n_samples += n_new
        levels = _measure_windows(held)
        step = np.clip(((levels - _LOWEST_DB) * _STEPS_PER_DB).astype(np.int64), 0, n_steps - 1)
        counts += np.bincount(step, minlength=n_steps)
        number = n_windows + np.arange(len(step))
        np.minimum.at(first, step, number)
        np.maximum.at(last, step, number)
        n_windows += len(step)
    loud = _find_loud_level(counts) if n_windows else 0
    if loud == 0:
        return None
    above = slice(max(0, loud - round(TRIM_DB * _STEPS_PER_DB)) + 1, None)
    gain = 10.0 ** ((LOUD_LEVEL_DB - (_LOWEST_DB + (loud + 0.5) / _STEPS_PER_DB)) / 20.0)
    # Window 0 lies before the recording, and its end at the first sample.
    start = max(0, int(first[above].min()) * HOP_SAMPLES - ONSET_SAMPLES)
    end = min(n_samples, int(last[above].max()) * HOP_SAMPLES - WINDOW_SAMPLES + ONSET_SAMPLES)
    if end - start < WINDOW_SAMPLES < n_samples:  # a click in digital silence, where nothing else is loud for longer
        return None
    return Speech(start, max(end, start + 1), gain)


def find_window_speech(samples: np.ndarray, gain: float) -> slice:
    """Returns which samples of a window of a recording are speech, from its first sound to its last; none: an empty slice.

    By the rule for the ends of a recording: what lies `TRIM_DB` below the recording's loud level is no speech, nor is a click.

    Args:
        samples: float32, shape (n_samples,), at 16 kHz.
        gain: brings the recording's loud level to `LOUD_LEVEL_DB`, see `Speech`.
    """
    sounds = np.flatnonzero(_measure_windows(np.float64(gain) * samples) > LOUD_LEVEL_DB - TRIM_DB)
    if not len(sounds) or (sounds[-1] - sounds[0]) * HOP_SAMPLES - WINDOW_SAMPLES + 2 * ONSET_SAMPLES < WINDOW_SAMPLES:
        return slice(0, 0)
    # What rises in the first window or falls in the last one goes on beyond: nothing is known of where.
    start = int(sounds[0]) * HOP_SAMPLES + WINDOW_SAMPLES - ONSET_SAMPLES if sounds[0] else 0
    is_last = (sounds[-1] + 1) * HOP_SAMPLES + WINDOW_SAMPLES > len(samples)
    end = len(samples) if is_last else int(sounds[-1]) * HOP_SAMPLES + ONSET_SAMPLES
    return slice(start, end)


def shorten_pauses(blocks: Iterable[np.ndarray], gain: float, speed: float = 1.0) -> Iterator[np.ndarray]:
    """Yields consecutive blocks, with pauses of more than `LONGEST_PAUSE_SECONDS` cut to `SHORTENED_PAUSE_SECONDS`.

    A pause is what lies `TRIM_DB` below the loud level, as at the ends of a recording. What is kept of it are its ends.

    Args:
        blocks: float32, shape (n_samples,) each, at 16 kHz.
        gain: see `find_window_speech`.
        speed: that the recording is played at; pauses count at its own.
    Yields:
        float32, shape (n_samples,).
    """
    longest, shortened = (
        round(seconds / speed * SAMPLE_RATE / WINDOW_SAMPLES) for seconds in (LONGEST_PAUSE_SECONDS, SHORTENED_PAUSE_SECONDS)
    )
    begin, end = shortened // 2, shortened - shortened // 2
    held = np.zeros(0, np.float32)
    for block in itertools.chain(blocks, [None]):
        held = held if block is None else np.concatenate([held, block])
        windows = held[: len(held) // WINDOW_SAMPLES * WINDOW_SAMPLES].reshape(-1, WINDOW_SAMPLES)
        held = held[windows.size :]
        is_pause = 10.0 * np.log10(np.maximum(np.var(np.float64(gain) * windows, axis=1), 1e-12)) <= LOUD_LEVEL_DB - TRIM_DB
        is_kept, n_done = np.ones(len(windows), bool), len(windows)
        for first, last in np.flatnonzero(np.diff(is_pause, prepend=False, append=False)).reshape(-1, 2):
            if last - first > longest:
                is_kept[first + begin : last - end] = False
            if last == len(windows) and block is not None:  # it may go on in the next block
                pause, n_done = windows[first:], first
                if len(pause) > longest:  # however long it is, no more is held than tells so
                    pause = np.concatenate([pause[:begin], pause[begin - longest - 1 :]])
                held = np.concatenate([pause.ravel(), held])
        yield windows[:n_done][is_kept[:n_done]].ravel()
    yield held


def _surround(blocks: Iterable[np.ndarray]) -> Iterator[tuple[np.ndarray, int]]:
    """Yields (samples, n_new): whole windows, float64, with the first and last sample repeated beyond the ends.

    So a recording that begins with sound is measured as one that begins with silence.
    """
    held = edge = np.zeros(0)
    for block in blocks:
        if len(block) and not len(edge):
            held = np.full(WINDOW_SAMPLES, float(block[0]))
        if len(block):
            held, edge = np.concatenate([held, block]), block[-1:]
            yield held, len(block)
            held = held[max(0, (len(held) - WINDOW_SAMPLES) // HOP_SAMPLES + 1) * HOP_SAMPLES :]
    if len(edge):
        yield np.concatenate([held, np.full(WINDOW_SAMPLES + HOP_SAMPLES, float(edge[0]))]), 0


def _measure_windows(samples: np.ndarray) -> np.ndarray:
    """Returns the level of every whole window in decibels of full scale, apart from a constant offset, at least -120."""
    n_windows = max(0, (len(samples) - WINDOW_SAMPLES) // HOP_SAMPLES + 1)
    sums = np.concatenate([np.zeros((2, 1)), np.cumsum([samples, samples * samples], axis=1)], axis=1)
    starts = np.arange(n_windows) * HOP_SAMPLES
    mean, power = (sums[:, starts + WINDOW_SAMPLES] - sums[:, starts]) / WINDOW_SAMPLES
    return 10.0 * np.log10(np.maximum(power - mean * mean, 10.0 ** (_LOWEST_DB / 10.0)))


def _find_loud_level(counts: np.ndarray) -> int:
    """Returns the step of the loud level, the upper percentile of the windows that are not far below it themselves.

    Found from above, so that no silence counts, however much of it there is.
    """
    from_above = np.cumsum(counts[::-1])[::-1]  # windows at each step or above
    enough = min(LOUD_SECONDS * SAMPLE_RATE / HOP_SAMPLES, 0.5 * from_above[1])
    loud = int(np.flatnonzero(from_above >= max(1, enough))[-1])
    for _ in range(len(counts)):
        lowest = max(1, loud - round(LOUD_RANGE_DB * _STEPS_PER_DB))
        found = int(np.flatnonzero(from_above >= max(1.0, LOUD_SHARE * from_above[lowest]))[-1])
        if found == loud:
            break
        loud = found
    return loud


def cut_speech(blocks: Iterable[np.ndarray], speech: Speech) -> Iterator[np.ndarray]:
    """Yields the speech of consecutive blocks, scaled: float32, shape (n_samples,) each."""
    position = 0
    for block in blocks:
        part = block[max(0, speech.start - position) : max(0, speech.end - position)]
        position += len(block)
        if len(part):
            yield part * np.float32(speech.gain)
