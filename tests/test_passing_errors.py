"""What a machine has too little of for a moment (open files, memory, space) is not blamed on a file, and not on a stranger."""

from __future__ import annotations

import argparse
import contextlib
import errno
import os
import resource
from pathlib import Path

import numpy as np
import pytest
import soundfile

from began.audio import hash_sound
from began.command_line import GOES_ON, run_script
from began.errors import InputError
from began.find_sounds import find_sounds
from began.keras_file import read_attached_json
from experiments.corpora.folders import read_table


@contextlib.contextmanager
def no_more_files():
    """Opens so many files that the next one cannot be opened."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    held = [os.open(os.devnull, os.O_RDONLY)]
    resource.setrlimit(resource.RLIMIT_NOFILE, (held[0] + 20, hard))
    try:
        with contextlib.suppress(OSError):
            while True:
                held.append(os.open(os.devnull, os.O_RDONLY))
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        for descriptor in held:
            os.close(descriptor)


def read_sound(folder: Path) -> None:
    soundfile.write(folder / "a.wav", np.tile([0.1, -0.1], 4_000), 16_000)
    with no_more_files():
        hash_sound(folder / "a.wav")


def read_cache(folder: Path) -> None:
    from began.arrays import write_npy
    from began.representation import _read_cached

    with write_npy(folder / "a.npy", "<f4", (2,)) as append:
        append(np.zeros((3, 2)))
    with no_more_files():
        _read_cached(folder / "a.npy", 3, np.dtype("<f4"), (2,))


def read_store(folder: Path) -> None:
    from began.dataset import _read_description, _read_sounds

    (folder / "store.json").write_text("{}")
    with no_more_files():
        with pytest.raises(OSError, match="open files"):
            _read_sounds(folder / "store.npy")
        _read_description(folder / "store.json")


def read_settings_of_a_model(folder: Path) -> None:
    (folder / "a.keras").write_bytes(b"PK")
    with no_more_files():
        read_attached_json(folder / "a.keras", "head")


def read_network(folder: Path) -> None:
    from began.network_file import load_network

    (folder / "a.keras").write_bytes(b"PK")
    with no_more_files():
        load_network(folder / "a.keras")


def read_settings_of_a_run(folder: Path) -> None:
    from experiments.evaluation.result_files import read_json

    (folder / "config.json").write_text("{}")
    with no_more_files():
        read_json(folder / "config.json")


def read_manifest(folder: Path) -> None:
    (folder / "a.csv").write_text("file\na.wav\n")
    with no_more_files():
        read_table(folder / "a.csv")


def search_folder(folder: Path) -> None:
    from experiments.corpora.folders import open_folder

    with no_more_files():
        open_folder(folder, "speech")


def read_trials(folder: Path) -> None:
    from classifiers.search import TrialTable

    (folder / "trials.csv").write_text("trial\n0\n")
    with no_more_files():
        TrialTable(folder / "trials.csv", "second", "categorical", {"seed": 0})


def write(folder: Path) -> None:
    from began.files import write_text

    with no_more_files():
        write_text(folder / "a.txt", "a")


def lock(folder: Path) -> None:
    from began.files import lock_folder

    with no_more_files(), lock_folder(folder):
        pass


DOING = (read_sound, read_cache, read_store, read_settings_of_a_model, read_network, read_settings_of_a_run)
DOING = (*DOING, read_manifest, search_folder, read_trials, write, lock)


@pytest.mark.parametrize("do", DOING, ids=lambda do: do.__name__)
def test_too_many_open_files_are_no_damage(do, tmp_path, capsys):
    """Nothing advises to remove a file that is whole."""
    assert run_script(lambda arguments: do(tmp_path), argparse.ArgumentParser(), []) == 2
    said = capsys.readouterr().err.splitlines()[-1]
    assert said.startswith("error: ") and said.endswith("Close other programs, or raise the limit.")
    assert "Too many open files (limit: ulimit -n)" in said
    assert "damaged" not in said and "emove" not in said


class ResourceExhaustedError(Exception):
    """As TensorFlow names its own."""


READERS = (hash_sound, read_table, lambda path: read_attached_json(path, "head"), lambda path: find_sounds([path]))


@pytest.mark.parametrize("read", READERS)
@pytest.mark.parametrize("place", ["in a folder that may not be entered", "under a name of 300 bytes"])
def test_a_path_that_cannot_be_looked_at_gets_one_message(read, place, forbid, tmp_path):
    """So that a run over many files goes on."""
    forbid(tmp_path / "other")
    path = tmp_path / ("n" * 300 if "name" in place else "other") / "a.wav"
    with pytest.raises(InputError, match="a path that cannot be looked at|a file that cannot be read"):
        read(path)


def test_a_folder_that_cannot_be_read_is_one_problem(forbid, tmp_path):
    (tmp_path / "other").mkdir()
    forbid(tmp_path / "other")
    with pytest.raises(InputError, match=r"cannot be found \(1\):\n.*: a folder that cannot be read \(Permission denied\)$"):
        find_sounds([tmp_path / "other"])


@pytest.mark.parametrize("error", [MemoryError("Unable to allocate 9 GiB"), ResourceExhaustedError("OOM when allocating")])
def test_too_little_memory_is_no_damage_of_a_model(error, monkeypatch):
    from began import network_file
    from began.published_networks import ENCODER

    def fail(path):
        raise error

    monkeypatch.setattr(network_file, "read_network", fail)
    with pytest.raises(type(error)):
        network_file.load_network(ENCODER)


@pytest.mark.parametrize("error", [MemoryError("Unable to allocate 9 GiB"), OSError(errno.ENOMEM, "Cannot allocate memory")])
def test_too_little_memory_gives_one_line(error, capsys):
    def fail(arguments: argparse.Namespace) -> None:
        raise error

    assert run_script(fail, argparse.ArgumentParser(), []) == 2
    said = capsys.readouterr().err
    assert said.startswith("error: memory: found too little memory (") and "allocate" in said and said.count("\n") == 1
    assert said.endswith("expected more. Close other programs.\n")
    parser = argparse.ArgumentParser()
    parser.add_argument("--workers", type=int, default=2)
    assert run_script(fail, parser, [], kept=GOES_ON) == 2
    assert capsys.readouterr().err.endswith(f"Close other programs, or run fewer processes (--workers N). {GOES_ON}\n")


def test_a_limit_of_a_files_size_is_named(tmp_path):
    """`ulimit -f`, and disks that hold no large files: nothing half-written stays."""
    from began.files import write_text

    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1_000, limits[1]))
    try:
        with pytest.raises(InputError, match="cannot be written .File too large."):
            write_text(tmp_path / "a.txt", "a" * 2_000)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert not list(tmp_path.iterdir())


def test_a_fault_of_the_code_keeps_its_traceback():
    def fail(arguments: argparse.Namespace) -> None:
        raise KeyError("a fault")

    with pytest.raises(KeyError):
        run_script(fail, argparse.ArgumentParser(), [])
