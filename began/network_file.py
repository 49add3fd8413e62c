"""Opens saved networks: whoever wrote the file, nothing inside it runs."""

import io
import json
import math
import shutil
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import numpy as np

from began.errors import InputError, name_cause, printable, raise_resource_error
from began.files import StrPath
from began.keras_file import WEIGHTS, open_keras_file
from began.startup import check_keras

KNOWN_CLASSES = (
    {"Functional", "InputLayer", "DTypePolicy", "__keras_tensor__", "GlorotUniform", "Zeros"}
    | {"Conv2D", "UpSampling2D", "AveragePooling2D", "MaxPooling2D", "Dense", "Flatten", "Reshape", "Concatenate"}
    | {"Normalization", "Rescaling", "Dropout", "SpatialDropout2D", "Identity", "EinsumDense", "ZeroPadding2D"}
    | {"Mean", "Subtract", "Square", "Sqrt", "Squeeze", "Max", "Min", "OnesLike", "Sum", "Add", "Multiply", "ExpandDims"}
    | {"TrueDivide", "Divide", "Einsum"}
)
"""What this project's networks are made of; a file that names anything else is not one of ours and is not opened."""


MAX_OUTPUT_VALUES = 1 << 22
"""Most numbers that a layer may make of one chunk; the largest block of 128 base filters makes half as many."""

Weights = Counter[tuple[tuple[int, ...], int]]
"""Shape and bytes per number of the weights of a network -> how many there are."""


class UnknownLayer(Exception):
    """A layer, or a setting of one, that can do no harm but that a reader other than Keras does not know."""


def load_network(path: StrPath) -> Any:
    """Returns the Keras model of a .keras file; code inside the file is never run (allow-list of layers, Keras' safe mode).

    Nothing is built before it is known that the weights of the network that the file describes lie in the file: a few bytes
    can describe a network that fills the memory.

    Raises:
        InputError: the file is damaged, holds layers that no network of this project has, fewer weights than its network
            needs, or weights that are not finite; or Keras has defaults with which it computes something else.
    """
    check_keras()
    with refuse_damaged(path):
        config, weights = read_network(path)
        if missing := _list_shapes(config) - check_weights(weights):
            (shape, _), count = next(iter(missing.items()))
            raise ValueError(f"its network needs weights of shape {shape}, of which {count} are not in the file")
        del weights
        import keras

        return keras.models.load_model(path, compile=False, safe_mode=True)


def read_network(path: StrPath) -> tuple[dict[str, Any], io.BytesIO]:
    """Returns Keras' configuration of the network in a .keras file, of known layers alone, and its weights, an HDF5 file.

    Raises:
        InputError: the file holds layers that no network of this project has.
        Exception: whatever a damaged file leads to, for `refuse_damaged`.
    """
    if Path(path).suffix != ".keras":  # Keras opens files of other names in other ways, which are not checked here
        raise ValueError("its name does not end in .keras")
    with open_keras_file(path) as archive:
        config = json.loads(archive.read("config.json"))
        if foreign := sorted(_find_foreign(config)):
            expected = "only layers that this project's networks have"
            raise InputError.about(path, f"the layers {foreign}", expected, "do not trust this file")
        weights = io.BytesIO()
        with archive.open(WEIGHTS) as member:
            shutil.copyfileobj(member, weights)
    return config, weights


@contextmanager
def refuse_damaged(path: StrPath) -> Iterator[None]:
    """Makes one InputError about a .keras file of whatever goes wrong while it is opened."""
    try:
        yield
    except (InputError, UnknownLayer):
        raise
    # Keras and HDF5 raise whatever their parsers raise for a damaged or hostile archive: there is no narrower type.
    except Exception as error:
        raise_resource_error(error)
        raise _cannot_load(path, error) from error


def check_weights(file: IO[bytes]) -> Weights:
    """Returns the shapes of the weights in an HDF5 file, reading one set after the other.

    Raises:
        ValueError: a set that would take more memory than it has bytes in the file (compressed, in pieces, in another file,
            not written), or weights that are not finite.
    """
    import h5py

    found: Weights = Counter()

    def check(name: str, item: Any) -> None:
        if not isinstance(item, h5py.Dataset):
            return
        plain = item.chunks is None and item.external is None and not item.is_virtual and item.dtype.kind in "biuf"
        if not plain or item.nbytes > item.id.get_storage_size():
            raise ValueError(f"weights {printable(name)[:60]} that do not lie in the file as they are")
        found[item.shape, item.dtype.itemsize] += 1
        if not np.isfinite(item[()]).all():
            raise ValueError("weights that are not finite")

    with h5py.File(file) as content:
        content.visititems(check)
    return found


def _list_shapes(config: dict[str, Any]) -> Weights:
    """Returns the shapes of the weights that a network needs, from its Keras configuration, without making any."""
    import keras

    outcome: list[Weights | Exception] = []

    def build(x: Any) -> Any:
        try:
            model = keras.saving.deserialize_keras_object({**config, "compile_config": None}, safe_mode=True)
            _check_outputs(model)
            outcome.append(Counter((tuple(weight.shape), np.dtype(weight.dtype).itemsize) for weight in model.weights))
        except Exception as error:  # which Keras would put into one about this layer
            outcome.append(error)
        return x

    def trace() -> None:
        with keras.StatelessScope(initialize_variables=False):
            keras.layers.Lambda(build)(keras.Input(()))  # a layer that is called so is traced, and computes nothing

    # Weights without values wait for them in a list that every thread has of its own, and so vanish with this one.
    with ThreadPoolExecutor(1) as thread:
        thread.submit(trace).result()
    if isinstance(outcome[-1], Exception):
        raise outcome[-1]
    return outcome[-1]


def _check_outputs(model: Any) -> None:
    """Raises ValueError where a layer, one without weights among them, makes more numbers of a chunk than ours do."""
    import keras

    for layer in model._flatten_layers(include_self=False):
        for output in keras.tree.flatten(layer.output):
            if math.prod(size or 1 for size in output.shape) > MAX_OUTPUT_VALUES:
                raise ValueError(f"an output of shape {output.shape} in the middle of its network")


def _cannot_load(path: StrPath, error: Exception) -> InputError:
    found = f"a model that cannot be loaded ({name_cause(error)})"
    action = "copy it again, or make it again; do not load files from strangers"
    return InputError.about(path, found, "an undamaged .keras file with stock Keras layers only", action)


def _find_foreign(config: Any) -> set[str]:
    """Every class and module named anywhere in a Keras configuration that no network of this project has."""
    foreign, waiting = set(), [config]
    while waiting:
        value = waiting.pop()
        if isinstance(value, dict):
            waiting += value.values()
        elif isinstance(value, list):
            waiting += value
        if not isinstance(value, dict) or "class_name" not in value:
            continue
        foreign |= {str(value["class_name"])} - KNOWN_CLASSES
        if str(module := value.get("module") or "keras").split(".")[0] != "keras":
            foreign.add(str(module))
        # Its statistics are weights; a number here would be spread over the shape that the file names.
        settings = value.get("config")
        if isinstance(settings, dict) and (settings.get("mean") is not None or settings.get("variance") is not None):
            foreign.add("statistics that are no weights")
    return foreign
