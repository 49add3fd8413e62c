"""`make bench`: what this project does beside what is usually done, measured in one run on one machine.

Every comparison alternates between the two sides, several times over, and takes medians: on a machine that does other
work besides, both sides suffer alike. Each module measures one family of rows and has one function `benchmark`.
"""

from __future__ import annotations

import subprocess
import sys
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


def make_row(name: str, ours: Any, alternative: Any, unit: str, note: str, *, inverse: bool = False) -> dict[str, Any]:
    """Returns a row of the table, its numbers rounded to four digits.

    Args:
        ours, alternative: what was measured, a number or one per round, whose median is taken; None stays empty.
        inverse: the ratio is the alternative over ours, not ours over the alternative.
    """
    numbers: dict[str, Any] = {"ours": ours, "alternative": alternative, "ratio": None}
    if alternative is not None:
        quotient = np.divide(ours, alternative)
        numbers["ratio"] = 1 / quotient if inverse else quotient
    rounded = {key: None if value is None else float(f"{np.median(value):.4g}") for key, value in numbers.items()}
    return {"name": name, **rounded, "unit": unit, "note": note}


class RoundsProcess:
    """A module of this package in a process of its own, which starts a round when told to and answers in numbers."""

    def __init__(self, module: str, *arguments: object) -> None:
        command = [sys.executable, "-m", module, *map(str, arguments)]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def run_round(self) -> list[float]:
        """Returns what the process measured in the next round."""
        self._process.stdin.write("go\n")
        self._process.stdin.flush()
        return [float(number) for number in self._process.stdout.readline().split()]

    def close(self) -> None:
        """Ends the process."""
        self._process.stdin.close()
        self._process.stdout.read()
        self._process.wait()


def peak_memory_gb() -> float:
    """Returns the most memory that this process has held so far."""
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9
