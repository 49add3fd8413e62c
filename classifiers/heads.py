"""The supervised heads: convolutional softmax for classes, double-head one-unit model for arousal and valence.

A head reads the frozen encoder's last convolutional map of one chunk and consists of stock Keras layers alone, so
that `keras.models.load_model(path, safe_mode=True)` opens a saved one without this project's code:

    map (n_bins, n_frames, n_channels) -> normalization -> average pooling     no weights to train: the *stem*
        -> [convolution] * n_convolutions -> pooling -> [dense] -> outputs       the *trunk*

The stem keeps the statistics of the training part inside the model, and its output need be computed only once for a
whole training (`classifiers.training`).  Source: Pereira et al. 2018, sections 2.2 and 2.3.

Assumption: the paper leaves the head's layers to a search. The defaults, for use without one, did well on four of EmoDB's
speakers: strided over frequency, so that the convolutions see a wide range of it, and both mean and maximum at the end.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from began.errors import InputError

if TYPE_CHECKING:
    import keras

POOLINGS = ("global_max", "global_mean", "global_mean_max", "max_time", "mean_time", "mean_max_time")
OPTIMIZERS = ("adam", "rmsprop", "sgd")
LOSS_FUNCTIONS = {"categorical": ("crossentropy",), "dimensional": ("mae", "mse", "ccc")}

_SHARED: dict[str, Any] = {
    "input_pool_frequency": 4,  # bins averaged before the first convolution
    "input_pool_time": 1,  # frames averaged before the first convolution
    "input_dropout": 0.0,  # whole channels of the map
    "n_convolutions": 2,
    "filters": 48,
    "kernel_frequency": 3,
    "kernel_time": 3,
    "stride_frequency": 2,
    "pooling": "global_mean_max",  # "*_time" keeps frequency, "global_*" does not
    "dropout": 0.4,
    "dense_units": 0,  # 0: no dense layer between pooling and outputs
    "dense_dropout": 0.0,
    "optimizer": "adam",
    "learning_rate": 1e-3,
    "momentum": 0.0,  # sgd only
    "weight_decay": 0.03,  # decoupled, as AdamW does
    "batch_size": 32,
}
DEFAULT_PARAMETERS: dict[str, dict[str, Any]] = {
    "categorical": {**_SHARED, "loss_function": "crossentropy"},
    "dimensional": {**_SHARED, "loss_function": "mae"},  # the authors' loss
}

# Name: lowest and highest value allowed; the default's type is the type asked for.
_LIMITS: dict[str, tuple[float, float]] = {
    "input_pool_frequency": (1, 512),
    "input_pool_time": (1, 64),
    "input_dropout": (0, 0.95),
    "n_convolutions": (0, 8),
    "filters": (1, 1024),
    "kernel_frequency": (1, 31),
    "kernel_time": (1, 31),
    "stride_frequency": (1, 8),
    "dropout": (0, 0.95),
    "dense_units": (0, 4096),
    "dense_dropout": (0, 0.95),
    "learning_rate": (1e-8, 10),
    "momentum": (0, 0.999),
    "weight_decay": (0, 1),
    "batch_size": (1, 65536),
}


def resolve_parameters(task: str, parameters: dict[str, Any] | None = None) -> dict[str, Any]:
    """The default parameters of a task, updated and checked, as plain Python types.

    Args:
        task: "categorical" or "dimensional".
        parameters: what differs from `DEFAULT_PARAMETERS[task]`.
    Raises:
        InputError: unknown task, or every unknown parameter and value out of range, at once.
    """
    if task not in DEFAULT_PARAMETERS:
        raise InputError.about("task", found=task, expected=f"one of {tuple(DEFAULT_PARAMETERS)}", action="choose one of them")
    resolved = dict(DEFAULT_PARAMETERS[task])
    choices = {"pooling": POOLINGS, "optimizer": OPTIMIZERS, "loss_function": LOSS_FUNCTIONS[task]}
    problems = []
    for name, value in (parameters or {}).items():
        if name not in resolved:
            problems.append(f"{name}: unknown; known are {', '.join(resolved)}")
        elif name in choices:
            resolved[name] = str(value)
            if value not in choices[name]:
                problems.append(f"{name}: found {value!r}; expected one of {', '.join(choices[name])}")
        else:
            low, high = _LIMITS[name]
            wanted = type(resolved[name])
            try:
                resolved[name] = wanted(value)
                if not low <= resolved[name] <= high or resolved[name] != value:
                    raise ValueError
            except (TypeError, ValueError, OverflowError):
                problems.append(f"{name}: found {value!r}; expected {wanted.__name__} from {low} to {high}")
    if problems:
        raise InputError.listing(f"parameters of the {task} head", problems)
    return resolved


def layered_shape(shape: tuple[int, ...]) -> tuple[int, int, int]:
    """The shape of features as (n_bins, n_frames, n_channels): an embedding (h,) counts as a map of one place.

    Raises:
        InputError: neither one axis nor three, or an empty one.
    """
    shape = tuple(int(size) for size in shape)
    if len(shape) not in (1, 3) or min(shape) < 1:
        raise InputError.about(
            "features of a chunk",
            found=f"shape {shape}",
            expected="(n_bins, n_frames, n_channels) or (h,)",
            action="embed the audio with the frozen encoder",
        )
    return shape if len(shape) == 3 else (1, 1, shape[0])


def measure_normalization(
    features: np.ndarray, rows: np.ndarray | None = None, block: int = 256
) -> tuple[np.ndarray, np.ndarray]:
    """Mean and variance per frequency bin and channel, over chunks and frames. Give the training part only.

    Bins that hardly vary get a thousandth of the mean variance, so that noise in them is not blown up.

    Args:
        features: float32, shape (n_chunks, n_bins, n_frames, n_channels) or (n_chunks, h); may be memory-mapped.
        rows: int, which chunks to use; all by default.
        block: chunks read at a time.
    Returns:
        float32 mean and variance, each of shape (n_bins, n_channels).
    """
    shape = layered_shape(features.shape[1:])
    rows = np.arange(len(features)) if rows is None else np.asarray(rows)
    count = len(rows) * shape[1]
    total = np.zeros((shape[0], shape[2]))
    for start in range(0, len(rows), block):
        total += features[rows[start : start + block]].reshape(-1, *shape).sum(axis=(0, 2), dtype=np.float64)
    mean = (total / max(count, 1)).astype(np.float32)
    squares = np.zeros_like(total)
    for start in range(0, len(rows), block):
        with np.errstate(invalid="ignore"):  # infinite features are reported by the training
            deviation = features[rows[start : start + block]].reshape(-1, *shape) - mean[:, None, :]
        squares += np.einsum("ntfc,ntfc->fc", deviation.swapaxes(1, 2), deviation.swapaxes(1, 2))
    variance = squares / max(count, 1)
    floor = max(1e-3 * float(variance.mean()), 1e-12)
    return mean, np.maximum(variance, floor).astype(np.float32)


def build_head(
    task: str,
    input_shape: tuple[int, ...],
    n_outputs: int,
    parameters: dict[str, Any] | None = None,
    seed: int = 0,
    normalization: tuple[np.ndarray, np.ndarray] | None = None,
) -> keras.Model:
    """A compiled head; the same arguments give the same weights.

    "categorical" has one output, shape (n_chunks, n_outputs), probabilities. "dimensional" has two outputs of one tanh
    unit, each of shape (n_chunks, 1): arousal, mapped from [-1, 1] to [0, 1], and valence in [-1, 1]; its loss is taken
    on the tanh scale of both.

    Args:
        task: "categorical" or "dimensional".
        input_shape: (n_bins, n_frames, n_channels) of the encoder's map, or (h,) of its embedding.
        n_outputs: classes of the softmax head; 2 for arousal_valence.
        parameters: what differs from `DEFAULT_PARAMETERS[task]`.
        seed: of weights and dropout.
        normalization: mean and variance, each (n_bins, n_channels) (`measure_normalization`); None leaves the map as
        it is.
    Raises:
        InputError: see `resolve_parameters` and `layered_shape`; fewer than two classes.
    """
    import keras
    from keras import layers

    p = resolve_parameters(task, parameters)
    n_bins, n_frames, n_channels = layered_shape(input_shape)
    if n_outputs < 2 or (task == "dimensional" and n_outputs != 2):
        raise InputError.about(
            f"outputs of the {task} head",
            found=n_outputs,
            expected="2" if task == "dimensional" else "at least 2 classes",
            action="check the labels of the corpus",
        )
    inputs = keras.Input(tuple(input_shape), name="map")
    x = inputs if len(input_shape) == 3 else layers.Reshape((1, 1, n_channels), name="as_map")(inputs)
    normalize = layers.Normalization(axis=(1, 3), name="normalization")
    normalize.build((None, n_bins, n_frames, n_channels))
    mean, variance = normalization or (np.zeros((n_bins, n_channels)), np.ones((n_bins, n_channels)))
    places = (n_bins, n_channels)
    normalize.set_weights([np.reshape(mean, places), np.reshape(variance, places), np.zeros((), "int32")])
    normalize.finalize_state()
    pool = (min(p["input_pool_frequency"], n_bins), min(p["input_pool_time"], n_frames))
    stem = layers.AveragePooling2D(pool, name="stem")(normalize(x))  # (n_bins / pool, n_frames / pool, n_channels)

    trunk = build_trunk(task, tuple(stem.shape[1:]), n_outputs, p, seed)
    head = keras.Model(inputs, trunk(stem), name=f"{task}_head")
    head.compile(optimizer=build_optimizer(p), **_losses(task, p))
    return head


def build_trunk(task: str, shape: tuple[int, ...], n_outputs: int, p: dict[str, Any], seed: int = 0) -> keras.Model:
    """The part of a head that is trained: float32 (n_chunks, *shape) to the head's outputs.

    Args:
        task, n_outputs, seed: see `build_head`.
        shape: of the stem's output.
        p: resolved parameters.
    """
    import keras
    from keras import layers

    seeds = iter(int(value) >> 1 for value in np.random.SeedSequence(seed).generate_state(64))

    def initializer() -> keras.initializers.Initializer:
        return keras.initializers.GlorotUniform(seed=next(seeds))

    def dropout(x: Any, rate: float, kind_of_layer: type = layers.Dropout) -> Any:
        return kind_of_layer(rate, seed=next(seeds))(x) if rate > 0 else x

    inputs = keras.Input(shape, name="stem_output")
    x = dropout(inputs, p["input_dropout"], layers.SpatialDropout2D)
    for number in range(1, p["n_convolutions"] + 1):
        x = layers.Conv2D(
            p["filters"],
            (p["kernel_frequency"], p["kernel_time"]),
            strides=(p["stride_frequency"], 1),
            padding="same",
            activation="elu",
            kernel_initializer=initializer(),
            name=f"convolution{number}",
        )(x)
    window = (x.shape[1] if p["pooling"].startswith("global") else 1, x.shape[2])
    pooled = []
    if "mean" in p["pooling"]:
        pooled.append(layers.AveragePooling2D(window, name="mean")(x))
    if "max" in p["pooling"]:
        pooled.append(layers.MaxPooling2D(window, name="max")(x))
    x = layers.Concatenate(name="mean_max")(pooled) if len(pooled) > 1 else pooled[0]
    x = dropout(layers.Flatten(name="flat")(x), p["dropout"])
    if p["dense_units"]:
        x = layers.Dense(p["dense_units"], activation="elu", kernel_initializer=initializer(), name="dense")(x)
        x = dropout(x, p["dense_dropout"])
    if task == "categorical":
        outputs = layers.Dense(n_outputs, activation="softmax", kernel_initializer=initializer(), name="classes")(x)
    else:
        units = [
            layers.Dense(1, activation="tanh", kernel_initializer=initializer(), name=f"{name}_tanh")(x)
            for name in ("arousal", "valence")
        ]
        outputs = [layers.Rescaling(0.5, 0.5, name="arousal")(units[0]), layers.Identity(name="valence")(units[1])]
    return keras.Model(inputs, outputs, name="trunk")


def build_optimizer(parameters: dict[str, Any]) -> keras.optimizers.Optimizer:
    """The optimiser that resolved parameters name."""
    import keras

    settings = {"learning_rate": parameters["learning_rate"], "weight_decay": parameters["weight_decay"] or None}
    if parameters["optimizer"] == "sgd":
        return keras.optimizers.SGD(momentum=parameters["momentum"], nesterov=parameters["momentum"] > 0, **settings)
    return {"adam": keras.optimizers.Adam, "rmsprop": keras.optimizers.RMSprop}[parameters["optimizer"]](**settings)


def _losses(task: str, parameters: dict[str, Any]) -> dict[str, Any]:
    """`loss` and `loss_weights` for `compile`; arousal's are scaled from its range of 1 to the tanh's range of 2."""
    if task == "categorical":
        return {"loss": "sparse_categorical_crossentropy", "metrics": ["accuracy"]}
    function = parameters["loss_function"]
    if function == "ccc":
        return {"loss": [concordance_loss, concordance_loss]}
    return {"loss": [function, function], "loss_weights": [2.0 if function == "mae" else 4.0, 1.0]}


def concordance_loss(target: Any, prediction: Any) -> Any:
    """1 - CCC over the batch, a scalar in [0, 2]; it does not change with the scale of the dimension.

    Args:
        target, prediction: tensors of as many values, one a chunk.
    """
    from keras import ops

    target, prediction = ops.reshape(target, (-1,)), ops.reshape(prediction, (-1,))
    mean_target, mean_prediction = ops.mean(target), ops.mean(prediction)
    covariance = ops.mean((target - mean_target) * (prediction - mean_prediction))
    spread = ops.var(target) + ops.var(prediction) + (mean_target - mean_prediction) ** 2
    return 1.0 - 2.0 * covariance / (spread + 1e-6)
