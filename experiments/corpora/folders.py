"""Files of a corpus: finding them, taking rows from their names, reading CSV tables, and checking sound."""

import csv
import io
import math
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar

from began.audio import UNBOUNDED, hash_sound, is_silent
from began.containers import UNKNOWN
from began.errors import InputError, counted, printable, raise_resource_error, shorten
from began.files import StrPath, describe_no_file, is_file, say_why_not_there
from began.find_sounds import walk_files
from began.sound_file import open_audio, read_blocks
from experiments.corpora.record import Corpus

Found = TypeVar("Found")

LOSSLESS = (".wav", ".flac")
"""Endings of the files of a corpus: as published, or the same samples smaller."""

PROBED_SECONDS = 0.1
"""How much of a file is read at a time until there is sound in it."""

MAX_NEIGHBOURS = 400
"""Folders around a wrong one that are looked at for a hint."""

AS_CSV = "save it as UTF-8 CSV"
POINT = "write decimals with a point"

OTHER_FILES = {
    b"\xff\xfe": "UTF-16 text, as Excel's 'Unicode Text'",
    b"\xfe\xff": "UTF-16 text, as Excel's 'Unicode Text'",
    b"PK\x03\x04": "an Excel workbook, or another zip archive",
    b"\xd0\xcf\x11\xe0": "an Excel workbook of before 2007",
}
"""How files begin that spreadsheets save, and that are no CSV -> what they are."""


def refuse_problems(headline: str, problems: Sequence[str]) -> None:
    """Raises one InputError that lists all problems, if there are any."""
    if problems:
        raise InputError.listing(headline, problems)


def open_folder(data_dir: StrPath, title: str, how_to_obtain: str = "") -> Path:
    """Returns `data_dir` as a path, after checking that it is a readable folder with something in it.

    Raises:
        InputError: missing, a file, empty or unreadable; the message ends with the first line of `how_to_obtain`.
    """
    folder = Path(data_dir)
    try:
        if folder.is_dir() and any(folder.iterdir()):
            return folder
        found = "an empty folder" if folder.is_dir() else "a file" if folder.exists() else "no such folder"
    except OSError as error:
        raise _unreadable(folder, error) from error
    action = "; ".join(["give the folder" if found == "a file" else "check the path", *how_to_obtain.splitlines()[:1]])
    raise InputError.about(folder, found, f"the folder of {title}", action)


def _unreadable(folder: object, error: OSError) -> InputError:
    raise_resource_error(error)
    found = f"a folder that cannot be read ({error.strerror or error})"
    return InputError.about(folder, found, "a readable folder", "check its permissions")


def find_corpus(data_dir: StrPath, title: str, layout: str, how_to_obtain: str, find: Callable[[Path], Found]) -> Found:
    """Returns what `find` finds in a folder.

    Args:
        find: returns the part of a folder that holds the corpus, or something false. Where it finds nothing, the folders
            up to two levels above and below are tried, so that the error can name the right one.
    Raises:
        InputError: `open_folder` refuses the folder, or the corpus does not lie in it.
    """
    folder = open_folder(data_dir, title, how_to_obtain)
    if found := find(folder):
        return found
    action = "check the path"
    for neighbour in islice(_neighbours(folder), MAX_NEIGHBOURS):
        try:
            if find(neighbour):
                action = f"give {printable(neighbour)}, where it lies"
                break
        except (InputError, OSError):
            continue  # one that cannot be read
    names = sorted(printable(path.name) + ("/" if path.is_dir() else "") for path in folder.iterdir())
    raise InputError.about(folder, shorten(names, 3), f"{title}: {layout}", action)


def _neighbours(folder: Path) -> Iterator[Path]:
    yield from folder.absolute().parents[:2]
    for pattern in ("*/", "*/*/"):
        yield from (path for path in sorted(folder.glob(pattern)) if not path.name.startswith("."))


def find_files(folder: Path, suffixes: Sequence[str], max_depth: float = 4) -> list[Path]:
    """Returns the files under a folder with one of the endings (in any case), sorted; hidden ones are left out.

    Raises:
        InputError: a folder among them cannot be read.
    """

    def refuse(error: OSError) -> None:
        raise _unreadable(error.filename, error) from error

    return sorted(walk_files(folder, suffixes, refuse, max_depth))


def parse_names(
    paths: Iterable[Path], parse: Callable[[Path], dict[str, Any] | None], folder: Path, title: str, expected: str
) -> list[dict[str, Any]]:
    """Returns one row per sound file, with what its name holds and its `path`.

    Args:
        parse: returns a path's row (`utterance`, `speaker`, …), or None where the name is not one of this corpus.
        folder, title, expected: folder, corpus and form of a name, for messages.
    Raises:
        InputError: names of another form, or several files of one utterance; all of them are listed.
    """
    parsed = {path: parse(path) for path in paths}
    problem = f"found a file name that is not {title}'s; expected {expected}. Rename or remove it"
    problems = [f"{printable(path)}: {problem}" for path, row in parsed.items() if row is None]
    refuse_problems(f"{printable(folder)}: files that {title} does not have", problems)
    rows = [row | {"path": str(path)} for path, row in parsed.items()]
    refuse_duplicates(folder, [(row["utterance"], row["path"]) for row in rows])
    return rows


def refuse_duplicates(folder: Path, pairs: Iterable[tuple[str, object]], what: str = "utterances") -> None:
    """Raises an InputError that lists the names, of (name, path) pairs, that have more than one file, if there are any."""
    paths: dict[str, list[str]] = {}
    for name, path in pairs:
        paths.setdefault(name, []).append(printable(path))
    twice = {name: files for name, files in sorted(paths.items()) if len(files) > 1}
    problems = [
        f"{name} has {counted(len(files), 'file')}: {', '.join(files)}; keep one of them" for name, files in twice.items()
    ]
    refuse_problems(f"{printable(folder)}: {what} that lie there more than once", problems)


def read_table(path: Path, required: Sequence[str] = ()) -> list[tuple[int, dict[str, str]]]:
    """Returns the rows of a CSV file as text with their line numbers; cells are stripped, blank lines left out.

    Raises:
        InputError: missing, unreadable, not UTF-8 text, without a header or rows, a line before the header, columns missing
            or named twice, rows that are too long or too short (all of them are listed).
    """
    expected = "a comma-separated UTF-8 file with " + (f"the columns {', '.join(required)}" if required else "a header")

    def refuse(found: str, action: str) -> InputError:
        return InputError.about(path, found, expected, action)

    text = _read_text(path, refuse)
    reader = csv.reader(io.StringIO(text, newline=""), strict=True, skipinitialspace=True)
    try:
        lines = [(reader.line_num, [cell.strip() for cell in cells]) for cells in reader]
    except csv.Error as error:
        first = text.splitlines()[0]
        if _find_separator([first]):
            raise wrong_columns(path, [first], expected, "") from error
        raise refuse(f"text that is not CSV (line {reader.line_num}: {error})", "correct that line") from error
    lines = [(number, cells) for number, cells in lines if any(cells)]
    if not lines:
        raise refuse("an empty file", "write the header and one row per utterance")
    first_line, header = lines.pop(0)
    widths = {len(cells) for _, cells in lines}
    is_text = " " in header[0] and len(widths) > 1  # a column may be called "#", or "#id"
    if header[0].startswith("#") and (len(header) == 1 or is_text or (lines and len(header) not in widths)):
        raise refuse(f"the comment {printable(', '.join(header))[:60]!r} in line {first_line}", "remove that line")
    if absent := [column for column in required if column not in header]:
        raise wrong_columns(path, header, expected, f"add {', '.join(absent)}")
    if twice := sorted(column for column, count in Counter(header).items() if count > 1 and column):
        raise refuse(f"more than one column {', '.join(twice)}", "keep one of them")
    if not lines:
        raise refuse("a header without rows", "write one row per utterance")
    problems = [f"line {number}: {counted(len(cells), 'cell')}" for number, cells in lines if len(cells) != len(header)]
    if problems and _find_separator(header):
        raise wrong_columns(path, header, expected, "")
    if len(problems) == len(lines) > 1 and len(widths) == 1:
        n_cells = counted(widths.pop(), "cell")
        found = f"the columns {_list_columns(header)} in line {first_line}, and {n_cells} in each of {len(lines)} rows"
        action = "correct the header or the rows; a cell with a comma stands in double quotes"
        raise refuse(found, action)
    refuse_problems(f"{printable(path)}: rows with another number of cells than the header's {len(header)}", problems)
    return [(number, dict(zip(header, cells, strict=True))) for number, cells in lines]


def _read_text(path: Path, refuse: Callable[[str, str], InputError]) -> str:
    """Returns the text of a CSV file; raises what `refuse` returns where it is another kind of file."""
    try:
        if not is_file(path):
            raise refuse(describe_no_file(path), say_why_not_there(path) or "check the path")
        content = path.read_bytes()
        if other := next((what for start, what in OTHER_FILES.items() if content.startswith(start)), ""):
            raise refuse(other, f"{AS_CSV}; Excel calls it 'CSV UTF-8'")
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise refuse(f"bytes that are not UTF-8 text (at byte {error.start})", AS_CSV) from error
    except OSError as error:
        raise_resource_error(error)
        raise refuse(f"a file that cannot be read ({error.strerror})", "check its permissions") from error
    if "\0" in text:
        raise refuse("null characters, so not a text file", AS_CSV)
    if match := re.match(r'\s*("?sep=(.)"?)[,;\t]*\r?(?:\n|$)', text, re.IGNORECASE):
        number = text[: match.start(1)].count("\n") + 1
        action = "remove that line" + f", and separate the columns by commas instead of {match[2]!r}" * (match[2] != ",")
        raise refuse(f"{match[1]!r} in line {number}, which Excel alone understands", action)
    return text


def wrong_columns(path: Path, header: Sequence[str], expected: str, action: str) -> InputError:
    """Returns the error for a header without the right columns; where it has another separator, that is what to change."""
    if separator := _find_separator(header):
        action = f"separate the columns by commas instead of {separator!r}"
    return InputError.about(path, f"the columns {_list_columns(header)}", expected, action)


def _list_columns(header: Sequence[str]) -> str:
    return shorten([printable(column)[:60] for column in header], 12)


def _find_separator(header: Sequence[str]) -> str | None:
    """Returns what separates the columns in place of commas, or None."""
    return next((mark for mark in (";", "\t", "|") if mark in header[0]), None)


def parse_number(row: Mapping[str, str], column: str, low: float, high: float) -> float | str:
    """Returns a cell as a number in [low, high], or else the problem with it as text."""
    value = to_number(row[column])
    if math.isnan(value):
        hint = f"; {POINT}" if "," in row[column] else ""
        return f"{column} is {printable(row[column])[:40]!r}; expected a number{hint}"
    if not low <= value <= high:
        return f"{column} is {row[column]}; expected {low:g} to {high:g}"
    return value


def to_number(text: str) -> float:
    """Returns text as a number; NaN for what is none, or what Python alone takes for one, such as 1_0."""
    try:
        return float(text) if text.isascii() and "_" not in text else math.nan
    except ValueError:
        return math.nan


def check_audio(corpus: Corpus) -> None:
    """Checks that every sound file of a corpus can be used, before long work starts.

    A file is opened, and read up to the first sound and at its end, which finds missing, empty, unreadable, foreign, truncated
    and silent files in about a millisecond.

    Raises:
        InputError: lists every file that cannot be used, not the first only.
    """
    read_each(corpus, probe)


def read_each(corpus: Corpus, read: Callable[[str], Found]) -> list[Found]:
    """Returns what `read` makes of every sound file of a corpus.

    Raises:
        InputError: lists every file that `read` refuses, not the first only.
    """
    found, problems = try_each(corpus.utterances["path"], read)
    refuse_problems(f"{corpus.name}: sound files that cannot be used", problems)
    return [found[path] for path in corpus.utterances["path"]]


def try_each(paths: Iterable[str], read: Callable[[str], Found]) -> tuple[dict[str, Found], list[str]]:
    """Returns what `read` makes of each sound file that it takes, and one line for each that it refuses."""
    from tqdm import tqdm

    found, problems = {}, []
    for path in tqdm(list(paths), desc="checking audio", unit="file", disable=None, leave=False):
        try:
            found[path] = read(path)
        except InputError as error:
            problems.append(str(error))
    return found, problems


def probe(path: str) -> None:
    """Raises an InputError where a sound file cannot be used, as far as a look at its beginning and its end tells."""
    if not _ends_well(path):
        hash_sound(path)  # its message is the one that every other reader gives


def _ends_well(path: str) -> bool:
    """Tells whether a file holds sound, and its last sample, or False where only reading all of it can tell."""
    import soundfile

    with open_audio(path) as file:
        # These can hold NaN or integers, which only reading finds.
        if file.subtype in UNBOUNDED or not 0 < file.frames < UNKNOWN:
            return False
        try:
            if all(is_silent(block) for block in read_blocks(file, PROBED_SECONDS)):
                return False
            file.seek(file.frames - 1)
            return len(file.read(1)) == 1
        except soundfile.LibsndfileError:
            return False
