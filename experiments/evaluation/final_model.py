"""The model that a table leaves behind for its users: one head, trained on everything, after all scores are written.

The scores come from heads that never saw their test part; this one has seen every labelled utterance, with the
parameters and the number of epochs of the best validation trial over all the searches of the condition. Nothing is
measured on it.
"""

from __future__ import annotations

import argparse
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from began.errors import InputError

if TYPE_CHECKING:
    from began.encoder import FrozenEncoder
    from experiments.evaluation.evaluate import Condition, Data

FILES = {"categorical": "model.keras", "dimensional": "model-arousal_valence.keras"}
"""Kind of head -> file in the condition's folder."""

_SEARCH_FILE = re.compile(r"(?P<fold>.+)-(?P<task>categorical|dimensional)-[0-9a-f]{8}\.csv")


@dataclass(frozen=True)
class BestTrial:
    """The trial with the lowest validation loss over all the searches of a condition.

    Attributes:
        parameters: of the head.
        epochs: after which its validation score was best.
        loss: one minus that score (unweighted average recall, or mean CCC).
        fold: whose search it comes from, as `experiments.evaluation.runs.name_in_file` writes it.
    """

    parameters: dict[str, Any]
    epochs: int
    loss: float
    fold: str


def write_final_models(data: Data, condition: Condition, settings: argparse.Namespace, config: Mapping[str, Any]) -> list[Path]:
    """Writes the models of a condition whose runs are complete, and returns their paths.

    Left out: a condition that splits chunks (`levels` without "utterance") or trains in a way of its own, and features
    that do not come from an encoder's file as they are: from these no model for sound files can be made.

    Args:
        data, condition, settings, config: as of `experiments.evaluation.evaluate`.
    """
    encoder_path = getattr(settings, "encoder", None)
    if (
        "utterance" not in condition.levels
        or condition.train is not None
        or encoder_path is None
        or not {"encoder_sha256", "features", "spectrogram", "tail"} <= set(config)
    ):
        return []
    folder = Path(settings.results_dir) / condition.experiment / condition.name
    encoder = None
    written = []
    for task in condition.tasks:
        best = find_best_trial(folder / "search", task)
        metadata = _describe(data, condition, task, best, settings, config)
        path = folder / FILES[task]
        if not _is_current(path, metadata):
            if encoder is None:
                from began.encoder import load_frozen_encoder

                encoder = load_frozen_encoder(encoder_path, config["features"])
            if (encoder.sha256, encoder.feature_shape) != (config["encoder_sha256"], tuple(data.features.shape[1:])):
                return written
            train_final_model(data, task, best, encoder, settings, path, metadata)
            print(f"wrote {path}, for own recordings: trained on all {metadata['n_utterances']} labelled utterances")
        written.append(path)
    return written


def train_final_model(
    data: Data,
    task: str,
    best: BestTrial,
    encoder: FrozenEncoder,
    settings: argparse.Namespace,
    path: Path,
    metadata: Mapping[str, Any],
) -> None:
    """Trains one head on all labelled utterances and writes it, behind its encoder, as one .keras file.

    Args:
        data: features and labels.
        task: of head.
        best: parameters and number of epochs.
        encoder: that gave the features.
        settings: `seed`, `workers`, `pooling` and `class_weight` of the table.
        path: where to.
        metadata: what the file says about itself, see `classifiers.predictor.build_predictor`.
    """
    from classifiers.predictor import build_predictor, save_predictor
    from classifiers.training import HeadJob, train_heads

    is_class = task == "categorical"
    job = HeadJob(
        data.features,
        data.targets(task),
        best.parameters,
        task,
        best.epochs,
        settings.seed,
        n_outputs=len(data.corpus.labels) if is_class else 2,
        rows=data.chunks_of(_labelled(data, task), copies=True),
        utterance=data.utterance,
        aggregation=settings.pooling[task],
        class_weight=settings.class_weight if is_class else None,
    )
    (trained,) = train_heads([job], settings.workers, progress=f"final {task} model")
    save_predictor(path, build_predictor(encoder, trained.model, dict(metadata)))


def find_best_trial(search_folder: Path, task: str) -> BestTrial:
    """Returns the best validation trial over all the searches in a folder; the first of equals, by the fold's name.

    Raises:
        InputError: the folder holds no successful trial of that task.
    """
    import pandas as pd

    from classifiers.trials import TrialTable

    table = TrialTable(None, task, 0, "")
    found: list[BestTrial] = []
    for path in sorted(search_folder.glob("*.csv")):
        match = _SEARCH_FILE.fullmatch(path.name)
        if match is None or match["task"] != task:
            continue
        trials = pd.read_csv(path, float_precision="round_trip")
        good = trials[trials["status"] == "ok"]
        if len(good):
            row = good.loc[good["loss"].idxmin()]
            found.append(BestTrial(table.parameters_of(row), int(row["epochs"]), float(row["loss"]), match["fold"]))
    if not found:
        raise InputError.about(
            search_folder,
            found=f"no successful trial of a {task} head",
            expected="the trials of a search",
            action="run the table again",
        )
    return min(found, key=lambda trial: trial.loss)


def _labelled(data: Data, task: str) -> np.ndarray:
    """Positions of the utterances that have chunks, and a label, or arousal and valence."""
    columns = ["label"] if task == "categorical" else ["arousal", "valence"]
    return np.intersect1d(np.flatnonzero(data.corpus.utterances[columns].notna().all(axis=1)), data.utterance)


def _describe(
    data: Data, condition: Condition, task: str, best: BestTrial, settings: argparse.Namespace, config: Mapping[str, Any]
) -> dict[str, Any]:
    """What the file says about itself, in JSON's types."""
    from experiments.evaluation.runs import plain

    labels = {"labels": list(data.corpus.labels)} if task == "categorical" else {}
    return plain(
        {
            **labels,
            "task": task,
            "corpus": config.get("corpus", data.corpus.name),
            "experiment": condition.experiment,
            "condition": condition.name,
            "n_utterances": len(_labelled(data, task)),
            "encoder_sha256": config["encoder_sha256"],
            "features": config["features"],
            "spectrogram": config["spectrogram"],
            "tail": config["tail"],
            "aggregation": settings.pooling[task],
            "class_weight": settings.class_weight,
            "seed": settings.seed,
            "parameters": best.parameters,
            "best_epoch": best.epochs,
            "search_fold": best.fold,
            "search_loss": best.loss,
        }
    )


def _is_current(path: Path, metadata: Mapping[str, Any]) -> bool:
    """Whether a whole model of the same description is there already."""
    from classifiers.predictor import read_description

    try:
        return read_description(path) == json.loads(json.dumps(metadata))
    except InputError:
        return False
