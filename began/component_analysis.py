"""Measures the principal components of an encoder's blocks on unlabelled speech, and writes them beside it.

See `began.components` for what they are and where they are read.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import numpy as np

from began.arrays import write_arrays
from began.components import N_COMPONENTS, ORIGINS, components_path
from began.encoder import N_MEL_BANDS, load_frozen_encoder, load_initial_encoder, read_seed
from began.errors import InputError
from began.files import StrPath, sha256_of
from began.front_end import search_speech, stream_speech
from began.spectrogram import stream_spectrogram
from began.utterance_encoder import Moments, UtteranceEncoder

N_RECORDINGS = 300
"""Of unlabelled speech that components are measured on, evenly spread: an hour of LibriSpeech."""


def measure_components(encoder: UtteranceEncoder, paths: Iterable[StrPath]) -> list[np.ndarray]:
    """Returns, of each block, what takes a frame to its principal components of unit variance: float32, (40, n_channels, 40).

    The mean is left in: correlations do not know it.

    Args:
        encoder: with the front end that heads hear through.
        paths: recordings; those without speech, such as a click in silence, are passed over.
    Raises:
        InputError: no recording with speech, or see `began.audio.stream_audio`.
    """
    moments = [Moments(N_MEL_BANDS * n_channels) for n_channels in encoder.n_channels]
    for path in paths:
        if search_speech(path) is None:
            continue
        spectrogram = stream_spectrogram(stream_speech(path, encoder.config.front_end), encoder.config)
        for pieces in encoder.stream_bands(spectrogram):
            for of_block, frames in zip(moments, pieces, strict=True):
                of_block.add(frames)
    if not moments[0].n_frames:
        raise InputError.about("principal components", "no speech", "recordings of speech", "add some to the unlabelled ones")
    return [_find_components(of_block) for of_block in moments]


def _find_components(moments: Moments) -> np.ndarray:
    """Returns what `measure_components` does, of one block."""
    n_frames, sums = moments.n_frames, moments.sums
    n_found = min(N_COMPONENTS, n_frames - 1, len(sums))
    covariance = (moments.products - np.outer(sums, sums / n_frames)) / max(1, n_frames - 1)
    variances, vectors = np.linalg.eigh(covariance)
    variances, vectors = variances[::-1][:n_found], vectors[:, ::-1][:, :n_found]
    vectors = vectors * np.sign(vectors[np.abs(vectors).argmax(axis=0), np.arange(n_found)])  # else it may be either
    # What hardly varies stays small, in place of being blown up to noise; of too little speech, the last components are 0.
    deviations = np.sqrt(np.maximum(variances, 0.0))
    scaled = vectors / np.maximum(deviations, 1e-3 * deviations.max(initial=0.0) + 1e-9)
    scaled = np.pad(scaled, ((0, 0), (0, N_COMPONENTS - n_found)))
    return scaled.reshape(N_MEL_BANDS, -1, N_COMPONENTS).astype(np.float32)


def write_components(
    encoder: StrPath, paths: Sequence[StrPath], progress: Callable[[Iterable], Iterable] = lambda files: files
) -> Path:
    """Measures the components of a saved encoder on unlabelled speech, writes them beside it, and returns where.

    Args:
        encoder: its file.
        paths: recordings; some of many are heard.
        progress: wraps the iteration over them, once for the trained encoder and once for the one with initial weights.
    """
    chosen = [paths[number] for number in np.unique(np.linspace(0, len(paths) - 1, N_RECORDINGS).astype(int))]
    content = {"encoder_sha256": np.array(sha256_of(encoder)), "initial_seed": np.array(read_seed(encoder))}
    for origin, load in zip(ORIGINS, (load_frozen_encoder, load_initial_encoder), strict=True):
        blocks = measure_components(UtteranceEncoder.of(load(encoder), "normalized"), progress(chosen))
        content |= {f"{origin}_block{number}": block for number, block in enumerate(blocks, start=1)}
    path = components_path(encoder)
    write_arrays(path, content)
    return path
