"""A trained head: what it predicts, and the one file it is kept in."""

from __future__ import annotations

import json
import os
import zipfile
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from began.errors import InputError
from began.files import ARCHIVE_ERRORS, attach_json, read_attached_json, write_atomically
from classifiers.heads import resolve_parameters

if TYPE_CHECKING:
    import keras

BLOCK = 512  # chunks predicted at a time

# The layers a head is made of; a file that holds anything else is not one of ours and is not opened.
HEAD_CLASSES = frozenset({
    "Functional", "InputLayer", "Normalization", "AveragePooling2D", "MaxPooling2D", "Reshape", "Conv2D", "Dense",
    "Dropout", "SpatialDropout2D", "Flatten", "Concatenate", "Rescaling", "Identity", "GlorotUniform", "Zeros",
    "DTypePolicy", "__keras_tensor__",
})


@dataclass
class TrainedHead:
    """A trained head and how it came about.

    `seconds` is how long the training took. `history` has one row an epoch: epoch, loss and, with validation data,
    validation_loss and the validation metrics of utterances. `best_epoch` is the epoch whose weights the model has,
    counted from 1.
    """

    model: keras.Model
    kind: str
    parameters: dict[str, Any]
    history: pd.DataFrame
    best_epoch: int
    seconds: float = 0.0
    metadata: dict[str, Any] = field(default_factory=dict)

    def predict(self, features: np.ndarray) -> np.ndarray:
        """Scores of chunks: float32 (n_chunks, d), class probabilities, or arousal in [0, 1] and valence in [-1, 1].

        Args:
            features: float32, shape (n_chunks, n_bins, n_frames, n_channels) or (n_chunks, h); may be memory-mapped.
        """
        expected = tuple(self.model.input_shape[1:])
        if tuple(features.shape[1:]) != expected:
            raise InputError.about(
                "features of a chunk", found=f"shape {tuple(features.shape[1:])}", expected=f"shape {expected}",
                action="use the encoder that the head was trained with",
            )
        blocks = [
            as_columns(self.model(np.asarray(features[start : start + BLOCK]), training=False))
            for start in range(0, len(features), BLOCK)
        ]
        return np.concatenate(blocks) if blocks else np.zeros((0, count_columns(self.model)), np.float32)


def as_columns(outputs: Any) -> np.ndarray:
    """A head's output or outputs as one float32 array (n, d)."""
    if isinstance(outputs, (list, tuple)):
        return np.concatenate([np.asarray(output) for output in outputs], axis=1)
    return np.asarray(outputs)


def count_columns(model: keras.Model) -> int:
    return sum(int(output.shape[-1]) for output in model.outputs)


def save_head(path: str | os.PathLike[str], trained: TrainedHead, metadata: dict[str, Any]) -> None:
    """Writes a head as one .keras file, whole or not at all.

    Args:
        path: ends in .keras.
        trained: the head.
        metadata: what its user needs: labels, spectrogram (SpectrogramConfig.to_dict()), encoder_sha256, aggregation;
            kind, parameters and best_epoch are added.
    """
    import keras

    made = {"kind": trained.kind, "parameters": trained.parameters, "best_epoch": int(trained.best_epoch)}
    # A model that was not compiled is saved without optimiser state and loss.
    plain = keras.Model(trained.model.input, trained.model.output, name=trained.model.name)
    with write_atomically(path) as temporary:
        plain.save(temporary)
        attach_json(temporary, "head", {**metadata, **made})


def load_head(path: str | os.PathLike[str]) -> TrainedHead:
    """A saved head, its metadata in `TrainedHead.metadata`; a stranger's file cannot run code.

    Raises:
        InputError: no such file, damaged, not a head, or holding layers that no head has.
    """
    metadata = read_attached_json(path, "head")
    missing = sorted({"kind", "parameters"} - set(metadata))
    if missing:
        raise InputError.about(
            path, found=f"a file without {missing}", expected="a head saved by this project",
            action="choose another file",
        )
    try:
        with zipfile.ZipFile(path) as archive:
            foreign = sorted(_find_foreign(json.loads(archive.read("config.json"))))
    except (*ARCHIVE_ERRORS, KeyError) as error:
        raise InputError.about(
            path, found=f"a damaged file ({error})", expected="a .keras file", action="copy it again"
        ) from error
    if foreign:
        raise InputError.about(
            path, found=f"the layers {foreign}", expected="only layers that a head has",
            action="do not trust this file",
        )
    import keras

    try:
        model = keras.models.load_model(path, compile=False, safe_mode=True)
        parameters = resolve_parameters(metadata["kind"], metadata["parameters"])
    except InputError:
        raise
    except Exception as error:  # Keras raises many types for a damaged file
        raise InputError.about(
            path, found=f"a damaged file ({str(error).splitlines()[0] if str(error) else type(error).__name__})",
            expected="a whole .keras file", action="copy it again",
        ) from error
    best_epoch = int(metadata.get("best_epoch", 0))
    return TrainedHead(model, metadata["kind"], parameters, pd.DataFrame(), best_epoch, metadata=metadata)


def _find_foreign(config: Any) -> set[str]:
    """Every class and module named anywhere in a Keras configuration that no head has."""
    if isinstance(config, list):
        return set().union(*(_find_foreign(value) for value in config))
    if not isinstance(config, dict):
        return set()
    foreign = {str(config["class_name"])} - HEAD_CLASSES if "class_name" in config else set()
    module = config.get("module") or "keras"
    if "class_name" in config and str(module).split(".")[0] != "keras":
        foreign.add(str(module))
    return foreign.union(*(_find_foreign(value) for value in config.values()))
