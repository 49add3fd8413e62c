"""Arrays on disk: .npy files with a checksum of each row, and .npz archives that unpack to no more than they say."""

from __future__ import annotations

import io
import math
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from tokenize import TokenError
from typing import Any

import numpy as np

from began.errors import ARCHIVE_ERRORS, raise_resource_error
from began.files import StrPath, write_atomically

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
