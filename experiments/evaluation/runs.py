"""Run folders: where an experiment writes what it did, and where tables, figures and notebooks read it.

Layout, under one results folder::

    results/<experiment>/<condition>/run<N>/
        config.json         every setting, resolved; written first
        environment.json    commit, versions, threads, devices, date
        history.csv         one row an epoch (optional)
        trials.csv          one row a trial of the hyper-parameter search (optional)
        predictions.csv     one row an utterance of the test part
        metrics.csv         tidy scores; written last, so its presence marks a complete run

Each file appears whole or not at all.  This module needs pandas only.
"""

import contextlib
import datetime
import importlib.metadata
import json
import math
import os
import platform
import re
import subprocess
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from began.errors import InputError
from began.files import write_atomically

METRICS_COLUMNS = ("experiment", "condition", "run", "fold", "split", "level", "metric", "value")
SPLITS = ("validation", "test")
LEVELS = ("chunk", "utterance")
POOLED = "pooled"  # the name of the fold that stands for all folds together

# Read as text even where every value looks like a number: EmoDB's speakers are "03", "08", ...
TEXT_COLUMNS = frozenset(
    {
        "experiment",
        "condition",
        "fold",
        "split",
        "level",
        "metric",
        "utterance",
        "speaker",
        "target",
        "prediction",
        "video",
        "path",
        "label",
        "sex",
        "text",
        "status",
        "task",
        "search",
        "error",
    }
)

RESERVED_LABELS = (
    TEXT_COLUMNS
    | {"run"}
    | {f"{dimension}_{what}" for dimension in ("arousal", "valence") for what in ("target", "prediction")}
)
"""Names that no class may have: predictions.csv has a column a class beside others of these names."""

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_RUN_FOLDER = re.compile(r"run(\d+)")
_PROJECT = Path(__file__).resolve().parents[2]
_PACKAGES = (
    "tensorflow",
    "tensorflow-cpu",
    "jax",
    "jaxlib",
    "keras",
    "hyperas",
    "hyperopt",
    "librosa",
    "soundfile",
    "soxr",
    "numpy",
    "scipy",
    "pandas",
    "scikit-learn",
    "matplotlib",
    "pyspark",
    "opensmile",
)
_FLAGS = (
    "OMP_NUM_THREADS",
    "TF_NUM_INTRAOP_THREADS",
    "TF_NUM_INTEROP_THREADS",
    "MKL_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "TF_DETERMINISTIC_OPS",
    "TF_CUDNN_DETERMINISTIC",
    "TF_ENABLE_ONEDNN_OPTS",
    "TF_FORCE_GPU_ALLOW_GROWTH",
    "TF_XLA_FLAGS",
    "XLA_FLAGS",
    "JAX_DEFAULT_MATMUL_PRECISION",
    "KERAS_BACKEND",
    "PYTHONHASHSEED",
    "CUDA_VISIBLE_DEVICES",
)


class RunFolder:
    """One run of one condition of one experiment.

    Typical use, resumable at the level of runs::

        run = RunFolder(results_dir, "table3_emodb", "paper", 1)
        if not run.is_complete:
            run.start(config)
            ...
            run.write_table("predictions", predictions)
            run.finish(metrics)

    Args:
        results_dir: the results folder; need not exist.
        experiment, condition: names of letters, digits, ``.``, ``_`` and ``-``.
        run: number of the run; None for work done once (a pre-training), whose files then lie in
            ``<experiment>/<condition>/`` itself.
    Raises:
        InputError: a name that cannot be a folder's, or a negative run.
    """

    def __init__(self, results_dir: str | os.PathLike, experiment: str, condition: str, run: int | None = None):
        for what, name in (("experiment", experiment), ("condition", condition)):
            if not _NAME.fullmatch(str(name)):
                raise InputError.about(
                    f"name of the {what}",
                    found=repr(name),
                    expected="letters, digits, '.', '_' and '-'",
                    action="choose another name",
                )
        if run is not None and int(run) < 0:
            raise InputError.about("number of the run", found=run, expected="0 or more", action="count from 1")
        self.results_dir = Path(results_dir)
        self.experiment = str(experiment)
        self.condition = str(condition)
        self.run = None if run is None else int(run)
        self.path = self.results_dir / self.experiment / self.condition
        if self.run is not None:
            self.path /= f"run{self.run}"

    def __repr__(self) -> str:
        return f"RunFolder({str(self.path)!r})"

    @property
    def is_started(self) -> bool:
        """True once config.json is there."""
        return (self.path / "config.json").is_file()

    @property
    def is_complete(self) -> bool:
        """True once metrics.csv is there, which is written last."""
        return (self.path / "metrics.csv").is_file()

    def start(self, config: Mapping[str, Any], may_differ: Iterable[str] = ()) -> bool:
        """Open the folder for writing; True when it resumes a run that was begun before.

        Args:
            config: every setting of the run, resolved.  Paths, NumPy values and tuples become plain JSON.
            may_differ: keys that do not change what is computed (such as the number of workers) and may
                therefore differ from those of the run that is resumed.
        Raises:
            InputError: the folder holds a run with other settings, or cannot be written.
        """
        config = plain(config)
        if self.is_started or self.is_complete:
            self._check_same(config, frozenset(may_differ))
            environment = self.read_json("environment") if (self.path / "environment.json").is_file() else {}
            now = describe_environment()
            if not environment:
                self.write_json("environment", now)
            elif not self.is_complete:
                sitting = {key: now[key] for key in ("date", "commit", "uncommitted_changes", "devices")}
                environment.setdefault("resumed", []).append(sitting)
                self.write_json("environment", environment)
            return True
        self.write_json("config", config)
        self.write_json("environment", describe_environment())
        return False

    def _check_same(self, config: dict, may_differ: frozenset[str]) -> None:
        before = self.read_json("config") if self.is_started else {}
        missing = object()
        differing = [
            key
            for key in [*before, *(key for key in config if key not in before)]
            if key not in may_differ and before.get(key, missing) != config.get(key, missing)
        ]
        if differing:
            raise InputError.about(
                f"{self.path} (a run with other settings)",
                found=_show({key: before[key] for key in differing if key in before}, differing),
                expected=_show({key: config[key] for key in differing if key in config}, differing),
                action="choose another name for the condition or another --results-dir, repeat the settings found, or remove "
                "that folder",
            )

    def write_json(self, name: str, values: Mapping[str, Any]) -> Path:
        """Write ``<name>.json``, whole or not at all, and return its path."""
        path = self.path / f"{name.removesuffix('.json')}.json"
        text = json.dumps(plain(values), indent=2, ensure_ascii=False, allow_nan=False)
        with write_atomically(path) as temporary:
            temporary.write_text(text + "\n", encoding="utf-8")
        return path

    def write_table(self, name: str, table: pd.DataFrame) -> Path:
        """Write ``<name>.csv``, whole or not at all, without the index, and return its path."""
        path = self.path / f"{name.removesuffix('.csv')}.csv"
        with write_atomically(path) as temporary:
            table.to_csv(temporary, index=False, lineterminator="\n")
        return path

    def finish(self, metrics: pd.DataFrame) -> Path:
        """Write metrics.csv, which marks the run as complete: call it last.

        Args:
            metrics: columns METRICS_COLUMNS, as `metrics_rows` makes them.
        Raises:
            ValueError: wrong columns, names or a score given twice (a fault of the caller).
        """
        _check_metrics(metrics, str(self.path))
        return self.write_table("metrics", metrics)

    def read_json(self, name: str) -> dict:
        """The content of ``<name>.json``."""
        return read_json(self.path / f"{name.removesuffix('.json')}.json")

    def read_table(self, name: str) -> pd.DataFrame:
        """The content of ``<name>.csv``; names of utterances, speakers, folds and classes stay text."""
        return read_table(self.path / f"{name.removesuffix('.csv')}.csv")


def metrics_rows(
    values: Mapping[str, float], experiment: str, condition: str, run: int, fold: str, split: str, level: str
) -> pd.DataFrame:
    """Flat metrics as tidy rows, one a metric, columns METRICS_COLUMNS.

    Args:
        values: metric name -> score, fractions rather than percent.
        fold: name of the held-out speaker or fold, or ``pooled``.
        split: ``validation`` or ``test``.
        level: ``chunk`` or ``utterance``.
    """
    rows = [(experiment, condition, run, str(fold), split, level, metric, float(value)) for metric, value in values.items()]
    return pd.DataFrame(rows, columns=list(METRICS_COLUMNS))


def name_in_file(fold: str) -> str:
    """A fold's name as a part of a file's name: a manifest's speakers may hold slashes and be long."""
    return re.sub(r"[^\w .+-]", "_", fold)[:50]


def find_runs(
    results_dir: str | os.PathLike,
    experiment: str | None = None,
    condition: str | None = None,
    complete: bool = True,
) -> list[RunFolder]:
    """Run folders under a results folder, sorted by experiment, condition and number.

    Args:
        complete: leave out runs without metrics.csv; False lists every begun run.
    """
    root = Path(results_dir)
    found = []
    for folder in root.glob(f"{experiment or '*'}/{condition or '*'}/run*"):
        number = _RUN_FOLDER.fullmatch(folder.name)
        names = folder.parent.parent.name, folder.parent.name
        if number and folder.is_dir() and all(_NAME.fullmatch(name) for name in names):
            run = RunFolder(root, *names, int(number[1]))
            # "run01" would be read a second time under the name of "run1".
            if run.path.name == folder.name and (run.is_complete if complete else run.is_started):
                found.append(run)
    return sorted(found, key=lambda run: (run.experiment, run.condition, run.run))


def read_metrics(results_dir: str | os.PathLike, experiment: str | None = None, condition: str | None = None) -> pd.DataFrame:
    """Scores of all complete runs, tidy: columns METRICS_COLUMNS, an empty table when there are none.

    Raises:
        InputError: a metrics.csv that is not in the layout.
    """
    tables = []
    for run in find_runs(results_dir, experiment, condition):
        table = run.read_table("metrics")
        try:
            _check_metrics(table, str(run.path))
        except ValueError as error:
            raise InputError.about(
                str(run.path / "metrics.csv"),
                found=str(error),
                expected=f"columns {', '.join(METRICS_COLUMNS)}",
                action="remove the folder and run the experiment again",
            ) from error
        # The folder says whose scores these are, also when a folder was renamed by hand.
        tables.append(table.assign(experiment=run.experiment, condition=run.condition, run=run.run))
    if not tables:
        return pd.DataFrame(columns=list(METRICS_COLUMNS)).astype({"run": int, "value": float})
    return pd.concat(tables, ignore_index=True)


def read_predictions(
    results_dir: str | os.PathLike, experiment: str | None = None, condition: str | None = None
) -> pd.DataFrame:
    """Predictions on the test part of all complete runs, with ``experiment``, ``condition``, ``run`` in front."""
    return _read_all("predictions", find_runs(results_dir, experiment, condition))


def read_trials(results_dir: str | os.PathLike, experiment: str | None = None, condition: str | None = None) -> pd.DataFrame:
    """Trials of all searches, with ``experiment`` and ``condition`` in front; ``search`` is the name of the file."""
    tables = []
    for path in sorted(Path(results_dir).glob(f"{experiment or '*'}/{condition or '*'}/search/*.csv")):
        fold, task, _ = path.stem.rsplit("-", 2)
        table = read_table(path).assign(fold=fold, task=task, search=path.stem)
        table.insert(0, "experiment", path.parents[2].name)
        table.insert(1, "condition", path.parents[1].name)
        tables.append(table)
    return pd.concat(tables, ignore_index=True) if tables else pd.DataFrame(columns=["experiment", "condition"])


def read_configs(
    results_dir: str | os.PathLike, experiment: str | None = None, condition: str | None = None
) -> dict[tuple[str, str, int], dict]:
    """Settings of all complete runs: (experiment, condition, run) -> the content of config.json."""
    return {
        (run.experiment, run.condition, run.run): run.read_json("config") if run.is_started else {}
        for run in find_runs(results_dir, experiment, condition)
    }


def describe_environment() -> dict[str, Any]:
    """What the run ran on: commit, versions, threads, determinism flags, devices and date.

    Imports nothing: versions come from the packages' metadata, and devices are listed only where
    Keras' backend is loaded already.
    """
    commit, uncommitted = _git_state()
    versions = {}
    for package in _PACKAGES:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            versions[package] = importlib.metadata.version(package)
    return {
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "commit": commit,
        "uncommitted_changes": uncommitted,
        "python": platform.python_version(),
        "versions": versions,
        "platform": platform.platform(),
        "machine": platform.machine(),
        "cpu_count": os.cpu_count(),
        "devices": _devices(),
        "flags": {name: os.environ[name] for name in _FLAGS if name in os.environ},
        "op_determinism": _op_determinism(),
    }


def plain(value: Any) -> Any:
    """The same value in JSON's types: paths and names as text, NumPy scalars and arrays unpacked, NaN as None."""
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    if isinstance(value, (set, frozenset)):
        return sorted(plain(item) for item in value)
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    if hasattr(value, "tolist"):  # NumPy scalars and arrays, without importing NumPy
        return plain(value.tolist())
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    raise TypeError(f"cannot be written as JSON: {value!r} ({type(value).__name__})")


def read_json(path: Path) -> dict:
    """The content of a JSON file.

    Raises:
        InputError: it is absent or not JSON.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError.about(
            str(path),
            found=getattr(error, "strerror", None) or str(error),
            expected="a JSON file",
            action="remove its folder and run the experiment again",
        ) from error


def read_table(path: Path) -> pd.DataFrame:
    """The content of a CSV file; TEXT_COLUMNS stay text ("03" is a speaker, "NA" may be a class).

    Raises:
        InputError: it is absent or not a table.
    """
    try:
        columns = pd.read_csv(path, nrows=0).columns
        text = {name: str for name in columns if name in TEXT_COLUMNS}
        numbers = {name: ["", "nan", "NaN"] for name in columns if name not in text}
        return pd.read_csv(path, dtype=text, keep_default_na=False, na_values=numbers)
    except (OSError, ValueError) as error:  # pandas' parser errors are ValueErrors
        raise InputError.about(
            str(path),
            found=getattr(error, "strerror", None) or str(error),
            expected="a CSV table",
            action="remove its folder and run the experiment again",
        ) from error


def _read_all(name: str, runs: Iterable[RunFolder]) -> pd.DataFrame:
    tables = []
    for run in runs:
        if (run.path / f"{name}.csv").is_file():
            table = run.read_table(name)
            table = table.drop(columns=[key for key in ("experiment", "condition", "run") if key in table])
            table.insert(0, "experiment", run.experiment)
            table.insert(1, "condition", run.condition)
            table.insert(2, "run", run.run)
            tables.append(table)
    if not tables:
        return pd.DataFrame(columns=["experiment", "condition", "run"])
    return pd.concat(tables, ignore_index=True)


def _check_metrics(metrics: pd.DataFrame, where: str) -> None:
    if tuple(metrics.columns) != METRICS_COLUMNS:
        raise ValueError(f"{where}: columns {list(metrics.columns)}, expected {list(METRICS_COLUMNS)}")
    if metrics.empty:
        raise ValueError(f"{where}: no score at all")
    for column, allowed in (("split", SPLITS), ("level", LEVELS)):
        wrong = sorted(set(metrics[column]) - set(allowed))
        if wrong:
            raise ValueError(f"{where}: {column} {wrong}, expected one of {list(allowed)}")
    if not pd.api.types.is_numeric_dtype(metrics["value"]):
        raise ValueError(f"{where}: values that are not numbers")
    twice = metrics[metrics.duplicated(list(METRICS_COLUMNS[:-1]))]
    if len(twice):
        raise ValueError(f"{where}: given twice: {twice.iloc[0].tolist()}")


def _show(values: Mapping[str, Any], keys: Iterable[str]) -> str:
    return ", ".join(
        f"{key}={json.dumps(values[key], ensure_ascii=False)}" if key in values else f"{key} not set" for key in keys
    )


def _git_state() -> tuple[str | None, bool | None]:
    def git(*arguments: str) -> str:
        done = subprocess.run(["git", "-C", str(_PROJECT), *arguments], capture_output=True, text=True, timeout=10, check=True)
        return done.stdout.strip()

    try:
        # A copy of the project unpacked inside some other repository has no commit of its own.
        if Path(git("rev-parse", "--show-toplevel")).resolve() != _PROJECT:
            return None, None
        return git("rev-parse", "HEAD"), bool(git("status", "--porcelain", "--untracked-files=no"))
    except (OSError, subprocess.SubprocessError):
        return None, None


def _devices() -> list[str] | None:
    jax = sys.modules.get("jax")
    if jax is not None and os.environ.get("KERAS_BACKEND") == "jax":
        return [device.device_kind for device in jax.devices()]
    tensorflow = sys.modules.get("tensorflow")
    config = getattr(tensorflow, "config", None)
    if config is None:
        return None
    names = []
    for device in config.list_physical_devices():
        details = config.experimental.get_device_details(device) if device.device_type == "GPU" else {}
        names.append(details.get("device_name", device.name))
    return names


def _op_determinism() -> bool | None:
    # TensorFlow can be told publicly, but asked only here.
    config = sys.modules.get("tensorflow.python.framework.config")
    is_enabled = getattr(config, "is_op_determinism_enabled", None)
    return None if is_enabled is None else bool(is_enabled())
