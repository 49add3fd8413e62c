"""Unlabelled utterances to a chunk store on disk, and the store to shuffled batches, both at constant memory."""

from __future__ import annotations

import json
import math
import threading
import zlib
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor
from contextlib import ExitStack
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from began.arrays import open_npy, write_npy
from began.audio import Recording, hash_sound, load_recording
from began.errors import InputError, name_cause, printable, raise_resource_error, shorten
from began.files import StrPath, is_file, is_there, lock_folder, write_text
from began.find_sounds import list_files
from began.front_end import stream_chunks
from began.media_fragments import name_part, split_part
from began.sound_hashes import State, hash_together, read_file_state
from began.spectrogram import SpectrogramConfig, compute_spectrograms
from began.startup import count_cores

TAIL = "drop"
"""What becomes of the samples behind the last full second (`began.chunks.cut_chunks`): no padded silence is trained on."""

FILES_PER_SHARD = 256
"""Files behind one shard: what an interrupted preparation has to do again at most."""

VERSION = 2
"""Of the files in a store. Since 2, its shards know the sounds that they were made from, and have checksums."""


def prepare_chunk_store(
    paths: StrPath | Sequence[StrPath],
    folder: StrPath,
    config: SpectrogramConfig,
    *,
    workers: int | None = None,
    wait: bool = False,
    progress: Callable[[Iterable], Iterable] = lambda files: files,
) -> ChunkStore:
    """Decodes, cuts and transforms sound files into shards of spectrograms in a folder, and returns them as a store.

    Shards that an interrupted call has finished are kept, if their files still hold the same sounds: those are read again if
    they have been changed, moved or copied since. Half precision halves the disk (32 kB a second of speech);
    its rounding, at most 0.0005 of the log range, lies far below the reconstruction error. Memory grows with the longest files:
    the spectrograms of two more than there are workers may wait for their turn, each of 32 kB a second.

    Args:
        paths: sound files, in an order that is the same in every call; or one of them.
        workers: threads (decoding and the Fourier transform leave Python's lock); None takes one per core.
        wait: while another process prepares this folder, wait instead of refusing.
        progress: wraps an iteration over all files, e.g. `lambda files: tqdm(files, total=len(paths))`.
    Raises:
        InputError: a file cannot be read; the folder holds a store of other files, sounds or settings; no file gives a chunk.
    """
    folder, paths = Path(folder), list_files(paths)
    sources = [_name_source(path) for path in paths]
    settings = {"spectrogram": config.to_dict(), "tail": TAIL, "files_per_shard": FILES_PER_SHARD, "version": VERSION}
    with lock_folder(folder, wait):
        _claim_folder(folder / "store.json", {**settings, "sources": sources})
        for _ in progress(_write_shards(folder, paths, config, workers or count_cores())):
            pass
    return ChunkStore(folder)


def _name_source(path: StrPath) -> str:
    """Returns a file's name without path and suffix: a corpus that moved, or was compressed without loss, is still the same."""
    file, start_seconds, end_seconds = split_part(path)
    return file.stem if end_seconds is None else name_part(file.stem, start_seconds, end_seconds)


def _claim_folder(path: Path, description: dict[str, Any]) -> None:
    """Writes the store's description, or compares it with the one that is there."""
    if not is_there(path):
        write_text(path, json.dumps(description, indent=1))
        return
    stored = _read_description(path)
    differing = [name for name in description if stored.get(name) != description[name]]
    if differing:
        found, expected = f"a chunk store with other {', '.join(differing)}", "the store of the same files and settings"
        action = "remove the folder, or choose another one, with --results-dir where a command made it"
        raise InputError.about(path.parent, found, expected, action)


def _read_description(path: Path) -> dict[str, Any]:
    try:
        stored = dict(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError) as error:
        raise_resource_error(error)
        found = f"a damaged description of a chunk store ({error})"
        raise InputError.about(path, found, "a whole one", "remove its folder, and run the preparation again") from error
    if "spectrogram" in stored:  # of whichever version wrote it
        stored["spectrogram"] = SpectrogramConfig.from_dict(stored["spectrogram"], path).to_dict()
    return stored


def _write_shards(folder: Path, paths: Sequence[StrPath], config: SpectrogramConfig, workers: int) -> Iterator[StrPath]:
    """Writes the shards that are not there yet, and yields every file when it is done.

    One thread flushes a finished shard to the disk while the others decode for the next.
    """
    firsts = range(0, len(paths), FILES_PER_SHARD)
    shards = {folder / f"shard-{number:05d}.npy": paths[first : first + FILES_PER_SHARD] for number, first in enumerate(firsts)}
    missing = {target: shard for target, shard in shards.items() if not target.exists()}
    changed = []
    for target, shard in shards.items():
        if target not in missing:
            changed += _find_changed(target, shard)
            yield from shard
    if changed:
        found = f"a chunk store of recordings that have changed since: {len(changed)} of {len(paths)} ({shorten(changed)})"
        raise InputError.about(folder, found, "the recordings that it was made from", "restore them, or remove the folder")
    stop = threading.Event()
    with ThreadPoolExecutor(workers) as pool, ThreadPoolExecutor(1) as finisher:
        try:
            jobs = (pool.submit(_read_spectrograms, path, config, stop) for shard in missing.values() for path in shard)
            results = start_ahead(jobs, workers + 1)
            finished = finisher.submit(int)
            for target, shard in missing.items():
                with ExitStack() as stack:
                    append = stack.enter_context(write_npy(target, "<f2", (config.n_bins, config.n_frames)))
                    sounds = []
                    for path in shard:
                        spectrograms, sound = next(results).result()
                        append(spectrograms)
                        sounds.append(sound)
                        yield path
                    _write_sounds(target, sounds)  # before the shard, which counts as finished once it is there
                    finished.result()
                    finished = finisher.submit(stack.pop_all().close)
            finished.result()
        finally:  # an error, or Ctrl-C: do not decode what is still waiting
            stop.set()
            pool.shutdown(wait=False, cancel_futures=True)


def start_ahead(jobs: Iterator[Future], n_ahead: int) -> Iterator[Future]:
    """Yields jobs in order, having started `n_ahead` of them ahead."""
    started = deque(islice(jobs, n_ahead))
    while started:
        yield started.popleft()
        started.extend(islice(jobs, 1))


def _read_spectrograms(path: StrPath, config: SpectrogramConfig, stop: threading.Event) -> tuple[np.ndarray, tuple[State, str]]:
    """Returns the chunks of a file, and which sound it holds."""

    def go_on(*_: object) -> None:
        if stop.is_set():
            raise CancelledError

    state, held = read_file_state(path), load_recording(path)
    sound = hash_sound(held, go_on)
    blocks = [np.zeros((0, config.n_bins, config.n_frames), "<f2")]
    for chunks in stream_chunks(held, config.front_end, tail=TAIL):
        go_on()
        blocks.append(compute_spectrograms(chunks, config, dtype="<f2"))
    if not isinstance(held, Recording) and read_file_state(path) != state:  # it was read twice
        found, expected = "a recording that was changed since the start", "it to stay as it is meanwhile"
        raise InputError.about(path, found, expected, "start again")
    return blocks[-1] if len(blocks) <= 2 else np.concatenate(blocks), (state, sound)


def _write_sounds(shard: Path, sounds: Sequence[tuple[State, str]]) -> None:
    """Writes, beside a shard, the state of each of its files when it was read, and the hash of its sound."""
    write_text(shard.with_suffix(".json"), json.dumps(sounds))


def _read_sounds(shard: Path) -> list[tuple[State, str]]:
    path = shard.with_suffix(".json")
    try:
        return [(state, str(sound)) for state, sound in json.loads(path.read_text(encoding="utf-8"))]
    except (OSError, ValueError, TypeError) as error:
        raise_resource_error(error)
        action = "remove it and its shard, and run the preparation again"
        raise InputError.about(path, f"a damaged list of a shard's sounds ({error})", "a whole one", action) from error


def _find_changed(shard: Path, paths: Sequence[StrPath]) -> list[str]:
    """Returns the names of files that no longer hold the sound that is in a shard. What was moved or copied is read for it."""
    known, now = _read_sounds(shard), []
    for path, (state, sound) in zip(paths, known, strict=True):
        current = read_file_state(path)
        now.append((current, sound if current and current == state else hash_sound(path)))
    changed = [printable(path) for path, (_, was), (_, sound) in zip(paths, known, now, strict=True) if was != sound]
    if not changed and now != known:
        _write_sounds(shard, now)
    return changed


class ChunkStore:
    """Spectrograms on disk, read a batch at a time.

    Attributes:
        n_chunks: how many.
        config: the settings that they were made with.
        sounds: the hash of each file's sound, see `began.audio.hash_sound`.
    Raises:
        InputError: the folder holds no complete store, or one without a chunk.
    """

    def __init__(self, folder: StrPath) -> None:
        self.folder = Path(folder)
        description = _read_description(self.folder / "store.json")
        try:
            self.config = SpectrogramConfig.from_dict(description["spectrogram"])
            n_shards = math.ceil(len(description["sources"]) / description["files_per_shard"])
        except (KeyError, TypeError, ZeroDivisionError) as error:
            path, found = self.folder / "store.json", f"a damaged description of a chunk store ({name_cause(error)})"
            action = "remove its folder, and run the preparation again"
            raise InputError.about(path, found, "a whole one", action) from error
        self._paths = [self.folder / f"shard-{number:05d}.npy" for number in range(n_shards)]
        checked = [self._check_shard(path) for path in self._paths]
        self.sounds = [sound for path in self._paths for _, sound in _read_sounds(path)]
        self._offsets = [offset for offset, _ in checked]
        self._checksums = [checksums for _, checksums in checked]
        self._first = np.cumsum([0, *map(len, self._checksums)])
        self.n_chunks = int(self._first[-1])
        if self.n_chunks == 0:
            found, expected = "no chunk: every utterance is shorter than a second", "at least one second of speech"
            raise InputError.about(self.folder, found, expected, "give longer recordings")

    @property
    def sounds_sha256(self) -> str:
        """Hash of all sounds, in order."""
        return hash_together(self.sounds)

    def _check_shard(self, path: Path) -> tuple[int, np.ndarray]:
        """Returns where a shard's chunks begin, and the checksum of each."""
        action = "run the preparation again; it goes on where it was"
        if not is_file(path):
            raise InputError.about(path, "no such shard", f"{len(self._paths)} finished shards", action)
        try:
            chunks, checksums = open_npy(path, "<f2", (self.config.n_bins, self.config.n_frames))
        except (OSError, ValueError) as error:
            raise_resource_error(error)
            raise InputError.about(path, f"a damaged shard ({error})", "a whole one", f"remove it and {action}") from error
        return chunks.offset, checksums

    def read(self, indices: np.ndarray) -> np.ndarray:
        """Returns chunks by number: float32, shape (len(indices), n_bins, n_frames, 1).

        Plain reads, not a memory map: mapped pages would count as the process's memory, and grow with the store.

        Raises:
            InputError: a chunk is no longer what was written.
        """
        chunks = np.empty((len(indices), self.config.n_bins, self.config.n_frames, 1), np.float32)
        size = self.config.n_bins * self.config.n_frames
        shards = np.searchsorted(self._first, indices, side="right") - 1
        for chunk, index, shard in zip(chunks, indices, shards, strict=True):
            number = int(index - self._first[shard])
            stored = np.fromfile(self._paths[shard], "<f2", size, offset=self._offsets[shard] + number * size * 2)
            if zlib.crc32(stored.data) != self._checksums[shard][number]:
                found = f"a damaged shard (chunk {number} has another checksum than when it was written)"
                action = "remove it and run the same command again, which goes on from there"
                raise InputError.about(self._paths[shard], found, "a whole one", action)
            chunk.flat[:] = stored
        return chunks

    def steps_per_epoch(self, batch_size: int) -> int:
        """Returns how many full batches one pass over the store gives; raises InputError where there is none."""
        if self.n_chunks < batch_size:
            expected, action = f"at least a batch ({batch_size})", "give more speech, or a smaller batch"
            raise InputError.about(self.folder, f"{self.n_chunks} chunks", expected, action)
        return self.n_chunks // batch_size

    def batches(self, batch_size: int, seed: int, first_step: int = 0, shard: tuple[int, int] = (0, 1)) -> Iterator[np.ndarray]:
        """Yields batches without end, every pass in an order of its own that depends on seed and pass alone.

        So a run that starts at `first_step` sees what an uninterrupted one would see from there on.

        Args:
            batch_size: chunks in a batch, over all processes.
            shard: (number of this process, number of processes); each takes its contiguous part of every batch.
        Yields:
            float32, shape (batch_size / processes, n_bins, n_frames, 1).
        """
        steps_per_epoch = self.steps_per_epoch(batch_size)
        number, count = shard
        part = slice(number * batch_size // count, (number + 1) * batch_size // count)
        step = first_step
        while True:
            epoch, within = divmod(step, steps_per_epoch)
            order = np.random.default_rng([seed, epoch]).permutation(self.n_chunks)
            for batch in range(within, steps_per_epoch):
                yield self.read(order[batch * batch_size : (batch + 1) * batch_size][part])
            step = (epoch + 1) * steps_per_epoch
