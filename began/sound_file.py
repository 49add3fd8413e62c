"""Opens any sound file that libsndfile or PyAV reads, or a part or channel of it, to be read forward block by block."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from began.containers import MAX_RATE_HZ, MIN_RATE_HZ, UNKNOWN, find_unread_codec, has_header, open_sound
from began.errors import InputError, counted, raise_resource_error
from began.files import StrPath, describe_no_file, is_file, say_why_not_there
from began.media import HEAD_BYTES, MediaFile, find_container, find_unread_container, say_how_to_convert
from began.media_fragments import CHANNELS, describe_path, split_channel, split_part
from began.sound_errors import AGAIN, UNDAMAGED

_UNRECOGNISED = 1
"""libsndfile's error for a format that it does not know."""

_STAND_INS = {
    b"version https://git-lfs.github.com/spec/": ("a Git LFS pointer in place of the file", "fetch the file: git lfs pull"),
    b"/annex/objects/": ("a git-annex pointer in place of the file", "fetch the file: git annex get"),
    **dict.fromkeys((b"<!doctype", b"<html", b"<?xml"), ("a web page or other XML", "download the sound itself")),
}
"""How text begins, in lower case, that is saved under the name of a sound -> what it is, and what to do."""

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


class _Channel:
    """A channel of an open stereo file, in the place of a file of one channel."""

    channels = 1

    def __init__(self, file: SoundFile, path: Path, channel: str) -> None:
        if file.channels != len(CHANNELS):
            found = counted(file.channels, "channel")
            action = "leave out --channel, or give a stereo recording"
            raise InputError.about(path, found, "two, a left and a right one", action)
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
        if self.frames < 1:
            found = f"a part that ends {'where' if self.frames == 0 else 'before'} it starts, at {file.samplerate} Hz"
            raise InputError.about(self._name, found, "at least one sample", "correct the part's start and end")
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
        action = say_why_not_there(path) or "check the path"
        raise InputError.about(path, describe_no_file(path), "a sound file", action)
    try:
        if path.stat().st_size == 0:
            raise InputError.about(path, "an empty file (0 bytes)", UNDAMAGED, AGAIN)
        with open(path, "rb") as beginning:
            container = find_container(path, head := beginning.read(HEAD_BYTES))
        text = head.removeprefix(b"\xef\xbb\xbf").lstrip().lower()
        for words, (found, action) in _STAND_INS.items():
            if text.startswith(words):
                raise InputError.about(path, found, UNDAMAGED, action)
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
            yield _Channel(chosen, whole, channel) if channel else chosen
    except soundfile.LibsndfileError as error:
        if codec := find_unread_codec(path):
            found = f"a sound in the codec {codec}, which is not read in such a file"
            expected = "one that is (PCM in WAV, Vorbis or Opus in Ogg, FLAC, MP3, …)"
            raise InputError.about(path, found, expected, say_how_to_convert(path)) from error
        found = f"a file that cannot be decoded ({error.error_string.rstrip('.')})"
        action = f"{AGAIN}; another format can be converted" if error.code == _UNRECOGNISED else AGAIN
        raise InputError.about(path, found, UNDAMAGED, action) from error
    except OSError as error:
        raise_resource_error(error)
        found = f"a file that cannot be opened ({error.strerror or error})"
        raise InputError.about(path, found, "a readable sound file", "check its permissions") from error


def read_blocks(file: SoundFile, max_seconds: float = BLOCK_SECONDS) -> Iterator[np.ndarray]:
    """Yields the samples of an open file, float32, shape (n_samples, n_channels), as long as there are any."""
    n_samples = min(count_block(file, max_seconds), max(1, file.frames))
    while len(block := file.read(n_samples, dtype="float32", always_2d=True)):
        yield block


def count_block(file: SoundFile, max_seconds: float) -> int:
    """Returns how many samples are read at once: at most so many seconds, and fewer of many channels."""
    return max(1, min(round(max_seconds * file.samplerate), BLOCK_VALUES // file.channels))
