"""The One-Minute-Gradual Emotion corpus (OMG-Emotion): monologues from videos, rated by utterance (paper, Table 2)."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import Path

from began.errors import InputError
from experiments.corpora.record import (
    Corpus,
    build_corpus,
    find_files,
    open_folder,
    parse_number,
    printable,
    read_table,
    refuse_problems,
    shorten,
    wrong_folder,
)

NAME = "omg"
LABELS = ("anger", "disgust", "fear", "happiness", "neutral", "sadness", "surprise")
DESCRIPTION = "Utterances of English monologues on YouTube, each rated for emotion, arousal and valence."
CITATION = (
    "P. Barros, N. Churamani, E. Lakomkin, H. Siqueira, A. Sutherland, S. Wermter: The OMG-Emotion Behavior Dataset. IJCNN 2018"
)
LICENCE = "CC BY-NC-SA 3.0 DE (annotations), research only; the videos belong to their authors"
LAYOUT = (
    "omg_TrainVideos.csv and omg_ValidationVideos.csv, and one sound file an utterance: VIDEO/utterance_N.wav, "
    "VIDEO/utterance_N.mp4.wav or VIDEO-utterance_N.wav"
)
HOW_TO_OBTAIN = """take the annotations omg_*.csv from https://github.com/knowledgetechnologyuhh/OMGEmotionChallenge
download the videos that their column `link` names into one folder (a file VIDEOID.mp4 each), and cut the audio with
`python -m experiments.prepare_omg --annotations-dir ANNOTATIONS --videos-dir VIDEOS --dest DIR`,
which writes DIR/VIDEO/utterance_N.wav; videos that are gone from the internet are listed and counted"""

FILES = {"train": "omg_TrainVideos.csv", "validation": "omg_ValidationVideos.csv", "test": "omg_TestVideos_WithoutLabels.csv"}
TEST_WITH_LABELS = "omg_TestVideos_WithLabels.csv"
"""Published after the challenge; taken instead of the file without labels where it is there."""
COLUMNS = ("link", "start", "end", "video", "utterance", "arousal", "valence", "EmotionMaxVote")
EMOTION_OF_CODE = {0: "anger", 1: "disgust", 2: "fear", 3: "happiness", 4: "neutral", 5: "sadness", 6: "surprise"}
EXPECTED = {"split": {"train": 2442, "validation": 617, "test": 2229}}

_UTTERANCE = re.compile(r"(utterance_\d+)(?:\.mp4)?", re.IGNORECASE)
_FLAT = re.compile(r"(.+)-(utterance_\d+)(?:\.mp4)?", re.IGNORECASE)
_SUFFIXES = (".wav", ".flac")


def load(
    data_dir: str | os.PathLike[str], annotations_dir: str | os.PathLike[str] | None = None, unlabelled: bool = False
) -> Corpus:
    """Returns OMG-Emotion's utterances with emotion, arousal, valence and the official split.

    `video` is the source link's identifier, which also stands for the speaker: one link can hold many of the CSV's own
    videos (`clip`), so that a source-disjoint split has to go by `video`.

    Args:
        data_dir: the folder of the cut audio, at any depth below it.
        annotations_dir: the folder of the official CSV files; `data_dir` if None.
        unlabelled: also return the test utterances without labels (label None, arousal and valence NaN).
    Returns:
        The utterances whose audio is there. Those whose audio is not are listed in `missing`, test part included.
    Raises:
        InputError: CSV files missing or malformed (every faulty line is listed), no audio at all, or audio twice.
    """
    data_dir = open_folder(data_dir, "OMG-Emotion", HOW_TO_OBTAIN)
    table = read_annotations(
        data_dir if annotations_dir is None else open_folder(annotations_dir, "OMG-Emotion's annotations", HOW_TO_OBTAIN)
    )
    audio, surplus = _find_audio(data_dir, {row["utterance"] for row in table})
    if not audio:
        videos = find_files(data_dir, [".mp4", ".mkv", ".webm", ".m4a"])
        raise InputError.about(
            printable(data_dir),
            found=f"no sound file of the {len(table)} utterances" + (f", but {len(videos)} video files" if videos else ""),
            expected=LAYOUT.split(": ", 1)[1],
            action="cut the audio from the videos with `python -m experiments.prepare_omg`",
        )
    rows, missing, without_labels = [], [], 0
    for row in table:
        if row["utterance"] not in audio:
            missing.append(
                {"utterance": row["utterance"], "split": row["split"], "expected": f"{row['utterance']}{_SUFFIXES[0]}"}
            )
            continue
        without_labels += row["label"] is None
        if unlabelled or row["label"] is not None:
            rows.append(row | {"path": audio[row["utterance"]], "speaker": row["video"]})
    if not rows:
        raise InputError.about(
            printable(data_dir),
            found="sound files of the test part without labels only",
            expected="sound files of the training and validation part",
            action="cut these parts with `python -m experiments.prepare_omg`",
        )
    notes = _compare(table)
    if missing:
        counts = {split: sum(row["split"] == split for row in missing) for split in FILES}
        notes.append(
            f"{len(missing)} of {len(table)} utterances have no audio: "
            + ", ".join(f"{split} {count}" for split, count in counts.items() if count)
        )
    if without_labels and not unlabelled:
        notes.append(f"{without_labels} test utterances have no labels and are left out")
    if surplus:
        notes.append(
            f"{len(surplus)} sound files are named in no annotation: "
            + shorten([printable(path.relative_to(data_dir)) for path in surplus])
        )
    return build_corpus(NAME, rows, labels=LABELS, missing=missing, notes=notes)


def read_annotations(folder: Path) -> list[dict[str, object]]:
    """Returns the official CSV files' rows: `utterance` (VIDEO/utterance_N), `split`, `video`, `clip`, `link`, `start`,
    `end` (seconds), `arousal`, `valence`, `label` (None without labels), `file` and `line`.

    Raises:
        InputError: a file that must be there is not, or lines are malformed; all of them are listed.
    """
    required = [FILES["train"], FILES["validation"]]
    absent = [name for name in required if not (folder / name).is_file()]
    if absent:
        if len(absent) == len(required):
            raise wrong_folder(
                folder, "OMG-Emotion's annotations", ", ".join(required), lambda path: (path / FILES["train"]).is_file()
            )
        raise InputError.about(
            printable(folder),
            found=f"no {absent[0]}",
            expected=" and ".join(required),
            action="take the missing file from the challenge's repository",
        )
    files = {split: folder / name for split, name in FILES.items() if (folder / name).is_file()}
    if (folder / TEST_WITH_LABELS).is_file():
        files["test"] = folder / TEST_WITH_LABELS
    rows: list[dict[str, object]] = []
    problems: list[str] = []
    first_line: dict[str, str] = {}
    for split, path in files.items():
        labelled = path.name != FILES["test"]
        for line, cells in read_table(path, COLUMNS if labelled else COLUMNS[:5]):
            parsed = _parse_row(cells, labelled)
            where = f"{path.name} line {line}"
            if isinstance(parsed, list):
                problems += [f"{where}: {problem}" for problem in parsed]
                continue
            utterance = str(parsed["utterance"])
            if utterance in first_line:
                problems.append(f"{where}: {printable(utterance)} is already in {first_line[utterance]}")
                continue
            first_line[utterance] = where
            rows.append(parsed | {"split": split, "file": str(path), "line": line})
    refuse_problems(f"{printable(folder)}: lines of the annotations that cannot be used", problems)
    return rows


def _parse_row(cells: dict[str, str], labelled: bool) -> dict[str, object] | list[str]:
    """Returns a row of the annotations, or else the problems with it."""
    problems = []
    match = _UTTERANCE.fullmatch(cells["utterance"])
    if match is None:
        problems.append(f"utterance is {printable(cells['utterance'])[:60]!r}; expected utterance_N.mp4")
    # The name becomes a path: it must not lead out of the folder.
    if not re.fullmatch(r"[\w-][\w.-]*", cells["video"], re.ASCII):
        problems.append(f"video is {printable(cells['video'])[:60]!r}; expected letters, digits, - and _")
    source = re.search(r"[?&]v=([\w-]+)", cells["link"], re.ASCII)
    if source is None:
        problems.append(f"link is {printable(cells['link'])[:60]!r}; expected https://www.youtube.com/watch?v=VIDEO")
    row: dict[str, object] = {"label": None, "arousal": float("nan"), "valence": float("nan")}
    bounds = {"start": (0, 1e6), "end": (0, 1e6)} | ({"arousal": (0, 1), "valence": (-1, 1)} if labelled else {})
    for column, (low, high) in bounds.items():
        row[column] = parse_number(cells, column, low, high)
    if labelled:
        code = parse_number(cells, "EmotionMaxVote", 0, 6)
        if not isinstance(code, str) and code != int(code):
            code = f"EmotionMaxVote is {cells['EmotionMaxVote']}; expected a whole number from 0 to 6"
        row["label"] = code if isinstance(code, str) else EMOTION_OF_CODE[int(code)]
        if isinstance(code, str):
            problems.append(code)
    problems += [value for column in bounds if isinstance(value := row[column], str)]
    if not problems and row["end"] <= row["start"]:
        problems.append(f"end is {row['end']:g}; expected more than start, {row['start']:g}")
    if problems:
        return problems
    return row | {
        "utterance": f"{cells['video']}/{match[1].lower()}",
        "clip": cells["video"],
        "video": source[1],
        "link": cells["link"],
    }


def find_utterance_name(path: Path) -> str | None:
    """Returns VIDEO/utterance_N for a sound file's path in any of the three layouts, or None."""
    stem = path.name[: -len(path.suffix)]
    if match := _UTTERANCE.fullmatch(stem):
        return f"{path.parent.name}/{match[1].lower()}"
    if match := _FLAT.fullmatch(stem):
        return f"{match[1]}/{match[2].lower()}"
    return None


def _find_audio(folder: Path, wanted: set[str]) -> tuple[dict[str, str], list[Path]]:
    """Returns the wanted utterances' files, and the sound files that are none of them."""
    found: dict[str, list[Path]] = {}
    surplus = []
    for path in find_files(folder, _SUFFIXES):
        name = find_utterance_name(path)
        if name in wanted:
            found.setdefault(name, []).append(path)
        else:
            surplus.append(path)
    refuse_problems(
        f"{printable(folder)}: utterances that lie there more than once",
        [
            f"{name} has {len(paths)} files: {', '.join(printable(path) for path in paths)}; keep one of them"
            for name, paths in sorted(found.items())
            if len(paths) > 1
        ],
    )
    return {name: str(paths[0]) for name, paths in found.items()}, surplus


def _compare(table: Sequence[dict[str, object]]) -> list[str]:
    notes = []
    for split, published in EXPECTED["split"].items():
        count = sum(row["split"] == split for row in table)
        if count != published:
            notes.append(f"{split}: {count} annotated utterances, published {published}")
    return notes
