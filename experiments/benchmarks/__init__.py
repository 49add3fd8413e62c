"""`make bench`: what this project does beside what is usually done, measured in one run on one machine.

Every comparison alternates between the two sides, several times over, and takes medians: on a machine that does other
work besides, both sides suffer alike. A row is a dict with name, ours, alternative, ratio (above 1: ours is better, unless
the note says otherwise), unit and note.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

COLUMNS = ("name", "ours", "alternative", "ratio", "unit", "note")


def alternate(sides: Mapping[str, Callable[[], Any]], repetitions: int) -> dict[str, np.ndarray]:
    """Runs functions in turn, `repetitions` times, after one round that does not count.

    Returns:
        name -> seconds, float64, shape (repetitions,); the same position is the same round.
    """
    seconds: dict[str, list[float]] = {name: [] for name in sides}
    for repetition in range(repetitions + 1):
        for name, run in sides.items():
            started = time.perf_counter()
            run()
            if repetition:
                seconds[name].append(time.perf_counter() - started)
    return {name: np.array(values) for name, values in seconds.items()}


def make_row(name: str, ours: float | None, alternative: float | None, ratio: float | None, unit: str,
             note: str = "") -> dict[str, Any]:
    """Returns a row of the table, its numbers rounded to four digits; None stays empty."""
    numbers = {"ours": ours, "alternative": alternative, "ratio": ratio}
    rounded = {key: None if value is None else float(f"{value:.4g}") for key, value in numbers.items()}
    return {"name": name, **rounded, "unit": unit, "note": note}
