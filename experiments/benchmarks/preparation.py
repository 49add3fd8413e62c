"""Preparing a corpus: ours beside the file-by-file way that authors usually write; and how it grows."""

import tempfile
import time
from collections.abc import Sequence
from itertools import cycle, islice
from pathlib import Path
from typing import Any

import numpy as np

from began.startup import count_cores
from experiments.benchmarks import alternate, make_row


def benchmark(repetitions: int = 5) -> list[dict[str, Any]]:
    """Returns the rows: an hour of synthetic speech against librosa, and time and disk of 1 and 10 hours."""
    import soundfile

    from began.dataset import ChunkStore, prepare_chunk_store
    from began.spectrogram import SpectrogramConfig
    from experiments.corpora import synthetic

    with tempfile.TemporaryDirectory(prefix="benchmark-") as name:
        synthetic.write_librispeech(name, n_speakers=8, n_utterances=4, seconds=12.0)
        files = sorted(Path(name).rglob("*.flac"))
        files_per_hour = 3600 / np.mean([soundfile.info(path).duration for path in files])
        # Files again and again: what is done once per store hardly counts then.
        hour, ten_hours = (list(islice(cycle(files), round(hours * files_per_hour))) for hours in (1, 10))

        def prepare(paths: Sequence[Path]) -> ChunkStore:
            # Always into a new folder, so that clearing the last round's does not count as preparing.
            return prepare_chunk_store(paths, tempfile.mkdtemp(dir=name), SpectrogramConfig())

        n_chunks = prepare(hour).n_chunks
        sides = {"ours": lambda: prepare(hour), "librosa": lambda: _prepare_with_librosa(hour)}
        rates = {side: n_chunks / seconds for side, seconds in alternate(sides, repetitions).items()}
        growth = []
        for paths in (hour, ten_hours):
            started = time.perf_counter()
            store = prepare(paths)
            growth.append((time.perf_counter() - started, sum(file.stat().st_size for file in store.folder.iterdir()) / 1e9))
    (one, one_gb), (ten, ten_gb) = growth
    cores = count_cores()
    about = f"{n_chunks} s of FLAC, {cores} cores; librosa.load, librosa.stft of each chunk; goal 3"
    rate = f"files tiled; at this rate 100 h take {ten / 6:.0f} min, 1000 h {ten / 36:.1f} h"
    disk = f"100 h take {10 * ten_gb:.0f} GB, 1000 h {100 * ten_gb:.0f} GB"
    return [
        make_row("preparing a corpus vs librosa file by file", rates["ours"], rates["librosa"], "chunks/s", about),
        make_row("preparing 10 hours vs 1 hour, time", ten, one, "s", rate),
        make_row("preparing 10 hours vs 1 hour, disk", ten_gb, one_gb, "GB", disk),
    ]


def _prepare_with_librosa(paths: Sequence[Path]) -> None:
    """What the authors' earlier code does, and most others': one file, one chunk after the other."""
    import librosa

    spectrograms = []
    for path in paths:
        waveform, _ = librosa.load(path, sr=16_000)
        for start in range(0, len(waveform) - 15_999, 16_000):
            magnitude = np.abs(librosa.stft(waveform[start : start + 16_000], n_fft=1024, hop_length=512))
            spectrograms.append(librosa.amplitude_to_db(magnitude).astype(np.float16))
