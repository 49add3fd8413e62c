"""The Surrey Audio-Visual Expressed Emotion corpus (SAVEE): four English men, seven emotions (paper, Table 1)."""

from __future__ import annotations

import os
import re
from pathlib import Path

from experiments.corpora.record import (
    Corpus,
    build_corpus,
    compare_names,
    find_duplicates,
    find_files,
    open_folder,
    printable,
    refuse_problems,
    wrong_folder,
)

NAME = "savee"
LABELS = ("anger", "disgust", "fear", "happiness", "neutral", "sadness", "surprise")
DESCRIPTION = "Four English men (DC, JE, JK, KL) speak 120 TIMIT sentences each in seven emotions; 480 utterances."
CITATION = "S. Haq, P. J. B. Jackson: Speaker-dependent audio-visual emotion recognition. AVSP 2009"
LICENCE = "research only, after registration with the University of Surrey"
LAYOUT = "AudioData/DC/a01.wav … (as published), or DC_a01.wav … (flat)"
HOW_TO_OBTAIN = """register at http://kahlan.eps.surrey.ac.uk/savee/Register.html
then fetch AudioData.zip with the password that you are sent (http://kahlan.eps.surrey.ac.uk/savee/Download.html)
and unpack it, so that the folder holds AudioData/DC/a01.wav and so on for DC, JE, JK and KL (120 files each);
the flat form DC_a01.wav, in which the corpus also circulates, loads too"""

SPEAKERS = ("DC", "JE", "JK", "KL")
EMOTION_OF_CODE = {
    "a": "anger",
    "d": "disgust",
    "f": "fear",
    "h": "happiness",
    "n": "neutral",
    "sa": "sadness",
    "su": "surprise",
}
EXPECTED = {"utterances": 480, "speakers": 4, "label": {label: 120 if label == "neutral" else 60 for label in LABELS}}

_NESTED = re.compile(r"(sa|su|a|d|f|h|n)(\d\d)\.wav", re.IGNORECASE)
_FLAT = re.compile(r"(DC|JE|JK|KL)_(sa|su|a|d|f|h|n)(\d\d)\.wav", re.IGNORECASE)


def list_published() -> tuple[str, ...]:
    """Returns the 480 published utterance names, sorted, such as "DC_a01"."""
    return tuple(
        sorted(
            f"{speaker}_{code}{number:02d}"
            for speaker in SPEAKERS
            for code, label in EMOTION_OF_CODE.items()
            for number in range(1, 31 if label == "neutral" else 16)
        )
    )


def load(data_dir: str | os.PathLike[str]) -> Corpus:
    """Returns SAVEE's utterances with speaker and emotion, read from the file names.

    Args:
        data_dir: the folder that holds `AudioData` (or `ALL`), that folder itself, or the folder of the flat files. A
            part of the corpus loads too; `notes` names what is absent.
    Raises:
        InputError: not SAVEE's folder, or file names that are not SAVEE's, or an utterance twice.
    """
    data_dir = open_folder(data_dir, "SAVEE", HOW_TO_OBTAIN)
    folder = _find_audio_folder(data_dir)
    if folder is None:
        raise wrong_folder(data_dir, "SAVEE", LAYOUT, lambda path: _find_audio_folder(path) is not None)
    rows, problems = [], []
    for path in find_files(folder, [".wav"], max_depth=1):
        nested = _NESTED.fullmatch(path.name) if path.parent != folder else None
        flat = _FLAT.fullmatch(path.name) if path.parent == folder else None
        if flat:
            speaker, code, number = flat.groups()
        elif nested and path.parent.name.upper() in SPEAKERS:
            speaker, (code, number) = path.parent.name, nested.groups()
        else:
            problems.append(
                f"{printable(path)}: found a file name that is not SAVEE's; expected a speaker's folder "
                "(DC, JE, JK, KL) and an emotion code (a, d, f, h, n, sa, su) with two digits, such as "
                "DC/a01.wav or DC_a01.wav. Rename or remove it"
            )
            continue
        speaker, code = speaker.upper(), code.lower()
        rows.append(
            {
                "utterance": f"{speaker}_{code}{number}",
                "path": str(path),
                "speaker": speaker,
                "label": EMOTION_OF_CODE[code],
                "sex": "M",
            }
        )
    refuse_problems(f"{printable(folder)}: files that SAVEE does not have", problems)
    refuse_problems(f"{printable(folder)}: utterances that lie there more than once", find_duplicates(rows))
    return build_corpus(NAME, rows, labels=LABELS, notes=compare_names((row["utterance"] for row in rows), list_published()))


def _find_audio_folder(data_dir: Path) -> Path | None:
    for folder in (data_dir / "AudioData", data_dir / "ALL", data_dir):
        if not folder.is_dir():
            continue
        speakers = (path for path in folder.iterdir() if path.is_dir() and path.name.upper() in SPEAKERS)
        if any(_FLAT.fullmatch(path.name) for path in find_files(folder, [".wav"], 0)) or any(
            _NESTED.fullmatch(path.name) for speaker in speakers for path in find_files(speaker, [".wav"], 0)
        ):
            return folder
    return None
