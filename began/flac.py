"""FLAC: how many samples there are by its last frame, and a header for streams whose writer did not know."""

from __future__ import annotations

import mmap
from pathlib import Path

from began.errors import InputError
from began.sound_errors import SPLIT

_FLAC_STREAMS = (b"fLaC\x00\x00\x00\x22", b"fLaC\x80\x00\x00\x22")
"""How a FLAC stream begins: its STREAMINFO has 34 bytes, and may be the only block."""

_FLAC_BLOCKS = (0, 192, 576, 1152, 2304, 4608, 0, 0, *(256 << number for number in range(8)))
"""Samples in a frame by their code in its header; codes 6 and 7 say that the number of samples follows."""


def complete_flac(path: Path, content: mmap.mmap, at: int) -> tuple[bytes, int]:
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


def count_flac_samples(content: mmap.mmap, first: int, block: int) -> int:
    """Returns how many samples there are by the header of the last frame (RFC 9639, section 9.1), or 0 without frames.

    Args:
        first: where to stop the search.
        block: samples in a frame, where the frames are numbered, and not their samples.
    """
    at = len(content)
    while (at := content.rfind(b"\xff", first, at)) >= 0:
        header = content[at : at + 16].ljust(16, b"\0")
        reserved = header[3] >> 4 > 10 or header[3] & 1 or header[2] < 16 or header[2] & 15 == 15
        if header[1] & 0xFE != 0xF8 or reserved:
            continue
        n_bytes = max(1, 8 - (header[4] ^ 0xFF).bit_length())  # of the number, as in UTF-8
        number = header[4] & 0x7F >> n_bytes * (n_bytes > 1)
        for byte in header[5 : 4 + n_bytes]:
            number = number << 6 | byte & 0x3F
        size, rate = header[2] >> 4, header[2] & 15
        rest = header[4 + n_bytes :]
        n_more = {6: 1, 7: 2}.get(size, 0)
        samples = int.from_bytes(rest[:n_more], "big") + 1 if n_more else _FLAC_BLOCKS[size]
        if not _crc8(header[: 5 + n_bytes + n_more + {12: 1, 13: 2, 14: 2}.get(rate, 0)]):
            return (number if header[1] & 1 else number * block) + samples
    return 0


def _crc8(content: bytes) -> int:
    """Returns the checksum of a FLAC frame's header, which is 0 with its own behind it."""
    remainder = 0
    for byte in content:
        remainder ^= byte
        for _ in range(8):
            remainder = remainder << 1 ^ 0x107 * (remainder >> 7)
    return remainder
