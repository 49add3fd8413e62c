"""Names of parts and channels of sound files, as media fragments (W3C 2012), which all readers take in place of a path."""

from __future__ import annotations

import math
import os
import re
from pathlib import Path

from began.containers import MAX_RATE_HZ
from began.files import StrPath, is_file


def name_part(path: StrPath, start_seconds: float, end_seconds: float) -> str:
    """Returns the name of a part of a sound file, as a media fragment (W3C 2012, section 4.2.1), which all readers take."""
    return f"{path}#t={round(start_seconds, 6)},{round(end_seconds, 6)}"


def split_part(path: StrPath) -> tuple[Path, float, float | None]:
    """Returns file, start and end in seconds of what `name_part` named; 0 and None where it is a whole file."""
    part = re.fullmatch(r"(.*)#t=([\d.e+-]+),([\d.e+-]+)", os.fspath(path), re.DOTALL)
    try:
        start, end = (float(part[2]), float(part[3])) if part else (0.0, 0.0)
    except ValueError:
        part = None
    if part is None or not math.isfinite((abs(start) + abs(end)) * MAX_RATE_HZ) or is_file(path):  # a file may be called so
        return Path(path), 0.0, None
    return Path(part[1]), start, end


CHANNELS = ("left", "right")
"""Channels of a stereo file, in their order."""


def name_channel(path: StrPath, channel: str) -> str:
    """Returns the name of one of CHANNELS of a stereo file, as a media fragment (W3C 2012, section 4.2.3)."""
    return f"{path}#track={channel}"


def split_channel(path: StrPath) -> tuple[Path, str]:
    """Returns file and channel of what `name_channel` named; "" where it is all of a file."""
    part = re.fullmatch(rf"(.*)#track=({'|'.join(CHANNELS)})", os.fspath(path), re.DOTALL)
    if part is None or is_file(path):  # a file may be called so
        return Path(path), ""
    return Path(part[1]), part[2]


def describe_path(path: StrPath) -> str:
    """Returns the name of a sound file as messages have it: what `name_channel` named is a file and its channel."""
    file, channel = split_channel(path)
    return f"{file}, {channel} channel" if channel else str(file)
