"""Processes that train heads side by side; `training.train_heads` and the search use them.

The number of threads decides the order of floating-point sums. Every worker therefore has one, and a head's weights
are bit-identical for a seed, whatever the number of workers.
"""

from __future__ import annotations

import mmap
import multiprocessing
import os
import signal
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd

from began.errors import InputError
from began.startup import start_backend
from classifiers.heads import build_head, resolve_parameters
from classifiers.trained import TrainedHead, count_columns
from classifiers.training import HeadJob, train_job

HEADS_PER_WORKER = 100
"""Heads after which a worker is replaced: TensorFlow keeps about 9 MB of every graph it has traced."""


@contextmanager
def head_workers(workers: int = 1) -> Iterator[HeadWorkers]:
    """This process' workers, started once and kept for later calls; an error, Ctrl-C included, ends them at once.

    Raises:
        InputError: fewer than one worker.
    """
    global _workers
    if workers < 1:
        raise InputError.about("workers", found=workers, expected="at least 1", action="give a number of processes")
    if _workers is None or _workers.workers != workers or _workers.n_heads >= HEADS_PER_WORKER * workers:
        if _workers is not None:
            _workers.stop()
        _workers = HeadWorkers(workers)
    try:
        yield _workers
    except BaseException:
        if _workers is not None:
            _workers.stop()
            _workers = None
        raise


class HeadWorkers:
    """Processes that train heads, on one TensorFlow thread and the CPU each; features reach them as mapped files.

    One worker is this process itself where it already runs on one thread. Made by `head_workers`.
    """

    def __init__(self, workers: int) -> None:
        self.workers = workers
        self.n_heads = 0
        self._stored: dict[int, tuple[np.ndarray, StoredArray]] = {}
        self._pool: ProcessPoolExecutor | None = None
        if workers > 1 or not _on_one_thread():
            context = multiprocessing.get_context("spawn")  # TensorFlow does not survive a fork
            self._folder = tempfile.TemporaryDirectory(prefix="features-")
            self._pool = ProcessPoolExecutor(workers, context, initializer=_start_worker)

    def submit(self, jobs: Sequence[HeadJob]) -> list[PendingHead]:
        """Starts heads that one worker trains one after the other: where they are alike, they share their graphs.

        Where this process is the worker, they are trained when their results are asked for.
        """
        if self._pool is None:
            return [PendingHead(job, None) for job in jobs]
        self.n_heads += len(jobs)
        stored = [replace(job, features=self._store(job.features)) for job in jobs]
        future = self._pool.submit(_train_in_worker, stored)
        return [PendingHead(job, future, number) for number, job in enumerate(jobs)]

    def stop(self) -> None:
        """Ends the processes, without waiting for heads half trained."""
        if self._pool is not None:
            for process in list((self._pool._processes or {}).values()):  # from Python 3.14 on: kill_workers
                process.kill()
            ending = threading.Thread(target=self._pool.shutdown, kwargs={"cancel_futures": True}, daemon=True)
            ending.start()
            ending.join(1.0)
            self._folder.cleanup()

    def _store(self, features: np.ndarray) -> StoredArray:
        """Where workers find the features: the memory-mapped file they come from, or a private copy, written once."""
        if id(features) not in self._stored:
            # The array itself is kept beside, so that no other array gets its id.
            self._stored[id(features)] = (features, store_array(features, self._folder.name))
        return self._stored[id(features)][1]


_workers: HeadWorkers | None = None


class PendingHead:
    """A head that is being trained."""

    def __init__(self, job: HeadJob, future: Future | None, number: int = 0) -> None:
        self.job, self._future, self._number = job, future, number
        self._trained: TrainedHead | None = None

    def history(self) -> tuple[pd.DataFrame, int, float]:
        """Waits for the head; its history, best epoch and seconds of training."""
        if self._future is None:
            trained = self.result()
            return trained.history, trained.best_epoch, trained.seconds
        _, _, history, best_epoch, seconds = self._future.result()[self._number]
        return pd.DataFrame(history), best_epoch, seconds

    def result(self) -> TrainedHead:
        """Waits for the head.

        Raises:
            InputError, FloatingPointError: see `train_head`.
        """
        if self._trained is None and self._future is None:
            self._trained = train_job(self.job)
        elif self._trained is None:
            weights, n_outputs, history, best_epoch, seconds = self._future.result()[self._number]
            job, parameters = self.job, resolve_parameters(self.job.task, self.job.parameters)
            head = build_head(job.task, job.features.shape[1:], n_outputs, parameters, job.seed)
            head.set_weights(weights)
            head.get_layer("normalization").finalize_state()
            self._trained = TrainedHead(head, job.task, parameters, pd.DataFrame(history), best_epoch, seconds)
        return self._trained


@dataclass(frozen=True)
class StoredArray:
    """An array in a file, without its values."""

    path: str
    dtype: str
    shape: tuple[int, ...]
    offset: int

    def open(self) -> np.ndarray:
        return np.memmap(self.path, self.dtype, "r", self.offset, self.shape)


def store_array(array: np.ndarray, folder: str | os.PathLike[str]) -> StoredArray:
    """Where another process finds an array: the file it is memory-mapped from, or a copy written to `folder`."""
    if isinstance(array, np.memmap) and isinstance(array.base, mmap.mmap) and array.flags.c_contiguous:
        return StoredArray(str(Path(array.filename).resolve()), array.dtype.str, array.shape, array.offset)
    handle, path = tempfile.mkstemp(suffix=".raw", dir=folder)
    with os.fdopen(handle, "wb") as file:
        np.ascontiguousarray(array).tofile(file)
    return StoredArray(path, array.dtype.str, array.shape, 0)


def _on_one_thread() -> bool:
    """Whether TensorFlow in this process runs on the CPU with one thread an operation."""
    import tensorflow as tf

    set_here = tf.config.threading.get_intra_op_parallelism_threads()
    threads = set_here or int(os.environ.get("TF_NUM_INTRAOP_THREADS", 0))
    return threads == 1 and not tf.config.get_visible_devices("GPU")


def _start_worker() -> None:
    """Prepares a worker process: one thread, no GPU, no Ctrl-C of its own, and no life after its parent's."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = multiprocessing.parent_process()

    def watch() -> None:
        while parent.is_alive():
            time.sleep(0.25)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
    start_backend()
    import tensorflow as tf

    tf.config.threading.set_intra_op_parallelism_threads(1)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    tf.config.set_visible_devices([], "GPU")


def _train_in_worker(jobs: Sequence[HeadJob]) -> list[tuple[list[np.ndarray], int, list[dict[str, float]], int, float]]:
    """Each head's weights, number of outputs, history, best epoch and seconds, for `PendingHead`."""
    trained = []
    for job in jobs:
        head = train_job(replace(job, features=job.features.open()))
        history = head.history.to_dict("records")
        trained.append((head.model.get_weights(), count_columns(head.model), history, head.best_epoch, head.seconds))
    return trained
