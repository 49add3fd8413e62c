"""A baseline beside the head on whole utterances: a linear support vector machine on the same statistics.

scikit-learn's StandardScaler and SVC read what the head reads (`began.utterance_encoder`), of every utterance and of its copies
at other speeds: those of training utterances are trained on, those of a test utterance are scored with it. Which statistics are
read, and C, is chosen on the inner folds, from all combinations; the scaler has seen the training part of the fold alone.

Speaker normalisation is an option that needs no label: before all else, the recordings of every speaker, at each speed, are
standardised with their own mean and deviation. It needs all recordings of the test speaker: it suits known speakers, and tables
name it.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial, reduce
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from began.arrays import read_rows
from began.errors import InputError, shorten
from classifiers.head_parameters import choose_statistics
from classifiers.metrics import CATEGORICAL, score_utterances
from classifiers.statistics_columns import BLOCK
from experiments.corpora.record import Corpus
from experiments.evaluation.baselines import score_classes
from experiments.evaluation.condition import Condition
from experiments.evaluation.data import Data, Outcome, Trainer, represent
from experiments.evaluation.options import Settings
from experiments.evaluation.searches import record_search
from experiments.evaluation.splits import Split

_READS = tuple(product(("all", "first"), ("components", "none")))
FAMILIES = tuple(
    {"statistics": statistics, "blocks": blocks, "correlations": correlations}
    for statistics, (blocks, correlations) in product(("spread", "spread_mean"), _READS)
)
"""What the inner folds choose from, as the search of a head does (`classifiers.spaces`, `choose_statistics`)."""

PENALTIES = (1.0, 3.0)
"""And values of C, for products that are averaged over the features. Larger ones change nothing, smaller ones were worse."""

MAX_ROWS = 10_000
"""Utterances and copies that are trained on, at most: a fold then takes about 5 GB."""


def prepare(condition: Condition, corpus: Corpus, settings: Settings) -> tuple[Data, Trainer]:
    """Returns the statistics of a corpus, and the trainer of support vector machines on them.

    Raises:
        InputError: more utterances than MAX_ROWS, or a speaker that cannot be normalised.
    """
    if (n_utterances := len(corpus.utterances)) > MAX_ROWS:
        found, expected = f"{n_utterances} utterances", f"at most {MAX_ROWS}"
        raise InputError.about("--method statistics", found, expected, "use --method utterance")
    if condition.normalize_speakers:
        names, counts = np.unique(corpus.utterances["speaker"], return_counts=True)
        if alone := list(map(str, names[counts == 1])):
            found = f"one utterance of {shorten(alone)}"
            action = "give more, or leave the option out"
            raise InputError.about("--normalize-speakers", found, "at least two of each speaker", action)
    data = represent(condition, corpus, settings)
    families = [family for family in FAMILIES if condition.correlations or family["correlations"] == "none"]
    return normalize_speakers(data) if condition.normalize_speakers else data, partial(train, families=families)


def normalize_speakers(data: Data) -> Data:
    """Returns data whose features are standardised with each speaker's own mean and deviation, those of every speed apart."""
    from sklearn.preprocessing import StandardScaler

    speakers, features = data.corpus.utterances["speaker"].to_numpy()[data.utterance], np.empty_like(data.features)
    for speaker, number in product(np.unique(speakers), np.unique(data.number)):
        rows = np.flatnonzero((speakers == speaker) & (data.number == number))
        own = data.features[rows].astype(np.float32)
        features[rows] = StandardScaler().fit_transform(own.reshape(len(own), -1)).reshape(own.shape)
    return replace(data, features=features)


def train(
    data: Data,
    task: str,
    splits: Sequence[Split],
    settings: Settings,
    run_number: int,
    search_folder: Path,
    families: Sequence[Mapping[str, str]] = FAMILIES,
) -> Outcome:
    """Searches the statistics and C of every fold on its inner folds, then trains on the whole training part."""
    from tqdm import tqdm

    scores, losses = [], {}
    for split in tqdm(splits, desc=f"run {run_number}, {task} support vector machines", unit="fold"):
        fold = _Fold(data, task, settings.class_weight, split)
        best = record_search(search_folder, split, task, list_grid(families), partial(fold.search, families))
        losses[split.fold] = float(best["loss"])
        scores.append(fold.score_test(best))
    return Outcome(scores, losses)


def list_grid(families: Sequence[Mapping[str, str]]) -> list[dict[str, Any]]:
    """Returns the parameters of every trial: each family of statistics with each C."""
    return [{**family, "C": penalty} for family, penalty in product(families, PENALTIES)]


class _Fold:
    """The machines of one fold. Kernels are computed once for all inner folds and values of C: a row has 19,200 features."""

    def __init__(self, data: Data, task: str, class_weight: str | None, split: Split) -> None:
        self.data, self.task, self.class_weight, self.split = data, task, class_weight, split
        self.targets = data.targets(task)
        # Of a large corpus, the first copies: as many as there is room for.
        n_copies = MAX_ROWS // len(split.fitting)
        self.rows = np.flatnonzero(np.isin(data.utterance, split.fitting) & (data.number < n_copies))

    def search(self, families: Sequence[Mapping[str, str]]) -> pd.DataFrame:
        """Returns one row per family of statistics and C, with the mean loss over the inner folds."""
        trials: list[dict[str, Any]] = []
        folds = [[np.isin(self.data.utterance[self.rows], part) for part in inner] for inner in self.split.inner]
        for family, kernel in zip(families, self._compute_kernels(families, self.rows), strict=True):
            for penalty in PENALTIES:
                losses = []
                for trained, validated in folds:
                    scores = self._predict(kernel[trained][:, trained], trained, penalty, kernel[validated][:, trained])
                    rows = self.rows[validated]
                    measured = score_utterances(self.task, scores, self.targets[rows], self.data.utterance[rows])
                    losses.append(1.0 - measured["score"])
                trials.append({"trial": len(trials), **family, "C": penalty, "loss": np.mean(losses), "status": "ok"})
        return pd.DataFrame(trials)

    def score_test(self, best: Mapping[Any, Any]) -> np.ndarray:
        """Returns the scores of the test utterances and their copies, trained on the whole training part."""
        (kernel,) = self._compute_kernels([best], np.concatenate([self.rows, self.data.scored_of(self.split.test)]))
        n_trained = len(self.rows)
        return self._predict(kernel[:n_trained], np.full(n_trained, True), best["C"], kernel[n_trained:])

    def _compute_kernels(self, families: Sequence[Mapping[Any, Any]], rows: np.ndarray) -> Iterator[np.ndarray]:
        """Yields for each family the mean products of standardised features, shape (len(rows), len(self.rows)).

        Args:
            rows: the training rows, and behind them any others.
        """
        names = self.data.statistics
        assert names is not None
        reads = np.array([np.isin(np.arange(len(names)), choose_statistics(dict(family), names)) for family in families])
        # Columns that the same families read are multiplied once.
        readers, group = np.unique(reads, axis=1, return_inverse=True)
        products = {i: self._multiply(rows, group.ravel() == i) for i in np.flatnonzero(readers.any(axis=0))}
        for is_read, columns in zip(readers, reads, strict=True):
            n_features = self.data.features[0, ..., columns].size
            yield reduce(np.add, (products[i] for i in np.flatnonzero(is_read))) / n_features

    def _multiply(self, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
        from sklearn.preprocessing import StandardScaler

        def read(some: np.ndarray) -> np.ndarray:
            return read_rows(self.data.features, some)[..., columns].reshape(len(some), -1).astype(np.float32)

        others, scaler = rows[len(self.rows) :], StandardScaler()
        trained = scaler.fit_transform(read(self.rows))
        blocks = [others[start : start + BLOCK] for start in range(0, len(others), BLOCK)]
        return np.concatenate([trained @ trained.T, *(scaler.transform(read(block)) @ trained.T for block in blocks)])

    def _predict(self, kernel: np.ndarray, trained: np.ndarray, penalty: float, tested: np.ndarray) -> np.ndarray:
        """Returns scores, float32, shape (len(tested), n_outputs), of a machine for some of the training rows."""
        from sklearn.svm import SVC, SVR

        targets = self.targets[self.rows[trained]]
        if self.task == CATEGORICAL:
            machine = SVC(kernel="precomputed", C=penalty, class_weight=self.class_weight).fit(kernel, targets)
            return score_classes(machine, tested, self.data.n_outputs(self.task))
        machines = [SVR(kernel="precomputed", C=penalty, epsilon=0.05).fit(kernel, target) for target in targets.T]
        columns = [machine.predict(tested).clip(low, 1.0) for machine, low in zip(machines, (0.0, -1.0), strict=True)]
        return np.stack(columns, axis=1).astype(np.float32)
