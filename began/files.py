"""Files that are whole or absent: atomic writing, hashes, locks, and JSON kept inside a .keras file."""

from __future__ import annotations

import errno
import hashlib
import io
import json
import lzma
import math
import os
import re
import secrets
import shutil
import sys
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tokenize import TokenError
from typing import TYPE_CHECKING, Any

from began.errors import InputError, is_full, printable, raise_resource_error

if TYPE_CHECKING:
    import numpy as np

StrPath = str | os.PathLike[str]

UNFINISHED = ".writing-"
"""How names of folders begin that hold a file on its way to completion."""

WEIGHTS = "model.weights.h5"
"""The member of a .keras file that holds the weights; all others are JSON, and small."""

MAX_JSON_BYTES, MAX_NETWORK_BYTES = 1 << 22, (1 << 26) + (1 << 22)
"""Limits on what is read from a .keras file: 4 MB for a JSON member (260,000 listed recordings), 68 MB in all (128 base filters
need 63). A small archive can unpack to far more, and Keras holds weights three times while loading."""

NEW_IN_KERAS = ("quantization_config", "input_axes", "output_axes")
"""Members that layers and initialisers have since Keras 3.5, and that networks of this project leave at null."""

CHECKSUM = "<u4"
"""How a CRC-32 is stored."""

BLOCK_BYTES = 1 << 20
"""How much of a file is compared with its checksums at a time."""

ARCHIVE_ERRORS = (zipfile.BadZipFile, zlib.error, lzma.LZMAError, OSError, EOFError, ValueError, RuntimeError)
"""What reading JSON from a damaged archive raises; RuntimeError: a password, a later version, JSON nested too deep."""


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
        folder.mkdir(parents=True)
        temporary = folder / path.name
        yield temporary
        if temporary.is_file():
            _sync(temporary)
        os.replace(temporary, path)
        _sync(path.parent)
    except OSError as error:
        if isinstance(error.filename, (str, bytes)) and not _is_part_of_writing(error.filename, path, folder):
            raise  # about another file, such as a recording that the block reads
        raise _cannot_write(path, error) from error
    finally:
        try:
            shutil.rmtree(folder, ignore_errors=True)
        except BaseException:  # Ctrl-C, in the midst of it
            shutil.rmtree(folder, ignore_errors=True)
            raise


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
        found = f"a folder that cannot be written to ({error.strerror})"
        raise InputError.about(subject, found, "a writable folder", "choose another one") from error


def _is_part_of_writing(name: str | bytes, path: Path, unfinished: Path) -> bool:
    """Tells whether a name is that of a file that is written, of what lies in the folder of its beginnings, or above it."""
    named, path, unfinished = (Path(os.path.abspath(file)) for file in (os.fsdecode(name), path, unfinished))  # noqa: PTH100
    return named in (path, *path.parents) or named.is_relative_to(unfinished)


def _cannot_write(path: Path, error: OSError) -> InputError:
    if not is_full(error):
        raise_resource_error(error)
    found, action = f"that it cannot be written ({error.strerror or error})", "free some space, or choose another folder"
    return InputError.about(path, found, "a writable folder with free space", action)


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


@contextmanager
def write_npy(path: StrPath, dtype: Any, shape: tuple[int, ...]) -> Iterator[Callable[[np.ndarray], None]]:
    """Yields a function that appends rows of a dtype and shape to a .npy file, at constant memory; whole or absent.

    Behind the rows, where readers of .npy files do not look, stands the CRC-32 of each, which `open_npy` finds.
    """
    import numpy as np

    checksums: list[int] = []

    def append(rows: np.ndarray) -> None:
        rows = np.ascontiguousarray(rows, dtype)
        file.write(rows.data)
        checksums.extend(map(zlib.crc32, rows))

    with write_atomically(path) as temporary, open(temporary, "wb") as file:
        file.write(_npy_header(dtype, (0, *shape)))
        yield append
        file.write(np.array(checksums, CHECKSUM).data)
        file.seek(0)
        file.write(_npy_header(dtype, (len(checksums), *shape)))


def _npy_header(dtype: Any, shape: tuple[int, ...]) -> bytes:
    """Returns how a .npy file begins. NumPy pads it so that a growing first dimension never moves the data."""
    import numpy as np

    header = io.BytesIO()
    description = {"descr": np.dtype(dtype).str, "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(header, description)
    return header.getvalue()


def open_npy(path: StrPath, dtype: Any, shape: tuple[int, ...]) -> tuple[np.memmap, np.ndarray]:
    """Returns the rows of a file that `write_npy` wrote, mapped, and their checksums, which are yet to be compared.

    Args:
        dtype, shape: that a row must have.
    Raises:
        ValueError: the file is damaged or another.
        OSError: it cannot be read.
    """
    import numpy as np

    row_bytes, offset = np.dtype(dtype).itemsize * math.prod(shape), len(_npy_header(dtype, (0, *shape)))
    n_rows, surplus = divmod(Path(path).stat().st_size - offset, row_bytes + np.dtype(CHECKSUM).itemsize)
    with open(path, "rb") as file:  # compared, not parsed: a damaged header may say anything
        if surplus or n_rows < 0 or file.read(offset) != _npy_header(dtype, (n_rows, *shape)):
            raise ValueError("another header or size than it was written with")
    rows = np.memmap(path, dtype, "r", offset, (n_rows, *shape))
    return rows, np.fromfile(path, CHECKSUM, offset=offset + rows.nbytes)


def check_npy(path: StrPath, rows: np.memmap, checksums: np.ndarray) -> None:
    """Reads all rows that `open_npy` found, at constant memory; raises a ValueError where one is not as it was written."""
    import numpy as np

    n_together = max(1, BLOCK_BYTES * len(rows) // max(1, rows.nbytes))
    with open(path, "rb") as file:  # not through the map, whose pages would count as this process' memory
        file.seek(rows.offset)
        for first in range(0, len(rows), n_together):
            shape = rows[first : first + n_together].shape
            block = np.fromfile(file, rows.dtype, math.prod(shape)).reshape(shape)
            for number, row in enumerate(block, first):
                if zlib.crc32(row) != checksums[number]:
                    raise ValueError(f"row {number} has another checksum than when it was written")


def read_arrays(content: bytes) -> dict[str, np.ndarray]:
    """Returns the arrays of an .npz archive that `numpy.savez` wrote, by name.

    Raises:
        ValueError: it is damaged, or its arrays take more memory than it has bytes, being compressed or said to.
    """
    import numpy as np

    try:
        n_bytes = 0
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            for member in archive.infolist():
                with archive.open(member) as file:
                    np.lib.format.read_magic(file)
                    shape, _, dtype = np.lib.format.read_array_header_1_0(file)
                n_bytes += abs(math.prod(shape)) * dtype.itemsize
                if n_bytes > len(content):
                    raise ValueError(f"{member.filename!r:.60} with {math.prod(shape)} values, more than lie in the file")
        with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
            return {name: arrays[name] for name in arrays.files}
    except (SyntaxError, TokenError, *ARCHIVE_ERRORS) as error:  # NumPy reads headers with Python's parser
        raise_resource_error(error)
        raise ValueError(str(error)) from error


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


def shorten(items: Sequence[str], limit: int = 5) -> str:
    """Returns the first items, and how many more there are."""
    more = f" and {len(items) - limit} more" if len(items) > limit else ""
    return ", ".join(items[:limit]) + more


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


def attach_json(keras_file: StrPath, name: str, content: dict[str, Any]) -> None:
    """Adds `content` as the member `name.json` to a .keras file, which Keras itself ignores.

    So one file carries a network and the settings it was made with, and still loads without this project's code, in Keras 3.5
    and later. Dates and memory addresses, which Keras also writes, are taken out: the same network and settings give the same
    bytes, and so the same hash, by which runs know their encoder.

    Raises:
        InputError: `content` is longer than what is read again; the file stays as it was.
    """
    data = json.dumps(content, indent=1, sort_keys=True).encode()
    if len(data) > MAX_JSON_BYTES:
        found, expected = f"{len(data) / 1e6:.1f} MB in {name}.json", f"at most {MAX_JSON_BYTES / 1e6:.1f} MB"
        action = "train on fewer recordings, which are listed there: it could be saved, but not opened again"
        raise InputError.about(Path(keras_file).name, found, expected, action)
    with zipfile.ZipFile(keras_file) as archive:
        members = {member: archive.read(member) for member in archive.namelist()}
    if "metadata.json" in members:
        metadata = {key: value for key, value in json.loads(members["metadata.json"]).items() if key != "date_saved"}
        members["metadata.json"] = json.dumps(metadata).encode()
    if "config.json" in members:
        ids: dict[bytes, bytes] = {}
        address = rb'(?<="shared_object_id": )\d+'
        config = re.sub(address, lambda a: ids.setdefault(a[0], b"%d" % len(ids)), members["config.json"])
        members["config.json"] = json.dumps(json.loads(config, object_hook=_leave_out_new_members)).encode()
    members[f"{name}.json"] = data
    with zipfile.ZipFile(keras_file, "w") as archive:
        for member, data in members.items():
            archive.writestr(zipfile.ZipInfo(member), data)  # ZipInfo's own date is a constant


def _leave_out_new_members(config: dict[str, Any]) -> dict[str, Any]:
    """Returns a Keras configuration without members that are null and that Keras 3.5 refuses to know.

    Nor do operations (such as a mean) know their own name there; it stands beside their configuration, too.
    """
    if str(config.get("module")).startswith("keras.src.ops") and isinstance(config.get("config"), dict):
        config = {**config, "config": {name: value for name, value in config["config"].items() if name != "name"}}
    return {name: value for name, value in config.items() if name not in NEW_IN_KERAS or value is not None}


@contextmanager
def open_keras_file(path: StrPath) -> Iterator[zipfile.ZipFile]:
    """Opens a .keras file for reading, after checking how large its members say that they are: none gives more than it says.

    Raises:
        ValueError: a member is larger than this project's are, or all are together.
        OSError, zipfile.BadZipFile: it cannot be read, or is no archive.
    """
    with zipfile.ZipFile(path) as archive:
        for member in archive.infolist():
            if member.file_size > MAX_JSON_BYTES and member.filename != WEIGHTS:
                name = printable(member.filename)[:60]
                raise ValueError(f"{member.file_size} bytes in {name}, more than {MAX_JSON_BYTES}")
        if (total := sum(member.file_size for member in archive.infolist())) > MAX_NETWORK_BYTES:
            raise ValueError(f"{total} bytes when unpacked, more than {MAX_NETWORK_BYTES}")
        yield archive


def read_attached_json(keras_file: StrPath, name: str, default: dict[str, Any] | None = None) -> dict[str, Any]:
    """Returns what `attach_json` stored under `name`, or `default` (where one is given) if there is nothing.

    Raises:
        InputError: no such file, not a .keras file, damaged, or without that member and a default.
    """
    path = Path(keras_file)
    expected = f"a .keras file of this project, with {name}.json inside"
    if not is_file(path):
        raise InputError.about(path, describe_no_file(path), expected, "check the path")
    try:
        with open_keras_file(path) as archive:
            content = json.loads(archive.read(f"{name}.json"))
        if not isinstance(content, dict):
            raise ValueError(f"{name}.json is no record")
        return content
    except KeyError as error:
        if default is not None:
            return default
        raise InputError.about(path, f"a .keras file without {name}.json", expected, "give another file") from error
    except ARCHIVE_ERRORS as error:
        raise_resource_error(error)
        found = f"a damaged or foreign file ({error})"
        raise InputError.about(path, found, expected, "copy it again, or make it again") from error
