"""Checks an installation: a small fixed run on synthetic speech, compared with what this project expects of it.

    python -m experiments.verify

runs the real scripts (pre-training, then Table 3) with small settings on corpora that it synthesises, in a minute or
two, and compares sound, spectrograms, losses, features and scores with verify_expected.json, each within the tolerance
that stands there. Everything as expected: exit code 0; else 1, and every line that failed says what was found. Other
processors and versions round differently, which training amplifies: the tolerances leave room for that, for nothing else.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

from began.command_line import run_script
from began.errors import InputError
from began.files import lock_folder, write_text

EXPECTED = Path(__file__).with_name("verify_expected.json")
REQUIREMENTS = Path(__file__).resolve().parents[1] / "requirements.txt"


def make_parser() -> argparse.ArgumentParser:
    """Returns the parser of the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m experiments.verify", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--output-dir", type=Path, help="keep corpora and results here (default: a folder that is removed)")
    parser.add_argument("--update", action="store_true", help="write what was found as what is expected (for developers)")
    return parser


def main(arguments: argparse.Namespace) -> int:
    expected = read_expected()
    for line in compare_versions(REQUIREMENTS):
        print(f"note  {line}")
    if arguments.output_dir is not None:
        code = run_small(arguments.output_dir)
        found = {} if code else measure(arguments.output_dir)
    else:
        with tempfile.TemporaryDirectory(prefix="verify-") as folder:
            code = run_small(Path(folder))
            found = {} if code else measure(Path(folder))
    if code:
        print("failed: the run itself did not end; see the message above")
        return 1
    if arguments.update:
        updated = {name: {**expected.get(name, {"tolerance": 0.0}), "value": value} for name, value in found.items()}
        write_text(EXPECTED, json.dumps(updated, indent=1) + "\n")
        print(f"wrote {EXPECTED}")
        return 0
    lines, n_failed = compare(found, expected)
    print("\n" + "\n".join(lines))
    print(f"failed: {n_failed} of {len(lines)} checks" if n_failed else f"passed: all {len(lines)} checks")
    return 1 if n_failed else 0


def read_expected() -> dict[str, dict[str, float]]:
    """Returns the committed expectation: name -> value and tolerance (the largest difference allowed).

    Raises:
        InputError: the file is missing or damaged.
    """
    try:
        return json.loads(EXPECTED.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError.about(
            EXPECTED,
            found=f"that it cannot be read ({error})",
            expected="the committed file",
            action="restore it from the repository",
        ) from error


def compare(found: Mapping[str, float], expected: Mapping[str, Mapping[str, float]]) -> tuple[list[str], int]:
    """Returns a line a check, and how many failed; a value on one side only is a failure."""
    lines, n_failed = [], 0
    for name in dict.fromkeys([*expected, *found]):
        if name not in found or name not in expected:
            good, said = False, "not measured" if name not in found else f"found {found[name]:.6g}, nothing expected"
        else:
            value, tolerance = expected[name]["value"], expected[name]["tolerance"]
            good = abs(found[name] - value) <= tolerance  # False for NaN
            said = f"found {found[name]:.6g}, expected {value:.6g} ± {tolerance:g}"
        n_failed += not good
        lines.append(f"{'pass' if good else 'FAIL'}  {name:<32} {said}")
    return lines, n_failed


def compare_versions(requirements: Path) -> list[str]:
    """Returns a line for each package whose version is not the pinned one: a hint, should a check fail."""
    import importlib.metadata

    lines = []
    for line in requirements.read_text(encoding="utf-8").splitlines():
        name, separator, pinned = line.partition("==")
        if not separator or name.startswith("#"):
            continue
        try:
            installed = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            installed = "none"
        if installed != pinned:
            lines.append(f"{name}: found {installed}, tested with {pinned}")
    return lines


def run_small(folder: Path) -> int:
    """Synthesises two corpora, pre-trains, and makes Table 3; goes on where an earlier call was stopped.

    Args:
        folder: gets data/ and results/.
    Returns:
        The exit code of the first script that failed, or 0.
    """
    from experiments.corpora import synthetic

    writers = {
        "LibriSpeech": lambda path: synthetic.write_librispeech(path, n_speakers=3, n_utterances=3, seconds=3.5),
        "EmoDB": lambda path: synthetic.write_emodb(path, speakers=4, n_texts=1, seconds=0.9),
    }
    with lock_folder(folder):
        for name, write in writers.items():
            target = folder / "data" / name
            if not target.is_dir():  # it appears whole, or not at all
                unfinished = folder / "data" / f"unfinished-{name}"
                shutil.rmtree(unfinished, ignore_errors=True)
                write(unfinished).rename(target)

    from experiments import pretrain_librispeech, table3_emodb

    data, results = folder / "data", folder / "results"
    encoder = results / pretrain_librispeech.EXPERIMENT / "began" / "encoder.keras"
    commands = [
        (
            pretrain_librispeech,
            "--data-dir",
            data / "LibriSpeech",
            "--results-dir",
            results,
            "--base-filters",
            2,
            "--latent-size",
            8,
            "--batch-size",
            4,
            "--epochs",
            3,
            "--learning-rate",
            0.0005,
        ),
        (
            table3_emodb,
            "--data-dir",
            data / "EmoDB",
            "--encoder",
            encoder,
            "--results-dir",
            results,
            "--runs",
            1,
            "--max-evals",
            2,
            "--epochs",
            4,
            "--workers",
            1,
        ),
    ]
    for script, *words in commands:
        code = run_script(script.main, script.make_parser(), [str(word) for word in words])
        if code:
            return code
    return 0


def measure(folder: Path) -> dict[str, float]:
    """Returns the numbers that are compared, from the folder of a small run."""
    import numpy as np
    import pandas as pd

    from began.audio import cut_chunks, read_audio
    from began.spectrogram import SpectrogramConfig, compute_spectrograms
    from experiments.evaluation.runs import read_metrics

    waveform = read_audio(folder / "data" / "EmoDB" / "wav" / "03a01Wa.wav")
    spectrograms = compute_spectrograms(cut_chunks(waveform), SpectrogramConfig())
    last = pd.read_csv(folder / "results" / "pretrain_librispeech" / "began" / "history.csv").iloc[-1]
    (features_file,) = (folder / "results" / "cache" / "features").glob("*/features.npy")
    features = np.load(features_file, allow_pickle=False)
    metrics = read_metrics(folder / "results", "table3_emodb")
    pooled = metrics[(metrics["fold"] == "pooled") & (metrics["level"] == "utterance")].set_index("metric")["value"]
    return {
        "waveform_rms": float(np.sqrt(np.mean(waveform**2))),
        "spectrogram_mean": float(spectrograms.mean()),
        "spectrogram_sd": float(spectrograms.std()),
        "pretraining_reconstruction_loss": float(last["reconstruction_loss"]),
        "pretraining_convergence_measure": float(last["convergence_measure"]),
        "pretraining_k": float(last["k"]),
        "features_mean": float(features.mean()),
        "features_sd": float(features.std()),
        "n_chunks": float(len(features)),
        "accuracy": float(pooled["accuracy"]),
        "unweighted_average_recall": float(pooled["unweighted_average_recall"]),
    }


if __name__ == "__main__":
    sys.exit(run_script(main, make_parser()))
