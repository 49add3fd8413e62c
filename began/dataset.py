"""Unlabelled utterances to a chunk store on disk, and the store to shuffled batches, both at constant memory."""

from __future__ import annotations

import json
import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from began.audio import stream_chunks
from began.errors import InputError
from began.files import lock_folder, write_atomically, write_text
from began.spectrogram import SpectrogramConfig, compute_spectrograms

FILES_PER_SHARD = 256
"""Files behind one shard: what an interrupted preparation has to do again at most."""


def prepare_chunk_store(paths: Sequence[str | os.PathLike[str]], folder: str | os.PathLike[str],
                        config: SpectrogramConfig, *, tail: str = "drop", workers: int | None = None,
                        progress: Callable[[Iterable], Iterable] = lambda shards: shards) -> ChunkStore:
    """Decodes, cuts and transforms sound files into shards of spectrograms, and returns them as a store.

    Shards that an interrupted call has finished are kept. Half precision halves the disk (32 kB a second of speech);
    its rounding, at most 0.0005 of the log range, lies far below the reconstruction error.

    Args:
        paths: sound files, in an order that is the same in every call.
        folder: of the store; made where it is missing.
        config: of the spectrograms.
        tail: see `began.audio.cut_chunks`. The default keeps padded silence out of the training data.
        workers: threads (decoding and the Fourier transform leave Python's lock); None takes one a core.
        progress: wraps the iteration over the shards, e.g. tqdm.
    Raises:
        InputError: a file cannot be read; the folder holds a store of other files or settings; no file gives a chunk.
    """
    folder = Path(folder)
    # By name, not by path: a corpus that moved is still the same corpus.
    sources = [{"file": Path(path).name, "bytes": Path(path).stat().st_size} for path in paths]
    description = {"spectrogram": config.to_dict(), "tail": tail, "files_per_shard": FILES_PER_SHARD, "sources": sources}
    with lock_folder(folder):
        _claim_folder(folder, description)
        shards = [paths[i: i + FILES_PER_SHARD] for i in range(0, len(paths), FILES_PER_SHARD)]
        with ThreadPoolExecutor(workers or os.cpu_count()) as pool:
            for number, shard in enumerate(progress(shards)):
                target = folder / f"shard-{number:05d}.npy"
                if not target.exists():
                    _write_shard(target, shard, config, tail, pool)
    return ChunkStore(folder)


def _claim_folder(folder: Path, description: dict[str, Any]) -> None:
    path = folder / "store.json"
    if not path.exists():
        write_text(path, json.dumps(description, indent=1))
        return
    stored = json.loads(path.read_text(encoding="utf-8"))
    differing = [name for name in description if stored.get(name) != description[name]]
    if differing:
        raise InputError.about(folder, found=f"a chunk store with other {', '.join(differing)}",
                               expected="an empty folder, or the store of the same files and settings",
                               action="remove the folder, or choose another")


def _write_shard(target: Path, paths: Sequence[str | os.PathLike[str]], config: SpectrogramConfig, tail: str,
                 pool: ThreadPoolExecutor) -> None:
    """Writes one shard through a header with room for the final count, never holding more than a few files."""
    shape = (config.n_bins, config.n_frames)
    with write_atomically(target) as temporary, open(temporary, "wb") as file:
        n_chunks = 0
        _write_header(file, n_chunks, shape)
        waiting: deque = deque()
        for path in [*paths, *[None] * 8]:
            if path is not None:
                waiting.append(pool.submit(_read_spectrograms, path, config, tail))
            if len(waiting) > 8 or (path is None and waiting):
                spectrograms = waiting.popleft().result()
                spectrograms.tofile(file)
                n_chunks += len(spectrograms)
        file.seek(0)
        _write_header(file, n_chunks, shape)


def _write_header(file: Any, n_chunks: int, shape: tuple[int, int]) -> None:
    # NumPy pads the header so that a growing first dimension never moves the data.
    np.lib.format.write_array_header_1_0(
        file, {"descr": "<f2", "fortran_order": False, "shape": (n_chunks, *shape)})


def _read_spectrograms(path: str | os.PathLike[str], config: SpectrogramConfig, tail: str) -> np.ndarray:
    blocks = [compute_spectrograms(chunks, config).astype("<f2") for chunks in stream_chunks(path, tail=tail)]
    return np.concatenate(blocks) if blocks else np.zeros((0, config.n_bins, config.n_frames), "<f2")


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
            raise InputError.about(self.folder, found=f"no readable store.json ({error})", expected="a chunk store",
                                   action="remove the folder and prepare it again") from error
        self.config = SpectrogramConfig.from_dict(description["spectrogram"])
        n_shards = -(-len(description["sources"]) // description["files_per_shard"])
        self._chunk_shape = (self.config.n_bins, self.config.n_frames)
        self._chunk_bytes = int(np.prod(self._chunk_shape)) * 2
        self._files, self._offsets, counts = [], [], []
        for number in range(n_shards):
            path = self.folder / f"shard-{number:05d}.npy"
            if not path.is_file():
                raise InputError.about(path, found="no such shard", expected=f"{n_shards} finished shards",
                                       action="run the preparation again; it goes on where it was")
            file = open(path, "rb", buffering=0)  # noqa: SIM115 - kept open for the life of the store
            np.lib.format.read_magic(file)
            shape, _, _ = np.lib.format.read_array_header_1_0(file)
            self._files.append(file)
            self._offsets.append(file.tell())
            counts.append(shape[0])
        self._first = np.concatenate([[0], np.cumsum(counts, dtype=np.int64)])
        self.n_chunks = int(self._first[-1])
        if self.n_chunks == 0:
            raise InputError.about(self.folder, found="no chunk: every utterance is shorter than a second",
                                   expected="at least one second of speech", action="give longer recordings, or another tail")

    def read(self, indices: np.ndarray) -> np.ndarray:
        """Returns chunks by number: float32, shape (len(indices), n_bins, n_frames, 1).

        Plain reads, not a memory map: mapped pages would count as the process's memory, and grow with the store.
        """
        chunks = np.empty((len(indices), *self._chunk_shape), "<f2")
        shards = np.searchsorted(self._first, indices, side="right") - 1
        for row, (index, shard) in enumerate(zip(indices, shards, strict=True)):
            offset = self._offsets[shard] + int(index - self._first[shard]) * self._chunk_bytes
            os.preadv(self._files[shard].fileno(), [chunks[row].view(np.uint8)], offset)
        return chunks.astype(np.float32)[..., np.newaxis]

    def steps_per_epoch(self, batch_size: int) -> int:
        """Returns how many full batches one pass over the store gives; the rest of a pass is left out.

        Raises:
            InputError: the store is smaller than one batch.
        """
        if self.n_chunks < batch_size:
            raise InputError.about(self.folder, found=f"{self.n_chunks} chunks", expected=f"at least a batch ({batch_size})",
                                   action="give more speech, or a smaller batch")
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
                yield self.read(order[batch * batch_size: (batch + 1) * batch_size][part])
            step = (epoch + 1) * steps_per_epoch
