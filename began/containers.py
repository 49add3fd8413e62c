"""Is all of a sound there? What libsndfile does not tell: files cut short, and lengths that the writer did not know.

A program that writes through a pipe cannot go back to its header: it leaves a placeholder where the length belongs (WAV,
AIFF, AU, CAF, W64, RF64), or no count of frames (MP3). libsndfile then guesses, and stops early without a word. Such
files are whole: they are opened behind a header that has been completed. It also reads a file cut short as if it were
whole; here, the sizes in the header, Ogg's last page and MP3's frames tell.
"""

from __future__ import annotations

import io
import mmap
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING

from began.errors import InputError
from began.flac import complete_flac
from began.mpeg import complete_mpeg, measure_mpeg_frame, skip_id3
from began.riff import LAYOUTS, MAX_HEADER_BYTES, complete_chunks, is_complete, name_unread_codec
from began.sound_errors import AGAIN, SPLIT, UNDAMAGED, truncated

if TYPE_CHECKING:
    import soundfile

UNKNOWN = 1 << 62
"""`frames` of a file whose length is known only after reading it; for FLAC, libsndfile gives a value beyond it."""

MIN_RATE_HZ, MAX_RATE_HZ = 2_000, 1_000_000
"""Sample rates of files that are taken: others come from damaged headers, and would stretch a second to hours."""

LEAD_SECONDS = 60
"""A page of Ogg has at most 255 packets: 16 s of speech at 16 kHz. Frames of MPEG reach back by less than a second."""

CHECKED = ("WAV", "WAVEX", "RF64", "W64", "FLAC", "OGG", "MP3", "AIFF", "AU", "CAF", "NIST")
"""libsndfile's names of the containers that tell how much they should hold: of others, such as VOC, half passes as whole."""


_OGG_CODECS = {b"\x7fFLAC": "FLAC", b"Speex   ": "Speex", b"\x80theora": "Theora"}
"""How the first packet of an Ogg stream begins that libsndfile does not read -> what its users call it."""


def open_sound(path: Path) -> soundfile.SoundFile:
    """Opens a sound file to be read from beginning to end; `frames` is exact, or UNKNOWN.

    Raises:
        InputError: something of the file is missing.
        soundfile.LibsndfileError, OSError: it cannot be decoded or opened.
    """
    import soundfile

    class ForwardSoundFile(soundfile.SoundFile):
        """Reads without the seek after each block, which fails at the end of a FLAC file of unknown length."""

        def seekable(self) -> bool:
            return False

        def seek(self, frame: int, whence: int = os.SEEK_SET) -> int:
            """Goes to a sample; in a lossy stream by reading what lies before it, for a jump ends beside it.

            libsndfile is late by up to a block in Vorbis' last page, and decodes MPEG without the bits that its frames keep in
            earlier ones, Opus without its state. What lies LEAD_SECONDS back is before all three.
            """
            if not self.subtype.startswith(("VORBIS", "OPUS", "MPEG_LAYER")) or whence != os.SEEK_SET:
                return super().seek(frame, whence)
            at = super().seek(max(0, frame - LEAD_SECONDS * self.samplerate))
            while at < frame and (n_skipped := len(self.read(min(frame - at, 1 << 16), dtype="float32"))):
                at += n_skipped
            return at

        @property
        def frames(self) -> int:
            """As in the header; of MPEG layers I and II, the decoder only guesses it, and mostly a little too many."""
            return UNKNOWN if self.subtype in ("MPEG_LAYER_I", "MPEG_LAYER_II") else int(super().frames)

        def close(self) -> None:
            """Closes the file object, too, that takes the place of a file's name."""
            super().close()
            if isinstance(self.name, _Spliced):
                self.name.close()

    with open(path, "rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        head, start = _complete_header(path, content)
    # Bytes, as names need not be UTF-8; libsndfile goes by the name of a .raw, and asks for its rate.
    as_it_is = _Spliced(path, b"", 0) if path.suffix.lower() == ".raw" else os.fsencode(path)
    opened = _Spliced(path, head, start) if head else as_it_is
    try:
        sound = ForwardSoundFile(opened)
    except BaseException:
        if isinstance(opened, _Spliced):
            opened.close()
        raise
    if sound.format not in CHECKED:
        sound.close()
        found = f"a {sound.format} file, which does not tell whether all of it is there"
        raise InputError.about(path, found, UNDAMAGED, "convert it to WAV or FLAC")
    return sound


def has_header(beginning: bytes) -> bool:
    """Tells whether a file's first bytes are those of a container."""
    is_mp3 = bool(measure_mpeg_frame(beginning[:4])) and beginning[1] & 6 == 2  # layer III: quiet samples look like the others
    return is_mp3 or beginning.startswith((*LAYOUTS, b"OggS", b".snd", b"fLaC", b"NIST", b"ID3"))


def find_unread_codec(path: Path) -> str:
    """Returns what users call the codec of a file that libsndfile refuses, if it is one that libsndfile lacks, or "".

    The header tells: the message of libsndfile is often the one for a damaged file.
    """
    with open(path, "rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        magic = content[:4]
        if magic in LAYOUTS:
            return name_unread_codec(content, LAYOUTS[magic])
        if magic == b"OggS" and len(content) > 26:
            packet = content[27 + content[26] :][:8]
            return next((name for beginning, name in _OGG_CODECS.items() if packet.startswith(beginning)), "")
        if magic == b".snd":
            return "G.722" if content[12:16] == b"\0\0\0\x18" else ""
        return "Shorten" if magic == b"NIST" and _is_shortened(content) else ""


def _complete_header(path: Path, content: mmap.mmap) -> tuple[bytes, int]:
    """Returns a header with the length that the file's own lacks, and where the rest of the file starts; or nothing."""
    magic, behind_tags = content[:4], skip_id3(content, 0)
    if magic == b"OggS":
        _check_ogg(path, content)
    elif content[behind_tags : behind_tags + 4] == b"fLaC":
        return complete_flac(path, content, behind_tags)
    elif magic == b"NIST":
        _check_sphere(path, content)
    elif magic == b".snd":
        start, declared = int.from_bytes(content[4:8], "big"), int.from_bytes(content[8:12], "big")
        if is_complete(path, content, start, declared, start + declared) or start > MAX_HEADER_BYTES:
            return b"", 0
        return content[:8] + (len(content) - start).to_bytes(8, "big")[4:] + content[12:start], start
    elif magic in LAYOUTS and (magic not in (b"RIFF", b"FORM") or content[8:12] in (b"WAVE", b"AIFF", b"AIFC")):
        return complete_chunks(path, content, LAYOUTS[magic])
    elif magic[:3] == b"ID3" or measure_mpeg_frame(magic) or path.suffix.lower() == ".mp3":
        return complete_mpeg(path, content)
    return b"", 0


def _is_shortened(content: mmap.mmap) -> bool:
    """Tells whether a NIST SPHERE file is compressed, as many corpora are published."""
    return re.search(rb"sample_coding -s\d+ \S*shorten", content[:4096]) is not None


def _check_sphere(path: Path, content: mmap.mmap) -> None:
    """Compares a NIST SPHERE file with the samples that the text of its header counts, unless it is compressed."""
    if _is_shortened(content):
        return
    start = int(text[0]) if (text := re.findall(rb"^NIST_1A\s+(\d{1,7})\s", content[:32])) else 0
    named = {name: int(value) for name, value in re.findall(rb"(\w+) -i (\d{1,18})\s", content[:start])}
    declared = named.get(b"sample_count", 0) * named.get(b"channel_count", 1) * named.get(b"sample_n_bytes", 1)
    if declared > len(content) - start:
        raise truncated(path, f"{max(0, len(content) - start)} bytes of sound", declared)
    if declared and content[start + declared : start + declared + 7] == b"NIST_1A":
        raise InputError.about(path, "several sounds one behind the other", "one sound", SPLIT)


def _check_ogg(path: Path, content: mmap.mmap) -> None:
    at, flags, started = 0, 0, False
    while content[at : at + 4] == b"OggS":
        segments = content[at + 27 : at + 27 + content[at + 26]] if at + 26 < len(content) else b""
        at, flags = at + 27 + len(segments) + sum(segments), content[at + 5] if at + 5 < len(content) else 0
        if started and flags & 2:
            raise InputError.about(path, "several Ogg sounds one behind the other", "one sound", SPLIT)
        started = not flags & 2
    if at > len(content) or not flags & 4:
        found = f"a truncated file: {min(at, len(content))} bytes without the last page of their Ogg stream"
        action = f"{AGAIN}; if it is all that was recorded: ffmpeg -i IN -c copy OUT"
        raise InputError.about(path, found, UNDAMAGED, action)


class _Spliced(io.RawIOBase):
    """A file with other bytes in place of its first ones."""

    def __init__(self, path: Path, head: bytes, start: int) -> None:
        self._file, self._head, self._shift = open(path, "rb"), head, start - len(head)
        self._size = path.stat().st_size - self._shift
        self._position = 0

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        piece = self._head[self._position : self._position + len(buffer)]
        if not piece:
            self._file.seek(self._position + self._shift)
            piece = self._file.read(len(buffer))
        buffer[: len(piece)] = piece
        self._position += len(piece)
        return len(piece)

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        self._position = offset + (0, self._position, self._size)[whence]
        return self._position

    def tell(self) -> int:
        return self._position

    def close(self) -> None:
        self._file.close()
        super().close()
