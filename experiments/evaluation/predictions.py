"""The columns of predictions.csv: one row per utterance of the test part, and the scores of all of its classes."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from classifiers.metrics import CATEGORICAL, DIMENSIONS
from experiments.corpora.record import RESERVED_LABELS

KEYS = ("utterance", "speaker", "fold")
CLASSES = ("target", "prediction")
OF_DIMENSIONS = tuple(f"{name}_{kind}" for name in DIMENSIONS for kind in CLASSES)


def class_columns(predictions: pd.DataFrame) -> list[str]:
    """Returns the columns that hold the scores of a class."""
    return [name for name in predictions if name not in RESERVED_LABELS]


def list_predictions(
    table: pd.DataFrame, fold: str | pd.Series, scores: Mapping[str, np.ndarray], labels: Sequence[str]
) -> pd.DataFrame:
    """Returns the targets of utterances, what was predicted, and how probable each class is.

    Args:
        table: their rows of the corpus' table.
        fold: of all of them, or of each.
        scores: task -> scores of each utterance, shape (n_utterances, n_outputs).
        labels: classes, in the order of the scores.
    """
    listed = table[["utterance", "speaker"]].assign(fold=fold)
    for task, of_task in scores.items():
        if task == CATEGORICAL:
            listed = listed.assign(target=table["label"], prediction=np.array(labels)[of_task.argmax(axis=1)])
            listed = pd.concat([listed, pd.DataFrame(of_task.round(6), index=listed.index, columns=labels)], axis=1)
        else:
            for column, name in enumerate(DIMENSIONS):
                pair = {f"{name}_target": table[name], f"{name}_prediction": of_task[:, column].round(6)}
                listed = listed.assign(**pair)
    return listed
