"""What a predictor says about one sound file."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from began.audio import CHUNK_SAMPLES, SAMPLE_RATE


@dataclass(frozen=True)
class Prediction:
    """The predicted emotion of one sound file.

    Attributes:
        path: of the file.
        seconds: its length.
        start_seconds: float64, shape (n_chunks,), where each chunk starts.
        chunk_scores: float32, shape (n_chunks, d), probabilities, or arousal in [0, 1] and valence in [-1, 1].
        scores: float64, shape (d,), of the file from beginning to end.
        chunk_seconds, hop_seconds: length of a chunk, and distance of two chunks' starts.
        distance: how far the recording lies from the training data (`classifiers.calibration.measure_distances`), where the
            head reads whole utterances.
    """

    path: Path
    seconds: float
    start_seconds: np.ndarray
    chunk_scores: np.ndarray
    scores: np.ndarray
    chunk_seconds: float = CHUNK_SAMPLES / SAMPLE_RATE
    hop_seconds: float = CHUNK_SAMPLES / SAMPLE_RATE
    distance: float | None = None

    @property
    def end_seconds(self) -> np.ndarray:
        """Where each chunk ends: at the latest where the file does."""
        return np.minimum(self.start_seconds + self.chunk_seconds, self.seconds)

    @property
    def edges_seconds(self) -> np.ndarray:
        """Between which times each chunk is shown, float64, shape (n_chunks + 1,): the file without a gap or an overlap."""
        shown = self.start_seconds[0] + np.arange(len(self.chunk_scores)) * self.hop_seconds
        shown = shown + (self.chunk_seconds - self.hop_seconds) / 2
        return np.concatenate([[0.0], shown[1:], [self.seconds]])
