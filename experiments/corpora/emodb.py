"""The Berlin Database of Emotional Speech (EmoDB): ten German actors, seven emotions (paper, Table 3)."""

import re
from pathlib import Path

from began.files import StrPath
from experiments.corpora.folders import LOSSLESS, find_corpus, find_files, parse_names
from experiments.corpora.record import Archive, Corpus, build_corpus

NAME = "emodb"
LABELS = ("anger", "boredom", "disgust", "fear", "happiness", "neutral", "sadness")
DESCRIPTION = "Ten German actors (five women, five men) speak ten sentences in seven emotions: 535 utterances, 25 min."
CITATION = (
    "F. Burkhardt, A. Paeschke, M. Rolfes, W. Sendlmeier, B. Weiss: A Database of German Emotional Speech. Interspeech 2005"
)
LICENCE = "CC0 1.0"
LAYOUT = "wav/03a01Fa.wav …, or these files directly"
HOW_TO_OBTAIN = """`python -m experiments.download emodb --dest DIR` fetches it (40 MB)
or by hand: http://emodb.bilderbar.info/download/download.zip, unpacked"""
ARCHIVE = Archive("http://emodb.bilderbar.info/download/download.zip", None, 0.041)
"""No checksum is published for it; instead all 535 utterances must be there under their names, and sound."""

EMOTION_OF_CODE = {"W": "anger", "L": "boredom", "E": "disgust", "A": "fear", "F": "happiness", "N": "neutral", "T": "sadness"}
"""Position 6 of a file name: the first letter of the emotion's German name."""

SEX_OF_SPEAKER = {"03": "M", "08": "F", "09": "F", "10": "M", "11": "M", "12": "M", "13": "F", "14": "F", "15": "M", "16": "F"}

TEXTS = ("a01", "a02", "a04", "a05", "a07", "b01", "b02", "b03", "b09", "b10")

_PUBLISHED = """
03 a01FaNcWa a02FcNcTaWbWc a04AdFdLcNcTaWc a05AaFcNdTcWaWb a07FaFbLaNcWc b01FaLbNbTdWaWc b02AaLaNaTbWb b03NbTcWc
   b09LaNcTcWa b10AbEcNaNcWbWc
08 a01AbFdLcNaWaWc a02AbAcFeLaNaTbWc a04FfLaNcTbWc a05FeLcNbTaWa a07FdLaNaTaTbWc b01AaFdFeLbNaWa b02FfLaNbTcWd
   b03FeLcNbTcWd b09AbFdLcNbTbWaWc b10AaFdLaNcTcWa
09 a01EaFaNbWb a02EaEbLaWb a04FdLaNbWa a05EdLcNbTbWbWc a07EbNaTaWbWd b01EaNaWb b02NaTbWcWd b03EdFaFdLbNbTaWb
   b09EaNdWa b10AaNdWa
10 a01AcNbWa a02AbFaLbNaWa a04FdNbWaWb a05AaLdTbWb a07AaAdLaTaWb b01AaEaFaLb b02AaLaNaWb b03LaTbWb b09AdLbWb
   b10FcLcWa
11 a01AaAbLdNdWc a02EcFbLdNcTcWc a04AcFdNdWc a05AdFbFcLcNaTdWd a07AcLdTaWc b01AbEbFcLbNcWd b02AbFdNaTdWb
   b03FcLcNbTdWaWb b09AdFdLdNaTdWa b10AdAeLdNcTdWa
12 a01FbLbNbWc a02AcEcNbWaWc a04Wc a05AbLbNdTaWb a07AcLaWa b01TaWa b02AdEaFbNaWaWbWd b03LaTa b09AcTdWc b10AcLdWa
13 a01AcEaEcFdLbNbWb a02AdEcFaLcNcTaWa a04AcFcLbTaWc a05AaEaLcNbTcWaWc a07FdLbNaTcWb b01AbEcFcLdNcWa b02FbLcNbWa
   b03AcEdFdLbNaTdWc b09AbEcFbFcLaNaWa b10EcFaLaNcWaWc
14 a01AaAcEaNaWaWc a02AbEaFdLaNcTbWaWc a04AaEdLbTbTcWbWc a05AaAcFaFbLbNaTaTcWaWb a07AaEbFdLcLdNaTcWc b01AcEbFaFcNaWc
   b02AaFbNaTcWbWd b03AdEdLbTaWb b09AcEaFcLbTdWaWc b10AdEbLbNbTcWc
15 a01EaFbLaNbWa a02AcEaLaNaTaWbWd a04AbAcFdNcWaWb a05EbFbLbNaWa a07AcEbFaFbLdNc b01EcLbNaWc b02AaLbNdTcWaWc
   b03AaLcNbTcWaWb b09AcFaLaNbTaWb b10AcLcNbNcWa
16 a01EcFcLbNcTbWb a02EaEcLbNbTcWb a04AbEaFaLaLcNcTcWbWc a05AbEaFcLaTbWbWc a07EaFaFbLaLbNbTdWa b01AaEbFaLaLcTbWaWb
   b02AaEbFdLbWb b03AdEaFaFdLaNbTaWb b09AbEbFbLaLbWb b10AaEbFbLbTbTdWaWb
"""


def list_published() -> tuple[str, ...]:
    """Returns the 535 published utterance names, sorted, such as "03a01Fa"."""
    names, speaker = [], ""
    for word in _PUBLISHED.split():
        if len(word) == 2:
            speaker = word
        else:  # a sentence, then letters of emotion and version, two for each utterance
            names += [speaker + word[:3] + word[i : i + 2] for i in range(3, len(word), 2)]
    return tuple(sorted(names))


_FILE_NAME = re.compile(r"(\d\d)([ab]\d\d)([WLEAFNT])([a-z])\.(?:wav|flac)", re.IGNORECASE)


def load(data_dir: StrPath) -> Corpus:
    """Returns EmoDB's utterances with speaker, sex, sentence and emotion, taken from the file names.

    Args:
        data_dir: the folder that holds `wav`, or `wav` itself. A part of the corpus loads too; `notes` names what is absent.
    Raises:
        InputError: not EmoDB's folder, file names that are not EmoDB's, or an utterance twice.
    """
    folder = find_corpus(data_dir, "EmoDB", LAYOUT, HOW_TO_OBTAIN, _find_wav_folder)
    expected = "speaker (03, 08 to 16), text, emotion letter, version, such as 03a01Fa.wav"
    rows = parse_names(find_files(folder, LOSSLESS, max_depth=0), _parse_name, folder, "EmoDB", expected)
    return build_corpus(NAME, rows, LABELS, published=list_published())


def _find_wav_folder(data_dir: Path) -> Path | None:
    for folder in (data_dir / "wav", data_dir):
        if folder.is_dir() and any(_FILE_NAME.fullmatch(path.name) for path in find_files(folder, LOSSLESS, max_depth=0)):
            return folder
    return None


def _parse_name(path: Path) -> dict[str, str] | None:
    match = _FILE_NAME.fullmatch(path.name)
    if match is None or match[1] not in SEX_OF_SPEAKER:
        return None
    speaker, text, code, version = match[1], match[2].lower(), match[3].upper(), match[4].lower()
    row = {"utterance": f"{speaker}{text}{code}{version}", "speaker": speaker, "text": text}
    return row | {"label": EMOTION_OF_CODE[code], "sex": SEX_OF_SPEAKER[speaker]}
