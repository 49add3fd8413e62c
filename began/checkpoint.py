"""The full state of a training in one file, without pickle and without backend: NumPy arrays and JSON."""

import json
from pathlib import Path
from typing import Any

import keras
import numpy as np

from began.arrays import read_arrays, write_arrays
from began.errors import InputError, raise_resource_error


def write_checkpoint(path: Path, model: keras.Model, state: dict[str, Any]) -> None:
    """Writes every variable of a model and its optimiser, and `state` (plain types), atomically.

    The model's variables include k and the noise generator's state; the optimiser's include moments, step and rate.
    """
    arrays = {name: keras.ops.convert_to_numpy(variable) for name, variable in name_variables(model).items()}
    write_arrays(path, {"state": np.array(json.dumps(state)), **arrays})


def read_checkpoint(path: Path, model: keras.Model, content: bytes | None = None) -> dict[str, Any]:
    """Restores what `write_checkpoint` wrote, on whichever Keras backend runs, and returns the state.

    Args:
        model: of the same networks, compiled, its optimiser built.
        content: the file's bytes where another machine has read it.
    Raises:
        InputError: the file is damaged, or was written for another network.
    """
    variables = name_variables(model)
    try:
        arrays = read_arrays(path.read_bytes() if content is None else content)
        state = json.loads(str(arrays.pop("state")))
    except (KeyError, OSError, ValueError) as error:
        raise_resource_error(error)
        found = f"a damaged checkpoint ({error})"
        raise InputError.about(path, found, "a whole one", "remove it to start again") from error
    shapes = {name: tuple(variable.shape) for name, variable in variables.items()}
    if {name: array.shape for name, array in arrays.items()} != shapes:
        action = "give the settings it was made with, or choose another folder"
        raise InputError.about(path, "the checkpoint of another network", "one of this network", action)
    for name, variable in variables.items():
        variable.assign(arrays[name])
    return state


def name_variables(model: keras.Model) -> dict[str, Any]:
    """Returns every variable of a model and its optimiser, numbered in Keras' order."""
    groups = {"model": model.variables, "optimizer": model.optimizer.variables}
    return {f"{group}-{number:04d}": variable for group in groups for number, variable in enumerate(groups[group])}
