"""A trained head: what it predicts, and the one file it is kept in."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from began.errors import InputError
from began.files import attach_json, read_attached_json, write_atomically
from began.network_file import load_network
from classifiers.heads import resolve_parameters

if TYPE_CHECKING:
    import keras

BLOCK = 512  # chunks predicted at a time


@dataclass
class TrainedHead:
    """A trained head and how it came about.

    `seconds` is how long the training took. `history` has one row an epoch: epoch, loss and, with validation data,
    validation_loss and the validation metrics of utterances. `best_epoch` is the epoch whose weights the model has,
    counted from 1.
    """

    model: keras.Model
    task: str
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
                "features of a chunk",
                found=f"shape {tuple(features.shape[1:])}",
                expected=f"shape {expected}",
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
            task, parameters and best_epoch are added.
    """
    import keras

    made = {"task": trained.task, "parameters": trained.parameters, "best_epoch": int(trained.best_epoch)}
    # A model that was not compiled is saved without optimiser state and loss.
    plain = keras.Model(trained.model.input, trained.model.output, name=trained.model.name)
    with write_atomically(path) as temporary:
        plain.save(temporary)
        attach_json(temporary, "head", {**metadata, **made})


def load_head(path: str | os.PathLike[str]) -> TrainedHead:
    """A saved head, its metadata in `TrainedHead.metadata`; a stranger's file cannot run code.

    Raises:
        InputError: no such file, damaged, not a head, or holding layers that no network of this project has.
    """
    metadata = read_attached_json(path, "head")
    missing = sorted({"task", "parameters"} - set(metadata))
    if missing:
        raise InputError.about(
            path,
            found=f"a file without {missing}",
            expected="a head saved by this project",
            action="choose another file",
        )
    model = load_network(path)
    try:
        parameters = resolve_parameters(metadata["task"], metadata["parameters"])
    except TypeError as error:  # whatever JSON can hold in their place
        raise InputError.about(
            path, found=f"parameters that cannot be used ({error})", expected="those of a head", action="choose another file"
        ) from error
    best_epoch = int(metadata.get("best_epoch", 0))
    return TrainedHead(model, metadata["task"], parameters, pd.DataFrame(), best_epoch, metadata=metadata)
