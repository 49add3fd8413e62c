"""Many heads side by side: on processes of this machine, or on a Spark cluster.

The number of threads decides the order of floating-point sums. Every worker therefore has one, and a head's scores are
bit-identical for a seed, whatever the number of workers and wherever they are.
"""

from __future__ import annotations

import functools
import importlib.util
import mmap
import multiprocessing
import os
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import BrokenExecutor, ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from began.errors import InputError
from began.startup import start_backend
from classifiers.training import HeadJob, train_head

ONE_THREAD = {"TF_NUM_INTRAOP_THREADS": "1", "TF_NUM_INTEROP_THREADS": "1"}

HEADS_PER_WORKER = 100
"""Heads after which a worker is replaced: TensorFlow keeps about 9 MB of every graph it has traced."""


@dataclass(frozen=True)
class HeadResult:
    """What a worker returns of a head, see `training.TrainedHead`."""

    scores: np.ndarray | None
    history: pd.DataFrame
    best_epoch: int
    seconds: float


Wait = Callable[[], list[HeadResult]]
"""Waits for heads that are being trained, and returns their results or raises what `train_head` raised."""

Submit = Callable[[Sequence[HeadJob]], Wait]
"""Starts heads that one worker trains one after the other, so that those alike share their graphs."""


def train_heads(jobs: Sequence[HeadJob], workers: int = 1, progress: str | None = "training heads") -> list[HeadResult]:
    """Trains many heads, each on one thread; the results are those of `jobs` in order, whatever the number of workers.

    Args:
        jobs: heads to train.
        workers: processes at a time.
        progress: text beside the progress bar; None shows none.
    Raises:
        InputError, FloatingPointError: see `train_head`.
    """
    from tqdm.auto import tqdm

    with head_workers(workers) as submit:
        pending = [submit([job]) for job in jobs]
        return [wait()[0] for wait in tqdm(pending, desc=progress, unit="head", disable=progress is None)]


@contextmanager
def head_workers(workers: int = 1) -> Iterator[Submit]:
    """This process' workers, started once and kept for later calls; an error, Ctrl-C included, ends them at once.

    Raises:
        InputError: fewer than one worker; a worker was killed.
    """
    global _processes
    if workers < 1:
        raise InputError.about("workers", found=workers, expected="at least 1", action="give a number of processes")
    if workers == 1 and _is_on_one_thread():
        yield lambda jobs: functools.partial(_train, jobs)  # in this process, when the results are asked for
        return
    if _processes is not None and (_processes.workers != workers or _processes.n_heads >= HEADS_PER_WORKER * workers):
        _processes.stop()
        _processes = None
    _processes = _processes or _Processes(workers)
    try:
        yield _processes.submit
    except BaseException as error:
        if _processes is not None:
            _processes.stop()
            _processes = None
        if isinstance(error, BrokenExecutor):
            action = "free some memory or lower --workers; the same command goes on from there"
            raise InputError.about("worker", found="that it was killed", expected="enough memory", action=action) from error
        raise


class _Processes:
    """Worker processes, with one TensorFlow thread on the CPU each; features reach them as memory-mapped files."""

    def __init__(self, workers: int) -> None:
        self.workers, self.n_heads = workers, 0
        self._folder = tempfile.TemporaryDirectory(prefix="features-")
        self._features = _FeatureFiles(self._folder.name)
        context = multiprocessing.get_context("spawn")  # TensorFlow does not survive a fork
        self._pool = ProcessPoolExecutor(workers, context, initializer=_start_process)

    def submit(self, jobs: Sequence[HeadJob]) -> Wait:
        self.n_heads += len(jobs)
        return self._pool.submit(_train, self._features.store(jobs)).result

    def stop(self) -> None:
        """Ends the processes, without waiting for heads half trained."""
        for process in list((self._pool._processes or {}).values()):  # from Python 3.14 on: kill_workers
            process.kill()
        ending = threading.Thread(target=self._pool.shutdown, kwargs={"cancel_futures": True}, daemon=True)
        ending.start()
        ending.join(1.0)
        self._folder.cleanup()


_processes: _Processes | None = None


def _start_process() -> None:
    """Prepares a worker process: one thread, no GPU, no Ctrl-C of its own, and no life after its parent's."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = multiprocessing.parent_process()

    def watch() -> None:
        while parent.is_alive():
            time.sleep(0.25)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
    os.environ.update(ONE_THREAD)
    start_backend()
    import tensorflow as tf

    tf.config.set_visible_devices([], "GPU")


def _is_on_one_thread() -> bool:
    """Whether TensorFlow in this process runs on the CPU with one thread per operation."""
    import tensorflow as tf

    return os.environ.get("TF_NUM_INTRAOP_THREADS") == "1" and not tf.config.get_visible_devices("GPU")


def _train(jobs: Sequence[HeadJob]) -> list[HeadResult]:
    """Trains heads in this process; features that are a function are opened by it."""
    results = []
    for job in jobs:
        head = train_head(replace(job, features=job.features() if callable(job.features) else job.features))
        results.append(HeadResult(head.scores, head.history, head.best_epoch, head.seconds))
    return results


class _FeatureFiles:
    """Features as files that other processes map into memory: the file they are mapped from, or a copy, written once."""

    def __init__(self, folder: str) -> None:
        self._folder = folder
        # The arrays themselves are kept beside, so that no other array gets the id of one of them.
        self._stored: dict[int, tuple[np.ndarray, Callable[[], np.ndarray]]] = {}

    def store(self, jobs: Sequence[HeadJob]) -> list[HeadJob]:
        """The jobs, with functions that open their features in place of the features."""
        for features in (job.features for job in jobs):
            if id(features) not in self._stored:
                self._stored[id(features)] = features, self._write(features)
        return [replace(job, features=self._stored[id(job.features)][1]) for job in jobs]

    def _write(self, array: np.ndarray) -> Callable[[], np.ndarray]:
        if isinstance(array, np.memmap) and isinstance(array.base, mmap.mmap) and array.flags.c_contiguous:
            path = str(Path(array.filename).resolve())
            return functools.partial(np.memmap, path, array.dtype, "r", array.offset, array.shape)
        path = str(Path(self._folder, f"{len(self._stored)}.npy"))
        np.save(path, array)
        return functools.partial(np.load, path, mmap_mode="r")


@contextmanager
def spark_workers(master: str, workers: int, folder: str | os.PathLike[str] | None) -> Iterator[Submit]:
    """The workers of a Spark cluster, whose machines share this one's file system.

    Args:
        master: URL of the Spark master ("local[2]", "spark://...").
        workers: tasks at a time.
        folder: where features are kept for the machines to open; every one of them must reach it.
    Raises:
        InputError: pyspark is not installed.
    """
    if importlib.util.find_spec("pyspark") is None:
        found, action = "no pyspark in this Python", "install it (pip install pyspark), or use --workers alone"
        raise InputError.about(f"Spark master {master}", found=found, expected="pyspark and a Java runtime", action=action)
    from pyspark.sql import SparkSession

    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
    context = SparkSession.builder.master(master).config("spark.ui.showConsoleProgress", "false").getOrCreate().sparkContext
    threads = ThreadPoolExecutor(workers)

    def run(jobs: Sequence[HeadJob]) -> list[HeadResult]:
        (outcome,) = context.parallelize([jobs], 1).map(_train_on_spark).collect()
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    with tempfile.TemporaryDirectory(prefix="features-", dir=folder) as private:
        features = _FeatureFiles(private)
        try:
            yield lambda jobs: threads.submit(run, features.store(jobs)).result
        except BaseException:
            context.cancelAllJobs()
            raise
        finally:
            threads.shutdown(wait=False, cancel_futures=True)


def _train_on_spark(jobs: Sequence[HeadJob]) -> Any:
    """The results of a Spark task, or an error that no second try would mend, and that Spark should not wrap."""
    os.environ.update(ONE_THREAD, CUDA_VISIBLE_DEVICES="-1")
    try:
        return _train(jobs)
    except (FloatingPointError, InputError) as error:
        return error
