"""The paper's tables, ablations and label efficiency as long tables: a row a system, column, reading and level."""

from __future__ import annotations

import functools
import math
import re
from collections.abc import Iterable

import pandas as pd

from experiments.evaluation import paper, runs
from experiments.reporting.errors import average_runs
from experiments.reporting.results import EXPECTED, Results, Summary, describe_protocol, summarise

SPEAKERS = ("DC", "JE", "JK", "KL")
NOT_RUN = "not run"
OURS = "ours"
MEAN_OF_SPEAKERS = "mean of speakers"
MEAN_OF_FOLDS = "mean over folds"

READINGS_OF_ACCURACY = ("accuracy", "unweighted_average_recall", "binary_accuracy")
READINGS_OF_F = ("f1_micro", "f1_macro", "f1_weighted", "fbeta_0.5_macro", "fbeta_0.5_rounded", "binary_accuracy")
LEVELS = ("utterance", "chunk")
_COLUMNS = (
    "system",
    "condition",
    "column",
    "metric",
    "level",
    "fold",
    "unit",
    "mean",
    "sd",
    "spread_over",
    "n",
    "ci_low",
    "ci_high",
    "paper",
    "difference",
    "protocol",
    "note",
    "source",
)


def table1(results: Results) -> pd.DataFrame:
    """Returns Table 1 (SAVEE), long: the published rows, then every condition, reading of accuracy, level, speaker."""
    experiment = "table1_savee"
    rows = _published_rows(experiment)
    for condition in _all_conditions(results, experiment):
        if condition not in results.conditions(experiment):
            rows += [_not_run(experiment, condition, speaker, "accuracy", "%") for speaker in SPEAKERS]
            continue
        for metric in (name for name in READINGS_OF_ACCURACY if name in results.metric_names(experiment)):
            for level in LEVELS:
                scores = results.by_run_and_fold(experiment, condition, metric, level)
                for fold in scores.columns:
                    rows.append(
                        _our_row(
                            results,
                            experiment,
                            condition,
                            fold,
                            metric,
                            level,
                            fold,
                            "%",
                            summarise(scores[fold]),
                            paper.paper_value(experiment, fold),
                        )
                    )
                if scores.shape[1] > 1:
                    rows.append(
                        _our_row(
                            results,
                            experiment,
                            condition,
                            MEAN_OF_SPEAKERS,
                            metric,
                            level,
                            MEAN_OF_SPEAKERS,
                            "%",
                            summarise(scores.dropna().mean(axis=1)),
                            _paper_mean(experiment, scores.columns),
                        )
                    )
    return _frame(rows)


def table2(results: Results) -> pd.DataFrame:
    """Returns Table 2 (OMG-Emotion), long: the published rows, then every condition, measure and level, pooled."""
    experiment = "table2_omg"
    held = paper.HELD_AGAINST[experiment]
    column_of = {metric: column for column, metric in held.items()}
    rows = _published_rows(experiment)
    for condition in _all_conditions(results, experiment):
        if condition not in results.conditions(experiment):
            rows += [_not_run(experiment, condition, column, metric, "") for column, metric in held.items()]
            continue
        for metric in results.metric_names(experiment):
            for level in LEVELS:
                scores = results.by_run(experiment, condition, metric, level)
                column = column_of.get(metric) or ("F-score" if metric in READINGS_OF_F else metric)
                if len(scores):
                    rows.append(
                        _our_row(
                            results,
                            experiment,
                            condition,
                            column,
                            metric,
                            level,
                            runs.POOLED,
                            "",
                            summarise(scores),
                            paper.paper_value(experiment, column),
                        )
                    )
    return _frame(rows)


def table3(results: Results) -> pd.DataFrame:
    """Returns Table 3 (EmoDB), long: published rows, then conditions, pooled, over folds and a held-out speaker."""
    return _loso_rows(results, "table3_emodb")


def _loso_rows(results: Results, experiment: str) -> pd.DataFrame:
    column_of = {metric: column for column, metric in paper.HELD_AGAINST["table3_emodb"].items()}
    rows = _published_rows(experiment)
    for condition in _all_conditions(results, experiment):
        if condition not in results.conditions(experiment):
            rows += [_not_run(experiment, condition, column, metric, "%") for metric, column in column_of.items()]
            continue
        for metric in results.metric_names(experiment):
            column, unit = column_of.get(metric, metric), _unit(metric)
            in_the_paper = paper.paper_value(experiment, column)
            for level in LEVELS:
                row = functools.partial(_our_row, results, experiment, condition, column, metric, level)
                pooled = results.by_run(experiment, condition, metric, level)
                if len(pooled):
                    rows.append(row(runs.POOLED, unit, summarise(pooled), in_the_paper))
                folds = results.by_run_and_fold(experiment, condition, metric, level)
                if folds.shape[1] > 1:
                    rows.append(row(MEAN_OF_FOLDS, unit, summarise(folds.mean()), in_the_paper, spread_over="folds"))
                for fold in folds.columns:
                    rows.append(row(fold, unit, summarise(folds[fold]), None))
    return _frame(rows)


def ablations(results: Results, experiment: str = "ablations") -> pd.DataFrame:
    """Returns one row a condition, best first: pooled utterance accuracy and UAR, and the difference to the base.

    ``averaged_accuracy`` is that of all runs together, their scores averaged.

    The base is the condition whose config.json has ``"base": true``, else ``began``, ``base`` or ``paper``.
    Differences are taken run by run (runs of one number share the seed), with a 95 % t interval over the pairs.
    """
    rows = []
    base = _base_condition(results, experiment)
    for condition in results.conditions(experiment):
        accuracy = results.by_run(experiment, condition, "accuracy", "utterance")
        recall = results.by_run(experiment, condition, "unweighted_average_recall", "utterance")
        chunk = results.by_run(experiment, condition, "accuracy", "chunk")
        scores, paired = summarise(accuracy), summarise([])
        if base is not None and condition != base:
            paired = summarise((accuracy - results.by_run(experiment, base, "accuracy", "utterance")).dropna())
        config = results.settings(experiment, condition)[0]
        rows.append(
            {
                "condition": condition,
                "description": config.get("description", ""),
                "n_runs": scores.n,
                "accuracy": scores.mean * 100,
                "accuracy_sd": scores.sd * 100,
                "accuracy_ci_low": scores.low * 100,
                "accuracy_ci_high": scores.high * 100,
                "uar": summarise(recall).mean * 100,
                "uar_sd": summarise(recall).sd * 100,
                "chunk_accuracy": summarise(chunk).mean * 100,
                "averaged_accuracy": _average_runs(results, experiment, condition) * 100,
                "base": base or "",
                "difference": paired.mean * 100,
                "difference_ci_low": paired.low * 100,
                "difference_ci_high": paired.high * 100,
                "n_pairs": paired.n,
                "protocol": results.protocol(experiment, condition),
                "note": results.note(experiment, condition),
            }
        )
    columns = [
        "condition",
        "description",
        "n_runs",
        "accuracy",
        "accuracy_sd",
        "accuracy_ci_low",
        "accuracy_ci_high",
        "uar",
        "uar_sd",
        "chunk_accuracy",
        "averaged_accuracy",
        "base",
        "difference",
        "difference_ci_low",
        "difference_ci_high",
        "n_pairs",
        "protocol",
        "note",
    ]
    table = pd.DataFrame(rows, columns=columns)
    return table.sort_values(["accuracy", "condition"], ascending=[False, True], kind="stable", ignore_index=True)


def _average_runs(results: Results, experiment: str, condition: str) -> float:
    """Returns the accuracy of all runs together; NaN where there are no predictions, or a single run."""
    if results.results_dir is None:
        return math.nan
    predictions = runs.read_predictions(results.results_dir, experiment, condition)
    predictions = predictions[[(experiment, condition, run) in results.configs for run in predictions["run"]]]
    if "prediction" not in predictions or predictions["run"].nunique() < 2:
        return math.nan
    together = average_runs(predictions)
    return float((together["target"] == together["prediction"]).mean())


def label_efficiency(results: Results, experiment: str = "label_efficiency") -> pd.DataFrame:
    """Returns accuracy by share of the labelled training utterances, one row an encoder and share.

    Conditions are named ``<encoder>_<percent>``, such as ``began_005`` or ``random_100``; others are left out.
    """
    rows = []
    for condition in results.conditions(experiment):
        match = re.fullmatch(r"(.+?)_(\d+)(?:pct|percent)?", condition)
        if not match:
            continue
        scores = summarise(results.by_run(experiment, condition, "accuracy", "utterance"))
        recall = summarise(results.by_run(experiment, condition, "unweighted_average_recall", "utterance"))
        rows.append(
            {
                "encoder": match[1],
                "percent": int(match[2]),
                "n_runs": scores.n,
                "accuracy": scores.mean * 100,
                "accuracy_sd": scores.sd * 100,
                "accuracy_ci_low": scores.low * 100,
                "accuracy_ci_high": scores.high * 100,
                "uar": recall.mean * 100,
                "uar_sd": recall.sd * 100,
                "note": results.note(experiment, condition),
            }
        )
    columns = [
        "encoder",
        "percent",
        "n_runs",
        "accuracy",
        "accuracy_sd",
        "accuracy_ci_low",
        "accuracy_ci_high",
        "uar",
        "uar_sd",
        "note",
    ]
    return pd.DataFrame(rows, columns=columns).sort_values(["encoder", "percent"], ignore_index=True)


def missing_conditions(results: Results, experiment: str) -> list[str]:
    """Returns the conditions of ablations or label_efficiency that the script would run, and that have not been run."""
    from experiments.ablations import CONDITIONS
    from experiments.label_efficiency import name_conditions

    wanted = CONDITIONS if experiment == "ablations" else name_conditions()
    present = results.conditions(experiment)
    return [name for name in wanted if name not in present]


def custom(results: Results) -> pd.DataFrame:
    """Returns the scores of users' own data sets, long, in the layout of the tables."""
    return _loso_rows(results, "custom")


def closest_reading(table: pd.DataFrame, condition: str | None = None) -> pd.Series | None:
    """Returns the reading of Table 1's accuracy with the smallest mean distance to the paper over the four speakers.

    Args:
        table: from `table1`.
        condition: one condition, or None for all.
    Returns:
        A row with ``condition``, ``metric``, ``level`` and ``distance`` (points), or None when nothing has been run.
    """
    ours = table[(table["system"] == OURS) & table["column"].isin(SPEAKERS) & table["mean"].notna()]
    if condition is not None:
        ours = ours[ours["condition"] == condition]
    if ours.empty:
        return None
    groups = ours.assign(distance=(ours["mean"] - ours["paper"]).abs()).groupby(["condition", "metric", "level"], sort=False)[
        "distance"
    ]
    distances = groups.mean()[groups.count() == len(SPEAKERS)].reset_index()
    return None if distances.empty else distances.loc[distances["distance"].idxmin()]


def _all_conditions(results: Results, experiment: str) -> list[str]:
    present = results.conditions(experiment)
    return [*EXPECTED.get(experiment, ()), *(name for name in present if name not in EXPECTED.get(experiment, ()))]


def _base_condition(results: Results, experiment: str) -> str | None:
    present = results.conditions(experiment)
    marked = [name for name in present if any(config.get("base") is True for config in results.settings(experiment, name))]
    return next(
        iter([*marked, *(name for name in ("began_16_epochs", "began", "base", "head_per_second") if name in present)]), None
    )


def _paper_mean(experiment: str, columns: Iterable[str]) -> float | None:
    values = [paper.paper_value(experiment, column) for column in columns]
    return None if not values or None in values else sum(values) / len(values)


def _unit(metric: str) -> str:
    return "" if metric.startswith(("concordance", "mean_squared", "pearson")) else "%"


def _scale(unit: str) -> float:
    return 100.0 if unit == "%" else 1.0


def _published_rows(experiment: str) -> list[dict]:
    unit = "" if experiment == "table2_omg" else "%"
    rows = []
    for score in paper.published(experiment):
        scale = _scale(unit)
        rows.append(
            {
                "system": score.system,
                "column": score.column,
                "unit": unit,
                "mean": score.value * scale,
                "sd": math.nan if score.sd is None else score.sd * scale,
                "spread_over": "" if score.sd is None else "executions",
                "protocol": "as ours" if score.same_protocol else "another",
                "note": score.note,
                "source": score.source,
            }
        )
    return rows


def _our_row(
    results: Results,
    experiment: str,
    condition: str,
    column: str,
    metric: str,
    level: str,
    fold: str,
    unit: str,
    summary: Summary,
    in_the_paper: float | None,
    spread_over: str = "runs",
) -> dict:
    scale = _scale(unit)
    in_the_paper = math.nan if in_the_paper is None else in_the_paper * scale
    return {
        "system": OURS,
        "condition": condition,
        "column": column,
        "metric": metric,
        "level": level,
        "fold": fold,
        "unit": unit,
        "mean": summary.mean * scale,
        "sd": summary.sd * scale,
        "spread_over": spread_over,
        "n": summary.n,
        "ci_low": summary.low * scale,
        "ci_high": summary.high * scale,
        "paper": in_the_paper,
        "difference": summary.mean * scale - in_the_paper,
        "protocol": results.protocol(experiment, condition),
        "note": results.note(experiment, condition),
    }


def _not_run(experiment: str, condition: str, column: str, metric: str, unit: str) -> dict:
    value = paper.paper_value(experiment, column)
    return {
        "system": OURS,
        "condition": condition,
        "column": column,
        "metric": metric,
        "level": "chunk" if "leaking" in condition else "utterance",
        "unit": unit,
        "n": 0,
        "paper": math.nan if value is None else value * _scale(unit),
        "protocol": describe_protocol(experiment, condition),
        "note": NOT_RUN,
    }


def _frame(rows: list[dict]) -> pd.DataFrame:
    table = pd.DataFrame(rows, columns=list(_COLUMNS))
    numbers = ["mean", "sd", "n", "ci_low", "ci_high", "paper", "difference"]
    table[numbers] = table[numbers].astype(float)
    table["n"] = table["n"].astype("Int64")
    texts = [name for name in _COLUMNS if name not in numbers]
    table[texts] = table[texts].astype(object).where(table[texts].notna(), "").astype(str)
    return table
