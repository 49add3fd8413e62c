"""Frames of FLAC and of MPEG audio, by their headers: how long they are, and how many samples there are."""

from __future__ import annotations

import mmap

_FLAC_BLOCKS = (0, 192, 576, 1152, 2304, 4608, 0, 0, *(256 << number for number in range(8)))
"""Samples in a frame by their code in its header; codes 6 and 7 say that the number of samples follows."""

_RATES = (44_100, 48_000, 32_000)
_KILOBITS = (  # of MPEG 1: layers III, II, I; of MPEG 2 and 2.5: layers III and II, I
    (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    (0, 32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384),
    (0, 32, 64, 96, 128, 160, 192, 224, 256, 288, 320, 352, 384, 416, 448),
    (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
    (0, 32, 48, 56, 64, 80, 96, 112, 128, 144, 160, 176, 192, 224, 256),
)


def skip_id3(content: mmap.mmap, at: int) -> int:
    """Returns where the tags end that start at a position."""
    while content[at : at + 3] == b"ID3":
        at += 10 + sum((byte & 127) << 7 * shift for shift, byte in enumerate(content[at + 9 : at + 5 : -1]))
    return at


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


def measure_mpeg_frame(header: bytes) -> int:
    """Returns how many bytes the MPEG frame has whose 4 bytes of header these are, or 0."""
    bits = int.from_bytes(header, "big")
    version, layer, kilobits, rate = bits >> 19 & 3, bits >> 17 & 3, bits >> 12 & 15, bits >> 10 & 3
    if len(header) < 4 or bits >> 21 != 0x7FF or version == 1 or layer == 0 or kilobits in (0, 15) or rate == 3:
        return 0
    mpeg1, padding = version == 3, bits >> 9 & 1
    bits_per_second = 1000 * _KILOBITS[layer - 1 if mpeg1 else 3 + layer // 3][kilobits]
    hertz = _RATES[rate] >> (2, 0, 1, 0)[version]
    if layer == 3:  # I, in units of four bytes
        return 4 * (12 * bits_per_second // hertz + padding)
    return (144 if mpeg1 or layer == 2 else 72) * bits_per_second // hertz + padding
