"""LibriSpeech: read English speech without emotion labels, on which the BEGAN is pre-trained (paper, section 3.1)."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from began.errors import InputError
from experiments.corpora.record import (
    Corpus,
    build_corpus,
    find_duplicates,
    find_files,
    open_folder,
    printable,
    refuse_problems,
    wrong_folder,
)

NAME = "librispeech"
LABELS = ()
DESCRIPTION = "About 1000 hours of English audio books, read by 2484 speakers; no emotion labels."
CITATION = (
    "V. Panayotov, G. Chen, D. Povey, S. Khudanpur: LibriSpeech: an ASR corpus based on public domain audio books. ICASSP 2015"
)
LICENCE = "CC BY 4.0"
LAYOUT = "train-clean-100/SPEAKER/CHAPTER/SPEAKER-CHAPTER-NNNN.flac, or one subset's folder"
HOW_TO_OBTAIN = """`python -m experiments.download librispeech --subset train-clean-100 --dest DIR` fetches it (6.4 GB)
or by hand: https://www.openslr.org/12, unpacked"""

EXPECTED = {  # Panayotov et al. 2015, Table 1, and the archives themselves
    "dev-clean": {"utterances": 2703, "speakers": 40},
    "dev-other": {"utterances": 2864, "speakers": 33},
    "test-clean": {"utterances": 2620, "speakers": 40},
    "test-other": {"utterances": 2939, "speakers": 33},
    "train-clean-100": {"utterances": 28539, "speakers": 251},
    "train-clean-360": {"utterances": 104014, "speakers": 921},
    "train-other-500": {"utterances": 148688, "speakers": 1166},
}
SUBSETS = tuple(EXPECTED)
_SPLIT = {"train": "train", "dev": "validation", "test": "test"}
_FILE_NAME = re.compile(r"(\d+)-(\d+)-(\d+)\.(?:flac|wav)", re.IGNORECASE)


def load(data_dir: str | os.PathLike[str], subsets: Sequence[str] | None = None) -> Corpus:
    """Returns the utterances of one or more LibriSpeech subsets with speaker, subset, split and the speaker's sex.

    The speaker is read from the file name, which stays right where folders were renamed; the sex from SPEAKERS.TXT, and
    is empty without that file.

    Args:
        data_dir: the folder that holds the subsets, or one subset's folder.
        subsets: the subsets to take, such as ["train-clean-100"]; all that are there if None.
    Raises:
        InputError: not LibriSpeech's folder, a subset that is not there, file names that are not LibriSpeech's, or an
            utterance twice.
    """
    data_dir = open_folder(data_dir, "LibriSpeech", HOW_TO_OBTAIN)
    folders = _find_subsets(data_dir)
    if not folders:
        raise wrong_folder(data_dir, "LibriSpeech", LAYOUT, lambda path: bool(_find_subsets(path)))
    if subsets is not None:
        absent = [subset for subset in subsets if subset not in folders]
        if absent or not subsets:
            raise InputError.about(
                printable(data_dir),
                found=f"the subsets {', '.join(folders)}",
                expected=f"the subsets {', '.join(subsets) or '(none asked for)'}",
                action="choose among those that are there, or download the other",
            )
        folders = {subset: folders[subset] for subset in subsets}
    sexes = _read_sexes(data_dir)
    rows, problems, elsewhere = [], [], []
    for subset, folder in folders.items():
        for path in find_files(folder, [".flac", ".wav"]):
            match = _FILE_NAME.fullmatch(path.name)
            if match is None:
                problems.append(
                    f"{printable(path)}: found a file name that is not LibriSpeech's; expected "
                    "SPEAKER-CHAPTER-NNNN.flac, such as 103-1240-0000.flac. Rename or remove it"
                )
                continue
            if path.parent.parent.name != match[1]:
                elsewhere.append(path)
            rows.append(
                {
                    "utterance": path.stem,
                    "path": str(path),
                    "speaker": match[1],
                    "split": _SPLIT[subset.split("-")[0]],
                    "subset": subset,
                    "sex": sexes.get(match[1], ""),
                }
            )
    refuse_problems(f"{printable(data_dir)}: files that LibriSpeech does not have", problems)
    refuse_problems(f"{printable(data_dir)}: utterances that lie there more than once", find_duplicates(rows))
    notes = _compare(rows)
    if elsewhere:
        notes.append(
            f"{len(elsewhere)} files lie in a folder that is not named after their speaker, such as "
            f"{printable(elsewhere[0])}; the speaker in the file name is used"
        )
    return build_corpus(NAME, rows, notes=notes)


def _find_subsets(data_dir: Path) -> dict[str, Path]:
    """Returns the subsets' folders by name; a folder of any other name counts as a training subset."""
    if holds_utterances(data_dir):
        resolved = data_dir.absolute().name
        return {resolved if resolved in SUBSETS else "train": data_dir}
    return {name: data_dir / name for name in SUBSETS if holds_utterances(data_dir / name)}


def holds_utterances(folder: Path) -> bool:
    """Tells whether FOLDER/SPEAKER/CHAPTER/UTTERANCE lies there, by looking at the first chapters only."""
    for where, folders, names in os.walk(folder, followlinks=True):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        depth = len(Path(where).relative_to(folder).parts)
        if depth == 2:
            folders[:] = []
            if any(_FILE_NAME.fullmatch(name) for name in names):
                return True
    return False


def _read_sexes(data_dir: Path) -> dict[str, str]:
    """Returns the speakers' sex (F, M) from SPEAKERS.TXT in the corpus' folder or the one above it."""
    for path in (data_dir / "SPEAKERS.TXT", data_dir.absolute().parent / "SPEAKERS.TXT"):
        if path.is_file():
            lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
            cells = [[cell.strip() for cell in line.split("|")] for line in lines if not line.startswith(";")]
            return {row[0]: row[1] for row in cells if len(row) > 1 and row[1] in ("F", "M")}
    return {}


def _compare(rows: list[dict[str, str]]) -> list[str]:
    notes = []
    utterances = Counter(row["subset"] for row in rows)
    for subset, count in utterances.items():
        published = EXPECTED.get(subset)
        speakers = len({row["speaker"] for row in rows if row["subset"] == subset})
        if published and (count, speakers) != (published["utterances"], published["speakers"]):
            notes.append(
                f"{subset}: {count} utterances of {speakers} speakers, published {published['utterances']} of "
                f"{published['speakers']}"
            )
    return notes
