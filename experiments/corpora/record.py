"""What all corpora share: the record that a loader returns, and how folders, tables and sound files are checked."""

from __future__ import annotations

import csv
import hashlib
import io
import os
import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from began.errors import InputError
from began.files import describe_no_file, printable

if TYPE_CHECKING:  # pandas is imported when the first corpus is built, so that `--help` stays quick
    import pandas as pd


SYNTHETIC_MARKER = "SYNTHETIC.txt"
"""File that `experiments.corpora.synthetic` leaves in the folders it writes."""


@dataclass(frozen=True)
class Corpus:
    """A corpus as it lies on the disk.

    Attributes:
        name: the loader's name.
        utterances: one row an utterance, sorted by `utterance`, with the columns `utterance` (unique), `path`,
            `speaker` and, where they apply, `label`, `arousal` in [0, 1], `valence` in [-1, 1], `split` (train,
            validation, test), `video`, `clip`, `subset`, `sex` (F, M), `text`.
        labels: the classes, sorted.
        missing: what the annotations name and the disk does not hold (`utterance`, `split`, `expected`), or None where
            a corpus cannot tell.
        notes: what a user should know and what stops nothing: surplus files, counts other than the published ones.
    """

    name: str
    utterances: pd.DataFrame
    labels: tuple[str, ...]
    missing: pd.DataFrame | None = None
    notes: tuple[str, ...] = ()

    @property
    def synthetic(self) -> bool:
        """True where this project made the corpus: a marker file lies in its folder, and every result says so."""
        folders = list(Path(self.utterances["path"].iloc[0]).parents)[:5]
        return any((folder / SYNTHETIC_MARKER).is_file() for folder in folders)

    @property
    def sha256(self) -> str:
        """Hash of what decides folds and targets: every column but where the files lie and what is said in them."""
        table = self.utterances.drop(columns=["path", "text"], errors="ignore")
        return hashlib.sha256(table.to_csv(index=False, lineterminator="\n").encode("utf-8", "surrogateescape")).hexdigest()

    def describe(self) -> str:
        """Returns one line: utterances, speakers, labels, and how many are missing."""
        table = self.utterances
        parts = [f"{self.name}: {len(table)} utterances", f"{table['speaker'].nunique()} speakers"]
        if "label" in table and table["label"].notna().any():
            counts = table["label"].value_counts().sort_index()
            parts.append(", ".join(f"{label} {count}" for label, count in counts.items()))
        if self.missing is not None and len(self.missing):
            parts.append(f"{len(self.missing)} without audio")
        return "; ".join(parts)


def build_corpus(
    name: str,
    rows: Sequence[Mapping[str, Any]],
    *,
    labels: Sequence[str] = (),
    missing: Sequence[Mapping[str, Any]] | None = None,
    notes: Sequence[str] = (),
) -> Corpus:
    """Returns the record of a corpus: rows sorted by utterance, columns in one order, labels sorted."""
    import pandas as pd

    order = ("utterance", "path", "speaker", "label", "arousal", "valence", "split", "video", "clip", "subset", "sex", "text")
    columns = [column for column in order if any(column in row for row in rows)]
    table = pd.DataFrame(list(rows), columns=columns)
    table = table.sort_values("utterance", kind="stable").reset_index(drop=True)
    if missing is not None:
        missing = pd.DataFrame(list(missing), columns=["utterance", "split", "expected"])
    return Corpus(name, table, tuple(sorted(labels)), missing, tuple(notes))


# ---------------------------------------------------------------------------------------------------------- folders


def open_folder(data_dir: str | os.PathLike[str], corpus: str, how_to_obtain: str) -> Path:
    """Returns `data_dir` as a path, after checking that it is a readable folder with something in it.

    Raises:
        InputError: missing, a file, empty or unreadable; the message says how to obtain the corpus.
    """
    folder = Path(data_dir)
    obtain = "; ".join(line.strip() for line in how_to_obtain.strip().splitlines()[:1])
    expected = f"the folder of {corpus}"
    try:
        if not folder.exists():
            raise InputError.about(
                printable(folder), found="no such folder", expected=expected, action=f"check the path; {obtain}"
            )
        if not folder.is_dir():
            raise InputError.about(printable(folder), found="a file", expected=expected, action="give the folder")
        if not any(folder.iterdir()):
            raise InputError.about(
                printable(folder), found="an empty folder", expected=expected, action=f"check the path; {obtain}"
            )
    except OSError as error:
        raise InputError.about(
            printable(folder),
            found=f"a folder that cannot be read ({error.strerror or error})",
            expected=expected,
            action="check its permissions",
        ) from error
    return folder


def find_files(folder: Path, suffixes: Sequence[str], max_depth: int = 4) -> list[Path]:
    """Returns the files under a folder with one of the endings (in any case), sorted; hidden ones are left out.

    Raises:
        InputError: a folder among them cannot be read.
    """
    wanted = tuple(suffix.lower() for suffix in suffixes)

    def refuse(error: OSError) -> None:
        raise InputError.about(
            printable(error.filename),
            found=f"a folder that cannot be read ({error.strerror})",
            expected="a readable folder",
            action="check its permissions",
        ) from error

    found = []
    for where, folders, names in os.walk(folder, onerror=refuse, followlinks=True):
        depth = len(Path(where).relative_to(folder).parts)
        # macOS leaves "._name" twins and __MACOSX folders in archives; depth also ends loops of links.
        folders[:] = sorted(name for name in folders if depth < max_depth and not name.startswith(".") and name != "__MACOSX")
        found += [Path(where, name) for name in names if name.lower().endswith(wanted) and not name.startswith(".")]
    return sorted(found)


_KNOWN_NAMES = {
    "LibriSpeech": re.compile(r"\d+-\d+-\d{4}\.flac", re.IGNORECASE),
    "EmoDB": re.compile(r"\d\d[ab]\d\d[A-Z][a-z]?\.wav", re.IGNORECASE),
    "SAVEE": re.compile(r"(?:(?:DC|JE|JK|KL)_)?(?:sa|su|a|d|f|h|n)\d\d\.wav", re.IGNORECASE),
    "OMG-Emotion": re.compile(r"(?:.+-)?utterance_\d+(?:\.mp4)?\.(?:wav|mp4)|omg_\w+Videos\w*\.csv", re.IGNORECASE),
}


def describe_folder(folder: Path) -> str:
    """Returns what a folder holds in a few words, and which corpus it looks like."""
    names = sorted(path.name + ("/" if path.is_dir() else "") for path in folder.iterdir())
    shown = ", ".join(printable(name) for name in names[:3]) + (", …" if len(names) > 3 else "")
    sample = names + [path.name for path in _first_files(folder, 200)]
    for corpus, pattern in _KNOWN_NAMES.items():
        if any(pattern.fullmatch(name) for name in sample):
            return f"{shown} (looks like {corpus})"
    return shown


def _first_files(folder: Path, limit: int) -> list[Path]:
    found: list[Path] = []
    for where, folders, names in os.walk(folder):
        folders.sort()
        found += [Path(where, name) for name in sorted(names)]
        if len(found) >= limit:
            break
    return found[:limit]


def wrong_folder(folder: Path, corpus: str, expected: str, is_corpus: Callable[[Path], bool]) -> InputError:
    """Returns the error for a folder that does not hold the corpus, with the folder beside it that does, if there is.

    Args:
        is_corpus: tells whether a folder is one that the loader would take; asked two levels up and down.
    """
    near = list(folder.absolute().parents)[:2]
    level = [folder]
    for _ in range(2):
        level = [path for parent in level for path in _subfolders(parent)][:200]
        near += level
    for candidate in near:
        if is_corpus(candidate):
            action = f"did you mean {printable(candidate)}?"
            break
    else:
        action = "check the path"
    error = InputError.about(printable(folder), found=describe_folder(folder), expected=f"{corpus}: {expected}", action=action)
    return InputError(str(error).replace("?.", "?"))


def _subfolders(folder: Path) -> list[Path]:
    try:
        return sorted(path for path in folder.iterdir() if path.is_dir() and not path.name.startswith("."))
    except OSError:
        return []  # a neighbour that cannot be read cannot be suggested


def refuse_problems(headline: str, problems: Iterable[str]) -> None:
    """Raises one InputError that lists all problems, if there are any."""
    problems = list(problems)
    if problems:
        raise InputError.listing(headline, problems)


def find_duplicates(rows: Iterable[Mapping[str, Any]]) -> list[str]:
    """Returns a line for each utterance that has more than one file."""
    paths: dict[str, list[str]] = {}
    for row in rows:
        paths.setdefault(row["utterance"], []).append(row["path"])
    return [
        f"{utterance} has {len(files)} files: {', '.join(printable(file) for file in files)}; keep one of them"
        for utterance, files in sorted(paths.items())
        if len(files) > 1
    ]


def compare_names(found: Iterable[str], published: Iterable[str]) -> list[str]:
    """Returns a note on published utterances that are not there, and one on those that are not published."""
    found, published = set(found), set(published)
    notes = []
    if absent := sorted(published - found):
        notes.append(f"{len(absent)} of the {len(published)} published utterances are not there: {shorten(absent)}")
    if surplus := sorted(found - published):
        notes.append(f"{len(surplus)} utterances are not among the {len(published)} published ones: {shorten(surplus)}")
    return notes


def shorten(items: Sequence[str], limit: int = 5) -> str:
    """Returns the first items, and how many more there are."""
    more = f" and {len(items) - limit} more" if len(items) > limit else ""
    return ", ".join(items[:limit]) + more


# ----------------------------------------------------------------------------------------------------------- tables


def read_table(path: Path, required: Sequence[str]) -> list[tuple[int, dict[str, str]]]:
    """Returns the rows of a CSV file as text with their line numbers; cells are stripped, blank lines left out.

    Raises:
        InputError: missing, unreadable, not UTF-8 text, without a header or rows, columns missing or named twice, rows
            that are too long or too short (all of them are listed).
    """
    expected = "a comma-separated UTF-8 file with " + (f"the columns {', '.join(required)}" if required else "a header")

    def refuse(found: str, action: str) -> InputError:
        return InputError.about(printable(path), found=found, expected=expected, action=action)

    try:
        if not path.is_file():
            raise refuse(describe_no_file(path), "check the path")
        text = path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise refuse(f"bytes that are not UTF-8 text (at byte {error.start})", "save it as UTF-8 CSV") from error
    except OSError as error:
        raise refuse(f"that it cannot be read ({error.strerror})", "check its permissions") from error
    if "\0" in text:
        raise refuse("null characters, so not a text file", "save it as UTF-8 CSV")
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    try:
        lines = [(reader.line_num, [cell.strip() for cell in cells]) for cells in reader]
    except csv.Error as error:
        raise refuse(f"text that is not CSV (line {reader.line_num}: {error})", "correct that line") from error
    lines = [(number, cells) for number, cells in lines if any(cells)]
    if not lines:
        raise refuse("an empty file", "write the header and one row an utterance")
    header = lines[0][1]
    absent = [column for column in required if column not in header]
    if absent:
        separator = next((mark for mark in (";", "\t", "|") if mark in header[0]), None)
        hint = f"separate the columns by commas instead of {separator!r}" if separator else "add the missing columns"
        raise refuse(f"the columns {shorten([printable(cell) for cell in header], 12)}, without {', '.join(absent)}", hint)
    twice = sorted(column for column, count in Counter(header).items() if count > 1 and column)
    if twice:
        raise refuse(f"more than one column {', '.join(twice)}", "keep one of them")
    if len(lines) == 1:
        raise refuse("a header without rows", "write one row an utterance")
    refuse_problems(
        f"{printable(path)}: rows with another number of cells than the header's {len(header)}",
        [f"line {number}: {len(cells)} cells" for number, cells in lines[1:] if len(cells) != len(header)],
    )
    return [(number, dict(zip(header, cells, strict=True))) for number, cells in lines[1:]]


def parse_number(row: Mapping[str, str], column: str, low: float, high: float) -> float | str:
    """Returns a cell as a number in [low, high], or else the problem with it as text."""
    try:
        value = float(row[column])
    except ValueError:
        return f"{column} is {printable(row[column])[:40]!r}; expected a number"
    if not low <= value <= high:  # also catches NaN
        return f"{column} is {row[column]}; expected {low:g} to {high:g}"
    return value


# ------------------------------------------------------------------------------------------------------ sound files


def check_audio(corpus: Corpus, *, decode: bool = False, progress: bool = False) -> None:
    """Checks that every sound file of a corpus can be used, before long work starts.

    Without `decode` a file is opened and its last sample read, which finds missing, empty, unreadable, foreign and
    truncated files in about a millisecond; with `decode` every sample is read.

    Args:
        progress: show a progress bar.
    Raises:
        InputError: lists every file that cannot be used, not the first only.
    """
    problems = find_bad_audio(corpus.utterances["path"], decode=decode, progress=progress)
    refuse_problems(f"{corpus.name}: sound files that cannot be used", problems)


def find_bad_audio(paths: Iterable[str], *, decode: bool = False, progress: bool = False) -> list[str]:
    """Returns a line for each sound file that cannot be used."""
    from tqdm import tqdm

    problems = []
    for path in tqdm(list(paths), desc="checking audio", unit="file", disable=None if progress else True, leave=False):
        try:
            _decode(path) if decode else _probe(path)
        except InputError as error:
            problems.append(str(error))
    return problems


def _decode(path: str) -> None:
    from began.audio import stream_audio

    for _ in stream_audio(path):
        pass


def _probe(path: str) -> None:
    import soundfile

    from began.audio import MAX_RATE_HZ, MIN_RATE_HZ, check_file

    check_file(Path(path))
    try:
        with soundfile.SoundFile(os.fsencode(path)) as file:  # bytes, as names need not be UTF-8
            # Floats alone can hold NaN, and only reading them tells; other rates are for the reader to refuse.
            if MIN_RATE_HZ <= file.samplerate <= MAX_RATE_HZ and file.subtype not in ("FLOAT", "DOUBLE") and file.frames:
                file.seek(file.frames - 1)
                if len(file.read(1)) == 1:
                    return
    except soundfile.LibsndfileError:
        pass
    _decode(path)  # says what is wrong with it in the words that every other reader uses
