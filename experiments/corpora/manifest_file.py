"""A user's own recordings, named in a CSV file: `file,label` or `file,arousal,valence`, with `speaker` and `split`."""

import math
import os
import re
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from began.audio import measure_seconds
from began.errors import InputError, counted, name_cause, printable, raise_resource_error, shorten
from began.files import StrPath, describe_no_file, is_file, is_folder, say_why_not_there
from began.media_fragments import name_part, split_part
from classifiers.description import normalize_name
from experiments.corpora.folders import POINT, parse_number, read_table, refuse_problems, to_number, wrong_columns
from experiments.corpora.record import RESERVED_LABELS, SCOPES, UNKNOWN_SPEAKER, Corpus, build_corpus

NAME = "manifest"
DESCRIPTION = "Recordings of your own, named in a CSV file."
CITATION = ""
LICENCE = "yours"
LAYOUT = "file,label[,speaker][,split] or file,arousal,valence[,speaker][,split], one row per sound file"
HOW_TO_OBTAIN = """write a CSV file with the columns file,label or file,arousal,valence, and if known speaker and split
`file` is relative to the CSV file; arousal lies in [0, 1], valence in [-1, 1]; split is train, validation or test
`start` and `end`, in seconds, mark a part of a file; empty, they mean its own; `duration` may stand in place of `end`
tables that audformat saves are such files, as CSV or as Parquet"""

ALIASES = {"filename": "file", "path": "file", "emotion": "label", "category": "label", "activation": "arousal"}
ALIASES |= {"subset": "split", "gender": "sex", "transcription": "text", "transcript": "text"}
"""Names that audformat and its neighbours use for the same columns."""
LABEL_ALIAS = "emoclass"
"""MSP-Podcast's name, as `_simplify` gives it, of a column that is taken for `label` where there is none."""
SPEAKER_ALIASES = {"speaker_id", "speakerid", "spkrid", "spkr_id"}
"""Names, as `_simplify` gives them, of a column that is taken for `speaker` where there is none."""
TIME_ALIASES = {"begin": "start", "onset": "start", "start_time": "start"}
TIME_ALIASES |= {"stop": "end", "offset": "end", "end_time": "end"}
"""Names that are taken for `start` and `end`, as `_simplify` gives them, where both are there, or a start and a duration."""
_VALIDATION = ("validation", "valid", "val", "dev", "devel", "development")
SPLITS = {"train": "train", "training": "train", "test": "test"} | dict.fromkeys(_VALIDATION, "validation")
_SEXES = {"f": "F", "female": "F", "m": "M", "male": "M"}
NO_TIME = {"", "nat", "nan", "none"}
_NO_NAME = {"nan", "none", "null", "n/a"}
NO_SPEAKER = {*_NO_NAME, "unk"}
"""What programs write in place of a speaker who is not known, in any case. NA may be somebody's initials."""
NO_LABEL = {*_NO_NAME, "na"}
"""What they write in place of a label."""
LIMITS = {"arousal": (0.0, 1.0), "valence": (-1.0, 1.0)}
"""Lowest and highest value of each dimension."""
ROUNDING_SECONDS = 0.001
"""How far a time may lie from that of the file's end, or beginning, and still mean it."""
Span = tuple[float, float]
"""Start and end of a part of a file, in seconds; the end of a whole file is infinite."""

_COLUMNS = ("file", "label", "speaker", "split", "arousal", "valence", "sex", "text", "start", "end")


def load(data_dir: StrPath, *, unlabelled: bool = False) -> Corpus:
    """Returns the recordings that a CSV file names, or a Parquet file of the same columns.

    Without a column `speaker` every row's speaker is "unknown", and protocols that split by speaker refuse it; a column of
    SPEAKER_ALIASES is taken in its place, LABEL_ALIAS for `label`, and columns of TIME_ALIASES for `start` and `end`; these are
    noted. Columns of other names are left out and noted.
    Columns of audformat tables are taken where they mean the same: `emotion`, `gender`, `transcription`, and `start` and
    `end`, which may mark a part of the file. The corpus is called as the file is; manifest.csv, as its folder is.

    Args:
        data_dir: the file; CSV is UTF-8 and comma-separated. Its paths are relative to itself.
        unlabelled: take a file without labels, too.
    Raises:
        InputError: columns missing, or lines that cannot be used; all of them are listed.
    """
    layout = "file[,start][,end], one row per sound file" if unlabelled else LAYOUT
    path, expected = Path(data_dir), f"a CSV file: {layout}"
    if is_folder(path):
        tables = ", ".join(sorted(printable(file.name) for file in path.glob("*.csv"))[:5])
        found = f"a folder with {tables}" if tables else "a folder"
        raise InputError.about(path, found, expected, "give the CSV file")
    lines = _read_parquet(path, expected) if path.suffix.lower() == ".parquet" else read_table(path)
    header = list(lines[0][1])
    meanings, renamed = _find_meanings(header, not unlabelled)
    names = dict(zip(header, meanings, strict=True))
    needed = [{"file", "label"}, {"file", "arousal", "valence"}, *([{"file"}] if unlabelled else [])]
    if not any(columns <= set(meanings) for columns in needed):
        understood = {printable(column): name for column, name in names.items() if name in _COLUMNS}
        taken = [f"{column} is taken for {name}" for column, name in understood.items() if column.lower() != name]
        lacking = ["file"] if "file" not in meanings else []
        lacking += ["label (or arousal and valence)"] if "label" not in meanings and not unlabelled else []
        raise wrong_columns(path, header, expected, "; ".join([f"add {' and '.join(lacking)}", *taken]))
    if twice := [column for column, name in names.items() if name and meanings.count(name) > 1]:
        found = f"the columns {', '.join(twice)}, which mean the same"
        raise InputError.about(path, found, expected, "keep one of them")
    rows, faults_of = [], {}
    for number, cells in lines:
        row, faults_of[number] = _parse_row(path.parent, {names[column]: cell for column, cell in cells.items()})
        rows.append(row)
    read = {number: row for (number, _), row in zip(lines, rows, strict=True) if not faults_of[number]}
    for number, fault in _find_overlaps(read):
        faults_of[number].append(fault)
    problems = [f"line {number}: {fault}" for number, faults in faults_of.items() for fault in faults]
    problems += _find_other_scales({number: row for (number, _), row in zip(lines, rows, strict=True)})
    refuse_problems(f"{printable(path)}: lines that cannot be used", problems)
    for column in ("label", "speaker"):
        _refuse_spellings(path, column, [row[column] for row in rows if column in row])
    used = {*_COLUMNS, _name_length(meanings)}
    if not {"arousal", "valence"} <= {*meanings}:
        used -= {"arousal", "valence"}
    other = [printable(column) or "one without a name" for column in header if names[column] not in used]
    notes = [f"the column {printable(column)} is taken for {meaning}" for column, meaning in renamed.items()]
    notes += [f"columns that are not used: {', '.join(other)}"] if other else []
    sexes = {cells[column] for _, cells in lines for column in cells if names[column] == "sex" and cells[column]}
    if unknown := sorted(word for word in sexes if word.lower() not in _SEXES):
        notes.append(f"values of sex other than {', '.join(_SEXES)} are not used: {shorten(unknown)}")
    written = Counter(cells[column] for _, cells in lines for column in cells if names[column] == "speaker")
    if nameless := {name: n for name, n in written.items() if name.lower() in NO_SPEAKER}:
        notes.append(f"{counted(sum(nameless.values()), 'recording')} of the speaker {', '.join(nameless)}: taken for unknown")
    if all("valence" in row for row in rows) and min(row["valence"] for row in rows) >= 0:
        notes.append("no valence is below 0, the middle of its scale, -1 to 1: is it on another one?")
    # `experiments.manifest` calls the files of all corpora alike; they lie in folders of their own.
    name = Path(os.path.normpath(path.absolute())).parent.name if path.stem == NAME else ""
    return build_corpus(name or path.stem, rows, sorted({row["label"] for row in rows if "label" in row}), notes=notes)


def _simplify(column: str) -> str:
    return "_".join(column.lower().replace("-", " ").split())


def _find_meanings(header: Sequence[str], is_labelled: bool) -> tuple[list[str], dict[str, str]]:
    """Returns the meaning of each column, and those that are taken for another, which a note should say, with their meaning."""
    meanings = [ALIASES.get(column.lower(), column.lower()) for column in header]
    simple = [_simplify(column) for column in header]
    of_times = [TIME_ALIASES.get(name, meaning) for name, meaning in zip(simple, meanings, strict=True)]
    is_known = "start" in meanings and ("end" in meanings or "duration" in meanings)
    if not is_known and of_times.count("start") == (of_times.count("end") or of_times.count("duration")) == 1:
        meanings = of_times
    if is_labelled and "label" not in meanings and not {"arousal", "valence"} <= {*meanings}:
        meanings = ["label" if name == LABEL_ALIAS else meaning for name, meaning in zip(simple, meanings, strict=True)]
    if "speaker" not in meanings:
        aliases = SPEAKER_ALIASES if SPEAKER_ALIASES & {*simple} else {"actor"}
        meanings = ["speaker" if name in aliases else meaning for name, meaning in zip(simple, meanings, strict=True)]
    noted = {"speaker", "start", "end", "label"}
    renamed = {
        column: meaning
        for column, meaning in zip(header, meanings, strict=True)
        if meaning in noted and ALIASES.get(column.lower(), column.lower()) != meaning
    }
    return meanings, renamed


def _find_other_scales(rows: Mapping[int, Mapping[str, Any]]) -> list[str]:
    """Returns one problem for all rows with arousal or valence beyond the limits: mostly the corpus has another scale."""
    beyond = []
    for number, row in rows.items():
        outside = [name for name, (low, high) in LIMITS.items() if name in row and not low <= row[name] <= high]
        if outside:
            beyond.append(f"line {number} ({', '.join(f'{name} {row[name]:g}' for name in outside)})")
    if not beyond:
        return []
    expected = "expected arousal in [0, 1], valence in [-1, 1]; docs/other-corpora.md has formulas for other scales"
    return [f"{counted(len(beyond), 'line')} beyond the limits: {shorten(beyond)}; {expected}"]


def _find_overlaps(rows: Mapping[int, Mapping[str, Any]]) -> Iterator[tuple[int, str]]:
    """Yields the number of each line whose sound an earlier line holds, wholly or in part, and what is wrong with it."""
    find_name = cache(os.path.realpath)
    parts: dict[int, tuple[str, Span]] = {}
    spans: dict[str, dict[Span, int]] = {}  # of each file: every span that lines name, and the first line of it
    for number, row in rows.items():
        file, start, end = split_part(row["path"])
        name, span = parts[number] = find_name(file), (start, math.inf if end is None else end)
        spans.setdefault(name, {}).setdefault(span, number)
    overlapping = {name: _first_overlapping(of_file) for name, of_file in spans.items()}
    for number, (name, span) in parts.items():
        first = min(spans[name][span], overlapping[name].get(span, number))
        if first < number:
            name = printable(rows[number]["utterance"])
            yield number, f"{name} is already in line {first}, wholly or in part; keep one, or choose parts that do not overlap"


def _first_overlapping(lines: Mapping[Span, int]) -> dict[Span, int]:
    """Returns the lowest line of all other spans that a span overlaps with, for those that overlap with any.

    Spans are taken by their start, and compared with those that have not ended before it: mostly none.
    """
    first: dict[Span, int] = {}
    open_spans: list[Span] = []
    for span in sorted(lines):
        open_spans = [other for other in open_spans if span[0] + ROUNDING_SECONDS < other[1]]
        for other in open_spans:
            if other[0] + ROUNDING_SECONDS < span[1]:
                first[span] = min(first.get(span, lines[other]), lines[other])
                first[other] = min(first.get(other, lines[span]), lines[span])
        open_spans.append(span)
    return first


def _read_parquet(path: Path, expected: str) -> list[tuple[int, dict[str, str]]]:
    """Returns the rows of a Parquet file, as audformat writes its tables, as `read_table` returns those of a CSV file."""
    import pandas as pd

    try:
        table = pd.read_parquet(path)
    except ImportError as error:
        action = "pip install pyarrow, or save it as CSV"
        raise InputError.about(path, "a Parquet file, which needs pyarrow", "that it is installed", action) from error
    except (OSError, ValueError) as error:
        raise_resource_error(error)
        found = describe_no_file(path) if not is_file(path) else f"a file that cannot be read ({name_cause(error)})"
        raise InputError.about(path, found, f"{expected}, or the same as Parquet", "check the path") from error
    if table.index.names != [None]:
        table = table.reset_index()
    if not len(table):
        raise InputError.about(path, "a table without rows", "one row per utterance", "write them")
    table = table.astype(object).where(table.notna(), "").map(lambda cell: str(cell).strip())
    table.columns = table.columns.map(str)
    return list(enumerate(table.to_dict("records"), start=2))  # as if its header was line 1


def _refuse_spellings(path: Path, column: str, names: list[str]) -> None:
    """Refuses names that look alike, as "Anger" and "anger": they would count as two classes, or one speaker as two."""
    spellings: dict[str, set[str]] = {}
    for name in names:
        spellings.setdefault(find_meaning(name), set()).add(name)
    if several := [", ".join(sorted(alike)) for alike in spellings.values() if len(alike) > 1]:
        found = f"names in the column {column} that differ in upper and lower case, in spaces, in leading zeros or in .0 only: "
        found += "; ".join(several)
        raise InputError.about(path, found, "one spelling of each", "write them alike")


def find_meaning(name: str) -> str:
    """Returns what names that look alike have in common: of a whole number the number, else the normalised name."""
    number = re.fullmatch(r"0*([0-9]+?)(?:\.0+)?", name)  # spreadsheets make 1 of 01, and pandas 1.0 of 1
    return number[1] if number else normalize_name(name)


def _say_no_file(folder: Path, file: str) -> str:
    """Returns what is wrong with the name of a file that is not there, as far as can be told."""
    named = file if file.startswith("~") or ":/" in file else folder / file
    found = f"{printable(named)}: {describe_no_file(folder / file)}"
    if action := say_why_not_there(file, folder):
        return f"{found}; {action}"
    if "\\" in file:
        return f"{found}; expected a path of this machine, relative to the CSV file, with / between folders"
    return found


def _parse_row(folder: Path, cells: dict[str, str]) -> tuple[dict[str, Any], list[str]]:
    """Returns a row of the manifest as a row of the corpus, and what is wrong with it."""
    file = cells["file"]
    row: dict[str, Any] = {"utterance": Path(file).as_posix(), "path": str(folder / file), "speaker": UNKNOWN_SPEAKER}
    faults = []
    try:
        if not file:
            faults.append("file is empty; expected a sound file's path")
        elif not (folder / file).is_file():
            faults.append(_say_no_file(folder, file))
    except (OSError, ValueError) as error:  # a name that is too long for the file system
        faults.append(f"file {printable(file)[:60]!r}… is not a path ({error})")
    for column in [column for column in ("speaker", "label") if column in cells]:
        row[column] = cells[column]
        # A line feed or a no-break space in a name would only show in a table, or when a trained model is opened.
        if not cells[column]:
            faults.append(f"{column} is empty; expected a name" + (", or unknown" if column == "speaker" else ""))
        elif column == "label" and cells[column].lower() in NO_LABEL:
            faults.append(f"label is {cells[column]!r}, as programs write an empty cell; expected a name")
        elif not cells[column].isprintable():
            faults.append(f"{column} is {cells[column][:40]!r}; expected a name of printable characters")
    if row["speaker"].lower() in {UNKNOWN_SPEAKER, *NO_SPEAKER}:
        row["speaker"] = UNKNOWN_SPEAKER  # MSP-Podcast has "Unknown"
    if cells.get("speaker") in SCOPES:
        faults.append(f"speaker is {cells['speaker']!r}, which is how tables name scores of many; expected another name")
    if cells.get("label") in RESERVED_LABELS:
        faults.append(f"label is {cells['label']!r}, which is another column of predictions; expected another name")
    if "arousal" in cells and "valence" in cells:
        for name in LIMITS:  # which `_find_other_scales` compares
            if isinstance(value := parse_number(cells, name, -math.inf, math.inf), float):
                row[name] = value
            else:
                faults.append(value)
    if "split" in cells:
        row["split"] = SPLITS.get(cells["split"].lower())
        if row["split"] is None:
            faults.append(f"split is {printable(cells['split'])[:40]!r}; expected train, validation or test")
    if "sex" in cells:
        row["sex"] = _SEXES.get(cells["sex"].lower(), "")
    if "text" in cells:
        row["text"] = cells["text"]
    if not faults:
        try:
            if (span := _find_part(row["path"], cells)) is not None:
                row |= {name: name_part(row[name], *span) for name in ("utterance", "path")}
        except InputError as error:
            faults.append(str(error))
    return row, faults


def _find_part(path: str, cells: Mapping[str, str]) -> tuple[float, float] | None:
    """Returns start and end of a part in seconds, or None where they mark the whole file.

    Without a column `end`, one `duration` beside `start` says how long the part is.

    Raises:
        InputError: the file cannot be read, or has no such part.
    """
    length = _name_length(cells)
    start, end = cells.get("start", ""), cells.get(length, "")
    first, last = _parse_time(start) or 0.0, _parse_time(end)
    if length == "duration" and last is not None:
        last += first
    if first == 0 and last is None:
        return None
    seconds = measure_seconds(path)
    last = seconds if last is None else last
    if not 0 <= first < last <= seconds + ROUNDING_SECONDS:
        found = f"start {printable(start)!r} and {length} {printable(end)!r}"
        action = POINT if "," in start + end else "correct them, in seconds"
        raise InputError.about(path, found, f"a part of its {seconds:g} s", action)
    last = min(last, seconds)
    if first <= ROUNDING_SECONDS and last >= seconds - ROUNDING_SECONDS:
        return None
    if last - first < ROUNDING_SECONDS:
        measure_seconds(name_part(path, first, last))  # which refuses a part without samples
    return first, last


def _name_length(columns: Collection[str]) -> str:
    """Returns the column that says how far a part goes. A duration without a start is that of the file, and marks nothing."""
    return "duration" if "duration" in columns and "start" in columns and "end" not in columns else "end"


def _parse_time(text: str) -> float | None:
    """Returns seconds, which may be written as such or as "0 days 00:00:01.5"; None for no time, NaN for what is none."""
    import pandas as pd

    if text.lower() in NO_TIME:
        return None
    seconds = to_number(text)
    if math.isnan(seconds) and re.search("[:a-zA-Z]", text):  # without a colon or a unit, pandas would take nanoseconds
        return pd.to_timedelta(text, errors="coerce").total_seconds()
    return seconds
