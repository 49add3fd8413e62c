"""Arrays on disk: resumed where writing was interrupted, and read in any order."""

from __future__ import annotations

import errno
import mmap
import os

import numpy as np
import pytest

from began.arrays import check_npy, open_npy, read_rows, resume_npy, write_npy
from began.errors import InputError
from began.files import lock_folder

ROWS = np.random.default_rng(0).standard_normal((6, 3, 4)).astype("<f2")


def write_rest(path) -> int:
    """Writes what is missing of ROWS; returns how many rows were there."""
    with resume_npy(path, "<f2", (3, 4)) as (n_done, append):
        for row in ROWS[n_done:]:
            append(row[np.newaxis])
    return n_done


def interrupt(path, n_rows: int) -> None:
    """Writes some of ROWS, and is interrupted."""
    with pytest.raises(KeyboardInterrupt), resume_npy(path, "<f2", (3, 4)) as (n_done, append):
        append(ROWS[n_done:n_rows])
        raise KeyboardInterrupt


@pytest.fixture
def whole(tmp_path) -> bytes:
    """What a file of ROWS that was written at once holds."""
    with write_npy(tmp_path / "whole.npy", "<f2", (3, 4)) as append:
        append(ROWS)
    return (tmp_path / "whole.npy").read_bytes()


def test_an_interrupted_file_is_resumed_and_equals_one_written_at_once(tmp_path, whole):
    path = tmp_path / "new" / "rows.npy"
    path.parent.mkdir()
    interrupt(path, 2)
    assert not path.exists()
    interrupt(path, 3)
    assert write_rest(path) == 3
    assert path.read_bytes() == whole and list(path.parent.iterdir()) == [path]
    rows, checksums = open_npy(path, "<f2", (3, 4))
    check_npy(path, rows, checksums)
    np.testing.assert_array_equal(rows, ROWS)


@pytest.mark.parametrize(
    ("kind", "n_bytes", "n_whole"),
    [("unfinished", 1, 3), ("unfinished", 29, 2), ("unfinished", 200, 0), ("checksums", 1, 3), ("checksums", 16, 0)],
)
def test_rows_that_a_crash_cut_short_are_written_again(tmp_path, whole, kind, n_bytes, n_whole):
    path, beginning = tmp_path / "rows.npy", tmp_path / f"rows.npy.{kind}"
    interrupt(path, 4)
    beginning.write_bytes(beginning.read_bytes()[:-n_bytes])
    assert write_rest(path) == n_whole
    assert path.read_bytes() == whole


def test_a_damaged_row_and_those_behind_it_are_written_again(tmp_path, whole):
    path = tmp_path / "rows.npy"
    interrupt(path, 4)
    beginning = tmp_path / "rows.npy.unfinished"
    content = bytearray(beginning.read_bytes())
    content[-1 - 2 * ROWS[0].nbytes] ^= 1  # in the second row
    beginning.write_bytes(content)
    assert write_rest(path) == 1
    assert path.read_bytes() == whole


def test_a_file_that_cannot_be_read_meanwhile_costs_nothing(tmp_path, whole):
    path = tmp_path / "rows.npy"
    with pytest.raises(InputError), resume_npy(path, "<f2", (3, 4)) as (_, append):
        append(ROWS[:4])
        raise InputError.about("a.wav", "no such file", "a sound file", "check the path")
    assert write_rest(path) == 4 and path.read_bytes() == whole


@pytest.mark.parametrize("is_before", [True, False])
def test_interrupted_at_the_very_end_nothing_is_lost(tmp_path, whole, monkeypatch, is_before):
    path, replace = tmp_path / "rows.npy", os.replace

    def interrupt(*names):
        if not is_before:
            replace(*names)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(os, "replace", interrupt)
        write_rest(path)
    with lock_folder(tmp_path):  # clears away what killed runs leave half-written
        assert path.exists() if not is_before else write_rest(path) == 6
    assert path.read_bytes() == whole


def test_a_full_disk_and_a_foreign_beginning_are_named(tmp_path):
    with pytest.raises(InputError, match=r"rows\.npy: found that it cannot be written \(No space left"):  # noqa: SIM117
        with resume_npy(tmp_path / "rows.npy", "<f2", (3, 4)) as (_, append):
            append(ROWS[:4])
            raise OSError(errno.ENOSPC, "No space left on device")
    assert write_rest(tmp_path / "rows.npy") == 4
    (tmp_path / "other.npy.unfinished").mkdir()
    with pytest.raises(InputError, match=r"other\.npy: found that it cannot be written"):
        write_rest(tmp_path / "other.npy")


class WatchedMap(mmap.mmap):
    """A mapped file that remembers which parts of it the system was told of."""

    told: list[tuple[int, int, int]]

    def madvise(self, *advice: int) -> None:
        self.told.append(advice)
        super().madvise(*advice)


@pytest.mark.skipif(not hasattr(mmap, "MADV_WILLNEED"), reason="this system takes no advice on mapped files")
def test_the_system_is_told_which_rows_of_a_mapped_file_are_wanted(tmp_path):
    row_bytes, offset = 3 * mmap.PAGESIZE, 128
    (tmp_path / "rows").write_bytes(bytes(offset) + np.arange(5 * row_bytes // 2, dtype="<u2").tobytes())
    with open(tmp_path / "rows", "rb") as file:
        mapped = WatchedMap(file.fileno(), 0, access=mmap.ACCESS_READ)
    mapped.told = []
    array = np.ndarray((5, 3, row_bytes // 6), "<f2", mapped, offset)  # as np.memmap makes it
    wanted = np.array([4, 1])
    np.testing.assert_array_equal(read_rows(array[1:].view("<u2"), wanted - 1), array.view("<u2")[wanted])
    last = 5 * row_bytes + offset
    assert [(start, start + length) for _, start, length in mapped.told] == [
        (12 * mmap.PAGESIZE, last),
        (row_bytes, 2 * row_bytes + offset),
    ]
    assert {kind for kind, *_ in mapped.told} == {mmap.MADV_WILLNEED}


@pytest.mark.parametrize("mode", [None, "r"])
def test_rows_in_any_order_from_memory_and_from_a_mapped_file(tmp_path, mode):
    np.save(tmp_path / "rows.npy", ROWS)
    rows = np.load(tmp_path / "rows.npy", mmap_mode=mode).reshape(6, 12)
    for wanted in ([5, 0, 0, 3], [-1], []):
        np.testing.assert_array_equal(read_rows(rows, np.array(wanted, int)), ROWS.reshape(6, 12)[wanted])
