"""The sound files that a user names: one, several, or folders that are searched for them."""

import math
import os
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from began.errors import InputError, counted, printable, shorten
from began.files import StrPath, describe_no_file, is_folder, is_there, say_why_not_there

AUDIO_SUFFIXES = tuple(".wav .wave .flac .ogg .oga .opus .mp3 .mp2 .aiff .aif .aifc .au .caf .w64 .rf64 .sph .nist".split())
"""File name endings under which folders are searched for sound."""

FOREIGN_SUFFIXES = tuple(".m4a .m4b .m4v .mp4 .mov .3gp .webm .weba .mka .mkv .aac .amr .wma .raw".split())
"""Endings of what telephones, browsers and cameras record, which needs PyAV (`began.media`), and of sound without a header."""

SUFFIXES = (*AUDIO_SUFFIXES, *FOREIGN_SUFFIXES)
"""Under which folders are searched. What cannot be opened is found, too, and reported then: nothing is left out silently."""


def list_files(files: StrPath | Iterable[StrPath]) -> list[StrPath]:
    """Returns the paths of sound files as a list; a single one is a list of one, in place of its letters.

    Args:
        files: paths: a list, an array of one axis or one column, or a column of a table.
    Raises:
        InputError: something else, or among them.
    """

    def refuse(found: object) -> InputError:
        return InputError.about("files", f"{found!r:.60} ({type(found).__name__})", "paths of sound files", "give paths")

    if isinstance(files, (str, os.PathLike)):
        return [files]
    array: Any = getattr(files, "to_numpy", lambda: files)()  # tables would give the names of their columns
    if getattr(array, "ndim", 1) == 2 and array.shape[1] == 1:
        array = array.ravel()
    try:
        paths = iter(array)
    except TypeError as error:
        raise refuse(files) from error
    listed = list(paths)
    for file in listed:
        if not isinstance(file, (str, os.PathLike)):
            raise refuse(file)
    return listed


def list_other_encodings(names: Iterable[StrPath]) -> list[str]:
    """Returns the names of files that are not UTF-8, in which Python has surrogates in the place of bytes."""
    return [str(name) for name in names if any("\udc80" <= letter <= "\udcff" for letter in str(name))]


def describe_other_encodings(names: Iterable[StrPath]) -> str:
    """Returns how a table is read that holds the bytes of names that are not UTF-8; "" where all are."""
    if not (others := list_other_encodings(names)):
        return ""
    found = f"{counted(len(others), 'file name')} in another encoding than UTF-8 ({shorten(others, 3)})"
    return printable(f'{found}: kept as on the disk; pandas reads the table with encoding_errors="surrogateescape"')


def find_sounds(sounds: Sequence[Path]) -> list[Path]:
    """Returns the files themselves and the sound files below the folders, each once by its first name, hidden ones left out.

    Raises:
        InputError: lists every path that does not exist, folder without sound, and folder that cannot be read.
    """
    problems: list[str] = []
    found: list[Path] = []
    for sound in sounds:
        n_before = len(problems)
        inside = _search_folder(sound, problems) if is_folder(sound) else [sound]
        if not inside and len(problems) == n_before:
            problems.append(f"{printable(sound)}: a folder without sound files ({', '.join(SUFFIXES)})")
        elif inside and not is_there(sound):
            found_there = describe_no_file(sound).replace("no such file", "no such file or folder")
            problems.append("; ".join(filter(None, [f"{printable(sound)}: {found_there}", say_why_not_there(sound)])))
        found += inside
    if problems:
        raise InputError.listing("recordings that cannot be found", problems)
    first: dict[str, Path] = {}
    for path in found:
        first.setdefault(str(path.parent.resolve() / path.name), path)  # a link is a file of its own
    return list(first.values())


def _search_folder(folder: Path, problems: list[str]) -> list[Path]:
    """Returns the sound and video files below a folder; adds folders that cannot be read to `problems`."""

    def refuse(error: OSError) -> None:
        problems.append(f"{printable(error.filename)}: a folder that cannot be read ({error.strerror})")

    return walk_files(folder, SUFFIXES, refuse)


def walk_files(
    folder: Path, suffixes: Sequence[str], refuse: Callable[[OSError], None], max_depth: float = math.inf
) -> list[Path]:
    """Returns the files below a folder with one of some endings, in any case; hidden ones are left out.

    Links to folders are followed, but each folder is searched once, under its own name before that of a link beside it.

    Args:
        refuse: is told of every folder that cannot be read.
        max_depth: how many folders down.
    """
    found, seen = [], {os.path.realpath(folder)}
    for where, folders, names in os.walk(folder, onerror=refuse, followlinks=True):
        kept, depth = [], len(Path(where).relative_to(folder).parts)
        # macOS leaves "._name" twins and __MACOSX folders in archives.
        visible = [Path(where, name) for name in folders if not name.startswith(".") and name != "__MACOSX"]
        for path in sorted(visible, key=lambda path: (path.is_symlink(), path)):
            real = os.path.realpath(path)
            if depth < max_depth and real not in seen:
                kept.append(path.name)
                seen.add(real)
        folders[:] = sorted(kept)
        ours = [name for name in sorted(names) if name.lower().endswith(tuple(suffixes)) and not name.startswith(".")]
        found += [Path(where, name) for name in ours]
    return found
