"""Many heads side by side: on processes of this machine, or on a Spark cluster.

The number of threads decides the order of floating-point sums. Every worker therefore has one, and a head's scores are
bit-identical for a seed, whatever the number of workers and wherever they are.
"""

import functools
import importlib.util
import mmap
import multiprocessing
import os
import shutil
import signal
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import BrokenExecutor, ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from began.errors import InputError
from began.files import StrPath
from began.startup import start_backend
from classifiers.training import HeadJob, TrainedHead, train_head

ONE_THREAD = {"TF_NUM_INTRAOP_THREADS": "1", "TF_NUM_INTEROP_THREADS": "1"}

HEADS_PER_WORKER = 100
"""Heads after which a worker is replaced: TensorFlow keeps about 9 MB of every graph it has traced."""

Wait = Callable[[], list[TrainedHead]]
"""Waits for heads that are being trained, and returns them without their models or raises what `train_head` raised."""

Submit = Callable[[Sequence[HeadJob]], Wait]
"""Starts a list of heads on one worker, in order; heads of equal shape and parameters share TensorFlow graphs."""


def train_heads(jobs: Sequence[HeadJob], workers: int = 1, progress: str | None = "training heads") -> list[TrainedHead]:
    """Trains many heads, each on one thread; the results, without models, do not depend on the number of workers.

    Args:
        jobs: heads to train; see `train_head`, also for errors.
        workers: processes at a time.
        progress: text beside the progress bar; None shows none.
    """
    from tqdm.auto import tqdm

    with head_workers(workers) as submit:
        pending = [submit([job]) for job in jobs]
        return [wait()[0] for wait in tqdm(pending, desc=progress, unit="head", disable=progress is None)]


@contextmanager
def head_workers(workers: int = 1) -> Iterator[Submit]:
    """This process' workers, started once and kept for later calls; an error, Ctrl-C included, ends them at once.

    Raises:
        InputError: a worker was killed.
    """
    global _processes
    if workers == 1 and _is_on_one_thread():
        yield lambda jobs: functools.partial(_train, jobs)  # in this process, when the results are asked for
        return
    if _processes is not None and (_processes.workers != workers or _processes.n_heads >= HEADS_PER_WORKER * workers):
        _processes.stop()
        _processes = None
    processes = _processes = _processes or _Processes(workers)
    try:
        yield processes.submit
    except BaseException as error:
        processes.stop()
        _processes = None
        if isinstance(error, BrokenExecutor):
            action = "free some memory or lower --workers; the same command goes on from there"
            raise InputError.about("worker", "that it was killed", "enough memory", action) from error
        raise


class _Processes:
    """Worker processes, with one TensorFlow thread on the CPU each; features reach them as memory-mapped files."""

    def __init__(self, workers: int) -> None:
        self.workers, self.n_heads = workers, 0
        self._folder = tempfile.TemporaryDirectory(prefix="features-")
        self._features = _FeatureFiles(self._folder.name)
        context = multiprocessing.get_context("spawn")  # TensorFlow does not survive a fork
        self._pool = ProcessPoolExecutor(workers, context, initializer=_start_process, initargs=(self._folder.name,))

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


def _start_process(folder: str) -> None:
    """Prepares a worker process: one thread, no GPU, no Ctrl-C of its own, and no life after its parent's.

    Args:
        folder: takes its temporary files, such as those of TensorFlow's AutoGraph: a worker that is killed leaves them behind.
    """
    tempfile.tempdir = folder
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    os.environ.update(ONE_THREAD)
    start_backend(["tensorflow"])
    import tensorflow as tf

    tf.config.set_visible_devices([], "GPU")


def _end_with_parent() -> None:
    multiprocessing.parent_process().join()
    os._exit(1)


def _is_on_one_thread() -> bool:
    """Whether TensorFlow in this process runs on the CPU with one thread per operation."""
    import tensorflow as tf

    return os.environ.get("TF_NUM_INTRAOP_THREADS") == "1" and not tf.config.get_visible_devices("GPU")


def _train(jobs: Sequence[HeadJob]) -> list[TrainedHead]:
    """Trains heads in this process; features that are a function are opened by it."""
    opened = [replace(job, features=job.features()) if callable(job.features) else job for job in jobs]
    return [replace(train_head(job), model=None) for job in opened]


class _FeatureFiles:
    """Features as files that other processes map into memory: the file they are mapped from, or a copy, written once."""

    def __init__(self, folder: str) -> None:
        self._folder = folder
        # The arrays themselves are kept beside, so that no other array gets the id of one of them.
        self._stored: dict[int, tuple[np.ndarray, Callable[[], np.ndarray]]] = {}

    def store(self, jobs: Sequence[HeadJob]) -> list[HeadJob]:
        """The jobs, with functions that open their features in place of the features."""
        for job in jobs:
            if id(job.features) not in self._stored:
                self._stored[id(job.features)] = job.features, self._write(job.features)
        opened: dict[int, Any] = {key: opener for key, (_, opener) in self._stored.items()}
        return [replace(job, features=opened[id(job.features)]) for job in jobs]

    def _write(self, array: np.ndarray) -> Callable[[], np.ndarray]:
        whole = array.base if isinstance(array.base, np.memmap) else array  # of a view, which has the offset of the whole
        starts_there = isinstance(whole, np.memmap) and array.ctypes.data == whole.ctypes.data
        if starts_there and isinstance(whole.base, mmap.mmap) and array.flags.c_contiguous:
            return functools.partial(np.memmap, whole.filename, array.dtype, "r", whole.offset, array.shape)
        path = str(Path(self._folder, f"{len(self._stored)}.npy"))
        np.save(path, array)
        return functools.partial(np.load, path, mmap_mode="r")


@contextmanager
def spark_workers(master: str, workers: int, folder: StrPath | None) -> Iterator[Submit]:
    """Tasks of a Spark cluster, `workers` at a time, whose machines all reach `folder`, where features are kept for them.

    Raises:
        InputError: pyspark or Java is not installed.
    """
    expected = "pyspark and a Java runtime"
    if importlib.util.find_spec("pyspark") is None:
        action = "install it (pip install pyspark), or use --workers alone"
        raise InputError.about(f"Spark master {master}", "no pyspark in this Python", expected, action)
    if shutil.which("java") is None and "JAVA_HOME" not in os.environ:
        action = "install it (Debian: apt install default-jre-headless), or use --workers alone"
        raise InputError.about(f"Spark master {master}", "no Java runtime", expected, action)
    from pyspark.sql import SparkSession

    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
    context = SparkSession.builder.master(master).config("spark.ui.showConsoleProgress", "false").getOrCreate().sparkContext
    threads = ThreadPoolExecutor(workers)

    def run(jobs: Sequence[HeadJob]) -> list[TrainedHead]:
        (outcome,) = context.parallelize([jobs], 1).map(_train_on_spark).collect()
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    if folder:
        Path(folder).mkdir(parents=True, exist_ok=True)
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
        start_backend(["tensorflow"])
        return _train(jobs)
    except (FloatingPointError, InputError) as error:
        return error
