"""What messages about sound files have in common."""

from __future__ import annotations

from pathlib import Path

from began.errors import InputError

UNDAMAGED, AGAIN = "an undamaged sound file (WAV, FLAC, OGG, MP3, AIFF, …)", "copy, download or export it again"

SPLIT = "split it into one file per sound"


def truncated(path: Path | str, found: str, declared: object) -> InputError:
    """Returns the error for a file that holds less than it names."""
    return InputError.about(path, f"a truncated file: {found} of the {declared} that its header names", UNDAMAGED, AGAIN)
