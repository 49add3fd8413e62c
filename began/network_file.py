"""Opens saved networks: whoever wrote the file, nothing inside it runs."""

import json
import os
import zipfile
from typing import Any

import numpy as np

from began.errors import InputError, name_cause
from began.files import ARCHIVE_ERRORS

KNOWN_CLASSES = (
    {"Functional", "InputLayer", "DTypePolicy", "__keras_tensor__", "GlorotUniform", "Zeros"}
    | {"Conv2D", "UpSampling2D", "AveragePooling2D", "MaxPooling2D", "Dense", "Flatten", "Reshape", "Concatenate"}
    | {"Normalization", "Rescaling", "Dropout", "SpatialDropout2D", "Identity"}
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
        expected = "only layers that this project's networks have"
        raise InputError.about(path, f"the layers {foreign}", expected, "do not trust this file")
    import keras

    try:
        model = keras.models.load_model(path, compile=False, safe_mode=True)
    # Keras raises whatever its parsers raise for a damaged or hostile archive: there is no narrower type.
    except Exception as error:
        raise _refuse(path, f"a model that cannot be loaded ({name_cause(error)})") from error
    if not all(np.isfinite(weight).all() for weight in model.get_weights()):
        raise _refuse(path, "weights that are not finite")
    return model


def _refuse(path: str | os.PathLike[str], found: str) -> InputError:
    action = "copy it again, or make it again; do not load files from strangers"
    return InputError.about(path, found, "an undamaged .keras file with stock Keras layers only", action)


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
