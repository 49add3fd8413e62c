"""The frozen encoder: load it, embed chunks with it, and cache what it says about a corpus (paper, section 2.3).

The encoder never changes once it is trained, so every corpus goes through it once; heads read the cache.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from began.audio import CHUNK_SAMPLES, SAMPLE_RATE, stream_chunks
from began.errors import InputError
from began.files import lock_folder, read_attached_json, sha256_of, write_atomically, write_npy_header
from began.network_file import load_network
from began.spectrogram import SpectrogramConfig, compute_spectrograms, mask_spectrograms

OUTPUTS = ("map", "embedding", "blocks", "frames")
"""What may be read from the encoder: the last convolutional map (the default, as in the authors' earlier code), the
embedding, the outputs of all four blocks (pooled over frequency to the map's bins and frames, channels side by side), or the
frames of all four blocks in mel bands, see `split_frames`."""

N_MEL_BANDS = 40
"""Bands of the output "frames". A block's bins are equally wide in hertz; what tells voices apart lies in the lowest."""

CHUNKS_PER_STEP = 64
"""Chunks that are embedded at a time: bounds the memory."""


@dataclass(frozen=True)
class FrozenEncoder:
    """A trained encoder as a function from chunks to features.

    Attributes:
        model: float32 (batch, n_bins, n_frames, 1) -> (batch, *feature_shape); not trainable.
        config: spectrogram settings it was trained with, and is always fed with.
        sha256: of its weights' file, or of the initial weights.
        output: one of OUTPUTS.
    """

    model: Any
    config: SpectrogramConfig
    sha256: str
    output: str

    @property
    def feature_shape(self) -> tuple[int, ...]:
        """Shape of one chunk's features.

        (64, 4, 4n) for the map, (h,) for the embedding, (64, 4, 10n) for the blocks, (2400n,) for the frames.
        """
        return tuple(self.model.output_shape[1:])

    @property
    def dtype(self) -> np.dtype:
        """Of the features: single precision; half for the frames, which are many."""
        return np.dtype("<f2" if self.output == "frames" else "<f4")

    def embed(self, chunks: np.ndarray, masks: np.random.Generator | None = None) -> np.ndarray:
        """Returns the features of chunks.

        Args:
            chunks: float32, shape (n_chunks, 16000), in [-1, 1], at 16 kHz.
            masks: gives each spectrogram its masks (`began.spectrogram.mask_spectrograms`); None sets none.
        Returns:
            `self.dtype`, shape (n_chunks, *feature_shape).
        """
        spectrograms = compute_spectrograms(chunks, self.config)
        if masks is not None:
            spectrograms = mask_spectrograms(spectrograms, masks)
        spectrograms = spectrograms[..., np.newaxis]
        n_chunks = len(spectrograms)
        # Every call has the same shape: one trace, and rounding that does not depend on the neighbours.
        padding = -n_chunks % CHUNKS_PER_STEP
        spectrograms = np.concatenate([spectrograms, np.zeros((padding, *spectrograms.shape[1:]), np.float32)])
        steps = [
            np.asarray(self.model.predict_on_batch(spectrograms[i : i + CHUNKS_PER_STEP]), self.dtype)
            for i in range(0, len(spectrograms), CHUNKS_PER_STEP)
        ]
        return np.concatenate(steps)[:n_chunks] if steps else np.zeros((0, *self.feature_shape), self.dtype)


def load_frozen_encoder(
    path: str | os.PathLike[str], output: str = "map", require: SpectrogramConfig | None = None
) -> FrozenEncoder:
    """Returns a saved encoder, frozen.

    Args:
        path: encoder.keras as the pre-training writes it.
        output: one of OUTPUTS.
        require: settings that the encoder must have been trained with; None takes its own.
    Raises:
        InputError: no such file, damaged, not an encoder of this project, or of other spectrogram settings.
    """
    config = read_config(path)
    if require is not None:
        require.require(config, path)
    return freeze(load_network(path), config, sha256_of(path), output)


def load_random_encoder(path: str | os.PathLike[str], output: str = "map", seed: int = 0) -> FrozenEncoder:
    """Returns the untrained twin of a saved encoder, frozen: same layers and settings, fresh weights.

    What it scores is what the architecture alone is worth.
    """
    return freeze(reset_weights(load_network(path), seed), read_config(path), f"{sha256_of(path)}-random-{seed}", output)


def reset_weights(model: Any, seed: int = 0) -> Any:
    """Draws a model's weights afresh, as its own layers initialise them, and returns it."""
    for number, layer in enumerate(model.layers):
        if layer.weights:
            kernel, bias = layer.weights
            initializer = type(layer.kernel_initializer)(seed=seed * len(model.layers) + number)
            kernel.assign(initializer(kernel.shape))
            bias.assign(layer.bias_initializer(bias.shape))
    return model


def read_config(path: str | os.PathLike[str]) -> SpectrogramConfig:
    """Returns the spectrogram settings that a saved encoder was trained with.

    Raises:
        InputError: no such file, damaged, or not an encoder of this project.
    """
    settings = read_attached_json(path, "spectrogram")
    try:
        config = SpectrogramConfig.from_dict(settings)
        usable = config.n_bins > 0 and config.n_frames > 0
    except (TypeError, ValueError, ArithmeticError) as error:  # whatever JSON can hold in place of settings
        raise InputError.about(
            path,
            found=f"spectrogram settings that cannot be used ({error})",
            expected="the settings that the pre-training writes",
            action="give an encoder that this project's scripts wrote",
        ) from error
    if not usable:
        raise InputError.about(
            path,
            found="spectrogram settings that give no spectrogram",
            expected="the settings that the pre-training writes",
            action="give an encoder that this project's scripts wrote",
        )
    return config


def freeze(encoder: Any, config: SpectrogramConfig, sha256: str, output: str = "map") -> FrozenEncoder:
    """Returns an encoder model, as `began.networks.build_encoder` makes it, as a frozen one.

    Raises:
        InputError: the model does not fit the spectrogram settings, or has no layer named "map".
        ValueError: `output` is unknown.
    """
    import keras

    if output not in OUTPUTS:
        raise ValueError(f"output is {output!r}; expected one of {', '.join(OUTPUTS)}")
    expected = (None, config.n_bins, config.n_frames, 1)
    names = {layer.name for layer in encoder.layers}
    if tuple(encoder.input_shape) != expected or "map" not in names:
        raise InputError.about(
            "encoder",
            found=f"a model with input {encoder.input_shape} and layers " + ", ".join(sorted(names)),
            expected=f"input {expected} and a layer named map",
            action="give an encoder of this project",
        )
    encoder.trainable = False
    if output == "embedding":
        features = encoder.output
    elif output == "map":
        features = encoder.get_layer("map").output
    elif output == "blocks":
        features = _concatenate_blocks(encoder)
    else:
        features = _list_frames(encoder)
    return FrozenEncoder(keras.Model(encoder.input, features), config, sha256, output)


def _concatenate_blocks(encoder: Any) -> Any:
    from keras import layers

    *blocks, last = _block_outputs(encoder)
    pooled = [
        layers.AveragePooling2D((block.shape[1] // last.shape[1], block.shape[2] // last.shape[2]))(block) for block in blocks
    ]
    return layers.Concatenate(name="blocks")([*pooled, last])


def _list_frames(encoder: Any) -> Any:
    from keras import layers

    flat = []
    for block in _block_outputs(encoder):
        n_bins, n_frames, n_channels = block.shape[1:]
        into_bands = layers.EinsumDense("nftc,fk->ntkc", (n_frames, N_MEL_BANDS, n_channels))
        into_bands.build(block.shape)
        into_bands.set_weights([_mel_filters(n_bins)])
        flat.append(layers.Flatten()(into_bands(block)))
    return layers.Concatenate(name="frames")(flat)


def split_frames(features: np.ndarray) -> list[np.ndarray]:
    """Returns the output "frames" block by block, as views.

    Args:
        features: shape (n_chunks, 2400n).
    Returns:
        Blocks 1 to 4, shape (n_chunks, n_frames, 40 n_channels) each: 16, 8, 4 and 4 frames a second, n, 2n, 3n and 4n channels
        side by side in 40 mel bands.
    """
    from began.networks import INPUT_SHAPE, N_BLOCKS, N_HALVINGS

    shapes = [(INPUT_SHAPE[1] // 2 ** min(block, N_HALVINGS), block * N_MEL_BANDS) for block in range(1, N_BLOCKS + 1)]
    base_filters = features.shape[1] // sum(n_frames * width for n_frames, width in shapes)
    ends = base_filters * np.cumsum([n_frames * width for n_frames, width in shapes])
    return [
        part.reshape(len(features), n_frames, width * base_filters)
        for part, (n_frames, width) in zip(np.split(features, ends[:-1], axis=1), shapes, strict=True)
    ]


def _mel_filters(n_bins: int) -> np.ndarray:
    """Returns triangular filters of equal sums, float32, shape (n_bins, N_MEL_BANDS), for bins from 0 to 8 kHz.

    Where bins are wider than the lowest bands, these take the bin at their centre.
    """
    import librosa

    frequencies_hz = np.arange(n_bins) * SAMPLE_RATE / (2 * n_bins)
    edges_hz = librosa.mel_frequencies(N_MEL_BANDS + 2, fmax=SAMPLE_RATE / 2)
    rising = (frequencies_hz[:, None] - edges_hz[:-2]) / np.diff(edges_hz)[:-1]
    falling = (edges_hz[2:] - frequencies_hz[:, None]) / np.diff(edges_hz)[1:]
    filters = np.maximum(0.0, np.minimum(rising, falling))
    empty = np.flatnonzero(filters.sum(axis=0) == 0)
    filters[np.abs(frequencies_hz[:, None] - edges_hz[1:-1]).argmin(axis=0)[empty], empty] = 1.0
    return (filters / filters.sum(axis=0)).astype(np.float32)


def _block_outputs(encoder: Any) -> list[Any]:
    return [encoder.get_layer(name).output for name in ("block1_conv2", "block2_conv2", "block3_conv2", "map")]


@dataclass(frozen=True)
class Representation:
    """What the frozen encoder says about the chunks of some sound files.

    Attributes:
        features: `FrozenEncoder.dtype`, shape (n_chunks, *feature_shape); mapped from the cache, read-only.
        utterance: int64, shape (n_chunks,), ascending; position in `paths` of the file that a chunk comes from.
    """

    features: np.ndarray
    utterance: np.ndarray


def represent_corpus(
    encoder: FrozenEncoder,
    paths: Sequence[str | os.PathLike[str]],
    cache_dir: str | os.PathLike[str],
    *,
    tail: str = "overlap",
    hop_samples: int = CHUNK_SAMPLES,
    speed: float = 1.0,
    mask_seed: int | None = None,
    progress: Callable[[Iterable], Iterable] = lambda files: files,
) -> Representation:
    """Returns the features of all chunks of some files, from the cache where they have been computed before.

    The cache's key is a hash of the encoder, its output and spectrogram settings, the chunking, and the content of every file:
    whatever changes, the features are computed afresh. Memory stays flat however many files there are.

    Args:
        encoder: the frozen encoder.
        paths: sound files.
        cache_dir: where caches lie; they can be removed at any time.
        tail, hop_samples: see `began.audio.cut_chunks`.
        speed: see `began.audio.stream_audio`.
        mask_seed: of the masks on the spectrograms (`began.spectrogram.mask_spectrograms`); None sets none.
        progress: wraps the iteration over the files, e.g. tqdm.
    Raises:
        InputError: a file cannot be read, or no file gives a chunk.
    """
    chunking = {"tail": tail, "hop_samples": hop_samples, "speed": speed}
    key = hashlib.sha256(
        json.dumps(
            {
                "encoder": encoder.sha256,
                "output": encoder.output,
                "spectrogram": encoder.config.to_dict(),
                **chunking,
                "mask_seed": mask_seed,
                "files": [sha256_of(path) for path in paths],
            },
            sort_keys=True,
        ).encode()
    ).hexdigest()
    folder = Path(cache_dir) / key[:32]
    with lock_folder(folder):
        # counts.npy is written last: where it lies, the features are whole.
        if not (folder / "counts.npy").exists():
            _compute_features(encoder, progress(paths), folder, chunking, mask_seed)
    counts = _read_cached(folder / "counts.npy", (len(paths),), np.int64)
    if counts.sum() == 0:
        raise InputError.about(
            "chunking",
            found=f"no chunk in {len(paths)} files with tail={tail}",
            expected="at least one chunk",
            action="choose tail=overlap or tail=pad",
        )
    features = _read_cached(folder / "features.npy", (int(counts.sum()), *encoder.feature_shape), encoder.dtype, mmap_mode="r")
    return Representation(features, np.repeat(np.arange(len(paths)), counts))


def _read_cached(path: Path, shape: tuple[int, ...], dtype: Any, mmap_mode: str | None = None) -> np.ndarray:
    try:
        array = np.load(path, mmap_mode=mmap_mode, allow_pickle=False)
        found = f"{array.dtype} of shape {array.shape}"
    except (OSError, ValueError, EOFError) as error:
        array, found = None, str(error)
    if array is None or array.shape != shape or array.dtype != dtype:
        raise InputError.about(
            path,
            found=f"a damaged cache ({found})",
            expected=f"{np.dtype(dtype)} of shape {shape}",
            action="remove its folder: it is computed afresh",
        )
    return array


def _compute_features(
    encoder: FrozenEncoder,
    paths: Iterable[str | os.PathLike[str]],
    folder: Path,
    chunking: dict[str, Any],
    mask_seed: int | None,
) -> None:
    """Writes features.npy and then counts.npy; chunks of several short files share a step of the encoder."""
    counts: list[int] = []
    n_written = 0
    masks = None if mask_seed is None else np.random.default_rng(mask_seed)
    with write_atomically(folder / "features.npy") as temporary, open(temporary, "wb") as file:
        write_npy_header(file, encoder.dtype.str, (0, *encoder.feature_shape))
        waiting = np.zeros((0, CHUNK_SAMPLES), np.float32)
        for path in paths:
            counts.append(0)
            for chunks in stream_chunks(path, **chunking):
                counts[-1] += len(chunks)
                waiting = np.concatenate([waiting, chunks])
                n_full = len(waiting) // CHUNKS_PER_STEP * CHUNKS_PER_STEP
                encoder.embed(waiting[:n_full], masks).tofile(file)
                waiting = waiting[n_full:]
        encoder.embed(waiting, masks).tofile(file)
        n_written = sum(counts)
        file.seek(0)
        write_npy_header(file, encoder.dtype.str, (n_written, *encoder.feature_shape))
    with write_atomically(folder / "counts.npy") as temporary:
        np.save(temporary, np.array(counts, np.int64))
