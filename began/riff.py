"""Containers made of chunks (WAV, RF64, AIFF, W64, CAF): where their sound ends, and a header with the length it lacks."""

from __future__ import annotations

import mmap
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from began.errors import InputError
from began.mpeg import complete_mpeg
from began.sound_errors import SPLIT, UNDAMAGED, truncated

PLACEHOLDERS, NEAR = (0x7F000000, 0x80000000, 0x100000000), 0x20000
"""Lengths that programs write in place of an unknown one, give or take NEAR; others write 0."""

MAX_HEADER_BYTES = 1 << 24
"""Longest header that is completed."""

_PCM, _FLOAT, _EXTENSIBLE, _MPEG = 1, 3, 0xFFFE, (0x50, 0x55)
"""Format tags of WAV: "extensible" says that another one follows, MPEG is layers I and II, and layer III."""

_READ_TAGS = {0, _PCM, _FLOAT, 6, 7}
"""Format tags of codecs that are read wherever WAV's tags stand, or of none."""

_READ_TAGS_IN = {**dict.fromkeys((b"RIFF", b"RIFX"), {2, 0x11, 0x31, 0x38, 0x40, 0x55}), b"riff": {2, 0x11, 0x31}}
"""A container's first bytes -> further ones that are read there."""

_TAG_NAMES = {0x20: "Yamaha ADPCM", 0x42: "G.723.1", 0x45: "G.726", 0x50: "MP2", 0x64: "G.726", 0x65: "G.722"}
_TAG_NAMES |= {2: "Microsoft ADPCM", 0x11: "IMA ADPCM", 0x31: "GSM 6.10", 0x38: "NMS ADPCM", 0x40: "G.721", 0x55: "MP3"}
_TAG_NAMES |= {0xFF: "AAC", 0x160: "WMA", 0x161: "WMA", 0x162: "WMA", 0x28F: "G.722", 0x1600: "AAC", 0x1602: "AAC"}
_TAG_NAMES |= {0x2000: "AC-3", 0x2001: "DTS", 0x5346: "Flash ADPCM", 0x566F: "Vorbis", 0xA109: "Speex", 0xF1AC: "FLAC"}
"""Format tags of codecs that are not read, or not everywhere -> what their users call them."""

_READ_CODECS = {
    b"caff": b"lpcm alaw ulaw".split(),
    b"FORM": b"none sowt twos raw in24 42n1 42ni in32 23ni fl32 fl64 alaw ulaw dwvw gsm ima4".split(),
}
"""Codes of codecs, in lower case, that libsndfile reads in CAF and AIFF."""

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


LAYOUTS = {  # by a file's first bytes
    b"RIFF": _Layout(12),
    b"RIFX": _Layout(12, order="big"),
    b"RF64": _Layout(12),
    b"BW64": _Layout(12),
    b"FORM": _Layout(12, order="big", sound=b"SSND", before_sound=8),
    b"riff": _Layout(40, identifier=16, size=8, counts_itself=True, align=8),
    b"caff": _Layout(8, size=8, order="big", align=1, before_sound=4),
}


def complete_chunks(path: Path, content: mmap.mmap, layout: _Layout) -> tuple[bytes, int]:
    """Returns a header with the length that the file's own lacks, and where the rest of the file starts; or nothing."""
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
    complete = is_complete(path, content, start, declared, after)
    if form and int.from_bytes(content[form : form + 2], layout.order) in _MPEG:
        end = start + declared if complete else _find_end(content, start, layout)
        if (frames := complete_mpeg(path, content, start, end))[0]:
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


def name_unread_codec(content: mmap.mmap, layout: _Layout) -> str:
    """Returns what users call the codec of a sound, if its header names one that libsndfile does not read, or ""."""
    magic = content[:4]
    start = _find_chunk(content, layout, {b"caff": b"desc", b"FORM": b"COMM"}.get(magic, b"fmt "))
    if not start:
        return ""
    if magic in _READ_CODECS:
        code = content[start + 8 : start + 12] if magic == b"caff" else content[start + 18 : start + 22]
        is_read = code.lower().strip() in _READ_CODECS[magic] or content[8:12] == b"AIFF"  # which has no other than PCM
        is_read |= code == b"alac" and any(content[start + 12 : start + 16])  # the depth of its samples; FFmpeg leaves it 0
        return "" if is_read or not re.fullmatch(rb"[ -~]{4}", code) else code.decode().strip(" .").upper()
    form = content[start : start + 26]
    tag, channels, rate, bits, extended = (
        int.from_bytes(form[at : at + size], layout.order) for at, size in ((0, 2), (2, 2), (4, 4), (14, 2), (24, 2))
    )
    tag = extended if tag == _EXTENSIBLE else tag
    if not channels or not 0 < rate <= 1_000_000:  # of a damaged header, no codec is told
        return ""
    if tag in (_PCM, _FLOAT):
        return {(_PCM, 64): "PCM of 64 bits", (_FLOAT, 16): "float of 16 bits"}.get((tag, bits), "")
    return "" if tag in _READ_TAGS | _READ_TAGS_IN.get(magic, set()) else _TAG_NAMES.get(tag, f"0x{tag:04x}")


def _find_chunk(content: mmap.mmap, layout: _Layout, name: bytes) -> int:
    """Returns where the content of the first chunk of a name starts, or 0 where there is none."""
    at, overhead = layout.first, layout.identifier + layout.size
    while (size := _chunk_size(content, at, layout)) is not None:
        if content[at : at + 4] == name:
            return at + overhead
        at += overhead + max(size, 0) + -size % layout.align
    return 0


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


def is_complete(path: Path, content: mmap.mmap, start: int, declared: int, after: int) -> bool:
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
