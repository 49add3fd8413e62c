"""The paper's tables, ablations, label efficiency and own data sets, each as one tidy table."""

import math
from typing import Any

import numpy as np
import pandas as pd

from classifiers.metrics import DIMENSIONS
from experiments.corpora.record import AVERAGED, MEAN_OVER_SPEAKERS, POOLED, SCOPES
from experiments.evaluation import paper
from experiments.evaluation.condition import CORPUS_TITLES, HEADS
from experiments.evaluation.conditions import LABEL_EFFICIENCY, OF_OTHER_SEEDS
from experiments.evaluation.runs import LEVELS
from experiments.reporting.error_analysis import average_runs
from experiments.reporting.notes import OTHER_RECORDINGS, SYNTHETIC_NOTICE, describe_protocol, join_notes
from experiments.reporting.summary import RECALL, RECORDS, Results, find_base, select

OURS = "ours"
FILES = {"table1_savee": "table1", "table2_omg": "table2", "table3_emodb": "table3", "ablations": "ablations"}
FILES |= {"label_efficiency": "label_efficiency", "custom": "custom"}
"""Experiment -> name of its files under results/tables."""

METRIC_NAMES = {
    "accuracy": "accuracy",
    "unweighted_average_recall": "UAR",
    "binary_accuracy": "binary accuracy (mean over the class outputs)",
    "f1_micro": "F1 micro (= accuracy; the challenge's official F)",
    "f1_macro": "F1 macro",
    "f1_weighted": "F1 weighted",
    "fbeta_0.5_macro": "F-beta 0.5 macro",
    "fbeta_0.5_rounded": "F-beta 0.5 of rounded outputs",
}
_OF_DIMENSIONS = {
    "concordance_correlation_coefficient_{}": "CCC, pooled over utterances, {}",
    "mean_squared_error_{}": "mean squared error, {}",
    "pearson_correlation_{}": "Pearson correlation, {}",
    "concordance_correlation_coefficient_{}_per_video": "CCC, mean over videos, {}",
}
METRIC_NAMES |= {key.format(name): text.format(name) for name in DIMENSIONS for key, text in _OF_DIMENSIONS.items()}

ABLATIONS = {
    "utterance_head": "On whole utterances",
    "began_16_epochs": "On one second at a time, and whole networks",
    "savee_utterance_head": "On whole utterances of SAVEE",
}
"""Base of ablations -> heading of those that are compared with it."""

READINGS = {
    "table1_savee": ("accuracy", RECALL, "binary_accuracy"),
    "table2_omg": ("f1_micro", "f1_macro", "f1_weighted", "fbeta_0.5_macro", "fbeta_0.5_rounded", "binary_accuracy"),
}
"""What the paper's "accuracy" and "F-score" may be."""

_UNITLESS = ("concordance", "mean_squared", "pearson")
_TEXTS = ["system", "condition", "column", "metric", "level", "scope", "unit", "base", "protocol", "notes", "source"]
_SCORES = ["mean", "sd_over_runs", "ci_low", "ci_high", "difference_to_base", "difference_ci_low", "difference_ci_high"]
_SCORES += ["paper", "difference_to_paper"]
_COUNTS = ["n_runs", "n_speakers"]
_PUBLISHED = {"value": "mean", "sd": "sd_over_runs", "note": "notes"}


def make_table(results: Results, experiment: str) -> pd.DataFrame:
    """Returns a table in tidy form: published rows, then ours, by condition; n_runs is 0 for what has not been run.

    Scores are in percent where ``unit`` says so. Ablations and label efficiency list no single speakers and the main metrics
    alone; ablations have a row for all runs averaged.
    """
    present, ours = results.conditions(experiment), select(results.scores, experiment=experiment)
    known = RECORDS[experiment].conditions
    listed = [
        name
        for name, one in known.items()
        if one.altered_copies and (experiment == "table3_emodb" or one.method in HEADS)  # what the commands run by default
    ]
    absent = [name for name in listed if name not in present] if experiment.startswith("table") else []
    if experiment in ("ablations", "label_efficiency"):
        ours = ours[ours["metric"].isin(("accuracy", RECALL)) & ours["scope"].isin(SCOPES)]
    averages = [_average(results, experiment, name) for name in present] if experiment == "ablations" else []
    ours = pd.concat([ours, pd.DataFrame([*averages, *({"condition": name, "n_runs": 0} for name in absent)])])
    order = {"condition": [*known, *present], "metric": [*METRIC_NAMES], "level": LEVELS[::-1], "scope": SCOPES}
    ranks = {name: {value: rank for rank, value in enumerate(dict.fromkeys(values))} for name, values in order.items()}
    ours = ours.sort_values([*order], key=lambda values: values.map(ranks[values.name]).fillna(99), kind="stable")

    columns = [_column(experiment, metric, scope) for metric, scope in zip(ours["metric"], ours["scope"], strict=True)]
    ours = ours.assign(system=OURS, column=columns)
    names = (*present, *absent)
    ours["protocol"] = ours["condition"].map({name: describe_protocol(results, experiment, name) for name in names})
    ours["notes"] = ours["condition"].map({name: join_notes(results, experiment, [name]) for name in names})
    with_paper = ours["scope"].isin((POOLED, MEAN_OVER_SPEAKERS)) | (ours["scope"] == ours["column"])
    ours["paper"] = ours["column"].map(lambda name: paper.paper_value(experiment, name)).where(with_paper).astype(float)
    notes = ours["notes"].astype(str)
    others = notes.str.contains(SYNTHETIC_NOTICE, regex=False) | notes.str.contains(OTHER_RECORDINGS, regex=False)
    ours["difference_to_paper"] = (ours["mean"] - ours["paper"]).where(~others)

    published = pd.DataFrame(paper.published(experiment)).rename(columns=_PUBLISHED)
    table = pd.concat([published, ours], ignore_index=True).reindex(columns=[*_TEXTS[:8], *_SCORES, *_COUNTS, *_TEXTS[8:]])
    table[_TEXTS] = table[_TEXTS].astype(object).fillna("").astype(str)
    table[_COUNTS] = table[_COUNTS].astype(float).astype("Int64")
    unitless = table["metric"].str.startswith(_UNITLESS) | (experiment == "table2_omg")
    table["unit"] = np.where(unitless, "", "%")
    table[_SCORES] = table[_SCORES].astype(float).mul(np.where(unitless, 1.0, 100.0), axis=0)
    return table


def accuracies(table: pd.DataFrame, scope: str = MEAN_OVER_SPEAKERS) -> pd.DataFrame:
    """Returns the utterance accuracies of a scope, one row per condition, as figures take them.

    Conditions of the label efficiency, named ``<corpus>_<method>_<percent>``, have these as columns, too.
    """
    chosen = select(table, system=OURS, metric="accuracy", level="utterance", scope=scope).reset_index(drop=True)
    parts = chosen["condition"].str.extract(rf"^(?P<corpus>{'|'.join(LABEL_EFFICIENCY)})_(?P<method>.+)_(?P<percent>\d+)$")
    return chosen.assign(corpus=parts["corpus"], method=parts["method"], percent=pd.to_numeric(parts["percent"]))


def split_ablations(table: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """Returns base -> the ablations that are compared with it, in their order; encoders of other seeds have their own table."""
    shown = table[~table["condition"].isin(OF_OTHER_SEEDS)]
    bases = shown["condition"].map(lambda name: find_base("ablations", name))
    return {base: shown[bases == base] for base in ABLATIONS if (bases == base).any()}


def label_ablations(base: str, rows: pd.DataFrame) -> dict[str, Any]:
    """Returns title, note, and name and percent of the paper's score, of the picture of the ablations compared with a base.

    The paper's score stands beside accuracies on the published recordings alone.
    """
    corpus, note = RECORDS["ablations"].conditions[base].corpus, note_other_recordings(rows)
    of_paper = corpus == "emodb" and not note
    reference = ("the paper", 100 * paper.paper_value("table3_emodb", "accuracy")) if of_paper else None
    title = f"{CORPUS_TITLES[corpus]}: utterance accuracy, 95 % intervals over speakers"
    return {"title": title, "note": note, "reference": reference}


def mark_speakers(
    results: Results, experiment: str, condition: str
) -> tuple[dict[str, dict[str, tuple[float, float]]], dict[str, float]]:
    """Returns the published scores that stand beside ours in a picture of speakers; none beside scores on other recordings.

    Returns:
        System -> speaker -> (accuracy, standard deviation or NaN), and name -> one accuracy for all speakers; in percent.
    """
    marks: dict[str, dict[str, tuple[float, float]]] = {}
    lines: dict[str, float] = {}
    for score in paper.published(experiment) if results.is_comparable(experiment, condition) else ():
        if experiment == "table1_savee" and score.column in RECORDS[experiment].columns:
            deviation = math.nan if score.sd is None else 100 * score.sd
            marks.setdefault(score.system, {})[score.column] = 100 * score.value, deviation
        elif experiment == "table3_emodb" and score.system == paper.PAPER:
            lines["the paper, all speakers"] = 100 * score.value
    return marks, lines


def note_other_recordings(rows: pd.DataFrame) -> str:
    """Returns what the notes of some rows say of other recordings than the published ones; "" where all are on those."""
    notes = dict.fromkeys(note for of_row in rows["notes"] for note in of_row.split("; "))
    return "; ".join(note for note in notes if note.startswith((SYNTHETIC_NOTICE, OTHER_RECORDINGS)))


def _column(experiment: str, metric: str, scope: str) -> str:
    """Returns the column of the paper's table that a score belongs to: speakers in Table 1, measures in the others."""
    if experiment == "table1_savee":
        return scope
    if metric in READINGS.get(experiment, ()):
        return "F-score"
    return next((column for column, measure in RECORDS[experiment].columns.items() if measure == metric), "")


def _average(results: Results, experiment: str, condition: str) -> dict:
    """Returns the row for all runs together, their scores averaged; NaN for one run, or where runs have other test parts."""
    predictions, accuracy = results.predictions(experiment, condition), math.nan
    n_runs = predictions["run"].nunique()
    if "prediction" in predictions and n_runs > 1 and (predictions["utterance"].value_counts() == n_runs).all():
        together = average_runs(predictions)
        accuracy = (together["target"] == together["prediction"]).mean()
    names = {"experiment": experiment, "condition": condition, "metric": "accuracy", "level": "utterance", "scope": AVERAGED}
    return {**names, "mean": accuracy, "n_runs": n_runs}
