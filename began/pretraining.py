"""Pre-training: a chunk store and a BEGAN in, a frozen encoder out; watchable, and resumable to the bit.

Training goes in rounds of equal length, several to an epoch when the corpus is large. A round is what Keras calls an
epoch: after each one the callbacks look at the numbers, halve the learning rate, draw, and write a checkpoint.
"""

from collections.abc import Callable, Iterator
from contextlib import nullcontext
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import keras
import numpy as np

from began.callbacks import N_PICTURED, Draw, ResumablePlateau, RoundReport, StopWhenNotFinite, log_to_tensorboard
from began.checkpoint import read_checkpoint
from began.dataset import ChunkStore
from began.distributed import Cluster, DistributedLoop
from began.errors import InputError
from began.files import write_atomically
from began.keras_file import MAX_JSON_BYTES, MAX_NETWORK_BYTES, attach_json
from began.model import BEGAN
from began.networks import build_decoder, build_encoder, build_generator
from began.precision import choose_precision, has_accelerator, require_precision, settle_precision
from began.pretraining_settings import FLOAT32, PretrainingSettings, Schedule
from began.spectrogram import SpectrogramConfig

MAX_STEPS_PER_CALL = 32
"""Most steps in one call on an accelerator: progress is shown, and Ctrl-C is heard, only between calls."""


def build_began(settings: PretrainingSettings, input_shape: tuple[int, int, int]) -> BEGAN:
    """Returns a compiled BEGAN with the initial weights that the settings' seed gives, in single precision."""
    sizes = (input_shape, settings.base_filters, settings.latent_size)
    model = BEGAN(
        build_encoder(*sizes, seed=settings.seed),
        build_decoder(*sizes, seed=settings.seed + 1),
        build_generator(*sizes, seed=settings.seed + 2) if settings.adversarial else None,
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
        cluster: the processes and devices that train together; None for one process with one device.
        draw: takes the pictured chunks and the history so far after every round, see `RoundReport`.
        report: takes a line about the progress.
    Returns:
        Path of encoder.keras; None on the other workers.
    Raises:
        InputError: the store is damaged, or smaller than a batch; the batch cannot be divided among the replicas; the
            checkpoint is damaged, another network's, of other recordings or of another precision; a loss stopped being finite
            (the last checkpoint is kept); a worker was lost.
    """
    cluster = cluster or Cluster()
    steps_per_epoch = store.steps_per_epoch(settings.batch_size)
    schedule = Schedule.of(steps_per_epoch, settings)
    model, loop = _build(settings, store, cluster, report)
    description = [settings.to_dict(), store.config.to_dict(), store.n_chunks, store.sounds_sha256]
    state = _restore(folder / "checkpoint.npz", model, cluster, loop, description)
    _refuse_other_training(folder / "checkpoint.npz", state, store, settings)
    n_steps, measure = schedule.n_rounds * schedule.steps_per_round, partial(_measure_precision, settings, store, report)
    precision, reason = settle_precision(state.get("precision"), settings.precision, cluster.n_replicas, n_steps, measure)
    report(f"precision {precision}: {reason}")
    settings, model.precision = replace(settings, precision=precision), precision
    patience = settings.patience_epochs * schedule.rounds_per_epoch
    plateau = ResumablePlateau(patience, settings.min_learning_rate, state["plateau"])
    callbacks = [plateau, StopWhenNotFinite(folder)]
    if cluster.is_chief:
        examples = store.read(np.linspace(0, store.n_chunks - 1, N_PICTURED).astype(np.int64))
        drawn = [*([draw] if draw else []), *_tensorboard_logs(folder, report)]
        rows = state["rows"]
        callbacks.append(RoundReport(folder, schedule, plateau, store.sounds_sha256, rows, examples, drawn, report))
        epochs = f"from epoch {state['round'] / schedule.rounds_per_epoch:.2f} to {settings.epochs}"
        report(f"{store.n_chunks} chunks, {steps_per_epoch} steps per epoch; {epochs}; writing to {folder}")
    else:
        report(f"worker {cluster.index}: training; worker 0 reports and writes")
    if state["round"] < schedule.n_rounds:
        first_step, part = state["round"] * schedule.steps_per_round, (cluster.index, cluster.n_workers)
        batches = store.batches(settings.batch_size, settings.seed, first_step, part)
        rounds = {"initial_epoch": state["round"], "epochs": schedule.n_rounds, "steps_per_epoch": schedule.steps_per_round}
        if loop is None:
            shape = (settings.batch_size, store.config.n_bins, store.config.n_frames, 1)
            _fit(model, batches, shape, **rounds, callbacks=callbacks)
        else:
            loop.fit(batches, **rounds, callbacks=callbacks)
    if not cluster.is_chief:
        return None
    n_done = max(state["round"], schedule.n_rounds)
    length = {"steps": n_done * schedule.steps_per_round, "epochs_done": n_done / schedule.rounds_per_epoch}
    return save_networks(model, folder, store.config, {**settings.to_dict(), **length})


def _build(
    settings: PretrainingSettings, store: ChunkStore, cluster: Cluster, report: Callable[[str], None]
) -> tuple[BEGAN, DistributedLoop | None]:
    """Returns the model, and what trains it where there are several devices or processes."""
    if settings.batch_size % cluster.n_replicas:
        expected = f"a multiple of {cluster.n_replicas}, the devices of all workers"
        raise InputError.about("batch size", settings.batch_size, expected, "give another batch size, or other devices")
    if cluster.workers:
        report(f"worker {cluster.index}: waiting for {', '.join(cluster.workers)}")
    strategy = cluster.connect()
    with nullcontext() if strategy is None else strategy.scope():
        model = build_began(settings, (store.config.n_bins, store.config.n_frames, 1))
    if (n_bytes := 4 * model.encoder.count_params()) > (most := MAX_NETWORK_BYTES - MAX_JSON_BYTES):
        found, expected = f"{settings.base_filters}, an encoder of {n_bytes / 1e6:.0f} MB", f"at most {most / 1e6:.0f} MB"
        raise InputError.about(
            "base filters", found, expected, "give a smaller number: it could be saved, but not opened again"
        )
    return model, None if strategy is None else DistributedLoop(strategy, cluster, model)


def _restore(path: Path, model: BEGAN, cluster: Cluster, loop: DistributedLoop | None, description: Any) -> dict[str, Any]:
    """Reads worker 0's checkpoint into the model, and returns its state; of a training that begins, round 0."""
    # An empty file is a damaged checkpoint, not none.
    content = (path.read_bytes() or b"empty") if cluster.is_chief and path.exists() else b""
    if loop is not None:
        loop.require_same(description)
        content = loop.share(content)
    if not content:
        return {"round": 0, "plateau": {}, "rows": []}
    return {"precision": FLOAT32, **read_checkpoint(path, model, content)}


def _refuse_other_training(path: Path, state: dict[str, Any], store: ChunkStore, settings: PretrainingSettings) -> None:
    """Raises an InputError where a checkpoint is of other recordings, or of another precision than is asked for.

    Of an earlier version, which did not keep the recordings, nothing is known, and it is taken as it is.
    """
    if state.get("sounds_sha256", store.sounds_sha256) != store.sounds_sha256:
        found, expected = "the checkpoint of a training on other recordings", "the recordings that it was trained on"
        raise InputError.about(path, found, expected, "restore them, or choose another folder")
    require_precision(path, state.get("precision", settings.precision), settings.precision)


def _measure_precision(settings: PretrainingSettings, store: ChunkStore, report: Callable[[str], None]) -> tuple[str, str]:
    batch = store.read(np.arange(settings.batch_size))
    return choose_precision(partial(build_began, settings, batch.shape[1:]), batch, report)


def _fit(model: BEGAN, batches: Iterator[np.ndarray], shape: tuple[int, ...], steps_per_epoch: int, **options: Any) -> None:
    """Trains a model with Keras, on one device.

    Args:
        shape: of a batch.
        steps_per_epoch, options: of Keras' `fit`.
    """
    model.steps_per_execution = _count_steps_per_call(steps_per_epoch)
    failures: list[InputError] = []
    data = _as_dataset(_keep_failure(batches, failures), shape)
    try:
        model.fit(data, steps_per_epoch=steps_per_epoch, shuffle=False, verbose=0, **options)
    except Exception:
        if failures:  # which TensorFlow hides in an error of its own
            raise failures[0] from None
        raise


def _count_steps_per_call(steps_per_round: int) -> int:
    """Returns how many steps Keras does in one call: several on an accelerator, which would wait between calls."""
    if not has_accelerator():
        return 1
    return max(number for number in range(1, MAX_STEPS_PER_CALL + 1) if steps_per_round % number == 0)


def _keep_failure(batches: Iterator[np.ndarray], failures: list[InputError]) -> Iterator[np.ndarray]:
    """Yields batches, and keeps the error that ends them."""
    try:
        yield from batches
    except InputError as error:
        failures.append(error)
        raise


def _as_dataset(batches: Iterator[np.ndarray], shape: tuple[int, ...]) -> Any:
    """Returns batches as `fit` takes them, with a fixed shape where the backend can use it."""
    if keras.backend.backend() != "tensorflow":
        return ((batch,) for batch in batches)
    import tensorflow as tf

    spec = tf.TensorSpec(shape, tf.float32)
    return tf.data.Dataset.from_generator(lambda: ((batch,) for batch in batches), output_signature=(spec,)).prefetch(2)


def _tensorboard_logs(folder: Path, report: Callable[[str], None]) -> list[Draw]:
    try:
        return [log_to_tensorboard(folder / "logs")]
    except ImportError as error:
        report(f"no TensorBoard logs: {error}")
        return []


def save_networks(model: BEGAN, folder: Path, config: SpectrogramConfig, settings: dict[str, Any]) -> Path:
    """Writes encoder.keras, decoder.keras and generator.keras with their settings inside; returns the encoder's path.

    All are single precision, and so is the model from here on.

    The files hold stock Keras layers only: `keras.models.load_model(path, safe_mode=True)` opens them without this project.
    """
    model.precision = FLOAT32
    for name in ("decoder", "generator", "encoder"):
        if (network := getattr(model, name)) is None:
            continue
        with write_atomically(folder / f"{name}.keras") as temporary:
            network.save(temporary)
            attach_json(temporary, "spectrogram", config.to_dict())
            attach_json(temporary, "pretraining", settings)
    return folder / "encoder.keras"
