"""Every picture that the run folders under a results folder allow."""

from __future__ import annotations

import math
import os
from pathlib import Path
from typing import Any

import pandas as pd

from experiments.evaluation import paper, runs
from experiments.figures.comparison import plot_ablations, plot_label_efficiency
from experiments.figures.predictions import plot_arousal_valence, plot_confusion, plot_speakers
from experiments.figures.search import distinct_searches, plot_search, plot_search_parameters
from experiments.figures.style import count, words
from experiments.figures.training import plot_convergence
from experiments.reporting.errors import count_confusions
from experiments.reporting.results import SYNTHETIC_NOTICE, Results
from experiments.reporting.tables import NOT_RUN, ablations, label_efficiency, missing_conditions

_CORPORA = {"table1_savee": "SAVEE", "table2_omg": "OMG-Emotion", "table3_emodb": "EmoDB", "custom": "own data"}


def draw_all(results_dir: str | os.PathLike, out_dir: str | os.PathLike | None = None) -> list[Path]:
    """Draws every picture that the run folders allow, and returns the paths.

    Args:
        results_dir: the results folder.
        out_dir: where to; default ``<results_dir>/figures``.
    Raises:
        InputError: no such folder, a damaged file in it, or a folder that cannot be written.
    """
    results = Results.read(results_dir)
    folder = Path(out_dir) if out_dir is not None else Path(results_dir) / "figures"
    drawn: list[Path] = []

    def save(name: str, plot: Any, *arguments: Any, **options: Any) -> None:
        path = folder / f"{name}.png"
        if plot(*arguments, path=path, **options) is not None:
            drawn.append(path)

    for experiment, corpus in _CORPORA.items():
        for condition in results.conditions(experiment):
            name, title = f"{experiment}_{condition}", f"{corpus}, “{words(condition)}”"
            note = _note(results, experiment, condition)
            predictions = runs.read_predictions(results_dir, experiment, condition)
            if len(predictions) and "prediction" in predictions:
                save(f"{name}_confusion", plot_confusion, count_confusions(predictions), title=title, note=note)
            if len(predictions) and "arousal_prediction" in predictions:
                save(f"{name}_arousal_valence", plot_arousal_valence, predictions, title=title, note=note)
            trials = distinct_searches(runs.read_trials(results_dir, experiment, condition))
            if len(trials) and "loss" in trials:
                for head, part in _by_head(trials):
                    heading = f"{title}{head and f', {words(head)}'}: hyper-parameter search"
                    suffix = f"_{head}" if head else ""
                    save(f"{name}_search{suffix}", plot_search, part, title=heading, note=note)
                    save(f"{name}_search_parameters{suffix}", plot_search_parameters, part, title=heading, note=note)
            level = results.main_level(experiment, condition)
            folds = results.by_run_and_fold(experiment, condition, "accuracy", level) * 100
            if folds.shape[1] > 1:
                marks, lines = paper.marks_and_lines(experiment)
                one = "fold" if experiment == "custom" else "speaker"
                save(
                    f"{name}_speakers",
                    plot_speakers,
                    folds,
                    marks,
                    lines,
                    note=note,
                    xlabel=one,
                    ylabel=f"{level} accuracy (%)",
                    title=f"{title}: accuracy per {'held-out ' * (experiment == 'table3_emodb')}{one}",
                )
    table = ablations(results)
    if len(table):
        reference = ("the paper", 100 * (paper.paper_value("table3_emodb", "accuracy") or math.nan))
        save(
            "ablations",
            plot_ablations,
            table,
            reference,
            title="EmoDB, leave one speaker out: what matters",
            note=_notes(table, missing_conditions(results, "ablations")),
        )
    table = label_efficiency(results)
    if len(table):
        save(
            "label_efficiency",
            plot_label_efficiency,
            table,
            title="EmoDB, leave one speaker out: how many labels",
            note=_notes(table, missing_conditions(results, "label_efficiency")),
        )
    for history in sorted(Path(results_dir).glob("pretrain_librispeech/*/history.csv")):
        values = runs.read_table(history)
        if len(values) and {"step", "convergence_measure"} <= set(values):
            config = history.parent / "config.json"
            synthetic = config.is_file() and runs.read_json(config).get("synthetic")
            save(
                f"pretrain_{history.parent.name}_convergence",
                plot_convergence,
                values,
                title=f"Pre-training “{history.parent.name}”: convergence",
                note=SYNTHETIC_NOTICE if synthetic else "",
            )
    return drawn


def _note(results: Results, experiment: str, condition: str) -> str:
    runs_done = count(len(results.settings(experiment, condition)), "run")
    return "; ".join(note for note in (runs_done, results.note(experiment, condition)) if note)


def _notes(table: pd.DataFrame, missing: list[str]) -> str:
    """Returns every note of a table's rows, once, and what has not been run."""
    notes = dict.fromkeys(note for notes in table["note"] for note in notes.split("; ") if note)
    return "\n".join(
        part
        for part in (
            "; ".join(f"of some: {note}" for note in notes),
            missing and f"{NOT_RUN}: {', '.join(words(name) for name in missing)}",
        )
        if part
    )


def _by_head(trials: pd.DataFrame) -> list[tuple[str, pd.DataFrame]]:
    # Table 2 searches two heads, whose losses do not compare.
    if "task" in trials and trials["task"].nunique() > 1:
        return [(str(head), part) for head, part in trials.groupby("task", sort=True)]
    return [("", trials)]
