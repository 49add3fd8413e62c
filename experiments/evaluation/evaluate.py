"""What all tables do with a corpus: search on validation, train, test once, write; ten times (paper, sections 2.2 and 4)."""

from __future__ import annotations

import argparse
import hashlib
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from began.files import lock_folder
from classifiers.metrics import CATEGORICAL, DIMENSIONAL
from experiments.corpora.record import Corpus
from experiments.evaluation.final_model import write_final_models
from experiments.evaluation.protocols import Split
from experiments.evaluation.runs import POOLED, RunFolder, metrics_rows, name_in_file


@dataclass(frozen=True)
class Data:
    """A corpus' labels beside its features.

    Attributes:
        corpus: labels, speakers and file names.
        features: float32, shape (n_chunks, *feature_shape).
        utterance: int64, shape (n_chunks,); row of the corpus' table that a chunk comes from.
        is_copy: bool, shape (n_chunks,): altered copies of chunks, for training alone; None: there are none.
    """

    corpus: Corpus
    features: np.ndarray
    utterance: np.ndarray
    is_copy: np.ndarray | None = None

    def targets(self, task: str) -> np.ndarray:
        """Returns every chunk's target: class index, shape (n_chunks,), or arousal and valence, (n_chunks, 2)."""
        table = self.corpus.utterances
        if task == CATEGORICAL:
            index = pd.Categorical(table["label"], categories=list(self.corpus.labels)).codes.astype(np.int64)
            return index[self.utterance]
        return table[["arousal", "valence"]].to_numpy(np.float32)[self.utterance]

    def chunks_of(self, utterances: np.ndarray, copies: bool = False) -> np.ndarray:
        """Returns the positions of some utterances' chunks, and of their copies where they are asked for."""
        chosen = np.isin(self.utterance, utterances)
        return np.flatnonzero(chosen if copies or self.is_copy is None else chosen & ~self.is_copy)

    def as_chunks(self) -> Data:
        """Returns the same data with every chunk as an utterance of its own: what a split of chunks works on."""
        table = self.corpus.utterances.iloc[self.utterance].reset_index(drop=True)
        number = pd.Series(self.utterance).groupby(self.utterance).cumcount().astype(str)
        table["utterance"] = table["utterance"] + "#" + number
        chunks = Corpus(self.corpus.name, table, self.corpus.labels)
        return Data(chunks, self.features, np.arange(len(self.utterance)))


@dataclass(frozen=True)
class Outcome:
    """What training on some folds gave.

    Attributes:
        scores: a fold's test chunks' scores each: float32, shape (n_chunks, n_outputs).
        trials: of the searches, a row a trial, with the columns `fold`, `task` and `loss`; empty without a search.
        history: a row an epoch, with the columns `fold` and `task`.
    """

    scores: list[np.ndarray]
    trials: pd.DataFrame
    history: pd.DataFrame


NO_TRIALS = pd.DataFrame({"fold": pd.Series(dtype=str), "task": pd.Series(dtype=str), "loss": pd.Series(dtype=float)})
"""The trials of an outcome without a search."""

Trainer = Callable[[Data, str, Sequence[Split], argparse.Namespace, int, Path], Outcome]
"""(data, task, splits, settings, number of the run, folder of the searches) -> outcome."""


@dataclass(frozen=True)
class Condition:
    """One row of a table: a named way of splitting, training and scoring.

    Attributes:
        experiment, name: of the results' folder.
        make_splits: run number -> folds.
        tasks: CATEGORICAL, DIMENSIONAL or both.
        levels: that are reported; "chunk" alone where chunks were split.
        train: how a fold is trained; None takes `search_and_train`.
        settings: names of the settings that, beside the seed, decide what `train` gives.
    """

    experiment: str
    name: str
    make_splits: Callable[[int], list[Split]]
    tasks: tuple[str, ...] = (CATEGORICAL,)
    levels: tuple[str, ...] = ("chunk", "utterance")
    train: Trainer | None = None
    settings: tuple[str, ...] = ("max_evals", "epochs", "search", "pooling", "class_weight")


def evaluate(data: Data, condition: Condition, settings: argparse.Namespace, config: dict[str, Any]) -> Path:
    """Runs a condition as often as asked for, going on where an earlier call was stopped; returns its folder.

    Args:
        data: features and labels.
        condition: what to run.
        settings: of `experiments.evaluation.options.add_table_arguments`.
        config: what else the run folder should say: corpus, encoder, protocol.
    Raises:
        InputError: a run folder holds a run with other settings, or cannot be written.
    """
    folder = Path(settings.results_dir) / condition.experiment / condition.name
    config = {**config, "utterances_sha256": data.corpus.sha256}
    if without_chunks := len(data.corpus.utterances) - len(np.unique(data.utterance)):
        print(f"{without_chunks} of {len(data.corpus.utterances)} utterances are shorter than a chunk and left out")
        config["n_without_chunks"] = without_chunks
    if (backend := os.environ.get("KERAS_BACKEND", "tensorflow")) != "tensorflow":
        config = {**config, "backend": backend}  # tables say where runs of a condition differ in it
    with lock_folder(folder):
        for number in range(1, settings.runs + 1):
            run = RunFolder(settings.results_dir, condition.experiment, condition.name, number)
            # Neither the number of runs nor of processes changes what a run computes.
            run.start(
                {
                    **config,
                    **{name: getattr(settings, name) for name in condition.settings},
                    "seed": settings.seed,
                    "synthetic": data.corpus.synthetic,
                }
            )
            if run.is_complete:
                print(f"run {number} of {settings.runs}: complete in {run.path}")
                continue
            print(f"run {number} of {settings.runs}: {run.path}")
            scores = _execute(data, condition, settings, run, folder / "search")
            print(f"run {number} of {settings.runs}: {_summarise(scores, condition)}")
        write_final_models(data, condition, settings, config)
    return folder


def _execute(
    data: Data, condition: Condition, settings: argparse.Namespace, run: RunFolder, search_folder: Path
) -> pd.DataFrame:
    splits = condition.make_splits(run.run)
    train = condition.train or search_and_train
    outcomes = {task: train(data, task, splits, settings, run.run, search_folder) for task in condition.tasks}
    run.write_table("trials", pd.concat([outcome.trials for outcome in outcomes.values()], ignore_index=True))
    run.write_table("history", pd.concat([outcome.history for outcome in outcomes.values()], ignore_index=True))
    predictions, rows = [], []
    for fold_number, split in enumerate(splits):
        scores = {
            task: _Scores(data, task, split, outcome.scores[fold_number], settings.pooling[task])
            for task, outcome in outcomes.items()
        }
        predictions.append(scores)
        if split.fold != POOLED:
            rows.append(_measure([scores], data, condition, run, split.fold))
    rows.append(_measure(predictions, data, condition, run, POOLED))
    rows += _validation_rows(outcomes, run)
    run.write_table("predictions", pd.concat([_list_predictions(scores, data) for scores in predictions], ignore_index=True))
    metrics = pd.concat(rows, ignore_index=True)
    run.finish(metrics)
    return metrics


def search_and_train(
    data: Data, task: str, splits: Sequence[Split], settings: argparse.Namespace, run_number: int, search_folder: Path
) -> Outcome:
    """Searches every fold's hyper-parameters on its inner folds, then trains its head on the whole training part.

    Runs that share a split share its search. With settings.search "fixed" nothing is searched: the default parameters are
    used, and the inner folds give the number of epochs alone.
    """
    from classifiers.heads import DEFAULT_PARAMETERS
    from classifiers.search import search_head
    from classifiers.training import HeadJob
    from classifiers.workers import train_heads

    fixed = settings.search == "fixed"
    targets = data.targets(task)
    common = {
        "features": data.features,
        "targets": targets,
        "utterance": data.utterance,
        "task": task,
        "n_outputs": len(data.corpus.labels) if task == CATEGORICAL else 2,
        "aggregation": settings.pooling[task],
        "class_weight": settings.class_weight if task == CATEGORICAL else None,
    }
    found, trials = [], []
    for split in splits:
        if found and settings.search == "once":
            found.append(found[0])
            continue
        name = f"{name_in_file(split.fold)}-{task}-{_fingerprint(split)}"
        inner_jobs = [
            HeadJob(
                **common,
                parameters={},
                epochs=settings.epochs,
                seed=settings.seed,
                rows=data.chunks_of(inner.train, copies=True),
                validation_rows=data.chunks_of(inner.validation),
            )
            for inner in split.inner
        ]
        result = search_head(
            inner_jobs,
            max_evals=1 if fixed else settings.max_evals,
            fixed=DEFAULT_PARAMETERS[task] if fixed else None,
            path=search_folder / f"{name}.csv",
            workers=settings.workers,
            spark_master=settings.spark_master,
            progress=f"search, fold {split.fold}",
            labels={"fold": split.fold, "task": task},
        )
        found.append(result)
        trials.append(result.trials)
    jobs = [
        HeadJob(
            **common,
            parameters=result.parameters,
            epochs=result.epochs,
            seed=int(np.random.default_rng([settings.seed, run_number, number]).integers(2**31)),
            rows=data.chunks_of(split.fitting, copies=True),
            test_rows=data.chunks_of(split.test),
        )
        for number, (split, result) in enumerate(zip(splits, found, strict=True))
    ]
    heads = train_heads(jobs, settings.workers, progress=f"run {run_number}, {task} heads")
    scores = [head.scores for head in heads]
    history = pd.concat(
        [head.history.assign(fold=split.fold, task=task) for head, split in zip(heads, splits, strict=True)], ignore_index=True
    )
    return Outcome(scores, pd.concat(trials, ignore_index=True), history)


def _fingerprint(split: Split) -> str:
    """What a search depends on: runs whose inner folds agree share it."""
    parts = b"/".join(part.tobytes() for inner in split.inner for part in inner)
    return hashlib.sha256(parts).hexdigest()[:8]


class _Scores:
    """One head's scores on its fold's test part: of chunks, and of utterances."""

    def __init__(self, data: Data, task: str, split: Split, chunk_scores: np.ndarray, pooling: str) -> None:
        from classifiers.metrics import aggregate_chunks

        self.fold, self.task = split.fold, task
        self.rows = {"chunk": data.utterance[data.chunks_of(split.test)]}
        self.rows["utterance"] = np.unique(self.rows["chunk"])
        self.scores = {"chunk": chunk_scores, "utterance": aggregate_chunks(chunk_scores, self.rows["chunk"], pooling, task)}


def _measure(folds: Sequence[dict[str, _Scores]], data: Data, condition: Condition, run: RunFolder, fold: str) -> pd.DataFrame:
    """Returns the test metrics of some folds together."""
    from classifiers.metrics import evaluate_classification, evaluate_dimensions

    table, labels = data.corpus.utterances, np.array(data.corpus.labels)
    rows = []
    for level in condition.levels:
        values: dict[str, float] = {}
        for task in condition.tasks:
            utterances = table.iloc[np.concatenate([scores[task].rows[level] for scores in folds])]
            predicted = np.concatenate([scores[task].scores[level] for scores in folds])
            if task == CATEGORICAL:
                values |= evaluate_classification(
                    utterances["label"].to_numpy(), labels[predicted.argmax(axis=1)], labels, predicted
                )
            else:
                values |= evaluate_dimensions(
                    utterances["arousal"].to_numpy(),
                    predicted[:, 0],
                    utterances["valence"].to_numpy(),
                    predicted[:, 1],
                    utterances["video"].to_numpy() if "video" in utterances else None,
                )
        rows.append(metrics_rows(values, run.experiment, run.condition, run.run, fold, "test", level))
    return pd.concat(rows, ignore_index=True)


def _validation_rows(outcomes: dict[str, Outcome], run: RunFolder) -> list[pd.DataFrame]:
    """Returns the scores that the searches selected on: what an honest reader holds against the test's."""
    names = {CATEGORICAL: "unweighted_average_recall", DIMENSIONAL: "concordance_correlation_coefficient_mean"}
    rows = []
    for task, outcome in outcomes.items():
        for fold, of_fold in outcome.trials.groupby("fold"):
            rows.append(
                metrics_rows(
                    {names[task]: 1.0 - of_fold["loss"].min()},
                    run.experiment,
                    run.condition,
                    run.run,
                    str(fold),
                    "validation",
                    "utterance",
                )
            )
    return rows


def _list_predictions(scores: dict[str, _Scores], data: Data) -> pd.DataFrame:
    """Returns a row an utterance: who, what it is, what was predicted, and how sure."""
    first = next(iter(scores.values()))
    utterances = data.corpus.utterances.iloc[first.rows["utterance"]]
    listed = utterances[["utterance", "speaker"]].assign(fold=first.fold)
    if CATEGORICAL in scores:
        probabilities = scores[CATEGORICAL].scores["utterance"]
        labels = np.array(data.corpus.labels)
        listed = listed.assign(
            target=utterances["label"],
            prediction=labels[probabilities.argmax(axis=1)],
            **dict(zip(labels, probabilities.T, strict=True)),
        )
    if DIMENSIONAL in scores:
        predicted = scores[DIMENSIONAL].scores["utterance"]
        for column, name in enumerate(("arousal", "valence")):
            listed = listed.assign(**{f"{name}_target": utterances[name], f"{name}_prediction": predicted[:, column]})
    return listed


def _summarise(metrics: pd.DataFrame, condition: Condition) -> str:
    shown = [
        "accuracy",
        "unweighted_average_recall",
        "concordance_correlation_coefficient_arousal",
        "concordance_correlation_coefficient_valence",
    ]
    pooled = metrics[(metrics["fold"] == POOLED) & (metrics["level"] == condition.levels[-1]) & (metrics["split"] == "test")]
    values = pooled.set_index("metric")["value"]
    return ", ".join(f"{name.replace('_', ' ')} {values[name]:.3f}" for name in shown if name in values)
