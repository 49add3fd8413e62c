"""The One-Minute-Gradual Emotion corpus (OMG-Emotion): monologues from videos, rated by utterance (paper, Table 2)."""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import combinations, pairwise
from pathlib import Path
from typing import Any

from began.errors import InputError, counted, printable, shorten
from began.files import StrPath
from experiments.corpora import folders
from experiments.corpora.record import Corpus, build_corpus

NAME = "omg"
LABELS = ("anger", "disgust", "fear", "happiness", "neutral", "sadness", "surprise")
DESCRIPTION = "Utterances of English monologues on YouTube, each rated for emotion, arousal and valence."
CITATION = (
    "P. Barros, N. Churamani, E. Lakomkin, H. Siqueira, A. Sutherland, S. Wermter: The OMG-Emotion Behavior Dataset. IJCNN 2018"
)
LICENCE = "CC BY-NC-SA 3.0 DE (annotations), research only; the videos belong to their authors"
LAYOUT = (
    "omg_TrainVideos.csv and omg_ValidationVideos.csv, and one sound file per utterance: VIDEO/utterance_N.wav, "
    "VIDEO/utterance_N.mp4.wav, VIDEO-utterance_N.wav or VIDEO/audio/utterance_N.mp4/audio.wav"
)
HOW_TO_OBTAIN = """take the annotations omg_*.csv from https://github.com/knowledgetechnologyuhh/OMGEmotionChallenge
download the videos that their column `link` names into one folder (one file VIDEOID.mp4 each), and cut the audio with
`python -m experiments.prepare_omg --annotations-dir ANNOTATIONS --videos-dir VIDEOS --dest DIR`,
which writes DIR/VIDEO/utterance_N.wav; videos that are gone from the internet are listed and counted"""

FILES = {"train": "omg_TrainVideos.csv", "validation": "omg_ValidationVideos.csv", "test": "omg_TestVideos_WithoutLabels.csv"}
TEST_WITH_LABELS = "omg_TestVideos_WithLabels.csv"
"""Published after the challenge; taken instead of the file without labels where it is there."""
COLUMNS = ("link", "start", "end", "video", "utterance", "arousal", "valence", "EmotionMaxVote")
FORMS = {"link": "https://www.youtube.com/watch?v=VIDEO", "video": "letters, digits, - and _", "utterance": "utterance_N.mp4"}
EMOTION_OF_CODE = dict(enumerate(LABELS))
PUBLISHED = {"train": 2442, "validation": 617, "test": 2229}

_UTTERANCE = re.compile(r"(utterance_\d+)(?:\.mp4)?", re.IGNORECASE)
_FLAT = re.compile(r"(.+)-(utterance_\d+)(?:\.mp4)?", re.IGNORECASE)


def load(data_dir: StrPath, annotations_dir: StrPath | None = None, unlabelled: bool = False) -> Corpus:
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
    data_dir = folders.open_folder(data_dir, "OMG-Emotion", HOW_TO_OBTAIN)
    table = read_annotations(data_dir if annotations_dir is None else annotations_dir)
    names = {row["utterance"] for row in table}
    sounds = {path: _name_utterance(path) for path in folders.find_files(data_dir, folders.LOSSLESS)}
    surplus = [printable(path.relative_to(data_dir)) for path, name in sounds.items() if name not in names]
    pairs = [(name, str(path)) for path, name in sounds.items() if name in names]
    folders.refuse_duplicates(data_dir, pairs)
    audio = dict(pairs)
    there = [row | {"path": audio[row["utterance"]], "speaker": row["video"]} for row in table if row["utterance"] in audio]
    rows = [row for row in there if unlabelled or row["label"] is not None]
    if not rows:
        n_videos = len(folders.find_files(data_dir, [".mp4", ".mkv", ".webm", ".m4a"]))
        found = "sound files of the test part only" if audio else f"no sound file of the {len(table)} utterances"
        found = f"{found}, but {counted(n_videos, 'video file')}" if n_videos else found
        action = "cut the audio from the videos with `python -m experiments.prepare_omg`"
        raise InputError.about(data_dir, found, LAYOUT.split(": ", 1)[1], action)
    missing = [row | {"expected": f"{row['utterance']}.wav"} for row in table if row["utterance"] not in audio]
    annotated, absent = (Counter(row["split"] for row in part) for part in (table, missing))
    counts = [(split, annotated[split], published) for split, published in PUBLISHED.items()]
    notes = [f"{split}: {n} annotated utterances, published {published}" for split, n, published in counts if n != published]
    if missing:
        listed = ", ".join(f"{split} {absent[split]}" for split in FILES if absent[split])
        notes.append(f"{len(missing)} of {len(table)} utterances have no audio: {listed}")
    if len(there) > len(rows):
        notes.append(f"{counted(len(there) - len(rows), 'test utterance')} left out, without labels")
    if surplus:
        notes.append(f"{counted(len(surplus), 'sound file')} named in no annotation: {shorten(surplus)}")
    return build_corpus(NAME, rows, LABELS, missing, notes)


def _name_utterance(path: Path) -> str | None:
    """Returns VIDEO/utterance_N for a sound file's path in any of the four layouts, or None; names may end in blanks."""
    *folders_above, stem = (part.strip() for part in path.with_suffix("").parts)
    if stem == "audio" and folders_above:
        stem = folders_above.pop()
        folders_above = folders_above[:-1] if folders_above[-1:] == ["audio"] else folders_above
    if (match := _UTTERANCE.fullmatch(stem)) and folders_above:
        return f"{folders_above[-1]}/{match[1].lower()}"
    match = _FLAT.fullmatch(stem)
    return f"{match[1]}/{match[2].lower()}" if match else None


def describe_neighbours(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """Returns a line on utterances that overlap in time with the next of their clip, and one on videos in several parts.

    Args:
        rows: of `read_annotations`.
    """
    clips: dict[tuple[str, str], list[tuple[int, float, float]]] = {}
    videos: dict[str, set[str]] = {split: set() for split in FILES}
    for row in rows:
        number = int(row["utterance"].rpartition("_")[2])
        clips.setdefault((row["split"], row["clip"]), []).append((number, row["start"], row["end"]))
        videos[row["split"]].add(row["video"])
    overlaps = Counter(
        split for (split, _), clip in clips.items() for one, following in pairwise(sorted(clip)) if one[2] > following[1]
    )
    shared = [f"{one} and {other} {n}" for one, other in combinations(FILES, 2) if (n := len(videos[one] & videos[other]))]
    lines = []
    if overlaps:
        counts = ", ".join(f"{split} {overlaps[split]}" for split in FILES if overlaps[split])
        lines.append(f"consecutive utterances of a video overlap in time (pairs): {counts}")
    if shared:
        lines.append(f"videos lie in two parts: {', '.join(shared)}; source_disjoint of table 2 leaves them out of training")
    return lines


def read_annotations(folder: StrPath) -> list[dict[str, Any]]:
    """Returns the official CSV files' rows: `utterance` (VIDEO/utterance_N), `split`, `video`, `clip`, `link`, `start`,
    `end` (seconds), `arousal`, `valence` and `label` (None without labels).

    Raises:
        InputError: a file that must be there is not, or lines are malformed; all of them are listed.
    """
    layout = f"{FILES['train']} and {FILES['validation']}"
    folder = folders.find_corpus(folder, "OMG-Emotion's annotations", layout, HOW_TO_OBTAIN, _find_annotations)
    tables = {split: folder / name for split, name in FILES.items() if split != "test" or (folder / name).is_file()}
    if (folder / TEST_WITH_LABELS).is_file():
        tables["test"] = folder / TEST_WITH_LABELS
    rows, problems, first_line = [], [], {}
    for split, path in tables.items():
        labelled = path.name != FILES["test"]
        for line, cells in folders.read_table(path, COLUMNS if labelled else COLUMNS[:5]):
            row, faults = _parse_row(cells, labelled)
            where = f"{path.name} line {line}"
            if not faults and (first := first_line.setdefault(row["utterance"], where)) != where:
                faults = [f"{printable(row['utterance'])} is already in {first}"]
            problems += [f"{where}: {fault}" for fault in faults]
            rows.append(row | {"split": split})
    folders.refuse_problems(f"{printable(folder)}: lines of the annotations that cannot be used", problems)
    return rows


def _find_annotations(folder: Path) -> Path | None:
    return folder if any((folder / FILES[split]).is_file() for split in ("train", "validation")) else None


def _parse_row(cells: dict[str, str], labelled: bool) -> tuple[dict[str, Any], list[str]]:
    """Returns a row of the annotations, and what is wrong with it."""
    utterance = _UTTERANCE.fullmatch(cells["utterance"])
    # The name becomes a path: it must not lead out of the folder.
    video = re.fullmatch(r"[\w-][\w.-]*", cells["video"], re.ASCII)
    source = re.search(r"[?&]v=([\w-]+)", cells["link"], re.ASCII)
    bounds = {"start": (0, 1e6), "end": (0, 1e6)}
    if labelled:
        bounds |= {"arousal": (0, 1), "valence": (-1, 1), "EmotionMaxVote": (0, 6)}
    numbers: dict[str, Any] = {column: folders.parse_number(cells, column, *limits) for column, limits in bounds.items()}
    matches = {"utterance": utterance, "video": video, "link": source}
    wrong = {column: printable(cells[column])[:60] for column, match in matches.items() if match is None}
    faults = [f"{column} is {found!r}; expected {FORMS[column]}" for column, found in wrong.items()]
    faults += [value for value in numbers.values() if isinstance(value, str)]
    code = numbers.pop("EmotionMaxVote", None)
    if isinstance(code, float) and code not in EMOTION_OF_CODE:
        faults.append(f"EmotionMaxVote is {code:g}; expected a whole number from 0 to 6")
    if not faults and numbers["end"] <= numbers["start"]:
        faults.append(f"end is {numbers['end']:g}; expected more than start, {numbers['start']:g}")
    if faults:
        return {}, faults
    names = {"utterance": f"{cells['video']}/{utterance[1].lower()}", "clip": cells["video"], "video": source[1]}
    row = {**names, "link": cells["link"], "label": EMOTION_OF_CODE.get(code)}
    return {**row, **dict.fromkeys(("arousal", "valence"), float("nan")), **numbers}, []
