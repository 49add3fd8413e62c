"""A folder of 10,000 short files beside one of 500: predicting their emotion, and caching their representation.

Two processes take 500 files in turn: one goes once through the large folder, the other starts on the small folder again and
again. The networks are small, so that what happens around them, once a file, is most of what is measured.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from began.errors import InputError
from experiments.benchmarks import RoundsProcess, make_row, peak_memory_gb

if TYPE_CHECKING:
    from began.encoder import FrozenEncoder
    from classifiers.predictor import Predictor

FEW, MANY = 500, 10_000
RECORDINGS = 20
"""Different recordings; the files are links to them under names of their own."""


def benchmark_many_files(n_many: int = MANY, n_few: int = FEW) -> list[dict[str, Any]]:
    """Returns the rows: files per second of a large folder beside a small one, and the peak memory of both.

    Args:
        n_many: files in the large folder, a multiple of `n_few`.
        n_few: files in the small folder, and in a round.
    """
    rows = []
    with tempfile.TemporaryDirectory(prefix="benchmark-") as name:
        folder = Path(name)
        recordings = _write_recordings(folder / "recordings")
        for size in (n_many, n_few):
            _link_files(recordings, folder / str(size), size)
        for task, (doing, _) in _TASKS.items():
            many, few = (
                RoundsProcess("experiments.benchmarks.many_files", task, folder / str(size), n_few) for size in (n_many, n_few)
            )
            measured = np.array([[many.run_round(), few.run_round()] for _ in range(n_many // n_few)])
            many.close()
            few.close()
            seconds, peaks = measured[:, :, 0], measured[:, 0, 1]
            speeds = n_many / seconds.sum(axis=0)
            first, second = (half[:, 1].sum() / half[:, 0].sum() for half in np.array_split(seconds, 2))
            rows += [
                make_row(
                    f"{doing} {n_many} files vs {n_few}",
                    speeds[0],
                    speeds[1],
                    float(speeds[0] / speeds[1]),
                    "files/s",
                    f"of a second each, n = 2; ratio {first:.2f} in the first half of the large folder, {second:.2f} in "
                    "the second; goal 0.9",
                ),
                make_row(
                    f"{doing} {n_many} files, peak memory",
                    peaks[-1],
                    peaks[0],
                    float(peaks[-1] / peaks[0]),
                    "GB",
                    f"after the last file and after the first {n_few}; ratio is ours over the alternative; goal 1.0",
                ),
            ]
    return rows


def _write_recordings(folder: Path) -> list[Path]:
    import soundfile

    folder.mkdir()
    generator = np.random.default_rng(0)
    paths = [folder / f"{number}.wav" for number in range(RECORDINGS)]
    for path in paths:
        soundfile.write(path, generator.uniform(-0.3, 0.3, int(generator.uniform(0.8, 1.0) * 16_000)), 16_000)
    return paths


def _link_files(recordings: list[Path], folder: Path, size: int) -> None:
    folder.mkdir()
    for number in range(size):
        os.link(recordings[number % len(recordings)], folder / f"{number:05d}.wav")


class _Rounds:
    """Says on standard output how long a round took and the memory so far, and waits for the next one to be asked for."""

    def begin(self) -> None:
        if not sys.stdin.readline():  # nobody asks any more
            raise SystemExit
        self._started = time.perf_counter()

    def end(self) -> None:
        print(time.perf_counter() - self._started, peak_memory_gb(), flush=True)

    def over(self, items: Iterable[Any], size: int) -> Iterator[Any]:
        """Yields the items, with a round's end after every `size` of them but the last ones."""
        for number, item in enumerate(items):
            if number and number % size == 0:
                self.end()
                self.begin()
            yield item


def _predict(paths: list[Path], rounds: _Rounds, size: int) -> None:
    for _, outcome in rounds.over(_predictor().predict_files(paths), size):
        if isinstance(outcome, InputError):
            raise outcome


@cache
def _predictor() -> Predictor:
    from classifiers.heads import build_head
    from classifiers.predictor import build_predictor

    head = build_head("categorical", _encoder().feature_shape, 2, seed=0)
    metadata = {"task": "categorical", "labels": ["anger", "neutral"], "tail": "overlap", "aggregation": "mean"}
    return build_predictor(_encoder(), head, metadata)


@cache
def _encoder() -> FrozenEncoder:
    from began.encoder import freeze
    from began.networks import build_encoder
    from began.spectrogram import SpectrogramConfig

    return freeze(build_encoder(base_filters=2, latent_size=8, seed=0), SpectrogramConfig(), "untrained")


def _represent(paths: list[Path], rounds: _Rounds, size: int) -> None:
    from began.representation import represent_corpus

    with tempfile.TemporaryDirectory(prefix="benchmark-") as folder:
        represent_corpus(_encoder(), paths, folder, progress=lambda files: rounds.over(files, size))


_TASKS = {"predict": ("predicting", _predict), "represent": ("caching the representation of", _represent)}


def _serve(task: str, folder: Path, size: int) -> None:
    """Goes through the folder's files again and again, `size` of them a round."""
    from began.startup import start_backend
    from classifiers.predict import find_sounds

    start_backend()
    run, rounds = _TASKS[task][1], _Rounds()
    run(find_sounds([folder])[:RECORDINGS], rounds, size)  # what takes longer the first time
    while True:
        rounds.begin()
        run(find_sounds([folder]), rounds, size)
        rounds.end()


if __name__ == "__main__":
    _serve(sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]))
