"""The small run that tests kill, repeat and compare: pre-training, features, search, leave one speaker out, report.

python tests/small_results.py FOLDER
"""

from __future__ import annotations

import json
import shutil
import sys
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
SMALL_RUN = (sys.executable, __file__)
"""Command line of the whole run in one process; the folder is to be added."""

UNREPEATABLE = ["seconds", "chunks_per_second"]
"""Columns that no seed can repeat."""


def read_results(folder: Path) -> dict[str, object]:
    """Everything that a small run has computed, by file; seconds and dates, which no seed can repeat, are left out."""
    import h5py
    import pandas as pd

    found: dict[str, object] = {}
    results = folder / "results"
    for path in sorted(path for path in results.rglob("*") if path.is_file()):
        name = str(path.relative_to(results))
        if "logs/" in name or ".writing-" in name:  # the latter: what a killed run was about to write, and nobody reads
            continue
        if path.suffix == ".csv":
            table = pd.read_csv(path, dtype=str, keep_default_na=False)
            found[name] = table.drop(columns=UNREPEATABLE, errors="ignore").to_csv()
        elif path.suffix == ".keras":
            with zipfile.ZipFile(path) as archive, archive.open("model.weights.h5") as weights, h5py.File(weights) as file:
                arrays: list[bytes] = []
                file.visititems(
                    lambda key, item, arrays=arrays: arrays.append(
                        key.encode() + (item[()].tobytes() if isinstance(item, h5py.Dataset) else b"")
                    )
                )
                found[name] = b"\n".join(sorted(arrays))
        elif path.suffix == ".npy":
            found[name] = path.read_bytes()
        elif path.name == "config.json":
            found[name] = json.loads(path.read_text(encoding="utf-8"))
        elif path.suffix == ".md":
            found[name] = path.read_text(encoding="utf-8")
        elif path.name not in (".lock", "environment.json", "checkpoint.npz", "store.json") and path.suffix != ".png":
            found[name] = "is there"
    return found


def run_small(folder: Path) -> int:
    """Synthesises two corpora, pre-trains, and makes Table 3; goes on where an earlier call was stopped.

    Args:
        folder: gets data/ and results/.
    Returns:
        The exit code of the first command that failed, or 0.
    """
    from began.command_line import run_script
    from began.files import lock_folder
    from experiments.corpora import synthetic

    writers = {
        "LibriSpeech": lambda path: synthetic.write_librispeech(path, n_speakers=3, n_utterances=3, seconds=3.5),
        "EmoDB": lambda path: synthetic.write_emodb(path, speakers=4, n_texts=1, seconds=0.9),
    }
    data, results = folder / "data", folder / "results"
    with lock_folder(folder):
        for name, write in writers.items():
            if not (data / name).is_dir():  # it appears complete, or not at all
                unfinished = data / f"unfinished-{name}"
                shutil.rmtree(unfinished, ignore_errors=True)
                write(unfinished).rename(data / name)

    from experiments import pretrain_librispeech, table3_emodb

    encoder = results / "pretrain_librispeech" / "began" / "encoder.keras"
    networks = ["--base-filters", "2", "--latent-size", "8", "--batch-size", "4", "--epochs", "3", "--learning-rate", "0.0005"]
    heads = ["--method", "head", "--runs", "1", "--max-evals", "2", "--epochs", "4", "--workers", "1"]
    for script, *words in (
        (pretrain_librispeech, "--data-dir", data / "LibriSpeech", "--results-dir", results, *networks),
        (table3_emodb, "--data-dir", data / "EmoDB", "--encoder", encoder, "--results-dir", results, *heads),
    ):
        if code := run_script(script.main, script.make_parser(), [str(word) for word in words]):
            return code
    return 0


if __name__ == "__main__":
    sys.path.insert(0, str(ROOT))
    sys.exit(run_small(Path(sys.argv[1])))
