"""The paper's method: a searched convolutional head on what the frozen encoder gives (paper, section 2.2).

It reads one second at a time, or the statistics of a whole utterance; in both cases hyper-parameters are searched and heads are
trained in the same way.
"""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd

from classifiers.metrics import CATEGORICAL
from experiments.corpora.record import Corpus
from experiments.evaluation.conditions import Condition
from experiments.evaluation.data import Data, Outcome, Trainer, represent
from experiments.evaluation.options import Settings
from experiments.evaluation.protocols import Split
from experiments.evaluation.runs import search_path


def prepare(condition: Condition, corpus: Corpus, settings: Settings) -> tuple[Data, Trainer]:
    """Returns the features that heads are trained on, and their trainer."""
    return represent(condition, corpus, settings), search_and_train if condition.search else train_default


def search_and_train(
    data: Data,
    task: str,
    splits: Sequence[Split],
    settings: Settings,
    run_number: int,
    search_folder: Path,
    search: bool = True,
) -> Outcome:
    """Searches the hyper-parameters of every fold on its inner folds, then trains its head on the whole training part.

    Runs that share a split share its search. Without a search, the parameters are the default ones, and the inner folds give
    the number of epochs alone.
    """
    from classifiers.heads import resolve_parameters
    from classifiers.search import search_head
    from classifiers.workers import train_heads

    job = head_job(data, task, settings)
    losses, jobs = {}, []
    for number, split in enumerate(splits):
        folds = [
            replace(job, rows=data.chunks_of(inner.train, copies=True), validation_rows=data.scored_of(inner.validation))
            for inner in split.inner
        ]
        result = search_head(
            folds,
            max_evals=settings.max_evals if search else 1,
            fixed=None if search else resolve_parameters(task, kind=job.kind),
            path=search_path(search_folder, split, task),
            workers=settings.workers,
            spark_master=settings.spark_master,
            progress=f"search, {split.fold}",
            labels={"fold": split.fold, "task": task},
        )
        losses[split.fold] = float(result.trials["loss"].min())
        seed = draw_seed(settings.seed, run_number, number)
        rows, test_rows = data.chunks_of(split.fitting, copies=True), data.scored_of(split.test)
        best = {"parameters": result.parameters, "epochs": result.epochs}
        jobs.append(replace(job, **best, seed=seed, rows=rows, test_rows=test_rows))
    trained = train_heads(jobs, settings.workers, progress=f"run {run_number}, {task} heads")
    history = [head.history.assign(fold=split.fold) for head, split in zip(trained, splits, strict=True)]
    return Outcome([head.scores for head in trained], losses, pd.concat(history, ignore_index=True))


train_default = partial(search_and_train, search=False)
"""The same with the default parameters."""


def draw_seed(seed: int, run: int, fold: int) -> int:
    """Returns the seed of the head of a run and a fold, both by their number."""
    return int(np.random.default_rng([seed, run, fold]).integers(2**31))


def head_job(data: Data, task: str, settings: Settings):
    """Returns the `HeadJob` of all heads of a task: everything but rows and parameters."""
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
