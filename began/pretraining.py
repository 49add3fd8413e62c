"""Pre-training: a chunk store and a BEGAN in, a frozen encoder out; watchable, and resumable to the bit.

Training goes in rounds of equal length, several to an epoch when the corpus is large. A round is what Keras calls an
epoch: after each one the callbacks below look at the numbers, halve the learning rate, draw, and write a checkpoint.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np

from began.callbacks import (
    N_PICTURED,
    Draw,
    ProgressBar,
    ResumablePlateau,
    RoundReport,
    StopWhenNotFinite,
    TensorBoardLogs,
)
from began.checkpoint import read_checkpoint
from began.dataset import ChunkStore
from began.distributed import Cluster, DistributedLoop
from began.errors import InputError
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
        gamma=settings.gamma,
        lambda_k=settings.lambda_k,
        noise=settings.noise,
        seed=settings.seed,
    )
    model.compile(optimizer=keras.optimizers.Adam(settings.learning_rate))
    model.optimizer.build(model.trainable_variables)
    return model


def pretrain(
    store: ChunkStore,
    folder: Path,
    settings: PretrainingSettings,
    *,
    cluster: Cluster | None = None,
    draw: Draw | None = None,
    report: Callable[[str], None] = print,
) -> Path | None:
    """Trains a BEGAN, or goes on where an earlier call was stopped, and returns the path of the encoder.

    Writes into `folder`: checkpoint.npz and history.csv after every round, logs/ for TensorBoard, and in the end
    encoder.keras, decoder.keras and generator.keras.

    Args:
        store: the training data; the same chunks on every worker.
        folder: of the run; only worker 0 reads and writes there.
        settings: what to train.
        cluster: the processes and devices that train together; None for one process with one device.
        draw: see `RoundReport`.
        report: takes a line about the progress.
    Returns:
        Path of encoder.keras; None on the other workers.
    Raises:
        InputError: the store is smaller than a batch; the batch cannot be divided among the replicas; the checkpoint is
            damaged or belongs to another network; a loss stopped being finite (the last checkpoint from before is
            kept); another worker was lost.
    """
    cluster = cluster or Cluster()
    schedule = Schedule.of(store.steps_per_epoch(settings.batch_size), settings)
    if settings.batch_size % cluster.n_replicas:
        raise InputError.about(
            "batch size",
            found=settings.batch_size,
            expected=f"a multiple of {cluster.n_replicas}, the devices of all workers",
            action="give another batch size, or other devices",
        )
    if cluster.workers:
        report(f"worker {cluster.index}: waiting for {', '.join(cluster.workers)}")
    strategy = cluster.connect()
    with nullcontext() if strategy is None else strategy.scope():
        model = build_began(settings, (store.config.n_bins, store.config.n_frames, 1))
    loop = None if strategy is None else DistributedLoop(strategy, cluster, model)

    path = folder / "checkpoint.npz"
    plateau = ResumablePlateau(settings.patience_epochs * schedule.rounds_per_epoch, settings.min_learning_rate)
    # An empty file is a damaged checkpoint, not none.
    content = (path.read_bytes() or b"empty") if cluster.is_chief and path.exists() else b""
    if loop is not None:
        loop.require_same([asdict(settings), store.config.to_dict(), store.n_chunks])
        content = loop.share(content)
    state = read_checkpoint(path, model, content) if content else {"round": 0, "plateau": {}, "rows": []}
    plateau.restore(state["plateau"])

    callbacks = [plateau, StopWhenNotFinite(folder)]
    if cluster.is_chief:
        rounds = RoundReport(
            folder,
            batch_size=settings.batch_size,
            steps_per_round=schedule.steps_per_round,
            rounds_per_epoch=schedule.rounds_per_epoch,
            n_rounds=schedule.n_rounds,
            plateau=plateau,
            examples=_read_examples(store),
            report=report,
            draw=[*([draw] if draw else []), *_tensorboard_logs(folder, report)],
        )
        rounds.rows = state["rows"]
        callbacks += [ProgressBar(schedule.steps_per_round, schedule.rounds_per_epoch, settings.batch_size), rounds]
        report(
            f"{store.n_chunks} chunks, {schedule.steps_per_epoch} steps an epoch; from epoch "
            f"{state['round'] / schedule.rounds_per_epoch:.2f} to {settings.epochs}; writing to {folder}"
        )
    else:
        report(f"worker {cluster.index}: training; worker 0 reports and writes")

    if state["round"] < schedule.n_rounds:
        batches = store.batches(
            settings.batch_size,
            settings.seed,
            state["round"] * schedule.steps_per_round,
            shard=(cluster.index, cluster.n_workers),
        )
        if loop is None:
            model.fit(
                _as_dataset(batches, settings.batch_size, store.config),
                steps_per_epoch=schedule.steps_per_round,
                initial_epoch=state["round"],
                epochs=schedule.n_rounds,
                shuffle=False,
                verbose=0,
                callbacks=callbacks,
            )
        else:
            loop.run(
                batches,
                schedule.steps_per_round,
                state["round"],
                schedule.n_rounds,
                keras.callbacks.CallbackList(callbacks, model=model),
            )
    if not cluster.is_chief:
        return None
    n_rounds_done = max(state["round"], schedule.n_rounds)
    return save_networks(
        model,
        folder,
        store.config,
        {
            **asdict(settings),
            "steps": n_rounds_done * schedule.steps_per_round,
            "epochs_done": n_rounds_done / schedule.rounds_per_epoch,
        },
    )


@dataclass(frozen=True)
class Schedule:
    """How a training is cut: rounds of equal length, whole numbers of them to an epoch."""

    steps_per_epoch: int
    rounds_per_epoch: int
    steps_per_round: int
    n_rounds: int

    @classmethod
    def of(cls, steps_per_epoch: int, settings: PretrainingSettings) -> Schedule:
        """Returns the schedule of a training whose epochs have so many steps."""
        rounds_per_epoch = math.ceil(steps_per_epoch / settings.max_steps_per_round)
        return cls(
            steps_per_epoch, rounds_per_epoch, math.ceil(steps_per_epoch / rounds_per_epoch), settings.epochs * rounds_per_epoch
        )


def _as_dataset(batches: Iterator[np.ndarray], batch_size: int, config: SpectrogramConfig) -> Any:
    """Returns batches as `fit` takes them, with a fixed shape where the backend can use it."""
    if keras.backend.backend() != "tensorflow":
        return ((batch,) for batch in batches)
    import tensorflow as tf

    spec = tf.TensorSpec((batch_size, config.n_bins, config.n_frames, 1), tf.float32)
    return tf.data.Dataset.from_generator(lambda: ((batch,) for batch in batches), output_signature=(spec,)).prefetch(2)


def _tensorboard_logs(folder: Path, report: Callable[[str], None]) -> list[Draw]:
    try:
        return [TensorBoardLogs(folder / "logs")]
    except ImportError as error:
        report(f"no TensorBoard logs: {error}")
        return []


def save_networks(model: BEGAN, folder: Path, config: SpectrogramConfig, settings: dict[str, Any]) -> Path:
    """Writes encoder.keras, decoder.keras and generator.keras with their settings inside; returns the encoder's path.

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
