"""The searches of a condition, one file each, whose trials its runs share."""

import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from began.errors import InputError, counted
from began.files import StrPath
from classifiers.metrics import TASKS
from experiments.evaluation.result_files import (
    SEARCH,
    how_to_repair,
    plain,
    put_in_front,
    read_json,
    read_table,
    write_json,
    write_table,
)
from experiments.evaluation.resuming import refuse_other_settings
from experiments.evaluation.splits import Split, name_fold

_TRIALS_COLUMNS = ["experiment", "condition", "fold", "task", "trial", "loss", "status", "epochs", "search"]


def start_searches(folder: Path, config: Mapping[str, Any], searched_as: str = "") -> None:
    """Opens the folder of the condition's searches, which outlives its runs and so keeps their config.json, too.

    Args:
        folder: `RunFolder.search_folder`.
        config: of the runs.
        searched_as: condition whose whole searches are copied where this one has none, if they were made with the same
            settings.
    Raises:
        InputError: its searches were made with other settings, or cannot be written.
    """
    plain_config = dict(plain(config))
    if (folder / "config.json").is_file():
        refuse_other_settings(folder, read_json(folder / "config.json"), plain_config)
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
    write_json(folder / "config.json", plain_config)


def search_path(folder: Path, split: Split, task: str) -> Path:
    """Returns the file of a fold's search: runs whose inner folds agree share it."""
    return folder / f"{_begin_name(split.fold, task)}{split.fingerprint}.csv"


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


def read_trials(results_dir: StrPath, experiment: str | None = None, condition: str | None = None) -> pd.DataFrame:
    """Returns the trials of all searches, with ``experiment`` and ``condition`` in front; ``search`` names the file.

    Raises:
        InputError: see `read_search`.
    """
    paths = Path(results_dir).glob(f"{experiment or '*'}/{condition or '*'}/{SEARCH}/*.csv")
    tables = []
    for path in sorted(path for path in paths if any(f"-{task}-" in path.name for task in TASKS)):
        names = {"experiment": path.parents[2].name, "condition": path.parents[1].name}
        tables.append(put_in_front(read_search(path).assign(search=path.stem), names))
    return pd.concat(tables, ignore_index=True) if tables else pd.DataFrame(columns=_TRIALS_COLUMNS)
