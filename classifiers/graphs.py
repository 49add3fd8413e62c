"""A head's trunk as TensorFlow graphs, traced once for all heads that differ in weights and data alone.

To trace them takes as long as to train a small head, and a search or a table trains many that are alike.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

import numpy as np

from classifiers.heads import build_optimizer, build_trunk, concordance_loss
from classifiers.trained import BLOCK, as_columns

if TYPE_CHECKING:
    import keras
    import tensorflow as tf


class Graphs:
    """A trunk's training and prediction as graphs.

    Attributes:
        train_epoch: (inputs, targets, weights, order) -> loss; takes one pass over the chunks, in the order of their numbers,
            int32 (n_chunks,), and returns the mean loss, float32.
    """

    def __init__(self, task: str, trunk: keras.Model, parameters: dict[str, Any]) -> None:
        import tensorflow as tf

        self._trunk = trunk
        optimizer = build_optimizer(parameters)
        optimizer.build(trunk.trainable_variables)
        self._optimizer_start = [(variable, variable.numpy()) for variable in optimizer.variables]
        batch = parameters["batch_size"]

        @tf.function
        def train_epoch(inputs: tf.Tensor, targets: tf.Tensor, weights: tf.Tensor, order: tf.Tensor) -> tf.Tensor:
            n_chunks, total = tf.shape(order)[0], tf.constant(0.0)
            for start in tf.range(0, n_chunks, batch):
                chosen = order[start : start + batch]
                with tf.GradientTape() as tape:
                    outputs = trunk(tf.gather(inputs, chosen), training=True)
                    wanted, weight = tf.gather(targets, chosen), tf.gather(weights, chosen)
                    loss = batch_loss(task, parameters["loss_function"], wanted, outputs, weight)
                optimizer.apply(tape.gradient(loss, trunk.trainable_variables), trunk.trainable_variables)
                total += loss * tf.cast(tf.size(chosen), tf.float32)
            return total / tf.cast(n_chunks, tf.float32)

        @tf.function
        def predict(block: tf.Tensor) -> Any:
            return trunk(block, training=False)

        # Called as graphs: counting calls of the functions of several heads, TensorFlow would warn of retracing, in the midst
        # of the progress lines.
        inputs = tf.TensorSpec((None, *trunk.input_shape[1:]), tf.float32)
        targets = tf.TensorSpec((None,), tf.int64) if task == "categorical" else tf.TensorSpec((None, 2), tf.float32)
        numbers = (tf.TensorSpec((None,), tf.float32), tf.TensorSpec((None,), tf.int32))
        self.train_epoch = train_epoch.get_concrete_function(inputs, targets, *numbers)
        self._predict = predict.get_concrete_function(inputs)

    def start_from(self, trunk: keras.Model) -> None:
        """Takes over another trunk's weights and state of dropout, and forgets what the optimiser remembers."""
        for variable, value in zip(self._trunk.variables, trunk.variables, strict=True):
            variable.assign(value)
        for variable, value in self._optimizer_start:
            variable.assign(value)

    def predict(self, inputs: np.ndarray) -> np.ndarray:
        """The outputs for inputs (n, ...) as columns, float32 (n, d)."""
        import tensorflow as tf

        return np.concatenate(
            [as_columns(self._predict(tf.constant(inputs[i : i + BLOCK]))) for i in range(0, len(inputs), BLOCK)]
        )

    def get_weights(self) -> list[np.ndarray]:
        """The trunk's weights as they are now."""
        return self._trunk.get_weights()


@functools.lru_cache(maxsize=2)
def trace_graphs(task: str, shape: tuple[int, ...], n_outputs: int, parameters: tuple[tuple[str, Any], ...]) -> Graphs:
    """The graphs of trunks of one shape and with the same parameters; the last ones are kept for heads that follow.

    Args:
        task, n_outputs: see `heads.build_head`.
        shape: of the stem's output.
        parameters: resolved, as sorted pairs.
    """
    resolved = dict(parameters)
    return Graphs(task, build_trunk(task, shape, n_outputs, resolved), resolved)


def batch_loss(task: str, loss: str, targets: Any, outputs: Any, weights: Any) -> Any:
    """The loss that is differentiated, a scalar tensor; arousal is compared on the tanh scale of [-1, 1].

    Args:
        targets: (n,) class indices, or (n, 2) arousal in [0, 1] and valence in [-1, 1].
        outputs: (n, n_classes) probabilities, or arousal and valence, each (n, 1).
        weights: (n,), used by the class loss.
    """
    import keras
    import tensorflow as tf

    if task == "categorical":
        return tf.reduce_mean(weights * keras.losses.sparse_categorical_crossentropy(targets, outputs))
    pairs = ((2 * targets[:, :1] - 1, 2 * outputs[0] - 1), (targets[:, 1:], outputs[1]))
    if loss == "ccc":
        return sum(concordance_loss(target, output) for target, output in pairs)
    distance = tf.abs if loss == "mae" else tf.square
    return sum(tf.reduce_mean(distance(target - output)) for target, output in pairs)
