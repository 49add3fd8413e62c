"""What a saved predictor tells of itself, read and checked without opening its network."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Sequence
from typing import Any

from began.chunks import TAILS
from began.errors import InputError
from began.files import StrPath
from began.keras_file import read_attached_json
from began.spectrogram import SpectrogramConfig
from classifiers.head_parameters import KINDS, SECOND, UTTERANCE, resolve_parameters
from classifiers.metrics import AGGREGATIONS, CATEGORICAL, TASKS

EXPECTED = "model.keras as the tables write it"


def read_description(path: StrPath) -> dict[str, Any]:
    """Returns what a predictor's file tells of itself, checked, without opening the network.

    Raises:
        InputError: no such file, damaged, or not a predictor of this project.
    """
    found = read_attached_json(path, "head")
    kind = found.get("kind", SECOND)  # heads on one second name none
    allowed = {"task": TASKS, "tail": TAILS, "aggregation": AGGREGATIONS}
    problems = [f"the {name} {str(found.get(name))[:40]!r}" for name in allowed if found.get(name) not in allowed[name]]
    problems += [] if kind in KINDS else [f"the kind {str(kind)[:40]!r}"]
    if found.get("task") == CATEGORICAL and not _are_names(found.get("labels")):
        problems.append("labels that are no names")
    if kind == UTTERANCE and not problems:
        problems += _check_utterance_head(found)
    if problems:
        raise InputError.about(path, f"a model with {problems[0]}", EXPECTED, "give a file that this project wrote")
    spectrogram = SpectrogramConfig.from_dict(found.get("spectrogram"), path)
    return {**found, "spectrogram": spectrogram.to_dict()}


def _check_utterance_head(found: dict[str, Any]) -> list[str]:
    speeds = found.get("speeds")
    problems = []
    if not isinstance(speeds, list) or not speeds or not all(isinstance(s, (int, float)) and 0.5 <= s <= 2 for s in speeds):
        problems.append("speeds that are not numbers from 0.5 to 2")
    try:
        found["parameters"] = resolve_parameters(found["task"], found.get("parameters"), UTTERANCE)
    except (InputError, TypeError, AttributeError) as error:
        problems.append(f"parameters that cannot be used ({error})")
    calibration = found.get("calibration")
    if calibration is not None and not (isinstance(calibration, dict) and isinstance(calibration.get("far_distance"), float)):
        problems.append("a calibration that cannot be used")
    return problems


def _are_names(labels: Any) -> bool:
    if not isinstance(labels, list) or not all(isinstance(x, str) and x and x.isprintable() for x in labels):
        return False
    return 1 < len(labels) == len(set(labels))


def match_labels(names: Iterable[str], labels: Sequence[str]) -> dict[str, str]:
    """Returns which names mean which class of a model, of those that are written in another case or with other spaces."""
    normalized = [normalize_name(label) for label in labels]
    alike = {name: label for name, label in zip(normalized, labels, strict=True) if normalized.count(name) == 1}
    others = sorted(set(names) - set(labels))
    return {name: alike[normal] for name in others if (normal := normalize_name(name)) in alike}


def normalize_name(name: str) -> str:
    """Returns a name without upper case and repeated spaces, its letters composed in one way."""
    return " ".join(unicodedata.normalize("NFC", name.casefold()).split())
