"""Checks all runs, then writes tables, figures and the README's results from their folders."""

import re
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from began.errors import counted
from began.files import StrPath, lock_folder, write_text
from classifiers.metrics import TASKS
from experiments.corpora.record import POOLED
from experiments.evaluation.condition import CORPUS_TITLES, HEADS
from experiments.evaluation.conditions import EXPERIMENTS, LABEL_EFFICIENCY, ROBUSTNESS, TRANSFER
from experiments.evaluation.result_files import write_table
from experiments.reporting import encoder_seeds_table, robustness_table, transfer_table
from experiments.reporting.consistency import check_results
from experiments.reporting.error_analysis import count_confusions
from experiments.reporting.notes import list_notes
from experiments.reporting.readme import readme_section, update_readme
from experiments.reporting.summary import Results, TestPart
from experiments.reporting.tables import (
    ABLATIONS,
    FILES,
    accuracies,
    label_ablations,
    make_table,
    mark_speakers,
    note_other_recordings,
    split_ablations,
)
from experiments.reporting.tables_markdown import to_markdown

_MORE_TABLES = {ROBUSTNESS.name: robustness_table, TRANSFER.name: transfer_table, encoder_seeds_table.NAME: encoder_seeds_table}
_OF_CONDITIONS = "table1_savee|table2_omg|table3_emodb|custom"
_KINDS = f"confusion|speakers|arousal_valence|search(_parameters)?(_{'|_'.join(TASKS)})?"
_FIGURES = re.compile(
    rf"({_OF_CONDITIONS})_.+_({_KINDS})|ablations_({'|'.join(ABLATIONS)})|label_efficiency_({'|'.join(LABEL_EFFICIENCY)})"
)
"""Names of all figures."""


def render(results_dir: StrPath, readme: StrPath | None = None) -> list[Path]:
    """Writes tables and figures, and the README's results where a README is named; returns the paths.

    All runs are checked first, for the tables hold all of them. That takes about as long as the writing itself.

    Raises:
        InputError: a file that is damaged or does not belong to the others, one that cannot be written, or a README without
            its markers.
    """
    folder = Path(results_dir)
    check_results(folder)  # before anything is written
    # Of commands that end at the same time, one would otherwise overwrite newer tables with older ones.
    with lock_folder(folder / "tables", wait=True):
        results = Results(results_dir)
        tables = {name: make_table(results, name) for name in FILES if name in EXPERIMENTS or results.conditions(name)}
        parts = {condition: results.test_part("custom", condition) for condition in results.conditions("custom")}
        written = write_tables(tables, folder / "tables", parts) + draw_figures(results, tables, folder / "figures")
        for name, module in _MORE_TABLES.items():
            if len(table := module.make_table(results)):
                path = folder / "tables" / f"{name}.md"
                _write_csv(path.with_suffix(".csv"), table)
                write_text(path, module.to_markdown(results, table))
                written += [path.with_suffix(".csv"), path]
        _remove_outdated(folder, written)
        if readme is not None:
            update_readme(readme, readme_section(tables, folder, readme))
            written.append(Path(readme))
        return written


def _remove_outdated(folder: Path, written: Collection[Path]) -> None:
    """Removes tables and figures that an earlier call wrote, of runs that are there no longer."""
    tables = {folder / "tables" / f"{name}{ending}" for name in (*FILES.values(), *_MORE_TABLES) for ending in (".csv", ".md")}
    figures = {path for path in (folder / "figures").glob("*.png") if _FIGURES.fullmatch(path.stem)}
    for path in (tables | figures) - {*written}:
        path.unlink(missing_ok=True)


def _write_csv(path: Path, table: pd.DataFrame) -> None:
    # Rounded so that the last bits of a sum cannot change a file that is under version control.
    write_table(path, table.round(6))


def write_tables(tables: Mapping[str, pd.DataFrame], folder: Path, parts: Mapping[str, TestPart]) -> list[Path]:
    """Writes tables as CSV and Markdown and returns the paths; `parts` are what own data sets were tested on, by condition."""
    written = []
    for experiment, table in tables.items():
        if experiment == "custom":
            table = table.drop(columns=["paper", "difference_to_paper"])  # of another data set
        written.append(folder / f"{FILES[experiment]}.csv")
        _write_csv(written[-1], table)
        if experiment != "label_efficiency":
            written.append(folder / f"{FILES[experiment]}.md")
            write_text(written[-1], to_markdown(experiment, table, parts if experiment == "custom" else {}))
    return written


def draw_figures(results: Results, tables: Mapping[str, pd.DataFrame], folder: Path) -> list[Path]:
    """Draws every picture that the runs allow and returns the paths."""
    from experiments import figures
    from experiments.figures.style import shorten_name, words

    drawn: list[Path] = []

    def save(name: str, plot: Any, *arguments: Any, **options: Any) -> None:
        path = folder / f"{name}.png"
        if plot(*arguments, path=path, **options) is not None:
            drawn.append(path)

    for experiment in ("table1_savee", "table2_omg", "table3_emodb", "custom"):
        for condition in results.conditions(experiment):
            settings = results.settings(experiment, condition)
            name, title = f"{experiment}_{condition}", f"{settings[0].get('corpus', 'own data')}, “{words(condition)}”"
            note = "; ".join([counted(len(settings), "run"), *list_notes(results, experiment, condition)])
            predictions = results.predictions(experiment, condition)
            if "prediction" in predictions:
                save(f"{name}_confusion", figures.plot_confusion, count_confusions(predictions), title=title, note=note)
            if "arousal_prediction" in predictions:
                save(f"{name}_arousal_valence", figures.plot_arousal_valence, predictions, title=title, note=note)
            if settings[0].get("method") in HEADS:
                trials = results.trials(experiment, condition)
                of_two = trials["task"].nunique() > 1
                for task, part in trials.groupby("task"):  # losses of two tasks do not compare
                    suffix, heading = f"_{task}" * of_two, f"{title}{f', {task}' * of_two}: hyper-parameter search"
                    save(f"{name}_search{suffix}", figures.plot_search, part, title=heading, note=note)
                    save(f"{name}_search_parameters{suffix}", figures.plot_search_parameters, part, title=heading, note=note)
            level = results.main_level(experiment, condition)
            folds = results.by_run_and_fold(experiment, condition, "accuracy", level) * 100
            if folds.shape[1] > 1:
                one = "speaker" if results.has_speakers_as_folds(experiment, condition) else "fold"
                marks, lines = mark_speakers(results, experiment, condition)
                if experiment == "custom":
                    part = results.test_part(experiment, condition)
                    lines = part.lines
                    sizes = [part.sizes.get(str(name), 0) for name in folds.columns]
                    folds.columns = [f"{shorten_name(name)} ({n})" for name, n in zip(folds.columns, sizes, strict=True)]
                    one += " (utterances)"
                labels = {"title": f"{title}: accuracy per {one.split()[0]}", "xlabel": one, "ylabel": f"{level} accuracy (%)"}
                save(f"{name}_speakers", figures.plot_speakers, folds, marks, lines, note=note, **labels)
    for base, rows in split_ablations(accuracies(tables["ablations"])).items():
        save(f"ablations_{base}", figures.plot_ablations, rows, **label_ablations(base, rows))
    for corpus, rows in accuracies(tables["label_efficiency"], POOLED).groupby("corpus"):
        labels = {"title": f"{CORPUS_TITLES[corpus]}: how many labels", "note": note_other_recordings(rows)}
        save(f"label_efficiency_{corpus}", figures.plot_label_efficiency, rows, **labels)
    return drawn
