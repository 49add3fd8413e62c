"""Features of sound files, for other people's classifiers: statistics of the frozen encoder, one row per file.

    python -m experiments.embed recording.wav folder/ --output features.npz

writes the file's name, start and end in seconds, and the features: of whole files, or of their windows (--per second, --per
window); windows without speech are left out. The suffix of --output says in which form:

    .npz      arrays files, start_seconds, end_seconds, features (n_rows, n_features) and names (n_features,), for NumPy
    .csv      a table, for any program; features to 4 significant digits, seconds to 3 decimals; about twice as large
    .parquet  the same table (needs pyarrow)

A file that cannot be used is reported and left out, and the exit code is then 1.
"""

import argparse
import importlib.util
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from began import published_networks
from began.audio import measure_seconds
from began.command_line import run_script
from began.encoder import read_config
from began.errors import InputError, counted, printable
from began.files import check_writable, is_there, write_atomically
from began.find_sounds import describe_other_encodings, find_sounds
from began.front_end import FRONT_ENDS
from began.startup import start_backend
from began.utterance_encoder import SPREAD
from began.utterance_features import FEATURES, UtteranceFeatures, add_window_options, choose_windows, open_features
from experiments.corpora.record import refuse_other_encodings

SIGNIFICANT_DIGITS, DECIMALS = 4, 3
"""Of features and of seconds in CSV files; docs/features.md says so."""

Row = tuple[str, float, float, np.ndarray]
"""File, start and end in seconds, and features."""


def make_parser() -> argparse.ArgumentParser:
    """Returns the parser of the command line."""
    parser = argparse.ArgumentParser(prog="python -m experiments.embed", description=__doc__)
    add = parser.add_argument
    add("sounds", nargs="+", type=Path, metavar="FILE_OR_FOLDER", help="sound files, and folders that are searched for them")
    add("--output", type=Path, required=True, metavar="PATH", help=f"a file ending in {', '.join(WRITERS)}")
    add(
        "--encoder",
        type=Path,
        default=published_networks.ENCODER,
        help="encoder.keras of a pre-training (default: the published one)",
    )
    add("--per", choices=("file", "second", "window"), default="file", help="what a row is about (default: file)")
    add_window_options(parser, "with --per window")
    add("--front-end", choices=FRONT_ENDS, default="normalized", help="see docs/method.md (default: normalized)")
    statistics = f"of every band and channel over time, or between principal components (default: {' '.join(SPREAD)})"
    add("--statistics", nargs="+", choices=FEATURES, default=SPREAD, help=statistics)
    return parser


def main(arguments: argparse.Namespace) -> int:
    write = WRITERS.get(arguments.output.suffix.lower())
    if write is None:
        expected = f"a file ending in {', '.join(WRITERS)}"
        raise InputError.about("--output", printable(arguments.output), expected, "choose one of these")
    if write is write_parquet and importlib.util.find_spec("pyarrow") is None:
        found = f"{printable(arguments.output)}, without the package pyarrow"
        raise InputError.about("--output", found, "that package", "install it: pip install pyarrow")
    chosen = choose_windows(arguments.window, arguments.hop)
    for name in ("window", "hop") if arguments.per != "window" else ():
        if getattr(arguments, name) is not None:
            found, action = f"it with --per {arguments.per}", f"add --per window, or leave out --{name}"
            raise InputError.about(f"--{name}", found, "--per window", action)
    read_config(arguments.encoder)
    if is_there(arguments.output):
        expected, action = "a file that is not there yet", "choose another name, or remove it"
        raise InputError.about("--output", f"{printable(arguments.output)}, which is there", expected, action)
    paths = find_sounds(arguments.sounds)
    if write is write_parquet:
        refuse_other_encodings(map(str, paths))
    check_writable(arguments.output.parent, "--output")
    start_backend()
    features = open_features(arguments.encoder, front_end=arguments.front_end, statistics=arguments.statistics)
    windows = {"file": None, "second": (1.0, 1.0), "window": chosen}[arguments.per]
    rows, n_bad = embed_all(features, paths, windows)
    if rows:
        with write_atomically(arguments.output) as temporary:
            write(temporary, rows, features.names)
        found = f"{counted(len(rows), 'row')} of {len(features.names)} features of {counted(len(paths) - n_bad, 'file')}"
        print(f"wrote {found} to {printable(arguments.output)}", file=sys.stderr)
        if write is write_csv and (note := describe_other_encodings(dict.fromkeys(name for name, *_ in rows))):
            print(f"note: {note}", file=sys.stderr)
    if n_bad:
        print(f"{n_bad} of {len(paths)} files could not be used and were skipped.", file=sys.stderr)
    return 1 if n_bad else 0


def embed_all(features: UtteranceFeatures, paths: list[Path], windows: tuple[float, float] | None) -> tuple[list[Row], int]:
    """Returns the rows of all files, and how many files could not be used; these are reported.

    Args:
        windows: length and distance in seconds of the parts that get a row each; None: whole files do.
    """
    from tqdm import tqdm

    rows: list[Row] = []
    pauses: list[float] = []
    n_bad = 0
    for path in tqdm(paths, unit="file", desc="embedding", delay=1.0, leave=False, disable=None):
        try:
            rows += list(_embed(features, path, windows, lambda start, end: pauses.append(start)))
        except InputError as error:
            n_bad += 1
            tqdm.write(f"skipped: {error}", file=sys.stderr)
    if pauses:
        print(f"note: {counted(len(pauses), 'window')} without speech left out", file=sys.stderr)
    return rows, n_bad


def _embed(
    features: UtteranceFeatures, path: Path, windows: tuple[float, float] | None, on_pause: Callable[[float, float], None]
) -> Iterator[Row]:
    if windows is None:
        yield str(path), 0.0, measure_seconds(path), features.embed_file(path)
        return
    for start, end, values in features.embed_windows(path, *windows, on_pause):
        yield str(path), start, end, values


# ---------------------------------------------------------------------------------------------------------- output


def write_npz(path: Path, rows: list[Row], names: list[str]) -> None:
    """Writes arrays: str, float64 and float32, none of which needs pickle. `savez` knows a name `file` of its own."""
    files, starts, ends, features = zip(*rows, strict=True)
    where = {"files": np.array(files), "start_seconds": np.array(starts), "end_seconds": np.array(ends)}
    with open(path, "wb") as file:  # to a name that does not end in .npz, such as a.NPZ, NumPy would add it
        np.savez_compressed(file, allow_pickle=False, **where, features=np.stack(features), names=np.array(names))


def write_csv(path: Path, rows: list[Row], names: list[str]) -> None:
    """Writes a table of file, start_seconds, end_seconds and the features; row by row, for it is wide.

    Features are rounded to SIGNIFICANT_DIGITS, seconds to DECIMALS: with six digits, rows would be a quarter larger.
    """
    import csv

    with open(path, "w", encoding="utf-8", errors="surrogateescape", newline="") as file:
        write = csv.writer(file, lineterminator="\n").writerow
        write(["file", "start_seconds", "end_seconds", *names])
        for name, start, end, features in rows:
            times = (round(time, DECIMALS) for time in (start, end))
            write([name, *times, *(f"{value:.{SIGNIFICANT_DIGITS}g}" for value in features)])


def write_parquet(path: Path, rows: list[Row], names: list[str]) -> None:
    """Writes the same table as columns: str, float64 and float32."""
    import pandas as pd

    files, starts, ends, features = zip(*rows, strict=True)
    table = pd.DataFrame(np.stack(features), columns=names)
    table.insert(0, "file", files)
    table.insert(1, "start_seconds", starts)
    table.insert(2, "end_seconds", ends)
    table.to_parquet(path, index=False)


WRITERS: dict[str, Callable[[Path, list[Row], list[str]], None]] = {
    ".npz": write_npz,
    ".csv": write_csv,
    ".parquet": write_parquet,
}


def run() -> int:
    """Runs the command as the program `began-embed`."""
    return run_script(main, make_parser())


if __name__ == "__main__":
    sys.exit(run())
