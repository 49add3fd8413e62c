"""Measures and writes results/benchmarks.csv.

    python -m experiments.benchmarks --results-dir results

takes about nine minutes on two cores that do nothing else. With other work on the machine the figures are lower, and the
ratios less certain.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from began.command_line import run_script
from began.errors import InputError
from began.files import write_atomically
from experiments.benchmarks import COLUMNS

PARTS = ("preparation", "memory", "many_files", "training_step", "heads")


def make_parser() -> argparse.ArgumentParser:
    """Returns the parser of the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m experiments.benchmarks", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--results-dir", type=Path, default=Path("results"), help="default: results")
    parser.add_argument("--data-dir", type=Path, help="LibriSpeech, to be prepared; default: synthetic speech")
    parser.add_argument("--only", nargs="+", choices=PARTS, default=PARTS, help="parts to measure; default: all")
    return parser


def main(arguments: argparse.Namespace) -> None:
    files = _find_files(arguments.data_dir) if arguments.data_dir else None

    import pandas as pd

    from began.startup import start_backend

    load = os.getloadavg()[0]
    if load > 0.5:
        print(f"note: other programs keep {load:.1f} cores busy; the figures will be lower than this machine's", flush=True)
    if "training_step" in arguments.only or "heads" in arguments.only:
        start_backend()
    rows: list[dict[str, Any]] = []
    for part in arguments.only:
        print(f"measuring: {part.replace('_', ' ')}", flush=True)
        rows += _PARTS[part](files)
    table = pd.DataFrame(rows, columns=list(COLUMNS))
    path = arguments.results_dir / "benchmarks.csv"
    if set(arguments.only) < set(PARTS) and path.exists():  # the other parts' rows stay
        before = pd.read_csv(path)
        table = pd.concat([before[~before["name"].isin(table["name"])], table], ignore_index=True)
    with write_atomically(path) as temporary:
        table.to_csv(temporary, index=False, lineterminator="\n")
    print(table.to_string(index=False, na_rep="", max_colwidth=90))
    print(f"wrote {path}")


def _find_files(data_dir: Path) -> list[Path]:
    from experiments.corpora import load

    files = [Path(path) for path in load("librispeech", data_dir).utterances["path"]]
    if not files:
        raise InputError.about(data_dir, found="no utterance", expected="LibriSpeech", action="check the path")
    return files


def _measure_preparation(files: list[Path] | None) -> list[dict[str, Any]]:
    from experiments.benchmarks.preparation import benchmark_preparation

    if files is not None:
        return benchmark_preparation(files)
    from experiments.corpora import synthetic

    with tempfile.TemporaryDirectory(prefix="benchmark-") as folder:
        synthetic.write_librispeech(folder, n_speakers=8, n_utterances=4, seconds=12.0)
        return benchmark_preparation(sorted(Path(folder).rglob("*.flac")))


def _measure_memory(files: list[Path] | None) -> list[dict[str, Any]]:
    from experiments.benchmarks.memory import benchmark_memory

    return benchmark_memory()


def _measure_many_files(files: list[Path] | None) -> list[dict[str, Any]]:
    from experiments.benchmarks.many_files import benchmark_many_files

    return benchmark_many_files()


def _measure_training_step(files: list[Path] | None) -> list[dict[str, Any]]:
    from experiments.benchmarks.training_step import benchmark_training_step

    return benchmark_training_step()


def _measure_heads(files: list[Path] | None) -> list[dict[str, Any]]:
    from experiments.benchmarks.heads import benchmark_loso

    return benchmark_loso()


_PARTS: dict[str, Callable[[list[Path] | None], list[dict[str, Any]]]] = {
    "preparation": _measure_preparation,
    "memory": _measure_memory,
    "many_files": _measure_many_files,
    "training_step": _measure_training_step,
    "heads": _measure_heads,
}


if __name__ == "__main__":
    sys.exit(run_script(main, make_parser()))
