"""A folder of 10,000 short files beside one of 500: predicting their emotion, and caching their representation.

After every 500 files of the large folder comes the small folder, from start to end. The networks are small, so that the
work around them, once per file, is most of what is measured.
"""

import os
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from began.errors import InputError
from began.startup import start_backend
from experiments.benchmarks import make_row, peak_memory_gb, run_in_process

RECORDINGS = 20
"""Different recordings; the files are links to them under names of their own."""


def benchmark(n_many: int = 10_000, n_few: int = 500) -> list[dict[str, Any]]:
    """Returns the rows: files per second of a large folder beside a small one, and the peak memory of both.

    Args:
        n_many, n_few: files in the large and in the small folder; the first is a multiple of the second.
    """
    rows = []
    with tempfile.TemporaryDirectory(prefix="benchmark-") as folder:
        _write_files(Path(folder), {"many": n_many, "few": n_few})
        for task, doing in (("predict", "predicting"), ("represent", "caching the representation of")):
            many, few, peaks = np.array(run_in_process(_measure, task, Path(folder), n_few)).T
            half = len(many) // 2
            first, second = few[:half].sum() / many[:half].sum(), few[half:].sum() / many[half:].sum()
            halves = f"ratio {first:.2f} in the first half of the large folder, {second:.2f} in the second"
            speed = f"of a second each, n = 2; {halves}; goal 0.9"
            memory = f"after the last file and after the first {n_few}; ratio is ours over the alternative; goal 1.0"
            rows += [
                make_row(f"{doing} {n_many} files vs {n_few}", n_many / many.sum(), n_many / few.sum(), "files/s", speed),
                make_row(f"{doing} {n_many} files, peak memory", peaks[-1], peaks[0], "GB", memory),
            ]
    return rows


def _write_files(folder: Path, sizes: dict[str, int]) -> None:
    import soundfile

    generator = np.random.default_rng(0)
    for number in range(RECORDINGS):
        n_samples = int(generator.uniform(0.8, 1.0) * 16_000)
        soundfile.write(folder / f"{number}.wav", generator.uniform(-0.3, 0.3, n_samples), 16_000)
    for name, size in sizes.items():
        (folder / name).mkdir()
        for number in range(size):
            os.link(folder / f"{number % RECORDINGS}.wav", folder / name / f"{number:05d}.wav")


def _measure(task: str, folder: Path, size: int) -> list[tuple[float, float, float]]:
    """Goes through the large folder; returns for every `size` files their seconds, the small folder's, and the memory."""
    run = _make_task(task)
    run(folder / "few", iter)  # what takes longer the first time
    measured, started = [], time.perf_counter()

    def interrupt(items: Iterable[Any]) -> Iterator[Any]:
        nonlocal started
        for number, item in enumerate(items, 1):
            yield item
            if number % size == 0:
                between = time.perf_counter()
                run(folder / "few", iter)
                measured.append((between - started, time.perf_counter() - between, peak_memory_gb()))
                started = time.perf_counter()

    run(folder / "many", interrupt)
    return measured


def _make_task(task: str) -> Callable[[Path, Callable[[Iterable], Iterator]], None]:
    """Returns what predicts or represents a folder's files, an iteration over which is wrapped."""
    start_backend()

    from began.encoder import freeze
    from began.find_sounds import find_sounds
    from began.networks import build_encoder
    from began.representation import represent_corpus
    from began.spectrogram import SpectrogramConfig
    from classifiers.heads import build_head
    from classifiers.predictor import build_predictor

    encoder = freeze(build_encoder(base_filters=2, latent_size=8, seed=0), SpectrogramConfig(), "untrained")

    def represent(folder: Path, wrap: Callable[[Iterable], Iterator]) -> None:
        with tempfile.TemporaryDirectory(prefix="benchmark-") as cache_dir:
            represent_corpus(encoder, find_sounds([folder]), cache_dir, progress=wrap)

    if task == "represent":
        return represent
    about = {"task": "categorical", "labels": ["anger", "neutral"], "tail": "overlap", "aggregation": "mean", "corpus": "none"}
    predictor = build_predictor(encoder, build_head("categorical", encoder.feature_shape, 2, seed=0), about)

    def predict(folder: Path, wrap: Callable[[Iterable], Iterator]) -> None:
        for _, outcome in wrap(predictor.predict_files(find_sounds([folder]))):
            if isinstance(outcome, InputError):
                raise outcome

    return predict
