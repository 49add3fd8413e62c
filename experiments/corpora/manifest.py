"""A user's own recordings, named in a CSV file: `file,label` or `file,arousal,valence`, with `speaker` and `split`."""

from __future__ import annotations

import os
from pathlib import Path

from began.errors import InputError
from began.files import describe_no_file
from experiments.corpora.record import (
    POOLED,
    RESERVED_LABELS,
    Corpus,
    build_corpus,
    parse_number,
    printable,
    read_table,
    refuse_problems,
)

NAME = "manifest"
LABELS = ()
"""Whatever the file's column `label` holds."""
DESCRIPTION = "Recordings of your own, named in a CSV file."
CITATION = ""
LICENCE = "yours"
LAYOUT = "file,label[,speaker][,split] or file,arousal,valence[,speaker][,split], one row a sound file"
HOW_TO_OBTAIN = """write a CSV file with the columns file,label or file,arousal,valence, and if known speaker and split
`file` is relative to the CSV file; arousal lies in [0, 1], valence in [-1, 1]; split is train, validation or test"""
EXPECTED: dict[str, object] = {}

ALIASES = {
    "emotion": "label",
    "category": "label",
    "activation": "arousal",
    "gender": "sex",
    "transcription": "text",
    "transcript": "text",
    "filename": "file",
    "path": "file",
    "subset": "split",
}
"""Names that audformat and its neighbours use for the same columns."""
SPLITS = {
    "train": "train",
    "training": "train",
    "validation": "validation",
    "valid": "validation",
    "val": "validation",
    "dev": "validation",
    "devel": "validation",
    "development": "validation",
    "test": "test",
}
_SEXES = {"f": "F", "female": "F", "m": "M", "male": "M"}
_NO_TIME = {"", "nat", "nan", "none"}


def load(data_dir: str | os.PathLike[str]) -> Corpus:
    """Returns the recordings that a CSV file names.

    Without a column `speaker` every row's speaker is "unknown", and protocols that split by speaker refuse it.
    Columns of other names are left out and noted.

    Args:
        data_dir: the CSV file, UTF-8, comma-separated; its paths are relative to itself. Columns of audformat tables
            are taken where they mean the same: `emotion`, `gender`, `transcription`, and `start` and `end` if they
            mark whole files.
    Raises:
        InputError: columns missing, files missing or named twice, empty labels or speakers, unknown splits, numbers
            missing or out of range, or segments of files; all of them are listed.
    """
    path = Path(data_dir)
    if path.is_dir():
        tables = sorted(file.name for file in path.iterdir() if file.suffix.lower() == ".csv")
        raise InputError.about(
            printable(path),
            found="a folder" + (f" with {', '.join(tables[:5])}" if tables else ""),
            expected=f"a CSV file: {LAYOUT}",
            action="give the CSV file",
        )
    lines = read_table(path, [])
    header = list(lines[0][1])
    names = {column: ALIASES.get(column.lower(), column.lower()) for column in header}
    _check_columns(path, names)
    problems: list[str] = []
    rows, first_line = [], {}
    for number, cells in lines:
        row = _parse_row(path.parent, {names[column]: cell for column, cell in cells.items()})
        if isinstance(row, list):
            problems += [f"line {number}: {problem}" for problem in row]
            continue
        real = os.path.realpath(row["path"])
        if real in first_line:
            problems.append(f"line {number}: {printable(row['utterance'])} is already in line {first_line[real]}")
            continue
        first_line[real] = number
        rows.append(row)
    refuse_problems(f"{printable(path)}: lines that cannot be used", problems)
    known = {"file", "label", "speaker", "split", "arousal", "valence", "sex", "text", "start", "end"}
    notes = (
        [f"columns that are not used: {', '.join(other)}"]
        if (other := [printable(column) or "one without a name" for column in header if names[column] not in known])
        else []
    )
    return build_corpus(path.stem, rows, labels=sorted({row["label"] for row in rows if "label" in row}), notes=notes)


def _check_columns(path: Path, names: dict[str, str]) -> None:
    """Raises InputError if the columns do not say what a manifest has to say, or say it twice."""
    found = list(names.values())
    expected = f"the columns {LAYOUT.split(', one')[0]}"
    twice = sorted({name for name in found if name and found.count(name) > 1})
    if twice:
        columns = [column for column, name in names.items() if name in twice]
        raise InputError.about(
            printable(path),
            found=f"the columns {', '.join(columns)}, which mean the same",
            expected=expected,
            action="keep one of them",
        )
    if "file" not in found or ("label" not in found and not {"arousal", "valence"} <= set(found)):
        shown = ", ".join(printable(column) for column in names)[:200]
        semicolon = len(names) == 1 and ";" in shown
        raise InputError.about(
            printable(path),
            found=f"the columns {shown}",
            expected=expected,
            action="separate the columns by commas" if semicolon else "add the missing columns",
        )


def _parse_row(folder: Path, cells: dict[str, str]) -> dict[str, object] | list[str]:
    """Returns a row of the manifest as a row of the corpus, or else the problems with it."""
    problems: list[str] = []
    file = cells["file"]
    row: dict[str, object] = {
        "utterance": Path(file).as_posix(),
        "path": str(folder / file),
        "speaker": cells.get("speaker", "unknown"),
    }
    if not file:
        problems.append("file is empty; expected a sound file's path")
    else:
        try:
            if not (folder / file).is_file():
                problems.append(f"{printable(folder / file)}: {describe_no_file(folder / file)}")
        except (OSError, ValueError) as error:  # a name that is too long for the file system
            problems.append(f"file {printable(file)[:60]!r}… is not a path ({error})")
    for column in ("speaker", "label"):
        if column in cells:
            row[column] = cells[column]
            # A line feed or a no-break space in a name would only show in a table, or when a trained model is opened.
            if not cells[column]:
                problems.append(f"{column} is empty; expected a name")
            elif not cells[column].isprintable():
                problems.append(f"{column} is {cells[column][:40]!r}; expected a name of printable characters")
    if cells.get("speaker") == POOLED:
        problems.append(f"speaker is {POOLED!r}, which is how tables name all speakers together; expected another name")
    if cells.get("label") in RESERVED_LABELS:
        problems.append(f"label is {cells['label']!r}, which is a column of predictions.csv; expected another name")
    if "arousal" in cells and "valence" in cells:
        for column, low in (("arousal", 0), ("valence", -1)):
            row[column] = parse_number(cells, column, low, 1)
            if isinstance(row[column], str):
                problems.append(row[column])
    if "split" in cells:
        row["split"] = SPLITS.get(cells["split"].lower(), "")
        if not row["split"]:
            problems.append(f"split is {printable(cells['split'])[:40]!r}; expected train, validation or test")
    if "sex" in cells:
        row["sex"] = _SEXES.get(cells["sex"].lower(), "")
    if "text" in cells:
        row["text"] = cells["text"]
    start, end = cells.get("start", "").lower(), cells.get("end", "").lower()
    starts_at_zero = start in _NO_TIME or not any(mark in "123456789" for mark in start)
    if not starts_at_zero or end not in _NO_TIME:
        problems.append(
            f"start and end are {printable(start)!r} and {printable(end)!r}, a part of the file; expected "
            "whole files: cut it out into a file of its own, and leave `end` empty"
        )
    return problems or row
