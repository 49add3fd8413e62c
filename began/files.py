"""Files that are whole or absent: atomic writing, hashes and locks."""

from __future__ import annotations

import errno
import functools
import hashlib
import os
import re
import secrets
import shutil
import sys
import tempfile
import unicodedata
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from began.errors import InputError, is_full, printable, raise_resource_error

StrPath = str | os.PathLike[str]

UNFINISHED = ".writing-"
"""How names of folders begin that hold a file on its way to completion."""


@contextmanager
def write_atomically(path: StrPath) -> Iterator[Path]:
    """Yields a temporary path that becomes `path` when the block ends well, and vanishes when it does not.

    What the block writes there, a file or a new folder, lies beside `path` (rename is atomic within one file system only),
    keeps the suffix (Keras and Matplotlib read the format from it) and, a file, is flushed to disk before it is renamed.

    Raises:
        InputError: the folder cannot be written to, or the disk is full.
    """
    path = Path(path)
    folder = path.parent / f"{UNFINISHED}{secrets.token_hex(4)}"  # named before it is made: Ctrl-C may come right after
    try:
        with name_write_errors(path, folder):
            folder.mkdir(parents=True)
            temporary = folder / path.name
            yield temporary
            put_in_place(temporary, path)
    finally:
        try:
            shutil.rmtree(folder, ignore_errors=True)
        except BaseException:  # Ctrl-C, in the midst of it
            shutil.rmtree(folder, ignore_errors=True)
            raise


@contextmanager
def name_write_errors(path: StrPath, *beginnings: Path) -> Iterator[None]:
    """Makes an InputError about `path` of what goes wrong while it is written, by way of files or folders of other names."""
    try:
        yield
    except OSError as error:
        if isinstance(error.filename, (str, bytes)) and not _is_part_of_writing(error.filename, Path(path), beginnings):
            raise  # about another file, such as a recording that is read meanwhile
        raise _cannot_write(Path(path), error) from error


def put_in_place(temporary: Path, path: Path) -> None:
    """Flushes what was written to disk, and gives it its name, whole or not at all."""
    if temporary.is_file():
        _sync(temporary)
    os.replace(temporary, path)
    _sync(path.parent)


def check_writable(folder: StrPath, subject: str) -> None:
    """Makes a folder where it is missing, and checks that files can be written there: before long work, not after it.

    Args:
        subject: the option that names it, for the message.
    Raises:
        InputError: they cannot.
    """
    try:
        Path(folder).mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        if not is_full(error):
            raise_resource_error(error)
        found = f"{printable(folder)}, a folder that cannot be written to ({error.strerror})"
        if file := _find_file_on_the_way(Path(folder)):
            found = f"{printable(file)}, a file"
        raise InputError.about(subject, found, "a writable folder", "choose another one") from error


def _is_part_of_writing(name: str | bytes, path: Path, beginnings: Sequence[Path]) -> bool:
    """Tells whether a name is that of a file that is written, of a folder above it, or of one of its beginnings or in it."""
    named, path, *folders = (Path(os.path.abspath(file)) for file in (Path(os.fsdecode(name)), path, *beginnings))  # noqa: PTH100
    return named in (path, *path.parents) or any(map(named.is_relative_to, folders))


def _cannot_write(path: Path, error: OSError) -> InputError:
    if not is_full(error):
        raise_resource_error(error)
    if isinstance(error, (NotADirectoryError, FileExistsError)) and (file := _find_file_on_the_way(path)):
        return InputError.about(file, "a file", "a folder", "choose another folder, or move the file away")
    found = f"that it cannot be written ({error.strerror or error})"
    if error.errno == errno.ENAMETOOLONG:
        return InputError.about(path, found, "a name that the file system takes", "choose a shorter one")
    return InputError.about(path, found, "a writable folder with free space", "free some space, or choose another folder")


def _find_file_on_the_way(folder: Path) -> Path | None:
    """Returns what lies in the place of a folder, or of one above it, and is none."""
    return next((path for path in (folder, *folder.parents) if is_there(path) and not is_folder(path)), None)


def _sync(path: Path) -> None:
    """Flushes a file or a folder's list of names to the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_text(path: StrPath, text: str) -> None:
    """Writes UTF-8 text atomically."""
    with write_atomically(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def is_file(path: StrPath) -> bool:
    """Tells whether a file is there. Path's method raises where a folder may not be entered, or a name is too long."""
    return os.path.isfile(path)  # noqa: PTH113


def is_folder(path: StrPath) -> bool:
    """Tells whether a folder is there, as `is_file` does."""
    return os.path.isdir(path)  # noqa: PTH112


def is_there(path: StrPath) -> bool:
    """Tells whether anything is there, as `is_file` does."""
    return os.path.exists(path)  # noqa: PTH110


def describe_no_file(path: Path) -> str:
    """Returns what is there in place of a file: pipes and devices would never end, or be read only once."""
    try:
        if path.is_dir():
            return "a folder"
        return "a pipe or device" if path.exists() else "no such file"
    except OSError as error:
        raise_resource_error(error)
        return f"a path that cannot be looked at ({error.strerror})"


def say_why_not_there(name: StrPath, folder: StrPath = "") -> str:
    """Returns what to do about a name under which nothing is there, or "" where the name does not tell.

    Args:
        name: as the user has written it.
        folder: that it is relative to.
    """
    name, folder = os.fspath(name), Path(folder)
    if is_there(folder / name):
        return ""
    if re.match(r"[A-Za-z][A-Za-z0-9+.-]+:/", name):
        return "URLs are not read: give the path of a file on this machine"
    if re.match(r"~\w*(/|$)", name):
        return "~ is not read: write the path in full"
    if is_there(folder / (slashes := name.replace("\\", "/"))):
        return f"write / between folders, not \\: {printable(slashes)}"
    for form in ("NFC", "NFD"):
        if is_there(folder / unicodedata.normalize(form, name)):
            return f"a file of that name is there, its letters composed in another way ({form}): write its name so"
    if spelled := _find_spelling(folder / name):
        spelled = spelled.relative_to(folder) if spelled.is_relative_to(folder) else spelled
        return f"upper and lower case count: write {printable(spelled)}"
    return ""


def _find_spelling(path: Path) -> Path | None:
    """Returns the path of what is there under a name that differs in upper and lower case only, or None."""
    missing: list[str] = []
    while not is_there(path):
        if path.parent == path:
            return None
        missing.append(path.name)
        path = path.parent
    for name in reversed(missing):
        path /= _list_spellings(path).get(_fold(name), name)
        if not is_there(path):
            return None
    return path


@functools.lru_cache(maxsize=4096)
def _list_spellings(folder: Path) -> dict[str, str]:
    """Returns the names in a folder by what those that look alike have in common; read once for many that are missing."""
    try:
        return {_fold(path.name): path.name for path in sorted(folder.iterdir())}
    except OSError:
        return {}


def _fold(name: str) -> str:
    return unicodedata.normalize("NFC", name.casefold())


def sha256_of(path: StrPath) -> str:
    """Returns the SHA-256 of a file's bytes, in hexadecimal."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextmanager
def lock_folder(folder: StrPath, wait: bool = False) -> Iterator[None]:
    """Holds a folder, made where it is missing, for this process, so that two runs never write into it together.

    Raises:
        InputError: another process holds it (`wait` waits for it instead, with a note), it cannot be written to, or the file
            system has no locks.
    """
    import filelock

    folder = Path(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = filelock.FileLock(folder / ".lock", timeout=0)
        try:
            lock.acquire()
        except filelock.Timeout:
            if not wait:
                raise
            print(f"waiting for another run that is writing into {printable(folder)}", file=sys.stderr)
            lock.acquire(timeout=-1)
        # What a killed run was writing: whoever holds the folder is the only one that writes into it.
        for unfinished in [*folder.glob(f"{UNFINISHED}*"), *folder.glob(f"*/{UNFINISHED}*")]:
            shutil.rmtree(unfinished, ignore_errors=True)
    except filelock.Timeout as error:
        action = "wait for the other run, or choose another --results-dir or --name"
        raise InputError.about(folder, "another run that is writing into it", "a folder of its own", action) from error
    except (OSError, NotImplementedError) as error:
        if isinstance(error, OSError) and error.errno not in (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP):
            raise _cannot_write(folder, error) from error
        found, expected = "a file system that cannot lock files", "one that can: without, two runs may write into one folder"
        raise InputError.about(folder, found, expected, "choose a folder on another disk") from error
    try:
        yield
    finally:
        lock.release()
