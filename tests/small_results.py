"""The small run that tests kill, repeat and compare: pre-training, features, search, leave one speaker out, report."""

from __future__ import annotations

import json
import sys
import zipfile
from pathlib import Path

SMALL_RUN = (
    sys.executable,
    "-c",
    "import sys; from pathlib import Path; from experiments.verify import run_small; sys.exit(run_small(Path(sys.argv[1])))",
)
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
            found[name] = table.drop(columns=["seconds", "chunks_per_second"], errors="ignore").to_csv()
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
