"""Training heads on cached features: one (`train_head`), or many on several processes (`train_heads`).

What makes it quick on a CPU: a head's stem has nothing to train, so that its output is computed once and kept in
memory; one graph call trains a whole epoch; heads that differ in weights and data alone share their graphs; and one
TensorFlow thread a head beats two on layers of this size, so that parallel work is spread over processes. The thread
count also decides the order of floating-point sums: `train_heads` always uses one, and its weights are therefore
bit-identical for a seed, whatever the number of workers.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from began.errors import InputError
from classifiers import metrics
from classifiers.graphs import batch_loss, trace_graphs
from classifiers.heads import build_head, measure_normalization, resolve_parameters
from classifiers.trained import BLOCK, TrainedHead, load_head, save_head

if TYPE_CHECKING:
    import keras

__all__ = ["HeadJob", "TrainedHead", "load_head", "save_head", "selection_scores", "train_head", "train_heads", "train_job"]


@dataclass(frozen=True)
class HeadJob:
    """One head to train, as arguments of `train_head`; jobs that share `features` share it in memory.

    Attributes:
        features: float32, shape (n_chunks, ...), of the whole corpus.
        targets: int class indices (n_chunks,), or arousal and valence (n_chunks, 2), of every chunk.
        parameters: what differs from the kind's defaults.
        rows: int, chunks to train on; all by default.
        validation_rows: int, chunks to select the epoch on, or None.
        utterance: int (n_chunks,), the utterance of each chunk; needed for validation.
    """

    features: np.ndarray
    targets: np.ndarray
    parameters: dict[str, Any]
    task: str
    epochs: int
    seed: int
    n_outputs: int | None = None
    rows: np.ndarray | None = None
    validation_rows: np.ndarray | None = None
    utterance: np.ndarray | None = None
    patience: int | None = 15
    aggregation: str = "mean"
    class_weight: str | None = None


def train_head(
    features: np.ndarray,
    targets: np.ndarray,
    parameters: dict[str, Any] | None = None,
    *,
    task: str,
    epochs: int,
    seed: int,
    validation: tuple[np.ndarray, np.ndarray, np.ndarray] | None = None,
    n_outputs: int | None = None,
    rows: np.ndarray | None = None,
    patience: int | None = 15,
    aggregation: str = "mean",
    class_weight: str | None = None,
) -> TrainedHead:
    """Trains one head in this process, with its thread count; the same arguments give the same weights.

    With `validation`, the weights of the best epoch are kept: the one with the highest unweighted average recall of
    utterances (softmax) or mean CCC of utterances (arousal_valence), and the lowest loss among equals. Without, those
    of the last epoch. Normalisation statistics come from the training chunks alone.

    Args:
        features: float32, shape (n_chunks, n_bins, n_frames, n_channels) or (n_chunks, h); may be memory-mapped.
        targets: int class indices (n_chunks,), or arousal in [0, 1] and valence in [-1, 1], shape (n_chunks, 2).
        parameters: what differs from `heads.DEFAULT_PARAMETERS[task]`.
        task: "categorical" or "dimensional".
        epochs: at most so many.
        seed: of weights, dropout and order of chunks.
        validation: features, targets and utterance index of validation chunks.
        n_outputs: number of classes; the highest class index seen plus one by default.
        rows: int, the chunks of `features` to train on; all by default.
        patience: epochs without improvement on validation data before it stops; None never stops.
        aggregation: how an utterance's score comes from its chunks, see `metrics.aggregate_chunks`.
        class_weight: "balanced" weighs classes by the inverse of their number of chunks; softmax only.
    Raises:
        InputError: unusable parameters or targets.
        FloatingPointError: the loss became infinite or NaN before any epoch ended well.
    """
    import tensorflow as tf

    # Else a head's last bits depend on whether something else in the process, a pre-training, has asked for it.
    tf.config.experimental.enable_op_determinism()
    started = time.perf_counter()
    parameters = resolve_parameters(task, parameters)
    rows = np.arange(len(features)) if rows is None else np.asarray(rows, dtype=np.int64)
    targets = _check_targets(task, targets, len(features))
    checked = [targets[rows]]
    if validation is not None:
        checked_targets = _check_targets(task, validation[1], len(validation[0]))
        validation = (validation[0], checked_targets, np.asarray(validation[2]))
        checked.append(checked_targets)
    n_outputs = n_outputs or (2 if task == "dimensional" else max(int(t.max(initial=0)) for t in checked) + 1)
    if len(rows) == 0 or epochs < 1 or (validation is not None and len(validation[0]) == 0):
        raise InputError.about(
            "training",
            found=f"{len(rows)} training chunks, {epochs} epochs",
            expected="at least 1 of each, and of validation chunks",
            action="check the split of the corpus",
        )
    if task == "categorical" and max(int(t.max(initial=0)) for t in checked) >= n_outputs:
        raise InputError.about(
            "targets",
            found=f"class index {max(int(t.max()) for t in checked)}",
            expected=f"0 to {n_outputs - 1}",
            action="check the labels of the corpus",
        )
    head = build_head(task, features.shape[1:], n_outputs, parameters, seed, measure_normalization(features, rows))
    training = (_stem_output(head, features, rows), targets[rows])
    if validation is not None:
        validation = (_stem_output(head, validation[0], np.arange(len(validation[0]))), *validation[1:])
    weights = _class_weights(class_weight, task, targets[rows], n_outputs)
    history, best_epoch = _fit_trunk(
        head.get_layer("trunk"),
        training,
        weights,
        validation,
        parameters,
        task=task,
        n_outputs=n_outputs,
        epochs=epochs,
        seed=seed,
        patience=patience,
        aggregation=aggregation,
    )
    seconds = time.perf_counter() - started
    return TrainedHead(head, task, parameters, pd.DataFrame(history), best_epoch, seconds)


def _check_targets(task: str, targets: np.ndarray, n_chunks: int) -> np.ndarray:
    """Targets as int64 (n_chunks,) or float32 (n_chunks, 2)."""
    targets = np.asarray(targets)
    shape, dtype = ((n_chunks,), np.int64) if task == "categorical" else ((n_chunks, 2), np.float32)
    if targets.shape != shape or not np.issubdtype(targets.dtype, np.number):
        raise InputError.about(
            f"targets of the {task} head",
            found=f"{targets.dtype} of shape {targets.shape}",
            expected=f"numbers of shape {shape}",
            action="give one target a chunk",
        )
    low = np.zeros(1) if task == "categorical" else np.array([0.0, -1.0])
    high = np.full(1, np.inf) if task == "categorical" else np.array([1.0, 1.0])
    outside = ~((targets >= low - 1e-6) & (targets <= high + 1e-6))
    if outside.any():
        raise InputError.about(
            f"targets of the {task} head",
            found=targets[outside][0],
            expected="class indices from 0" if task == "categorical" else "arousal in [0, 1] and valence in [-1, 1]",
            action="check the annotations of the corpus",
        )
    return targets.astype(dtype)


def _class_weights(class_weight: str | None, task: str, targets: np.ndarray, n_outputs: int) -> np.ndarray:
    """A weight a chunk, float32 (n_chunks,), of mean one."""
    if class_weight not in (None, "balanced") or (class_weight and task != "categorical"):
        raise InputError.about(
            "class weight",
            found=f"{class_weight!r} for a {task} head",
            expected="'balanced' for softmax, or None",
            action="leave it out",
        )
    if class_weight is None:
        return np.ones(len(targets), np.float32)
    counts = np.bincount(targets, minlength=n_outputs)
    weights = 1.0 / np.maximum(counts, 1)[targets]
    return (weights / weights.mean()).astype(np.float32)


def _stem_output(head: keras.Model, features: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """What the trunk reads: float32 (len(rows), n_bins / pool, n_frames / pool, n_channels)."""
    import keras

    stem = keras.Model(head.input, head.get_layer("stem").output)
    blocks = [np.asarray(stem(features[rows[i : i + BLOCK]])) for i in range(0, len(rows), BLOCK)]
    return np.concatenate(blocks)


def _fit_trunk(
    trunk: keras.Model,
    training: tuple[np.ndarray, np.ndarray],
    weights: np.ndarray,
    validation: tuple[np.ndarray, np.ndarray, np.ndarray] | None,
    parameters: dict[str, Any],
    *,
    task: str,
    n_outputs: int,
    epochs: int,
    seed: int,
    patience: int | None,
    aggregation: str,
) -> tuple[list[dict[str, float]], int]:
    """Trains the trunk in place; returns the history's rows and the epoch whose weights it ends with."""
    import tensorflow as tf

    graphs = trace_graphs(task, tuple(trunk.input_shape[1:]), n_outputs, tuple(sorted(parameters.items())))
    graphs.start_from(trunk)
    data = tf.constant(training[0]), tf.constant(training[1]), tf.constant(weights)
    generator = np.random.default_rng(seed)
    history: list[dict[str, float]] = []
    best: tuple[tuple[float, float], int, list[np.ndarray]] | None = None
    for epoch in range(1, epochs + 1):
        loss = float(graphs.train_epoch(*data, tf.constant(generator.permutation(len(weights)).astype(np.int32))))
        if not np.isfinite(loss):
            break
        row = {"epoch": epoch, "loss": loss}
        history.append(row)
        if validation is None:
            continue
        scores = graphs.predict(validation[0])
        measured = measure_validation(task, parameters["loss_function"], scores, *validation[1:], aggregation)
        row.update({f"validation_{name}": value for name, value in measured.items() if name != "score"})
        key = (round(measured["score"], 9), -measured["loss"])
        if np.isfinite(measured["loss"]) and (best is None or key > best[0]):
            best = (key, epoch, graphs.get_weights())
        if patience is not None and best is not None and epoch - best[1] >= patience:
            break
    if not history or (validation is not None and best is None) or (validation is None and len(history) < epochs):
        raise FloatingPointError(f"the loss is not finite after epoch {len(history)}: lower the learning rate")
    trunk.set_weights(best[2] if best else graphs.get_weights())
    return history, best[1] if best else epochs


def measure_validation(
    task: str, loss: str, scores: np.ndarray, targets: np.ndarray, utterance: np.ndarray, aggregation: str
) -> dict[str, float]:
    """Chunk-level `loss`, utterance-level metrics, and `score`, the one to select on (higher is better).

    Args:
        scores: float32 (n_chunks, d), chunk predictions; NaN gives a score of -1.
        targets: of chunks; those of one utterance are equal.
        utterance: int (n_chunks,).
    """
    columns = scores if task == "categorical" else (scores[:, :1], scores[:, 1:])
    ones = np.ones(len(scores), np.float32)
    measured = {"loss": float(batch_loss(task, loss, targets, columns, ones))}
    if not np.isfinite(scores).all():
        return {**measured, "loss": float("nan"), "score": -1.0}
    _, first = np.unique(utterance, return_index=True)
    target, predicted = targets[first], metrics.aggregate_chunks(scores, utterance, aggregation, task)
    if task == "categorical":
        measured["accuracy"] = float(np.mean(predicted.argmax(axis=1) == target))
        measured["unweighted_average_recall"] = metrics.unweighted_average_recall(target, predicted.argmax(axis=1))
        return {**measured, "score": measured["unweighted_average_recall"]}
    for column, name in enumerate(("arousal", "valence")):
        measured[f"concordance_correlation_coefficient_{name}"] = metrics.concordance_correlation_coefficient(
            target[:, column], predicted[:, column]
        )
    score = np.mean([measured[f"concordance_correlation_coefficient_{name}"] for name in ("arousal", "valence")])
    return {**measured, "score": float(score)}


def selection_scores(task: str, history: pd.DataFrame) -> pd.Series:
    """What `train_head` selects the epoch on and the search maximises, an epoch: UAR, or the mean of both CCCs.

    Args:
        history: of a head trained with validation data.
    Returns:
        Series indexed by epoch, from 1.
    """
    names = (
        ["unweighted_average_recall"]
        if task == "categorical"
        else [f"concordance_correlation_coefficient_{name}" for name in ("arousal", "valence")]
    )
    return history.set_index("epoch")[[f"validation_{name}" for name in names]].mean(axis=1)


def train_heads(jobs: Sequence[HeadJob], workers: int = 1, progress: str | None = "training heads") -> list[TrainedHead]:
    """Trains many heads, each on one thread, and returns them in the order of `jobs`, whatever the number of workers.

    Args:
        jobs: heads to train.
        workers: processes at a time.
        progress: text beside the progress bar; None shows none.
    Raises:
        InputError, FloatingPointError: see `train_head`.
    """
    from tqdm.auto import tqdm

    from classifiers.workers import head_workers

    with head_workers(workers) as pool:
        pending = [pool.submit([job])[0] for job in jobs]
        return [head.result() for head in tqdm(pending, desc=progress, unit="head", disable=progress is None)]


def train_job(job: HeadJob) -> TrainedHead:
    """`train_head` with a job's arguments."""
    validation = None
    if job.validation_rows is not None:
        chosen = np.asarray(job.validation_rows, dtype=np.int64)
        validation = (job.features[chosen], np.asarray(job.targets)[chosen], np.asarray(job.utterance)[chosen])
    return train_head(
        job.features,
        job.targets,
        job.parameters,
        task=job.task,
        epochs=job.epochs,
        seed=job.seed,
        validation=validation,
        n_outputs=job.n_outputs,
        rows=job.rows,
        patience=job.patience,
        aggregation=job.aggregation,
        class_weight=job.class_weight,
    )
