"""LibriSpeech: read English speech without emotion labels, on which the BEGAN is pre-trained (paper, section 3.1)."""

import math
import re
from collections.abc import Sequence
from pathlib import Path

from began.errors import InputError, counted, printable, shorten
from began.files import StrPath
from began.find_sounds import SUFFIXES
from experiments.corpora.folders import LOSSLESS, find_corpus, find_files, parse_names
from experiments.corpora.record import Archive, Corpus, build_corpus

NAME = "librispeech"
DESCRIPTION = "About 1000 hours of English audio books, read by 2484 speakers; no emotion labels."
CITATION = (
    "V. Panayotov, G. Chen, D. Povey, S. Khudanpur: LibriSpeech: an ASR corpus based on public domain audio books. ICASSP 2015"
)
LICENCE = "CC BY 4.0"
LAYOUT = "train-clean-100/SPEAKER/CHAPTER/SPEAKER-CHAPTER-NNNN.flac, or one subset's folder"
HOW_TO_OBTAIN = """`python -m experiments.download librispeech --subset train-clean-100 --dest DIR` fetches it (6.4 GB)
or by hand: https://www.openslr.org/12, unpacked"""

# Subset: utterances, speakers (Panayotov et al. 2015, Table 1, and the archives themselves), GB, MD5 (openslr.org/12).
_PUBLISHED = {
    "dev-clean": (2703, 40, 0.34, "42e2234ba48799c1f50f24a7926300a1"),
    "dev-other": (2864, 33, 0.32, "c8d0bcc9cca99d4f8b62fcc847357931"),
    "test-clean": (2620, 40, 0.35, "32fa31d27d2e1cad72775fee3f4849a9"),
    "test-other": (2939, 33, 0.33, "fb5a50374b501bb3bac4815ee91d3135"),
    "train-clean-100": (28539, 251, 6.4, "2a93770f6d5c6c964bc36631d331a522"),
    "train-clean-360": (104014, 921, 23.1, "c0e676e450a7ff2f54aeade5171606fa"),
    "train-other-500": (148688, 1166, 30.6, "d1a0fd59409feb2c614ce4d30c387708"),
}
SUBSETS = tuple(_PUBLISHED)
ARCHIVES = {
    subset: Archive(f"https://www.openslr.org/resources/12/{subset}.tar.gz", f"md5:{md5}", gigabytes)
    for subset, (_, _, gigabytes, md5) in _PUBLISHED.items()
}
_SPLIT = {"train": "train", "dev": "validation", "test": "test"}
_FILE_NAME = re.compile(r"(\d+)-(\d+)-(\d{4})\.(?:flac|wav)", re.IGNORECASE)


def load(data_dir: StrPath, subsets: Sequence[str] | None = None) -> Corpus:
    """Returns the utterances of one or more LibriSpeech subsets with speaker, subset, split and the speaker's sex.

    The speaker is taken from the file name, which stays right where folders were renamed; the sex from SPEAKERS.TXT, and
    is empty without that file.

    Args:
        data_dir: the folder that holds the subsets, or one subset's folder.
        subsets: the subsets to take, such as ["train-clean-100"]; all that are there if None.
    Raises:
        InputError: not LibriSpeech's folder, a subset that is not there, file names that are not LibriSpeech's, or an
            utterance twice.
    """
    folders = find_corpus(data_dir, "LibriSpeech", LAYOUT, HOW_TO_OBTAIN, _find_subsets)
    data_dir = Path(data_dir)
    if subsets is not None:
        if not subsets or not set(subsets) <= set(folders):
            found, expected = (f"the subsets {', '.join(names)}" for names in (folders, subsets))
            raise InputError.about(data_dir, found, expected, "choose among those there, or download the other")
        folders = {subset: folders[subset] for subset in subsets}
    sexes = _read_sexes(data_dir)
    paths = {path: subset for subset, folder in folders.items() for path in find_files(folder, LOSSLESS)}

    def parse_name(path: Path) -> dict[str, str] | None:
        if (match := _FILE_NAME.fullmatch(path.name)) is None:
            return None
        row = {"utterance": path.stem, "speaker": match[1], "subset": paths[path], "sex": sexes.get(match[1], "")}
        return row | {"split": _SPLIT[paths[path].split("-")[0]]}

    expected = "SPEAKER-CHAPTER-NNNN.flac, such as 103-1240-0000.flac"
    rows = parse_names(paths, parse_name, data_dir, "LibriSpeech", expected)
    notes = []
    for subset in folders:
        speakers = [row["speaker"] for row in rows if row["subset"] == subset]
        counts, published = (len(speakers), len(set(speakers))), _PUBLISHED.get(subset, ())[:2]
        if published and counts != published:
            notes.append("{}: {} utterances of {} speakers, published {} of {}".format(subset, *counts, *published))
    if elsewhere := [row["path"] for row in rows if Path(row["path"]).parent.parent.name != row["speaker"]]:
        where = f"in a folder not named after their speaker, such as {printable(elsewhere[0])}"
        notes.append(f"{counted(len(elsewhere), 'file')} {where}; the speaker in the file name is used")
    searched = folders.values() if subsets else [data_dir]
    if left_out := [path for folder in searched for path in find_files(folder, SUFFIXES, math.inf) if path not in paths]:
        where = f"not a subset's FLAC or WAV files: {shorten([str(path.relative_to(data_dir)) for path in left_out])}"
        notes.append(f"{counted(len(left_out), 'sound file')} left out, {where}")
    return build_corpus(NAME, rows, notes=notes)


def _find_subsets(data_dir: Path) -> dict[str, Path]:
    """Returns the subsets' folders by name; a folder of any other name counts as a training subset."""
    if _holds_utterances(data_dir):
        name = data_dir.absolute().name
        return {name if name in SUBSETS else "train": data_dir}
    return {name: data_dir / name for name in SUBSETS if _holds_utterances(data_dir / name)}


def _holds_utterances(folder: Path) -> bool:
    """Tells whether FOLDER/SPEAKER/CHAPTER/UTTERANCE lies there, by looking until the first published one."""
    return any(map(is_published, folder.glob("[!.]*/[!.]*/*")))


def is_published(path: Path) -> bool:
    """Tells whether a path is one of LibriSpeech, by its folders, too: a recording may be named by its date."""
    if (match := _FILE_NAME.fullmatch(path.name)) is None:
        return False
    subset, *folders = ["", *path.absolute().parts][-4:-1]
    return subset in SUBSETS or folders == [match[1], match[2]]


def _read_sexes(data_dir: Path) -> dict[str, str]:
    """Returns the speakers' sex (F, M) from SPEAKERS.TXT in the corpus' folder or the one above it."""
    for path in (data_dir / "SPEAKERS.TXT", data_dir.absolute().parent / "SPEAKERS.TXT"):
        if path.is_file():
            lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
            cells = [[cell.strip() for cell in line.split("|")] for line in lines if not line.startswith(";")]
            return {row[0]: row[1] for row in cells if len(row) > 1 and row[1] in ("F", "M")}
    return {}
