"""Search of a head's hyper-parameters with Hyperas and hyperopt's TPE. The only file that knows Hyperas.

The spaces are functions in Hyperas' template language (`categorical_space`, `dimensional_space`), turned into
hyperopt spaces by Hyperas' own template compiler. Hyperas' driver is left out: it writes `temp_model.py` into the
working directory, where searches side by side run one another's model, and hands hyperopt a random state that it no
longer takes. The compiled source is executed in memory instead, as a module named by its hash, and `hyperopt.fmin` is
called directly.

The same seed gives the same trials, for one process or several, undisturbed or killed and started again: trials are
suggested in groups of `TOGETHER` whatever the number of workers, and a search that finds its trials file asks TPE for
the same suggestions and takes the losses of those already there from the file.
"""

# No `from __future__` import here: Hyperas' compiler copies this file's imports to the middle of its output.
# Templates must not hold braces, hence calls of dict.
# ruff: noqa: C408
import contextlib
import dataclasses
import functools
import hashlib
import importlib.util
import inspect
import os
import sys
import tempfile
import types
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import BrokenExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from began.errors import InputError
from classifiers.heads import resolve_parameters
from classifiers.training import HeadJob, selection_scores, train_job
from classifiers.trials import TrialTable, hash_search
from classifiers.workers import head_workers, store_array

# Trials suggested before the first of them is known, whatever the number of processes.
TOGETHER = 4

# Random trials before TPE starts to model. Hyperopt waits for 20, which would make 20 evaluations a random search.
RANDOM_TRIALS = 8


# fmt: off
# Rules of the template language: a name before each template, no two templates alike, no braces inside one,
# and in the function no comment, f-string or import over several lines.
# The map is averaged before the first convolution for speed.
def categorical_space():
    from hyperas.distributions import choice, loguniform, uniform

    n_convolutions = {{choice([1, 2, 3])}}
    filters = {{choice([16, 32, 48])}}
    kernel_frequency = {{choice([3, 5])}}
    kernel_time = {{choice([1, 3])}}
    resolution = {{choice([
        dict(input_pool_frequency=2, stride_frequency=2),
        dict(input_pool_frequency=4, stride_frequency=2),
        dict(input_pool_frequency=8, stride_frequency=1)])}}
    pooling = {{choice(["global_mean_max", "mean_max_time", "mean_time"])}}
    input_dropout = {{choice([0.0, 0.1])}}
    dropout = {{uniform(0.2, 0.6)}}
    weight_decay = {{choice([0.0, 0.03])}}
    dense = {{choice([
        dict(dense_units=0),
        dict(dense_units=choice("dense_units", [32, 64, 128]), dense_dropout=uniform("dense_dropout", 0.0, 0.5))])}}
    optimizer = {{choice([
        dict(optimizer="adam", learning_rate=loguniform("adam_learning_rate", -8.0, -6.0)),
        dict(optimizer="rmsprop", learning_rate=loguniform("rmsprop_learning_rate", -8.5, -6.5)),
        dict(optimizer="sgd", learning_rate=loguniform("sgd_learning_rate", -6.5, -4.0),
             momentum=uniform("sgd_momentum", 0.5, 0.95))])}}
    batch_size = {{choice([32, 64])}}
    return dict(n_convolutions=n_convolutions, filters=filters, kernel_frequency=kernel_frequency,
                kernel_time=kernel_time, pooling=pooling, input_dropout=input_dropout, dropout=dropout,
                weight_decay=weight_decay, batch_size=batch_size, **resolution, **dense, **optimizer)


def dimensional_space():
    from hyperas.distributions import choice, loguniform, uniform

    n_convolutions = {{choice([1, 2, 3])}}
    filters = {{choice([16, 32, 48])}}
    kernel_frequency = {{choice([3, 5])}}
    kernel_time = {{choice([1, 3])}}
    resolution = {{choice([
        dict(input_pool_frequency=4, stride_frequency=2),
        dict(input_pool_frequency=8, stride_frequency=1)])}}
    pooling = {{choice(["global_mean_max", "mean_max_time", "mean_time"])}}
    dropout = {{uniform(0.1, 0.6)}}
    loss_function = {{choice(["mae", "mse", "ccc"])}}
    dense = {{choice([
        dict(dense_units=0),
        dict(dense_units=choice("dense_units", [32, 64, 128]), dense_dropout=uniform("dense_dropout", 0.0, 0.5))])}}
    optimizer = {{choice([
        dict(optimizer="adam", learning_rate=loguniform("adam_learning_rate", -9.0, -6.5)),
        dict(optimizer="sgd", learning_rate=loguniform("sgd_learning_rate", -7.5, -4.5),
             momentum=uniform("sgd_momentum", 0.5, 0.95))])}}
    batch_size = {{choice([64, 128])}}
    return dict(n_convolutions=n_convolutions, filters=filters, kernel_frequency=kernel_frequency,
                kernel_time=kernel_time, pooling=pooling, dropout=dropout, loss_function=loss_function,
                batch_size=batch_size, **resolution, **dense, **optimizer)


# fmt: on


def no_data():
    return None


SPACES = {"categorical": categorical_space, "dimensional": dimensional_space}


@functools.cache
def compile_space(task: str) -> types.ModuleType:
    """A space as Hyperas compiles it: `get_space()` is hyperopt's space, `keras_fmin_fnct(point)` a point's parameters.

    The module's name holds the hash of its source; the source stays in memory.
    """
    import keras

    had_reader = hasattr(keras.models, "model_from_yaml")
    if not had_reader:
        keras.models.model_from_yaml = None  # Hyperas imports it and needs it only for voting ensembles
    search_path = list(sys.path)
    try:
        from hyperas import optim
    finally:
        sys.path[:] = search_path  # Hyperas appends the working directory, from which nothing should be imported
        if not had_reader:
            del keras.models.model_from_yaml
    source = optim.get_hyperopt_model_string(SPACES[task], no_data, None, None, False, 1)
    module = types.ModuleType(f"hyperas_space_{hashlib.sha256(source.encode()).hexdigest()[:16]}")
    exec(compile(source, module.__name__, "exec"), module.__dict__)  # our own templates, no data
    return module


@dataclass(frozen=True)
class SearchResult:
    """The best trial's parameters and best number of epochs, and a row for every trial.

    `trials` has the columns trial, loss (1 - unweighted average recall, or 1 - mean CCC, of validation utterances, in the
    mean over inner folds), status (ok or fail), epochs (the best for all folds), seconds (of all folds), seed, search (hash
    of all that the search depends on), error, and one a parameter.
    """

    parameters: dict[str, Any]
    epochs: int
    trials: pd.DataFrame


def search_head(
    features: np.ndarray,
    targets: np.ndarray,
    utterance: np.ndarray,
    folds: Sequence[tuple[np.ndarray, np.ndarray]],
    *,
    task: str,
    max_evals: int,
    epochs: int,
    seed: int,
    n_outputs: int | None = None,
    trials_path: str | os.PathLike[str] | None = None,
    workers: int = 1,
    spark_master: str | None = None,
    patience: int | None = 15,
    aggregation: str = "mean",
    class_weight: str | None = None,
    fixed: dict[str, Any] | None = None,
    progress: str | None = "search",
) -> SearchResult:
    """Searches the parameters whose heads score best on validation utterances, in the mean over inner folds.

    Every trial trains a head an inner fold, with the same seed, so that trials differ in their parameters alone. A failing
    trial is recorded and the search goes on.

    Args:
        features: float32, shape (n_chunks, ...), of the whole corpus; rows in neither part are never read.
        targets: int class indices (n_chunks,), or arousal and valence (n_chunks, 2).
        utterance: int (n_chunks,), the utterance of each chunk.
        folds: for each inner fold, the chunks to train and to select on, int; no utterance may be in both.
        task: "categorical" or "dimensional".
        max_evals: number of trials.
        epochs, patience, aggregation, class_weight, n_outputs: see `training.train_head`.
        seed: of suggestions and training.
        trials_path: CSV file that gets each trial as it ends; a search that finds it goes on where it stopped.
        workers: processes on this machine; with `spark_master`, trials at a time.
        spark_master: URL of a Spark master ("local[2]", "spark://..."): trials run there, through hyperopt's
        SparkTrials;
            their order and so their suggestions vary, and the file is written at the end.
        fixed: parameters that are not searched.
        progress: text beside the progress bar; None shows none.
    Raises:
        InputError: an utterance in both parts; a trials file of another search; every trial failed; pyspark not
        installed.
    """
    fixed = dict(fixed or {})
    resolve_parameters(task, fixed)
    folds = [tuple(np.asarray(part, dtype=np.int64) for part in fold) for fold in folds]
    if max_evals < 1:
        raise InputError.about("max_evals", found=max_evals, expected="at least 1", action="ask for a trial")
    shared = {
        number
        for rows, validation_rows in folds
        for number in np.intersect1d(np.asarray(utterance)[rows], np.asarray(utterance)[validation_rows])
    }
    if shared:
        raise InputError.about(
            "search",
            found=f"{len(shared)} utterances in the training and the validation part",
            expected="none",
            action="split by utterance before cutting chunks",
        )
    jobs = [
        HeadJob(
            features,
            np.asarray(targets),
            {},
            task,
            epochs,
            seed,
            n_outputs,
            rows,
            validation_rows,
            np.asarray(utterance),
            patience,
            aggregation,
            class_weight,
        )
        for rows, validation_rows in folds
    ]
    space_source = inspect.getsource(SPACES[task])
    search = hash_search(jobs, [fixed, space_source, TOGETHER, RANDOM_TRIALS])
    table = TrialTable(trials_path, task, seed, search)
    if len(table) < max_evals:
        run = _search_on_spark if spark_master else _search_here
        run(jobs, fixed, table, max_evals, workers, *([spark_master] if spark_master else []), progress)
    trials = table.frame().head(max_evals)
    good = trials[trials["status"] == "ok"]
    if good.empty:
        raise InputError.about(
            "search",
            found=f"{len(trials)} trials, all failed, the first with: {trials['error'].iloc[0]}",
            expected="at least one that trains",
            action="look at the features and the split",
        )
    best = good.loc[good["loss"].idxmin()]
    return SearchResult(table.parameters_of(best), int(best["epochs"]), trials)


def _result_of(histories: Iterable[Callable[[], tuple[pd.DataFrame, int, float]]], task: str) -> dict[str, Any]:
    """A trial's outcome, in the trial table's terms; a failure is an outcome too.

    Args:
        histories: of the head of each inner fold: waits for its history, best epoch and seconds.
        task: of head.
    """
    try:
        trained = [wait() for wait in histories]
    except BrokenExecutor:  # a worker was killed: that says nothing about the trial
        raise
    except Exception as failure:
        error = f"{type(failure).__name__}: {failure}".splitlines()[0]
        return {"loss": float("nan"), "status": "fail", "epochs": 0, "seconds": 0.0, "error": error}
    # One number of epochs for all folds; a head that stopped early keeps its last score.
    scores = pd.concat([selection_scores(task, history) for history, _, _ in trained], axis=1).ffill().mean(axis=1)
    seconds = sum(seconds for _, _, seconds in trained)
    return {
        "loss": 1.0 - float(scores.max()),
        "status": "ok",
        "epochs": int(scores.idxmax()),
        "seconds": round(seconds, 3),
        "error": "",
    }


def _parameters_at(task: str, point: dict[str, Any], fixed: dict[str, Any]) -> dict[str, Any]:
    """The parameters of a point of the space, as plain types."""
    return resolve_parameters(task, {**compile_space(task).keras_fmin_fnct(point), **fixed})


def _search_here(
    jobs: Sequence[HeadJob], fixed: dict[str, Any], table: TrialTable, max_evals: int, workers: int, progress: str | None
) -> None:
    """Fills the table with trials on this machine.

    `fmin` asks for a group of suggestions and then evaluates them in order. The training of a suggestion starts as
    soon as it is made, so that a group trains at the same time; trials that are in the table already are not trained
    again.

    Args:
        jobs: an inner fold each, which differ in their rows alone.
    """
    from hyperopt import Trials, fmin, space_eval, tpe
    from hyperopt.base import spec_from_misc
    from hyperopt.exceptions import AllTrialsFailed
    from tqdm.auto import tqdm

    task = jobs[0].task
    space = compile_space(task).get_space()
    waiting: list[tuple[dict[str, Any], Any]] = []  # parameters and the pending heads, None for a stored trial
    stored, suggested, done = len(table), 0, 0
    bar = tqdm(total=max_evals, desc=progress, unit="trial", disable=progress is None)

    def suggest_and_start(new_ids: list[int], domain: Any, trials: Any, seed: int) -> list[dict[str, Any]]:
        nonlocal suggested
        documents = tpe.suggest(new_ids, domain, trials, seed, n_startup_jobs=RANDOM_TRIALS, verbose=False)
        for document in documents:
            parameters = _parameters_at(task, space_eval(space, spec_from_misc(document["misc"])), fixed)
            pending = None
            if suggested >= stored:
                heads = [dataclasses.replace(job, parameters=parameters) for job in jobs]
                # In one worker a trial's heads share their graphs; trials too few for all workers are spread over them.
                pending = pool.submit(heads) if min(max_evals, TOGETHER) >= workers else [pool.submit([h])[0] for h in heads]
            elif table.parameters_of(table.rows[suggested]) != parameters:
                raise InputError.about(
                    table.path,
                    found=f"other parameters in trial {suggested} than this search suggests",
                    expected="the trials of this search",
                    action="move the file away",
                )
            waiting.append((parameters, pending))
            suggested += 1
        return documents

    def objective(point: dict[str, Any]) -> dict[str, Any]:
        nonlocal done
        parameters, pending = waiting.pop(0)
        if pending is not None:
            table.add(parameters, _result_of([head.history for head in pending], task))
        row = table.rows[done]
        done += 1
        bar.set_postfix_str(f"best loss {table.frame()['loss'].min():.3f}", refresh=False)
        bar.update()
        return {"status": "fail"} if row["status"] == "fail" else {"status": "ok", "loss": float(row["loss"])}

    # That every trial failed is for `search_head` to say, with the reasons.
    with head_workers(workers) as pool, bar, contextlib.suppress(AllTrialsFailed):
        fmin(
            objective,
            space,
            algo=suggest_and_start,
            max_evals=max_evals,
            trials=Trials(),
            rstate=np.random.default_rng(seed=jobs[0].seed),
            max_queue_len=TOGETHER,
            return_argmin=False,
            show_progressbar=False,
            verbose=False,
        )


def _search_on_spark(
    jobs: Sequence[HeadJob],
    fixed: dict[str, Any],
    table: TrialTable,
    max_evals: int,
    workers: int,
    master: str,
    progress: str | None,
) -> None:
    """Fills the table with trials that a Spark master spreads over its machines, which share this one's file system."""
    if importlib.util.find_spec("pyspark") is None:
        raise InputError.about(
            f"Spark master {master}",
            found="no pyspark in this Python",
            expected="pyspark and a Java runtime",
            action="install it with pip install pyspark, or leave out the Spark master and use --workers",
        )
    from hyperopt import SparkTrials, fmin, space_eval, tpe
    from hyperopt.base import spec_from_misc
    from hyperopt.exceptions import AllTrialsFailed
    from pyspark.sql import SparkSession

    task = jobs[0].task
    space = compile_space(task).get_space()
    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
    session = SparkSession.builder.master(master).appName("head-search").getOrCreate()
    folder = table.path.parent if table.path is not None else None  # reachable for every machine of the cluster
    with tempfile.TemporaryDirectory(prefix="features-", dir=folder) as private:
        light = [dataclasses.replace(job, features=None) for job in jobs]
        objective = functools.partial(_train_on_spark, light, store_array(jobs[0].features, private), fixed)
        trials = SparkTrials(parallelism=workers, spark_session=session)
        algorithm = functools.partial(tpe.suggest, n_startup_jobs=RANDOM_TRIALS, verbose=False)
        with contextlib.suppress(AllTrialsFailed):
            fmin(
                objective,
                space,
                algo=algorithm,
                max_evals=max_evals,
                trials=trials,
                rstate=np.random.default_rng(seed=jobs[0].seed),
                return_argmin=False,
                verbose=False,
                show_progressbar=progress is not None,
            )
    table.rows.clear()
    for trial in sorted(trials.trials, key=lambda trial: trial["tid"]):
        parameters = _parameters_at(task, space_eval(space, spec_from_misc(trial["misc"])), fixed)
        failed = {"loss": float("nan"), "status": "fail", "epochs": 0, "seconds": 0.0, "error": "failed on Spark"}
        table.add(parameters, trial["result"] if trial["result"]["status"] == "ok" else failed | trial["result"])


def _train_on_spark(jobs: Sequence[HeadJob], features: Any, fixed: dict[str, Any], point: dict[str, Any]) -> dict[str, Any]:
    """Objective of a Spark trial, on one TensorFlow thread as everywhere."""
    os.environ.update(TF_NUM_INTRAOP_THREADS="1", TF_NUM_INTEROP_THREADS="1", CUDA_VISIBLE_DEVICES="-1")

    def train(job: HeadJob) -> tuple[pd.DataFrame, int, float]:
        parameters = _parameters_at(job.task, point, fixed)
        head = train_job(dataclasses.replace(job, features=features.open(), parameters=parameters))
        return head.history, head.best_epoch, head.seconds

    result = _result_of([functools.partial(train, job) for job in jobs], jobs[0].task)
    return result if result["status"] == "ok" else {**result, "loss": None}
