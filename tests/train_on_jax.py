"""Started by test_model.py with KERAS_BACKEND=jax: reads before.npz and x.npy, takes the steps, so many per call as
it is told, and writes after.npz."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import keras
import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from began.checkpoint import read_checkpoint, write_checkpoint  # noqa: E402
from began.model import BEGAN  # noqa: E402
from began.networks import build_decoder, build_encoder, build_generator  # noqa: E402


class NoiseFromChunks(BEGAN):
    """A BEGAN that reads its noise off the real chunks: backends draw different numbers from one seed."""

    def compute_loss(self, x: Any = None, *others: Any, **named: Any) -> Any:
        self._drawn = keras.ops.tanh(x[:, 0, : self.latent_size, 0])
        return super().compute_loss(x, *others, **named)

    def _draw_noise(self, batch_size: Any) -> Any:
        return self._drawn


def make_model(shape: tuple[int, int, int], latent_size: int) -> NoiseFromChunks:
    """Returns a compiled model with n = 2."""
    model = NoiseFromChunks(
        build_encoder(shape, 2, latent_size, seed=1),
        build_decoder(shape, 2, latent_size, seed=2),
        build_generator(shape, 2, latent_size, seed=3),
        lambda_k=0.1,
    )
    model.compile(optimizer=keras.optimizers.Adam(1e-3))
    model.optimizer.build(model.trainable_variables)
    return model


if __name__ == "__main__":
    assert keras.backend.backend() == "jax"
    folder = Path(sys.argv[1])
    x = np.load(folder / "x.npy")
    began = make_model(x.shape[2:], int(sys.argv[2]))
    read_checkpoint(folder / "before.npz", began)
    began.steps_per_execution = int(sys.argv[3])
    began.fit(x.reshape(-1, *x.shape[2:]), batch_size=x.shape[1], shuffle=False, verbose=0)
    write_checkpoint(folder / "after.npz", began, {})
    assert "tensorflow" not in sys.modules
