"""Opens saved networks: whoever wrote the file, nothing inside it runs."""

from __future__ import annotations

import json
import os
import zipfile
from typing import Any

import numpy as np

from began.errors import InputError
from began.files import ARCHIVE_ERRORS

KNOWN_CLASSES = frozenset(
    {
        "Functional",
        "InputLayer",
        "Conv2D",
        "Dense",
        "Flatten",
        "Reshape",
        "UpSampling2D",
        "Normalization",
        "AveragePooling2D",
        "MaxPooling2D",
        "Dropout",
        "SpatialDropout2D",
        "Concatenate",
        "Rescaling",
        "Identity",
        "GlorotUniform",
        "Zeros",
        "DTypePolicy",
        "__keras_tensor__",
    }
)
"""What this project's networks are made of; a file that names anything else is not one of ours and is not opened."""


def load_network(path: str | os.PathLike[str]) -> Any:
    """Returns the Keras model of a .keras file; code inside the file is never run (allow-list of layers, Keras' safe mode).

    Raises:
        InputError: the file is damaged, holds layers that no network of this project has, or weights that are not finite.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            foreign = sorted(_find_foreign(json.loads(archive.read("config.json"))))
    except (*ARCHIVE_ERRORS, KeyError) as error:
        raise _refuse(path, f"a model that cannot be loaded ({error})") from error
    if foreign:
        raise InputError.about(
            path,
            found=f"the layers {foreign}",
            expected="only layers that this project's networks have",
            action="do not trust this file",
        )
    import keras

    try:
        model = keras.models.load_model(path, compile=False, safe_mode=True)
    # Keras raises whatever its parsers raise for a damaged or hostile archive: there is no narrower type.
    except Exception as error:
        reason = str(error).strip().splitlines()
        raise _refuse(path, f"a model that cannot be loaded ({reason[0] if reason else type(error).__name__})") from error
    if not all(np.isfinite(weight).all() for weight in model.get_weights()):
        raise _refuse(path, "weights that are not finite")
    return model


def _refuse(path: str | os.PathLike[str], found: str) -> InputError:
    return InputError.about(
        path,
        found=found,
        expected="an undamaged .keras file with stock Keras layers only",
        action="copy it again, or make it again; do not load files from strangers",
    )


def _find_foreign(config: Any) -> set[str]:
    """Every class and module named anywhere in a Keras configuration that no network of this project has."""
    if isinstance(config, list):
        return set().union(*(_find_foreign(value) for value in config))
    if not isinstance(config, dict):
        return set()
    foreign = {str(config["class_name"])} - KNOWN_CLASSES if "class_name" in config else set()
    module = config.get("module") or "keras"
    if "class_name" in config and str(module).split(".")[0] != "keras":
        foreign.add(str(module))
    return foreign.union(*(_find_foreign(value) for value in config.values()))
