"""What the file names of published corpora say: one pattern per corpus, from path to emotion, speaker, sex and split.

The groups of a pattern name what they hold: `label`, `speaker`, `split`, and `female` or `male`, one of which matches where the
name tells the speaker's sex. It is searched for at the end of a path, so that folders count where a corpus names them. To add a
corpus, add a `Naming`.
"""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from began.errors import InputError, counted
from began.find_sounds import SUFFIXES
from experiments.corpora import emodb, savee
from experiments.corpora.folders import LOSSLESS, find_files, open_folder, refuse_duplicates

_WORDS = {
    "angry": "anger",
    "disgust": "disgust",
    "fear": "fear",
    "happy": "happiness",
    "neutral": "neutral",
    "sad": "sadness",
    "surprise": "surprise",
}
_ITALIAN = {
    "dis": "disgust",
    "gio": "happiness",
    "neu": "neutral",
    "pau": "fear",
    "rab": "anger",
    "sor": "surprise",
    "tri": "sadness",
}
_RAVDESS = "neutral calm happiness sadness anger fear disgust surprise".split()
_SPEAKERS_OF_EMODB = {
    sex: "|".join(name for name, its in emodb.SEX_OF_SPEAKER.items() if its == sex) for sex in emodb.SEX_OF_SPEAKER.values()
}
_SECONDARY_OF_JL = {"anxious": "anxiety", "concerned": "concern", "excited": "excitement"}


@dataclass(frozen=True)
class Naming:
    """How a corpus names its files.

    Attributes:
        title: of the corpus.
        example: a path, for people.
        pattern: regular expression for the end of a path, folders separated by "/", in any case.
        labels: what the group `label` holds, in lower case -> the emotion, in this project's words.
        speakers: speakers that some files misname -> their name.
        splits: what the group `split` holds, in lower case -> train, validation or test.
        annotations: how the paths of text files end that hold the labels in place of the names, `*` for letters; "": none do.
        no_utterances: regular expression for folders of sound that is not cut into utterances, and is left alone; "": none is.
    """

    title: str
    example: str
    pattern: str
    labels: Mapping[str, str]
    speakers: Mapping[str, str] = field(default_factory=dict)
    splits: Mapping[str, str] = field(default_factory=dict)
    annotations: str = ""
    no_utterances: str = ""


NAMINGS = {
    "cafe": Naming(
        "CaFE (Canadian French)",
        "Colère/Fort/01-C-2-1.wav",
        r"(?P<speaker>(?P<male>0[13579]|11)|(?P<female>0[2468]|1[02]))-(?P<label>[CDJNPST])-[12]-[1-6]",
        dict(zip("cdjnpst", "anger disgust happiness neutral fear surprise sadness".split(), strict=True)),
    ),
    "crema-d": Naming(
        "CREMA-D (American English)",
        "AudioWAV/1001_DFA_ANG_XX.wav",
        r"(?P<speaker>1[0-9]{3})_[A-Z]{3}_(?P<label>ANG|DIS|FEA|HAP|NEU|SAD)_(?:LO|MD|HI|XX?)",
        {word[:3]: label for word, label in _WORDS.items() if word != "surprise"},
    ),
    "demos": Naming(
        "DEMoS (Italian)",
        "PR_f_01_rab01.wav",
        r"(?:NP|PR)_(?P<speaker>(?:(?P<female>f)|(?P<male>m))_[0-9]+)_(?P<label>col|dis|gio|neu|pau|rab|sor|tri)[0-9a-z]*",
        {**_ITALIAN, "col": "guilt"},
    ),
    "emodb": Naming(
        "EmoDB (German)",
        "wav/03a01Fa.wav",
        rf"(?P<speaker>(?P<male>{_SPEAKERS_OF_EMODB['M']})|(?P<female>{_SPEAKERS_OF_EMODB['F']}))[ab][0-9]{{2}}"
        rf"(?P<label>[{''.join(emodb.EMOTION_OF_CODE)}])[a-z]",
        {code.lower(): label for code, label in emodb.EMOTION_OF_CODE.items()},
    ),
    "emovo": Naming(
        "EMOVO (Italian)",
        "f1/dis-f1-b1.wav",
        r"(?P<label>dis|gio|neu|pau|rab|sor|tri)-(?P<speaker>(?P<female>f[1-3])|(?P<male>m[1-3]))-[a-z][0-9]",
        _ITALIAN,
    ),
    "esd": Naming(
        "ESD (Mandarin and English)",
        "0011/Angry/0011_000351.wav",
        r"(?P<speaker>00[0-2][0-9])/(?P<label>Angry|Happy|Neutral|Sad|Surprise)/"
        r"(?:(?P<split>train|evaluation|test)/)?(?P=speaker)_[0-9]{6}",
        _WORDS,
        splits={"train": "train", "evaluation": "validation", "test": "test"},
    ),
    "iemocap": Naming(
        "IEMOCAP (American English)",
        "Session1/sentences/wav/Ses01F_impro01/Ses01F_impro01_F000.wav",
        # The first F or M is whoever wore the markers; the last one is the speaker.
        r"sentences/wav/[^/]+/Ses(?P<session>0[1-5])[FM]_(?:impro|script)\w+_(?:(?P<female>F)|(?P<male>M))\w*",
        {**{word[:3]: label for word, label in _WORDS.items()}, "exc": "excitement", "fru": "frustration"},
        annotations="Session*/dialog/EmoEvaluation/Ses*.txt",
        no_utterances=r"\bdialog/(?:wav|avi)/",
    ),
    "jl": Naming(
        "JL corpus (New Zealand English)",
        "female1_angry_10a_1.wav",
        r"(?P<speaker>(?P<female>female[12])|(?P<male>male[12]))_"
        r"(?P<label>angry|anxious|apologetic|assertive|concerned|encouraging|excited|happy|neutral|sad)_[0-9]+[ab]_[12]",
        {**_WORDS, **_SECONDARY_OF_JL, **{word: word for word in ("apologetic", "assertive", "encouraging")}},
    ),
    "mesd": Naming(  # which does not tell its speakers apart
        "MESD (Mexican Spanish)",
        "Anger_C_A_abajo.wav",
        r"(?P<label>Anger|Disgust|Fear|Happiness|Neutral|Sadness)_(?:(?P<female>F)|(?P<male>M)|C)_[AB]_[^/]+",
        {label: label for label in ("anger", "disgust", "fear", "happiness", "neutral", "sadness")},
    ),
    "ravdess": Naming(
        "RAVDESS, speech (American English)",
        "Actor_12/03-01-06-01-02-01-12.wav",
        r"03-01-(?P<label>0[1-8])-0[12]-0[12]-0[12]-(?P<speaker>(?P<male>[0-2][13579])|(?P<female>[0-2][02468]))",
        {f"{number:02d}": label for number, label in enumerate(_RAVDESS, start=1)},
    ),
    "savee": Naming(
        "SAVEE (British English)",
        "AudioData/DC/a01.wav, DC_a01.wav",
        rf"(?P<speaker>(?P<male>{'|'.join(savee.SPEAKERS)}))[/_](?P<label>{'|'.join(savee.EMOTION_OF_CODE)})[0-9]{{2}}",
        savee.EMOTION_OF_CODE,
    ),
    "shemo": Naming(
        "ShEMO (Persian)",
        "female/F01A01.wav",
        r"(?P<speaker>(?:(?P<female>F)|(?P<male>M))[0-9]{2})(?P<label>[AFHNSW])[0-9]{2}",
        dict(zip("afhnsw", "anger fear happiness neutral sadness surprise".split(), strict=True)),
    ),
    "subesco": Naming(
        "SUBESCO (Bangla)",
        "F_01_OISHI_S_1_ANGRY_1.wav",
        r"(?P<speaker>(?:(?P<female>F)|(?P<male>M))_[0-9]+)_[A-Z]+_S_[0-9]+_"
        r"(?P<label>ANGRY|DISGUST|FEAR|HAPPY|NEUTRAL|SAD|SURPRISE)_[0-9]",
        _WORDS,
    ),
    "tess": Naming(
        "TESS (Canadian English)",
        "OAF_angry/OAF_back_angry.wav",
        r"(?P<speaker>(?P<female>OAF?|YAF))_[a-z]+_(?P<label>angry|disgust|fear|happy|neutral|ps|sad)",
        {**_WORDS, "ps": "surprise"},  # pleasant surprise
        speakers={"OA": "OAF"},  # OA_bite_neutral.wav
    ),
    "urdu": Naming(
        "URDU",
        "Angry/SM1_F10_A010.wav",
        r"(?P<speaker>S(?:(?P<female>F)|(?P<male>M))[0-9]+)_F[0-9]+_(?P<label>[AHNS])[0-9]+",
        dict(zip("ahns", "anger happiness neutral sadness".split(), strict=True)),
    ),
}
"""Name on the command line -> how the corpus names its files."""

UNANNOTATED = "whose label is in no file of annotations"
"""Reason to leave out a recording: the corpus is not complete."""

_ANNOTATION = re.compile(r"^\[[0-9.]+ - [0-9.]+\]\t(?P<utterance>\w+)\t(?P<label>\w+)\t", re.MULTILINE)
"""A line of IEMOCAP's EmoEvaluation: [start - end], utterance, emotion and [valence, activation, dominance], behind tabs."""


def list_recordings(naming: Naming, data_dir: Path) -> tuple[list[dict[str, str]], list[Path], dict[str, list[str]]]:
    """Returns what the names of the sound files below a folder say.

    Some corpora hold every recording in two formats: the lossless one is taken.

    Returns:
        One row per recording (its path as `file`, its `label`, and what is known of `speaker`, `sex` and `split`); the files
        whose names are not the corpus'; and the recordings that are left out, by the reason.
    Raises:
        InputError: no such folder, no file in it that is named so, or no annotations where the labels are in them.
    """
    folder = open_folder(data_dir, naming.title)
    endings = "|".join(suffix[1:] for suffix in SUFFIXES)
    pattern = re.compile(rf"(?:^|/){naming.pattern}\.(?:{endings})$", re.IGNORECASE)
    annotated = _read_annotations(naming, folder) if naming.annotations else {}
    rows, others = [], []
    left_out: dict[str, list[str]] = {}
    names: dict[str, str] = {}  # of the recordings, without what tells of the format
    for path in find_files(folder, SUFFIXES, math.inf):
        match = pattern.search(path.absolute().as_posix())
        if match is None and naming.no_utterances and re.search(naming.no_utterances, path.relative_to(folder).as_posix()):
            continue
        if match is None:
            others.append(path)
            continue
        code = annotated.get(path.stem) if naming.annotations else match["label"].lower()
        if code is None:
            left_out.setdefault(UNANNOTATED, []).append(path.stem)
        elif code in naming.labels:
            rows.append({"file": str(path), "label": naming.labels[code], **_describe_speaker(naming, match)})
            names[str(path)] = match[0].rpartition(".")[0].lower()
        else:
            left_out.setdefault(f"labelled {code}", []).append(path.stem)
    if not rows:
        found = f"{counted(len(others), 'sound file')}, none with such a name" if others else "no sound file"
        expected = f"names such as {naming.example}"
        raise InputError.about(folder, found, f"{naming.title}: {expected}", "check the path and the corpus")
    lossless = {name for file, name in names.items() if _is_lossless(file)}
    if copies := [file for file, name in names.items() if name in lossless and not _is_lossless(file)]:
        left_out["in a lossless format there, too"] = [Path(file).name for file in copies]
    rows = [row for row in rows if row["file"] not in set(copies)]
    spellings: dict[str, str] = {}  # patterns match in any case, and one speaker has one name
    for row in rows:
        if "speaker" in row:
            row["speaker"] = spellings.setdefault(row["speaker"].casefold(), row["speaker"])
    return rows, others, left_out


def _is_lossless(file: str) -> bool:
    return Path(file).suffix.lower() in LOSSLESS


def _describe_speaker(naming: Naming, match: re.Match) -> dict[str, str]:
    """Returns what a name says of the speaker, and the split."""
    found = match.groupdict()
    row: dict[str, str] = {}
    sex = "F" if found.get("female") else "M" if found.get("male") else ""
    if session := found.get("session"):
        found["speaker"] = f"{session}{sex}"  # one woman and one man in each
    if speaker := found.get("speaker"):
        row["speaker"] = naming.speakers.get(speaker.upper(), speaker)
    if "female" in found or "male" in found:
        row["sex"] = sex
    if split := found.get("split"):
        row["split"] = naming.splits[split.lower()]
    return row


def _read_annotations(naming: Naming, folder: Path) -> dict[str, str]:
    """Returns utterance -> label, from the text files that a corpus keeps beside its sound."""
    files = [path for path in find_files(folder, (".txt",), math.inf) if path.absolute().match(naming.annotations)]
    if not files:
        found, action = f"no file {naming.annotations} in it", "give the folder that holds them"
        raise InputError.about(folder, found, f"the labels of {naming.title}", action)
    pairs = [(file, match) for file in files for match in _ANNOTATION.finditer(file.read_text(encoding="latin-1"))]
    refuse_duplicates(folder, [(match["utterance"], file) for file, match in pairs], "annotations")
    return {match["utterance"]: match["label"].lower() for _, match in pairs}
