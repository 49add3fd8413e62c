"""Writes a manifest of a published corpus: a CSV file with what its file names say of emotion, speaker, sex and split.

    python -m experiments.manifest ravdess data/RAVDESS

writes data/RAVDESS/manifest.csv. Emotions get this project's names (anger, happiness, sadness, …). Files that are not named as
the corpus names its own, or whose label is missing, are listed and left out, and the exit code is then 1. Whether files are
sound, and which hold the same sound, is for `python -m experiments.check manifest` to say.
"""

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from shlex import quote

from began.command_line import run_script
from began.errors import InputError, counted, printable, shorten
from began.files import is_there, write_text
from experiments.corpora import load
from experiments.corpora.file_names import NAMINGS, UNANNOTATED, list_recordings
from experiments.corpora.record import refuse_other_encodings

COLUMNS = ("file", "label", "speaker", "sex", "split")


def make_parser() -> argparse.ArgumentParser:
    """Returns the parser of the command line."""
    corpora = "\n".join(f"    {name:<8} {naming.title}: {naming.example}" for name, naming in NAMINGS.items())
    parser = argparse.ArgumentParser(prog="python -m experiments.manifest", description=f"{__doc__}\ncorpora:\n{corpora}")
    parser.add_argument("corpus", choices=tuple(NAMINGS), metavar="CORPUS", help=f"one of {', '.join(NAMINGS)}")
    parser.add_argument("folder", type=Path, metavar="FOLDER", help="that holds the corpus, in folders of any depth")
    parser.add_argument("--output", type=Path, metavar="CSV", help="file to write (default: FOLDER/manifest.csv)")
    return parser


def main(arguments: argparse.Namespace) -> int:
    naming = NAMINGS[arguments.corpus]
    if arguments.output and arguments.output.suffix.lower() != ".csv":
        raise InputError.about("--output", arguments.output, "a name that ends in .csv", "choose another name")
    rows, others, left_out = list_recordings(naming, arguments.folder)
    output = arguments.output or arguments.folder / "manifest.csv"
    text = to_csv(rows, output.parent)
    if is_there(output) and (not output.is_file() or output.read_text(encoding="utf-8", errors="replace") != text):
        action = "remove it, or choose another --output"
        raise InputError.about(output, "another file there", "none, so that no manifest of yours is lost", action)
    is_new = not is_there(output)
    write_text(output, text)
    try:
        corpus = load("manifest", output)
    except InputError:
        if is_new:
            output.unlink()
        raise
    print(corpus.describe())
    for reason, names in sorted(left_out.items()):
        print(printable(f"note: {counted(len(names), 'recording')} left out, {reason}: {shorten(names)}"))
    without = [Path(row["file"]).name for row in rows if "split" not in row]
    if 0 < len(without) < len(rows):
        print(printable(f"note: no column split: {counted(len(without), 'recording')} without a part: {shorten(without)}"))
    if others:
        names = [path.relative_to(arguments.folder).as_posix() for path in others]
        print(printable(f"note: {counted(len(others), 'file')} left out, not named as {naming.example}: {shorten(names)}"))
    print(printable(f"wrote {output}"))
    print(printable(f"check it: python -m experiments.check manifest {quote(str(output))}"))
    return 1 if others or UNANNOTATED in left_out else 0


def to_csv(rows: Sequence[dict[str, str]], folder: Path) -> str:
    """Returns rows of `experiments.corpora.file_names.list_recordings` as CSV, with paths relative to a folder.

    Raises:
        InputError: a path that is not UTF-8.
    """
    import pandas as pd

    # A split of some recordings alone is none, which `main` says.
    columns = [name for name in COLUMNS if all(name in row for row in rows)]
    paths = [Path(row["file"]) for row in rows]
    # Of real folders: behind a link, ".." leads elsewhere.
    relative = [Path(os.path.relpath(path.parent.resolve() / path.name, folder.resolve())).as_posix() for path in paths]
    refuse_other_encodings(relative)
    return pd.DataFrame(rows, columns=columns).assign(file=relative).to_csv(index=False, lineterminator="\n")


if __name__ == "__main__":
    sys.exit(run_script(main, make_parser()))
