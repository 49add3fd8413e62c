"""What a frozen representation is compared with that needs no network: no learning, and hand-crafted features."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from classifiers.metrics import unweighted_average_recall
from experiments.corpora.record import Corpus
from experiments.evaluation.condition import Condition
from experiments.evaluation.data import Data, Outcome, Trainer
from experiments.evaluation.functionals import compute_functionals
from experiments.evaluation.options import Settings
from experiments.evaluation.searches import record_search
from experiments.evaluation.splits import Inner, Split

PENALTIES = (1e-4, 1e-3, 1e-2, 1e-1, 1.0)
"""Values of C that the inner folds choose from."""


def prepare(condition: Condition, corpus: Corpus, settings: Settings) -> tuple[Data, Trainer]:
    """Returns the data and the trainer of the method "majority", and of those with hand-crafted features."""
    if condition.method == "majority":
        return Data.of_utterances(corpus), predict_majority
    return compute_functionals(corpus, condition.front_end, condition.method), classify_functionals


def predict_majority(
    data: Data, task: str, splits: Sequence[Split], settings: Settings, run_number: int, search_folder: Path
) -> Outcome:
    """Predicts the most frequent class among the training utterances: what knowing nothing scores."""
    shares = [np.bincount(data.targets(task)[split.fitting], minlength=data.n_outputs(task)) for split in splits]
    scores = [np.tile(counts / counts.sum(), (len(split.test), 1)) for counts, split in zip(shares, splits, strict=True)]
    return Outcome([of_fold.astype(np.float32) for of_fold in scores])


def classify_functionals(
    data: Data, task: str, splits: Sequence[Split], settings: Settings, run_number: int, search_folder: Path
) -> Outcome:
    """Fits a linear support vector machine on functionals; its C has the best mean UAR on the inner folds."""
    targets = data.targets(task)

    def score(penalty: float, inner: Inner) -> float:
        model = make_classifier(penalty).fit(data.features[inner.train], targets[inner.train])
        return unweighted_average_recall(targets[inner.validation], model.predict(data.features[inner.validation]))

    def search(split: Split) -> pd.DataFrame:
        losses = [1.0 - np.mean([score(penalty, inner) for inner in split.inner]) for penalty in PENALTIES]
        return pd.DataFrame({"trial": range(len(losses)), "loss": losses, "status": "ok", "C": PENALTIES})

    grid = [{"C": penalty} for penalty in PENALTIES]
    scores, losses = [], {}
    for split in splits:
        best = record_search(search_folder, split, task, grid, partial(search, split))
        losses[split.fold] = float(best["loss"])
        model = make_classifier(best["C"]).fit(data.features[split.fitting], targets[split.fitting])
        scores.append(score_classes(model, data.features[split.test], data.n_outputs(task)))
    return Outcome(scores, losses)


def make_classifier(penalty: float) -> Any:
    """Returns a linear support vector machine with a C, behind a standardisation; not fitted."""
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler
    from sklearn.svm import SVC

    return make_pipeline(StandardScaler(), SVC(kernel="linear", C=penalty, break_ties=True))


def score_classes(model: Any, features: np.ndarray, n_classes: int) -> np.ndarray:
    """Returns the scores of a support vector machine, which sum to one: float32, shape (n, n_classes).

    They are ordered as its decisions are, so that the highest is what it predicts (where it breaks ties between classes by
    them: `break_ties`); they are not calibrated. Classes that it has not been trained on score 0.

    Args:
        model: of scikit-learn, fitted to class indices.
        features: what it predicts from, n rows.
    """
    from scipy.special import softmax

    decision = model.decision_function(features)
    if decision.ndim == 1:  # of two classes
        decision = np.stack([-decision, decision], axis=1)
    scores = np.zeros((len(features), n_classes), np.float32)
    scores[:, model.classes_] = softmax(decision, axis=1)
    return scores
