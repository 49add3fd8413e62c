"""MPEG audio (MP3 and its older layers): its frames by their headers, and the tag with their number where it is missing."""

from __future__ import annotations

import mmap
import re
from pathlib import Path

from began.errors import InputError
from began.sound_errors import AGAIN, UNDAMAGED, truncated

_LAYERS = ("III", "II", "I")

_RATES = (44_100, 48_000, 32_000)

_KILOBITS = (  # of MPEG 1: layers III, II, I; of MPEG 2 and 2.5: layers III and II, I
    (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    (0, 32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384),
    (0, 32, 64, 96, 128, 160, 192, 224, 256, 288, 320, 352, 384, 416, 448),
    (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
    (0, 32, 48, 56, 64, 80, 96, 112, 128, 144, 160, 176, 192, 224, 256),
)


def complete_mpeg(path: Path, content: mmap.mmap, at: int = 0, end: int | None = None) -> tuple[bytes, int]:
    """Returns a first frame that holds the number of frames, where the file has none, and where the rest starts.

    It is the tag that Xing and LAME write.

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
    if n_frames == named - 1:
        found = f"{n_frames} frames of {named} that its header names: the last one is missing, or the header is counted as one"
        raise InputError.about(path, found, UNDAMAGED, f"{AGAIN}; if it is whole: ffmpeg -i IN -c copy OUT")
    if n_frames < named:
        raise truncated(path, f"{n_frames} frames", named)
    if named and n_frames == named:
        return b"", 0
    # A frame without a checksum, at a rate that leaves room for the tag.
    header = bytes([tag_frame[0], tag_frame[1] | 1, tag_frame[2] & 15 | 0x90, tag_frame[3]])
    side = (17, 32) if header[1] & 8 else (9, 17)  # bytes in front of the tag, with one channel and with two
    head = header + bytes(side[header[3] >> 6 != 3]) + b"Xing" + (1).to_bytes(4, "big") + n_frames.to_bytes(4, "big")
    return head.ljust(measure_mpeg_frame(header), b"\0"), start + len(tag_frame) * (tag is not None)


def skip_id3(content: mmap.mmap, at: int) -> int:
    """Returns where the tags end that start at a position."""
    while content[at : at + 3] == b"ID3":
        at += 10 + sum((byte & 127) << 7 * shift for shift, byte in enumerate(content[at + 9 : at + 5 : -1]))
    return at


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
