"""Peak memory and speed of a real pre-training over a store far larger than the memory, and over a small one.

The large store is made of links to one shard of the small one: it is as large as what the training sees, not as what the
disk holds. The links share the system's file cache, so that a slow disk's share of the time is not in these figures.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from experiments.benchmarks import RoundsProcess, make_row, peak_memory_gb

BUDGET_GB = 2.5
STEPS = 10
CHUNKS_PER_SHARD = 1024


def benchmark_memory(rounds: int = 4) -> list[dict[str, Any]]:
    """Returns the rows: peak memory, and chunks per second, of a store ten times the budget beside a small one.

    Args:
        rounds: that both trainings take in turn, each with pictures' data, history and a checkpoint behind it.
    """
    with tempfile.TemporaryDirectory(prefix="benchmark-") as folder:
        small, large = Path(folder) / "small", Path(folder) / "large"
        shard_bytes = _write_store(small, n_shards=1)
        n_shards = int(np.ceil(10 * BUDGET_GB * 1e9 / shard_bytes))
        _write_store(large, n_shards, shard=small / "shard-00000.npy")
        trainings = [
            RoundsProcess("experiments.benchmarks.memory", store, Path(folder) / f"{store.name}-run")
            for store in (large, small)
        ]
        speeds = np.array([[training.run_round()[0] for training in trainings] for _ in range(rounds + 1)])[1:]
        peaks = [training.close()[0] for training in trainings]
    gigabytes = n_shards * shard_bytes / 1e9
    return [
        make_row(
            "peak memory, large store vs small",
            peaks[0],
            peaks[1],
            peaks[0] / peaks[1],
            "GB",
            f"store of {gigabytes:.0f} GB ({n_shards * CHUNKS_PER_SHARD / 3600:.0f} h, tiled) and of "
            f"{shard_bytes / 1e9:.2f} GB; n = 8, batch 16; goal 1.0 and under {BUDGET_GB} GB",
        ),
        make_row(
            "pre-training, large store vs small",
            np.median(speeds[:, 0]),
            np.median(speeds[:, 1]),
            float(np.median(speeds[:, 0] / speeds[:, 1])),
            "chunks/s",
            "checkpoints not counted; goal 1.0",
        ),
    ]


def _write_store(folder: Path, n_shards: int, shard: Path | None = None) -> int:
    """Writes a store of noise, or of links to a shard, and returns a shard's bytes."""
    from began.dataset import FILES_PER_SHARD
    from began.spectrogram import SpectrogramConfig

    config = SpectrogramConfig()
    folder.mkdir()
    (folder / "store.json").write_text(
        json.dumps(
            {
                "spectrogram": config.to_dict(),
                "tail": "drop",
                "files_per_shard": FILES_PER_SHARD,
                "sources": [{"file": "noise", "bytes": 0}] * (n_shards * FILES_PER_SHARD),
            }
        )
    )
    if shard is None:
        shard = folder / "shard-00000.npy"
        generator = np.random.default_rng(0)
        shape = (CHUNKS_PER_SHARD, config.n_bins, config.n_frames)
        np.save(shard, generator.uniform(-1.0, 1.0, shape).astype("<f2"))
    for number in range(n_shards):
        link = folder / f"shard-{number:05d}.npy"
        if link != shard:
            os.link(shard, link)
    return shard.stat().st_size


class _Enough(Exception):
    pass


def _train(store: Path, folder: Path) -> None:
    """Takes a round for every line on standard input; says each one's chunks per second, and the peak memory in the end."""
    from began.startup import start_backend

    start_backend()

    from began.dataset import ChunkStore
    from began.pretraining import PretrainingSettings, pretrain

    def draw(pictured: Any, history: Any) -> None:
        print(float(history["chunks_per_second"].iloc[-1]), flush=True)
        if not sys.stdin.readline():
            raise _Enough

    sys.stdin.readline()
    try:
        pretrain(ChunkStore(store), folder, PretrainingSettings(max_steps_per_round=STEPS), draw=draw, report=lambda line: None)
    except _Enough:
        print(peak_memory_gb(), flush=True)


if __name__ == "__main__":
    _train(Path(sys.argv[1]), Path(sys.argv[2]))
