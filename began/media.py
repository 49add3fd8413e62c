"""Sound in the containers of telephones, browsers and cameras: what libsndfile does not open, PyAV does where it is installed.

The container is told by how the file begins, whatever it is called, and FFmpeg is given that one alone: no playlist under
another name opens further files. Decoders give floats, which another version of FFmpeg may round in another way.
"""

from __future__ import annotations

import mmap
import os
import shlex
from collections.abc import Generator
from pathlib import Path
from typing import Any

import numpy as np

from began.containers import UNKNOWN, has_header
from began.errors import InputError, printable, raise_resource_error
from began.sound_errors import AGAIN, UNDAMAGED, truncated

_BOXES = (b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip")
"""How files of the MP4 family (m4a, mp4, mov, 3gp) begin, after the size of the first box."""

_KINDS = {"mov": "MP4 or M4A", "matroska": "WebM or Matroska", "asf": "WMA", "amr": "AMR", "aac": "AAC"}
"""FFmpeg's name of a container -> what its users call it, whatever the file's ending."""

_NOT_READ = {b"FLV": "FLV", b"wvpk": "WavPack", b"TTA": "TTA", b"\0\0\1\xba": "MPEG", b"\0\0\1\xb3": "MPEG"}
"""How files begin of containers that are not read -> what their users call them; AVI and MPEG-TS tell it farther on."""

HEAD_BYTES = 400
"""Of a file's beginning, enough to tell its container: MPEG-TS has packets of 188 bytes, or of 192 with their times."""

_EBML, _ASF = b"\x1a\x45\xdf\xa3", bytes.fromhex("3026b2758e66cf11a6d900aa0062ce6c")
_SEGMENT, _CLUSTER = b"\x18\x53\x80\x67", b"\x1f\x43\xb6\x75"


def find_container(path: Path, head: bytes) -> str:
    """Returns FFmpeg's name of the container whose first bytes these are (at least 16), or "" where it is none of them."""
    if head[4:8] in _BOXES:
        return "mov"
    if head[:4] == _EBML:
        return "matroska"
    if head[:16] == _ASF:
        return "asf"
    if head[:5] == b"#!AMR":
        return "amr"
    is_adts = head[:1] == b"\xff" and head[1:2] in (b"\xf0", b"\xf1", b"\xf8", b"\xf9") and path.suffix.lower() != ".mp3"
    return "aac" if is_adts or (head[:3] == b"ID3" and path.suffix.lower() == ".aac") else ""


def find_unread_container(head: bytes) -> str:
    """Returns what users call the container whose first bytes these are (HEAD_BYTES), if it is one that is not read, or ""."""
    if head[:4] == b"RIFF" and head[8:12] == b"AVI ":
        return "AVI"
    if not has_header(head) and b"GGG" in (head[:377:188], head[4:389:192]):
        return "MPEG-TS"
    return next((name for beginning, name in _NOT_READ.items() if head.startswith(beginning)), "")


def say_how_to_convert(path: Path, options: str = "") -> str:
    """Returns the command that makes a WAV file of one that cannot be opened, to be copied to a shell."""
    target = path.with_suffix(".wav")
    target = path.with_name(f"{path.stem}-converted.wav") if target == path else target
    return f"convert it, for example: ffmpeg {options}-i {_quote(path.name)} {_quote(target.name)}"


def _quote(name: str) -> str:
    """Returns a name for a shell: where terminals might not show it, such as the narrow space that macOS writes, as $'…'.

    bash and zsh read that; what stands there are the bytes of the file's name.
    """
    if printable(name) == name:
        return shlex.quote(name)
    escaped = {"'": "\\'", "\\": "\\\\"}
    letters = (
        escaped.get(letter, letter) if letter.isprintable() else "".join(f"\\x{byte:02x}" for byte in os.fsencode(letter))
        for letter in name
    )
    return f"$'{''.join(letters)}'"


class MediaFile:
    """The first sound of a file, opened to be read forward at constant memory, with what readers use of `soundfile.SoundFile`.

    Args:
        path: of the file.
        container: as `find_container` names it.
    Raises:
        InputError: PyAV is missing, the file is cut short, holds no sound, or cannot be decoded.
    """

    frames, subtype = UNKNOWN, "MEDIA"
    samplerate: int
    channels: int

    def __init__(self, path: Path, container: str) -> None:
        try:
            import av  # noqa: F401
        except ImportError as error:
            found = f"a file of the kind {_KINDS[container]}, which needs the package av"
            action = f"install it: pip install av; or {say_how_to_convert(path)}"
            raise InputError.about(
                path, found, "that package, or a file that libsndfile opens (WAV, FLAC, …)", action
            ) from error
        self._path, self._container = path, container
        if container in _END:
            with open(path, "rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
                if (end := _END[container](content)) > len(content):
                    raise truncated(path, f"{len(content)} bytes", end)
        self.seek(0)
        if not len(self._held):
            raise InputError.about(path, "a sound file without samples", "at least one sample", AGAIN)

    def __enter__(self) -> MediaFile:
        return self

    def __exit__(self, *_: object) -> None:
        self._blocks.close()

    def seek(self, frame: int) -> None:
        """Goes to a sample, by reading from the beginning: exact, which jumping in a compressed stream is not."""
        self._blocks = self._decode()
        self._held = next(self._blocks, np.zeros((0, 1), np.float32))
        while frame > 0 and len(skipped := self.read(min(frame, 1 << 20))):
            frame -= len(skipped)

    def read(self, n_frames: int, **_: Any) -> np.ndarray:
        """Returns the next samples, float32, shape (n_samples, n_channels): fewer than asked for at the end only."""
        pieces, n_held = [self._held], len(self._held)
        while n_held < n_frames and len(block := next(self._blocks, self._held[:0])):
            pieces.append(block)
            n_held += len(block)
        samples = np.concatenate([piece for piece in pieces if len(piece)] or [self._held])
        self._held = samples[n_frames:]
        return samples[:n_frames]

    def _decode(self) -> Generator[np.ndarray, None, None]:
        """Yields the decoder's blocks, never empty; the first one tells rate and channels."""
        import av

        try:
            name = f"file:{self._path}"  # no name is taken for the address of something else
            with av.open(name, format=self._container, metadata_errors="replace") as container:
                if not container.streams.audio:
                    action = "check the recording, or export it again"
                    raise InputError.about(self._path, "a file without a sound track", "a recording", action)
                rate = None
                for packet in container.demux(container.streams.audio[0]):
                    for frame in packet.decode():
                        rate = rate or (frame.sample_rate, frame.layout.nb_channels)
                        if rate != (frame.sample_rate, frame.layout.nb_channels):
                            found = "a sound whose rate or channels change"
                            raise InputError.about(self._path, found, "one of each", say_how_to_convert(self._path))
                        self.samplerate, self.channels = rate
                        if frame.samples:
                            yield _as_floats(frame)
        except av.FFmpegError as error:
            raise_resource_error(error)
            raise InputError.about(self._path, f"a file that cannot be decoded ({error.strerror})", UNDAMAGED, AGAIN) from error


def _as_floats(frame: Any) -> np.ndarray:
    """Returns the samples of a decoded frame, float32, shape (n_samples, n_channels), 1 being full scale."""
    samples = frame.to_ndarray()
    samples = samples.T if frame.format.is_planar else samples.reshape(frame.samples, -1)
    if samples.dtype == np.uint8:
        samples = (samples.astype(np.int16) - 128) * 256
    scale = 1.0 if samples.dtype.kind == "f" else 2.0 ** (1 - 8 * samples.dtype.itemsize)
    return np.ascontiguousarray(samples * np.float32(scale), np.float32)


# -------------------------------------------------------------------------- where a file ends, going by the sizes it names


def _find_end_of_boxes(content: mmap.mmap) -> int:
    """Returns where the last box of an MP4 file ends. Source: ISO/IEC 14496-12, section 4.2."""
    at = 0
    while at < len(content):
        size = int.from_bytes(content[at : at + 4], "big")
        size = int.from_bytes(content[at + 8 : at + 16], "big") if size == 1 else size
        if size == 0 and at + 8 <= len(content):  # reaches to the end
            return len(content)
        at += max(size, 8)
    return at


def _find_end_of_elements(content: mmap.mmap) -> int:
    """Returns where the last element of a Matroska or WebM file ends. Source: RFC 8794, sections 4, 5 and 6.

    The segment and its clusters are looked into: browsers write them without their sizes.
    """
    at = 0
    while at < len(content):
        identifier = content[at : at + 9 - content[at].bit_length()]
        at += len(identifier)
        n_bytes = 9 - content[at].bit_length() if at < len(content) else 1
        size = int.from_bytes(content[at : at + n_bytes], "big") & ((1 << 7 * n_bytes) - 1)
        is_unknown = size == (1 << 7 * n_bytes) - 1
        at += n_bytes
        if not is_unknown and at + size > len(content):
            return at + size
        if identifier != _SEGMENT and not (identifier == _CLUSTER and is_unknown):
            at += 0 if is_unknown else size
    return at


def _find_end_of_objects(content: mmap.mmap) -> int:
    """Returns where the last object of a WMA file ends. Source: Microsoft, Advanced Systems Format, section 2.2."""
    at = 0
    while at < len(content):
        at += max(int.from_bytes(content[at + 16 : at + 24], "little"), 24)
    return at


_END = {"mov": _find_end_of_boxes, "matroska": _find_end_of_elements, "asf": _find_end_of_objects}
"""Of containers whose decoder does not notice that something is missing."""
