"""How predictions are printed: lines for people, and CSV, audformat's tables and JSON for programs."""

import csv
import json
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import numpy as np

from began.errors import printable
from classifiers.grouping import MIX, name_source
from classifiers.prediction import Prediction
from classifiers.predictor import FAR, NO_SPEECH, Predictor

DIGITS = 4
"""Of scores, behind the point."""

FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r", "\n")
"""How cells begin that spreadsheets run as a formula."""


def as_text(predictions: Iterator[Prediction], predictor: Predictor, timeline: bool, channels: str = MIX) -> Iterator[str]:
    """Yields lines for people: one per file, and with `timeline` an indented one per window."""
    for prediction in predictions:
        source = ", ".join(filter(None, name_source(prediction.path, channels)))
        said = "  — ".join([_describe(predictor, prediction.scores), *predictor.notes_on(prediction)])
        yield f"{printable(source)}  {said}\n"
        rows = list(_windows(prediction, predictor)) if timeline else []
        times = [f"{start:.1f}–{end:.1f} s" for start, end, _, _ in rows]
        width = max(map(len, times), default=0)
        for time, (_, _, scores, notes) in zip(times, rows, strict=True):
            said = NO_SPEECH if scores is None else "  — ".join([_describe(predictor, scores), *notes])
            yield f"    {time:>{width}}  {said}\n"


def _describe(predictor: Predictor, scores: np.ndarray) -> str:
    if not predictor.is_categorical:
        return "  ".join(f"{name} {score:+.2f}" for name, score in zip(predictor.columns, scores, strict=True))
    order = (-scores).argsort(kind="stable")  # of classes that are as probable, the first, as everywhere
    first, *others = (f"{predictor.columns[index]} {100 * scores[index]:.0f} %" for index in order)
    width = max(map(len, predictor.columns)) + len(" 100 %")
    return f"{first:<{width}}  ({', '.join(others)})"


def _windows(prediction: Prediction, predictor: Predictor) -> Iterator[tuple[float, float, np.ndarray | None, list[str]]]:
    """Yields start, end, scores (None where there is no speech) and notes of each window."""
    rows = zip(prediction.start_seconds, prediction.end_seconds, prediction.chunk_scores, prediction.has_speech, strict=True)
    for number, (start, end, scores, has_speech) in enumerate(rows):
        yield start, end, scores if has_speech else None, predictor.notes_on_chunk(prediction, number)


def _cells(predictor: Predictor, scores: np.ndarray | None) -> tuple[list[str], list[Any]]:
    """Returns the label, of models of classes, and the scores as cells of a table; "" and None where there is no speech."""
    if scores is None:
        return [""] * predictor.is_categorical, [None] * len(predictor.columns)
    return [predictor.columns[scores.argmax()]] * predictor.is_categorical, [round(float(score), DIGITS) for score in scores]


def as_csv(predictions: Iterator[Prediction], predictor: Predictor, timeline: bool, channels: str = MIX) -> Iterator[str]:
    """Yields a table: one row per file (level `utterance`) and with `timeline` one per window (level `chunk`).

    Where a channel was chosen, it has a column of its own.
    """
    classes = ["prediction"] if predictor.is_categorical else []
    line = csv.writer(SimpleNamespace(write=str), lineterminator="\n").writerow  # which returns what `write` returns
    where = ["file", *["channel"] * (channels != MIX), "level", "start_seconds", "end_seconds"]
    yield line([*where, *classes, *map(_without_formula, predictor.columns), "notes"])
    for prediction in predictions:
        rows = [("utterance", 0.0, prediction.seconds, prediction.scores, predictor.notes_on(prediction))]
        rows += [("chunk", *row) for row in _windows(prediction, predictor)] if timeline else []
        for level, start, end, scores, notes in rows:
            label, numbers = _cells(predictor, scores)
            times = round(float(start), 3), round(float(end), 3)
            file, *channel = filter(None, name_source(prediction.path, channels))
            source, named = [_without_formula(file, mark="./"), *channel, level], map(_without_formula, label)
            yield line([*source, *times, *named, *numbers, "; ".join(notes)])


def _without_formula(name: str, mark: str = "'") -> str:
    """Returns a name that no spreadsheet runs: with a mark in front where it begins like a formula."""
    return mark + name if name.startswith(FORMULA_STARTS) else name


def as_audformat(predictions: Iterator[Prediction], predictor: Predictor, timeline: bool, channels: str = MIX) -> Iterator[str]:
    """Yields a segmented table as audformat reads it: one row per file, or with `timeline` one per window of it.

    Where a channel was chosen, it has a column of its own.
    """
    from pandas import Timedelta

    line = csv.writer(SimpleNamespace(write=str), lineterminator="\n").writerow
    classes = ["emotion"] if predictor.is_categorical else []
    yield line(["file", "start", "end", *["channel"] * (channels != MIX), *classes, *predictor.columns, "notes"])
    for prediction in predictions:
        file, *channel = filter(None, name_source(prediction.path, channels))
        of_file = predictor.notes_on(prediction)
        rows = _windows(prediction, predictor) if timeline else [(0.0, prediction.seconds, prediction.scores, of_file)]
        for start, end, scores, notes in rows:
            label, numbers = _cells(predictor, scores)
            times = [Timedelta(round(float(time) * 1e6), "us") for time in (start, end)]
            notes = [*notes, FAR] if FAR in of_file and FAR not in notes else notes  # the file has no row of its own
            yield line([file, *times, *channel, *label, *numbers, "; ".join(notes)])


def as_json(predictions: Iterator[Prediction], predictor: Predictor, timeline: bool, channels: str = MIX) -> Iterator[str]:
    """Yields a list with one object per file (and channel); with `timeline` it holds a list with one per window.

    Where a prediction is cut off, as by Ctrl-C, the list is closed, so that it can be parsed, before the error goes on.
    """

    def describe(scores: np.ndarray | None) -> dict[str, Any]:
        label, numbers = _cells(predictor, scores)
        named = dict(zip(predictor.columns, numbers, strict=True))
        return {"prediction": label[0] or None, "probabilities": named} if predictor.is_categorical else named

    separator = "[\n"
    cut_off: BaseException | None = None
    try:
        for prediction in predictions:
            source = dict(zip(("file", "channel"), filter(None, name_source(prediction.path, channels)), strict=False))
            entry = {**source, "seconds": round(prediction.seconds, 3), **describe(prediction.scores)}
            entry["notes"] = predictor.notes_on(prediction)
            if timeline:
                entry["timeline"] = [
                    {
                        "start_seconds": round(float(start), 3),
                        "end_seconds": round(float(end), 3),
                        **describe(scores),
                        "notes": notes,
                    }
                    for start, end, scores, notes in _windows(prediction, predictor)
                ]
            yield separator + json.dumps(entry)
            separator = ",\n"
    except (Exception, KeyboardInterrupt) as error:
        cut_off = error
    yield "[]\n" if separator == "[\n" else "\n]\n"
    if cut_off is not None:
        raise cut_off


FORMATS: dict[str, Callable[..., Iterator[str]]] = {"text": as_text, "csv": as_csv, "json": as_json, "audformat": as_audformat}
