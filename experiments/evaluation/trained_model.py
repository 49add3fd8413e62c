"""A trained model on a corpus that it has not seen: shared classes, what it says of each recording, and its scores."""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from began.errors import InputError, counted, printable
from classifiers.description import match_labels
from classifiers.metrics import (
    CATEGORICAL,
    DIMENSIONAL,
    evaluate_classification,
    evaluate_dimensions,
    expected_calibration_error,
)
from experiments.corpora.folders import refuse_problems
from experiments.corpora.record import POOLED, SHORT_HASH, UNKNOWN_SPEAKER, Corpus
from experiments.evaluation.condition import CORPUS_TITLES
from experiments.evaluation.predictions import OF_DIMENSIONS, list_predictions
from experiments.evaluation.runs import metrics_rows

if TYPE_CHECKING:
    from classifiers.predictor import Predictor

RESTRICTED = "restricted_"
"""How metrics begin where only the classes that both have could be answered."""


def match_classes(
    corpus: Corpus, labels: Sequence[str], renamed: Mapping[str, str]
) -> tuple[Corpus, Counter[str], dict[str, str]]:
    """Returns the recordings of a corpus whose classes a model has, under its names.

    Args:
        corpus: with labels.
        labels: classes of the model.
        renamed: label of the corpus -> class of the model. Other labels are matched whatever their case.
    Returns:
        The corpus; how many recordings have which other label; and the labels that are written in another case -> class.
    Raises:
        InputError: no labels, names of `renamed` that do not occur, or fewer than two classes in common.
    """
    if "label" not in corpus.utterances:
        expected = "one, for a model of emotion classes"
        raise InputError.about(corpus.name, "no column label", expected, "add it, or give a model of arousal and valence")
    table = corpus.utterances.dropna(subset="label")
    found = table["label"].astype(str)
    for what, names, known in (("label", set(renamed), set(found)), ("class", set(renamed.values()), set(labels))):
        if other := sorted(names - known):
            owner = "the corpus" if what == "label" else "the model"
            expected = f"a {what} of {owner}: {', '.join(sorted(known))}"
            raise InputError.about("--map", ", ".join(other), expected, "write --map CORPUS_LABEL=MODEL_CLASS")
    by_case = match_labels(set(found) - {*renamed}, labels)
    meant = {**by_case, **renamed}
    named = found.map(lambda label: meant.get(label, label))
    shared = tuple(label for label in labels if label in set(named))
    if len(shared) < 2:
        expected = f"at least two classes of the model: {', '.join(labels)}"
        action = "say which label is which class: --map CORPUS_LABEL=MODEL_CLASS"
        had = f"the labels {', '.join(sorted(set(named)))}" + " after --map" * bool(renamed)
        raise InputError.about(corpus.name, had, expected, action)
    is_known = named.isin(shared)
    matched = table.assign(label=named)[is_known].reset_index(drop=True)
    return replace(corpus, utterances=matched, labels=shared), Counter(found[~is_known]), by_case


def predict_corpus(predictor: Predictor, corpus: Corpus) -> list[pd.DataFrame]:
    """Returns what a model says of every recording, as predictions.csv has it: one row per utterance.

    Returns:
        One table; where a model has classes that the corpus lacks, a second one, of answers restricted to the shared classes.
    Raises:
        InputError: lists every file that cannot be used.
    """
    from tqdm import tqdm

    paths, predictors = list(corpus.utterances["path"]), [predictor]
    if predictor.is_categorical and set(predictor.columns) - set(corpus.labels):
        predictors.append(predictor.restrict(corpus.labels))
    problems: list[InputError] = []
    predictions = []
    for _, outcome in tqdm(predictor.predict_files(paths), total=len(paths), desc="predicting", unit="file", disable=None):
        if isinstance(outcome, InputError):
            problems.append(outcome)
        else:
            predictions.append(outcome)
    refuse_problems(f"{corpus.name}: sound files that cannot be used", list(map(str, problems)))
    table, task = corpus.utterances, CATEGORICAL if predictor.is_categorical else DIMENSIONAL
    scores = [np.stack([each.restrict_prediction(one).scores for one in predictions]) for each in predictors]
    return [list_predictions(table, table["speaker"], {task: of_answers}, predictor.columns) for of_answers in scores]


def measure(predictions: pd.DataFrame, task: str, labels: Sequence[str] = ()) -> dict[str, float]:
    """Returns the metrics of some rows of predictions, by name; those of classes with the expected calibration error."""
    if task == CATEGORICAL:
        target, scores = predictions["target"], predictions[list(labels)].to_numpy(float)
        values = evaluate_classification(target, predictions["prediction"], labels, scores)
        return values | {"expected_calibration_error": expected_calibration_error(target, labels, scores)}
    return evaluate_dimensions(*(predictions[name] for name in OF_DIMENSIONS))


def tabulate_metrics(
    tables: Sequence[pd.DataFrame], task: str, labels: Sequence[str], experiment: str, name: str
) -> pd.DataFrame:
    """Returns the metrics of all recordings and of each known speaker, tidy, of what `predict_corpus` returns."""
    found = []
    for prefix, predictions in zip(("", RESTRICTED), tables, strict=False):
        known = predictions[predictions["speaker"] != UNKNOWN_SPEAKER]
        parts = [(POOLED, predictions), *((str(speaker), part) for speaker, part in known.groupby("speaker"))]
        for fold, part in parts:
            values = {prefix + metric: value for metric, value in measure(part, task, labels).items()}
            found.append(metrics_rows(values, experiment, name, 1, fold, "test", "utterance"))
    return pd.concat(found, ignore_index=True)


def describe_warnings(
    corpus: Corpus, description: Mapping[str, Any], left_out: Mapping[str, int], split: str | None
) -> list[str]:
    """Returns what a reader must know beside the scores.

    Args:
        corpus, left_out: of `match_classes`.
        description: of the model, see `classifiers.description.read_description`.
        split: the part of the corpus that is scored; None: all of it.
    """
    lines, labels = [], description.get("labels", [])
    if left_out:
        counts = ", ".join(f"{label} {count}" for label, count in sorted(left_out.items()))
        hint = shlex.join(f"{label}=CLASS" for label in sorted(left_out))
        lines.append(
            f"{counted(sum(left_out.values()), 'utterance')} left out, for the model has no such class: {counts}. "
            f"Where one means a class of the model: --map {hint}"
        )
    if absent := [label for label in labels if label not in corpus.labels]:
        lines.append(f"the corpus has no {', '.join(absent)}: scored with all answers, and restricted to the shared classes")
    known = description.get("sounds")  # files of earlier versions do not tell, and a resampled copy has other hashes
    # Names of manifests say little.
    names = {CORPUS_TITLES.get(corpus.name), None if isinstance(known, list) else corpus.name} - {None}
    is_same = description.get("corpus") in names
    n_known = int(corpus.utterances["sound"].str[:SHORT_HASH].isin(known).sum()) if isinstance(known, list) else 0
    if n_known:
        lines.append(
            f"the model was trained on {n_known} of these {len(corpus.utterances)} recordings, whose scores are optimistic"
        )
    elif is_same and not (split == "test" and description.get("trained_on") == "training part"):
        lines.append(f"the model was trained on {description['corpus']}: scores on its own training data are optimistic")
    return [printable(line) for line in lines]
