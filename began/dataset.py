"""Unlabelled utterances to a chunk store on disk, and the store to shuffled batches, both at constant memory."""

from __future__ import annotations

import json
import os
import threading
import time
from collections import OrderedDict, deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from began.audio import stream_chunks
from began.errors import InputError
from began.files import lock_folder, write_atomically, write_npy_header, write_text
from began.spectrogram import SpectrogramConfig, compute_spectrograms

FILES_PER_SHARD = 256
"""Files behind one shard: what an interrupted preparation has to do again at most."""

MAX_OPEN_SHARDS = 256
"""Shards that a store keeps open: the whole LibriSpeech has more than a process may open files."""


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
    """Decodes, cuts and transforms sound files into shards of spectrograms, and returns them as a store.

    Shards that an interrupted call has finished are kept. Half precision halves the disk (32 kB a second of speech);
    its rounding, at most 0.0005 of the log range, lies far below the reconstruction error.

    Args:
        paths: sound files, in an order that is the same in every call.
        folder: of the store; made where it is missing.
        config: of the spectrograms.
        tail: see `began.audio.cut_chunks`. The default keeps padded silence out of the training data.
        workers: threads (decoding and the Fourier transform leave Python's lock); None takes one a core.
        wait: while another process prepares this folder, wait instead of refusing.
        progress: wraps an iteration over all files, e.g. `lambda files: tqdm(files, total=len(paths))`.
    Raises:
        InputError: a file cannot be read; the folder holds a store of other files or settings; no file gives a chunk.
    """
    folder = Path(folder)
    # By name, not by path: a corpus that moved is still the same corpus.
    sources = [{"file": Path(path).name, "bytes": Path(path).stat().st_size} for path in paths]
    description = {"spectrogram": config.to_dict(), "tail": tail, "files_per_shard": FILES_PER_SHARD, "sources": sources}
    with _lock_or_wait(folder) if wait else lock_folder(folder):
        _claim_folder(folder, description)
        for _ in progress(_write_shards(folder, paths, config, tail, workers or len(os.sched_getaffinity(0)))):
            pass
    return ChunkStore(folder)


@contextmanager
def _lock_or_wait(folder: Path) -> Iterator[None]:
    import filelock

    with ExitStack() as stack:
        while True:
            try:
                stack.enter_context(lock_folder(folder))
                break
            except InputError as error:
                if not isinstance(error.__cause__, filelock.Timeout):
                    raise
                time.sleep(1.0)
        yield


def _claim_folder(folder: Path, description: dict[str, Any]) -> None:
    path = folder / "store.json"
    if not path.exists():
        write_text(path, json.dumps(description, indent=1))
        return
    try:
        stored = dict(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError) as error:
        raise InputError.about(
            path,
            found=f"a damaged description of a chunk store ({error})",
            expected="a whole one",
            action="remove its folder, and run the preparation again",
        ) from error
    differing = [name for name in description if stored.get(name) != description[name]]
    if differing:
        raise InputError.about(
            folder,
            found=f"a chunk store with other {', '.join(differing)}",
            expected="an empty folder, or the store of the same files and settings",
            action="remove the folder, or choose another",
        )


def _write_shards(
    folder: Path, paths: Sequence[str | os.PathLike[str]], config: SpectrogramConfig, tail: str, workers: int
) -> Iterator[str | os.PathLike[str]]:
    """Writes the shards that are not there yet, and yields every file when it is done.

    A shard is written through a header with room for the final count, so that only a few files are in memory. One
    thread flushes a finished shard to the disk while the others decode for the next.
    """
    shards = {
        folder / f"shard-{number:05d}.npy": paths[first : first + FILES_PER_SHARD]
        for number, first in enumerate(range(0, len(paths), FILES_PER_SHARD))
    }
    missing = {target: shard for target, shard in shards.items() if not target.exists()}
    for target, shard in shards.items():
        if target not in missing:
            yield from shard
    shape = (config.n_bins, config.n_frames)
    stop = threading.Event()
    with ThreadPoolExecutor(workers) as pool, ThreadPoolExecutor(1) as finisher:
        try:
            jobs = (pool.submit(_read_spectrograms, path, config, tail, stop) for shard in missing.values() for path in shard)
            results = _hold_ready(jobs, 2 * workers + 2)
            finished = finisher.submit(int)
            for target, shard in missing.items():
                with ExitStack() as stack:
                    file = stack.enter_context(open(stack.enter_context(write_atomically(target)), "wb"))
                    n_chunks = 0
                    write_npy_header(file, "<f2", (n_chunks, *shape))
                    for path in shard:
                        spectrograms = next(results).result()
                        file.write(spectrograms.data)
                        n_chunks += len(spectrograms)
                        yield path
                    file.seek(0)
                    write_npy_header(file, "<f2", (n_chunks, *shape))
                    finished.result()
                    finished = finisher.submit(stack.pop_all().close)
            finished.result()
        finally:  # an error, or Ctrl-C: do not decode what is still waiting
            stop.set()
            pool.shutdown(wait=False, cancel_futures=True)


def _hold_ready(jobs: Iterator[Future], count: int) -> Iterator[Future]:
    """Yields jobs in order, having started `count` of them ahead."""
    started = deque(islice(jobs, count))
    while started:
        yield started.popleft()
        started.extend(islice(jobs, 1))


def _read_spectrograms(path: str | os.PathLike[str], config: SpectrogramConfig, tail: str, stop: threading.Event) -> np.ndarray:
    blocks = []
    for chunks in stream_chunks(path, tail=tail):
        if stop.is_set():
            break
        blocks.append(compute_spectrograms(chunks, config, dtype="<f2"))
    if len(blocks) == 1:
        return blocks[0]
    return np.concatenate([np.zeros((0, config.n_bins, config.n_frames), "<f2"), *blocks])


class ChunkStore:
    """Spectrograms on disk, read a batch at a time.

    Attributes:
        config: SpectrogramConfig of the chunks.
        n_chunks: how many there are.

    Raises:
        InputError: the folder holds no complete store, or one without a chunk.
    """

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        self.folder = Path(folder)
        try:
            description = json.loads((self.folder / "store.json").read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise InputError.about(
                self.folder,
                found=f"no readable store.json ({error})",
                expected="a chunk store",
                action="remove the folder and prepare it again",
            ) from error
        self.config = SpectrogramConfig.from_dict(description["spectrogram"])
        n_shards = -(-len(description["sources"]) // description["files_per_shard"])
        self._chunk_shape = (self.config.n_bins, self.config.n_frames)
        self._chunk_bytes = int(np.prod(self._chunk_shape)) * 2
        self._paths, self._offsets, counts = [], [], []
        for number in range(n_shards):
            path = self.folder / f"shard-{number:05d}.npy"
            offset, n_chunks = self._check_shard(path, n_shards)
            self._paths.append(path)
            self._offsets.append(offset)
            counts.append(n_chunks)
        self._first = np.concatenate([[0], np.cumsum(counts, dtype=np.int64)])
        self.n_chunks = int(self._first[-1])
        if self.n_chunks == 0:
            raise InputError.about(
                self.folder,
                found="no chunk: every utterance is shorter than a second",
                expected="at least one second of speech",
                action="give longer recordings, or another tail",
            )
        self._open: OrderedDict[int, Any] = OrderedDict()

    def _check_shard(self, path: Path, n_shards: int) -> tuple[int, int]:
        """Returns where a shard's chunks begin, and how many there are."""
        if not path.is_file():
            raise InputError.about(
                path,
                found="no such shard",
                expected=f"{n_shards} finished shards",
                action="run the preparation again; it goes on where it was",
            )
        with open(path, "rb") as file:
            try:
                np.lib.format.read_magic(file)
                shape, _, dtype = np.lib.format.read_array_header_1_0(file)
            except ValueError as error:
                shape, dtype = (0,), error
            offset, found = file.tell(), path.stat().st_size
        if shape[1:] != self._chunk_shape or dtype != np.dtype("<f2") or found != offset + shape[0] * self._chunk_bytes:
            raise InputError.about(
                path,
                found=f"a damaged shard ({found} bytes)",
                expected="a whole one",
                action="remove it and run the preparation again; it goes on where it was",
            )
        return offset, shape[0]

    def read(self, indices: np.ndarray) -> np.ndarray:
        """Returns chunks by number: float32, shape (len(indices), n_bins, n_frames, 1).

        Plain reads, not a memory map: mapped pages would count as the process's memory, and grow with the store.
        """
        chunks = np.empty((len(indices), *self._chunk_shape), "<f2")
        shards = np.searchsorted(self._first, indices, side="right") - 1
        for row, (index, shard) in enumerate(zip(indices, shards.tolist(), strict=True)):
            offset = self._offsets[shard] + int(index - self._first[shard]) * self._chunk_bytes
            os.preadv(self._open_shard(shard).fileno(), [chunks[row].view(np.uint8)], offset)
        return chunks.astype(np.float32)[..., np.newaxis]

    def _open_shard(self, shard: int) -> Any:
        if shard in self._open:
            self._open.move_to_end(shard)
        else:
            self._open[shard] = open(self._paths[shard], "rb", buffering=0)
            if len(self._open) > MAX_OPEN_SHARDS:
                self._open.popitem(last=False)[1].close()
        return self._open[shard]

    def close(self) -> None:
        """Closes the shards; a later read opens them again."""
        while self._open:
            self._open.popitem()[1].close()

    def steps_per_epoch(self, batch_size: int) -> int:
        """Returns how many full batches one pass over the store gives; the rest of a pass is left out.

        Raises:
            InputError: the store is smaller than one batch.
        """
        if self.n_chunks < batch_size:
            raise InputError.about(
                self.folder,
                found=f"{self.n_chunks} chunks",
                expected=f"at least a batch ({batch_size})",
                action="give more speech, or a smaller batch",
            )
        return self.n_chunks // batch_size

    def batches(self, batch_size: int, seed: int, first_step: int = 0, shard: tuple[int, int] = (0, 1)) -> Iterator[np.ndarray]:
        """Yields batches without end, every pass in an order of its own that depends on seed and pass alone.

        So a run that starts at `first_step` sees what an uninterrupted one would see from there on.

        Args:
            batch_size: chunks in a batch, over all processes.
            seed: of the shuffling.
            first_step: number of the first batch, counted from the start of the training.
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
