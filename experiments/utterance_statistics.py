"""A second reading of the frozen encoder: statistics of all its blocks over a whole utterance, and a linear SVM on them.

The paper's head sees a second at a time, in bins of equal width. Here each block's map is read in mel bands, its mean,
standard deviation, maximum and minimum are taken over all frames of the utterance, and a support vector machine with a linear
kernel decides. Every choice that is left (which blocks, and C) is made on the inner folds.

Two options that need no label:

- copies of the training utterances, played slower and faster: other voices at no cost (Ko et al. 2015);
- speaker normalisation: every speaker's utterances are standardised with that speaker's own mean and spread. It looks at all
  of the test speaker's recordings, though at none of their labels: a system that hears a person for the first time cannot
  do it, and tables name it.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd

from experiments.evaluation import CLASSES, DIMENSIONS, Data, Outcome, Trainer
from experiments.protocols import Split

SPEEDS = (0.85, 0.9, 0.95, 1.05, 1.1, 1.15)
"""Of the copies. Ko et al. 2015 take 0.9 and 1.1; on EmoDB's inner folds these six gave two points more."""

BLOCKS = {"1": (1,), "4": (4,), "1+4": (1, 4), "1+2+3+4": (1, 2, 3, 4)}
"""What the inner folds choose from: combinations of the encoder's blocks."""

PENALTIES = (0.3, 1.0, 3.0)
"""And values of C; kernels have a mean diagonal of about one. Larger values changed nothing."""


def pool_utterances(statistics: np.ndarray, utterance: np.ndarray) -> np.ndarray:
    """Returns each utterance's statistics from those of its chunks, as if it had been one long chunk.

    Args:
        statistics: float32, shape (n_chunks, 4, n_bands, n_channels): mean, mean square, maximum and minimum over the frames
            of a chunk (`began.representation`, output "statistics").
        utterance: int, shape (n_chunks,), ascending.
    Returns:
        float32, shape (n_utterances, 4, n_bands, n_channels): mean, standard deviation, maximum and minimum.
    """
    first = np.flatnonzero(np.diff(utterance, prepend=-1))
    n_chunks = np.diff(np.append(first, len(utterance)))[:, None, None]
    mean, mean_square = (np.add.reduceat(statistics[:, i], first) / n_chunks for i in (0, 1))
    deviation = np.sqrt(np.maximum(mean_square - mean**2, 0.0))
    highest, lowest = np.maximum.reduceat(statistics[:, 2], first), np.minimum.reduceat(statistics[:, 3], first)
    return np.stack([mean, deviation, highest, lowest], axis=1).astype(np.float32)


def normalize_speakers(features: np.ndarray, speakers: np.ndarray) -> np.ndarray:
    """Returns features standardised with each speaker's own mean and standard deviation.

    Args:
        features: float32, shape (n_utterances, ...).
        speakers: str, shape (n_utterances,).
    """
    normalized = np.empty_like(features)
    for speaker in np.unique(speakers):
        rows = speakers == speaker
        normalized[rows] = _standardize(features[rows], features[rows])
    return normalized


def _standardize(features: np.ndarray, reference: np.ndarray) -> np.ndarray:
    deviation = reference.std(axis=0)
    # What hardly varies stays small, in place of being blown up to noise.
    return (features - reference.mean(axis=0)) / np.maximum(deviation, 1e-3 * deviation.mean() + 1e-9)


def make_trainer(copies: Sequence[np.ndarray]) -> Trainer:
    """Returns a trainer of linear support vector machines on the features of utterances.

    Args:
        copies: of all utterances' features, from altered recordings; those of training utterances are trained on, too.
    """

    def train(data: Data, kind: str, splits: Sequence[Split], settings: argparse.Namespace, run_number: int,
              folder: Path) -> Outcome:
        from tqdm import tqdm

        scores, trials, history = [], [], []
        for split in tqdm(splits, desc=f"run {run_number}, {kind} machines", unit="fold"):
            fold = _Fold(data, kind, copies, settings.class_weight, split)
            tried = fold.search().assign(fold=split.fold, kind=kind)
            best = tried.loc[tried["loss"].idxmin()]
            scores.append(fold.score_test(best["blocks"], best["C"]))
            trials.append(tried)
            history.append({"fold": split.fold, "kind": kind, "epoch": 1})
        return Outcome(scores, pd.concat(trials, ignore_index=True), pd.DataFrame(history))

    return train


class _Fold:
    """Support vector machines of one fold, on kernels that are computed once for all inner folds, blocks and C.

    Features are standardised with the statistics of the fold's training part, copies included.
    """

    def __init__(self, data: Data, kind: str, copies: Sequence[np.ndarray], class_weight: str | None, split: Split) -> None:
        self.kind, self.class_weight, self.split = kind, class_weight, split
        self.n_labels = len(data.corpus.labels)
        self.targets = data.targets(kind)
        self.n_copies = 1 + len(copies)
        # A row an utterance of the training part, then the rows of each copy.
        training = np.concatenate([features[split.fitting] for features in (data.features, *copies)])
        n = data.features.shape[-1] // 10  # blocks have n, 2n, 3n and 4n channels
        self.kernels = {}
        for block in (1, 2, 3, 4):
            channels = slice(n * block * (block - 1) // 2, n * block * (block + 1) // 2)
            rows, tested = (_standardize(features[..., channels], training[..., channels]).reshape(len(features), -1)
                            for features in (training, data.features[split.test]))
            self.kernels[block] = rows @ rows.T / rows.shape[1], tested @ rows.T / rows.shape[1]

    def search(self) -> pd.DataFrame:
        """Returns a row a combination of blocks and C, with its mean loss over the inner folds."""
        rows = []
        for blocks in BLOCKS:
            kernel = self._add(blocks, 0)
            for penalty in PENALTIES:
                losses = []
                for inner in self.split.inner:
                    scores = self._predict(kernel, inner.train, penalty, kernel[self._rows(inner.validation, 1)])
                    losses.append(1.0 - self._score(scores, inner.validation))
                rows.append({"trial": len(rows), "blocks": blocks, "C": penalty, "loss": np.mean(losses), "status": "ok"})
        return pd.DataFrame(rows)

    def score_test(self, blocks: str, penalty: float) -> np.ndarray:
        """Returns the scores of the test utterances, trained on the whole training part."""
        return self._predict(self._add(blocks, 0), self.split.fitting, penalty, self._add(blocks, 1))

    def _add(self, blocks: str, part: int) -> np.ndarray:
        return sum(self.kernels[block][part] for block in BLOCKS[blocks]) / len(BLOCKS[blocks])

    def _rows(self, utterances: np.ndarray, n_copies: int) -> np.ndarray:
        """Returns the rows of some training utterances: 1 for themselves alone, `self.n_copies` for all."""
        rows = np.searchsorted(self.split.fitting, utterances)
        return np.concatenate([rows + number * len(self.split.fitting) for number in range(n_copies)])

    def _predict(self, kernel: np.ndarray, train: np.ndarray, penalty: float, tested: np.ndarray) -> np.ndarray:
        """Returns scores, float32, shape (len(tested), n_outputs).

        Args:
            kernel: among all training rows.
            train: utterances to train on.
            tested: kernel of what is scored with all training rows.
        """
        from scipy.special import softmax
        from sklearn.svm import SVC, SVR

        rows = self._rows(train, self.n_copies)
        kernel, tested = kernel[np.ix_(rows, rows)], tested[:, rows]
        targets = np.concatenate([self.targets[train]] * self.n_copies)
        if self.kind == DIMENSIONS:
            columns = [SVR(kernel="precomputed", C=penalty, epsilon=0.05).fit(kernel, targets[:, i]).predict(tested)
                       .clip(low, 1.0) for i, low in enumerate((0.0, -1.0))]
            return np.stack(columns, axis=1).astype(np.float32)
        machine = SVC(kernel="precomputed", C=penalty, class_weight=self.class_weight).fit(kernel, targets)
        decision = machine.decision_function(tested)
        if decision.ndim == 1:  # of two classes
            decision = np.stack([-decision, decision], axis=1)
        scores = np.zeros((len(tested), self.n_labels), np.float32)
        # Ordered as the decisions are; not calibrated.
        scores[:, machine.classes_] = softmax(decision, axis=1)
        return scores

    def _score(self, scores: np.ndarray, utterances: np.ndarray) -> float:
        """Returns unweighted average recall, or the mean of both CCCs: what the heads are selected on, too."""
        from classifiers import metrics

        targets = self.targets[utterances]
        if self.kind == CLASSES:
            return metrics.unweighted_average_recall(targets, scores.argmax(axis=1))
        return float(np.mean([metrics.concordance_correlation_coefficient(targets[:, i], scores[:, i]) for i in (0, 1)]))


def as_utterances(data: Data) -> Data:
    """Returns data with chunks' statistics as data with one row an utterance."""
    return replace(data, features=pool_utterances(data.features, data.utterance), utterance=np.unique(data.utterance))
