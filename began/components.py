"""Principal components of what an encoder's blocks give, learned from unlabelled speech.

How the components of an utterance vary together, as correlations over time, tells emotions apart better than how single bands
do. They come from the recordings of the pre-training, without labels, so that the features of a corpus do not depend on its
split. They lie in components.npz beside encoder.keras, with those of the same network with initial weights, its baseline.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from began.errors import InputError, raise_passing
from began.files import read_arrays, sha256_of, write_atomically

if TYPE_CHECKING:
    from began.utterance_encoder import UtteranceEncoder

N_COMPONENTS = 40
"""Of each block, as many as there are mel bands. On EmoDB's inner folds 24 scored a point less, 64 no more."""

N_RECORDINGS = 300
"""Of unlabelled speech that components are measured on, evenly spread: an hour of LibriSpeech."""

MAX_FRAMES = 64_000
"""Of a block, at most: bounds the memory."""

MAX_BYTES = 64_000_000
"""Of a file of components: far more than those of any encoder that can be opened."""

ORIGINS = ("trained", "initial")
"""Whose components a file holds: those of the trained encoder, and of the one with initial weights."""


def components_path(encoder: str | os.PathLike[str]) -> Path:
    """Returns where the components of an encoder's file lie."""
    return Path(encoder).with_name("components.npz")


def measure_components(encoder: UtteranceEncoder, paths: Iterable[str | os.PathLike[str]]) -> list[np.ndarray]:
    """Returns, of each block, what takes a frame to its principal components of unit variance: float32, (40, n_channels, 40).

    The mean is left in: correlations do not know it.

    Args:
        encoder: with the front end that heads hear through.
        paths: recordings; those without speech, such as a click in silence, are passed over.
    Raises:
        InputError: no recording with speech, or see `began.audio.stream_audio`.
    """
    from began.audio import stream_audio
    from began.front_end import measure_speech, stream_speech
    from began.spectrogram import stream_spectrogram

    heard: list[list[np.ndarray]] = [[] for _ in encoder.n_channels]
    for path in paths:
        if measure_speech(stream_audio(path)) is None:
            continue
        spectrogram = stream_spectrogram(stream_speech(path, encoder.config.front_end), encoder.config)
        for pieces in encoder.stream_bands(spectrogram):
            for frames, piece in zip(heard, pieces, strict=True):
                frames.append(piece)
    if not heard[0]:
        raise InputError.about("principal components", "no speech", "recordings of speech", "add some to the unlabelled ones")
    return [_find_components(np.concatenate(frames)) for frames in heard]


def _find_components(frames: np.ndarray) -> np.ndarray:
    from sklearn.decomposition import PCA

    flat = frames[:: -(-len(frames) // MAX_FRAMES)].reshape(-1, frames[0].size)
    pca = PCA(min(N_COMPONENTS, *flat.shape), svd_solver="covariance_eigh").fit(flat)
    # What hardly varies stays small, in place of being blown up to noise; of too little speech, the last components are 0.
    deviations = np.sqrt(pca.explained_variance_)
    scaled = pca.components_.T / np.maximum(deviations, 1e-3 * deviations[0] + 1e-9)
    scaled = np.pad(scaled, ((0, 0), (0, N_COMPONENTS - scaled.shape[1])))
    return scaled.reshape(*frames.shape[1:], N_COMPONENTS).astype(np.float32)


def write_components(
    encoder: str | os.PathLike[str],
    paths: Sequence[str | os.PathLike[str]],
    progress: Callable[[Iterable], Iterable] = lambda files: files,
) -> Path:
    """Measures the components of a saved encoder on unlabelled speech, writes them beside it, and returns where.

    Args:
        encoder: its file.
        paths: recordings; some of many are heard.
        progress: wraps the iteration over them, once for the trained encoder and once for the one with initial weights.
    """
    from began.encoder import load_frozen_encoder, load_random_encoder
    from began.utterance_encoder import UtteranceEncoder

    heard = [paths[number] for number in np.unique(np.linspace(0, len(paths) - 1, N_RECORDINGS).astype(int))]
    content: dict[str, Any] = {"encoder_sha256": np.array(sha256_of(encoder))}
    for origin, load in zip(ORIGINS, (load_frozen_encoder, load_random_encoder), strict=True):
        blocks = measure_components(UtteranceEncoder.of(load(encoder), "normalized"), progress(heard))
        content |= {f"{origin}_block{number}": block for number, block in enumerate(blocks, start=1)}
    path = components_path(encoder)
    with write_atomically(path) as temporary, open(temporary, "wb") as file:
        np.savez(file, **content)
    return path


def has_components(encoder: str | os.PathLike[str]) -> bool:
    """Whether the components of an encoder's file lie beside it, whole."""
    try:
        return bool(read_components(encoder))
    except InputError:
        return False


def read_components(encoder: str | os.PathLike[str], origin: str = "trained") -> list[np.ndarray]:
    """Returns the components of the blocks of an encoder's file, see `measure_components`.

    Args:
        encoder: the file.
        origin: one of ORIGINS.
    Raises:
        InputError: no such file, one that is damaged, or another encoder's.
    """
    path, action = components_path(encoder), "copy it from where the encoder comes from, or repeat its pre-training's command"
    if not path.is_file():
        raise InputError.about(path, "no such file", "the principal components of the encoder beside it", action)
    from began.utterance_encoder import LAYERS

    try:
        if path.stat().st_size > MAX_BYTES:
            raise ValueError(f"{path.stat().st_size / 1e6:.0f} MB")
        arrays = read_arrays(path.read_bytes())
        sha256, blocks = str(arrays["encoder_sha256"]), [arrays[f"{origin}_block{number + 1}"] for number in range(len(LAYERS))]
        if any(block.dtype != np.float32 or block.ndim != 3 or not np.isfinite(block).all() for block in blocks):
            raise ValueError("other than finite float32 numbers")
    except (KeyError, OSError, ValueError) as error:
        raise_passing(error)
        raise InputError.about(path, f"a damaged file ({error})", "the principal components of an encoder", action) from error
    if sha256 != sha256_of(encoder):
        raise InputError.about(path, "those of another encoder", f"the principal components of {encoder}", action)
    return blocks
