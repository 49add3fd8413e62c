"""Training one head on cached features: `train_head`.

What makes it quick on a CPU: the stem of a head on one second has nothing to train, so that its output is computed once and
kept in memory; the statistics of utterances are read as they are stored, `BLOCK` at a time, so that memory does not grow with
their number; one graph call trains many steps; and heads that are alike in shape and parameters share their graphs. One
TensorFlow thread per head beats two on layers of this size; `classifiers.workers` trains many heads side by side.
"""

from __future__ import annotations

import functools
import math
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from began.arrays import read_rows
from began.errors import InputError
from classifiers import heads, metrics
from classifiers.head_parameters import SECOND, UTTERANCE, choose_statistics, resolve_parameters
from classifiers.metrics import CATEGORICAL
from classifiers.statistics_columns import BLOCK, ChosenColumns

if TYPE_CHECKING:
    import keras
    import tensorflow as tf

STEPS_TOGETHER = 32
"""Steps of a head on whole utterances whose rows are read at a time."""


@dataclass(frozen=True)
class HeadJob:
    """One head to train. Jobs that share `features` share them in memory.

    Attributes:
        features: float32, or float16 where rows are statistics of whole utterances, shape (n_chunks, n_bins, n_frames,
            n_channels) or (n_chunks, h), of the whole corpus; may be memory-mapped.
        targets: of every chunk: class indices, int (n_chunks,), or arousal in [0, 1] and valence in [-1, 1], (n_chunks, 2).
        utterance: int (n_chunks,), the utterance of each chunk.
        task, n_outputs, parameters: see `heads.build_head`.
        epochs: at most so many.
        seed: of weights, dropout and the order of chunks.
        rows: int, chunks to train on.
        validation_rows: int, chunks to select the epoch on; None: the last epoch is taken.
        test_rows: int, chunks to score at the end; nothing else depends on them.
        patience: epochs without improvement on validation data before the training stops; None never stops.
        aggregation: how an utterance's scores come from its chunks' (`metrics.aggregate_chunks`).
        class_weight: "balanced" weighs classes by the inverse of their number of chunks.
        statistics: str, (n_statistics,), names of the features' columns, see `began.utterance_encoder.name_statistics`: a head
            of the kind UTTERANCE is trained, on as many steps as its parameters say. None: of the kind SECOND.
    """

    features: Any
    targets: np.ndarray
    utterance: np.ndarray
    task: str
    parameters: dict[str, Any]
    epochs: int
    seed: int
    n_outputs: int
    rows: np.ndarray
    validation_rows: np.ndarray | None = None
    test_rows: np.ndarray | None = None
    patience: int | None = 15
    aggregation: str = "mean"
    class_weight: str | None = None
    statistics: np.ndarray | None = None

    @property
    def kind(self) -> str:
        """One of `classifiers.head_parameters.KINDS`."""
        return SECOND if self.statistics is None else UTTERANCE


@dataclass(frozen=True)
class TrainedHead:
    """A trained head and how it came about.

    Attributes:
        model: the head; None where another process has trained it (`classifiers.workers`).
        parameters: all of them, as plain types.
        history: one row per epoch: epoch, loss and, with validation data, validation_loss (of chunks), validation_score (of
            utterances, what the epoch is selected on) and the metrics it consists of.
        best_epoch: whose weights the model has, counted from 1.
        seconds: that the training took.
        scores: of the test chunks, float32 (len(test_rows), n_outputs); None without test rows.
    """

    model: keras.Model | None
    parameters: dict[str, Any]
    history: pd.DataFrame
    best_epoch: int
    seconds: float
    scores: np.ndarray | None

    def score(self, features: np.ndarray, rows: np.ndarray, statistics: np.ndarray | None = None) -> np.ndarray:
        """Returns the scores of some rows of any features, float32 (len(rows), n_outputs), where the head has its model.

        Args:
            features, statistics: see `HeadJob`; others than it was trained on.
            rows: int, shape (n,).
        """
        if statistics is None:
            return _apply(self.model, features, rows)
        chosen = ChosenColumns(features, choose_statistics(self.parameters, statistics))
        return _apply(self.model, chosen, rows)


def train_head(job: HeadJob) -> TrainedHead:
    """Trains one head in this process, with its thread count; the same job gives the same weights.

    With validation rows, the weights of the best epoch are kept: the one with the highest unweighted average recall of
    utterances, or mean CCC of arousal and valence, and with the lowest loss among equals. Heads of the kind UTTERANCE end
    with a learning rate of 0, and are validated then. Normalisation statistics come from the training chunks alone.

    Raises:
        InputError: unusable parameters, targets or rows.
        FloatingPointError: the loss became infinite or NaN before any epoch ended well.
    """
    import tensorflow as tf

    # Else a head's last bits depend on whether something else in the process, a pre-training, has asked for it.
    tf.config.experimental.enable_op_determinism()
    started = time.perf_counter()
    job = _check(job)
    if isinstance(job.features, ChosenColumns):
        normalization = job.features.measure_normalization(job.rows)
    else:
        normalization = heads.measure_normalization(job.features, job.rows)
    shape = job.features.shape[1:]
    model = heads.build_head(job.task, shape, job.n_outputs, job.parameters, job.seed, normalization, job.kind)
    history, best_epoch = _fit_trunk(model, job)
    seconds = time.perf_counter() - started
    scores = None if job.test_rows is None else _apply(model, job.features, job.test_rows)
    return TrainedHead(model, job.parameters, pd.DataFrame(history), best_epoch, seconds, scores)


def choose_columns(job: HeadJob) -> ChosenColumns:
    """Returns the statistics that a head of the kind UTTERANCE reads."""
    parameters = resolve_parameters(job.task, job.parameters, job.kind)
    return ChosenColumns(job.features, choose_statistics(parameters, job.statistics))


def _check(job: HeadJob) -> HeadJob:
    """The job with all parameters, and arrays of the types that the training needs."""
    parameters = resolve_parameters(job.task, job.parameters, job.kind)
    if job.statistics is not None:
        features = choose_columns(job)
        n_epochs = math.ceil(parameters["n_steps"] / math.ceil(max(1, len(job.rows)) / parameters["batch_size"]))
        job = replace(job, features=features, epochs=n_epochs, patience=None)
    parts = (job.rows, job.validation_rows, job.test_rows)
    rows, validation_rows, test_rows = (None if part is None else np.asarray(part, np.int64) for part in parts)
    if len(rows) == 0 or job.epochs < 1 or (validation_rows is not None and len(validation_rows) == 0):
        found, expected = f"{len(rows)} training chunks, {job.epochs} epochs", "at least 1 of each, and of validation chunks"
        raise InputError.about("training", found, expected, "check the split")
    used = rows if validation_rows is None else np.concatenate([rows, validation_rows])
    is_class, targets = job.task == CATEGORICAL, np.asarray(job.targets)
    subject, shape = f"targets of the {job.task} head", (len(job.features),) if is_class else (len(job.features), 2)
    if targets.shape != shape or not np.issubdtype(targets.dtype, np.number):
        found = f"{targets.dtype} of shape {targets.shape}"
        raise InputError.about(subject, found, f"numbers of shape {shape}", "give one target per chunk")
    low, high = (0, job.n_outputs - 1) if is_class else (np.array([0, -1]), np.array([1, 1]))
    outside = ~((targets[used] >= low - 1e-6) & (targets[used] <= high + 1e-6))  # also true for NaN
    if outside.any():
        expected = f"class indices from 0 to {high}" if is_class else "arousal in [0, 1] and valence in [-1, 1]"
        raise InputError.about(subject, targets[used][outside][0], expected, "check the labels")
    if job.class_weight not in ((None, "balanced") if is_class else (None,)):
        raise InputError.about("class weight", job.class_weight, "'balanced' for classes, or None", "leave it out")
    with np.errstate(invalid="ignore"):  # targets that are not used may be missing
        targets = targets.astype(np.int64 if is_class else np.float32)
    checked = replace(job, parameters=parameters, targets=targets, rows=rows)
    return replace(checked, validation_rows=validation_rows, test_rows=test_rows)


def _apply(network: Callable, inputs: Any, rows: np.ndarray) -> np.ndarray:
    """A network's outputs for the inputs of some chunks, float32 (len(rows), ...)."""
    import tensorflow as tf

    parts = (read_rows(inputs, rows[start : start + BLOCK]) for start in range(0, max(len(rows), 1), BLOCK))
    return np.concatenate([heads.as_columns(network(tf.constant(part))) for part in parts])


def _class_weights(job: HeadJob) -> np.ndarray:
    """One weight per training chunk, float32 (len(job.rows),), of mean one."""
    targets = job.targets[job.rows]
    weights = np.ones(len(targets)) if job.class_weight is None else 1.0 / np.bincount(targets)[targets]
    return (weights / weights.mean()).astype(np.float32)


def _fit_trunk(model: keras.Model, job: HeadJob) -> tuple[list[dict[str, float]], int]:
    """Trains a head's trunk in place; returns the history's rows and the epoch whose weights it ends with."""
    import keras
    import tensorflow as tf

    trunk, batch_size = model.get_layer("trunk"), job.parameters["batch_size"]
    form = job.task, tuple(trunk.input_shape[1:]), job.n_outputs, tuple(sorted(job.parameters.items()))
    if isinstance(job.features, ChosenColumns):
        inputs, rows, validation_rows = job.features.features, job.rows, job.validation_rows
        if inputs.dtype == np.float16:  # TensorFlow complains of such tensors where a processor has no AVX-512
            inputs = inputs.view(np.uint16)
        graphs = _TrunkGraphs(*form, inputs.dtype.name, inputs.shape[-1], job.features.ranges)
    else:
        stem, graphs = keras.Model(model.input, model.get_layer("stem").output), _TrunkGraphs(*form)
        kept = job.rows if job.validation_rows is None else np.concatenate([job.rows, job.validation_rows])
        inputs = _apply(stem, job.features, kept)
        rows, validation_rows = np.split(np.arange(len(kept)), [len(job.rows)])
    graphs.start_from(model)
    targets, weights = job.targets[job.rows], _class_weights(job)
    n_steps, n_together = math.ceil(len(rows) / batch_size), STEPS_TOGETHER * batch_size
    generator = np.random.default_rng(job.seed)
    history: list[dict[str, float]] = []
    best_key, best_epoch, best_weights = (-np.inf, -np.inf), 0, None
    for epoch in range(1, job.epochs + 1):
        order, losses = generator.permutation(len(rows)), []
        for start in range(0, len(rows), n_together):
            part = order[start : start + n_together]
            done = (epoch - 1) * n_steps + start // batch_size
            steps = tf.constant([done, job.epochs * n_steps], tf.float32)
            losses.append(graphs.train(*map(tf.constant, (read_rows(inputs, rows[part]), targets[part], weights[part])), steps))
        loss = sum(map(float, losses)) / len(rows)
        if not np.isfinite(loss):
            break
        history.append({"epoch": epoch, "loss": loss})
        if job.validation_rows is None or (job.kind == UTTERANCE and epoch < job.epochs):
            continue
        measured = _measure_validation(_apply(graphs.predict, inputs, validation_rows), job)
        history[-1].update({f"validation_{name}": value for name, value in measured.items()})
        if np.isfinite(measured["loss"]):
            key = (round(measured["score"], 9), -measured["loss"])
            if key > best_key:
                best_key, best_epoch, best_weights = key, epoch, graphs.trunk.get_weights()
        if job.patience is not None and best_epoch and epoch - best_epoch >= job.patience:
            break
    if job.validation_rows is None and len(history) == job.epochs:
        best_epoch, best_weights = job.epochs, graphs.trunk.get_weights()
    if best_weights is None:
        raise FloatingPointError(f"the loss is not finite after epoch {len(history)}: lower the learning rate")
    trunk.set_weights(best_weights)
    return history, best_epoch


def _measure_validation(scores: np.ndarray, job: HeadJob) -> dict[str, float]:
    """The `loss` of validation chunks, and metrics and `score` of validation utterances; NaN where scores are not finite."""
    if not np.isfinite(scores).all():
        return {"loss": float("nan"), "score": float("nan")}
    targets, utterance = job.targets[job.validation_rows], np.asarray(job.utterance)[job.validation_rows]
    outputs = scores if job.task == CATEGORICAL else (scores[:, :1], scores[:, 1:])
    loss = float(heads.compute_loss(job.task, job.parameters["loss_function"], targets, outputs))
    return {"loss": loss, **metrics.score_utterances(job.task, scores, targets, utterance, job.aggregation)}


@functools.lru_cache(maxsize=2)
class _TrunkGraphs:
    """A trunk's training and prediction as TensorFlow graphs; the last ones are kept for heads that are alike.

    To trace graphs takes as long as to train a small head, and a search or a table trains many that are alike.

    Args:
        task, shape, n_outputs: see `heads.build_trunk`.
        parameters: all of them, as sorted pairs.
        dtype: of the inputs; "uint16" are the bits of float16.
        n_columns, ranges: of a head on whole utterances: number of an utterance's statistics, and start and end of those that
            are read (`ChosenColumns`). Such statistics are inputs, to be normalised; else a stem's output is.
    Attributes:
        trunk: whose weights are trained.
        train: (inputs, targets, weights, (steps done, steps in all)) -> sum of the losses, of one pass over these chunks in
            their order.
        predict: inputs -> the trunk's outputs.
    """

    def __init__(
        self,
        task: str,
        shape: tuple[int, ...],
        n_outputs: int,
        parameters: tuple[tuple[str, Any], ...],
        dtype: str = "float32",
        n_columns: int | None = None,
        ranges: tuple[tuple[int, int], ...] = (),
    ) -> None:
        import tensorflow as tf

        resolved = dict(parameters)
        trunk = self.trunk = heads.build_trunk(task, shape, n_outputs, resolved)
        optimizer = heads.build_optimizer(resolved)
        optimizer.build(trunk.trainable_variables)
        self._optimizer_start = [(variable, variable.numpy()) for variable in optimizer.variables]
        batch, loss_function = resolved["batch_size"], resolved["loss_function"]
        has_schedule, highest_rate = "n_steps" in resolved, resolved["learning_rate"]
        # Read by the graphs when they run: the head's own layer would become a constant of them.
        self._normalization = [tf.Variable(tf.ones((1, shape[0], 1, shape[-1]))) for _ in range(2)] if ranges else []

        def read(inputs: tf.Tensor) -> tf.Tensor:
            if not ranges:
                return inputs
            numbers = tf.cast(tf.bitcast(inputs, tf.float16) if dtype == "uint16" else inputs, tf.float32)
            chosen = tf.concat([numbers[..., start:end] for start, end in ranges], axis=-1)
            mean, deviation = self._normalization
            return (chosen - mean) / deviation

        def train(inputs: tf.Tensor, targets: tf.Tensor, weights: tf.Tensor, steps: tf.Tensor) -> tf.Tensor:
            n_chunks, total = tf.shape(inputs)[0], tf.constant(0.0)
            for start in tf.range(0, n_chunks, batch):
                rows = slice(start, start + batch)
                if has_schedule:
                    done = steps[0] + tf.cast(start // batch, tf.float32)
                    rise = tf.minimum(1.0, (done + 1.0) / heads.WARM_UP_STEPS)
                    fall = 0.5 + 0.5 * tf.cos(math.pi * done / steps[1])
                    optimizer.learning_rate = highest_rate * rise * fall
                with tf.GradientTape() as tape:
                    outputs = trunk(read(inputs[rows]), training=True)
                    loss = heads.compute_loss(task, loss_function, targets[rows], outputs, weights[rows])
                optimizer.apply(tape.gradient(loss, trunk.trainable_variables), trunk.trainable_variables)
                total += loss * tf.cast(tf.size(weights[rows]), tf.float32)
            return total

        def predict(inputs: tf.Tensor) -> Any:
            return trunk(read(inputs), training=False)

        # Called as graphs: TensorFlow counts the calls of all heads' functions together and would warn of retracing, in the
        # midst of the progress lines.
        form = tf.TensorSpec((None, *shape[:-1], n_columns or shape[-1]), dtype)
        targets = tf.TensorSpec((None,), tf.int64) if task == CATEGORICAL else tf.TensorSpec((None, 2), tf.float32)
        numbers = tf.TensorSpec((None,), tf.float32), tf.TensorSpec((2,), tf.float32)
        self.train = tf.function(train).get_concrete_function(form, targets, *numbers)
        self.predict = tf.function(predict).get_concrete_function(form)

    def start_from(self, head: keras.Model) -> None:
        """Takes over a head's weights and state of dropout, and its normalisation, and forgets what the optimiser remembers."""
        import keras

        pairs = zip(self.trunk.variables, head.get_layer("trunk").variables, strict=True)
        for variable, value in [*pairs, *self._optimizer_start]:
            variable.assign(value)
        if self._normalization:
            layer = head.get_layer("normalization")
            deviation = keras.ops.maximum(keras.ops.sqrt(layer.variance), keras.config.epsilon())
            for variable, value in zip(self._normalization, (layer.mean, deviation), strict=True):
                variable.assign(value)
