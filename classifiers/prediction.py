"""What a predictor says about one sound file."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from began.audio import SAMPLE_RATE
from began.chunks import CHUNK_SAMPLES


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
        speech_seconds: length of what is heard of the file, behind the front end and without long pauses.
        chunk_speech_seconds: float64, shape (n_chunks,), how long the speech in each chunk lasts
            (`began.front_end.find_window_speech`); None where nobody asked for the emotion over time.
        distance: how far the recording lies from the training data (`classifiers.calibration.measure_distances`), where the
            head reads whole utterances.
        unrestricted: what was predicted before some answers were ruled out, where any were.
    """

    path: Path
    seconds: float
    start_seconds: np.ndarray
    chunk_scores: np.ndarray
    scores: np.ndarray
    chunk_seconds: float = CHUNK_SAMPLES / SAMPLE_RATE
    hop_seconds: float = CHUNK_SAMPLES / SAMPLE_RATE
    speech_seconds: float | None = None
    chunk_speech_seconds: np.ndarray | None = None
    distance: float | None = None
    unrestricted: Prediction | None = None

    @cached_property
    def has_speech(self) -> np.ndarray:
        """Whether each chunk holds speech, bool, shape (n_chunks,): a single one is the file, which would be refused."""
        if self.chunk_speech_seconds is None or len(self.chunk_scores) == 1:
            return np.ones(len(self.chunk_scores), bool)
        return self.chunk_speech_seconds > 0

    @property
    def end_seconds(self) -> np.ndarray:
        """Where each chunk ends: at the latest where the file does."""
        return np.minimum(self.start_seconds + self.chunk_seconds, self.seconds)

    @property
    def edges_seconds(self) -> np.ndarray:
        """Edges of the chunks on a time axis, without gaps or overlaps: float64, shape (n_chunks + 1,)."""
        shown = self.start_seconds[0] + np.arange(len(self.chunk_scores)) * self.hop_seconds
        shown = shown + (self.chunk_seconds - self.hop_seconds) / 2
        return np.concatenate([self.start_seconds[:1], shown[1:], self.end_seconds[-1:]])
