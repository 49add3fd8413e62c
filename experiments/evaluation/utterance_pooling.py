"""An utterance of any length to one vector per block of the encoder, from the frames of its chunks.

Two kinds of it, both label-free: each band's and channel's mean, spread and range over the frames, and how they vary together,
as correlations between their principal components.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from began.encoder import N_MEL_BANDS, split_frames
from began.errors import InputError

if TYPE_CHECKING:
    from sklearn.decomposition import PCA

N_COMPONENTS = 40
"""Principal components of a block's frames that are correlated. On EmoDB's inner folds 24 scored a point less, 64 no more."""

FRAMES_FOR_COMPONENTS = 50_000
"""Frames of a block that its components are computed from, at most: bounds the memory."""

CHUNKS_AT_ONCE = 2048
"""Chunks whose frames are projected in one step: bounds the memory."""


class Recordings:
    """All utterances of a corpus, as recorded or altered, as frames of the encoder's blocks.

    Args:
        features: the output "frames", shape (n_chunks, 2400n); may be memory-mapped.
        utterance: int, shape (n_chunks,), ascending from 0; every utterance has a chunk.
    Attributes:
        statistics: block, 1 to 4 -> float32, shape (n_utterances, 4, 40, n_channels): mean, standard deviation, maximum and
            minimum over the frames.
    Raises:
        ValueError: an utterance has no chunk.
    """

    def __init__(self, features: np.ndarray, utterance: np.ndarray) -> None:
        if set(np.diff(utterance, prepend=-1)) - {0, 1}:
            raise ValueError("an utterance without a chunk; expected at least one of each")
        self._blocks = dict(enumerate(split_frames(features), start=1))
        self._chunks = np.split(np.arange(len(utterance)), np.flatnonzero(np.diff(utterance)) + 1)
        self.statistics = {block: self._measure(block) for block in self._blocks}

    def frames(self, block: int, chunks: np.ndarray) -> np.ndarray:
        """Returns the frames of some chunks, one after the other: float32, shape (n_frames, 40 n_channels)."""
        frames = self._blocks[block][chunks]
        return frames.reshape(-1, frames.shape[-1]).astype(np.float32)

    def chunks_of(self, utterances: np.ndarray) -> np.ndarray:
        """Returns the positions of some utterances' chunks."""
        return np.concatenate([self._chunks[number] for number in utterances])

    def correlate(self, block: int, components: PCA) -> np.ndarray:
        """Returns the correlations between components, see `fit_components`, over the frames of each utterance.

        Returns:
            float32, shape (n_utterances, n_components (n_components - 1) / 2).
        """
        n_chunks, n_frames, _ = self._blocks[block].shape
        steps = np.split(np.arange(n_chunks), range(CHUNKS_AT_ONCE, n_chunks, CHUNKS_AT_ONCE))
        projected = np.concatenate([components.transform(self.frames(block, chunks)) for chunks in steps])
        above = np.triu_indices(components.n_components_, 1)
        correlations = []
        for values in np.split(projected, [chunks[0] * n_frames for chunks in self._chunks[1:]]):
            values = values - values.mean(axis=0)
            # A component that stands still in an utterance correlates with nothing, in place of with its own rounding.
            values /= values.std(axis=0) + 1e-3
            correlations.append((values.T @ values / len(values))[above])
        return np.stack(correlations).astype(np.float32)

    def _measure(self, block: int) -> np.ndarray:
        measured = []
        for chunks in self._chunks:
            frames = self.frames(block, chunks)
            frames = frames.reshape(len(frames), N_MEL_BANDS, -1)
            measured.append([frames.mean(axis=0), frames.std(axis=0), frames.max(axis=0), frames.min(axis=0)])
        return np.array(measured, np.float32)


def fit_components(recordings: Recordings, block: int, utterances: np.ndarray) -> PCA:
    """Returns the principal components of a block's frames, each of unit variance.

    Only chunks of `utterances` are used; of long corpora, evenly spread ones.
    """
    from sklearn.decomposition import PCA

    chunks = recordings.chunks_of(utterances)
    n_chunks = min(len(chunks), FRAMES_FOR_COMPONENTS // len(recordings.frames(block, chunks[:1])))
    frames = recordings.frames(block, chunks[np.linspace(0, len(chunks) - 1, n_chunks).astype(int)])
    return PCA(min(N_COMPONENTS, *frames.shape), whiten=True, svd_solver="covariance_eigh").fit(frames)


def check_speakers(speakers: np.ndarray) -> None:
    """Checks that every speaker can be normalised.

    Raises:
        InputError: a speaker with a single utterance, of which nothing would be left.
    """
    names, counts = np.unique(speakers, return_counts=True)
    if alone := list(map(str, names[counts == 1])):
        found = f"one utterance of {', '.join(alone[:5])}" + ", …" * (len(alone) > 5)
        action = "give more, or leave the option out"
        raise InputError.about("--normalize-speakers", found, "at least two of each speaker", action)


def normalize_speakers(features: np.ndarray, speakers: np.ndarray) -> np.ndarray:
    """Returns features standardised with each speaker's own mean and standard deviation.

    Args:
        features: float32, shape (n_utterances, ...).
        speakers: str, shape (n_utterances,).
    """
    normalized = np.empty_like(features)
    for speaker in np.unique(speakers):
        rows = speakers == speaker
        normalized[rows] = standardize(features[rows], features[rows])
    return normalized


def standardize(features: np.ndarray, reference: np.ndarray) -> np.ndarray:
    """Returns features with the mean and standard deviation of a reference, both (n, ...), taken out."""
    deviation = reference.std(axis=0)
    # What hardly varies stays small, in place of being blown up to noise.
    return (features - reference.mean(axis=0)) / np.maximum(deviation, 1e-3 * deviation.mean() + 1e-9)


def linear_kernel(rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """Returns the mean products of flattened features: shape (len(rows), len(columns)), about one on the diagonal."""
    rows, columns = rows.reshape(len(rows), -1), columns.reshape(len(columns), -1)
    return rows @ columns.T / columns.shape[1]
