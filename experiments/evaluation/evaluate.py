"""The one evaluation loop, for every method: split, train, test once, write; ten times (paper, sections 2.2 and 4)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd

from began.files import lock_folder
from classifiers.metrics import CATEGORICAL, aggregate_chunks, evaluate_classification, evaluate_dimensions
from experiments.corpora.record import Corpus
from experiments.evaluation.conditions import Condition
from experiments.evaluation.data import Data, Outcome, Trainer
from experiments.evaluation.final_model import write_final_models
from experiments.evaluation.methods import describe_run, prepare
from experiments.evaluation.options import Settings
from experiments.evaluation.protocols import Split, make_splits
from experiments.evaluation.runs import POOLED, RunFolder, metrics_rows


def evaluate(conditions: Sequence[Condition], corpus: Corpus, settings: Settings) -> list[Path]:
    """Runs conditions as often as asked for, going on where an earlier call was stopped.

    Args:
        conditions: of one corpus.
        corpus: its audio has been checked.
        settings: of the command line.
    Returns:
        The models for own recordings that the conditions leave behind (`experiments.evaluation.final_model`).
    Raises:
        InputError: a split that cannot be made; a run folder that holds a run with other settings, or cannot be written.
    """
    for condition in conditions:  # a split that cannot be made is refused before long work starts
        if not condition.chunk_split:
            make_splits(condition, corpus.utterances, settings.seed, run=1)
    models: list[Path] = []
    prepared: tuple[Condition, Data, Trainer] | None = None
    for condition in conditions:
        print(f"\n{condition.name}: {condition.description or condition.protocol_text}")
        needs = replace(condition, name="", description="", protocol="official", folds=0, percent=100, chunk_split=False)
        if prepared is None or prepared[0] != needs:  # shares of the labels, and protocols, share their features
            prepared = (needs, *prepare(condition, corpus, settings))
        _, data, train = prepared
        models += _run_condition(condition, data.as_chunks() if condition.chunk_split else data, train, corpus, settings)
    return models


def _run_condition(condition: Condition, data: Data, train: Trainer, corpus: Corpus, settings: Settings) -> list[Path]:
    config = describe_run(condition, corpus, settings)
    settings = replace(settings, class_weight=condition.class_weight or settings.class_weight)
    n_without = len(data.corpus.utterances) - len(np.unique(data.utterance))
    if n_without:
        print(f"{n_without} of {len(data.corpus.utterances)} utterances are shorter than a chunk and left out")
        config["n_without_chunks"] = n_without
    folder = settings.results_dir / condition.experiment / condition.name
    with lock_folder(folder):
        for number in range(1, settings.runs + 1):
            run = RunFolder(settings.results_dir, condition.experiment, condition.name, number)
            run.start(config)
            said = f"run {number} of {settings.runs}: "
            if run.is_complete:
                print(f"{said}complete in {run.path}")
                continue
            print(f"{said}{run.path}")
            metrics = _execute(condition, data, train, settings, run, folder / "search")
            print(f"{said}{_summarise(metrics, condition)}")
        return write_final_models(condition, data, settings, config)


def _execute(
    condition: Condition, data: Data, train: Trainer, settings: Settings, run: RunFolder, search_folder: Path
) -> pd.DataFrame:
    """Does one run and returns its metrics."""
    splits = make_splits(condition, data.corpus.utterances, settings.seed, run.run)
    outcomes = {task: train(data, task, splits, settings, run.run, search_folder) for task in condition.tasks}
    histories = [outcome.history.assign(task=task) for task, outcome in outcomes.items()]
    run.write_table("history", pd.concat(histories, ignore_index=True))
    tested = [
        {task: _FoldScores(data, task, split, outcome.scores[number], settings) for task, outcome in outcomes.items()}
        for number, split in enumerate(splits)
    ]
    rows = [
        _measure([scores], data, condition, run, split.fold)
        for split, scores in zip(splits, tested, strict=True)
        if split.fold != POOLED
    ]
    rows.append(_measure(tested, data, condition, run, POOLED))
    rows += _validation_rows(outcomes, run)
    run.write_table("predictions", pd.concat([_list_predictions(scores, data) for scores in tested], ignore_index=True))
    metrics = pd.concat(rows, ignore_index=True)
    run.finish(metrics)
    return metrics


class _FoldScores:
    """The scores of one task on the test part of one fold: of chunks, and of utterances."""

    def __init__(self, data: Data, task: str, split: Split, chunk_scores: np.ndarray, settings: Settings) -> None:
        self.fold = split.fold
        self.rows = {"chunk": data.utterance[data.chunks_of(split.test)]}
        self.rows["utterance"] = np.unique(self.rows["chunk"])
        utterance_scores = aggregate_chunks(chunk_scores, self.rows["chunk"], settings.pooling[task], task)
        self.scores = {"chunk": chunk_scores, "utterance": utterance_scores}


def _measure(
    folds: Sequence[dict[str, _FoldScores]], data: Data, condition: Condition, run: RunFolder, fold: str
) -> pd.DataFrame:
    """Returns the test metrics of some folds together."""
    table, labels = data.corpus.utterances, np.array(data.corpus.labels)
    rows = []
    for level in condition.levels:
        values: dict[str, float] = {}
        for task in condition.tasks:
            utterances = table.iloc[np.concatenate([scores[task].rows[level] for scores in folds])]
            predicted = np.concatenate([scores[task].scores[level] for scores in folds])
            if task == CATEGORICAL:
                target, prediction = utterances["label"].to_numpy(), labels[predicted.argmax(axis=1)]
                values |= evaluate_classification(target, prediction, labels, predicted)
            else:
                arousal, valence = utterances["arousal"].to_numpy(), utterances["valence"].to_numpy()
                videos = utterances["video"].to_numpy() if "video" in utterances else None
                values |= evaluate_dimensions(arousal, predicted[:, 0], valence, predicted[:, 1], videos)
        rows.append(metrics_rows(values, run.experiment, run.condition, run.run, fold, "test", level))
    return pd.concat(rows, ignore_index=True)


def _validation_rows(outcomes: dict[str, Outcome], run: RunFolder) -> list[pd.DataFrame]:
    """Returns the scores that the searches selected on: what an honest reader compares with those of the test."""
    rows = []
    for task, outcome in outcomes.items():
        name = "unweighted_average_recall" if task == CATEGORICAL else "concordance_correlation_coefficient_mean"
        for fold, loss in outcome.losses.items():
            row = {name: 1.0 - loss}
            rows.append(metrics_rows(row, run.experiment, run.condition, run.run, fold, "validation", "utterance"))
    return rows


def _list_predictions(scores: dict[str, _FoldScores], data: Data) -> pd.DataFrame:
    """Returns one row per utterance: its targets, what was predicted, and how probable each class is."""
    first = next(iter(scores.values()))
    utterances = data.corpus.utterances.iloc[first.rows["utterance"]]
    listed = utterances[["utterance", "speaker"]].assign(fold=first.fold)
    for task, of_task in scores.items():
        predicted = of_task.scores["utterance"]
        if task == CATEGORICAL:
            labels = np.array(data.corpus.labels)
            listed = listed.assign(target=utterances["label"], prediction=labels[predicted.argmax(axis=1)])
            listed = listed.assign(**dict(zip(labels, predicted.T.round(6), strict=True)))
        else:
            for column, name in enumerate(("arousal", "valence")):
                pair = {f"{name}_target": utterances[name], f"{name}_prediction": predicted[:, column].round(6)}
                listed = listed.assign(**pair)
    return listed


def _summarise(metrics: pd.DataFrame, condition: Condition) -> str:
    shown = ("accuracy", "unweighted_average_recall", "concordance_correlation_coefficient_arousal",
             "concordance_correlation_coefficient_valence")  # fmt: skip
    of_test = metrics[(metrics["fold"] == POOLED) & (metrics["level"] == condition.main_level) & (metrics["split"] == "test")]
    values = of_test.set_index("metric")["value"]
    return ", ".join(f"{name.replace('_', ' ')} {values[name]:.3f}" for name in shown if name in values)
