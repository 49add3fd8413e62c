"""The columns of the utterance statistics that a head uses, selected on reading, and their mean and variance."""

from __future__ import annotations

import functools

import numpy as np

from began.arrays import read_rows
from classifiers import heads

BLOCK = 512
"""Chunks, or utterances, that are read or go through a network at a time."""


class ChosenColumns:
    """Statistics of utterances of which some columns are read, where rows are asked for: float32, (n, 40, 1, n_columns)."""

    def __init__(self, features: np.ndarray, columns: np.ndarray) -> None:
        self.features, self.columns = features, columns
        self.shape = (*features.shape[:-1], len(columns))
        starts = np.flatnonzero(np.diff(columns, prepend=-2) != 1)
        # As slices, which are read faster.
        self.ranges = tuple((int(part[0]), int(part[-1]) + 1) for part in np.split(columns, starts[1:]))

    def __len__(self) -> int:
        return len(self.features)

    def __getitem__(self, rows: np.ndarray) -> np.ndarray:
        of_rows = read_rows(self.features, rows)
        return np.concatenate([of_rows[..., start:end] for start, end in self.ranges], axis=-1).astype(np.float32)

    def measure_normalization(self, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Returns what `heads.measure_normalization` does, measured once for all heads that are trained on these rows."""
        name = getattr(self.features, "filename", None)
        measure = _measure_all_columns if name else _measure_all_columns.__wrapped__
        mean, variance = measure(_Rows(self.features, rows, (str(name), rows.tobytes())))
        return mean[:, self.columns], heads.raise_to_floor(variance[:, self.columns])


class _Rows:
    """Rows of features, known by the name of their file."""

    def __init__(self, features: np.ndarray, rows: np.ndarray, name: tuple[str, bytes]) -> None:
        self.features, self.rows, self._name = features, rows, name

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Rows) and self._name == other._name

    def __hash__(self) -> int:
        return hash(self._name)


@functools.lru_cache(maxsize=8)
def _measure_all_columns(some: _Rows) -> tuple[np.ndarray, np.ndarray]:
    """Returns mean and variance of every band and column over rows, float32, shape (40, n_statistics) each."""
    sums, squares = np.zeros((2, *some.features.shape[1:]))
    for start in range(0, len(some.rows), BLOCK):
        part = read_rows(some.features, some.rows[start : start + BLOCK]).astype(np.float32)
        sums += part.sum(axis=0, dtype=np.float64)
        squares += np.einsum("n...,n...->...", part, part)
    mean = sums / len(some.rows)
    variance = np.maximum(squares / len(some.rows) - mean * mean, 0.0)
    return mean[:, 0].astype(np.float32), variance[:, 0].astype(np.float32)
