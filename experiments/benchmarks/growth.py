"""One head on the statistics of whole utterances: many of them beside few, in time and memory.

The many are as large as what the training reads, up to 40 GB, not as what the disk holds: most of their file is a hole, so that
what a disk takes to find its rows is not measured. A head of few is trained on as many steps as its parameters say, one of many
on one pass.
"""

import re
import tempfile
import threading
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from experiments.benchmarks import ROOT, make_row, run_in_process

N_STATISTICS, COPIES, CLASSES = 480, 21, 7


def benchmark(n_many: Sequence[int] = (5_000, 50_000), n_few: int = 500) -> list[dict[str, Any]]:
    """Returns the rows: training rows per second, and peak memory, of many utterances beside few."""
    size = f"{N_STATISTICS} statistics in 40 bands, {COPIES} copies of each utterance, one core; normalisation included"
    rows, place = [], ROOT / "build"  # a temporary folder may lie in memory, which the file of the many would fill
    place.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="benchmark-", dir=place) as folder:
        few_rate, few_gb = run_in_process(_train, Path(folder), n_few)
        for n in n_many:
            rate, gb = run_in_process(_train, Path(folder), n)
            name = f"training a head, {n} utterances vs {n_few}"
            rows.append(make_row(name, rate, few_rate, "rows/s", f"{size}; goal 0.9"))
            rows.append(make_row(f"{name}, peak memory", gb, few_gb, "GB", "without the file; goal 1.0"))
    return rows


def _train(folder: Path, n_utterances: int) -> tuple[float, float]:
    """Trains the default head; returns rows per second, and the peak memory without mapped files."""
    from began.startup import start_backend

    start_backend(["tensorflow"])

    import tensorflow as tf

    from began.utterance_encoder import name_statistics
    from classifiers.training import HeadJob, train_head

    tf.config.threading.set_intra_op_parallelism_threads(1)
    names, shape = name_statistics((8, 16, 24, 32)), (n_utterances * COPIES, 40, 1, N_STATISTICS)
    features = np.lib.format.open_memmap(folder / f"{n_utterances}.npy", "w+", "<f2", shape)
    features[: 4 * COPIES] = np.random.default_rng(0).standard_normal((4 * COPIES, *shape[1:]))
    utterance = np.arange(shape[0]) // COPIES
    job = HeadJob(
        features, utterance % CLASSES, utterance, "categorical", {}, 1, 0, CLASSES, np.arange(shape[0]), statistics=names
    )
    train_head(replace(job, rows=job.rows[: 4 * COPIES]))  # builds the graphs
    held, is_done = [], threading.Event()
    watch = threading.Thread(target=_watch_memory, args=(held, is_done))
    watch.start()
    started = time.perf_counter()
    head = train_head(job)
    seconds = time.perf_counter() - started
    is_done.set()
    watch.join()
    return len(head.history) * shape[0] / seconds, max(held)


def _watch_memory(held: list[float], is_done: threading.Event) -> None:
    """Adds what the process holds, without the pages of files, in GB, ten times per second."""
    while not is_done.wait(0.1):
        held.append(int(re.search(r"RssAnon:\s+(\d+) kB", Path("/proc/self/status").read_text())[1]) * 1024 / 1e9)
