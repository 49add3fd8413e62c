"""Do the files of the runs belong together: nothing is rendered from a results folder before it is known.

The metrics are computed again from predictions.csv, which has one row per utterance, and compared to its rounding. What it
cannot give (scores of chunks, averages over videos) must be there for the same folds, and lie where such scores can lie.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from began.errors import InputError, counted
from classifiers.metrics import evaluate_classification, evaluate_dimensions
from experiments.corpora.record import POOLED, Corpus
from experiments.evaluation.condition import PROTOCOLS, Condition, draws_test_part_per_run, has_speakers_as_folds, splits_chunks
from experiments.evaluation.predictions import CLASSES, KEYS, OF_DIMENSIONS, class_columns
from experiments.evaluation.result_files import RUN_AGAIN, SEARCH, how_to_repair, read_table
from experiments.evaluation.runs import RunFolder, find_runs, read_metrics_file
from experiments.evaluation.searches import read_trials
from experiments.evaluation.splits import name_fold
from experiments.reporting.intervals import range_of

ROUNDING = 1e-6
"""Of the scores in predictions.csv: six digits."""

_SELECTED_ON = ("unweighted_average_recall", "concordance_correlation_coefficient_mean")
_PER_VIDEO = "_per_video"


def check_results(results_dir: Any) -> None:
    """Checks every complete run under a results folder, and the searches beside them.

    Raises:
        InputError: names the first file that is damaged, misses rows, or does not belong to the others.
    """
    utterances: dict[tuple, tuple[RunFolder, pd.DataFrame]] = {}
    conditions: dict[tuple[str, str], list[tuple[RunFolder, pd.DataFrame]]] = {}
    for run in find_runs(results_dir):
        config = run.read_config()
        metrics = read_metrics_file(run.path / "metrics.csv")
        _compare_names(run, metrics)
        predictions = _read_predictions(run, "predictions", has_speakers_as_folds(config.get("protocol")))
        _compare(run, config, predictions, metrics)
        _compare_utterances(run, config, predictions, utterances)
        conditions.setdefault((run.experiment, run.condition), []).append((run, metrics))
    for names, of_condition in conditions.items():
        n_begun = len(find_runs(results_dir, *names, complete=False))
        _compare_trials(read_trials(results_dir, *names), of_condition, is_finished=n_begun == len(of_condition))


def read_scored(run: RunFolder, name: str, corpus: Corpus, labels: Sequence[str]) -> pd.DataFrame:
    """Returns what a model said of a corpus, as `experiments.evaluate` keeps it, after checking that it can be scored.

    Args:
        name: of the file, without its ending.
        corpus: which the model was asked about.
        labels: classes of the model; none: it predicts arousal and valence.
    Raises:
        InputError: a file that is absent or damaged, or whose rows are not those of the corpus.
    """
    table = _read_predictions(run, name, True, [*CLASSES, *labels] if labels else OF_DIMENSIONS)
    rows, expected = (one[["utterance", "speaker"]].to_numpy().tolist() for one in (table, corpus.utterances))
    if rows != expected:
        found = f"{counted(len(rows), 'row')} of other utterances or speakers, or in another order"
        raise _refuse(run, name, found, f"the {counted(len(expected), 'utterance')} of {corpus.name} in their order")
    _measure_rows(run, name, table)
    return table


def _refuse(run: RunFolder, name: str, found: str, expected: str) -> InputError:
    return InputError.about(run.path / f"{name}.csv", found, expected, RUN_AGAIN)


def _compare_names(run: RunFolder, metrics: pd.DataFrame) -> None:
    """Refuses the scores of another run, condition or experiment: a folder that was copied or renamed."""
    names = (run.experiment, run.condition, str(run.run))
    for row in metrics[["experiment", "condition", "run"]].drop_duplicates().astype(str).itertuples(index=False):
        if tuple(row) != names:
            found, expected = ("scores of {}/{}, run {}".format(*one) for one in (row, names))
            action = "give the folder its own name back, or remove a copy"
            raise InputError.about(run.path / "metrics.csv", found, f"{expected}, as its folder says", action)


def _read_predictions(run: RunFolder, name: str, by_speaker: bool, needed: Sequence[str] = ()) -> pd.DataFrame:
    """Returns predictions, with one row per utterance and the columns of classes, of arousal and valence, or of both.

    Args:
        name: of the file, without its ending.
        by_speaker: whether each fold is a speaker.
        needed: columns that it must have; none: either kind.
    """
    table = read_table(run.path / f"{name}.csv")
    kinds = [needed] if needed else [CLASSES, OF_DIMENSIONS]
    if not len(table) or not any({*table} >= {*KEYS, *kind} for kind in kinds):
        expected = f"rows with {', '.join(KEYS)} and {' or '.join(map(', '.join, kinds))}"
        raise _refuse(run, name, f"{counted(len(table), 'row')} with the columns {', '.join(map(str, table))}", expected)
    if table["utterance"].duplicated().any():
        twice = table.loc[table["utterance"].duplicated(), "utterance"].iloc[0]
        raise _refuse(run, name, f"{twice} more than once", "every utterance once")
    texts = {*KEYS, *CLASSES}
    if words := [column for column in table if column not in texts and not pd.api.types.is_numeric_dtype(table[column])]:
        raise _refuse(run, name, f"text in the column {words[0]}", "numbers")
    if by_speaker and (wrong := table[table["fold"] != table["speaker"]]).size:
        found = f"{wrong['utterance'].iloc[0]} of {wrong['speaker'].iloc[0]} in {name_fold(wrong['fold'].iloc[0])}"
        raise _refuse(run, name, found, "folds that are speakers")
    return table


def _compare(run: RunFolder, config: Mapping[str, Any], predictions: pd.DataFrame, metrics: pd.DataFrame) -> None:
    """Compares the metrics of a run with its predictions."""
    of_chunks = splits_chunks(config.get("protocol"))
    levels = Condition(run.experiment, run.condition, method=config.get("method", ""), chunk_split=of_chunks).levels
    folds = [fold for fold in predictions["fold"].unique() if fold != POOLED]
    computed: dict[tuple[str, str], tuple[float, float]] = {}
    for fold in (*folds, POOLED):
        part = predictions if fold == POOLED else predictions[predictions["fold"] == fold]
        computed |= {(fold, metric): value for metric, value in _measure_rows(run, "predictions", part).items()}
    test = metrics[metrics["split"] == "test"]
    found = dict(zip(zip(test["fold"], test["level"], test["metric"], strict=True), test["value"], strict=True))
    expected = {(fold, level, metric) for fold, metric in computed for level in levels}
    surplus = {key for key in found if key not in expected and not _is_per_video(key, predictions)}
    for what, keys in (("no", expected - {*found}), ("a surplus", surplus)):
        if keys:
            fold, level, metric = min(keys)
            action = "one score for each level, fold and measure of predictions.csv"
            raise _refuse(run, "metrics", f"{what} {metric} of {name_fold(fold)} at {level} level", action)
    for (fold, level, metric), value in found.items():
        wanted, tolerance = computed.get((fold, metric), (0.0, math.inf))
        if level != levels[-1]:  # chunks, whose scores are not in predictions.csv
            tolerance = math.inf
        low, high = range_of(metric)
        is_undefined = math.isnan(wanted) and math.isnan(value)  # a correlation with a constant
        if not is_undefined and not (low <= value <= high + ROUNDING and abs(value - wanted) <= tolerance):
            expected_value = f"{wanted:.6f}, as predictions.csv gives it" if tolerance < math.inf else f"{low:g} to {high:g}"
            raise _refuse(run, "metrics", f"{metric} {value:g} of {name_fold(fold)} at {level} level", expected_value)
    _check_validation(run, metrics[metrics["split"] == "validation"], {*predictions["fold"]})


def _measure_rows(run: RunFolder, name: str, predictions: pd.DataFrame) -> dict[str, tuple[float, float]]:
    """Returns what `_measure` does, of some rows of a file, which is refused where they cannot be scored."""
    try:
        return _measure(predictions)
    except InputError as error:
        raise _refuse(run, name, f"rows that cannot be scored ({error})", "the predictions of this run") from error


def _measure(predictions: pd.DataFrame) -> dict[str, tuple[float, float]]:
    """Returns every metric of some predictions, and how far rounding can have moved it."""
    values: dict[str, tuple[float, float]] = {}
    if {*CLASSES} <= {*predictions}:
        labels = class_columns(predictions)
        scores = predictions[labels].to_numpy(float)
        measured = evaluate_classification(predictions["target"], predictions["prediction"], labels, scores)
        chosen = scores[np.arange(len(scores)), predictions["prediction"].map({name: i for i, name in enumerate(labels)})]
        if (chosen < scores.max(axis=1) - 2 * ROUNDING).any():
            raise InputError("a prediction that is not the most probable class")
        # A score that was rounded to one half may count as more or as less.
        n_doubtful = (np.abs(scores - 0.5) <= ROUNDING).sum()
        by_scores = ("binary_accuracy", "fbeta_0.5_rounded")
        values |= {name: (value, 1e-9 + 2 * (name in by_scores) * n_doubtful / len(scores)) for name, value in measured.items()}
    if {*OF_DIMENSIONS} <= {*predictions}:
        columns = [predictions[name].to_numpy(float) for name in OF_DIMENSIONS]
        # The less the values vary, the more their correlation is that of their rounding.
        spread = max(ROUNDING, min(map(np.ptp, columns)))
        tolerance = max(1e-4, 20 * ROUNDING / spread)
        values |= {name: (value, tolerance) for name, value in evaluate_dimensions(*columns).items()}
    return values


def _is_per_video(key: tuple[str, str, str], predictions: pd.DataFrame) -> bool:
    return key[2].endswith(_PER_VIDEO) and {*OF_DIMENSIONS} <= {*predictions}


def _check_validation(run: RunFolder, validation: pd.DataFrame, folds: set[str]) -> None:
    """Checks the scores that were selected on: one for each fold, or none at all."""
    for metric, rows in validation.groupby("metric"):
        low, high = range_of(str(metric))
        is_possible = rows["value"].between(low, high + ROUNDING).all()
        if metric not in _SELECTED_ON or set(rows["level"]) != {"utterance"} or not is_possible:
            raise _refuse(run, "metrics", f"validation scores {metric}", f"{' or '.join(_SELECTED_ON)} of utterances, up to 1")
        if set(rows["fold"]) != folds:
            found = f"{metric} of validation for the folds {', '.join(sorted(rows['fold']))}"
            raise _refuse(run, "metrics", found, f"{', '.join(sorted(folds))}, as in predictions.csv")


def _compare_utterances(
    run: RunFolder, config: Mapping[str, Any], predictions: pd.DataFrame, known: dict[tuple, tuple[RunFolder, pd.DataFrame]]
) -> None:
    """Compares the utterances of a run with those of the first one on the same data and with the same protocol."""
    split = str(config.get("protocol")).split(";")[0]
    if split == PROTOCOLS["per_speaker"]:
        return
    drawn = (run.run, config.get("seed")) if draws_test_part_per_run(split) else ()
    key = (config.get("utterances_sha256"), split, config.get("n_without_chunks"), *drawn)
    targets = [name for name in ("target", "arousal_target", "valence_target") if name in predictions]
    rows = predictions[["utterance", "speaker", *targets]].sort_values("utterance").reset_index(drop=True)
    first, expected = known.setdefault((*key, *targets), (run, rows))
    if not rows.equals(expected):
        differing = set(map(tuple, rows.astype(str).to_numpy())) ^ set(map(tuple, expected.astype(str).to_numpy()))
        found = f"{len(rows)} utterances, which differ in {len(differing)} rows, such as {min(differing)[0]},"
        raise _refuse(run, "predictions", f"{found} from those of {first.path}", "the same utterances and targets")


def _compare_trials(trials: pd.DataFrame, runs: Sequence[tuple[RunFolder, pd.DataFrame]], is_finished: bool) -> None:
    """Compares the scores that runs selected on with the trials of their condition's searches."""
    has_selected = {run.path: (metrics["split"] == "validation").any() for run, metrics in runs}
    without = [path for path, flag in has_selected.items() if not flag]
    if without and len(without) < len(has_selected):
        raise InputError.about(without[0] / "metrics.csv", "no validation scores", "them, as other runs have them", RUN_AGAIN)
    if trials.empty:
        if not without:
            path = next(iter(has_selected)).parent / SEARCH
            action = f"put the folder back, or remove {path.parent}, and run the experiment again"
            raise InputError.about(path, "no trials", "those that the runs' parameters come from", action)
        return
    best = 1.0 - trials.groupby(["task", "fold", "search"])["loss"].min()
    for run, metrics in runs:
        selected = metrics[metrics["split"] == "validation"]
        for metric, fold, value in zip(selected["metric"], selected["fold"], selected["value"], strict=True):
            task = "categorical" if metric == _SELECTED_ON[0] else "dimensional"
            scores = best.get((task, fold), pd.Series(dtype=float))
            if not np.isclose(scores, value, rtol=0, atol=1e-9).any():
                found = f"{metric} {value:g} of validation in {name_fold(fold)}"
                raise _refuse(run, "metrics", found, "the best of the trials in search/")
    if is_finished:
        _check_lengths(trials, runs[-1][0])


def _check_lengths(trials: pd.DataFrame, run: RunFolder) -> None:
    """Checks that no search lacks its last trials; one that is going on may."""
    n_trials = trials.groupby("search").size()
    config = run.read_config()
    expected = config.get("max_evals") or (1 if config.get("method") == "head" else n_trials.max())
    if (n_trials != expected).any():
        name = n_trials.index[n_trials != expected][0]
        path = run.path.parent / SEARCH / f"{name}.csv"
        raise InputError.about(path, f"{n_trials[name]} trials", expected, how_to_repair(path))
