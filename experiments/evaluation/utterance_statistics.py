"""A second method: all blocks of the frozen encoder, pooled over the whole utterance, and a linear support vector machine.

The paper's head sees one second at a time, in bins of equal width. Here each block is taken in mel bands, and its statistics
and correlations over all frames of the utterance (`utterance_pooling`). Principal components and standardisation come from the
training part of the fold, and every choice that is left (which blocks, and C) is made on the inner folds.

Two options that need no label:

- copies of the utterances at other speeds. Those of training utterances act as further voices (Ko et al. 2015); those of a test
  utterance are scored with it, and the mean counts;
- speaker normalisation: the utterances of every speaker are standardised with the mean and deviation of that speaker. It needs
  all recordings of the test speaker, though none of their labels: it suits known speakers, and tables name it.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from began.errors import InputError
from classifiers.metrics import CATEGORICAL, DIMENSIONAL, concordance_correlation_coefficient, unweighted_average_recall
from experiments.corpora.record import Corpus
from experiments.evaluation import utterance_pooling as pooling
from experiments.evaluation.baselines import score_classes
from experiments.evaluation.conditions import Condition
from experiments.evaluation.data import SPEEDS, Data, Outcome, Trainer, represent
from experiments.evaluation.options import Settings
from experiments.evaluation.protocols import Split
from experiments.evaluation.runs import record_search
from experiments.evaluation.utterance_pooling import Recordings

MAX_ROWS = 12_000
"""Utterances and copies in a kernel, at most: a fold then takes about 5 GB."""

BLOCKS = {"1": (1,), "4": (4,), "1+4": (1, 4), "1+2+3+4": (1, 2, 3, 4)}
"""What the inner folds choose from: combinations of the encoder's blocks."""

PENALTIES = (0.3, 1.0, 3.0)
"""And values of C; kernels have a mean diagonal of about one. Larger values changed nothing."""


def choose_speeds(n_utterances: int) -> tuple[float, ...]:
    """Returns the speeds of the copies of a corpus: as many as MAX_ROWS has room for.

    Raises:
        InputError: it has not even room for the utterances.
    """
    if n_utterances > MAX_ROWS:
        found, expected = f"{n_utterances} utterances", f"at most {MAX_ROWS}"
        raise InputError.about("--method statistics", found, expected, "use --method head")
    return SPEEDS[1 : MAX_ROWS // n_utterances]


def prepare(condition: Condition, corpus: Corpus, settings: Settings) -> tuple[Data, Trainer]:
    """Returns the labels of a corpus, and the trainer that holds its pooled utterances."""
    n_utterances, speakers = len(corpus.utterances), None
    speeds: tuple[float, ...] = ()
    if condition.normalize_speakers:
        speakers = corpus.utterances["speaker"].to_numpy()
        pooling.check_speakers(speakers)
    if condition.copies:
        speeds = choose_speeds(n_utterances)
        if len(speeds) < len(SPEEDS) - 1:
            print(f"{n_utterances} utterances: {len(speeds)} copies of each in place of {len(SPEEDS) - 1}")
    versions = (represent(condition, corpus, settings, speed) for speed in (1.0, *speeds))
    recordings = [Recordings(data.features, data.utterance) for data in versions]
    return Data.of_utterances(corpus), make_trainer(recordings, speakers, condition.correlations)


def make_trainer(recordings: Sequence[Recordings], speakers: np.ndarray | None = None, correlations: bool = True) -> Trainer:
    """Returns a trainer of linear support vector machines on pooled utterances.

    Args:
        recordings: all utterances as recorded, then altered copies of all of them.
        speakers: of the utterances, to standardise each speaker's on their own; None leaves them as they are.
        correlations: use them beside the statistics.
    """

    def train(
        data: Data, task: str, splits: Sequence[Split], settings: Settings, run_number: int, search_folder: Path
    ) -> Outcome:
        from tqdm import tqdm

        scores, losses = [], {}
        for split in tqdm(splits, desc=f"run {run_number}, {task} support vector machines", unit="fold"):
            fold = _Fold(data, task, settings.class_weight, split, len(recordings))
            fold.compute_kernels(recordings, speakers, correlations)
            best = record_search(search_folder, split, task, fold.search)
            losses[split.fold] = float(best["loss"])
            scores.append(fold.score_test(str(best["blocks"]), best["C"]))
        return Outcome(scores, losses)

    return train


class _Fold:
    """Support vector machines of one fold, on kernels that are computed once for all inner folds, blocks and C."""

    def __init__(self, data: Data, task: str, class_weight: str | None, split: Split, n_versions: int) -> None:
        self.task, self.class_weight, self.split, self.n_versions = task, class_weight, split, n_versions
        self.targets, self.n_labels = data.targets(task), data.n_outputs(task)

    def compute_kernels(self, recordings: Sequence[Recordings], speakers: np.ndarray | None, correlations: bool) -> None:
        """Computes for each block the kernel among training rows, one per utterance and version, and that of the test."""
        self.kernels = {}
        for block in (1, 2, 3, 4):
            pooled = [[version.statistics[block] for version in recordings]]
            if correlations:
                components = pooling.fit_components(recordings[0], block, self.split.fitting)
                pooled.append([version.correlate(block, components) for version in recordings])
            kernels = [self._compute_kernels(versions, speakers) for versions in pooled]
            self.kernels[block] = tuple(sum(parts) / len(parts) for parts in zip(*kernels, strict=True))

    def _compute_kernels(self, versions: Sequence[np.ndarray], speakers: np.ndarray | None) -> tuple[np.ndarray, np.ndarray]:
        """Features are standardised with the statistics of the fold's training part, copies included."""
        if speakers is not None:
            versions = [pooling.normalize_speakers(features, speakers) for features in versions]
        training = np.concatenate([features[self.split.fitting] for features in versions])
        tested = np.mean([features[self.split.test] for features in versions], axis=0)
        rows = pooling.standardize(training, training)
        return pooling.linear_kernel(rows, rows), pooling.linear_kernel(pooling.standardize(tested, training), rows)

    def search(self) -> pd.DataFrame:
        """Returns one row per combination of blocks and C, with its mean loss over the inner folds."""
        rows = []
        for blocks in BLOCKS:
            kernel = self._add(blocks, 0)
            for penalty in PENALTIES:
                losses = []
                for inner in self.split.inner:
                    validated = kernel[self._rows(inner.validation)].reshape(self.n_versions, -1, len(kernel)).mean(axis=0)
                    scores = self._predict(kernel, inner.train, penalty, validated)
                    losses.append(1.0 - self._score(scores, inner.validation))
                rows.append({"trial": len(rows), "blocks": blocks, "C": penalty, "loss": np.mean(losses), "status": "ok"})
        return pd.DataFrame(rows)

    def score_test(self, blocks: str, penalty: float) -> np.ndarray:
        """Returns the scores of the test utterances, trained on the whole training part."""
        return self._predict(self._add(blocks, 0), self.split.fitting, penalty, self._add(blocks, 1))

    def _add(self, blocks: str, part: int) -> Any:
        return sum(self.kernels[block][part] for block in BLOCKS[blocks]) / len(BLOCKS[blocks])

    def _rows(self, utterances: np.ndarray) -> np.ndarray:
        """Returns the rows of some training utterances, one version after the other."""
        rows = np.searchsorted(self.split.fitting, utterances)
        return np.concatenate([rows + number * len(self.split.fitting) for number in range(self.n_versions)])

    def _predict(self, kernel: np.ndarray, train: np.ndarray, penalty: float, tested: np.ndarray) -> np.ndarray:
        """Returns scores, float32, shape (len(tested), n_outputs).

        Args:
            kernel: among all training rows.
            train: utterances to train on.
            tested: kernel of what is scored with all training rows, the mean over the versions.
        """
        from sklearn.svm import SVC, SVR

        rows = self._rows(train)
        kernel, tested = kernel[np.ix_(rows, rows)], tested[:, rows]
        targets = np.concatenate([self.targets[train]] * self.n_versions)
        if self.task == DIMENSIONAL:
            columns = [
                SVR(kernel="precomputed", C=penalty, epsilon=0.05).fit(kernel, targets[:, i]).predict(tested).clip(low, 1.0)
                for i, low in enumerate((0.0, -1.0))
            ]
            return np.stack(columns, axis=1).astype(np.float32)
        if len(np.unique(targets)) < 2:
            found, action = "one class only in an inner fold's training part", "give more utterances, or use --method head"
            raise InputError.about(self.split.title, found, "at least two", action)
        machine = SVC(kernel="precomputed", C=penalty, class_weight=self.class_weight).fit(kernel, targets)
        return score_classes(machine, tested, self.n_labels)

    def _score(self, scores: np.ndarray, utterances: np.ndarray) -> float:
        """Returns unweighted average recall, or the mean of both CCCs: what the heads are selected on, too."""
        targets = self.targets[utterances]
        if self.task == CATEGORICAL:
            return unweighted_average_recall(targets, scores.argmax(axis=1))
        return float(np.mean([concordance_correlation_coefficient(targets[:, i], scores[:, i]) for i in (0, 1)]))
