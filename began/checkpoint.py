"""The full state of a training in one file, without pickle and without backend: NumPy arrays and JSON."""

from __future__ import annotations

import io
import json
import zipfile
from pathlib import Path
from typing import Any

import keras
import numpy as np

from began.errors import InputError
from began.files import write_atomically


def write_checkpoint(path: Path, model: keras.Model, state: dict[str, Any]) -> None:
    """Writes every variable of a model and its optimiser, and `state` (plain types), atomically.

    The model's variables include k and the noise generator's state; the optimiser's include moments, step and rate.
    """
    arrays = {name: keras.ops.convert_to_numpy(variable) for name, variable in _name_variables(model).items()}
    with write_atomically(path) as temporary, open(temporary, "wb") as file:
        np.savez(file, state=np.array(json.dumps(state)), **arrays)


def read_checkpoint(path: Path, model: keras.Model, content: bytes | None = None) -> dict[str, Any]:
    """Restores what `write_checkpoint` wrote, on whichever Keras backend runs, and returns the state.

    Args:
        path: of the checkpoint.
        model: of the same networks, compiled, its optimiser built.
        content: the file's bytes where another machine has read it.
    Raises:
        InputError: the file is damaged, or was written for another network.
    """
    variables = _name_variables(model)
    try:
        with np.load(path if content is None else io.BytesIO(content), allow_pickle=False) as archive:
            arrays = {name: archive[name] for name in archive.files}
        state = json.loads(str(arrays.pop("state")))
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise InputError.about(
            path, found=f"a damaged checkpoint ({error})", expected="a whole one", action="remove it to start again"
        ) from error
    shapes = {name: tuple(variable.shape) for name, variable in variables.items()}
    if {name: array.shape for name, array in arrays.items()} != shapes:
        raise InputError.about(
            path,
            found="the checkpoint of another network",
            expected="one of this network",
            action="give the settings it was made with, or choose another folder",
        )
    for name, variable in variables.items():
        variable.assign(arrays[name])
    return state


def require_finite(model: keras.Model, folder: Path) -> None:
    """Refuses to go on, and so to write, when a step with finite losses has made weights or moments infinite or NaN.

    Raises:
        InputError: a variable is not finite.
    """
    if not all(np.isfinite(keras.ops.convert_to_numpy(variable)).all() for variable in _name_variables(model).values()):
        raise InputError.about(
            "training",
            found="weights that are not finite",
            expected="finite weights",
            action=f"lower the learning rate or the input's scale; the last good checkpoint is kept in {folder}",
        )


def _name_variables(model: keras.Model) -> dict[str, Any]:
    groups = {"model": model.variables, "optimizer": model.optimizer.variables}
    return {
        f"{group}-{number:04d}": variable for group, variables in groups.items() for number, variable in enumerate(variables)
    }
