"""Unlabelled utterances to a chunk store on disk, and the store to shuffled batches, both at constant memory."""

from __future__ import annotations

import json
import math
import os
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from began.audio import split_part
from began.errors import InputError
from began.files import lock_folder, write_npy, write_text
from began.front_end import stream_chunks
from began.spectrogram import SpectrogramConfig, compute_spectrograms
from began.startup import count_cores

FILES_PER_SHARD = 256
"""Files behind one shard: what an interrupted preparation has to do again at most."""


def prepare_chunk_store(
    paths: Sequence[str | os.PathLike[str]],
    folder: str | os.PathLike[str],
    config: SpectrogramConfig,
    *,
    tail: str = "drop",
    workers: int | None = None,
    wait: bool = False,
    progress: Callable[[Iterable], Iterable] = lambda files: files,
) -> ChunkStore:
    """Decodes, cuts and transforms sound files into shards of spectrograms in a folder, and returns them as a store.

    Shards that an interrupted call has finished are kept. Half precision halves the disk (32 kB a second of speech);
    its rounding, at most 0.0005 of the log range, lies far below the reconstruction error.

    Args:
        paths: sound files, in an order that is the same in every call.
        tail: see `began.audio.cut_chunks`. The default keeps padded silence out of the training data.
        workers: threads (decoding and the Fourier transform leave Python's lock); None takes one per core.
        wait: while another process prepares this folder, wait instead of refusing.
        progress: wraps an iteration over all files, e.g. `lambda files: tqdm(files, total=len(paths))`.
    Raises:
        InputError: a file cannot be read; the folder holds a store of other files or settings; no file gives a chunk.
    """
    folder = Path(folder)
    # By name, not by path: a corpus that moved is still the same corpus.
    sources = [{"file": Path(path).name, "bytes": split_part(path)[0].stat().st_size} for path in paths]
    description = {"spectrogram": config.to_dict(), "tail": tail, "files_per_shard": FILES_PER_SHARD, "sources": sources}
    with lock_folder(folder, wait):
        _claim_folder(folder / "store.json", description)
        for _ in progress(_write_shards(folder, paths, config, tail, workers or count_cores())):
            pass
    return ChunkStore(folder)


def _claim_folder(path: Path, description: dict[str, Any]) -> None:
    """Writes the store's description, or compares it with the one that is there."""
    if not path.exists():
        write_text(path, json.dumps(description, indent=1))
        return
    stored = _read_description(path)
    differing = [name for name in description if stored.get(name) != description[name]]
    if differing:
        found, expected = f"a chunk store with other {', '.join(differing)}", "the store of the same files and settings"
        raise InputError.about(path.parent, found, expected, "remove the folder, or choose another")


def _read_description(path: Path) -> dict[str, Any]:
    try:
        stored = dict(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError) as error:
        found = f"a damaged description of a chunk store ({error})"
        raise InputError.about(path, found, "a whole one", "remove its folder, and run the preparation again") from error
    if "spectrogram" in stored:  # of whichever version wrote it
        stored["spectrogram"] = SpectrogramConfig.from_dict(stored["spectrogram"], path).to_dict()
    return stored


def _write_shards(
    folder: Path, paths: Sequence[str | os.PathLike[str]], config: SpectrogramConfig, tail: str, workers: int
) -> Iterator[str | os.PathLike[str]]:
    """Writes the shards that are not there yet, and yields every file when it is done.

    One thread flushes a finished shard to the disk while the others decode for the next.
    """
    firsts = range(0, len(paths), FILES_PER_SHARD)
    shards = {folder / f"shard-{number:05d}.npy": paths[first : first + FILES_PER_SHARD] for number, first in enumerate(firsts)}
    missing = {target: shard for target, shard in shards.items() if not target.exists()}
    yield from (path for target, shard in shards.items() if target not in missing for path in shard)
    stop = threading.Event()
    with ThreadPoolExecutor(workers) as pool, ThreadPoolExecutor(1) as finisher:
        try:
            jobs = (pool.submit(_read_spectrograms, path, config, tail, stop) for shard in missing.values() for path in shard)
            results = _start_ahead(jobs, 2 * workers + 2)
            finished = finisher.submit(int)
            for target, shard in missing.items():
                with ExitStack() as stack:
                    append = stack.enter_context(write_npy(target, "<f2", (config.n_bins, config.n_frames)))
                    for path in shard:
                        append(next(results).result())
                        yield path
                    finished.result()
                    finished = finisher.submit(stack.pop_all().close)
            finished.result()
        finally:  # an error, or Ctrl-C: do not decode what is still waiting
            stop.set()
            pool.shutdown(wait=False, cancel_futures=True)


def _start_ahead(jobs: Iterator[Future], n_ahead: int) -> Iterator[Future]:
    """Yields jobs in order, having started `n_ahead` of them ahead."""
    started = deque(islice(jobs, n_ahead))
    while started:
        yield started.popleft()
        started.extend(islice(jobs, 1))


def _read_spectrograms(path: str | os.PathLike[str], config: SpectrogramConfig, tail: str, stop: threading.Event) -> np.ndarray:
    blocks = [np.zeros((0, config.n_bins, config.n_frames), "<f2")]
    for chunks in stream_chunks(path, config.front_end, tail=tail):
        if stop.is_set():
            break
        blocks.append(compute_spectrograms(chunks, config, dtype="<f2"))
    return blocks[-1] if len(blocks) <= 2 else np.concatenate(blocks)


class ChunkStore:
    """Spectrograms on disk, read a batch at a time: `n_chunks` of them, made with the settings `config`.

    Raises:
        InputError: the folder holds no complete store, or one without a chunk.
    """

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        self.folder = Path(folder)
        description = _read_description(self.folder / "store.json")
        self.config = SpectrogramConfig.from_dict(description["spectrogram"])
        n_shards = math.ceil(len(description["sources"]) / description["files_per_shard"])
        self._paths = [self.folder / f"shard-{number:05d}.npy" for number in range(n_shards)]
        checked = [self._check_shard(path) for path in self._paths]
        self._offsets = [offset for offset, _ in checked]
        self._first = np.cumsum([0, *(n_chunks for _, n_chunks in checked)])
        self.n_chunks = int(self._first[-1])
        if self.n_chunks == 0:
            found, expected = "no chunk: every utterance is shorter than a second", "at least one second of speech"
            raise InputError.about(self.folder, found, expected, "give longer recordings, or another tail")

    def _check_shard(self, path: Path) -> tuple[int, int]:
        """Returns where a shard's chunks begin, and how many there are."""
        action = "run the preparation again; it goes on where it was"
        if not path.is_file():
            raise InputError.about(path, "no such shard", f"{len(self._paths)} finished shards", action)
        try:
            shard = np.lib.format.open_memmap(path, mode="r")
            whole = path.stat().st_size == shard.offset + shard.nbytes
        except (OSError, ValueError):
            whole = False
        if not whole or shard.shape[1:] != (self.config.n_bins, self.config.n_frames) or shard.dtype != np.dtype("<f2"):
            raise InputError.about(path, "a damaged shard", "a whole one", f"remove it and {action}")
        return shard.offset, len(shard)

    def read(self, indices: np.ndarray) -> np.ndarray:
        """Returns chunks by number: float32, shape (len(indices), n_bins, n_frames, 1).

        Plain reads, not a memory map: mapped pages would count as the process's memory, and grow with the store.
        """
        chunks = np.empty((len(indices), self.config.n_bins, self.config.n_frames, 1), np.float32)
        size = self.config.n_bins * self.config.n_frames
        shards = np.searchsorted(self._first, indices, side="right") - 1
        for chunk, index, shard in zip(chunks, indices, shards, strict=True):
            offset = self._offsets[shard] + int(index - self._first[shard]) * size * 2
            chunk.flat[:] = np.fromfile(self._paths[shard], "<f2", size, offset=offset)
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
