"""The supervised heads: their layers and losses.

A head maps the features of one chunk, or of one utterance, to scores, and consists of stock Keras layers alone, so that
`keras.models.load_model(path, safe_mode=True)` opens a saved one without this project's code:

    map (n_bins, n_frames, n_channels) -> normalization -> average pooling     the *stem*: nothing to train
        -> [convolution] * n_convolutions -> pooling -> [dense] -> outputs       the *trunk*

The stem keeps the statistics of the training part inside the model, and its output need be computed only once for a
whole training (`classifiers.training`).  Source: Pereira et al. 2018, sections 2.2 and 2.3.

Assumption: the paper leaves the head's layers to a search. The defaults, for use without one, did well on four of EmoDB's
speakers: strided over frequency, so that the convolutions see a wide range of it, and both mean and maximum at the end.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from began.errors import InputError
from classifiers.head_parameters import SECOND, UTTERANCE, resolve_parameters
from classifiers.metrics import CATEGORICAL, DIMENSIONAL

if TYPE_CHECKING:
    import keras

WARM_UP_STEPS = 50

CHUNKS_AT_ONCE = 256
"""Chunks in memory at a time while they are measured."""

VARIANCE_FLOOR = 1e-3
"""Of a bin and channel, as a share of the mean variance."""

_FIXED_OF_UTTERANCES = {
    "pooling": "mean_time",  # of one frame: nothing is lost
    "dense_units": 0,
    "optimizer": "adam",
}


def layered_shape(shape: tuple[int, ...]) -> tuple[int, int, int]:
    """The shape of features as (n_bins, n_frames, n_channels): an embedding (h,) counts as a map with one bin and frame.

    Raises:
        InputError: neither one axis nor three, or an empty one.
    """
    shape = tuple(int(size) for size in shape)
    if len(shape) not in (1, 3) or min(shape) < 1:
        expected = "(n_bins, n_frames, n_channels) or (h,)"
        raise InputError.about("shape of features", shape, expected, "take an encoder's output")
    return shape if len(shape) == 3 else (1, 1, shape[0])


def measure_normalization(features: Any, rows: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray]:
    """Mean and variance per frequency bin and channel, over chunks and frames. Give the training part only.

    Bins that hardly vary get a thousandth of the mean variance, so that noise in them is not blown up.

    Args:
        features: float32, shape (n_chunks, n_bins, n_frames, n_channels) or (n_chunks, h); may be memory-mapped.
        rows: int, which chunks to use; all by default.
    Returns:
        float32 mean and variance, each of shape (n_bins, n_channels).
    """
    shape = layered_shape(features.shape[1:])
    rows = np.arange(len(features)) if rows is None else np.asarray(rows)
    blocks = [rows[start : start + CHUNKS_AT_ONCE] for start in range(0, len(rows), CHUNKS_AT_ONCE)]
    count = max(len(rows) * shape[1], 1)
    total, squares = np.zeros((2, shape[0], shape[2]))
    for part in blocks:
        total += features[part].reshape(-1, *shape).sum(axis=(0, 2), dtype=np.float64)
    mean = (total / count).astype(np.float32)
    for part in blocks:
        with np.errstate(invalid="ignore"):  # infinite features are reported by the training
            deviation = features[part].reshape(-1, *shape) - mean[:, None, :]
        squares += np.einsum("ntfc,ntfc->fc", deviation.swapaxes(1, 2), deviation.swapaxes(1, 2))
    variance = squares / count
    return mean, raise_to_floor(variance).astype(np.float32)


def raise_to_floor(variance: np.ndarray) -> np.ndarray:
    """Returns variances, those that hardly differ from 0 raised to `VARIANCE_FLOOR`."""
    return np.maximum(variance, max(VARIANCE_FLOOR * float(variance.mean()), 1e-12))


def build_head(
    task: str,
    input_shape: tuple[int, ...],
    n_outputs: int,
    parameters: dict[str, Any] | None = None,
    seed: int = 0,
    normalization: tuple[np.ndarray, np.ndarray] | None = None,
    kind: str = SECOND,
) -> keras.Model:
    """An untrained head; the same arguments give the same weights.

    "categorical" has one output: probabilities, shape (n_chunks, n_outputs). "dimensional" has two outputs of one tanh
    unit, each of shape (n_chunks, 1): arousal, mapped from [-1, 1] to [0, 1], and valence in [-1, 1].

    Args:
        task: one of TASKS.
        input_shape: (n_bins, n_frames, n_channels) of the encoder's map, or (h,) of its embedding.
        n_outputs: number of classes; 2 for arousal and valence.
        parameters: what differs from the defaults of `resolve_parameters`.
        seed: of weights and dropout.
        normalization: mean and variance, each (n_bins, n_channels); None leaves the map as it is.
        kind: one of KINDS; a head of the kind UTTERANCE takes the chosen statistics, (40, 1, n_statistics), as its map.
    Raises:
        InputError: see `resolve_parameters` and `layered_shape`; fewer than two classes.
    """
    import keras
    from keras import layers

    p = resolve_parameters(task, parameters, kind)
    n_bins, n_frames, n_channels = layered_shape(input_shape)
    if n_outputs < 2 or (task == DIMENSIONAL and n_outputs != 2):
        expected = "2" if task == DIMENSIONAL else "at least 2 classes"
        raise InputError.about(f"outputs of the {task} head", n_outputs, expected, "check the labels")
    inputs = keras.Input(tuple(input_shape), name="map")
    x = inputs if len(input_shape) == 3 else layers.Reshape((1, 1, n_channels), name="as_map")(inputs)
    normalize = layers.Normalization(axis=(1, 3), name="normalization")
    normalize.build((None, n_bins, n_frames, n_channels))
    mean, variance = normalization or (np.zeros((n_bins, n_channels)), np.ones((n_bins, n_channels)))
    normalize.set_weights([mean, variance, np.zeros((), "int32")])
    normalize.finalize_state()
    pool = (min(p.get("input_pool_frequency", 1), n_bins), min(p.get("input_pool_time", 1), n_frames))
    stem = layers.AveragePooling2D(pool, name="stem")(normalize(x))  # (n_bins / pool, n_frames / pool, n_channels)

    trunk = build_trunk(task, tuple(stem.shape[1:]), n_outputs, p, seed)
    return keras.Model(inputs, trunk(stem), name=f"{task}_head")


def build_trunk(task: str, shape: tuple[int, ...], n_outputs: int, p: dict[str, Any], seed: int = 0) -> keras.Model:
    """The part of a head that is trained, with resolved parameters: from the stem's output, float32 (n_chunks, *shape)."""
    p = {**_FIXED_OF_UTTERANCES, **p}
    import keras
    from keras import layers

    seeds = iter(int(value) >> 1 for value in np.random.SeedSequence(seed).generate_state(64))

    def initializer() -> keras.initializers.Initializer:
        return keras.initializers.GlorotUniform(seed=next(seeds))

    def dropout(x: Any, rate: float, layer: type = layers.Dropout) -> Any:
        return layer(rate, seed=next(seeds))(x) if rate > 0 else x

    inputs = keras.Input(shape, name="stem_output")
    x = dropout(inputs, p["input_dropout"], layers.SpatialDropout2D)
    reads_windows = "stride_frequency" not in p  # a head on whole utterances
    if reads_windows and p["n_convolutions"]:
        # A convolution over windows side by side is a dense layer on each of them, and four times as fast.
        if n_left := -x.shape[1] % p["kernel_frequency"]:
            x = layers.ZeroPadding2D(((0, n_left), (0, 0)), name="whole_windows")(x)
        x = layers.Reshape((x.shape[1] // p["kernel_frequency"], 1, p["kernel_frequency"] * x.shape[3]), name="windows")(x)
    for number in range(1, p["n_convolutions"] + 1):
        common = {"activation": "elu", "kernel_initializer": initializer(), "name": f"convolution{number}"}
        if reads_windows:
            x = layers.Dense(p["filters"], **common)(x)
        else:
            kernel, strides = (p["kernel_frequency"], p["kernel_time"]), (p["stride_frequency"], 1)
            x = layers.Conv2D(p["filters"], kernel, strides, "same", **common)(x)
    window = (x.shape[1] if p["pooling"].startswith("global") else 1, x.shape[2])
    pooled = []
    if "mean" in p["pooling"]:
        pooled.append(layers.AveragePooling2D(window, name="mean")(x))
    if "max" in p["pooling"]:
        pooled.append(layers.MaxPooling2D(window, name="max")(x))
    x = layers.Concatenate(name="mean_max")(pooled) if len(pooled) > 1 else pooled[0]
    x = dropout(layers.Flatten(name="flat")(x), p["dropout"])

    def dense(x: Any, n_units: int, activation: str, name: str, kernel_initializer: Any = None) -> Any:
        kernel_initializer = kernel_initializer or initializer()
        return layers.Dense(n_units, activation=activation, kernel_initializer=kernel_initializer, name=name)(x)

    if p["dense_units"]:
        x = dropout(dense(x, p["dense_units"], "elu", "dense"), p["dense_dropout"])
    if task == CATEGORICAL:
        outputs = dense(x, n_outputs, "softmax", "classes")
    else:
        # From random weights, hundreds of inputs drive these units to ±1, from where no gradient leads back.
        arousal, valence = (dense(x, 1, "tanh", f"{name}_tanh", "zeros") for name in ("arousal", "valence"))
        outputs = [layers.Rescaling(0.5, 0.5, name="arousal")(arousal), layers.Identity(name="valence")(valence)]
    return keras.Model(inputs, outputs, name="trunk")


def merge_heads(members: Sequence[keras.Model], task: str, n_outputs: int, parameters: dict[str, Any]) -> keras.Model:
    """One head of the kind UTTERANCE whose logits are the mean of those of heads that differ in nothing but their seed.

    It is a head like they are, with all their filters side by side: what opens or exports one knows nothing of the others.

    Args:
        members: trained on the same rows with the same parameters.
        task, n_outputs, parameters: theirs, see `build_head`.
    """
    p, first = resolve_parameters(task, parameters, UTTERANCE), members[0]
    wide = {**p, "filters": p["filters"] * len(members)}
    merged = build_head(task, tuple(first.input_shape[1:]), n_outputs, wide, kind=UTTERANCE)
    merged.get_layer("normalization").set_weights(first.get_layer("normalization").get_weights())
    merged.get_layer("normalization").finalize_state()
    for layer, *theirs in zip(*(head.get_layer("trunk").layers for head in (merged, *members)), strict=True):
        if not layer.get_weights():
            continue
        kernels, biases = zip(*(one.get_weights() for one in theirs), strict=True)
        if layer.name.startswith("convolution"):
            layer.set_weights([np.concatenate(kernels, axis=-1), np.concatenate(biases)])
        elif p["n_convolutions"]:  # the inputs of an output: filters within windows
            of_filters = [kernel.reshape(-1, p["filters"], kernel.shape[-1]) for kernel in kernels]
            side_by_side = np.concatenate(of_filters, axis=1).reshape(-1, kernels[0].shape[-1])
            layer.set_weights([side_by_side / len(members), np.mean(biases, axis=0)])
        else:
            layer.set_weights([np.mean(kernels, axis=0), np.mean(biases, axis=0)])
    return merged


def merge_scores(task: str, scores: np.ndarray) -> np.ndarray:
    """The scores that `merge_heads` gives, from those of its members.

    Args:
        scores: float32, shape (n_members, n_chunks, n_outputs), see `as_columns`.
    """
    if task == CATEGORICAL:
        powers = np.exp(np.log(np.maximum(scores, np.finfo(np.float32).tiny)).mean(axis=0))
        return powers / powers.sum(axis=-1, keepdims=True)
    scale, shift = np.array([0.5, 1.0], np.float32), np.array([0.5, 0.0], np.float32)  # arousal lies in [0, 1]
    units = np.clip((scores - shift) / scale, -1 + 1e-6, 1 - 1e-6)
    return np.tanh(np.arctanh(units).mean(axis=0)) * scale + shift


def build_optimizer(parameters: dict[str, Any]) -> keras.optimizers.Optimizer:
    """The optimiser that resolved parameters name."""
    import keras

    parameters = {**_FIXED_OF_UTTERANCES, **parameters}

    settings = {"learning_rate": parameters["learning_rate"], "weight_decay": parameters["weight_decay"] or None}
    if parameters["optimizer"] == "sgd":
        return keras.optimizers.SGD(momentum=parameters["momentum"], nesterov=parameters["momentum"] > 0, **settings)
    return {"adam": keras.optimizers.Adam, "rmsprop": keras.optimizers.RMSprop}[parameters["optimizer"]](**settings)


def compute_loss(task: str, loss_function: str, targets: Any, outputs: Any, weights: Any = None) -> Any:
    """The loss of a batch of chunks, a scalar tensor.

    For arousal and valence, the sum of both; arousal is compared on the scale of its tanh unit, [-1, 1], as valence is.

    Args:
        task, loss_function: one of TASKS, and of `LOSS_FUNCTIONS[task]`.
        targets: class indices, int (n_chunks,), or arousal in [0, 1] and valence in [-1, 1], float32 (n_chunks, 2).
        outputs: of the head: probabilities (n_chunks, n_classes), or arousal and valence, each (n_chunks, 1).
        weights: float32 (n_chunks,), of the chunks in the class loss; None weighs all the same.
    """
    import keras
    from keras import ops

    if task == CATEGORICAL:
        losses = keras.losses.sparse_categorical_crossentropy(targets, outputs)
        return ops.mean(losses if weights is None else weights * losses)
    pairs = ((2 * targets[:, :1] - 1, 2 * outputs[0] - 1), (targets[:, 1:], outputs[1]))
    if loss_function == "ccc":
        return sum(concordance_loss(target, output) for target, output in pairs)
    distance = ops.abs if loss_function == "mae" else ops.square
    return sum(ops.mean(distance(target - output)) for target, output in pairs)


def concordance_loss(target: Any, prediction: Any) -> Any:
    """1 - CCC of a batch's chunks, a scalar tensor in [0, 2]; it does not change with the scale of the dimension."""
    from keras import ops

    target, prediction = ops.reshape(target, (-1,)), ops.reshape(prediction, (-1,))
    mean_target, mean_prediction = ops.mean(target), ops.mean(prediction)
    covariance = ops.mean((target - mean_target) * (prediction - mean_prediction))
    spread = ops.var(target) + ops.var(prediction) + (mean_target - mean_prediction) ** 2
    return 1.0 - 2.0 * covariance / (spread + 1e-6)


def as_columns(outputs: Any) -> np.ndarray:
    """A head's output or outputs as one float32 array (n_chunks, n_outputs)."""
    parts = outputs if isinstance(outputs, (list, tuple)) else [outputs]
    return np.concatenate([np.asarray(part) for part in parts], axis=1)
