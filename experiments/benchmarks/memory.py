"""Peak memory and speed of a real pre-training over a store far larger than the memory, and over a small one.

The large store is made of links to one shard of the small one: it is as large as what the training sees, not as what the
disk holds. The links share the system's file cache, so that a slow disk's share of the time is not in these figures.
"""

import contextlib
import json
import os
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from began.arrays import write_npy
from experiments.benchmarks import make_row, peak_memory_gb, run_in_process

BUDGET_GB = 2.5
STEPS, ROUNDS = 10, 3
CHUNKS_PER_SHARD = 1024


def benchmark(repetitions: int = 3) -> list[dict[str, Any]]:
    """Returns the rows: peak memory, and chunks per second, of a store ten times the budget beside a small one.

    Every round of a training ends with pictures' data, history and a checkpoint.
    """
    with tempfile.TemporaryDirectory(prefix="benchmark-") as name:
        shard = Path(name) / "shard.npy"
        with write_npy(shard, "<f2", (512, 32)) as append:
            append(np.random.default_rng(0).uniform(-1.0, 1.0, (CHUNKS_PER_SHARD, 512, 32)))
        gigabytes = shard.stat().st_size / 1e9
        n_shards = int(np.ceil(10 * BUDGET_GB / gigabytes))
        stores = [_link_store(shard, size) for size in (n_shards, 1)]
        measured = np.array([[run_in_process(_train, store) for store in stores] for _ in range(repetitions)])
    (large_rate, small_rate), (large_gb, small_gb) = measured[..., 0].T, measured[..., 1].max(axis=0)
    hours = n_shards * CHUNKS_PER_SHARD / 3600
    sizes = f"store of {n_shards * gigabytes:.0f} GB ({hours:.0f} h, tiled) and of {gigabytes:.2f} GB"
    note = f"{sizes}; n = 8, batch 16; goal 1.0 and under {BUDGET_GB} GB"
    return [
        make_row("peak memory, large store vs small", large_gb, small_gb, "GB", note),
        make_row("pre-training, large store vs small", large_rate, small_rate, "chunks/s", "checkpoints not counted; goal 1.0"),
    ]


def _link_store(shard: Path, n_shards: int) -> Path:
    """Returns the folder of a chunk store whose shards are all links to one."""
    from began.dataset import FILES_PER_SHARD
    from began.spectrogram import SpectrogramConfig

    folder = shard.parent / f"store-{n_shards}"
    folder.mkdir()
    description = {"files_per_shard": FILES_PER_SHARD, "sources": ["noise"] * (n_shards * FILES_PER_SHARD)}
    (folder / "store.json").write_text(json.dumps({"spectrogram": SpectrogramConfig().to_dict(), **description}))
    for number in range(n_shards):
        os.link(shard, folder / f"shard-{number:05d}.npy")
        (folder / f"shard-{number:05d}.json").write_text("[]")
    return folder


def _train(store: Path) -> tuple[float, float]:
    """Trains for some rounds; returns the last one's chunks per second, and the peak memory."""
    from began.startup import start_backend

    start_backend()

    from began.dataset import ChunkStore
    from began.pretraining import PretrainingSettings, pretrain

    rates = []

    def draw(pictured: Any, history: Any) -> None:
        rates.append(float(history["chunks_per_second"].iloc[-1]))
        if len(rates) == ROUNDS:
            raise KeyboardInterrupt  # as a user stops a training

    with tempfile.TemporaryDirectory(prefix="benchmark-") as folder, contextlib.suppress(KeyboardInterrupt):
        pretrain(
            ChunkStore(store), Path(folder), PretrainingSettings(max_steps_per_round=STEPS), draw=draw, report=lambda _: None
        )
    return rates[-1], peak_memory_gb()
