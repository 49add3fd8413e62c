"""Preparing a corpus: ours, the file-by-file way that authors usually write, and decoding alone; and how it grows."""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from experiments.benchmarks import alternate, make_row


def benchmark_preparation(paths: Sequence[Path], repetitions: int = 5, seconds_compared: int = 3600) -> list[dict[str, Any]]:
    """Returns the rows: against librosa, against decoding alone, and time and disk of 1 and 10 hours.

    Args:
        paths: FLAC files at 16 kHz, at least some minutes of speech in all; repeated until they make ten hours.
        repetitions: of each comparison.
        seconds_compared: speech that each side prepares in a repetition; what is done once a store hardly counts then.
    """
    import soundfile

    durations = [soundfile.info(path).duration for path in paths]
    some = _take(paths, durations, seconds_compared)
    workers = len(os.sched_getaffinity(0))
    with tempfile.TemporaryDirectory(prefix="benchmark-") as folder:
        store = Path(folder) / "store"
        n_chunks = _prepare(some, store)
        # Clearing is a side of its own, so that to delete the last round's store does not count as preparing.
        seconds = alternate(
            {
                "clearing": lambda: shutil.rmtree(store),
                "ours": lambda: _prepare(some, store),
                "librosa": lambda: _prepare_with_librosa(some),
                "decoding": lambda: _decode(some, workers),
            },
            repetitions,
        )
        rows = [
            make_row(
                "preparing a corpus vs librosa file by file",
                n_chunks / np.median(seconds["ours"]),
                n_chunks / np.median(seconds["librosa"]),
                float(np.median(seconds["librosa"] / seconds["ours"])),
                "chunks/s",
                f"{n_chunks} s of FLAC, {workers} cores; librosa.load, librosa.stft a chunk; goal 3",
            ),
            make_row(
                "preparing a corpus vs decoding alone",
                n_chunks / np.median(seconds["ours"]),
                n_chunks / np.median(seconds["decoding"]),
                float(np.median(seconds["ours"] / seconds["decoding"])),
                "chunks/s",
                f"{workers} workers each; ratio is our time over decoding's; goal at most 1.6",
            ),
        ]
        return rows + _measure_growth(paths, durations, store)


def _measure_growth(paths: Sequence[Path], durations: Sequence[float], store: Path) -> list[dict[str, Any]]:
    measured = {}
    for hours in (1, 10):
        chosen = _take(paths, durations, 3600 * hours)
        shutil.rmtree(store)
        started = time.perf_counter()
        _prepare(chosen, store)
        measured[hours] = time.perf_counter() - started, sum(file.stat().st_size for file in store.iterdir())
    (one, one_bytes), (ten, ten_bytes) = measured[1], measured[10]
    return [
        make_row(
            "preparing 10 hours vs 1 hour, time",
            ten,
            one,
            ten / one,
            "s",
            f"files tiled; at this rate 100 h take {ten * 10 / 60:.0f} min, 1000 h {ten * 100 / 3600:.1f} h",
        ),
        make_row(
            "preparing 10 hours vs 1 hour, disk",
            ten_bytes / 1e9,
            one_bytes / 1e9,
            ten_bytes / one_bytes,
            "GB",
            f"100 h take {ten_bytes / 1e8:.0f} GB, 1000 h {ten_bytes / 1e7:.0f} GB",
        ),
    ]


def _take(paths: Sequence[Path], durations: Sequence[float], seconds: float) -> list[Path]:
    """Returns the first files that together last so long, all of them again and again if need be."""
    chosen, total = [], 0.0
    while total < seconds:
        chosen.append(paths[len(chosen) % len(paths)])
        total += durations[(len(chosen) - 1) % len(paths)]
    return chosen


def _prepare(paths: Sequence[Path], store: Path) -> int:
    from began.dataset import prepare_chunk_store
    from began.spectrogram import SpectrogramConfig

    return prepare_chunk_store(paths, store, SpectrogramConfig()).n_chunks


def _prepare_with_librosa(paths: Sequence[Path]) -> list[np.ndarray]:
    """What the authors' earlier code does, and most others': one file, one chunk after the other."""
    import librosa

    spectrograms = []
    for path in paths:
        waveform, _ = librosa.load(path, sr=16_000)
        for start in range(0, len(waveform) - 15_999, 16_000):
            magnitude = np.abs(librosa.stft(waveform[start : start + 16_000], n_fft=1024, hop_length=512))
            spectrograms.append(librosa.amplitude_to_db(magnitude).astype(np.float16))
    return spectrograms


def _decode(paths: Sequence[Path], workers: int) -> int:
    import soundfile

    with ThreadPoolExecutor(workers) as pool:
        return sum(pool.map(lambda path: len(soundfile.read(path, dtype="float32")[0]), paths))
