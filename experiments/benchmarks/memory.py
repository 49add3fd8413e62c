"""Peak memory and speed of a real pre-training over a store far larger than the memory, and over a small one.

The large store is made of links to one shard of the small one: it is as large as what the training sees, not as what the
disk holds. The links share the system's file cache, so that a slow disk's share of the time is not in these figures.
"""

from __future__ import annotations

import json
import os
import tempfile
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import numpy as np

from experiments.benchmarks import SPAWN, make_row, peak_memory_gb

BUDGET_GB = 2.5
STEPS = 10
CHUNKS_PER_SHARD = 1024


def benchmark(rounds: int = 4) -> list[dict[str, Any]]:
    """Returns the rows: peak memory, and chunks per second, of a store ten times the budget beside a small one.

    Args:
        rounds: of both trainings in turn, each followed by pictures' data, history and a checkpoint.
    """
    with tempfile.TemporaryDirectory(prefix="benchmark-") as name:
        shard = Path(name) / "shard.npy"
        np.save(shard, np.random.default_rng(0).uniform(-1.0, 1.0, (CHUNKS_PER_SHARD, 512, 32)).astype("<f2"))
        gigabytes = shard.stat().st_size / 1e9
        n_shards = int(np.ceil(10 * BUDGET_GB / gigabytes))
        trainings = [_start_training(shard, size) for size in (n_shards, 1)]
        measured = np.array([[_train_round(pipe) for _, pipe in trainings] for _ in range(rounds + 1)])
        for process, _ in trainings:
            process.terminate()
            process.join()
    (large_rate, small_rate), (large_gb, small_gb) = measured[1:, :, 0].T, measured[-1, :, 1]
    hours = n_shards * CHUNKS_PER_SHARD / 3600
    stores = f"store of {n_shards * gigabytes:.0f} GB ({hours:.0f} h, tiled) and of {gigabytes:.2f} GB"
    note = f"{stores}; n = 8, batch 16; goal 1.0 and under {BUDGET_GB} GB"
    return [
        make_row("peak memory, large store vs small", large_gb, small_gb, "GB", note),
        make_row("pre-training, large store vs small", large_rate, small_rate, "chunks/s", "checkpoints not counted; goal 1.0"),
    ]


def _start_training(shard: Path, n_shards: int) -> tuple[BaseProcess, Connection]:
    """Starts a training over a store whose shards are all links to one; it waits to be told to go on."""
    from began.dataset import FILES_PER_SHARD
    from began.spectrogram import SpectrogramConfig

    folder = shard.parent / f"store-{n_shards}"
    folder.mkdir()
    sources = [{"file": "noise", "bytes": 0}] * (n_shards * FILES_PER_SHARD)
    description = {"tail": "drop", "files_per_shard": FILES_PER_SHARD, "sources": sources}
    (folder / "store.json").write_text(json.dumps({"spectrogram": SpectrogramConfig().to_dict(), **description}))
    for number in range(n_shards):
        os.link(shard, folder / f"shard-{number:05d}.npy")
    ours, theirs = SPAWN.Pipe()
    process = SPAWN.Process(target=_train, args=(folder, theirs), daemon=True)
    process.start()
    theirs.close()  # so that a training that failed ends the waiting for it
    return process, ours


def _train_round(pipe: Connection) -> tuple[float, float]:
    pipe.send("go on")
    return pipe.recv()


def _train(store: Path, pipe: Connection) -> None:
    """Trains one round for every message, and answers with its chunks per second and the peak memory so far."""
    from began.startup import start_backend

    start_backend()

    from began.dataset import ChunkStore
    from began.pretraining import PretrainingSettings, pretrain

    def draw(pictured: Any, history: Any) -> None:
        pipe.send((float(history["chunks_per_second"].iloc[-1]), peak_memory_gb()))
        pipe.recv()

    pipe.recv()
    settings = PretrainingSettings(max_steps_per_round=STEPS)
    pretrain(ChunkStore(store), store / "run", settings, draw=draw, report=lambda line: None)
