"""Search of a head's hyper-parameters: hyperopt's TPE suggests, `classifiers.workers` train, a table keeps the trials.

The same seed gives the same trials, for one worker or several, on this machine or on Spark, undisturbed or killed and
started again: trials are suggested in groups of `TOGETHER` whatever the number of workers, and a search that finds its
file asks TPE for the same suggestions and takes the losses of those already there from the file. A space may name points that
are tried before any suggestion.
"""

from __future__ import annotations

import functools
import hashlib
import inspect
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from began.errors import InputError, counted, name_cause, raise_resource_error
from began.files import StrPath, write_atomically
from classifiers.head_parameters import resolve_parameters
from classifiers.spaces import FIRST_POINTS, SPACES, compile_space
from classifiers.training import HeadJob
from classifiers.workers import Submit, Wait, head_workers, spark_workers

TOGETHER = 4
"""Trials suggested before the first of them is known, whatever the number of workers."""

RANDOM_TRIALS = 8
"""Random trials before TPE starts to model. Hyperopt waits for 20, which would make 20 evaluations a random search."""

RESULT_COLUMNS = ("trial", "loss", "status", "epochs", "seconds", "seed", "search", "error")


@dataclass(frozen=True)
class SearchResult:
    """The best trial's parameters and number of epochs, and one row per trial.

    The columns of `trials` are the labels of the search; trial; loss (1 - unweighted average recall, or 1 - mean CCC, of
    validation utterances, in the mean over inner folds); status (ok or fail); epochs (the best for all folds together);
    seconds (of all folds); seed; search (hash of all that the search depends on); error; then the parameters.
    """

    parameters: dict[str, Any]
    epochs: int
    trials: pd.DataFrame


def search_head(
    jobs: Sequence[HeadJob],
    *,
    max_evals: int,
    fixed: dict[str, Any] | None = None,
    path: StrPath | None = None,
    workers: int = 1,
    spark_master: str | None = None,
    progress: str | None = "search",
    labels: dict[str, str] | None = None,
) -> SearchResult:
    """Searches the parameters whose heads score best on validation utterances, in the mean over inner folds.

    Every trial trains one head per inner fold, with the same seed, so that trials differ in their parameters alone. A head
    that does not train (its loss is not finite) is a failed trial, and the search goes on. Any other error ends the search
    and leaves nothing of its trial in the file: the same call goes on from there.

    Args:
        jobs: one per inner fold, alike but for their rows; no utterance may be in both parts of a fold. Their parameters do
            not count.
        max_evals: number of trials, at least one.
        fixed: parameters that are not searched.
        path: CSV file that gets each trial as it ends; a search that finds it goes on where it stopped.
        workers: processes on this machine; with `spark_master`, tasks at a time.
        spark_master: URL of a Spark master ("local[2]", "spark://..."), whose machines reach the folder of `path`.
        progress: text beside the progress bar; None shows none.
        labels: columns in front of every row, such as the fold.
    Raises:
        InputError: an utterance in both parts; a file of another search; every trial failed; pyspark not installed.
    """
    fixed, job = dict(fixed or {}), jobs[0]
    resolve_parameters(job.task, fixed, job.kind)
    if shared := sum(len(np.intersect1d(part.utterance[part.rows], part.utterance[part.validation_rows])) for part in jobs):
        found = f"{counted(shared, 'utterance')} in the training and the validation part"
        raise InputError.about("search", found, "none", "split by utterance")
    first_points = FIRST_POINTS.get((job.kind, job.task), [])
    space = [fixed, inspect.getsource(SPACES[job.kind, job.task]), TOGETHER, RANDOM_TRIALS]
    search = hash_search(jobs, [*space, first_points] if first_points else space)
    table = TrialTable(path, job.kind, job.task, {**(labels or {}), "seed": job.seed, "search": search})
    if len(table.rows) < max_evals:
        folder = table.path and table.path.parent
        pool = spark_workers(spark_master, workers, folder) if spark_master else head_workers(workers)
        with pool as submit:
            # In one worker a trial's heads share their graphs; trials too few for all workers are spread over them.
            start = functools.partial(_start_trial, submit, jobs, spread=min(max_evals, TOGETHER) < workers)
            _run_trials(table, start, fixed, max_evals, progress)
    trials = table.frame().head(max_evals)
    good = trials[trials["status"] == "ok"]
    if good.empty:
        found = f"{counted(len(trials), 'trial')}, all failed, the first with: {trials['error'].iloc[0]}"
        raise InputError.about("search", found, "at least one that trains", "look at the features and the split")
    best = good.loc[good["loss"].idxmin()]
    parameters = table.parameters_of(best)
    return SearchResult(parameters, int(best["epochs"]), trials)


def _run_trials(
    table: TrialTable, start: Callable[[dict[str, Any]], Wait], fixed: dict[str, Any], max_evals: int, progress: str | None
) -> None:
    """Adds the trials that the table lacks; those of a group, which `start` starts, train at the same time."""
    from hyperopt import JOB_STATE_DONE, space_eval, tpe
    from hyperopt.base import Domain, spec_from_misc
    from hyperopt.fmin import generate_trials_to_calculate
    from tqdm.auto import tqdm

    module = compile_space(table.kind, table.task)
    space, generator = module.get_space(), np.random.default_rng(table.constants["seed"])
    domain = Domain(None, space)
    known = generate_trials_to_calculate(FIRST_POINTS.get((table.kind, table.task), []))
    known.refresh()
    known.new_trial_ids(len(known.trials))  # those of the points: hyperopt would give them again
    with tqdm(total=max_evals, desc=progress, unit="trial", disable=progress is None) as bar:
        bar.set_postfix_str("the first trials train")
        for first in range(0, max_evals, TOGETHER):
            end = min(first + TOGETHER, max_evals)
            while len(known.trials) < end:  # TPE makes one at a time
                ids, draw = known.new_trial_ids(end - len(known.trials)), generator.integers(2**31 - 1)
                known.insert_trial_docs(tpe.suggest(ids, domain, known, draw, n_startup_jobs=RANDOM_TRIALS, verbose=False))
                known.refresh()
            group = known.trials[first:end]
            points = [space_eval(space, spec_from_misc(document["misc"])) for document in group]
            drawn = [{**module.keras_fmin_fnct(point), **fixed} for point in points]
            suggested = [resolve_parameters(table.task, parameters, table.kind) for parameters in drawn]
            waits = [None if i < len(table.rows) else start(suggested[i - first]) for i in range(first, end)]
            for number, document, parameters, wait in zip(range(first, end), group, suggested, waits, strict=True):
                if wait is not None:
                    table.add(parameters, _evaluate(wait))
                row = table.rows[number]
                if {name: row[name] for name in parameters} != parameters:
                    raise table.refuse(f"other parameters in trial {number} than this search suggests")
                result = {"status": "fail"} if row["status"] == "fail" else {"status": "ok", "loss": float(row["loss"])}
                document.update(state=JOB_STATE_DONE, result=result)
                bar.set_postfix_str(f"best loss {table.frame()['loss'].min():.3f}", refresh=False)
                bar.update()
            known.refresh()


def _start_trial(submit: Submit, jobs: Sequence[HeadJob], parameters: dict[str, Any], spread: bool) -> Wait:
    """Starts a trial; what it returns waits for the heads of all inner folds."""
    heads = [replace(job, parameters=parameters) for job in jobs]
    pending = [submit([head]) for head in heads] if spread else [submit(heads)]
    return lambda: [result for wait in pending for result in wait()]


def _evaluate(wait: Wait) -> dict[str, Any]:
    """A trial's outcome, in the table's columns: that a loss is not finite is one, any other error is not."""
    try:
        heads = wait()
    except FloatingPointError as failure:
        error = f"{type(failure).__name__}: {name_cause(failure)}"
        return {"loss": float("nan"), "status": "fail", "epochs": 0, "seconds": 0.0, "error": error}
    # One number of epochs for all folds; a head that stopped early keeps its last score, one that has none yet has no mean.
    of_heads = pd.concat([head.history.set_index("epoch")["validation_score"] for head in heads], axis=1)
    scores, seconds = of_heads.ffill().mean(axis=1, skipna=False), round(sum(head.seconds for head in heads), 3)
    loss, epochs = 1.0 - float(scores.max()), int(scores.idxmax())
    return {"loss": loss, "status": "ok", "epochs": epochs, "seconds": seconds, "error": ""}


class TrialTable:
    """The trials of one search, in memory and in its file, which is whole at every moment.

    Args:
        path: of the file; None keeps none.
        kind, task: of the heads.
        constants: columns with one value in all rows: the labels, then seed and search. A file with others is refused.
    """

    def __init__(self, path: StrPath | None, kind: str, task: str, constants: dict[str, Any]) -> None:
        self.path = None if path is None else Path(path)
        self.kind, self.task, self.constants = kind, task, constants
        self.columns = (*(name for name in constants if name not in RESULT_COLUMNS), *RESULT_COLUMNS)
        self.rows = self._read() if self.path is not None and self.path.exists() else []

    def _read(self) -> list[dict[str, Any]]:
        text = [name for name in self.columns if name in ("status", "error") or isinstance(self.constants.get(name), str)]
        form = {"dtype": dict.fromkeys(text, str), "keep_default_na": False, "na_values": {"loss": [""]}}
        try:
            frame = pd.read_csv(self.path, float_precision="round_trip", **form)
        except (ValueError, OSError) as error:
            raise_resource_error(error)
            raise self.refuse(name_cause(error)) from error
        if not {*self.columns, *resolve_parameters(self.task, kind=self.kind)} <= set(frame):
            raise self.refuse(f"columns {list(frame)}")
        expected = {**self.constants, "trial": np.arange(len(frame))}
        if not all((frame[name] == value).all() for name, value in expected.items()):
            raise self.refuse("trials of another search (other data, split, space, seed or epochs)")
        return frame.to_dict("records")

    def parameters_of(self, row: Any) -> dict[str, Any]:
        """A trial's parameters, as plain types."""
        return resolve_parameters(
            self.task, {name: row[name] for name in resolve_parameters(self.task, kind=self.kind)}, self.kind
        )

    def refuse(self, found: str) -> InputError:
        """What to raise where the file does not hold the trials of this search."""
        return InputError.about(self.path, found, "the trials of this search", "move the file away")

    def add(self, parameters: dict[str, Any], outcome: dict[str, Any]) -> None:
        """Appends a trial and writes the file anew."""
        row = {**self.constants, "trial": len(self.rows), **outcome}
        self.rows.append({name: row[name] for name in self.columns} | parameters)
        if self.path is not None:
            with write_atomically(self.path) as temporary:
                self.frame().to_csv(temporary, index=False)

    def frame(self) -> pd.DataFrame:
        """One row per trial."""
        return pd.DataFrame(self.rows)


def hash_search(jobs: Sequence[HeadJob], settings: Sequence[Any]) -> str:
    """Returns the hash of what a search's trials depend on: its settings, as JSON can hold them, and its jobs.

    Of the features, only the shape counts: their last digits differ between processors, and a search that was begun on one goes
    on on another. What they are made from is bound by config.json, which has the hashes of the encoder and of all sounds: with
    others, the folder is refused (`experiments.evaluation.resuming`).
    """
    job = jobs[0]
    of_jobs = [job.task, job.epochs, job.seed, job.n_outputs, job.patience, job.aggregation, job.class_weight]
    if job.statistics is not None:
        of_jobs += [job.kind, *job.statistics]
    content = [*settings, *of_jobs, list(job.features.shape[1:])]
    digest = hashlib.sha256(json.dumps(content, sort_keys=True).encode())
    for job in jobs:
        parts = [job.targets[job.rows], job.targets[job.validation_rows], job.utterance[job.validation_rows]]
        for part in (job.rows, job.validation_rows, *parts):
            digest.update(np.ascontiguousarray(part).tobytes())
    return digest.hexdigest()[:12]
