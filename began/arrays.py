"""Arrays on disk: .npy files with a checksum of each row, and .npz archives that unpack to no more than they say."""

from __future__ import annotations

import contextlib
import io
import math
import mmap
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from tokenize import TokenError
from typing import IO, Any

import numpy as np

from began.errors import ARCHIVE_ERRORS, raise_resource_error
from began.files import StrPath, name_write_errors, put_in_place, write_atomically

CHECKSUM = "<u4"
"""How a CRC-32 is stored."""

BLOCK_BYTES = 1 << 20
"""How much of a file is compared with its checksums at a time."""


@contextmanager
def write_npy(path: StrPath, dtype: Any, shape: tuple[int, ...]) -> Iterator[Callable[[np.ndarray], None]]:
    """Yields a function that appends rows of a dtype and shape to a .npy file, at constant memory; whole or absent.

    Behind the rows, where readers of .npy files do not look, stands the CRC-32 of each, which `open_npy` finds.
    """
    checksums: list[int] = []
    with write_atomically(path) as temporary, open(temporary, "wb") as file:
        file.write(_npy_header(dtype, (0, *shape)))
        yield lambda rows: checksums.extend(_append_rows(file, rows, dtype))
        _complete_npy(file, dtype, shape, checksums)


@contextmanager
def resume_npy(path: StrPath, dtype: Any, shape: tuple[int, ...]) -> Iterator[tuple[int, Callable[[np.ndarray], None]]]:
    """Writes a file as `write_npy` does, and goes on where an interrupted call stopped, for whatever reason.

    Until it is whole, its rows lie in a file of the same name with .unfinished behind it, and their checksums in .checksums.
    Whoever writes it holds the folder (`began.files.lock_folder`).

    Yields:
        (number of rows that are there already, function that appends rows)
    Raises:
        InputError: the files cannot be written, or the disk is full.
    """
    path = Path(path)
    unfinished, checksums_path = (path.with_name(f"{path.name}.{kind}") for kind in ("unfinished", "checksums"))
    with name_write_errors(path, unfinished, checksums_path):
        for beginning in (unfinished, checksums_path):
            beginning.touch()
        with open(unfinished, "r+b") as file, open(checksums_path, "r+b") as checksums_file:
            file.write(_npy_header(dtype, (0, *shape)))
            checksums = _find_whole_rows(file, checksums_file.read(), np.dtype(dtype).itemsize * math.prod(shape))
            file.truncate()
            checksums_file.truncate(checksums_file.seek(len(checksums) * np.dtype(CHECKSUM).itemsize))

            def append(rows: np.ndarray) -> None:
                added = _append_rows(file, rows, dtype)
                file.flush()
                checksums_file.write(np.array(added, CHECKSUM).data)
                checksums_file.flush()
                checksums.extend(added)

            yield len(checksums), append
            _complete_npy(file, dtype, shape, checksums)
        put_in_place(unfinished, path)
        checksums_path.unlink()


def _find_whole_rows(file: IO[bytes], stored: bytes, row_bytes: int) -> list[int]:
    """Returns the checksums of rows that are as they were written, and leaves the file behind them.

    Args:
        file: at its first row.
        stored: the checksums when they were written; the last one may be cut short.
    """
    checksums: list[int] = []
    start, size = file.tell(), np.dtype(CHECKSUM).itemsize
    for checksum in np.frombuffer(stored, CHECKSUM, len(stored) // size).tolist():
        row = file.read(row_bytes)
        if len(row) < row_bytes or zlib.crc32(row) != checksum:
            break
        checksums.append(checksum)
    file.seek(start + len(checksums) * row_bytes)
    return checksums


def _append_rows(file: IO[bytes], rows: np.ndarray, dtype: Any) -> list[int]:
    """Writes rows, and returns the checksum of each."""
    rows = np.ascontiguousarray(rows, dtype)
    file.write(rows.data)
    return [zlib.crc32(row) for row in rows]


def _complete_npy(file: IO[bytes], dtype: Any, shape: tuple[int, ...], checksums: Sequence[int]) -> None:
    """Writes the checksums behind the rows, and their number before them."""
    file.write(np.array(checksums, CHECKSUM).data)
    file.seek(0)
    file.write(_npy_header(dtype, (len(checksums), *shape)))


def _npy_header(dtype: Any, shape: tuple[int, ...]) -> bytes:
    """Returns how a .npy file begins. NumPy pads it so that a growing first dimension never moves the data."""
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
    row_bytes, offset = np.dtype(dtype).itemsize * math.prod(shape), len(_npy_header(dtype, (0, *shape)))
    n_rows, surplus = divmod(Path(path).stat().st_size - offset, row_bytes + np.dtype(CHECKSUM).itemsize)
    with open(path, "rb") as file:  # compared, not parsed: a damaged header may say anything
        if surplus or n_rows < 0 or file.read(offset) != _npy_header(dtype, (n_rows, *shape)):
            raise ValueError("another header or size than it was written with")
    rows = np.memmap(path, dtype, "r", offset, (n_rows, *shape))
    return rows, np.fromfile(path, CHECKSUM, offset=offset + rows.nbytes)


def check_npy(path: StrPath, rows: np.memmap, checksums: np.ndarray) -> None:
    """Reads all rows that `open_npy` found, at constant memory; raises a ValueError where one is not as it was written."""
    n_together = max(1, BLOCK_BYTES * len(rows) // max(1, rows.nbytes))
    with open(path, "rb") as file:  # not through the map, whose pages would count as this process' memory
        file.seek(rows.offset)
        for first in range(0, len(rows), n_together):
            shape = rows[first : first + n_together].shape
            block = np.fromfile(file, rows.dtype, math.prod(shape)).reshape(shape)
            for number, row in enumerate(block, first):
                if zlib.crc32(row) != checksums[number]:
                    raise ValueError(f"row {number} has another checksum than when it was written")


def read_rows(array: Any, rows: np.ndarray) -> np.ndarray:
    """Returns `array[rows]`; from a mapped file that is not in memory many times as fast.

    The system takes a row that is read for the start of a longer reading, and reads up to megabytes of others with it. Here, it
    is told which rows are wanted.

    Args:
        array: mapped or not, or a view of such a one; anything else that has rows.
        rows: int, shape (n,), in any order.
    """
    mapped = array
    while isinstance(mapped, np.ndarray):
        mapped = mapped.base
    if isinstance(mapped, mmap.mmap) and hasattr(mmap, "MADV_WILLNEED"):
        first = array.ctypes.data - np.frombuffer(mapped, np.uint8).ctypes.data
        row_bytes = array.itemsize * math.prod(array.shape[1:])
        with contextlib.suppress(OSError, ValueError):  # advice may be refused; the rows are read all the same
            for row in rows.tolist():
                start = first + row * array.strides[0]
                page = start - start % mmap.PAGESIZE
                mapped.madvise(mmap.MADV_WILLNEED, page, start + row_bytes - page)
    return array[rows]


def write_arrays(path: StrPath, arrays: Mapping[str, Any]) -> None:
    """Writes arrays by name into an .npz archive, whole or absent."""
    with write_atomically(path) as temporary, open(temporary, "wb") as file:
        np.savez(file, **arrays)


def read_arrays(content: bytes) -> dict[str, np.ndarray]:
    """Returns the arrays of an .npz archive that `write_arrays` wrote, by name.

    Raises:
        ValueError: it is damaged, or its arrays take more memory than it has bytes, being compressed or said to.
    """
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
