"""Cutting OMG-Emotion's utterances from videos, with a stand-in for ffmpeg, and with ffmpeg where it is installed."""

from __future__ import annotations

import shutil
import stat
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
from synthetic_corpora import write_omg

from began.command_line import run_script
from experiments import prepare_omg
from experiments.corpora import load, omg

FAKE_FFMPEG = f"""#!{sys.executable}
import json, pathlib, sys
arguments = sys.argv[1:]
with open(pathlib.Path(__file__).with_name("calls"), "a") as calls:
    calls.write(json.dumps(arguments) + "\\n")
video = pathlib.Path(arguments[arguments.index("-i") + 1].removeprefix("file:"))
what = video.read_text()
if what == "broken":
    print("moov atom not found", file=sys.stderr)
    sys.exit(1)
if what == "crashes":
    open(arguments[-1], "wb").write(b"RIFF half")
    sys.exit(255)
if what == "silent failure":
    sys.exit(0)
import wave
seconds = float(arguments[arguments.index("-t") + 1])
with wave.open(arguments[-1], "wb") as file:
    file.setnchannels(1); file.setsampwidth(2); file.setframerate(16000)
    lost = {{"short": seconds, "cut": 0.21, "early": 0.19}}.get(what, 0)
    file.writeframes(b"\\1\\0" * round(16000 * (seconds - lost)))
"""


def run(*arguments: object) -> int:
    return run_script(prepare_omg.main, prepare_omg.make_parser(), [str(argument) for argument in arguments])


@pytest.fixture
def annotations(tmp_path):
    """A miniature of the annotations, without audio: 2 training, 2 validation and 1 test video of 2 utterances."""
    folder = write_omg(tmp_path / "annotations", (2, 2, 1), 2, seconds=0.2)
    for path in [path for path in folder.iterdir() if path.is_dir()]:
        shutil.rmtree(path)
    return folder


@pytest.fixture
def fake_ffmpeg(tmp_path, monkeypatch):
    program = tmp_path / "bin" / "ffmpeg"
    program.parent.mkdir()
    program.write_text(FAKE_FFMPEG)
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", str(program.parent))
    return lambda: (program.parent / "calls").read_text().splitlines() if (program.parent / "calls").exists() else []


@pytest.fixture
def videos(tmp_path, annotations):
    """A file for every link, named in the ways that downloaders have; the shared link has one file only."""
    folder = tmp_path / "videos"
    folder.mkdir()
    links = sorted({str(row["video"]) for row in omg.read_annotations(annotations)})
    for index, link in enumerate(links):
        name = (f"{link}.mp4", f"Some title [{link}].webm", f"{link}.mkv")[index % 3]
        (folder / name).write_text("fine")
    return folder


def test_every_utterance_is_cut_and_the_corpus_loads(annotations, videos, fake_ffmpeg, tmp_path, capsys):
    dest = tmp_path / "audio"
    arguments = ("--annotations-dir", annotations, "--videos-dir", videos, "--dest", dest)
    assert run(*arguments) == 0
    said = capsys.readouterr().out
    assert "utterances cut: 10; there already: 0; without a video: 0; failed: 0" in said
    assert said.splitlines()[-1] == f"Wrote {dest}"
    corpus = load("omg", dest, annotations_dir=annotations, unlabelled=True)
    assert len(corpus.utterances) == 10
    assert len(corpus.missing) == 0
    for row in omg.read_annotations(annotations):
        info = soundfile.info(dest / f"{row['utterance']}.wav")
        assert (info.samplerate, info.channels) == (16000, 1)
        assert info.duration == pytest.approx(row["end"] - row["start"], abs=1e-4)
    # The same command again cuts nothing; after a loss it cuts what was lost.
    assert run(*arguments) == 0
    assert "utterances cut: 0; there already: 10" in capsys.readouterr().out
    assert len(fake_ffmpeg()) == 10
    Path(corpus.utterances["path"][0]).unlink()
    assert run(*arguments) == 0
    assert "utterances cut: 1; there already: 9" in capsys.readouterr().out


def test_videos_that_are_missing_are_listed(annotations, videos, fake_ffmpeg, tmp_path, capsys):
    gone = sorted(videos.iterdir())[0]
    link = next(row for row in omg.read_annotations(annotations) if str(row["video"]) in gone.name)
    gone.unlink()
    assert run("--annotations-dir", annotations, "--videos-dir", videos, "--dest", tmp_path / "audio") == 1
    said = capsys.readouterr().out
    assert "Videos that are not in" in said
    assert str(link["link"]) in said
    assert "failed: 0" in said


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("broken", "ffmpeg ended with code 1 (moov atom not found)"),
        ("crashes", "ffmpeg ended with code 255"),
        ("silent failure", "ffmpeg wrote no sound"),
        ("short", "the video ends before the utterance starts"),
        ("cut", "the video ends too early: 0."),
    ],
)
def test_failures_are_listed_and_leave_nothing(annotations, videos, fake_ffmpeg, tmp_path, capsys, content, reason):
    video = sorted(videos.iterdir())[0]
    video.write_text(content)
    dest = tmp_path / "audio"
    assert run("--annotations-dir", annotations, "--videos-dir", videos, "--dest", dest) == 1
    said = capsys.readouterr().out
    failed = said.count(str(video))
    assert failed >= 2
    assert f"utterances cut: {10 - failed}" in said
    assert said.count(reason) == failed
    assert len(list(dest.rglob("*.wav"))) == 10 - failed
    assert not list(dest.rglob(".writing*"))


def test_sound_that_ends_some_pictures_early_is_whole(annotations, videos, fake_ffmpeg, tmp_path):
    sorted(videos.iterdir())[0].write_text("early")
    assert run("--annotations-dir", annotations, "--videos-dir", videos, "--dest", tmp_path / "audio") == 0


def test_parts_can_be_chosen(annotations, videos, fake_ffmpeg, tmp_path, capsys):
    assert (
        run(
            "--annotations-dir",
            annotations,
            "--videos-dir",
            videos,
            "--dest",
            tmp_path / "audio",
            "--splits",
            "validation",
            "--workers",
            1,
        )
        == 0
    )
    assert "utterances cut: 4" in capsys.readouterr().out
    assert set(load("omg", tmp_path / "audio", annotations_dir=annotations).utterances["split"]) == {"validation"}


def test_file_names_are_not_read_as_options(annotations, videos, fake_ffmpeg, tmp_path):
    first = sorted(videos.iterdir())[0]
    rows = omg.read_annotations(annotations)
    clip = next(str(row["clip"]) for row in rows if str(row["video"]) in first.name)
    path = annotations / omg.FILES["train"]
    shutil.copy(first, videos / f"-{clip}.mp4")
    path.write_text(path.read_text().replace(clip, f"-{clip}"))
    # A leading hyphen is legal in an identifier; it reaches ffmpeg behind "file:" and a folder.
    assert run("--annotations-dir", annotations, "--videos-dir", videos, "--dest", tmp_path / "audio") == 0
    assert all('"-i", "file:/' in call for call in fake_ffmpeg())


def test_bad_input(annotations, videos, fake_ffmpeg, tmp_path, capsys, monkeypatch):
    (tmp_path / "empty").mkdir()
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "holiday.mp4").write_text("fine")
    for changed, message in (
        ({"--annotations-dir": tmp_path / "empty"}, "found an empty folder"),
        ({"--annotations-dir": tmp_path / "other"}, "holiday.mp4"),
        ({"--videos-dir": tmp_path / "absent"}, "found no such folder"),
        ({"--videos-dir": tmp_path / "other"}, "none of the 4 videos"),
        ({"--workers": 0}, "--workers: found 0; expected 1 or more"),
    ):
        options = {"--annotations-dir": annotations, "--videos-dir": videos, "--dest": tmp_path / "audio"} | changed
        assert run(*[part for option in options.items() for part in option]) == 2
        assert message in capsys.readouterr().err
    test_file = annotations / "omg_TestVideos_WithoutLabels.csv"
    if test_file.exists():
        test_file.unlink()
    assert run("--annotations-dir", annotations, "--videos-dir", videos, "--dest", tmp_path / "audio", "--splits", "test") == 2
    assert "no utterance of the parts test; expected omg_TestVideos_WithoutLabels.csv" in capsys.readouterr().err
    first = sorted(videos.glob("*.mp4"))[0]
    shutil.copy(first, first.with_suffix(".mkv"))
    arguments = ("--annotations-dir", annotations, "--videos-dir", videos, "--dest", tmp_path / "audio")
    assert run(*arguments) == 2
    assert "more than once (1)" in capsys.readouterr().err
    monkeypatch.setenv("PATH", str(tmp_path / "empty"))
    assert run(*arguments) == 2
    assert "ffmpeg: found no such program" in capsys.readouterr().err
    assert fake_ffmpeg() == []


@pytest.mark.extras
@pytest.mark.skipif(shutil.which("ffmpeg") is None, reason="ffmpeg is not installed")
def test_with_the_real_ffmpeg(annotations, tmp_path, capsys):
    videos = tmp_path / "videos"
    videos.mkdir()
    rows = omg.read_annotations(annotations)
    time = np.arange(3 * 44100) / 44100
    sound = np.stack([np.sin(2 * np.pi * 440 * time), np.zeros_like(time)], axis=1)
    for link in {str(row["video"]) for row in rows}:
        soundfile.write(videos / f"{link}.wav", 0.5 * sound, 44100)
    assert run("--annotations-dir", annotations, "--videos-dir", videos, "--dest", tmp_path / "audio") == 0
    row = rows[1]
    waveform, rate = soundfile.read(tmp_path / "audio" / f"{row['utterance']}.wav")
    assert rate == 16000
    assert len(waveform) == pytest.approx(16000 * (row["end"] - row["start"]), abs=16)
    spectrum = np.abs(np.fft.rfft(waveform))
    assert np.fft.rfftfreq(len(waveform), 1 / 16000)[spectrum.argmax()] == pytest.approx(440, abs=5)
