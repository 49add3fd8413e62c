"""The parameters of heads: their defaults, what is allowed, and which statistics of an utterance they choose."""

from __future__ import annotations

from typing import Any

import numpy as np

from began.errors import InputError
from classifiers.metrics import CATEGORICAL, DIMENSIONAL, TASKS

SECOND, UTTERANCE = "second", "utterance"

KINDS = (SECOND, UTTERANCE)
"""What a head reads: the encoder's map of one second, or the statistics of a whole utterance (`began.utterance_encoder`)."""

POOLINGS = ("global_max", "global_mean", "global_mean_max", "max_time", "mean_time", "mean_max_time")

LOSS_FUNCTIONS = {CATEGORICAL: ("crossentropy",), DIMENSIONAL: ("mae", "mse", "ccc")}
"""The first of each is the default; "mae" is the authors' loss."""

# Name: default, and what is allowed: the lowest and the highest number, or the words.
_SHARED: dict[str, tuple[Any, tuple[Any, ...]]] = {
    "input_pool_frequency": (4, (1, 512)),  # bins averaged before the first convolution
    "input_pool_time": (1, (1, 64)),  # frames averaged before the first convolution
    "input_dropout": (0.0, (0, 0.95)),  # of whole channels of the map
    "n_convolutions": (2, (0, 8)),
    "filters": (48, (1, 1024)),
    "kernel_frequency": (3, (1, 31)),
    "kernel_time": (3, (1, 31)),
    "stride_frequency": (2, (1, 8)),
    "pooling": ("global_mean_max", POOLINGS),  # "*_time" keeps frequency, "global_*" does not
    "dropout": (0.4, (0, 0.95)),
    "dense_units": (0, (0, 4096)),  # 0: no dense layer between pooling and outputs
    "dense_dropout": (0.0, (0, 0.95)),
    "optimizer": ("adam", ("adam", "rmsprop", "sgd")),
    "learning_rate": (1e-3, (1e-8, 10)),
    "momentum": (0.0, (0, 0.999)),  # of sgd
    "weight_decay": (0.03, (0, 1)),  # decoupled, as AdamW does
    "batch_size": (32, (1, 65536)),
}

_OF_UTTERANCES: dict[str, tuple[Any, tuple[Any, ...]]] = {
    "statistics": ("spread", ("spread", "spread_mean")),  # what is taken of every band and channel, see `choose_statistics`
    "blocks": ("all", ("all", "first")),
    "correlations": ("components", ("components", "none")),  # between the principal components of the blocks that are read
    "input_dropout": (0.2, (0, 0.95)),  # of whole statistics, in all bands
    "n_convolutions": (1, (0, 1)),  # over the bands; 0: a linear head
    "filters": (96, (1, 1024)),
    "kernel_frequency": (5, (1, 40)),  # bands of a window; windows lie side by side
    "dropout": (0.5, (0, 0.95)),
    "learning_rate": (1e-3, (1e-8, 10)),  # the highest: it rises over `WARM_UP_STEPS` and falls to 0 as a cosine
    "weight_decay": (0.01, (0, 1)),
    "batch_size": (32, (1, 65536)),
    "n_steps": (1000, (1, 1_000_000)),  # of the optimiser; rounded up to whole passes over the training part
}

_PARAMETERS = {
    (kind, task): {**shared, "loss_function": (losses[0], losses)}
    for kind, shared in ((SECOND, _SHARED), (UTTERANCE, _OF_UTTERANCES))
    for task, losses in LOSS_FUNCTIONS.items()
}

_DEFAULTS = {key: {name: known[name][0] for name in known} for key, known in _PARAMETERS.items()}

DEFAULT_PARAMETERS = {task: _DEFAULTS[SECOND, task] for task in TASKS}


def resolve_parameters(task: str, parameters: dict[str, Any] | None = None, kind: str = SECOND) -> dict[str, Any]:
    """The default parameters of a task and a kind of head, updated by `parameters` and checked, as plain Python types.

    Raises:
        InputError: unknown task, or every unknown parameter and value out of range, at once.
    """
    if task not in TASKS:
        raise InputError.about("task", task, f"one of {TASKS}", "choose one of them")
    resolved, problems = dict(_DEFAULTS[kind, task]), []
    for name, value in (parameters or {}).items():
        if name not in resolved:
            problems.append(f"{name}: unknown; known are {', '.join(resolved)}")
            continue
        default, allowed = _PARAMETERS[kind, task][name]
        plain, low, high = type(default), allowed[0], allowed[-1]
        try:
            resolved[name] = plain(value)
            if resolved[name] != value or not (value in allowed if plain is str else low <= value <= high):
                raise ValueError
        except (TypeError, ValueError, OverflowError):
            expected = f"one of {', '.join(allowed)}" if plain is str else f"{plain.__name__} from {low} to {high}"
            problems.append(f"{name}: found {value!r}; expected {expected}")
    if problems:
        raise InputError.listing(f"parameters of the {task} head", problems)
    return resolved


def choose_statistics(parameters: dict[str, Any], names: np.ndarray) -> np.ndarray:
    """Which columns of an utterance's statistics a head of resolved parameters reads, int, ascending.

    Args:
        names: of the columns, see `began.utterance_encoder.name_statistics`.
    """
    unused = {"spread": ("mean",), "spread_mean": ()}[parameters["statistics"]]
    if parameters["correlations"] == "none":
        unused += ("correlations",)
    is_used = [
        name.split()[1] not in unused and (parameters["blocks"] == "all" or name.split()[0] == "block1") for name in names
    ]
    return np.flatnonzero(is_used)
