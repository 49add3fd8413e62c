"""Pre-training: a chunk store and a BEGAN in, a frozen encoder out; watchable, and resumable to the bit.

Training goes in rounds of equal length, several to an epoch when the corpus is large. A round is what Keras calls an
epoch: after each one the callbacks below look at the numbers, halve the learning rate, draw, and write a checkpoint.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np

from began.callbacks import N_PICTURED, Draw, ResumablePlateau, RoundReport
from began.checkpoint import read_checkpoint
from began.dataset import ChunkStore
from began.files import attach_json, write_atomically
from began.model import BEGAN
from began.networks import build_decoder, build_encoder, build_generator
from began.spectrogram import SpectrogramConfig


@dataclass(frozen=True)
class PretrainingSettings:
    """Everything that decides what is learned, apart from the data.

    Attributes:
        base_filters, latent_size: n and h of the networks. Assumption: the paper names neither.
        gamma, learning_rate, batch_size, epochs: paper, section 3.3.
        lambda_k: Berthelot et al. 2017, section 3.4.
        noise: "shared" or "separate", see `began.model`.
        adversarial: False trains the autoencoder alone (an ablation).
        patience_epochs: the learning rate is halved when M_global has not fallen for so many epochs (Berthelot et al.
            2017, section 4.1, halve it when the measure stalls; the number is an assumption).
        min_learning_rate: floor of the halving. Assumption.
        max_steps_per_round: a checkpoint is written at least so often.
        seed: of weights, noise and shuffling.
    """

    base_filters: int = 8
    latent_size: int = 64
    gamma: float = 0.7
    lambda_k: float = 0.001
    noise: str = "shared"
    adversarial: bool = True
    learning_rate: float = 5e-5
    batch_size: int = 16
    epochs: int = 100
    patience_epochs: int = 8
    min_learning_rate: float = 2e-6
    max_steps_per_round: int = 300
    seed: int = 0


def build_began(settings: PretrainingSettings, input_shape: tuple[int, int, int]) -> BEGAN:
    """Returns a compiled BEGAN with the initial weights that the settings' seed gives."""
    sizes = (settings.base_filters, settings.latent_size)
    model = BEGAN(
        build_encoder(input_shape, *sizes, seed=settings.seed),
        build_decoder(input_shape, *sizes, seed=settings.seed + 1),
        build_generator(input_shape, *sizes, seed=settings.seed + 2) if settings.adversarial else None,
        gamma=settings.gamma, lambda_k=settings.lambda_k, noise=settings.noise, seed=settings.seed)
    model.compile(optimizer=keras.optimizers.Adam(settings.learning_rate))
    model.optimizer.build(model.trainable_variables)
    return model


def pretrain(store: ChunkStore, folder: Path, settings: PretrainingSettings, *, draw: Draw | None = None,
             report: Callable[[str], None] = print) -> Path:
    """Trains a BEGAN, or goes on where an earlier call was stopped, and returns the path of the encoder.

    Writes into `folder`: checkpoint.npz and history.csv after every round, logs/ for TensorBoard, and in the end
    encoder.keras, decoder.keras and generator.keras.

    Args:
        store: the training data.
        folder: of the run.
        settings: what to train.
        draw: see `RoundReport`.
        report: takes a line about the progress.
    Returns:
        Path of encoder.keras.
    Raises:
        InputError: the store is smaller than a batch; the checkpoint is damaged or belongs to another network;
            a loss stopped being finite (the last checkpoint from before is kept).
    """
    steps_per_epoch = store.steps_per_epoch(settings.batch_size)
    rounds_per_epoch = math.ceil(steps_per_epoch / settings.max_steps_per_round)
    steps_per_round = math.ceil(steps_per_epoch / rounds_per_epoch)
    n_rounds = settings.epochs * rounds_per_epoch
    model = build_began(settings, (store.config.n_bins, store.config.n_frames, 1))
    plateau = ResumablePlateau(settings.patience_epochs * rounds_per_epoch, settings.min_learning_rate)
    rounds = RoundReport(folder, batch_size=settings.batch_size, steps_per_round=steps_per_round,
                         rounds_per_epoch=rounds_per_epoch, n_rounds=n_rounds, plateau=plateau,
                         examples=_read_examples(store), draw=draw, report=report)
    first_round = 0
    if (folder / "checkpoint.npz").exists():
        state = read_checkpoint(folder / "checkpoint.npz", model)
        first_round, rounds.rows = state["round"], state["rows"]
        plateau.restore(state["plateau"])
    report(f"{store.n_chunks} chunks, {steps_per_epoch} steps an epoch; from epoch {first_round / rounds_per_epoch:.2f} "
           f"to {settings.epochs}; writing to {folder}")
    if first_round < n_rounds:
        batches = ((batch,) for batch in store.batches(settings.batch_size, settings.seed, first_round * steps_per_round))
        callbacks = keras.callbacks.CallbackList([plateau, rounds], model=model)
        model.fit(batches, steps_per_epoch=steps_per_round, initial_epoch=first_round, epochs=n_rounds, shuffle=False,
                  verbose=0, callbacks=callbacks)
    return save_networks(model, folder, store.config, {**asdict(settings), "steps": n_rounds * steps_per_round})


def save_networks(model: BEGAN, folder: Path, config: SpectrogramConfig, settings: dict[str, Any]) -> Path:
    """Writes encoder.keras, decoder.keras and generator.keras, each with its settings inside; returns the encoder's path.

    The files hold stock Keras layers only: `keras.models.load_model(path, safe_mode=True)` opens them without this
    project.
    """
    networks = {"decoder": model.decoder, "generator": model.generator, "encoder": model.encoder}
    for name, network in networks.items():
        if network is None:
            continue
        with write_atomically(folder / f"{name}.keras") as temporary:
            network.save(temporary)
            attach_json(temporary, "spectrogram", config.to_dict())
            attach_json(temporary, "pretraining", settings)
    return folder / "encoder.keras"


def _read_examples(store: ChunkStore) -> np.ndarray:
    return store.read(np.linspace(0, store.n_chunks - 1, N_PICTURED).astype(np.int64))
