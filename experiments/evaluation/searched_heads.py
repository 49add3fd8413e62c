"""The paper's method: a searched convolutional head on what the frozen encoder gives (paper, section 2.2).

It reads one second at a time, or the statistics of a whole utterance; in both cases hyper-parameters are searched and heads are
trained in the same way.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from classifiers.metrics import CATEGORICAL
from experiments.corpora.record import Corpus
from experiments.evaluation.condition import Condition
from experiments.evaluation.data import Data, Outcome, Trainer, represent
from experiments.evaluation.options import Settings
from experiments.evaluation.searches import search_path
from experiments.evaluation.splits import Split, draw_seed

if TYPE_CHECKING:
    from classifiers.training import HeadJob


def prepare(condition: Condition, corpus: Corpus, settings: Settings) -> tuple[Data, Trainer]:
    """Returns the features that heads are trained on, and their trainer."""
    trainer = partial(
        search_and_train,
        search=condition.search,
        ensemble_size=condition.ensemble_size,
        given=condition.given if condition.method == "utterance" else {},
    )
    return represent(condition, corpus, settings), trainer


def search_and_train(
    data: Data,
    task: str,
    splits: Sequence[Split],
    settings: Settings,
    run_number: int,
    search_folder: Path,
    search: bool = True,
    ensemble_size: int = 1,
    given: Mapping[str, Any] = MappingProxyType({}),
) -> Outcome:
    """Searches the hyper-parameters of every fold on its inner folds, then trains its head on the whole training part.

    Runs that share a split share its search, which leaves alone the parameters that are given. Without a search, the others
    are the default ones; the inner folds choose the number of epochs of a head on one second, and nothing of one on whole
    utterances. With more than one seed, a head is the mean of as many.
    """
    from classifiers.head_parameters import resolve_parameters
    from classifiers.search import search_head

    job = head_job(data, task, settings)
    fixed = dict(given) if search else resolve_parameters(task, dict(given), job.kind)
    losses, jobs = {}, []
    for number, split in enumerate(splits):
        seed = draw_seed(settings.seed, run_number, number)
        rows, test_rows = data.chunks_of(split.fitting, augmented=True), data.scored_of(split.test)
        final = replace(job, seed=seed, rows=rows, test_rows=test_rows)
        if not search and data.statistics is not None:  # the number of steps is a parameter
            jobs.append(replace(final, parameters=fixed))
            continue
        folds = [
            replace(job, rows=data.chunks_of(inner.train, augmented=True), validation_rows=data.scored_of(inner.validation))
            for inner in split.inner
        ]
        result = search_head(
            folds,
            max_evals=settings.max_evals if search else 1,
            fixed=fixed,
            path=search_path(search_folder, split, task),
            workers=settings.workers,
            spark_master=settings.spark_master,
            progress=f"search, {split.fold}",
            labels={"fold": split.fold, "task": task},
        )
        losses[split.fold] = float(result.trials["loss"].min())
        jobs.append(replace(final, parameters=result.parameters, epochs=result.epochs))
    scores, histories = train_ensembles(jobs, ensemble_size, settings.workers, f"run {run_number}, {task} heads")
    history = [history.assign(fold=split.fold) for history, split in zip(histories, splits, strict=True)]
    return Outcome(scores, losses, pd.concat(history, ignore_index=True))


def list_members(job: HeadJob, ensemble_size: int) -> list[HeadJob]:
    """Returns a head to train, and the same with other seeds: what `classifiers.heads.merge_heads` makes one of."""
    seeds = [job.seed, *(draw_seed(job.seed, number) for number in range(1, ensemble_size))]
    return [replace(job, seed=seed) for seed in seeds]


def train_ensembles(
    jobs: Sequence[HeadJob], ensemble_size: int, workers: int, progress: str
) -> tuple[list[np.ndarray], list[pd.DataFrame]]:
    """Returns the test scores and the history of each head, or of each mean of heads of several seeds.

    The history of a mean has the mean losses of its members.
    """
    from classifiers.heads import merge_scores
    from classifiers.workers import train_heads

    trained = train_heads([member for job in jobs for member in list_members(job, ensemble_size)], workers, progress=progress)
    groups = [trained[start : start + ensemble_size] for start in range(0, len(trained), ensemble_size)]
    if ensemble_size == 1:
        return [head.scores for (head,) in groups], [head.history for (head,) in groups]
    scores = [merge_scores(jobs[0].task, np.stack([head.scores for head in group])) for group in groups]
    histories = [pd.concat([head.history for head in group]).groupby("epoch", as_index=False).mean() for group in groups]
    return scores, histories


def head_job(data: Data, task: str, settings: Settings) -> HeadJob:
    """Returns the `HeadJob` of all heads of a task, with default parameters: everything but rows."""
    from classifiers.training import HeadJob

    reads_seconds = data.statistics is None
    return HeadJob(
        features=data.features,
        targets=data.targets(task),
        utterance=data.utterance,
        task=task,
        parameters={},
        epochs=settings.epochs if reads_seconds else 1,  # else its parameters have the number of steps
        seed=settings.seed,
        n_outputs=data.n_outputs(task),
        rows=np.arange(0),
        aggregation=settings.pooling[task] if reads_seconds else "mean",
        class_weight=settings.class_weight if task == CATEGORICAL else None,
        statistics=data.statistics,
    )
