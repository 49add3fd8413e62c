"""Manifests of published corpora: what their file names say, in every known layout."""

from __future__ import annotations

import itertools
import os
import sys

import numpy as np
import pytest
import soundfile

from began.command_line import run_script
from began.errors import InputError
from experiments import check, manifest
from experiments.corpora import emodb, load, savee
from experiments.corpora.file_names import NAMINGS

CASES = {
    "cafe": {
        "CaFE/Colère/Fort/01-C-2-1.wav": ("anger", "01", "M"),
        "CaFE/Dégoût/Faible/12-D-1-6.wav": ("disgust", "12", "F"),
        "CaFE/Joie/Faible/10-J-1-3.aiff": ("happiness", "10", "F"),
        "CaFE/Neutre/11-N-1-2.wav": ("neutral", "11", "M"),
        "CaFE/Peur/Fort/02-P-2-2.wav": ("fear", "02", "F"),
        "CaFE/Surprise/Fort/09-S-2-2.wav": ("surprise", "09", "M"),
        "CaFE/Tristesse/Fort/04-T-2-2.wav": ("sadness", "04", "F"),
    },
    "crema-d": {
        "AudioWAV/1001_DFA_ANG_XX.wav": ("anger", "1001", None),
        "AudioWAV/1002_IEO_DIS_LO.wav": ("disgust", "1002", None),
        "AudioWAV/1002_IEO_FEA_HI.wav": ("fear", "1002", None),
        "AudioMP3/1091_IEO_HAP_MD.mp3": ("happiness", "1091", None),
        "AudioWAV/1040_ITH_SAD_X.wav": ("sadness", "1040", None),  # the one with a single X
        "AudioWAV/1091_WSI_NEU_XX.wav": ("neutral", "1091", None),
    },
    "demos": {
        "wav_DEMoS/PR_f_01_rab01.wav": ("anger", "f_01", "F"),
        "wav_DEMoS/NP_m_43_col12.wav": ("guilt", "m_43", "M"),
        "wav_DEMoS/PR_m_43_sor12.wav": ("surprise", "m_43", "M"),
    },
    "emodb": {"wav/03a01Fa.wav": ("happiness", "03", "M"), "wav/16b10Wb.wav": ("anger", "16", "F")},
    "emovo": {
        "EMOVO/f1/dis-f1-b1.wav": ("disgust", "f1", "F"),
        "EMOVO/f2/gio-f2-d3.wav": ("happiness", "f2", "F"),
        "EMOVO/f3/neu-f3-l1.wav": ("neutral", "f3", "F"),
        "EMOVO/m1/pau-m1-n5.wav": ("fear", "m1", "M"),
        "EMOVO/m2/rab-m2-b1.wav": ("anger", "m2", "M"),
        "EMOVO/m3/sor-m3-b2.wav": ("surprise", "m3", "M"),
        "EMOVO/m3/tri-m3-n5.wav": ("sadness", "m3", "M"),
    },
    "esd": {
        "ESD/0011/Angry/0011_000351.wav": ("anger", "0011", None),
        "ESD/0020/Surprise/0020_001401.wav": ("surprise", "0020", None),
        "ESD/0001/Sad/0001_001051.wav": ("sadness", "0001", None),
    },
    "iemocap": {
        "Session1/sentences/wav/Ses01F_impro01/Ses01F_impro01_F000.wav": ("neutral", "01F", "F"),
        "Session1/sentences/wav/Ses01F_impro01/Ses01F_impro01_M001.wav": ("excitement", "01M", "M"),
        "Session5/sentences/wav/Ses05M_script01_1b/Ses05M_script01_1b_F014.wav": ("frustration", "05F", "F"),
    },
    "jl": {
        "female1_angry_10a_1.wav": ("anger", "female1", "F"),
        "male2_anxious_3b_2.wav": ("anxiety", "male2", "M"),
        "male1_excited_3b_2.wav": ("excitement", "male1", "M"),
    },
    "mesd": {
        "Anger_C_A_abajo.wav": ("anger", None, ""),
        "Happiness_F_B_abuso.wav": ("happiness", None, "F"),
        "Sadness_M_A_a la derecha.wav": ("sadness", None, "M"),
    },
    "ravdess": {
        "Actor_12/03-01-06-01-02-01-12.wav": ("fear", "12", "F"),
        "Actor_01/03-01-01-01-01-01-01.wav": ("neutral", "01", "M"),
        "Actor_24/03-01-02-02-02-02-24.wav": ("calm", "24", "F"),
        "Actor_23/03-01-08-02-02-02-23.wav": ("surprise", "23", "M"),
        "Actor_20/03-01-05-02-02-02-20.wav": ("anger", "20", "F"),
    },
    "savee": {"AudioData/DC/a01.wav": ("anger", "DC", "M"), "ALL/KL_su15.wav": ("surprise", "KL", "M")},
    "shemo": {
        "female/F01A01.wav": ("anger", "F01", "F"),
        "male/M31W12.wav": ("surprise", "M31", "M"),
        "male/M31F12.wav": ("fear", "M31", "M"),
    },
    "subesco": {
        "F_01_OISHI_S_1_ANGRY_1.wav": ("anger", "F_01", "F"),
        "M_10_TITU_S_10_SURPRISE_5.wav": ("surprise", "M_10", "M"),
    },
    "tess": {
        "OAF_angry/OAF_back_angry.wav": ("anger", "OAF", "F"),
        "OAF_neutral/OA_bite_neutral.wav": ("neutral", "OAF", "F"),  # its F is missing
        "YAF_pleasant_surprised/YAF_food_ps.wav": ("surprise", "YAF", "F"),
        "YAF_sad/YAF_food_sad.wav": ("sadness", "YAF", "F"),
    },
    "urdu": {
        "Angry/SM1_F10_A010.wav": ("anger", "SM1", "M"),
        "Happy/SF12_F1_H01.wav": ("happiness", "SF12", "F"),
        "Sad/SM27_F9_S099.wav": ("sadness", "SM27", "M"),
    },
}
"""Corpus -> path -> label, speaker and sex, None where the names do not say."""

EVALUATION = """% [START_TIME - END_TIME] TURN_NAME EMOTION [V, A, D]

[6.2901 - 8.2357]\tSes01F_impro01_F000\tneu\t[2.5000, 2.5000, 2.5000]
C-E2:\tNeutral;\t()
A-E3:\tval 3; act 2; dom  2;\t()

[10.0100 - 11.3925]\tSes01F_impro01_M001\texc\t[2.5000, 2.5000, 2.5000]
[14.8872 - 18.0175]\tSes01F_impro01_F002\txxx\t[2.5000, 2.5000, 2.5000]
"""


@pytest.fixture
def write(tmp_path):
    """Writes sound files, each another one, and returns their folder."""
    numbers = itertools.count(1)

    def write(*names):
        folder = tmp_path / "corpus"
        for name in names:
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            wave = 0.3 * np.sin(np.arange(1600) * 0.05 * next(numbers))
            soundfile.write(path, wave, 16_000, format={".mp3": "MP3", ".aiff": "AIFF"}.get(path.suffix, "WAV"))
        return folder

    return write


def run(*argv):
    return run_script(manifest.main, manifest.make_parser(), [str(word) for word in argv])


def annotate(folder):
    for session, text in (
        ("Session1", EVALUATION),
        ("Session5", "[1.0 - 2.0]\tSes05M_script01_1b_F014\tfru\t[2.5, 2.5, 2.5]\n"),
    ):
        path = folder / session / "dialog" / "EmoEvaluation" / f"Ses0{session[-1]}F_impro01.txt"
        path.parent.mkdir(parents=True)
        path.write_text(text, encoding="utf-8")


def test_every_naming_has_a_case():
    assert set(CASES) == set(NAMINGS)


@pytest.mark.parametrize("name", CASES)
def test_file_names_give_label_speaker_and_sex(name, write, capsys):
    folder = write(*CASES[name])
    if name == "iemocap":
        annotate(folder)
    assert run(name, folder) == 0
    table = load("manifest", folder / "manifest.csv").utterances.set_index("utterance")
    assert sorted(table.index) == sorted(CASES[name])
    for file, (label, speaker, sex) in CASES[name].items():
        assert table.loc[file, "label"] == label
        assert table.loc[file, "speaker"] == (speaker or "unknown")
        assert sex is None or table.loc[file, "sex"] == sex
    assert ("sex" in table) == (next(iter(CASES[name].values()))[2] is not None)
    assert run_script(check.main, check.make_parser(), ["manifest", str(folder / "manifest.csv")]) == 0


@pytest.mark.parametrize("name", sorted(CASES))
def test_names_of_one_corpus_are_no_other_ones(name, write, capsys):
    others = [file for other, files in CASES.items() if other != name for file in files]
    folder = write(*others)
    if name == "iemocap":
        annotate(folder)
    assert run(name, folder) == 2
    assert "none with such a name" in capsys.readouterr().err


def test_emodb_and_savee_give_what_their_loaders_give(shared_data, tmp_path):
    for module, folder in ((emodb, "EmoDB"), (savee, "SAVEE")):
        if not (shared_data / folder).is_dir():
            pytest.skip(f"no {folder}")
        assert run(module.NAME, shared_data / folder, "--output", tmp_path / f"{folder}.csv") == 0
        rows = []
        for corpus in (load("manifest", tmp_path / f"{folder}.csv"), module.load(shared_data / folder)):
            table = corpus.utterances.assign(file=corpus.utterances["path"].str[-10:])
            rows.append(sorted(map(tuple, table[["file", "speaker", "label", "sex"]].to_numpy())))
        assert rows[0] == rows[1]


def test_esds_own_split_is_taken(write):
    parts = {"train": "train", "evaluation": "validation", "test": "test"}
    folder = write(*(f"0011/Angry/{part}/0011_00035{number}.wav" for number, part in enumerate(parts)))
    assert run("esd", folder) == 0
    table = load("manifest", folder / "manifest.csv").utterances
    assert {path.split("/")[-2]: part for path, part in zip(table["utterance"], table["split"], strict=True)} == parts


def test_a_split_of_some_speakers_alone_is_none_and_said(write, capsys):
    folder = write("0011/Angry/train/0011_000351.wav", "0011/Angry/test/0011_000352.wav", "0012/Angry/0012_000351.wav")
    assert run("esd", folder) == 0
    said = "note: no column split: 1 recording without a part: 0012_000351.wav\n"
    assert said in capsys.readouterr().out
    assert "split" not in load("manifest", folder / "manifest.csv").utterances


def test_of_two_formats_the_lossless_one_is_taken(write, capsys):
    """CREMA-D holds all recordings twice, and they would lie on both sides of a split."""
    folder = write("AudioWAV/1001_DFA_ANG_XX.wav", "AudioMP3/1001_DFA_ANG_XX.mp3", "AudioMP3/1002_DFA_SAD_XX.mp3")
    assert run("crema-d", folder) == 0
    table = load("manifest", folder / "manifest.csv").utterances
    assert list(table["utterance"]) == ["AudioMP3/1002_DFA_SAD_XX.mp3", "AudioWAV/1001_DFA_ANG_XX.wav"]
    said = "note: 1 recording left out, in a lossless format there, too: 1001_DFA_ANG_XX.mp3"
    assert said in capsys.readouterr().out


def test_speakers_with_equal_file_names_are_no_copies(write):
    folder = write("DC/a01.wav", "JE/a01.mp3", "JE/a02.mp3")
    assert run("savee", folder) == 0
    assert len(load("manifest", folder / "manifest.csv").utterances) == 3


def test_the_manifest_is_a_csv_file(write, tmp_path, capsys):
    folder = write("AudioWAV/1001_DFA_ANG_XX.wav")
    assert run("crema-d", folder, "--output", tmp_path / "m.parquet") == 2
    assert "m.parquet; expected a name that ends in .csv" in capsys.readouterr().err
    assert not (tmp_path / "m.parquet").exists()


def test_other_files_are_named_and_counted(write, capsys):
    song = "Actor_01/03-02-01-01-01-01-01.wav"
    folder = write("Actor_01/03-01-01-01-01-01-01.wav", song, "Actor_01/notes.wav")
    assert run("ravdess", folder) == 1
    said = capsys.readouterr().out
    assert "2 files left out" in said and song in said and "notes.wav" in said
    assert len(load("manifest", folder / "manifest.csv").utterances) == 1


def test_files_of_telephones_are_not_left_out_without_a_word(write, capsys):
    folder = write("Actor_01/03-01-01-01-01-01-01.wav")
    for name in ("03-01-02-01-01-01-02.m4a", "memo.webm"):
        (folder / "Actor_01" / name).write_bytes(b"found by its name")
    assert run("ravdess", folder) == 1
    assert "1 file left out, not named as Actor_12/03-01-06-01-02-01-12.wav: Actor_01/memo.webm" in capsys.readouterr().out
    assert "Actor_01/03-01-02-01-01-01-02.m4a,calm,02,F" in (folder / "manifest.csv").read_text()


def test_recordings_without_agreement_are_named_and_counted(write, capsys):
    folder = write(*CASES["iemocap"], "Session1/sentences/wav/Ses01F_impro01/Ses01F_impro01_F002.wav")
    annotate(folder)
    assert run("iemocap", folder) == 0
    assert "1 recording left out, labelled xxx: Ses01F_impro01_F002" in capsys.readouterr().out


def test_iemocap_is_found_in_any_depth_and_its_whole_dialogues_are_no_utterances(write, capsys):
    others = ("dialog/wav/Ses01F_impro01.wav", "dialog/avi/DivX/Ses01F_impro01.mp4", "sentences/wav/Ses01F_impro01/notes.wav")
    root = "unpacked/IEMOCAP_full_release/"
    folder = write(*(root + name for name in CASES["iemocap"]), *(f"{root}Session1/{name}" for name in others[::2]))
    path = folder / root / "Session1" / others[1]
    path.parent.mkdir(parents=True)
    path.write_bytes(b"found by its name")
    annotate(folder / root)
    assert run("iemocap", folder) == 1
    assert "note: 1 file left out, not named as" in (said := capsys.readouterr().out) and "F_impro01/notes.wav" in said
    assert len(load("manifest", folder / "manifest.csv").utterances) == len(CASES["iemocap"])


def test_recordings_without_an_annotation_are_missing_something(write, capsys):
    """Not one that its raters did not agree on: the file with the labels is not there."""
    folder = write(*CASES["iemocap"], "Session1/sentences/wav/Ses01F_impro09/Ses01F_impro09_F000.wav")
    annotate(folder)
    assert run("iemocap", folder) == 1
    assert "1 recording left out, whose label is in no file of annotations: Ses01F_impro09_F000" in capsys.readouterr().out


def test_one_speaker_has_one_name(write):
    folder = write("OAF_back_angry.wav", "oaf_bar_fear.wav")
    assert run("tess", folder) == 0
    assert set(load("manifest", folder / "manifest.csv").utterances["speaker"]) == {"OAF"}


def test_a_manifest_that_cannot_be_used_is_not_left_behind(write, monkeypatch):
    folder = write("OAF_back_angry.wav")

    def refuse(*_):
        raise InputError("not usable")

    monkeypatch.setattr(manifest, "load", refuse)
    assert run("tess", folder) == 2
    assert not (folder / "manifest.csv").exists()


def test_iemocap_without_its_annotations_is_refused(write, capsys):
    folder = write(*CASES["iemocap"])
    assert run("iemocap", folder) == 2
    assert "expected the labels of IEMOCAP" in capsys.readouterr().err
    assert not (folder / "manifest.csv").exists()


@pytest.mark.skipif(sys.platform != "linux", reason="other systems refuse such names themselves")
def test_names_that_are_not_utf8_are_refused(write, capsys):
    folder = write("cafe/YAF_back_angry.wav")
    (folder / "cafe").rename(folder / os.fsdecode(b"caf\xe9"))
    assert run("tess", folder) == 2
    assert "1 name in another encoding; expected names in UTF-8" in capsys.readouterr().err
    assert not (folder / "manifest.csv").exists()


def test_a_manifest_of_ones_own_is_kept(write, capsys):
    folder = write(*CASES["tess"])
    assert run("tess", folder) == 0 == run("tess", folder)
    own = "file,label\n"
    (folder / "manifest.csv").write_text(own)
    assert run("tess", folder) == 2
    assert "another file there" in capsys.readouterr().err
    assert (folder / "manifest.csv").read_text() == own


def test_paths_are_relative_to_a_folder_behind_a_link(write, tmp_path, capsys):
    folder = write(*CASES["tess"])
    (tmp_path / "elsewhere" / "deep").mkdir(parents=True)
    (tmp_path / "link").symlink_to(tmp_path / "elsewhere" / "deep")
    path = tmp_path / "link" / "my tess.csv"
    assert run("tess", folder, "--output", path) == 0
    assert f"check manifest '{path}'\n" in capsys.readouterr().out  # which can be pasted
    assert len(load("manifest", path).utterances) == 4


@pytest.mark.parametrize("content", [None, "notes.txt"])
def test_a_folder_without_sound_is_refused(content, tmp_path, capsys):
    if content:
        (tmp_path / content).write_text("nothing")
    assert run("tess", tmp_path) == 2
    assert "TESS" in capsys.readouterr().err
