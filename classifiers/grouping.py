"""Which of the recordings that a user names are predicted together: channels of stereo calls, and the folders of speakers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from began.errors import InputError, counted, printable, shorten
from began.front_end import find_speech
from began.media_fragments import CHANNELS, name_channel, split_channel
from began.sound_file import open_audio
from classifiers.utterance_predictor import ENOUGH_TO_ADAPT

MIX, BOTH = "mix", "both"
CHOICES = (MIX, *CHANNELS, BOTH)
"""What may be read of a stereo recording: its channels together, one of them, or each for itself."""

MOST_NAMED = 3
"""Recordings that are named when they are left out of what is adapted to."""


def choose_channels(paths: Sequence[Path], choice: str) -> list[Path]:
    """Returns the names of what is read of recordings, see `began.media_fragments.name_channel`.

    Args:
        choice: one of CHOICES. With BOTH a recording of one channel stands for itself, as does what cannot be opened: whoever
            reads it says why.
    """
    if choice == MIX:
        return list(paths)
    if choice in CHANNELS:
        return [Path(name_channel(path, choice)) for path in paths]
    return [one for path in paths for one in _list_channels(path)]


def _list_channels(path: Path) -> list[Path]:
    try:
        with open_audio(path) as file:
            n_channels = file.channels
    except InputError:
        return [path]
    if n_channels == 1:
        return [path]
    channels = CHANNELS if n_channels == len(CHANNELS) else CHANNELS[:1]  # which is refused, once, where there are more
    return [Path(name_channel(path, channel)) for channel in channels]


def name_source(path: Path, choice: str) -> tuple[str, str]:
    """Returns the file that a prediction is of, and the channel: "mono" where the file has only one, "" with MIX."""
    file, channel = split_channel(path)
    return str(file), "" if choice == MIX else channel or "mono"


def group_by_speaker(sounds: Sequence[Path], paths: Sequence[Path]) -> dict[Path, list[Path]]:
    """Returns the recordings of each speaker by the speaker's folder, in their order.

    Args:
        sounds: files and folders that the user named. A speaker is what lies below a folder directly within them, at any
            depth; recordings that lie in a named folder itself, or are named themselves, belong to the speaker of their folder.
        paths: the recordings found there.
    """
    groups: dict[Path, list[Path]] = {}
    order = {sound: number for number, sound in reversed(list(enumerate(sounds)))}
    for path in paths:
        file = split_channel(path)[0]
        roots = [folder for folder in file.parents if folder in order]
        root = min(roots, key=order.__getitem__, default=file.parent)
        inside = file.relative_to(root).parts
        folder = root / inside[0] if len(inside) > 1 else file.parent
        groups.setdefault(folder, []).append(path)
    return groups


def adapt_by_speaker(groups: dict[Path, list[Path]]) -> Iterator[tuple[list[Path], list[Path] | None, str]]:
    """Yields the recordings of each speaker, what to adapt to (nothing where there are too few), and a note on that or "".

    Recordings that cannot be read are not adapted to; predicting them says what is wrong with them.
    """
    for folder, paths in groups.items():
        usable = find_usable(paths)
        if len(usable) >= ENOUGH_TO_ADAPT:
            yield paths, usable, ""
        else:
            found = f"{counted(len(usable), 'recording')} that can be read"
            yield paths, None, f"{printable(folder)}: not adapted, with {found} of at least {ENOUGH_TO_ADAPT}"


def describe_left_out(paths: Sequence[Path], usable: Sequence[Path]) -> str:
    """Returns which of the recordings to adapt to are not among the usable ones, the first by name; "" where all are."""
    known = set(usable)
    names = [split_channel(path)[0].name for path in paths if path not in known]
    if not names:
        return ""
    return printable(f"{len(names)} of {counted(len(paths), 'recording')} cannot be used: {shorten(names, MOST_NAMED)}")


def find_usable(paths: Sequence[Path]) -> list[Path]:
    """Returns the recordings that can be read and hold speech, in their order: the others are not adapted to."""
    return [path for path in paths if _is_usable(path)]


def _is_usable(path: Path) -> bool:
    try:
        find_speech(path)
    except InputError:
        return False
    return True
