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
import math
import os
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pandas as pd

from began.errors import InputError, counted, printable, raise_passing
from began.files import shorten, write_atomically, write_text
from classifiers.metrics import TASKS
from experiments.corpora.record import POOLED as POOLED
from experiments.corpora.record import TEXT_COLUMNS, Corpus
from experiments.evaluation.environment import describe_environment
from experiments.evaluation.protocols import Split, name_fold

PathLike = str | os.PathLike[str]
METRICS_COLUMNS = ("experiment", "condition", "run", "fold", "split", "level", "metric", "value")
SPLITS = ("validation", "test")
LEVELS = ("chunk", "recording", "utterance")
"""Of scores: chunks of a second; whole utterances as recorded; whole utterances as the method reads them, with its copies."""

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_RUN_FOLDER = re.compile(r"run(0|[1-9]\d*)")
RUN_AGAIN = "remove its folder and run the experiment again"
SEARCH = "search"
"""Folder of a condition's searches."""
_TRIALS_COLUMNS = ["experiment", "condition", "fold", "task", "trial", "loss", "status", "epochs", "search"]

_OTHERWISE = "choose another --results-dir (or another --name, where the command has one), or remove that folder"


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

    def __init__(self, results_dir: PathLike, experiment: str, condition: str, run: int | None = None) -> None:
        for what, name in (("experiment", experiment), ("condition", condition)):
            if not _NAME.fullmatch(str(name)):
                expected = "letters, digits, '.', '_' and '-'"
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
            _write_json(self.path / "config.json", plain_config)
            _write_json(path, describe_environment())
            return
        _check_same(self.path, self.read_config(), plain_config, may_differ)
        if path.is_file() and self.is_complete:
            return
        environment = describe_environment()
        if path.is_file():
            now = {key: environment[key] for key in ("date", "commit", "uncommitted_changes", "devices")}
            environment = read_json(path)
            before = environment.get("resumed")
            environment["resumed"] = [*(before if isinstance(before, list) else []), now]
        _write_json(path, environment)

    def start_searches(self, config: Mapping[str, Any], searched_as: str = "") -> None:
        """Opens the folder of the condition's searches, which outlives its runs and so keeps their config.json, too.

        Args:
            config: of the runs.
            searched_as: condition whose whole searches are copied where this one has none, if they were made with the same
                settings.
        Raises:
            InputError: its searches were made with other settings, or cannot be written.
        """
        plain_config, folder = dict(plain(config)), self.search_folder
        if (folder / "config.json").is_file():
            _check_same(folder, read_json(folder / "config.json"), plain_config)
            return
        known = folder.parents[1] / searched_as / SEARCH if searched_as else folder
        if (known / "config.json").is_file():
            searched = read_json(known / "config.json")
            if {**plain_config, **searched} == plain_config:
                for path in sorted(known.glob("*.csv")):
                    trials = read_search(path)
                    # One that was cut off may be of a run that is not asked for here, and would never be gone on with.
                    if len(trials) == plain_config.get("max_evals"):
                        write_table(folder / path.name, trials)
        _write_json(folder / "config.json", plain_config)

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


# ------------------------------------------------------------------------------------------------------------ searches


def search_path(folder: Path, split: Split, task: str) -> Path:
    """Returns the file of a fold's search: runs whose inner folds agree share it."""
    return folder / f"{_begin_name(split.fold, task)}{split.fingerprint}.csv"


def how_to_repair(path: Path) -> str:
    """Returns what to do where a file of results is damaged: runs cannot do without the searches they selected in."""
    if path.parent.name != SEARCH:
        return RUN_AGAIN
    return f"remove {path.parents[1]} (its runs belong to these searches), and run the experiment again"


def _begin_name(fold: str, task: str) -> str:
    # Speakers of a manifest may have names with slashes, and long ones.
    fold = re.sub(r"[^\w .+-]", "_", fold)[:50]
    return f"{fold}-{task}-"


def read_search(path: Path) -> pd.DataFrame:
    """Returns the trials of one search.

    Raises:
        InputError: the file is damaged, misses trials, or holds some of another search.
    """
    trials = read_table(path)
    if fault := _find_fault_of_search(path, trials):
        raise InputError.about(path, fault, "the trials of one search, from 0 on", how_to_repair(path))
    return trials


def _find_fault_of_search(path: Path, trials: pd.DataFrame) -> str | None:
    if absent := [name for name in ("fold", "task", "trial", "loss", "status") if name not in trials]:
        return f"no column {', '.join(absent)}"
    if trials["trial"].tolist() != [*range(len(trials))] or trials.empty:
        return f"the trials {', '.join(map(str, trials['trial'])) or 'of none'}"
    for name in [name for name in ("fold", "task", "seed", "search") if name in trials and trials[name].nunique() != 1]:
        return f"trials of more than one {name}"
    if not path.name.startswith(_begin_name(trials["fold"].iloc[0], trials["task"].iloc[0])):
        return f"trials of {name_fold(trials['fold'].iloc[0])}, task {trials['task'].iloc[0]}"
    if not pd.api.types.is_numeric_dtype(trials["loss"]) or (trials["loss"].notna() != (trials["status"] == "ok")).any():
        return "losses that do not fit their status"
    return None


def record_search(
    folder: Path, split: Split, task: str, grid: Sequence[Mapping[str, Any]], search: Callable[[], pd.DataFrame]
) -> pd.Series:
    """Returns the best trial of an exhaustive search, from its file where another run has done it.

    Args:
        grid: the parameters of every trial, in their order.
        search: tries all of them, and returns one row per trial with the columns `trial`, `loss`, `status` and parameters.
    Raises:
        InputError: the file is damaged, or holds the trials of another grid. Losses that were changed cannot be told.
    """
    path = search_path(folder, split, task)
    if not path.exists():
        trials = search()
        trials.insert(0, "fold", split.fold)
        trials.insert(1, "task", task)
        write_table(path, trials)
    trials = read_search(path)
    expected = [{**parameters, "status": "ok"} for parameters in grid]
    if trials.reindex(columns=list(expected[0])).to_dict("records") != expected:
        found = f"{counted(len(trials), 'trial')} with other parameters, or in another order"
        raise InputError.about(path, found, f"the {len(grid)} of this search", how_to_repair(path))
    return trials.loc[trials["loss"].idxmin()]


# -------------------------------------------------------------------------------------------------------------- sounds


def write_sounds(results_dir: PathLike, corpus: Corpus) -> None:
    """Writes the sounds of a corpus, so that a run that is bound to their hash can tell which have changed."""
    path = _sounds_path(results_dir, corpus.sounds_sha256)
    if not path.exists():
        write_table(path, corpus.utterances[["utterance", "sound"]])


def refuse_other_sounds(results_dir: PathLike, folder: Path, corpus: Corpus) -> None:
    """Raises an InputError that names recordings which are no longer those that a run, or searches, were made on.

    A folder without the hash of its sounds was written before runs had one: nothing is known of them, and it is taken as it is.

    Args:
        folder: of the run or the searches; need not exist.
        corpus: as it is now, with its sounds.
    """
    config = read_json(folder / "config.json") if (folder / "config.json").is_file() else {}
    before = config.get("sounds_sha256", corpus.sounds_sha256)
    if before == corpus.sounds_sha256 or config.get("utterances_sha256", corpus.sha256) != corpus.sha256:
        return  # other names or labels are found when settings are compared
    path, now = _sounds_path(results_dir, before), corpus.utterances.set_index("utterance")["sound"]
    found = "a run on recordings that have changed since"
    if path.is_file():
        with _refusing(path, "a CSV table"):
            was = pd.read_csv(path, dtype=str, keep_default_na=False).set_index("utterance")["sound"]
        changed = [printable(name) for name in now.index.union(was.index) if now.get(name) != was.get(name)]
        found += f": {len(changed)} of {len(was)} ({shorten(changed)})"
    raise InputError.about(folder, found, "the recordings that it was made on", f"restore them, or {_OTHERWISE}")


def _sounds_path(results_dir: PathLike, sounds_sha256: str) -> Path:
    return Path(results_dir) / "sounds" / f"{sounds_sha256[:16]}.csv"


# ------------------------------------------------------------------------------------------------------------- reading


def find_runs(
    results_dir: PathLike, experiment: str | None = None, condition: str | None = None, complete: bool = True
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


def read_metrics(results_dir: PathLike, experiment: str | None = None, condition: str | None = None) -> pd.DataFrame:
    """Returns the scores of all complete runs, tidy: columns METRICS_COLUMNS, an empty table when there are none.

    Raises:
        InputError: a metrics.csv that is not in the layout.
    """
    table = _read_all("metrics", find_runs(results_dir, experiment, condition))
    return table if len(table) else pd.DataFrame(columns=list(METRICS_COLUMNS)).astype({"run": int, "value": float})


def read_predictions(results_dir: PathLike, experiment: str | None = None, condition: str | None = None) -> pd.DataFrame:
    """Returns the predictions of all complete runs, with ``experiment``, ``condition``, ``run`` in front."""
    return _read_all("predictions", find_runs(results_dir, experiment, condition))


def read_trials(results_dir: PathLike, experiment: str | None = None, condition: str | None = None) -> pd.DataFrame:
    """Returns the trials of all searches, with ``experiment`` and ``condition`` in front; ``search`` names the file.

    Raises:
        InputError: see `read_search`.
    """
    paths = Path(results_dir).glob(f"{experiment or '*'}/{condition or '*'}/{SEARCH}/*.csv")
    tables = []
    for path in sorted(path for path in paths if any(f"-{task}-" in path.name for task in TASKS)):
        names = {"experiment": path.parents[2].name, "condition": path.parents[1].name}
        tables.append(_put_in_front(read_search(path).assign(search=path.stem), names))
    return pd.concat(tables, ignore_index=True) if tables else pd.DataFrame(columns=_TRIALS_COLUMNS)


def read_configs(results_dir: PathLike) -> dict[tuple[str, str, int], dict]:
    """Returns the settings of all complete runs: (experiment, condition, run) -> the content of config.json."""
    return {(run.experiment, run.condition, run.run): run.read_config() for run in find_runs(results_dir)}


_HASHED = {
    "encoder_sha256": "encoders",
    "utterances_sha256": "names, labels or speakers of utterances",
    "source_utterances_sha256": "names, labels or speakers of utterances of the other corpus",
    "source_sounds_sha256": "recordings of the other corpus",
    "model_sha256": "models",
    "components_sha256": "principal components beside the encoder",
}
"""Key of config.json that is a hash -> what it is a hash of."""


def _check_same(folder: Path, before: Mapping, config: Mapping, may_differ: Collection[str] = ()) -> None:
    missing = object()
    may_differ = {*may_differ, "n_unpublished"}  # utterances are compared by their hash
    if before and "sounds_sha256" not in before:  # of a version without: unknown, not other, see `refuse_other_sounds`
        may_differ = {*may_differ, "sounds_sha256"}
    keys = [key for key in dict.fromkeys([*before, *config]) if key not in may_differ]
    if differing := [key for key in keys if before.get(key, missing) != config.get(key, missing)]:
        hashed = {key: meaning for key, meaning in _HASHED.items() if key in differing and key in before and key in config}
        if "encoder_sha256" in hashed:
            hashed.pop("components_sha256", None)  # another encoder has others
        meant = "".join(f"; {meaning} are not the same" for meaning in hashed.values())
        subject, action = f"{folder} (made with other settings{meant})", f"repeat the settings found, or {_OTHERWISE}"
        raise InputError.about(subject, _show(before, differing), _show(config, differing), action)


def _write_json(path: Path, values: Mapping[str, Any]) -> None:
    write_text(path, json.dumps(values, indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def read_json(path: Path) -> dict:
    """Returns the content of a JSON file.

    Raises:
        InputError: it is absent or not a JSON record.
    """
    with _refusing(path, "a JSON file"):
        content = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(content, dict):
            raise ValueError(f"a {type(content).__name__} in place of a record")
        return content


def read_table(path: Path) -> pd.DataFrame:
    """Returns the content of a CSV file; TEXT_COLUMNS stay text ("03" is a speaker, "NA" may be a class).

    Raises:
        InputError: it is absent or not a table.
    """
    with _refusing(path, "a CSV table"):
        columns = pd.read_csv(path, nrows=0).columns
        text = {name: str for name in columns if name in TEXT_COLUMNS}
        numbers = {name: ["", "nan", "NaN"] for name in columns if name not in text}
        return pd.read_csv(path, dtype=text, keep_default_na=False, na_values=numbers, float_precision="round_trip")


@contextmanager
def _refusing(path: Path, expected: str) -> Iterator[None]:
    try:
        yield
    except (OSError, ValueError, RecursionError) as error:  # pandas' parser errors are ValueErrors
        raise_passing(error)
        found = getattr(error, "strerror", None) or error
        raise InputError.about(path, found, expected, how_to_repair(path)) from error


def write_table(path: Path, table: pd.DataFrame) -> None:
    """Writes a CSV file, whole or not at all, without the index."""
    with write_atomically(path) as temporary:
        table.to_csv(temporary, index=False, lineterminator="\n")


def plain(value: Any) -> Any:
    """Returns a value in JSON's types: paths and names as text, NumPy scalars and arrays unpacked, NaN as None."""
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    if hasattr(value, "tolist"):  # NumPy scalars and arrays
        return plain(value.tolist())
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    raise TypeError(f"cannot be written as JSON: {value!r} ({type(value).__name__})")


def _read_all(name: str, runs: Iterable[RunFolder]) -> pd.DataFrame:
    tables = []
    for run in runs:
        path = run.path / f"{name}.csv"
        if not path.is_file():
            continue
        table = read_metrics_file(path) if name == "metrics" else read_table(path)
        # The folder tells whose scores these are; before anything is rendered, the files are compared with it.
        tables.append(_put_in_front(table, {"experiment": run.experiment, "condition": run.condition, "run": run.run}))
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


def _put_in_front(table: pd.DataFrame, values: Mapping[str, Any]) -> pd.DataFrame:
    others = [name for name in table if name not in values]
    return table.assign(**values)[[*values, *others]]


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


def _show(values: Mapping[str, Any], keys: Iterable[str]) -> str:
    """Returns settings in one line; of hashes, as many digits as tell them apart."""
    known = {key: value[:8] if key.endswith("_sha256") and isinstance(value, str) else value for key, value in values.items()}
    shown = (f"{key}={json.dumps(known[key], ensure_ascii=False)}" if key in known else f"{key} not set" for key in keys)
    return ", ".join(shown)
