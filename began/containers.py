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
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from began.errors import InputError
from began.frames import count_flac_samples, measure_mpeg_frame, skip_id3

if TYPE_CHECKING:
    import soundfile

UNDAMAGED, AGAIN = "an undamaged sound file (WAV, FLAC, OGG, MP3, AIFF, …)", "copy, download or export it again"

SPLIT = "split it into one file per sound"

UNKNOWN = 1 << 62
"""`frames` of a file whose length is known only after reading it; for FLAC, libsndfile gives a value beyond it."""

MIN_RATE_HZ, MAX_RATE_HZ = 2_000, 1_000_000
"""Sample rates of files that are taken: others come from damaged headers, and would stretch a second to hours."""

PLACEHOLDERS, NEAR = (0x7F000000, 0x80000000, 0x100000000), 0x20000
"""Lengths that programs write in place of an unknown one, give or take NEAR; others write 0."""

MAX_HEADER_BYTES = 1 << 24
"""Longest header that is completed."""

CHECKED = ("WAV", "WAVEX", "RF64", "W64", "FLAC", "OGG", "MP3", "AIFF", "AU", "CAF", "NIST")
"""libsndfile's names of the containers that tell how much they should hold: of others, such as VOC, half passes as whole."""

_FLAC_STREAMS = (b"fLaC\x00\x00\x00\x22", b"fLaC\x80\x00\x00\x22")
"""How a FLAC stream begins: its STREAMINFO has 34 bytes, and may be the only block."""

_PCM, _FLOAT, _EXTENSIBLE, _MPEG = 1, 3, 0xFFFE, (0x50, 0x55)
"""Format tags of WAV: "extensible" says that another one follows, MPEG is layers I and II, and layer III."""

MAX_TAIL_BYTES = 1 << 20
"""How far from the end of a file chunks are looked for behind sound of unknown length."""

MAX_SURPLUS_BYTES = 256
"""What may follow the sound without being a chunk, such as a tag of 128 bytes."""


@dataclass(frozen=True)
class _Layout:
    """How a container names its chunks: identifier, size, content."""

    first: int  # where the first chunk starts
    identifier: int = 4  # bytes
    size: int = 4  # bytes
    order: Literal["little", "big"] = "little"
    counts_itself: bool = False  # the size includes identifier and size
    align: int = 2
    sound: bytes = b"data"
    before_sound: int = 0  # bytes of the sound's chunk that are no sound


_LAYOUTS = {
    b"RIFF": _Layout(12),
    b"RIFX": _Layout(12, order="big"),
    b"RF64": _Layout(12),
    b"BW64": _Layout(12),
    b"FORM": _Layout(12, order="big", sound=b"SSND", before_sound=8),
    b"riff": _Layout(40, identifier=16, size=8, counts_itself=True, align=8),
    b"caff": _Layout(8, size=8, order="big", align=1, before_sound=4),
}


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
    return is_mp3 or beginning.startswith((*_LAYOUTS, b"OggS", b".snd", b"fLaC", b"NIST", b"ID3"))


def _complete_header(path: Path, content: mmap.mmap) -> tuple[bytes, int]:
    """Returns a header with the length that the file's own lacks, and where the rest of the file starts; or nothing."""
    magic, behind_tags = content[:4], skip_id3(content, 0)
    if magic == b"OggS":
        _check_ogg(path, content)
    elif content[behind_tags : behind_tags + 4] == b"fLaC":
        return _complete_flac(path, content, behind_tags)
    elif magic == b"NIST":
        _check_sphere(path, content)
    elif magic == b".snd":
        start, declared = int.from_bytes(content[4:8], "big"), int.from_bytes(content[8:12], "big")
        if _is_complete(path, content, start, declared, start + declared) or start > MAX_HEADER_BYTES:
            return b"", 0
        return content[:8] + (len(content) - start).to_bytes(8, "big")[4:] + content[12:start], start
    elif magic in _LAYOUTS and (magic not in (b"RIFF", b"FORM") or content[8:12] in (b"WAVE", b"AIFF", b"AIFC")):
        return _complete_chunks(path, content, _LAYOUTS[magic])
    elif magic[:3] == b"ID3" or measure_mpeg_frame(magic) or path.suffix.lower() == ".mp3":
        return _complete_mpeg(path, content)
    return b"", 0


def _complete_chunks(path: Path, content: mmap.mmap, layout: _Layout) -> tuple[bytes, int]:
    overhead = layout.identifier + layout.size
    long_sizes = form = 0  # where RF64 keeps its sizes of 64 bits; where the format of WAV's samples is
    at = layout.first  # where the chunk's header starts
    while (size := _chunk_size(content, at, layout)) is not None:
        start, name = at + overhead, content[at : at + 4]
        if name == layout.sound:
            break
        if name == b"ds64":
            long_sizes = start
        elif name == b"fmt ":
            form = start
        at = start + max(size, 0) + -size % layout.align
    else:
        declared = int.from_bytes(content[4:8], layout.order) + 8
        if layout.first == 12 and len(content) < declared - 1 and not _is_placeholder(declared - 8):
            raise truncated(path, f"{len(content)} bytes", declared)
        return b"", 0
    if long_sizes and size == 0xFFFFFFFF:
        size = int.from_bytes(content[long_sizes + 8 : long_sizes + 16], "little")
    after = start + size + -size % layout.align
    size_at, start, declared = at + layout.identifier, start + layout.before_sound, size - layout.before_sound
    after = max(_skip_chunks(content, end, layout) for end in (after, start + declared))  # some forget the padding
    if content[after : after + 4] == content[:4]:
        raise InputError.about(path, "several sounds one behind the other", "one sound", SPLIT)
    complete = _is_complete(path, content, start, declared, after)
    if form and int.from_bytes(content[form : form + 2], layout.order) in _MPEG:
        end = start + declared if complete else _find_end(content, start, layout)
        if (frames := _complete_mpeg(path, content, start, end))[0]:
            return frames
    padded = form and _is_padded(path, content[form : form + 26], layout)
    if (complete and not padded) or start > MAX_HEADER_BYTES:
        return b"", 0
    head = bytearray(content[:start])

    def write(position: int, n_bytes: int, value: int) -> None:
        head[position : position + n_bytes] = min(value, (1 << 8 * n_bytes) - 1).to_bytes(n_bytes, layout.order)

    if padded:
        write(form + 14, 2, 32)
    if complete:
        return bytes(head), start
    size = _find_end(content, start, layout) - start + layout.before_sound
    if long_sizes:
        write(long_sizes, 8, len(content) - 8)
        write(long_sizes + 8, 8, size)
        size = 0xFFFFFFFF
    elif layout.first == 12:
        write(4, 4, len(content) - 8)
    elif layout.counts_itself:
        write(16, 8, len(content))
    write(size_at, layout.size, size + overhead * layout.counts_itself)
    return bytes(head), start


def _is_padded(path: Path, form: bytes, layout: _Layout) -> bool:
    """Tells whether samples of 24 bits lie in 4 bytes each, by the content of WAV's chunk `fmt `.

    libsndfile takes samples in larger containers for packed ones, which is noise; for 24 bits, it guesses by the first ones.

    Raises:
        InputError: other samples in containers of another size.
    """
    tag, channels, align, bits, code = (int.from_bytes(form[at : at + 2], layout.order) for at in (0, 2, 12, 14, 24))
    packed = channels * -(-bits // 8)
    if (code if tag == _EXTENSIBLE else tag) not in (_PCM, _FLOAT) or not bits or align in (0, packed):
        return False
    if bits == 24 and align == 4 * channels:
        return True
    found = f"a header that contradicts itself: {channels} x {bits} bits in {align} bytes"
    raise InputError.about(path, found, f"{packed} bytes", "export it with 16, 24 or 32 bits")


def _chunk_size(content: mmap.mmap, at: int, layout: _Layout) -> int | None:
    """Returns how long the content of the chunk at a position is, or None where no chunk, or another sound, starts there."""
    header = content[at : at + layout.identifier + layout.size]
    if len(header) < layout.identifier + layout.size or not re.match(rb"[ -~]{4}", header) or header[:4] == content[:4]:
        return None
    return int.from_bytes(header[layout.identifier :], layout.order) - len(header) * layout.counts_itself


def _skip_chunks(content: mmap.mmap, at: int, layout: _Layout) -> int:
    """Returns where the last of the whole chunks ends that start at a position."""
    overhead = layout.identifier + layout.size
    while (size := _chunk_size(content, at, layout)) is not None and 0 <= size <= len(content) - at - overhead:
        at += overhead + size + -size % layout.align
    return at


def _find_end(content: mmap.mmap, start: int, layout: _Layout) -> int:
    """Returns where sound of unknown length ends: in front of the first chunks that reach exactly to the end of the file."""
    behind = max(start, len(content) - MAX_TAIL_BYTES)
    for name in re.finditer(rb"(?=[ -~]{4})", content[behind:]):
        if _skip_chunks(content, behind + name.start(), layout) >= len(content):
            return behind + name.start()
    return len(content)


def _is_placeholder(size: int) -> bool:
    return size <= 0 or size >> 62 > 0 or any(abs(size - placeholder) < NEAR for placeholder in PLACEHOLDERS)


def _is_complete(path: Path, content: mmap.mmap, start: int, declared: int, after: int) -> bool:
    """Tells whether a header names the sound's length, or False where it holds a placeholder.

    Args:
        start, declared: where the sound starts, and how many bytes it has according to the header.
        after: where the chunks behind it end.
    """
    available = len(content) - start
    if available < 0 or (declared > available and not _is_placeholder(declared)):
        raise truncated(path, f"{max(available, 0)} bytes of sound", declared)
    if available and (declared > available or (declared <= 0 and after < len(content))):
        return False
    if len(content) - after > MAX_SURPLUS_BYTES and any(content[after : after + (1 << 20)]):
        found = f"a header that was not brought up to date: it names {declared} of {available} bytes of sound"
        action = "repair it (for example: sox --ignore-length IN.wav OUT.wav), or record it again"
        raise InputError.about(path, found, UNDAMAGED, action)
    return True


def _check_sphere(path: Path, content: mmap.mmap) -> None:
    """Compares a NIST SPHERE file with the samples that the text of its header counts."""
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


def _complete_flac(path: Path, content: mmap.mmap, at: int) -> tuple[bytes, int]:
    """Returns a header without the count of samples where there are more, so that the file is read to its end; or nothing.

    The header does not get this count, for it can be wrong: other bytes may look like the header of the last frame.
    """
    if any(content.find(stream, at + 4) >= 0 for stream in _FLAC_STREAMS):
        raise InputError.about(path, "several FLAC sounds one behind the other", "one sound", SPLIT)
    streaminfo = content[at + 8 : at + 26]
    declared = int.from_bytes(streaminfo[13:], "big") & (1 << 36) - 1
    if not declared or count_flac_samples(content, at, int.from_bytes(streaminfo[2:4], "big")) <= declared:
        return b"", 0
    return content[: at + 21] + bytes([streaminfo[13] & 0xF0, 0, 0, 0, 0]), at + 26


_LAYERS = ("III", "II", "I")


def _complete_mpeg(path: Path, content: mmap.mmap, at: int = 0, end: int | None = None) -> tuple[bytes, int]:
    """Counts the frames. Source: the tag that Xing and LAME write in place of the first frame holds that count.

    Args:
        at, end: where the frames, and tags in front of them, start and end; in a file of nothing else, at its end.
    """
    end = len(content) if end is None else end
    at = skip_id3(content, at)
    start, n_frames, length, in_row, rates = -1, 0, 0, False, set()
    while at < end:
        length = measure_mpeg_frame(content[at : at + 4])
        # After something else (a tag, another header), two frames in a row are needed.
        if length and (in_row or at + length == end or measure_mpeg_frame(content[at + length : at + length + 4])):
            rates.add(content[at + 2] >> 4)
            start, at, n_frames, in_row = at if start < 0 else start, at + length, n_frames + 1, True
        elif (at := content.find(b"\xff", at + 1, end)) < 0:
            break
        else:
            in_row = False
    if start < 0:
        return b"", 0
    if at > end:
        found = f"a truncated file: {n_frames - 1} whole frames, and {length - at + end} of {length} bytes of the last"
        raise InputError.about(path, found, UNDAMAGED, AGAIN)
    if (layer := _LAYERS[(content[start + 1] >> 1 & 3) - 1]) != "III":
        if len(rates) > 1:  # and there is no tag to tell how many frames there are
            found, expected = f"MPEG layer {layer} of variable bit rate, of which only a part would be read", "a constant one"
            raise InputError.about(path, found, expected, "convert it to WAV or FLAC")
        return b"", 0
    tag_frame = content[start : start + measure_mpeg_frame(content[start : start + 4])]
    tag = re.search(rb"(?:Xing|Info)...[\1\3\5\7\t\v\r\17](.{4})|VBRI.{10}(.{4})", tag_frame, re.DOTALL)
    named = int.from_bytes(tag[1] or tag[2], "big") if tag else 0
    n_frames -= tag is not None
    if n_frames < named - 1:
        raise truncated(path, f"{n_frames} frames", named)
    if named and n_frames <= named + 1:
        return b"", 0
    # A frame without a checksum, at a rate that leaves room for the tag.
    header = bytes([tag_frame[0], tag_frame[1] | 1, tag_frame[2] & 15 | 0x90, tag_frame[3]])
    side = (17, 32) if header[1] & 8 else (9, 17)  # bytes in front of the tag, with one channel and with two
    head = header + bytes(side[header[3] >> 6 != 3]) + b"Xing" + (1).to_bytes(4, "big") + n_frames.to_bytes(4, "big")
    return head.ljust(measure_mpeg_frame(header), b"\0"), start + len(tag_frame) * (tag is not None)


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


def truncated(path: Path | str, found: str, declared: object) -> InputError:
    """Returns the error for a file that holds less than it names."""
    return InputError.about(path, f"a truncated file: {found} of the {declared} that its header names", UNDAMAGED, AGAIN)
