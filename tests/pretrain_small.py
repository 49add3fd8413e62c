"""Started by tests: trains a tiny BEGAN on a given store, like the script does, and prints a line per round.

python tests/pretrain_small.py STORE FOLDER EPOCHS
"""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from began.startup import start_backend  # noqa: E402

SMALL = {
    "base_filters": 2,
    "latent_size": 4,
    "batch_size": 4,
    "max_steps_per_round": 3,
    "learning_rate": 1e-3,
    "lambda_k": 0.05,
    "patience_epochs": 1,
    "seed": 7,
}

if __name__ == "__main__":
    start_backend()

    from began.dataset import ChunkStore
    from began.pretraining import PretrainingSettings, pretrain

    pretrain(
        ChunkStore(sys.argv[1]),
        Path(sys.argv[2]),
        PretrainingSettings(**SMALL, epochs=int(sys.argv[3])),
        report=lambda line: print(line, flush=True),
    )
