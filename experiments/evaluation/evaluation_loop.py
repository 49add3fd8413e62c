"""The one evaluation loop, for every method: split, train, test once, write; ten times (paper, sections 2.2 and 4)."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from began.errors import InputError, counted, printable
from began.files import lock_folder
from began.sound_hashes import SoundHashes
from classifiers.metrics import CATEGORICAL, CONCORDANCE, aggregate_chunks, evaluate_classification, evaluate_dimensions
from experiments.corpora.duplicates import describe_duplicates, read_sounds, refuse_changed
from experiments.corpora.record import POOLED, UNKNOWN_SPEAKER, Corpus
from experiments.evaluation.condition import Condition
from experiments.evaluation.data import Data, Outcome, Prepare, Trainer
from experiments.evaluation.final_model import write_final_models
from experiments.evaluation.methods import describe_run, prepare
from experiments.evaluation.options import Settings
from experiments.evaluation.predictions import list_predictions
from experiments.evaluation.protocols import make_splits
from experiments.evaluation.result_files import SEARCH
from experiments.evaluation.resuming import refuse_other_sounds, write_sounds
from experiments.evaluation.runs import RunFolder, find_runs, metrics_rows
from experiments.evaluation.searches import start_searches
from experiments.evaluation.splits import Split


def evaluate(conditions: Sequence[Condition], corpus: Corpus, settings: Settings) -> list[Path]:
    """Runs conditions as often as asked for, going on where an earlier call was stopped.

    Args:
        conditions: of one corpus.
        corpus: its sound files have been looked at; here they are read, unless they have been read before.
        settings: of the command line.
    Returns:
        The models for own recordings that the conditions leave behind (`experiments.evaluation.final_model`).
    Raises:
        InputError: a sound file that cannot be read; a split that cannot be made; a run folder that holds a run with other
            settings, or cannot be written.
    """
    hashes = SoundHashes(settings.cache_dir)
    corpus = read_sounds(corpus, hashes)
    if duplicates := describe_duplicates(corpus.utterances):
        print("\n".join(f"note: {line}" for line in duplicates))
        print(
            "note: duplicates stay on one side of every split; training recordings identical to a test recording are left out"
        )
    for condition in conditions:  # a split that cannot be made is refused before long work starts
        if not condition.chunk_split:
            for run in range(1, settings.runs + 1):
                make_splits(condition, corpus.utterances, settings.seed, run)
    models: list[Path] = []

    @lru_cache(maxsize=1)
    def prepare_once(condition: Condition) -> tuple[Data, Trainer]:
        prepared = prepare(condition, corpus, settings)
        refuse_changed(corpus, hashes)
        return prepared

    # Conditions that differ in these alone have their features in common.
    common: dict[str, Any] = {"name": "", "description": "", "protocol": "official", "folds": 0, "percent": 100}
    for condition in conditions:
        print(f"\n{condition.name}: {condition.description or condition.protocol_text}")
        models += _run_condition(condition, corpus, settings, hashes, partial(prepare_once, replace(condition, **common)))
    return models


def _run_condition(
    condition: Condition, corpus: Corpus, settings: Settings, hashes: SoundHashes, prepare_data: Prepare
) -> list[Path]:
    """Does the runs that are not complete; where all are, nothing is prepared, which may take long."""
    folder = settings.results_dir / condition.experiment / condition.name
    begun = [run.path for run in find_runs(settings.results_dir, condition.experiment, condition.name, complete=False)]
    for made_before in (*begun, folder / SEARCH):
        refuse_other_sounds(settings.results_dir, made_before, corpus)
    config = describe_run(condition, corpus, settings)
    if isinstance(n_shared := config.get("n_shared_speakers"), int):
        print(f"note: trained and tested on {counted(n_shared, 'speaker')}: of unknown ones, expect lower scores")
    n_unknown = list(corpus.utterances["speaker"]).count(UNKNOWN_SPEAKER)
    if n_unknown and condition.protocol == "k_fold":
        print(f"note: {counted(n_unknown, 'recording')} of unknown speakers: one may be trained and tested on, unnoticed")
    settings = replace(settings, class_weight=condition.class_weight or settings.class_weight)
    # No other tail leaves an utterance without a chunk.
    data = prepare_data()[0] if config.get("tail") == "drop" else Data.of_utterances(corpus)
    n_without = len(data.corpus.utterances) - len(np.unique(data.utterance))
    if n_without:
        print(f"shorter than a chunk and left out: {n_without} of {len(data.corpus.utterances)} utterances")
        config["n_without_chunks"] = n_without
        _require_chunks(condition, data, settings)
    numbers = range(1, settings.runs + 1)
    runs = [RunFolder(settings.results_dir, condition.experiment, condition.name, number) for number in numbers]
    if not all(run.is_complete for run in runs):
        print("preparing the features")
        prepare_data()  # before anything is written: an encoder that cannot be used leaves no run behind
    with lock_folder(folder):
        hashes.save()
        for run in runs:
            run.start(config)
            write_sounds(settings.results_dir, corpus)
            said = f"run {run.run} of {settings.runs}: "
            if run.is_complete:
                print(printable(f"{said}complete in {run.path}"))
                continue
            print(printable(f"{said}{run.path}"))
            start_searches(run.search_folder, config, condition.searched_as)
            metrics = _execute(condition, *prepare_data(), settings, run)
            print(f"{said}{summarise(metrics, condition)}")
        return write_final_models(condition, data, prepare_data, settings, config)


def _require_chunks(condition: Condition, data: Data, settings: Settings) -> None:
    """Refuses splits of which a part has no utterance with a chunk, before anything is trained."""
    with_chunks = np.unique(data.utterance)
    for run in range(1, settings.runs + 1):
        for split in make_splits(condition, data.corpus.utterances, settings.seed, run):
            parts = [part for inner in split.inner for part in (("training", inner.train), ("validation", inner.validation))]
            where = "" if split.fold == POOLED else f" of {split.title}"
            for name, utterances in (*parts, ("test", split.test)):
                if not np.isin(utterances, with_chunks).any():
                    found, expected = f"no utterance of a second or more in the {name} part{where}", "at least one"
                    raise InputError.about("--tail drop", found, expected, "use --tail overlap")


Scored = dict[str, tuple[np.ndarray, np.ndarray]]
"""Level -> rows of the corpus' table, one per chunk or utterance of the test part of a fold, and the scores of each."""


def _execute(condition: Condition, data: Data, train: Trainer, settings: Settings, run: RunFolder) -> pd.DataFrame:
    """Does one run and returns its metrics."""
    splits = make_splits(condition, data.corpus.utterances, settings.seed, run.run)
    outcomes = {task: train(data, task, splits, settings, run.run, run.search_folder) for task in condition.tasks}
    return finish_run(run, condition, data, splits, outcomes, settings)


def finish_run(
    run: RunFolder,
    condition: Condition,
    data: Data,
    splits: Sequence[Split],
    outcomes: Mapping[str, Outcome],
    settings: Settings,
) -> pd.DataFrame:
    """Writes what training gave, by task, and its metrics, which it returns."""
    histories = [outcome.history.assign(task=task) for task, outcome in outcomes.items() if outcome.history is not None]
    if histories:
        run.write_table("history", pd.concat(histories, ignore_index=True))
    tested = [
        {task: _score_levels(data, task, split, outcome.scores[number], settings) for task, outcome in outcomes.items()}
        for number, split in enumerate(splits)
    ]
    predictions = []
    for split, levels in zip(splits, tested, strict=True):
        of_utterances = {task: of_task["utterance"] for task, of_task in levels.items()}
        table = data.corpus.utterances.iloc[next(rows for rows, _ in of_utterances.values())]
        scores = {task: of_task for task, (_, of_task) in of_utterances.items()}
        predictions.append(list_predictions(table, split.fold, scores, data.corpus.labels))
    run.write_table("predictions", pd.concat(predictions, ignore_index=True))

    def rows(values: dict[str, float], fold: str, split: str, level: str) -> pd.DataFrame:
        return metrics_rows(values, run.experiment, run.condition, run.run, fold, split, level)

    folds = [(split.fold, [scores]) for split, scores in zip(splits, tested, strict=True) if split.fold != POOLED]
    folds.append((POOLED, tested))
    tables = [
        rows(_measure(scores, level, data, condition), fold, "test", level)
        for fold, scores in folds
        for level in condition.levels
    ]
    for task, outcome in outcomes.items():  # what the searches selected on: to be compared with the scores of the test part
        name = "unweighted_average_recall" if task == CATEGORICAL else "concordance_correlation_coefficient_mean"
        tables += [rows({name: 1.0 - loss}, fold, "validation", "utterance") for fold, loss in outcome.losses.items()]
    metrics = pd.concat(tables, ignore_index=True)
    run.finish(metrics)
    return metrics


def _score_levels(data: Data, task: str, split: Split, chunk_scores: np.ndarray, settings: Settings) -> Scored:
    scored = data.scored_of(split.test)
    rows = data.utterance[scored]
    if data.statistics is not None:
        is_recording = ~data.is_augmented[scored]
        utterance_scores = aggregate_chunks(chunk_scores, rows, "mean", task)
        return {"recording": (rows[is_recording], chunk_scores[is_recording]), "utterance": (np.unique(rows), utterance_scores)}
    utterance_scores = aggregate_chunks(chunk_scores, rows, settings.pooling[task], task)
    return {"chunk": (rows, chunk_scores), "utterance": (np.unique(rows), utterance_scores)}


def _measure(folds: Sequence[dict[str, Scored]], level: str, data: Data, condition: Condition) -> dict[str, float]:
    """Returns the metrics of some folds together, each given as task -> scores."""
    values: dict[str, float] = {}
    for task in condition.tasks:
        rows, scores = (np.concatenate(parts) for parts in zip(*(fold[task][level] for fold in folds), strict=True))
        table = data.corpus.utterances.iloc[rows]
        if task == CATEGORICAL:
            labels = np.array(data.corpus.labels)
            values |= evaluate_classification(table["label"], labels[scores.argmax(axis=1)], [*labels], scores)
        else:
            pairs = table["arousal"], scores[:, 0], table["valence"], scores[:, 1]
            values |= evaluate_dimensions(*pairs, table.get("video"))
    return values


def summarise(metrics: pd.DataFrame, condition: Condition) -> str:
    """Returns the pooled test scores of a run at the condition's main level, in words."""
    of_test = metrics[(metrics["fold"] == POOLED) & (metrics["level"] == condition.main_level) & (metrics["split"] == "test")]
    values = of_test.set_index("metric")["value"]
    shown = [name for name in ("accuracy", "unweighted_average_recall", *CONCORDANCE) if name in values]
    return ", ".join(f"{name.replace('_', ' ')} {values[name]:.3f}" for name in shown)
