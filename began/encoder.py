"""The frozen encoder: open it, and extract features of chunks with it (paper, section 2.3)."""

import math
import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np

from began.audio import SAMPLE_RATE
from began.augmentation import mask_spectrograms
from began.errors import InputError
from began.files import StrPath, sha256_of
from began.keras_file import read_attached_json
from began.network_file import load_network
from began.spectrogram import SpectrogramConfig, compute_spectrograms

OUTPUTS = ("map", "embedding", "blocks")
"""What can be extracted: the last convolutional map (the default, as in the authors' earlier code), the embedding, or the
outputs of all four blocks (pooled over frequency to the map's bins and frames, channels side by side)."""

LAYERS = (
    ("block1_conv1", "block1_conv2"),
    ("block2_conv1", "block2_conv2"),
    ("block3_conv1", "block3_conv2"),
    ("block4_conv1", "map"),
)
"""The encoder's convolutions by block; the last of each is what the block gives."""

N_MEL_BANDS = 40
"""Of `mel_filters`. A block's bins are equally wide in hertz; what tells voices apart lies in the lowest."""

CHUNKS_PER_STEP = 64
"""Chunks that go through a network at a time, of one file or of several: bounds the memory."""


@dataclass(frozen=True)
class FrozenEncoder:
    """A trained encoder as a function from chunks to features.

    Attributes:
        model: float32 (batch, n_bins, n_frames, 1) -> (batch, *feature_shape); not trainable.
        config: spectrogram settings it was trained with, and is always fed with.
        sha256: of its file, and the seed where its weights were drawn afresh.
        output: one of OUTPUTS.
    """

    model: Any
    config: SpectrogramConfig
    sha256: str
    output: str

    @property
    def feature_shape(self) -> tuple[int, ...]:
        """Of a chunk: (64, 4, 4n) for the map, (h,) for the embedding, (64, 4, 10n) for the blocks."""
        return tuple(self.model.output_shape[1:])

    def embed(self, chunks: np.ndarray, masks: np.random.Generator | None = None) -> np.ndarray:
        """Returns the features of chunks: float32, shape (n_chunks, *feature_shape).

        Args:
            chunks: float32, shape (n_chunks, 16000), in [-1, 1], at 16 kHz.
            masks: gives each spectrogram its masks (`began.augmentation.mask_spectrograms`); None sets none.
        """
        spectrograms = compute_spectrograms(chunks, self.config)
        if masks is not None:
            spectrograms = mask_spectrograms(spectrograms, masks)
        return run_network(self.model, spectrograms)


def run_network(model: Any, spectrograms: np.ndarray) -> np.ndarray:
    """Returns a network's outputs, float32, shape (n, …), several side by side, for spectrograms (n, n_bins, n_frames).

    Every step has the same shape: one trace, and rounding that does not depend on the neighbours.
    """
    n_chunks = len(spectrograms)
    n_steps = max(1, math.ceil(n_chunks / CHUNKS_PER_STEP))  # one, too, where there are no chunks: the result has its shape
    padded = np.pad(spectrograms, ((0, n_steps * CHUNKS_PER_STEP - n_chunks), (0, 0), (0, 0)))[..., np.newaxis]
    steps = []
    for step in padded.reshape(n_steps, CHUNKS_PER_STEP, *padded.shape[1:]):
        outputs = model.predict_on_batch(step)
        steps.append(np.concatenate(outputs if isinstance(outputs, list) else [outputs], axis=-1))
    return np.concatenate(steps)[:n_chunks]


def load_frozen_encoder(path: StrPath, output: str = "map") -> FrozenEncoder:
    """Returns a saved encoder, frozen.

    Args:
        path: encoder.keras as the pre-training writes it.
        output: one of OUTPUTS.
    Raises:
        InputError: no such file, damaged, or not an encoder of this project.
    """
    config = read_config(path)
    return freeze(load_network(path), config, sha256_of(path), output, path)


def load_initial_encoder(path: StrPath, output: str = "map") -> FrozenEncoder:
    """Returns a saved encoder with initial weights, frozen: what it scores is what the architecture alone is worth.

    They are drawn with the seed of the encoder's own training: encoders of several seeds have baselines of several draws.
    """
    config, seed = read_config(path), read_seed(path)
    return freeze(reset_weights(load_network(path), seed), config, f"{sha256_of(path)}-random-{seed}", output, path)


def reset_weights(model: Any, seed: int) -> Any:
    """Draws a model's weights afresh, as its own layers initialise them, and returns it."""
    for number, layer in enumerate(model.layers):
        if layer.weights:
            kernel, bias = layer.weights
            initializer = type(layer.kernel_initializer)(seed=(seed * len(model.layers) + number) % 2**31)
            kernel.assign(initializer(kernel.shape))
            bias.assign(layer.bias_initializer(bias.shape))
    return model


def read_config(path: StrPath) -> SpectrogramConfig:
    """Returns the spectrogram settings that a saved encoder was trained with; raises as `load_frozen_encoder` does."""
    return SpectrogramConfig.from_dict(read_attached_json(path, "spectrogram"), path)


def read_training(path: StrPath) -> dict[str, Any]:
    """Returns the settings and the length of a saved encoder's training; nothing where the file does not tell.

    Raises:
        InputError: as `load_frozen_encoder` does; or a seed or lengths that are no numbers.
    """
    training = read_attached_json(path, "pretraining", default={})
    for name in ("epochs_done", "epochs", "steps", "seed"):
        if type(training.get(name, 0)) not in ((int,) if name == "seed" else (int, float)):
            found = f"pretraining.json with {name} {training[name]!r:.60}"
            expected = "a whole number" if name == "seed" else "a number"
            raise InputError.about(path, found, expected, "give a file that this project wrote")
    return training


def read_seed(path: StrPath) -> int:
    """Returns the seed of a saved encoder's training; 0 where the file does not tell. Raises as `read_training` does."""
    return read_training(path).get("seed", 0)


def freeze(
    encoder: Any, config: SpectrogramConfig, sha256: str, output: str = "map", subject: object = "encoder"
) -> FrozenEncoder:
    """Returns an encoder model, as `began.networks.build_encoder` makes it, as a frozen one; messages are about `subject`.

    Raises:
        InputError: the model does not fit the spectrogram settings, or has no layer named "map".
    """
    import keras

    if output not in OUTPUTS:
        raise ValueError(f"output is {output!r}; expected one of {', '.join(OUTPUTS)}")
    expected = (None, config.n_bins, config.n_frames, 1)
    names = {layer.name for layer in encoder.layers}
    if tuple(encoder.input_shape) != expected or "map" not in names:
        found = f"a model with input {encoder.input_shape} and layers {', '.join(sorted(names))}"
        wanted = f"input {expected} and a layer named map"
        raise InputError.about(subject, found, wanted, "give an encoder of this project")
    encoder.trainable = False
    if output == "blocks":
        blocks = [encoder.get_layer(names[-1]).output for names in LAYERS]
        features = keras.layers.Concatenate(name=output)(_pool(blocks))
    else:
        features = encoder.output if output == "embedding" else encoder.get_layer("map").output
    return FrozenEncoder(keras.Model(encoder.input, features), config, sha256, output)


def _pool(blocks: list[Any]) -> list[Any]:
    """Averages every block to the size of the last."""
    from keras.layers import AveragePooling2D

    *earlier, last = blocks
    factors = [(block.shape[1] // last.shape[1], block.shape[2] // last.shape[2]) for block in earlier]
    return [*(AveragePooling2D(factor)(block) for factor, block in zip(factors, earlier, strict=True)), last]


def mel_filters(n_bins: int) -> np.ndarray:
    """Returns triangular mel filters, each summing to 1: float32, shape (n_bins, N_MEL_BANDS), for bins from 0 to 8 kHz.

    A band that no bin falls into takes the bin nearest its centre. Bins are placed at multiples of the block's stride; the true
    centre of what they see lies up to 109 Hz higher (512 bins), for convolutions of stride 2 pad an even size at its end
    alone. Training and use share this.
    """
    import librosa

    centres_hz = librosa.mel_frequencies(N_MEL_BANDS + 2, fmax=SAMPLE_RATE / 2)[1:-1]
    with warnings.catch_warnings(action="ignore", category=UserWarning):  # of the empty bands
        by_band = librosa.filters.mel(sr=SAMPLE_RATE, n_fft=2 * n_bins, n_mels=N_MEL_BANDS, norm=None, dtype=np.float64)
    filters = by_band[:, :-1].T  # the last bin, at 8 kHz, is not among the encoder's
    empty = np.flatnonzero(filters.sum(axis=0) == 0)
    frequencies_hz = np.arange(n_bins) * SAMPLE_RATE / (2 * n_bins)
    filters[np.abs(frequencies_hz[:, None] - centres_hz).argmin(axis=0)[empty], empty] = 1.0
    return (filters / filters.sum(axis=0)).astype(np.float32)
