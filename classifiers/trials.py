"""The trials of a search, kept in a CSV file that is whole at every moment."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from began.errors import InputError
from began.files import write_atomically
from classifiers.heads import resolve_parameters
from classifiers.training import HeadJob

RESULT_COLUMNS = ("trial", "loss", "status", "epochs", "seconds", "seed", "search", "error")


class TrialTable:
    """The trials of one search, in memory and in its file.

    `search`, in every row, is a hash of all that the trials depend on: a file of another search is refused.
    """

    def __init__(self, path: str | os.PathLike[str] | None, task: str, seed: int, search: str) -> None:
        self.path = Path(path) if path is not None else None
        self.task, self.seed, self.search = task, seed, search
        self.rows: list[dict[str, Any]] = []
        if self.path is not None and self.path.exists():
            self.rows = self._read()

    def __len__(self) -> int:
        return len(self.rows)

    def _read(self) -> list[dict[str, Any]]:
        try:
            frame = pd.read_csv(
                self.path,
                float_precision="round_trip",
                keep_default_na=False,
                na_values={"loss": [""]},
                dtype=dict.fromkeys(("status", "search", "error"), str),
            )
            problem = "" if set(RESULT_COLUMNS) <= set(frame) else f"columns {list(frame)}"
        except (ValueError, OSError) as error:
            problem = str(error).splitlines()[0]
        if not problem and not ((frame["search"] == self.search).all() and (frame["trial"] == np.arange(len(frame))).all()):
            problem = "trials of another search (other data, split, space, seed or epochs)"
        if problem:
            raise InputError.about(self.path, found=problem, expected="the trials of this search", action="move the file away")
        return frame.to_dict("records")

    def add(self, parameters: dict[str, Any], result: dict[str, Any]) -> None:
        """Appends a trial and writes the file anew, so that it is whole at every moment."""
        number = {"trial": len(self.rows), "seed": self.seed, "search": self.search}
        self.rows.append({name: {**number, **result}[name] for name in RESULT_COLUMNS} | parameters)
        if self.path is not None:
            with write_atomically(self.path) as temporary:
                self.frame().to_csv(temporary, index=False)

    def frame(self) -> pd.DataFrame:
        """One row a trial."""
        return pd.DataFrame(self.rows)

    def parameters_of(self, row: Any) -> dict[str, Any]:
        """A row's parameters, as plain types."""
        return resolve_parameters(self.task, {name: row[name] for name in resolve_parameters(self.task)})


def hash_search(jobs: Sequence[HeadJob], settings: list[Any]) -> str:
    """Hash of all that a search's trials depend on; of the features, a sample.

    Args:
        jobs: what every trial trains, one an inner fold; their parameters do not count.
        settings: of the search, as JSON can hold them.
    """
    job = jobs[0]
    settings = [
        *settings,
        job.task,
        job.epochs,
        job.seed,
        job.n_outputs,
        job.patience,
        job.aggregation,
        job.class_weight,
        list(job.features.shape[1:]),
    ]
    digest = hashlib.sha256(json.dumps(settings, sort_keys=True).encode())
    for job in jobs:
        for part in (
            job.rows,
            job.validation_rows,
            job.targets[job.rows],
            job.targets[job.validation_rows],
            job.utterance[job.validation_rows],
            job.features[job.rows[:: max(1, len(job.rows) // 16)]],
        ):
            digest.update(np.ascontiguousarray(part).tobytes())
    return digest.hexdigest()[:12]
