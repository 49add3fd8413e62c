"""`make bench`: what this project does beside what is usually done, measured in one run on one machine.

Every comparison alternates between the two sides, several times over, and takes medians: on a machine that does other
work besides, both sides suffer alike. Each module measures one family of rows and has one function `benchmark`.
"""

import multiprocessing
import re
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from began.errors import InputError

ROOT = Path(__file__).resolve().parents[2]


def alternate(sides: Mapping[str, Callable[[], Any]], repetitions: int) -> dict[str, np.ndarray]:
    """Runs functions in turn, `repetitions` times, after one round that does not count.

    Returns:
        name -> seconds, float64, shape (repetitions,); the same position is the same round.
    """
    seconds: dict[str, list[float]] = {name: [] for name in sides}
    for _ in range(repetitions + 1):
        for name, run in sides.items():
            started = time.perf_counter()
            run()
            seconds[name].append(time.perf_counter() - started)
    return {name: np.array(values[1:]) for name, values in seconds.items()}


def make_row(name: str, ours: Any, alternative: Any, unit: str, note: str, *, inverse: bool = False) -> dict[str, Any]:
    """Returns a row of the table, its numbers rounded to four digits.

    Args:
        ours, alternative: what was measured, a number or one per round, whose median is taken.
        inverse: the ratio is the alternative over ours, not ours over the alternative.
    """
    ratio = np.divide(alternative, ours) if inverse else np.divide(ours, alternative)
    numbers = {"ours": ours, "alternative": alternative, "ratio": ratio}
    rounded = {key: float(f"{np.median(value):.4g}") for key, value in numbers.items()}
    return {"name": name, **rounded, "unit": unit, "note": note}


@contextmanager
def check_out(commit: str | None) -> Iterator[Path]:
    """Gives a folder with the files of a commit; without one, this folder."""
    if commit is None:
        yield ROOT
        return
    with tempfile.TemporaryDirectory(prefix="benchmark-") as folder:
        git = ["git", "-C", str(ROOT), "worktree"]
        run_command([*git, "add", "--quiet", "--detach", f"{folder}/other", commit], f"--against {commit}")
        try:
            yield Path(folder) / "other"
        finally:
            subprocess.run([*git, "remove", "--force", f"{folder}/other"], check=True)


def run_command(command: Sequence[str], subject: str, folder: Path = ROOT) -> None:
    """Runs a command in a folder.

    Raises:
        InputError: the command failed; has the last line of its error.
    """
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    if done.returncode:
        lines = done.stderr.strip().splitlines() or [f"exit code {done.returncode}"]
        raise InputError.about(subject, lines[-1], f"{' '.join(command[:3])} … to succeed", "choose another commit")


def write_speech(folder: Path, n_files: int, shortest_seconds: float = 2.0, longest_seconds: float = 4.0) -> list[Path]:
    """Writes files of noise that swells and fades as speech does, at 16 kHz, the same every time, and returns their paths."""
    import soundfile

    generator, paths = np.random.default_rng(0), [folder / f"{number}.wav" for number in range(n_files)]
    for path in paths:
        n_samples = int(generator.uniform(shortest_seconds, longest_seconds) * 16_000)
        speech = generator.normal(0, 0.1, n_samples) * np.abs(np.sin(np.arange(n_samples) / 2000))
        soundfile.write(path, speech, 16_000)
    return paths


def run_in_process(function: Callable[..., Any], *arguments: Any) -> Any:
    """Returns what a function of a module returns in a new process, whose peak memory is its own."""
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:  # TensorFlow does not survive a fork
        return pool.submit(function, *arguments).result()


def peak_memory_gb() -> float:
    """Returns the most memory that this process has held so far; getrusage would count what its parent held at its start."""
    return int(re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())[1]) * 1024 / 1e9
