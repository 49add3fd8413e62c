"""Run folders: where an experiment writes what it did, and where tables, figures and notebooks read it.

Layout, under one results folder::

    results/<experiment>/<condition>/
        search/<fold>-<task>-<hash>.csv    the trials of a search, one row per trial; runs that share a split share it
        run<N>/
            config.json         all that decides the scores; written first
            environment.json    commit, versions, threads, devices, date
            history.csv         one row per epoch, of methods that have epochs
            predictions.csv     one row per utterance of the test part
            metrics.csv         tidy scores; written last, so its presence marks a complete run

    results/sounds/<hash>.csv   utterance and hash of its sound: which recordings runs were made on, once for all of them

Each file appears whole or not at all.
"""

import json
import re
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from began.errors import InputError
from began.files import StrPath
from experiments.evaluation.environment import describe_environment
from experiments.evaluation.result_files import (
    RUN_AGAIN,
    SEARCH,
    plain,
    put_in_front,
    read_json,
    read_table,
    write_json,
    write_table,
)
from experiments.evaluation.resuming import refuse_other_settings

METRICS_COLUMNS = ("experiment", "condition", "run", "fold", "split", "level", "metric", "value")
SPLITS = ("validation", "test")
LEVELS = ("chunk", "recording", "utterance")
"""Of scores: chunks of a second; whole utterances as recorded; whole utterances as the method reads them, with its copies."""

_NAME = re.compile(r"[^\W_][\w.-]*")
_RUN_FOLDER = re.compile(r"run(0|[1-9]\d*)")

_CONFIG_TYPES: dict[str, tuple[type, ...]] = {
    **dict.fromkeys(("corpus", "protocol", "method", "features", "note", "utterances_sha256", "sounds_sha256"), (str,)),
    **dict.fromkeys(("max_evals", "n_missing", "n_without_chunks", "n_copies", "n_shared_speakers"), (int, type(None))),
    **dict.fromkeys(("synthetic", "search", "normalize_speakers", "adversarial"), (bool,)),
    "epochs": (int, float),
    "class_weight": (str, type(None)),
    "pooling": (dict, str),
}
"""What reports read of config.json, whose keys may be absent, and what it may be."""


class RunFolder:
    """One run of one condition of one experiment: `start` it, write its tables and `finish` it, unless it is complete.

    Args:
        results_dir: the results folder; need not exist.
        experiment, condition: names of letters, digits, ``.``, ``_`` and ``-``.
        run: number of the run; None for work done once (a pre-training), whose files then lie in
            ``<experiment>/<condition>/`` itself.
    Raises:
        InputError: a name that cannot be a folder's.
    """

    def __init__(self, results_dir: StrPath, experiment: str, condition: str, run: int | None = None) -> None:
        for what, name in (("experiment", experiment), ("condition", condition)):
            if not _NAME.fullmatch(str(name)):
                expected = "letters, digits, '.', '_' and '-', the first one a letter or a digit"
                raise InputError.about(f"name of the {what}", repr(name), expected, "choose another name")
        self.results_dir = Path(results_dir)
        self.experiment, self.condition, self.run = str(experiment), str(condition), run
        self.path = self.results_dir / self.experiment / self.condition
        if run is not None:
            self.path /= f"run{run}"

    @property
    def is_started(self) -> bool:
        """True once config.json is there."""
        return (self.path / "config.json").is_file()

    @property
    def is_complete(self) -> bool:
        """True once metrics.csv is there, which is written last."""
        return (self.path / "metrics.csv").is_file()

    @property
    def search_folder(self) -> Path:
        """The folder of the condition's searches, which runs share."""
        return self.path.parent / SEARCH

    def start(self, config: Mapping[str, Any], may_differ: Collection[str] = ()) -> None:
        """Opens the folder for writing, or goes on with a run of the same settings.

        Args:
            config: all that decides the scores. Paths, NumPy values and tuples become plain JSON.
            may_differ: keys that may differ from those of a run that is resumed.
        Raises:
            InputError: the folder holds a run with other settings, or cannot be written.
        """
        plain_config, path = dict(plain(config)), self.path / "environment.json"
        if not self.is_started and not self.is_complete:
            write_json(self.path / "config.json", plain_config)
            write_json(path, describe_environment())
            return
        refuse_other_settings(self.path, self.read_config(), plain_config, may_differ)
        if path.is_file() and self.is_complete:
            return
        environment = describe_environment()
        if path.is_file():
            now = {key: environment[key] for key in ("date", "commit", "uncommitted_changes", "devices")}
            environment = read_json(path)
            before = environment.get("resumed")
            environment["resumed"] = [*(before if isinstance(before, list) else []), now]
        write_json(path, environment)

    def add_to_environment(self, **known: Any) -> None:
        """Writes into the environment.json of a run that was started what is known only later."""
        path = self.path / "environment.json"
        write_json(path, {**read_json(path), **known})

    def write_table(self, name: str, table: pd.DataFrame) -> None:
        """Writes ``<name>.csv``, whole or not at all, without the index."""
        write_table(self.path / f"{name}.csv", table)

    def finish(self, metrics: pd.DataFrame) -> None:
        """Writes metrics.csv, as `metrics_rows` makes them, which marks the run as complete: to be called last.

        Raises:
            ValueError: wrong columns, names or a score given twice (a fault of the caller).
        """
        if fault := _find_fault(metrics):
            raise ValueError(f"{self.path}: {fault}")
        self.write_table("metrics", metrics)

    def read_config(self) -> dict:
        """Returns the content of config.json; nothing where there is none.

        Raises:
            InputError: it is damaged, or holds what no run has.
        """
        path = self.path / "config.json"
        config = read_json(path) if self.is_started else {}
        for name, kinds in _CONFIG_TYPES.items():
            if name in config and type(config[name]) not in kinds:
                expected = " or ".join(kind.__name__ for kind in kinds)
                raise InputError.about(path, f"{name} {json.dumps(config[name])[:60]}", expected, RUN_AGAIN)
            if isinstance(value := config.get(name), int) and value < 0:
                raise InputError.about(path, f"{name} {value}", "a count", RUN_AGAIN)
        return config


def metrics_rows(
    values: Mapping[str, float], experiment: str, condition: str, run: int | None, fold: str, split: str, level: str
) -> pd.DataFrame:
    """Returns metrics (name -> score, a fraction) as tidy rows, one per metric, columns METRICS_COLUMNS.

    The fold is a held-out speaker or fold, or POOLED; split and level are of SPLITS and LEVELS.
    """
    rows = [(experiment, condition, run, str(fold), split, level, metric, float(value)) for metric, value in values.items()]
    return pd.DataFrame(rows, columns=list(METRICS_COLUMNS))


def find_runs(
    results_dir: StrPath, experiment: str | None = None, condition: str | None = None, complete: bool = True
) -> list[RunFolder]:
    """Returns the complete run folders, or all that were begun, sorted by experiment, condition and number."""
    root, found = Path(results_dir), []
    for folder in root.glob(f"{experiment or '*'}/{condition or '*'}/run*"):
        number = _RUN_FOLDER.fullmatch(folder.name)
        names = folder.parent.parent.name, folder.parent.name
        if number and folder.is_dir() and all(_NAME.fullmatch(name) for name in names):
            run = RunFolder(root, *names, int(number[1]))
            if run.is_complete if complete else run.is_started:
                found.append(run)
    return sorted(found, key=lambda run: (run.experiment, run.condition, run.run))


def list_left_out(results_dir: StrPath) -> list[str]:
    """Returns which folders of runs no table reads, under the results folder, and why."""
    root, complete = Path(results_dir), {run.path for run in find_runs(results_dir)}
    others = sorted(path for path in root.glob("*/*/run[0-9]*") if path.is_dir() and path not in complete)
    return [f"{path.relative_to(root)} ({_say_why(path)})" for path in others]


def _say_why(left_out: Path) -> str:
    if not _RUN_FOLDER.fullmatch(left_out.name):
        return "not named run1, run2, …"
    return "another name than commands give" if (left_out / "metrics.csv").is_file() else "no metrics.csv"


def read_metrics(results_dir: StrPath, experiment: str | None = None, condition: str | None = None) -> pd.DataFrame:
    """Returns the scores of all complete runs, tidy: columns METRICS_COLUMNS, an empty table when there are none.

    Raises:
        InputError: a metrics.csv that is not in the layout.
    """
    table = _read_all("metrics", find_runs(results_dir, experiment, condition))
    return table if len(table) else pd.DataFrame(columns=list(METRICS_COLUMNS)).astype({"run": int, "value": float})


def read_predictions(results_dir: StrPath, experiment: str | None = None, condition: str | None = None) -> pd.DataFrame:
    """Returns the predictions of all complete runs, with ``experiment``, ``condition``, ``run`` in front."""
    return _read_all("predictions", find_runs(results_dir, experiment, condition))


def _read_all(name: str, runs: Iterable[RunFolder]) -> pd.DataFrame:
    tables = []
    for run in runs:
        path = run.path / f"{name}.csv"
        if not path.is_file():
            continue
        table = read_metrics_file(path) if name == "metrics" else read_table(path)
        # The folder tells whose scores these are; before anything is rendered, the files are compared with it.
        tables.append(put_in_front(table, {"experiment": run.experiment, "condition": run.condition, "run": run.run}))
    return pd.concat(tables, ignore_index=True) if tables else pd.DataFrame(columns=["experiment", "condition", "run"])


def read_metrics_file(path: Path) -> pd.DataFrame:
    """Returns the content of a metrics.csv.

    Raises:
        InputError: it is absent or not in the layout.
    """
    table = read_table(path)
    if fault := _find_fault(table):
        raise InputError.about(path, fault, f"columns {', '.join(METRICS_COLUMNS)}", RUN_AGAIN)
    return table


def _find_fault(metrics: pd.DataFrame) -> str | None:
    """Returns what is wrong with the layout of metrics; None where nothing is."""
    if tuple(metrics.columns) != METRICS_COLUMNS:
        return f"columns {list(metrics.columns)}"
    if metrics.empty:
        return "no score at all"
    for column, allowed in (("split", SPLITS), ("level", LEVELS)):
        if wrong := sorted(set(metrics[column]) - set(allowed)):
            return f"{column} {wrong}, not one of {list(allowed)}"
    if not pd.api.types.is_numeric_dtype(metrics["value"]):
        return "values that are not numbers"
    twice = metrics[metrics.duplicated(list(METRICS_COLUMNS[:-1]))]
    return f"a score given twice: {twice.iloc[0].tolist()}" if len(twice) else None
