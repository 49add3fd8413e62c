"""Channels of stereo recordings, speakers by folders, and the hint for long recordings."""

import csv
import io
import json
import shutil
import time
from pathlib import Path

import numpy as np
import pytest
import soundfile

from began.audio import hash_sound, measure_seconds, read_audio
from began.command_line import run_script
from began.errors import InputError
from began.media_fragments import name_channel, name_part, split_channel
from classifiers import predict
from classifiers.grouping import choose_channels, group_by_speaker, name_source

pytest.importorskip("keras")

from began.encoder import load_frozen_encoder  # noqa: E402
from began.keras_file import attach_json  # noqa: E402
from began.networks import build_encoder  # noqa: E402
from began.spectrogram import SpectrogramConfig  # noqa: E402
from began.utterance_encoder import UtteranceEncoder  # noqa: E402
from classifiers.head_parameters import UTTERANCE, choose_statistics, resolve_parameters  # noqa: E402
from classifiers.heads import build_head  # noqa: E402
from classifiers.predictor import build_predictor, load_predictor, save_predictor  # noqa: E402


def make_noise(seed: int, seconds: float) -> np.ndarray:
    generator = np.random.default_rng(seed)
    n_samples = round(seconds * 16_000)
    return (0.1 + 0.05 * np.sin(np.arange(n_samples) / (500 + 300 * seed))) * generator.standard_normal(n_samples)


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """A model that reads whole utterances, of three classes."""
    folder = tmp_path_factory.mktemp("model")
    build_encoder(base_filters=2, latent_size=8, seed=1).save(folder / "encoder.keras")
    attach_json(folder / "encoder.keras", "spectrogram", SpectrogramConfig.of("normalized").to_dict())
    encoder = UtteranceEncoder.of(load_frozen_encoder(folder / "encoder.keras"))
    parameters = resolve_parameters("categorical", {"correlations": "none"}, UTTERANCE)
    shape = (40, 1, len(choose_statistics(parameters, encoder.statistics)))
    generator = np.random.default_rng(0)
    normalization = generator.normal(size=(40, shape[2])), generator.uniform(0.01, 0.1, (40, shape[2]))
    head = build_head("categorical", shape, 3, {}, 1, normalization, UTTERANCE)
    about = {"task": "categorical", "kind": UTTERANCE, "parameters": parameters, "speeds": [1.0], "tail": "overlap"}
    about |= {"aggregation": "mean", "corpus": "toy", "labels": ["anger", "joy", "neutral"]}
    save_predictor(folder / "model.keras", build_predictor(encoder, head, about))
    return folder / "model.keras"


@pytest.fixture(scope="module")
def calls(tmp_path_factory):
    """A call with a speaker on either channel, each channel alone, and a recording of one channel."""
    folder = tmp_path_factory.mktemp("calls")
    left, right = make_noise(0, 5), 0.3 * make_noise(3, 5)
    soundfile.write(folder / "call.wav", np.stack([left, right], axis=1), 16_000, subtype="FLOAT")
    soundfile.write(folder / "left.wav", left, 16_000, subtype="FLOAT")
    soundfile.write(folder / "right.wav", right, 16_000, subtype="FLOAT")
    return folder


def run(*argv):
    return run_script(predict.main, predict.make_parser(), [str(word) for word in argv])


def read_rows(text):
    return list(csv.DictReader(io.StringIO(text)))


# ---------------------------------------------------------------------------------------------------------------- channels


@pytest.mark.parametrize("channel", ["left", "right"])
def test_a_channel_is_read_like_a_file_of_its_own(calls, channel):
    named = name_channel(calls / "call.wav", channel)
    assert split_channel(named) == (calls / "call.wav", channel) and split_channel(calls / "call.wav")[1] == ""
    np.testing.assert_array_equal(read_audio(named), read_audio(calls / f"{channel}.wav"))
    assert hash_sound(named) == hash_sound(calls / f"{channel}.wav") and measure_seconds(named) == 5
    part = read_audio(name_channel(name_part(calls / "call.wav", 1, 2.5), channel))
    np.testing.assert_array_equal(part, read_audio(name_part(calls / f"{channel}.wav", 1, 2.5)))


@pytest.mark.parametrize("n_channels", [1, 3])
def test_a_channel_of_what_is_not_stereo_is_refused(tmp_path, n_channels):
    soundfile.write(tmp_path / "a.wav", np.tile(make_noise(0, 1)[:, np.newaxis], (1, n_channels)), 16_000)
    with pytest.raises(InputError, match=f"a.wav: found {n_channels} channels?; expected two.*Leave out --channel"):
        read_audio(name_channel(tmp_path / "a.wav", "left"))


def test_a_file_may_be_called_like_a_channel(calls, tmp_path):
    (tmp_path / "a.wav#track=left").write_bytes((calls / "left.wav").read_bytes())
    assert split_channel(tmp_path / "a.wav#track=left")[1] == ""
    np.testing.assert_array_equal(read_audio(tmp_path / "a.wav#track=left"), read_audio(calls / "left.wav"))


def test_both_channels_get_an_answer_each(model, calls, capsys):
    expected = {name: load_predictor(model).predict_file(calls / f"{name}.wav").scores for name in ("left", "right")}
    assert run("--model", model, calls / "call.wav", "--channel", "both", "--output", "csv") == 0
    rows = read_rows(capsys.readouterr().out)
    assert [row["channel"] for row in rows] == ["left", "right"] and {row["file"] for row in rows} == {f"{calls}/call.wav"}
    for row in rows:
        np.testing.assert_allclose(
            [float(row[name]) for name in ("anger", "joy", "neutral")], expected[row["channel"]], atol=1e-4
        )
    assert abs(expected["left"] - expected["right"]).max() > 1e-3
    assert run("--model", model, calls / "call.wav", "--channel", "right", "--output", "json", "--timeline") == 0
    (entry,) = json.loads(capsys.readouterr().out)
    assert (entry["file"], entry["channel"]) == (f"{calls}/call.wav", "right") and len(entry["timeline"]) == 3
    assert list(entry["probabilities"].values()) == pytest.approx(expected["right"], abs=1e-4)
    assert run("--model", model, calls / "call.wav", "--channel", "both", "--timeline") == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split("  ")[0] for line in lines[::4]] == [f"{calls}/call.wav, left", f"{calls}/call.wav, right"]


def test_a_file_that_is_cut_short_is_named_with_its_channel(model, calls, tmp_path, capsys):
    soundfile.write(tmp_path / "cut.flac", soundfile.read(calls / "call.wav")[0], 16_000)
    content = (tmp_path / "cut.flac").read_bytes()
    (tmp_path / "cut.flac").write_bytes(content[: content.rindex(b"\xff\xf8")])  # without its last frame
    assert run("--model", model, tmp_path / "cut.flac", "--channel", "left") == 1
    assert "cut.flac, left channel: found a truncated file" in capsys.readouterr().err


def test_without_a_choice_nothing_changes(model, calls, capsys):
    assert run("--model", model, calls / "call.wav", "--output", "csv") == 0
    mixed = capsys.readouterr().out
    assert mixed.startswith("file,level,") and len(mixed.splitlines()) == 2
    assert run("--model", model, calls / "call.wav", "--output", "csv", "--channel", "mix") == 0
    assert capsys.readouterr().out == mixed
    assert choose_channels([calls / "call.wav"], "mix") == [calls / "call.wav"]
    assert name_source(calls / "call.wav", "mix") == (f"{calls}/call.wav", "")


def test_recordings_of_one_channel_among_calls(model, calls, capsys):
    """With both they answer for themselves; to a single channel they have no answer, and count as failures."""
    assert run("--model", model, calls, "--channel", "both", "--output", "csv") == 0
    assert [row["channel"] for row in read_rows(capsys.readouterr().out)] == ["left", "right", "mono", "mono"]
    assert run("--model", model, calls, "--channel", "left", "--output", "csv") == 1
    out, err = capsys.readouterr()
    assert [row["channel"] for row in read_rows(out)] == ["left"]
    assert "found 1 channel; expected two, a left and a right one" in err and "2 of 3 files could not be used" in err


def test_a_silent_channel_and_a_broken_file_are_told_once(model, calls, tmp_path, capsys):
    samples = soundfile.read(calls / "call.wav")[0] * [1, 0]
    soundfile.write(tmp_path / "half.wav", samples, 16_000)
    (tmp_path / "broken.wav").write_bytes(b"RIFF")
    assert run("--model", model, tmp_path, "--channel", "both", "--output", "csv") == 1
    out, err = capsys.readouterr()
    assert [row["channel"] for row in read_rows(out)] == ["left"]
    assert err.count("skipped: ") == 2 and "half.wav, right channel: found silence" in err and "2 of 3 channels" in err


def test_of_a_call_with_a_silent_channel_the_other_one_has_an_answer_and_a_picture(model, calls, tmp_path, capsys):
    soundfile.write(tmp_path / "half.wav", soundfile.read(calls / "call.wav")[0] * [0, 1], 16_000)
    assert run("--model", model, tmp_path / "half.wav", "--channel", "both", "--plot", tmp_path / "p") == 1
    err = capsys.readouterr().err
    assert "1 of 2 channels could not be used" in err and f"pictures are in {tmp_path / 'p'}" in err
    assert [path.name for path in (tmp_path / "p").iterdir()] == ["half-right.png"]


def test_more_channels_than_two_are_refused_once(model, calls, tmp_path, capsys):
    soundfile.write(tmp_path / "six.wav", np.tile(make_noise(0, 1)[:, np.newaxis], (1, 6)), 16_000)
    assert run("--model", model, tmp_path, "--channel", "both", "--output", "csv") == 1
    err = capsys.readouterr().err
    assert err.count("skipped: ") == err.count("six.wav: found 6 channels") == 1 and "1 of 1 files could not be used" in err


def test_every_channel_has_a_picture(model, calls, tmp_path):
    assert run("--model", model, calls / "call.wav", "--channel", "both", "--plot", tmp_path) == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == ["call-left.png", "call-right.png"]


# ---------------------------------------------------------------------------------------------------- speakers by folders


@pytest.fixture(scope="module")
def speakers(tmp_path_factory):
    """Ten recordings of anna, one of them deeper, nine of ben and one that is broken."""
    folder = tmp_path_factory.mktemp("speakers")
    for number in range(10):
        for seed, name in enumerate(("anna", "ben")):
            path = folder / name / ("later" if (name, number) == ("anna", 9) else "") / f"{number}.wav"
            path.parent.mkdir(parents=True, exist_ok=True)
            soundfile.write(path, (1 + seed) * 0.3 * make_noise(10 * number + seed, 1), 16_000)
    (folder / "ben" / "9.wav").write_bytes(b"RIFF")
    return folder


def test_each_speakers_recordings_are_adapted_to_their_own_mean(model, speakers, capsys):
    anna = sorted((speakers / "anna").rglob("*.wav"), key=lambda path: path.stem)
    predictor = load_predictor(model)
    adapted = {str(path): outcome.scores for path, outcome in predictor.predict_files(anna, adapt_to=anna)}
    plain = dict(predictor.predict_files(sorted((speakers / "ben").glob("[0-8].wav"))))
    expected = adapted | {str(path): outcome.scores for path, outcome in plain.items()}
    assert run("--model", model, speakers, "--speakers-from-folders", "--output", "csv") == 1
    out, err = capsys.readouterr()
    rows = read_rows(out)
    assert [row["file"] for row in rows] == list(expected)
    for row in rows:
        np.testing.assert_allclose([float(row[name]) for name in ("anger", "joy", "neutral")], expected[row["file"]], atol=1e-4)
    assert f"note: {speakers}/ben: not adapted, with 9 recordings that can be read of at least 10" in err
    assert err.count("note: ") == 1 and err.count("skipped: ") == 1 and "ben/9.wav: found" in err
    alone = predictor.predict_file(anna[0]).scores
    assert abs(alone - expected[str(anna[0])]).max() > 1e-3


def test_files_that_cannot_be_used_are_not_adapted_to(model, speakers, tmp_path, capsys):
    anna = sorted((speakers / "anna").rglob("*.wav"))
    assert run("--model", model, anna[0], "--adapt", speakers / "anna", "--output", "csv") == 0
    out, err = capsys.readouterr()
    assert "cannot be used" not in err
    for path in anna:
        shutil.copy(path, tmp_path)
    for number in range(5):
        (tmp_path / f"broken{number}.wav").write_bytes(b"RIFF" * (number > 0))
    assert run("--model", model, anna[0], "--adapt", tmp_path, "--output", "csv") == 0
    noted = "note: --adapt: 5 of 15 recordings cannot be used: broken0.wav, broken1.wav, broken2.wav and 2 more"
    adapted = capsys.readouterr()
    assert noted in adapted.err and adapted.out == out
    (tmp_path / "0.wav").unlink()
    assert run("--model", model, anna[0], "--adapt", tmp_path) == 2
    err = capsys.readouterr().err
    assert "--adapt: 5 of 14 recordings cannot be used" in err and "--adapt: found 9 recordings; expected" in err


def test_ten_recordings_get_the_hint_that_one_can_adapt(model, speakers, capsys):
    anna = speakers / "anna"
    for words, is_there in (((), True), (("--adapt", anna), False), (("--speakers-from-folders",), False)):
        assert run("--model", model, anna, *words) == 0
        assert ("may be recognised better with --adapt FOLDER" in capsys.readouterr().err) is is_there
    assert run("--model", model, speakers / "ben") == 1
    assert "--adapt" not in capsys.readouterr().err  # nine can be read


def test_speakers_are_the_folders_below_what_is_named(tmp_path):
    paths = [tmp_path / name for name in ("a/1.wav", "a/x/2.wav", "a/y/3.wav", "b/4.wav", "5.wav")]
    assert {folder.name: len(group) for folder, group in group_by_speaker([tmp_path], paths).items()} == {
        "a": 3,
        "b": 1,
        tmp_path.name: 1,
    }
    named = group_by_speaker([tmp_path / "a", tmp_path / "b" / "4.wav"], paths[:4])
    assert {folder.name: len(group) for folder, group in named.items()} == {"a": 1, "x": 1, "y": 1, "b": 1}
    channels = group_by_speaker([tmp_path], choose_channels(paths, "left"))
    assert [len(group) for group in channels.values()] == [3, 1, 1]


def test_speakers_of_many_files_and_of_folders_within_folders():
    """Of two named folders that hold a recording, the first one named tells the speaker, however many files are named."""
    whole, inner = Path("calls"), Path("calls/ann")
    recordings = [Path("calls/ann/monday/1.wav"), Path("calls/bob/2.wav"), Path("other/3.wav")]
    assert list(group_by_speaker([whole, inner, whole], recordings)) == [inner, Path("calls/bob"), Path("other")]
    assert list(group_by_speaker([inner, whole], recordings)) == [inner / "monday", Path("calls/bob"), Path("other")]
    many = [Path(f"other/{number}.wav") for number in range(5_000)]
    started = time.monotonic()
    assert group_by_speaker(many, many) == {Path("other"): many}
    assert time.monotonic() - started < 5


def test_whom_to_adapt_to_is_said_once(model, speakers, capsys):
    assert run("--model", model, speakers, "--speakers-from-folders", "--adapt", speakers) == 2
    assert "found both; expected one" in capsys.readouterr().err
    assert run("--model", model, speakers, "--speakers-from-folders", "--channel", "both") == 2
    assert "--channel left and --channel right one after the other" in capsys.readouterr().err


# ------------------------------------------------------------------------------------------------------------------- hints


def test_a_long_recording_is_told_of_the_timeline(model, tmp_path, capsys):
    soundfile.write(tmp_path / "long.wav", np.tile(make_noise(0, 1), 31), 16_000)
    soundfile.write(tmp_path / "short.wav", np.tile(make_noise(0, 1), 30), 16_000)
    assert run("--model", model, tmp_path) == 0
    hint = "long.wav lasts over 30 s, and got a single answer; --timeline tells how it goes on"
    assert capsys.readouterr().err.strip().endswith(hint)
    soundfile.write(tmp_path / "call.wav", np.tile(make_noise(0, 1)[:, np.newaxis], (31, 2)), 16_000)
    assert run("--model", model, tmp_path / "call.wav", "--channel", "left") == 0
    assert "call.wav, left channel lasts over 30 s" in capsys.readouterr().err
    (tmp_path / "call.wav").unlink()
    assert run("--model", model, tmp_path, "--timeline") == 0
    assert "lasts over" not in capsys.readouterr().err
    (tmp_path / "again.wav").write_bytes((tmp_path / "long.wav").read_bytes())
    assert run("--model", model, tmp_path) == 0
    assert "note: 2 recordings last over 30 s, and got a single answer each" in capsys.readouterr().err
