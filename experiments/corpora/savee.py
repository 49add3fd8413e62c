"""The Surrey Audio-Visual Expressed Emotion corpus (SAVEE): four English men, seven emotions (paper, Table 1)."""

import functools
import re
from pathlib import Path

from began.files import StrPath
from experiments.corpora.folders import LOSSLESS, find_corpus, find_files, parse_names
from experiments.corpora.record import Corpus, build_corpus

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
EMOTION_OF_CODE = dict(zip(("a", "d", "f", "h", "n", "sa", "su"), LABELS, strict=True))


_FILE_NAME = re.compile(rf"(?:({'|'.join(SPEAKERS)})_)?({'|'.join(EMOTION_OF_CODE)})(\d\d)\.(?:wav|flac)", re.IGNORECASE)


def list_published() -> tuple[str, ...]:
    """Returns the 480 published utterance names, sorted, such as "DC_a01"; each speaker has 30 neutral ones, else 15."""
    counts = {code: 30 if label == "neutral" else 15 for code, label in EMOTION_OF_CODE.items()}
    takes = [f"{code}{number:02d}" for code, count in counts.items() for number in range(1, count + 1)]
    return tuple(sorted(f"{speaker}_{take}" for speaker in SPEAKERS for take in takes))


def load(data_dir: StrPath) -> Corpus:
    """Returns SAVEE's utterances with speaker and emotion, taken from the file names.

    Args:
        data_dir: the folder that holds `AudioData` (or `ALL`), that folder itself, or the folder of the flat files. A part
            of the corpus loads too; `notes` names what is absent.
    Raises:
        InputError: not SAVEE's folder, file names that are not SAVEE's, or an utterance twice.
    """
    folder = find_corpus(data_dir, "SAVEE", LAYOUT, HOW_TO_OBTAIN, _find_audio_folder)
    expected = f"speaker ({', '.join(SPEAKERS)}), emotion ({', '.join(EMOTION_OF_CODE)}) and number: DC/a01.wav or DC_a01.wav"
    parse = functools.partial(_parse_name, folder)
    rows = parse_names(find_files(folder, LOSSLESS, max_depth=1), parse, folder, "SAVEE", expected)
    return build_corpus(NAME, rows, LABELS, published=list_published())


def _find_audio_folder(data_dir: Path) -> Path | None:
    for folder in (data_dir / "AudioData", data_dir / "ALL", data_dir):
        if folder.is_dir() and any(_parse_name(folder, path) for path in find_files(folder, LOSSLESS, max_depth=1)):
            return folder
    return None


def _parse_name(folder: Path, path: Path) -> dict[str, str] | None:
    match = _FILE_NAME.fullmatch(path.name)
    if match is None or (match[1] is None) == (path.parent == folder):
        return None
    speaker = (match[1] or path.parent.name).upper()
    code = match[2].lower()
    if speaker not in SPEAKERS:
        return None
    return {"utterance": f"{speaker}_{code}{match[3]}", "speaker": speaker, "label": EMOTION_OF_CODE[code], "sex": "M"}
