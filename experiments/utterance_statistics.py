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

SPEEDS = (0.9, 1.1)
"""Of the copies (Ko et al. 2015)."""

BLOCKS = {"1": (1,), "4": (4,), "1+4": (1, 4), "1+2+3+4": (1, 2, 3, 4)}
"""What the inner folds choose from: combinations of the encoder's blocks."""

PENALTIES = (0.3, 1.0, 3.0, 10.0, 30.0)
"""And values of C; kernels have a mean diagonal of about one."""


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

        machine = _Machine(data, kind, copies, settings.class_weight)
        scores, trials, history = [], [], []
        for split in tqdm(splits, desc=f"run {run_number}, {kind} machines", unit="fold"):
            tried = _search(machine, split).assign(fold=split.fold, kind=kind)
            best = tried.loc[tried["loss"].idxmin()]
            scores.append(machine.predict(split.fitting, split.test, [(best["blocks"], best["C"])])[0])
            trials.append(tried)
            history.append({"fold": split.fold, "kind": kind, "epoch": 1})
        return Outcome(scores, pd.concat(trials, ignore_index=True), pd.DataFrame(history))

    return train


def _search(machine: _Machine, split: Split) -> pd.DataFrame:
    """Returns a row a combination of blocks and C, with its mean loss over the inner folds."""
    choices = [(blocks, penalty) for blocks in BLOCKS for penalty in PENALTIES]
    losses = [[1.0 - machine.score(scores, inner.validation)
               for scores in machine.predict(inner.train, inner.validation, choices)] for inner in split.inner]
    table = pd.DataFrame(choices, columns=["blocks", "C"])
    return table.assign(trial=range(len(choices)), loss=np.mean(losses, axis=0), status="ok")


class _Machine:
    """Support vector machines for one kind of target, on kernels that are computed once for all combinations and C."""

    def __init__(self, data: Data, kind: str, copies: Sequence[np.ndarray], class_weight: str | None) -> None:
        self.data, self.kind, self.class_weight = data, kind, class_weight
        self.targets = data.targets(kind)
        self.features = [data.features, *copies]

    def score(self, scores: np.ndarray, utterances: np.ndarray) -> float:
        """Returns unweighted average recall, or the mean of both CCCs: what the heads are selected on, too."""
        from classifiers import metrics

        targets = self.targets[utterances]
        if self.kind == CLASSES:
            return metrics.unweighted_average_recall(targets, scores.argmax(axis=1))
        return float(np.mean([metrics.concordance_correlation_coefficient(targets[:, i], scores[:, i]) for i in (0, 1)]))

    def predict(self, train: np.ndarray, test: np.ndarray, choices: Sequence[tuple[str, float]]) -> list[np.ndarray]:
        """Returns the scores of the test utterances for each choice of blocks and C, trained on the training utterances."""
        kernels = {block: self._kernel(block, train, test) for block in {block for blocks, _ in choices
                                                                        for block in BLOCKS[blocks]}}
        targets = np.concatenate([self.targets[train]] * len(self.features))
        predicted = []
        for blocks, penalty in choices:
            of_train, of_test = (sum(kernels[block][part] for block in BLOCKS[blocks]) / len(BLOCKS[blocks])
                                 for part in (0, 1))
            predicted.append(self._fit_and_predict(of_train, targets, of_test, penalty))
        return predicted

    def _kernel(self, block: int, train: np.ndarray, test: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Returns one block's linear kernel among training rows (utterances, then copies), and of test with them."""
        n = self.data.features.shape[-1] // 10  # blocks have n, 2n, 3n and 4n channels
        channels = slice(n * block * (block - 1) // 2, n * block * (block + 1) // 2)
        reference = np.concatenate([features[train][..., channels] for features in self.features])
        rows = _standardize(reference, reference).reshape(len(reference), -1)
        tested = _standardize(self.data.features[test][..., channels], reference).reshape(len(test), -1)
        return rows @ rows.T / rows.shape[1], tested @ rows.T / rows.shape[1]

    def _fit_and_predict(self, kernel: np.ndarray, targets: np.ndarray, of_test: np.ndarray, penalty: float) -> np.ndarray:
        from scipy.special import softmax
        from sklearn.svm import SVC, SVR

        if self.kind == DIMENSIONS:
            low = (0.0, -1.0)
            columns = [SVR(kernel="precomputed", C=penalty, epsilon=0.05).fit(kernel, targets[:, i]).predict(of_test)
                       .clip(low[i], 1.0) for i in (0, 1)]
            return np.stack(columns, axis=1).astype(np.float32)
        machine = SVC(kernel="precomputed", C=penalty, class_weight=self.class_weight).fit(kernel, targets)
        scores = np.zeros((len(of_test), len(self.data.corpus.labels)), np.float32)
        decision = machine.decision_function(of_test)
        if decision.ndim == 1:  # of two classes
            decision = np.stack([-decision, decision], axis=1)
        # Ordered as the decisions are; not calibrated.
        scores[:, machine.classes_] = softmax(decision, axis=1)
        return scores


def as_utterances(data: Data) -> Data:
    """Returns data with chunks' statistics as data with one row an utterance."""
    return replace(data, features=pool_utterances(data.features, data.utterance), utterance=np.unique(data.utterance))
