"""The loaders: miniature corpora in the real layouts, the real ones where they are, and what users get wrong."""

from __future__ import annotations

import csv
import os
import re
import shutil
import sys
import time
from collections import Counter
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import soundfile
from hypothesis import assume, given
from hypothesis import strategies as st
from synthetic_corpora import write_omg, write_savee

from began.audio import hash_sound, read_audio
from began.errors import InputError
from began.media_fragments import name_part
from began.sound_hashes import SoundHashes
from experiments import check
from experiments.corpora import CORPORA, emodb, load, manifest_file, omg, open_corpus, savee, synthetic, unlabelled
from experiments.corpora.duplicates import read_sounds
from experiments.corpora.folders import check_audio, find_files, printable, read_each, read_table
from experiments.corpora.record import RESERVED_LABELS, build_corpus


@pytest.fixture(scope="module")
def corpora(tmp_path_factory):
    """A folder with a miniature of every corpus; tests copy what they damage."""
    folder = tmp_path_factory.mktemp("corpora")
    synthetic.write_librispeech(folder / "LibriSpeech", n_speakers=3, n_utterances=2, seconds=0.3)
    synthetic.write_emodb(folder / "EmoDB", speakers=2, n_texts=1, seconds=0.3)
    write_savee(folder / "SAVEE", n_per_emotion=2, seconds=0.2, sample_rate=16000)
    write_savee(folder / "SAVEE_flat", "flat", n_per_emotion=2, seconds=0.2, sample_rate=16000)
    write_omg(folder / "OMG", (2, 2, 1), n_utterances=3, seconds=0.2)
    return folder


@pytest.fixture
def copy(corpora, tmp_path):
    def copy_corpus(name):
        return Path(shutil.copytree(corpora / name, tmp_path / name))

    return copy_corpus


def touch(folder: Path, *names: str) -> Path:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
    return folder


# ---------------------------------------------------------------------------------------------------- real corpora


def test_emodb_has_the_published_counts(shared_data):
    corpus = load("emodb", shared_data / "EmoDB")
    table = corpus.utterances
    assert len(table) == 535
    assert table["speaker"].nunique() == 10
    counts = {"anger": 127, "boredom": 81, "disgust": 46, "fear": 69, "happiness": 71, "neutral": 79, "sadness": 62}
    assert table["label"].value_counts().to_dict() == counts
    assert tuple(table["utterance"]) == emodb.list_published()
    assert corpus.notes == ()
    assert corpus.labels == tuple(sorted(table["label"].unique()))
    assert load("emodb", shared_data / "EmoDB" / "wav").utterances.equals(table)
    check_audio(corpus)


def test_librispeech_takes_the_speaker_from_the_file_name(shared_data):
    corpus = load("librispeech", shared_data / "LibriSpeech")
    table = corpus.utterances
    assert len(table) == 765
    # All 251 speakers of train-clean-100. Its folders were renamed: 246 carry a speaker's number, and one, not a
    # number, holds utterances of others; by the folder those would have become one more speaker.
    assert table["speaker"].nunique() == 251
    folders = {Path(path).parent.parent.name for path in table["path"]}
    assert len([folder for folder in folders if folder[0].isdigit()]) == 246
    assert table.groupby("speaker")["sex"].first().value_counts().to_dict() == {"M": 126, "F": 125}
    assert set(table["split"]) == {"train"}
    assert set(table["subset"]) == {"train-clean-100"}
    assert load("librispeech", shared_data / "LibriSpeech" / "train-clean-100").utterances.equals(table)
    check_audio(corpus)


def test_omg_annotations_are_the_official_ones(shared_data):
    rows = omg.read_annotations(shared_data / "OMG")
    assert Counter(row["split"] for row in rows) == omg.PUBLISHED
    videos = {split: {row["video"] for row in rows if row["split"] == split} for split in omg.FILES}
    assert len(videos["validation"]) == 46
    assert len(videos["validation"] & videos["train"]) == 23
    assert {row["label"] for row in rows if row["split"] != "test"} == set(omg.LABELS)
    assert {row["label"] for row in rows if row["split"] == "test"} == {None}


def test_omg_loads_with_the_official_annotations_elsewhere(shared_data, tmp_path):
    touch(tmp_path, "5b44393ed/utterance_4.wav", "5b44393ed/utterance_6.mp4.wav", "74de88564-utterance_1.wav")
    corpus = load("omg", tmp_path, annotations_dir=shared_data / "OMG")
    assert list(corpus.utterances["utterance"]) == ["5b44393ed/utterance_4", "5b44393ed/utterance_6", "74de88564/utterance_1"]
    assert list(corpus.utterances["label"]) == ["neutral", "happiness", "neutral"]
    assert list(corpus.utterances["split"]) == ["train", "train", "validation"]
    assert list(corpus.utterances["video"]) == ["CROcsl0lIec", "CROcsl0lIec", "xfsvvbTlR38"]
    assert len(corpus.missing) == 5288 - 3


# ------------------------------------------------------------------------------------------------- what they return


def test_every_corpus_returns_the_same_kind_of_table(corpora):
    for name, folder in (("librispeech", "LibriSpeech"), ("emodb", "EmoDB"), ("savee", "SAVEE"), ("omg", "OMG")):
        corpus = load(name, corpora / folder)
        table = corpus.utterances
        assert table["utterance"].is_unique
        assert table["utterance"].is_monotonic_increasing
        assert all(Path(path).is_file() for path in table["path"])
        assert all(isinstance(speaker, str) and speaker for speaker in table["speaker"])
        assert corpus.labels == tuple(sorted(corpus.labels))
        if corpus.labels:
            assert set(table["label"]) <= set(corpus.labels)
        assert table.equals(load(name, corpora / folder).utterances)
        assert corpus.describe().startswith(f"{name}: {len(table)} utterances")
        module = CORPORA[name]
        for constant in ("DESCRIPTION", "CITATION", "LICENCE", "HOW_TO_OBTAIN", "LAYOUT"):
            assert getattr(module, constant)
        read_each(corpus, hash_sound)


def read_files(utterances: pd.DataFrame) -> list[bytes]:
    """Returns what lies in the file of each utterance: a name with the wrong file would be a wrong label."""
    contents = [Path(path).read_bytes() for path in utterances["path"]]
    assert len(set(contents)) == len(contents)
    return contents


def test_savee_loads_the_same_from_both_layouts(corpora):
    nested = load("savee", corpora / "SAVEE").utterances
    flat = load("savee", corpora / "SAVEE_flat").utterances
    assert len(nested) == 4 * (6 * 2 + 4)
    assert nested.drop(columns="path").equals(flat.drop(columns="path"))
    assert read_files(nested) == read_files(flat)
    assert nested.equals(load("savee", corpora / "SAVEE" / "AudioData").utterances)
    assert nested.groupby("speaker")["label"].value_counts().loc["DC"].to_dict() == {
        label: 4 if label == "neutral" else 2 for label in savee.LABELS
    }


def test_savee_publishes_480_utterances():
    published = savee.list_published()
    assert len(published) == len(set(published)) == 480
    assert sum(name.startswith("KL_n") for name in published) == 30


@pytest.mark.parametrize("layout", ["nested", "mp4", "flat", "deep"])
def test_omg_loads_the_same_from_all_layouts(corpora, tmp_path, layout):
    write_omg(tmp_path / layout, (2, 2, 1), n_utterances=3, seconds=0.2, layout=layout)
    table, nested = load("omg", tmp_path / layout).utterances, load("omg", corpora / "OMG").utterances
    assert table.drop(columns="path").equals(nested.drop(columns="path"))
    assert read_files(table) == read_files(nested)


def test_omg_takes_names_that_end_in_blanks(corpora, copy):
    folder = copy("OMG")
    for path in [*folder.rglob("utterance_2.wav")]:
        path.rename(path.with_name("utterance_2.mp4 .wav"))
    for path in [*folder.rglob("utterance_3.wav")]:
        (path.parent / "audio" / "utterance_3.mp4 ").mkdir(parents=True)
        path.rename(path.parent / "audio" / "utterance_3.mp4 " / "audio.wav")
    names = list(load("omg", folder).utterances["utterance"])
    assert names == list(load("omg", corpora / "OMG").utterances["utterance"])


def test_omg_counts_what_overlaps_and_what_parts_share(shared_data, copy, capsys):
    lines = omg.describe_neighbours(omg.read_annotations(shared_data / "OMG"))
    assert "(pairs): train 845, validation 236, test" in lines[0]
    assert "train and validation 23, train and test 29, validation and test 18;" in lines[1]
    folder = copy("OMG")
    assert run_check("omg", folder) == 1  # a miniature
    assert "\n- videos lie in two parts: train and validation 1; source_disjoint" in capsys.readouterr().out


def test_omg_finds_audio_below_folders_of_the_splits(corpora, copy):
    folder = copy("OMG")
    (folder / "Train").mkdir()
    for path in [path for path in folder.iterdir() if path.is_dir() and path.name != "Train"]:
        path.rename(folder / "Train" / path.name)
    assert len(load("omg", folder).utterances) == len(load("omg", corpora / "OMG").utterances)


def test_omg_lists_what_is_missing_and_drops_nothing_silently(copy):
    folder = copy("OMG")
    whole = load("omg", folder)
    assert len(whole.missing) == 0
    removed = [whole.utterances["path"][0], whole.utterances["path"][4]]
    for path in removed:
        Path(path).unlink()
    corpus = load("omg", folder)
    assert sorted(corpus.missing["utterance"]) == [whole.utterances["utterance"][0], whole.utterances["utterance"][4]]
    assert len(corpus.utterances) + len(corpus.missing) == len(whole.utterances)
    assert "2 without audio" in corpus.describe()
    assert any("2 of 15 utterances have no audio" in note for note in corpus.notes)


def test_omg_test_part_has_no_labels_until_its_labels_are_there(copy):
    folder = copy("OMG")
    assert set(load("omg", folder).utterances["split"]) == {"train", "validation"}
    assert any("3 test utterances left out, without labels" in note for note in load("omg", folder).notes)
    with_test = load("omg", folder, unlabelled=True).utterances
    assert with_test.loc[with_test["split"] == "test", "label"].isna().all()
    assert with_test.loc[with_test["split"] == "test", "arousal"].isna().all()
    lines = (folder / omg.FILES["test"]).read_text().splitlines()
    (folder / omg.TEST_WITH_LABELS).write_text(
        "\n".join([",".join(omg.COLUMNS), *(f"{line},0.5,-0.5,6" for line in lines[1:])])
    )
    labelled = load("omg", folder).utterances
    assert set(labelled.loc[labelled["split"] == "test", "label"]) == {"surprise"}


def test_omg_notes_sound_that_no_annotation_names(copy):
    folder = touch(copy("OMG"), "other/utterance_1.wav")
    assert any("1 sound file named in no annotation: other/utterance_1.wav" in note for note in load("omg", folder).notes)


def test_librispeech_subsets_and_splits(copy):
    folder = touch(copy("LibriSpeech"), "dev-clean/5/7/5-7-0000.flac")
    table = load("librispeech", folder).utterances
    assert table["split"].value_counts().to_dict() == {"train": 6, "validation": 1}
    only = load("librispeech", folder, subsets=["dev-clean"]).utterances
    assert list(only["utterance"]) == ["5-7-0000"]
    assert list(only["sex"]) == [""]  # not in SPEAKERS.TXT
    with pytest.raises(InputError, match="the subsets dev-clean, train-clean-100; expected the subsets test-clean"):
        load("librispeech", folder, subsets=["test-clean"])


def test_hidden_files_of_macos_are_no_utterances(copy):
    folder = touch(copy("EmoDB"), "wav/._03a01Fa.wav", "wav/.DS_Store")
    assert len(load("emodb", folder).utterances) == 14


# ----------------------------------------------------------------------------------------------- what users get wrong


def test_names_of_a_corpus_reach_no_terminal_as_they_are():
    row = {"utterance": "a", "path": "a.wav", "speaker": "\x1b]0;", "label": "\x1b[2J"}
    corpus = build_corpus("own", [row], ["\x1b[2J"], notes=["1 surplus file: \x9b2J\n"])
    assert "\x1b" not in corpus.describe()
    assert corpus.notes == (r"1 surplus file: \x9b2J\n",)
    for error in (InputError.about("\x1b", "\x1b", "\x1b", "\x1b"), InputError.listing("\x1b", ["\x1b"])):
        assert "\x1b" not in str(error)


def test_two_levels_down(corpora):
    with pytest.raises(InputError, match="Give .*, where it lies"):
        load("librispeech", corpora / "LibriSpeech/train-clean-100/19/1000")


@pytest.mark.parametrize(
    "names",
    [
        ("2024-05-01.wav", "2024-05-02.wav", "interview.wav"),
        ("anna/s1/2024-05-01.wav", "anna/s1/2024-05-02.wav", "ben/talk one.wav"),
        ("2024/05/2024-05-01.wav", "2024/05/interview.wav"),
        ("anna/s1/01-05-2024.wav", "interview.wav"),
    ],
)
def test_recordings_named_by_their_date_are_not_librispeech(tmp_path, names):
    touch(tmp_path / "a" / "b", *names)
    assert sorted(unlabelled.load(tmp_path / "a" / "b").utterances["utterance"]) == sorted(names)
    touch(tmp_path / "a" / "b" / "other", "notes.txt")
    with pytest.raises(InputError, match=r"found notes\.txt; expected LibriSpeech: .* Check the path\."):
        unlabelled.load(tmp_path / "a" / "b" / "other")


@pytest.mark.parametrize("given", [".", "train-clean-100", "renamed"])
def test_librispeech_is_known_by_its_folders(copy, given):
    (folder := copy("LibriSpeech")).joinpath("renamed").symlink_to("train-clean-100")
    corpus = unlabelled.load(folder / given)
    assert corpus.name == "librispeech" and corpus.utterances["speaker"].nunique() == 3


@pytest.mark.parametrize("part", ["19", "19/1000", ".."])
def test_a_part_of_librispeech_is_told_where_it_lies_and_why(copy, part):
    folder = copy("LibriSpeech") / "train-clean-100"
    reason, hint = r"taken for LibriSpeech because of .*19-1000-0000\.flac", "Give .*, where it lies"
    with pytest.raises(InputError, match=f"{reason}.*: found .*{hint}"):
        unlabelled.load(folder / part if part != ".." else folder.parent.parent)
    touch(folder, "20/1000/talk.wav")
    with pytest.raises(InputError, match=rf"(?s){reason}.*files that LibriSpeech does not have \(1\)"):
        unlabelled.load(folder)


def test_of_a_table_without_labels_only_the_file_is_asked_for(tmp_path):
    (tmp_path / "a.csv").write_text("name,take\n1,2\n", encoding="utf-8")
    with pytest.raises(InputError, match=r"a\.csv: found .*expected a CSV file: file\[,start\]\[,end\], one row") as error:
        unlabelled.load(tmp_path / "a.csv")
    assert "label" not in str(error.value).partition("expected")[2]


def test_corpus_names(corpora):
    with pytest.raises(InputError, match="found 'ravdess'; expected one of librispeech, savee, omg, emodb, manifest"):
        load("ravdess", corpora)
    assert len(CORPORA) == len(list(CORPORA)) == 5


def test_all_malformed_names_are_listed_at_once(copy):
    folder = touch(copy("EmoDB"), "wav/03a01Xa.wav", "wav/99a01Fa.wav", "wav/notes.wav")
    with pytest.raises(InputError) as error:
        load("emodb", folder)
    assert "(3):" in str(error.value)
    assert all(name in str(error.value) for name in ("03a01Xa.wav", "99a01Fa.wav", "notes.wav"))
    folder = touch(copy("SAVEE"), "AudioData/DC/x01.wav", "AudioData/XX/a01.wav", "AudioData/DC_a01.wav")
    with pytest.raises(InputError, match=r"\(2\):"):
        load("savee", folder)
    folder = touch(copy("LibriSpeech"), "train-clean-100/19/1000/19-1000.flac", "train-clean-100/x.flac")
    with pytest.raises(InputError, match=r"\(2\):"):
        load("librispeech", folder)


def test_duplicates_are_listed(copy):
    folder = touch(copy("SAVEE"), "AudioData/DC_a01.wav", "AudioData/JE_n01.wav")
    with pytest.raises(InputError, match=r"(?s)more than once \(2\):.*DC_a01 has 2 files.*JE_n01 has 2 files"):
        load("savee", folder)
    folder = copy("EmoDB")
    touch(folder, "wav/03a01Fa.WAV")
    with pytest.raises(InputError, match="03a01Fa has 2 files"):
        load("emodb", folder)
    folder = touch(copy("LibriSpeech"), "train-clean-100/20/1000/19-1000-0000.flac")
    with pytest.raises(InputError, match="19-1000-0000 has 2 files"):
        load("librispeech", folder)
    folder = copy("OMG")
    clip = load("omg", folder).utterances["clip"][0]
    touch(folder, f"{clip}-utterance_1.wav", f"{clip}/utterance_2.mp4.wav")
    with pytest.raises(InputError, match=r"more than once \(2\):"):
        load("omg", folder)


def test_a_part_of_a_corpus_loads_and_says_so(copy, capsys):
    corpus = load("emodb", copy("EmoDB"))
    assert any("of the 535 published utterances are not there: 03a01Nc" in note for note in corpus.notes)
    assert any("not among the 535 published ones" in note for note in corpus.notes)
    assert corpus.n_unpublished > 500
    open_corpus("emodb", corpus.utterances["path"].map(lambda path: Path(path).parent)[0])
    assert "note: " + corpus.notes[0] in capsys.readouterr().out
    corpus = load("savee", copy("SAVEE"))
    assert any("416 of the 480 published utterances are not there" in note for note in corpus.notes)
    assert load("librispeech", copy("LibriSpeech")).notes == (
        "train-clean-100: 6 utterances of 3 speakers, published 28539 of 251",
    )


def test_sound_beside_librispeech_is_left_out_with_a_note(copy):
    """A recording of a telephone, and a subset that lies too deep, were left out of the pre-training without a word."""
    own = ("train-clean-100/19/1000/19-1000-0009.mp3", "train-clean-100/a/b/c/d/e/19-1000-0008.flac")
    folder = touch(copy("LibriSpeech"), *own, "more/x.m4a")
    note = load("librispeech", folder).notes[-1]
    assert note == f"3 sound files left out, not a subset's FLAC or WAV files: more/x.m4a, {own[0]}, {own[1]}"
    assert "2 sound files left out" in load("librispeech", folder, subsets=["train-clean-100"]).notes[-1]


def test_unreadable_folder(copy, monkeypatch):
    folder = copy("EmoDB")
    scan = os.scandir

    def refuse(path):  # chmod would not do: the superuser may read every folder
        if Path(path).name == "wav":
            raise PermissionError(13, "Permission denied", str(path))
        return scan(path)

    monkeypatch.setattr(os, "scandir", refuse)
    with pytest.raises(InputError, match="wav: found a folder that cannot be read .Permission denied"):
        load("emodb", folder)


@pytest.mark.skipif(sys.platform != "linux", reason="other systems refuse such names themselves")
def test_names_that_are_not_utf8_are_reported_readably(copy):
    folder = copy("EmoDB")
    (folder / "wav" / os.fsdecode(b"03a01\xff.wav")).touch()
    with pytest.raises(InputError, match=r"03a01\\udcff\.wav"):
        load("emodb", folder)
    renamed = folder.rename(folder.parent / os.fsdecode(b"emo\xffdb"))
    (renamed / "wav" / os.fsdecode(b"03a01\xff.wav")).unlink()
    corpus = load("emodb", renamed)
    check_audio(corpus)
    assert printable(corpus.utterances["path"][0]).isascii()


def test_loops_of_links_end(copy):
    folder = copy("OMG")
    before = load("omg", folder).utterances
    (folder / "loop").symlink_to(folder, target_is_directory=True)
    pd.testing.assert_frame_equal(load("omg", folder).utterances, before)
    assert find_files(folder, [".nothing"]) == []


# ------------------------------------------------------------------------------------------------------- sound files


def test_every_bad_sound_file_is_listed_at_once(copy):
    folder = copy("EmoDB")
    corpus = load("emodb", folder)
    paths = [Path(path) for path in corpus.utterances["path"]]
    waveform, rate = soundfile.read(paths[0])
    paths[0].write_bytes(b"")
    paths[1].write_bytes(paths[1].read_bytes()[:1000])
    paths[2].write_text("this is text that was renamed to .wav, long enough for a header\n" * 10)
    soundfile.write(paths[3], np.zeros(0), rate)
    soundfile.write(paths[4], np.where(np.arange(len(waveform)) == 7, np.nan, waveform), rate, subtype="FLOAT")
    paths[5].unlink()
    paths[6].unlink()
    paths[6].mkdir()
    soundfile.write(paths[7], waveform, 1000)
    soundfile.write(paths[8], np.zeros(len(waveform)), rate)
    soundfile.write(paths[9], np.full(len(waveform), 0.3), rate)
    content = paths[10].read_bytes()
    paths[10].write_bytes(content[:40] + (len(content) // 4).to_bytes(4, "little") + content[44:])
    with pytest.raises(InputError) as error:
        check_audio(corpus)
    message = str(error.value)
    assert "(11):" in message
    assert all(path.name in message for path in paths[:11])
    assert not any(path.name in message for path in paths[11:])
    assert message.count("found silence") == 2 and "not brought up to date" in message
    with pytest.raises(InputError) as decoded:
        read_each(corpus, hash_sound)
    assert str(decoded.value) == message


def test_truncated_flac_is_found_without_decoding_it(copy):
    corpus = load("librispeech", copy("LibriSpeech"))
    path = Path(corpus.utterances["path"][2])
    path.write_bytes(path.read_bytes()[:-3000])
    with pytest.raises(InputError, match=r"\(1\):"):
        check_audio(corpus)


def test_unusual_but_sound_files_pass(copy):
    corpus = load("emodb", copy("EmoDB"))
    waveform, rate = soundfile.read(corpus.utterances["path"][0])
    tasks = [(8000, 1, "PCM_16"), (192000, 2, "PCM_24"), (44100, 6, "FLOAT"), (16000, 1, "PCM_U8"), (48000, 1, "ULAW")]
    for path, (rate, channels, subtype) in zip(corpus.utterances["path"], tasks, strict=False):
        soundfile.write(path, np.repeat(waveform[:, np.newaxis], channels, axis=1), rate, subtype=subtype)
    check_audio(corpus)
    read_each(corpus, hash_sound)


# ---------------------------------------------------------------------------------------------------- OMG's CSV files


def edit_line(path: Path, line: int, **cells: str) -> None:
    with open(path, newline="") as file:
        rows = list(csv.reader(file))
    for column, cell in cells.items():
        rows[line - 1][rows[0].index(column)] = cell
    with open(path, "w", newline="") as file:
        csv.writer(file).writerows(rows)


@pytest.mark.parametrize(
    ("cells", "message"),
    [
        ({"arousal": "1.01"}, "line 3: arousal is 1.01; expected 0 to 1"),
        ({"arousal": "much"}, "line 3: arousal is 'much'; expected a number"),
        ({"arousal": "nan"}, "line 3: arousal is 'nan'; expected a number"),
        ({"valence": "-1.5"}, "line 3: valence is -1.5; expected -1 to 1"),
        ({"valence": ""}, "line 3: valence is ''; expected a number"),
        ({"arousal": "0,5"}, "line 3: arousal is '0,5'; expected a number; write decimals with a point"),
        ({"EmotionMaxVote": "7"}, "line 3: EmotionMaxVote is 7; expected 0 to 6"),
        ({"EmotionMaxVote": "1.5"}, "line 3: EmotionMaxVote is 1.5; expected a whole number"),
        ({"EmotionMaxVote": "happy"}, "line 3: EmotionMaxVote is 'happy'; expected a number"),
        ({"start": "soon"}, "line 3: start is 'soon'; expected a number"),
        ({"start": "-1"}, "line 3: start is -1; expected 0 to"),
        ({"start": "99999"}, "expected more than start, 99999"),
        ({"utterance": "utterance_2.mp3"}, "line 3: utterance is 'utterance_2.mp3'; expected utterance_N.mp4"),
        ({"video": "../../etc"}, "line 3: video is '../../etc'; expected letters"),
        ({"video": ""}, "line 3: video is ''; expected letters"),
        ({"link": "https://[y/"}, "line 3: link is 'https://[y/'; expected https"),
        ({"utterance": "utterance_1.mp4"}, "utterance_1 is already in omg_TrainVideos.csv line 2"),
    ],
)
def test_faulty_annotations(copy, cells, message):
    folder = copy("OMG")
    edit_line(folder / "omg_TrainVideos.csv", 3, **cells)
    edit_line(folder / "omg_ValidationVideos.csv", 2, valence="2")
    with pytest.raises(InputError) as error:
        load("omg", folder)
    assert message in str(error.value)
    assert "omg_ValidationVideos.csv line 2: valence is 2" in str(error.value)  # all of them, not the first only
    assert "(2):" in str(error.value)


def test_annotations_that_are_no_tables(copy):
    folder = copy("OMG")
    train = folder / "omg_TrainVideos.csv"
    text = train.read_text()
    for content, message in (
        ("", "an empty file"),
        (text.splitlines()[0], "a header without rows"),
        (text.replace("arousal", "excitement", 1), "Add arousal"),
        (text.replace(",", ";"), "Separate the columns by commas instead of ';'"),
        (text.replace("valence", "arousal", 1), "Add valence"),
        (text.replace("link,start", "link,link,start", 1), "more than one column link"),
        (text.replace("\n", "\nx,y\n", 1), "line 2: 2 cells"),
        (text + '"unclosed', "not CSV"),
        (text + "\0", "null characters"),
    ):
        train.write_text(content)
        with pytest.raises(InputError, match="omg_TrainVideos.csv") as error:
            load("omg", folder)
        assert message in str(error.value)
    train.write_bytes(text.encode("utf-16"))
    with pytest.raises(InputError, match="found UTF-16 text, .* Save it as UTF-8 CSV"):
        load("omg", folder)
    train.write_bytes(b"\xef\xbb\xbf" + text.replace("\n", "\r\n").encode())  # as spreadsheets save it
    assert len(load("omg", folder).missing) == 0
    train.unlink()
    with pytest.raises(InputError, match="omg_TrainVideos.csv: found no such file"):
        load("omg", folder)


def test_omg_without_audio_says_how_to_get_it(copy):
    folder = copy("OMG")
    for path in folder.glob("*/*.wav"):
        path.rename(path.with_suffix(".mp4"))
    with pytest.raises(InputError, match="no sound file of the 15 utterances, but 15 video files.*prepare_omg"):
        load("omg", folder)


# ---------------------------------------------------------------------------------------------------------- manifests


@pytest.fixture
def recordings(tmp_path):
    """Writes my.csv beside a.wav … d.wav and loads it."""
    touch(tmp_path, "a.wav", "b.wav", "sub/c.flac", "d.wav")

    def load_manifest(text: str):
        (tmp_path / "my.csv").write_text(text)
        return load("manifest", tmp_path / "my.csv")

    return load_manifest


def test_manifest_with_labels(recordings, tmp_path):
    corpus = recordings("file,label,speaker,split\nb.wav,sad,ann,train\na.wav,glad,bob,dev\nsub/c.flac,sad,bob,test\n")
    assert corpus.name == "my"
    assert corpus.labels == ("glad", "sad")
    assert list(corpus.utterances["utterance"]) == ["a.wav", "b.wav", "sub/c.flac"]
    assert list(corpus.utterances["split"]) == ["validation", "train", "test"]
    assert list(corpus.utterances["speaker"]) == ["bob", "ann", "bob"]
    assert corpus.utterances["path"][2] == str(tmp_path / "sub" / "c.flac")
    assert corpus.notes == ()


def test_manifest_with_dimensions_and_without_speakers(recordings, tmp_path):
    corpus = recordings(f"file,arousal,valence\n{tmp_path / 'a.wav'},0.5,-1\nb.wav,1,0.25\n")
    assert corpus.labels == ()
    assert sorted(corpus.utterances["valence"]) == [-1, 0.25]
    assert set(corpus.utterances["speaker"]) == {"unknown"}
    assert "label" not in corpus.utterances
    assert "split" not in corpus.utterances
    assert corpus.describe() == "my: 2 utterances; speakers unknown"


@pytest.mark.parametrize("column", ["speaker_id", "SpkrID", "spkr_id", "Speaker ID", "actor"])
def test_other_names_of_the_column_speaker(recordings, column):
    corpus = recordings(f"file,label,{column}\na.wav,x,ann\nb.wav,y,Unknown\n")
    assert list(corpus.utterances["speaker"]) == ["ann", "unknown"]
    assert corpus.notes == (f"the column {column} is taken for speaker",)
    assert corpus.describe() == "my: 2 utterances; 1 speaker and 1 utterance of unknown speakers; x 1, y 1"
    corpus = recordings(f"file,label,{column},speaker\na.wav,x,1,ann\nb.wav,y,2,bob\n")
    assert list(corpus.utterances["speaker"]) == ["ann", "bob"]
    assert corpus.notes == (f"columns that are not used: {column}",)


@pytest.mark.parametrize("name", ["unk", "UNK", "nan", "N/A"])
def test_speakers_that_programs_call_unknown(recordings, name):
    corpus = recordings(f"file,label,speaker\na.wav,x,ann\nb.wav,unk,{name}\n")
    assert list(corpus.utterances["speaker"]) == ["ann", "unknown"]
    assert corpus.notes == (f"1 recording of the speaker {name}: taken for unknown",)


def test_manifest_takes_the_columns_of_msp_podcast(recordings):
    header = "FileName,EmoClass,EmoAct,EmoVal,EmoDom,SpkrID,Gender,Split_Set"
    corpus = recordings(f"{header}\na.wav,A,3.2,4.4,5.0,127,Male,Train\nb.wav,H,5.2,5.8,5.0,Unknown,Female,Test1\n")
    assert list(corpus.utterances["label"]) == ["A", "H"] and list(corpus.utterances["speaker"]) == ["127", "unknown"]
    taken = ("the column EmoClass is taken for label", "the column SpkrID is taken for speaker")
    assert corpus.notes == (*taken, "columns that are not used: EmoAct, EmoVal, EmoDom, Split_Set")
    corpus = recordings("file,EmoClass,label\na.wav,A,anger\nb.wav,H,joy\n")
    assert corpus.labels == ("anger", "joy") and corpus.notes == ("columns that are not used: EmoClass",)
    corpus = recordings("file,arousal,valence,EmoClass\na.wav,0.5,-0.1,X\nb.wav,0.2,0.1,\n")
    assert corpus.labels == () and corpus.notes == ("columns that are not used: EmoClass",)


def test_a_manifest_without_labels_takes_none_from_another_column(tmp_path):
    soundfile.write(tmp_path / "a.wav", np.full(8_000, 0.1), 16_000)
    (tmp_path / "my.csv").write_text("file,EmoClass\na.wav,\n", encoding="utf-8")
    assert manifest_file.load(tmp_path / "my.csv", unlabelled=True).notes == ("columns that are not used: EmoClass",)


def test_manifest_takes_the_columns_of_audformat_tables(recordings):
    corpus = recordings(
        "file,start,end,emotion,gender,duration\na.wav,0 days 00:00:00,NaT,anger,female,1\nb.wav,0 days,,joy,male,2\n"
    )
    assert corpus.labels == ("anger", "joy")
    assert list(corpus.utterances["sex"]) == ["F", "M"]
    assert corpus.notes == ("columns that are not used: duration",)


def test_a_manifest_says_what_it_does_not_use(recordings):
    """One dimension alone is not learned, nor checked; and words for a sex that are not known."""
    corpus = recordings("file,label,arousal,gender\na.wav,x,4.2,woman\nb.wav,y,1,F\n")
    assert list(corpus.utterances["sex"]) == ["", "F"] and "arousal" not in corpus.utterances
    assert corpus.notes == (
        "columns that are not used: arousal",
        "values of sex other than f, female, m, male are not used: woman",
    )


@pytest.mark.extras
@pytest.mark.parametrize("form", ["csv", "parquet"])
def test_manifest_takes_tables_that_audformat_saves(tmp_path, form):
    audformat = pytest.importorskip("audformat")
    for name in ("a.wav", "b.wav"):
        soundfile.write(tmp_path / name, np.random.default_rng(ord(name[0])).uniform(-0.1, 0.1, 32_000), 16_000)
    database = audformat.Database("mine")
    schemes = {"emotion": audformat.Scheme(labels=["anger", "joy"]), "speaker": audformat.Scheme("str")}
    database.schemes.update(schemes | {"arousal": audformat.Scheme("float"), "valence": audformat.Scheme("float")})
    segments = audformat.segmented_index(["a.wav", "a.wav", "b.wav"], ["0s", "1.25s", "0s"], ["1s", "2s", pd.NaT])
    values = {"emotion": ["anger", "joy", "joy"], "speaker": ["007", "8", "007"]}
    files = {"arousal": [0.25, 1.0], "valence": [-1.0, 0.5]}
    for table, index, columns in (
        ("segments", segments, values),
        ("files", audformat.filewise_index(["a.wav", "b.wav"]), files),
    ):
        database[table] = audformat.Table(index)
        for column, cells in columns.items():
            database[table][column] = audformat.Column(scheme_id=column)
            database[table][column].set(cells)
    database.save(tmp_path, storage_format=form)
    corpus = load("manifest", tmp_path / f"db.segments.{form}")
    assert list(corpus.utterances["utterance"]) == ["a.wav#t=0.0,1.0", "a.wav#t=1.25,2.0", "b.wav"]
    assert list(corpus.utterances["label"]) == ["anger", "joy", "joy"]
    assert list(corpus.utterances["speaker"]) == ["007", "8", "007"]
    table = load("manifest", tmp_path / f"db.files.{form}").utterances
    assert list(table["arousal"]) == [0.25, 1.0] and list(table["valence"]) == [-1.0, 0.5]


def test_manifests_in_parquet_that_cannot_be_read(tmp_path, monkeypatch):
    def read(path):
        raise ImportError("no pyarrow")

    monkeypatch.setattr(pd, "read_parquet", read)
    with pytest.raises(InputError, match=r"my\.parquet: found a Parquet file, which needs pyarrow.*Pip install pyarrow, or"):
        load("manifest", tmp_path / "my.parquet")
    for frame, found in ((pd.DataFrame({"file": []}), "a table without rows"), (pd.DataFrame({"name": ["x"]}), "columns name")):
        monkeypatch.setattr(pd, "read_parquet", lambda path, frame=frame: frame)
        with pytest.raises(InputError, match=found):
            load("manifest", tmp_path / "my.parquet")


@pytest.mark.extras
@pytest.mark.parametrize(("content", "found"), [(None, "no such file"), (b"PAR1 no more", "a file that cannot be read")])
def test_damaged_manifests_in_parquet(tmp_path, content, found):
    pytest.importorskip("pyarrow")
    if content:
        (tmp_path / "my.parquet").write_bytes(content)
    with pytest.raises(InputError, match=rf"my\.parquet: found {found}"):
        load("manifest", tmp_path / "my.parquet")


def test_manifest_takes_parts_of_files(recordings, tmp_path):
    for seed, name in enumerate(("a.wav", "b.wav")):
        soundfile.write(tmp_path / name, np.random.default_rng(seed).uniform(-0.1, 0.1, 32_123), 16_000)
    rows = ["a.wav,0 days,0 days 00:00:02.007688,x", "b.wav,0.5,1.25,x", "b.wav,0 days 00:00:01.25,NaT,y"]
    table = recordings("file,start,end,label\n" + "\n".join(rows) + "\n").utterances
    # The end of the first is its file's own, rounded: it is the whole file.
    assert list(table["utterance"]) == ["a.wav", "b.wav#t=0.5,1.25", "b.wav#t=1.25,2.007687"]
    assert [len(read_audio(path)) for path in table["path"]] == [32_123, 12_000, 12_123]
    rows = ["a.wav,0,,x", "b.wav,0.5,0.75,x", "b.wav,0 days 00:00:01.25,0 days 00:00:00.75,y"]
    corpus = recordings("file,start,duration,label\n" + "\n".join(rows) + "\n")
    assert list(corpus.utterances["utterance"]) == ["a.wav", "b.wav#t=0.5,1.25", "b.wav#t=1.25,2.0"] and not corpus.notes
    with pytest.raises(InputError, match=r"line 2: .*a\.wav: found start '1' and duration '1.5'; expected a part of its 2"):
        recordings("file,start,duration,label\na.wav,1,1.5,x\n")
    corpus = recordings("file,duration,label\na.wav,1,x\n")
    assert list(corpus.utterances["utterance"]) == ["a.wav"] and corpus.notes == ("columns that are not used: duration",)


@pytest.mark.parametrize(
    ("times", "found"),
    [
        ("0,3", r"a\.wav: found start '0' and end '3'; expected a part of its 2 s"),
        ("1,1", "found start '1' and end '1'"),
        ("-1,1", "found start '-1' and end '1'"),
        ("x,1", "found start 'x' and end '1'"),
        ("0,0_1", "found start '0' and end '0_1'; expected a part of its 2 s"),
        ('"0,100000","1,400000"', "end '1,400000'; expected a part of its 2 s. Write decimals with a point"),
        ("0,1\na.wav,x,0.5,2", r"line 3: a\.wav#t=0\.5,2\.0 is already in line 2, wholly or in part"),
        (",\na.wav,x,0.5,1", "line 3: a.wav#t=0.5,1.0 is already in line 2"),
    ],
)
def test_parts_that_files_do_not_have(recordings, tmp_path, times, found):
    soundfile.write(tmp_path / "a.wav", np.tile([0.1, -0.1], 16_000), 16_000)
    with pytest.raises(InputError, match=found):
        recordings(f"file,label,start,end\na.wav,x,{times}\n")


@pytest.mark.parametrize("seed", range(8))
def test_overlaps_are_those_of_every_line_with_every_earlier_one(seed):
    """As found by comparing all pairs, which takes 25 minutes for 100,000 parts of a file."""
    generator = np.random.default_rng(seed)
    rows, expected, known = {}, {}, []
    for line in range(2, 60):
        file = str(generator.choice(["/a.wav", "/b.wav"]))
        start, seconds = float(generator.integers(200)), float(generator.choice([0.0005, 1, 1.0005, 3, 20]))
        span = (start, round(start + seconds, 6))
        rows[line] = {"utterance": f"{line}", "path": name_part(file, *span)}
        for other, (first, last), earlier in known:
            is_common = first + 0.001 < span[1] and span[0] + 0.001 < last
            if other == file and (is_common or (first, last) == span):
                expected[line] = f"{line} is already in line {earlier}, wholly or in part"
                break
        known.append((file, span, line))
    found = {line: fault.partition(";")[0] for line, fault in manifest_file._find_overlaps(rows)}
    assert found == expected and expected


def test_many_parts_of_a_file_take_no_square_of_time():
    rows = {line: {"utterance": "a", "path": name_part("/a.wav", line, line + 1.0)} for line in range(40_000)}
    started = time.process_time()
    assert not list(manifest_file._find_overlaps(rows)) and time.process_time() - started < 20  # it took four minutes


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("file\na.wav\n", "found the columns file; expected a CSV file: file,label"),
        ("name,label\na.wav,x\n", "found the columns name, label"),
        ("FileName,EmoAct,SpkrID\na.wav,1,1\n", "Add label (or arousal and valence); FileName is taken for file; SpkrID is"),
        ("EmoClass\nx\n", "Add file; EmoClass is taken for label."),
        ("file;label\na.wav;x\n", "Separate the columns by commas"),
        ("file,arousal\na.wav,1\n", "found the columns file, arousal"),
        ("file,label,emotion\na.wav,x,x\n", "label, emotion, which mean the same"),
        ("file,label\nnone.wav,x\nb.wav,\n,x\n", "(3):"),
        ("file,label\na.wav,x\n./a.wav,y\n", "line 3: a.wav is already in line 2"),
        ("file,label,speaker\na.wav,x,\n", "line 2: speaker is empty"),
        *(
            (f"file,label,speaker\na.wav,x,{name}\n", f"line 2: speaker is '{name}', which is how tables name scores of many")
            for name in ("pooled", "mean over speakers", "mean over folds", "runs averaged")
        ),
        ("file,label\na.wav,speaker\nb.wav,target\n", "(2):"),
        *(
            (f"file,label\na.wav,x\nb.wav,{word}\n", f"line 3: label is '{word}', as pro")
            for word in ("nan", "None", "NULL", "NA", "n/a")
        ),
        ("file,label\na.wav,target\n", "line 2: label is 'target', which is another column of predictions"),
        ("file,label,split\na.wav,x,trian\n", "line 2: split is 'trian'; expected train, validation or test"),
        ("file,label,split\na.wav,x,\n", "line 2: split is ''"),
        ("file,arousal,valence\na.wav,-0.1,0\nb.wav,x,1.1\n", "(2):"),
        ("file,arousal,valence\na.wav,nan,0\n", "line 2: arousal is 'nan'; expected a number"),
        ('file,arousal,valence\na.wav,"0,5",0\n', "arousal is '0,5'; expected a number; write decimals with a point"),
        *(  # which Python takes for numbers
            (f"file,arousal,valence\na.wav,0,{cell}\n", f"line 2: valence is '{cell}'; expected a number")
            for cell in ("0_1", "\uff10.\uff15")
        ),
        ("sep=,\nfile,label\na.wav,x\n", "found 'sep=,' in line 1, which Excel alone understands; expected"),
        ('\r\n"SEP=;"\r\nfile;label\r\na.wav;x\r\n', "in line 2, which Excel alone understands; expected"),
        ("sep=;\nfile;label\na.wav;x\n", "Remove that line, and separate the columns by commas instead of ';'."),
        ("# mine, of May\n# too\nfile,label\na.wav,x\n", "found the comment '# mine, of May' in line 1; expected"),
        ("#,file,label\n1,a.wav,x,y\n2,b.wav,x\n", "line 2: 4 cells"),
        ("#id,file,label\n1,a.wav,x,y\n2,b.wav,x\n", "line 2: 4 cells"),
        ("\n# mine\nfile,label\na.wav,x\n", "found the comment '# mine' in line 2; expected"),
        (
            "file,label,speaker\na.wav,x\nb.wav,x\n",
            "found the columns file, label, speaker in line 1, and 2 cells in each of 2 rows; expected",
        ),
        ("file,label\na.wav,x\nb.wav\n", "line 3: 1 cell"),
        (
            "file,arousal,valence\na.wav,5,3\nb.wav,0,-2\nd.wav,0,inf\n",
            "my.csv: lines that cannot be used (1):\n  - 3 lines beyond the limits: line 2 (arousal 5, valence 3), "
            "line 3 (valence -2), line 4 (valence inf); expected arousal in [0, 1], valence in [-1, 1]; docs/",
        ),
        ("file,label\nsub,x\n", "a folder"),
        ("file,label\n" + "x" * 5000 + ".wav,x\n", "(1):"),
        ("", "an empty file"),
        ("file,label\n", "a header without rows"),
        ("file,label\na.wav,x,y\n", "line 2: 3 cells"),
    ],
)
def test_faulty_manifests(recordings, text, message):
    with pytest.raises(InputError, match="my.csv") as error:
        recordings(text)
    assert message in str(error.value)


def test_manifest_must_be_a_file(recordings, tmp_path):
    recordings("file,label\na.wav,x\n")
    with pytest.raises(InputError, match="found a folder with my.csv; expected a CSV file"):
        load("manifest", tmp_path)
    with pytest.raises(InputError, match="found no such file"):
        load("manifest", tmp_path / "absent.csv")


@given(
    content=st.one_of(
        st.binary(max_size=200),
        st.text(max_size=200).map(lambda text: text.encode("utf-8", "surrogatepass")),
        st.lists(
            st.lists(
                st.sampled_from(
                    [
                        "file",
                        "label",
                        "a.wav",
                        "",
                        "x",
                        '"',
                        "nan",
                        "1e999",
                        "\u2028",
                        "\x85",
                        " ",
                        "start",
                        "..",
                        "/",
                        "\x0c",
                        "arousal",
                        "valence",
                        "0",
                        "-1",
                        "split",
                        "train",
                    ]
                ),
                max_size=4,
            ),
            max_size=5,
        ).map(lambda rows: "\n".join(",".join(row) for row in rows).encode()),
    )
)
def test_any_bytes_give_a_corpus_or_an_input_error(tmp_path, content):
    touch(tmp_path, "a.wav")
    (tmp_path / "fuzz.csv").write_bytes(content)
    try:
        corpus = load("manifest", tmp_path / "fuzz.csv")
    except InputError as error:
        assert "fuzz.csv" in str(error)
        str(error).encode()  # can be printed
    else:
        assert len(corpus.utterances) >= 1
    (tmp_path / "omg_TrainVideos.csv").write_bytes(content)
    (tmp_path / "omg_ValidationVideos.csv").write_bytes(content)
    with pytest.raises(InputError):
        load("omg", tmp_path)


@given(
    rows=st.lists(
        st.tuples(
            st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=8)
            .map(str.strip)
            .filter(lambda name: name and name.isprintable() and name not in RESERVED_LABELS)
            .filter(lambda name: name.lower() not in manifest_file.NO_LABEL),
            st.floats(0, 1),
            st.floats(-1, 1),
        ),
        min_size=1,
        max_size=6,
    )
)
def test_manifest_keeps_every_row_as_it_was_written(tmp_path, rows):
    labels = {label for label, *_ in rows}
    assume(len({manifest_file.find_meaning(label) for label in labels}) == len(labels))
    with open(tmp_path / "all.csv", "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["file", "label", "arousal", "valence"])
        for index, row in enumerate(rows):
            touch(tmp_path, f"{index}.wav")
            writer.writerow([f"{index}.wav", *row])
    table = load("manifest", tmp_path / "all.csv").utterances
    assert [(row.label, row.arousal, row.valence) for row in table.itertuples()] == rows


@pytest.mark.parametrize("column", ["label", "speaker"])
@pytest.mark.parametrize(
    "names", [["Anger", "anger"], ["a\u0308rger", "\u00e4rger"], ["very  sad", "very sad"], ["01", "1"], ["1", "1.0"]]
)
def test_names_that_look_alike_are_one_mistake(recordings, column, names):
    """They would be two classes, or one speaker on both sides of a split."""
    lines = {"label": "{file},{name},s\n", "speaker": "{file},x,{name}\n"}[column]
    rows = [lines.format(file=file, name=name) for file, name in zip(("a.wav", "b.wav"), names, strict=True)]
    found = f"names in the column {column} that differ in upper and lower case, .*: {'.*, '.join(sorted(names))}; expected one"
    with pytest.raises(InputError, match=found):
        recordings("file,label,speaker\n" + "".join(rows))


def test_numbers_that_differ_are_names_that_differ(recordings):
    corpus = recordings("file,label,speaker\na.wav,1,0\nb.wav,10,00.5\n")
    assert corpus.labels == ("1", "10") and list(corpus.utterances["speaker"]) == ["0", "00.5"]


def test_quotes_behind_a_blank_are_quotes(recordings):
    corpus = recordings('file, label, speaker\na.wav, "joy, great", "anna"\nb.wav, anger, anna\n')
    assert corpus.labels == ("anger", "joy, great") and list(corpus.utterances["speaker"]) == ["anna", "anna"]


@pytest.mark.parametrize("written", ["nan", "None", "N/A", "Unknown"])
def test_speakers_that_programs_do_not_know_are_unknown(recordings, written):
    corpus = recordings(f"file,label,speaker\na.wav,x,anna\nb.wav,y,{written}\n")
    assert list(corpus.utterances["speaker"]) == ["anna", "unknown"]
    assert (f"1 recording of the speaker {written}: taken for unknown" in corpus.notes) == (written != "Unknown")


def test_onset_and_duration_mark_a_part_and_an_actor_beside_a_speaker_is_not_used(recordings, tmp_path):
    soundfile.write(tmp_path / "a.wav", np.tile([0.1, -0.1], 16_000), 16_000)
    corpus = recordings("file,label,onset,duration,speaker_id,actor\na.wav,x,0.5,1,s1,a1\n")
    assert list(corpus.utterances["utterance"]) == ["a.wav#t=0.5,1.5"] and list(corpus.utterances["speaker"]) == ["s1"]
    assert "columns that are not used: actor" in corpus.notes
    corpus = recordings("file,label,start,duration,offset\na.wav,x,0.5,1,9\n")
    assert list(corpus.utterances["utterance"]) == ["a.wav#t=0.5,1.5"]


def test_a_part_without_samples_is_refused_with_its_line(recordings, tmp_path):
    soundfile.write(tmp_path / "a.wav", np.tile([0.1, -0.1], 16_000), 16_000)
    with pytest.raises(InputError, match=r"line 3: .*a\.wav#t=1\.5,1\.50001: found a part that ends where it starts") as raised:
        recordings("file,label,start,end\na.wav,x,0.5,0.5009\na.wav,y,1.5,1.50001\n")
    assert "line 2" not in str(raised.value)


@pytest.mark.parametrize("pair", [("begin", "end"), ("start", "stop"), ("Onset", "Offset"), ("Start Time", "end_time")])
def test_other_names_of_start_and_end(recordings, tmp_path, pair):
    soundfile.write(tmp_path / "a.wav", np.tile([0.1, -0.1], 16_000), 16_000)
    corpus = recordings(f"file,label,{','.join(pair)}\na.wav,x,0.5,1\n")
    assert list(corpus.utterances["utterance"]) == ["a.wav#t=0.5,1.0"]
    others = [(name, meaning) for name, meaning in zip(pair, ("start", "end"), strict=True) if name != meaning]
    assert corpus.notes == tuple(f"the column {name} is taken for {meaning}" for name, meaning in others)


def test_one_time_alone_is_not_used(recordings):
    assert recordings("file,label,onset\na.wav,x,0.5\n").notes == ("columns that are not used: onset",)


def test_valence_from_0_to_1_is_noted(recordings):
    low, high = (recordings(f"file,arousal,valence\na.wav,0.5,{value}\n").notes for value in (-0.1, 0.4))
    assert not low and high == ("no valence is below 0, the middle of its scale, -1 to 1: is it on another one?",)


def test_letters_composed_in_another_way_are_told(recordings, tmp_path):
    (tmp_path / "cafe\u0301.wav").write_bytes((tmp_path / "a.wav").read_bytes())
    with pytest.raises(
        InputError, match=r"no such file; a file of that name is there, its letters composed in another way \(NFD\)"
    ):
        recordings("file,label\ncaf\u00e9.wav,x\n")


@pytest.mark.parametrize(
    ("cell", "said"),
    [
        ("a.WAV", r"/a\.WAV: no such file; upper and lower case count: write a\.wav$"),
        ("Sub/C.Flac", r"/Sub/C\.Flac: no such file; upper and lower case count: write sub/c\.flac$"),
        ("{folder}/A.wav", r"/A\.wav: no such file; upper and lower case count: write a\.wav$"),
        ("file://{folder}/a.wav", "line 2: file:///.*a\\.wav: no such file; URLs are not read: give the path of a file"),
        ("https://x.org/a.wav", r"line 2: https://x\.org/a\.wav: no such file; URLs are not read: give the path of a file"),
        ("~/a.wav", r"line 2: ~/a\.wav: no such file; ~ is not read: write the path in full$"),
        ("b/a.wav", r"/b/a\.wav: no such file$"),
        ("sub", r"/sub: a folder$"),
    ],
)
def test_names_of_files_that_are_not_there_get_the_right_hint(recordings, tmp_path, cell, said):
    with pytest.raises(InputError, match=said):
        recordings(f"file,label\n{cell.format(folder=tmp_path)},x\n")


def test_paths_of_windows_get_the_right_hint(recordings):
    with pytest.raises(InputError, match=r"no such file; write / between folders, not \\: sub/c\.flac"):
        recordings("file,label\nsub\\c.flac,x\n")
    with pytest.raises(InputError, match="no such file; expected a path of this machine, relative to the CSV file"):
        recordings("file,label\nC:\\Users\\me\\a.wav,x\n")


@pytest.mark.parametrize(
    ("content", "found"),
    [
        ("file\tlabel\na.wav\tx\n".encode("utf-16-le"), "null characters"),
        ("\ufefffile\tlabel\n".encode("utf-16-le"), "UTF-16 text"),
        ("\ufefffile\tlabel\n".encode("utf-16-be"), "UTF-16 text"),
        (b"PK\x03\x04\x14\0", "an Excel workbook, or another zip archive"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1", "an Excel workbook of before 2007"),
        ("file,gef\xfchl\n".encode("latin-1"), "bytes that are not UTF-8 text (at byte 8)"),
    ],
)
def test_what_a_spreadsheet_saves_beside_csv_is_named(tmp_path, content, found):
    (tmp_path / "my.csv").write_bytes(content)
    with pytest.raises(InputError, match=rf"my.csv: found {re.escape(found)}.*; expected a comma-.* Save it as UTF-8 CSV"):
        load("manifest", tmp_path / "my.csv")


def test_a_column_may_be_called_by_a_number_sign(recordings):
    assert recordings("#,file,label\n1,a.wav,x\n2,b.wav,y\n").notes == ("columns that are not used: #",)


@pytest.mark.parametrize(
    "text", ["file\tlabel\na.wav\tx\n", "file\tlabel\ttext\na.wav\tx\twell, yes\n", '"file"\t"label"\n"a.wav"\t"x"\n']
)
def test_tabs_get_the_right_hint(recordings, text):
    with pytest.raises(InputError, match=r"Separate the columns by commas instead of '\\t'\.$"):
        recordings(text)


def test_read_table_numbers_lines_as_an_editor_does(tmp_path):
    (tmp_path / "t.csv").write_text('a,b\n\n1,"two\nlines"\n3,4\n')
    assert read_table(tmp_path / "t.csv", ["a"]) == [(4, {"a": "1", "b": "two\nlines"}), (5, {"a": "3", "b": "4"})]


# -------------------------------------------------------------------------------------------------------- the script


def run_check(*arguments: object) -> int:
    from began.command_line import run_script

    return run_script(check.main, check.make_parser(), [str(argument) for argument in arguments])


def test_check_lists_everything_that_is_wrong(copy, capsys):
    folder = copy("OMG")
    table = load("omg", folder).utterances
    path, other = (Path(path) for path in table.loc[table["split"] == "train", "path"].iloc[:2])
    path.unlink()
    other.write_bytes(b"")
    assert run_check("omg", "--annotations-dir", folder, folder) == 1
    said = capsys.readouterr().out
    assert f"missing: train {path.relative_to(folder)}" in said
    assert f"{other}: found an empty file" in said
    assert "train: 6 annotated utterances, published 2442" in said
    assert "test 3" in said


@pytest.mark.parametrize("name", ["EmoDB", "SAVEE", "SAVEE_flat", "OMG"])
def test_corpora_may_be_compressed_without_loss(copy, tmp_path, name):
    folder, loader = copy(name), name.split("_")[0].lower()
    before = read_sounds(load(loader, folder), SoundHashes(tmp_path / "cache"))
    for path in before.utterances["path"]:
        soundfile.write(Path(path).with_suffix(".flac"), *soundfile.read(path, dtype="int16"))
        Path(path).unlink()
    after = read_sounds(load(loader, folder), SoundHashes(tmp_path / "cache"))
    assert (after.sha256, after.sounds_sha256) == (before.sha256, before.sounds_sha256)


def test_check_counts_speakers_of_unknown_sex_last(recordings, tmp_path, capsys):
    recordings("file,label,sex\na.wav,x,M\nb.wav,y,\nsub/c.flac,y,F\n")
    run_check("manifest", tmp_path / "my.csv", "--quick")
    assert "  sex: F 1, M 1, unknown 1\n" in capsys.readouterr().out


def test_check_names_recordings_that_are_there_twice(copy, recordings, tmp_path, capsys):
    paths = sorted((copy("EmoDB") / "wav").glob("*.wav"))
    (tmp_path / "copy").mkdir()
    lines = ["file,label,speaker"]
    for number, path in enumerate(paths[:7]):
        waveform, rate = soundfile.read(path, dtype="int16")
        soundfile.write(tmp_path / "copy" / f"{number}.flac", waveform, rate)  # the same samples in another container
        lines += [f"EmoDB/wav/{path.name},x,a", f"copy/{number}.flac,{'y' if number == 6 else 'x'},{'ab'[number == 5]}"]
    lines.append(f"EmoDB/wav/{paths[7].name},x,a")
    recordings("\n".join(lines))
    assert run_check("manifest", tmp_path / "my.csv") == 1
    said = capsys.readouterr().out.replace(str(tmp_path), "")
    assert "5 sounds are there more than once: " in said
    assert f"/EmoDB/wav/{paths[0].name} = /copy/0.flac, " in said
    assert f"with different speaker: /EmoDB/wav/{paths[5].name} (speaker a) = /copy/5.flac (speaker b)" in said
    assert f"with different label: /EmoDB/wav/{paths[6].name} (label x) = /copy/6.flac (label y)" in said
    assert "3 things to look at" in said and paths[7].name not in said
    assert run_check("manifest", tmp_path / "my.csv", "--quick") == 0  # which compares nothing


def test_a_file_that_cannot_be_read_equals_no_other(copy, recordings, tmp_path, capsys):
    paths = sorted((copy("EmoDB") / "wav").glob("*.wav"))[:3]
    for path in paths[:2]:
        path.write_bytes(b"")
    recordings("\n".join(["file,label", *(f"EmoDB/wav/{path.name},x" for path in paths)]))
    assert run_check("manifest", tmp_path / "my.csv") == 1
    said = capsys.readouterr().out
    assert said.count("an empty file") == 2 and "more than once" not in said


def test_check_of_manifests_and_wrong_folders(recordings, tmp_path, capsys):
    soundfile.write(tmp_path / "a.wav", np.tile([0.1, -0.1], 50), 16000)
    recordings("file,label\na.wav,x\n")
    assert run_check("manifest", tmp_path / "my.csv", "--quick") == 0
    assert (
        run_check("manifest", "--quick", tmp_path / "my.csv")
        == 0
        == run_check("--quick", "manifest", "--", tmp_path / "my.csv")
    )
    recordings("file,label,mood\na.wav,x,3\n")
    assert run_check("manifest", tmp_path / "my.csv", "--quick") == 0
    said = capsys.readouterr().out
    assert "\nfound 1 utterance; speakers unknown\n  label: x 1\nnote: columns that are not used: mood\n" in said
    soundfile.write(tmp_path / "a.wav", np.zeros(50), 16000)
    assert run_check("manifest", tmp_path / "my.csv", "--quick") == 1
    assert f"\n1 thing to look at in {tmp_path / 'my.csv'}.\n" in capsys.readouterr().out
    assert run_check("emodb", tmp_path / "absent") == 2
    assert "absent: found no such folder" in capsys.readouterr().err
    assert run_check("emodb", tmp_path, "--annotations-dir", tmp_path) == 2
