"""Predictors that read whole utterances: one file, any length, and the same scores whether streamed or given as a whole."""

import csv
import io
import json
import weakref
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import soundfile
from fabricated import draw_components, fill_with_noise

keras = pytest.importorskip("keras")

from began import utterance_encoder  # noqa: E402
from began.encoder import load_frozen_encoder  # noqa: E402
from began.errors import InputError  # noqa: E402
from began.front_end import stream_speech  # noqa: E402
from began.keras_file import attach_json  # noqa: E402
from began.networks import build_encoder  # noqa: E402
from began.spectrogram import SpectrogramConfig, stream_spectrogram  # noqa: E402
from began.utterance_encoder import UtteranceEncoder, fill_up  # noqa: E402
from classifiers import output_formats, predict, utterance_predictor  # noqa: E402
from classifiers.head_parameters import UTTERANCE, choose_statistics, resolve_parameters  # noqa: E402
from classifiers.heads import build_head  # noqa: E402
from classifiers.predictor import NO_CHOICE, build_predictor, load_predictor, save_predictor  # noqa: E402
from classifiers.utterance_predictor import UtteranceReader  # noqa: E402

LABELS = ["anger", "joy", "neutral"]


@pytest.fixture(scope="module")
def encoder(tmp_path_factory):
    path = tmp_path_factory.mktemp("encoder") / "encoder.keras"
    build_encoder(base_filters=2, latent_size=8, seed=1).save(path)
    attach_json(path, "spectrogram", SpectrogramConfig.of("normalized").to_dict())
    return UtteranceEncoder.of(load_frozen_encoder(path), components=draw_components(2))


def save_model(encoder, path, task="categorical", **parameters):
    resolved = resolve_parameters(task, parameters, UTTERANCE)
    shape = (40, 1, len(choose_statistics(resolved, encoder.statistics)))
    generator = np.random.default_rng(0)
    normalization = generator.normal(size=(40, shape[2])), generator.uniform(0.01, 0.1, (40, shape[2]))
    n_outputs = 3 if task == "categorical" else 2
    head = fill_with_noise(build_head(task, shape, n_outputs, parameters, 1, normalization, UTTERANCE))
    metadata = {"task": task, "kind": UTTERANCE, "parameters": resolved, "speeds": [1.0, 0.9], "tail": "overlap"}
    metadata |= {"aggregation": "mean", "corpus": "toy"} | ({"labels": LABELS} if task == "categorical" else {})
    save_predictor(path, build_predictor(encoder, head, metadata))
    return path


@pytest.fixture(scope="module")
def model(encoder, tmp_path_factory):
    return save_model(encoder, tmp_path_factory.mktemp("model") / "model.keras")


@pytest.fixture(scope="module")
def sound(tmp_path_factory):
    """Seven seconds with a second of silence at both ends."""
    path, generator = tmp_path_factory.mktemp("sound") / "a.wav", np.random.default_rng(0)
    speech = (0.02 + np.abs(np.sin(np.arange(80_000) / 800))) * generator.standard_normal(80_000) / 10
    soundfile.write(path, np.pad(speech, 16_000), 16_000)
    return path


@pytest.mark.parametrize(
    ("task", "parameters"),
    [
        ("categorical", {}),
        ("categorical", {"blocks": "first", "n_convolutions": 0}),
        ("categorical", {"statistics": "spread_mean", "correlations": "none"}),
        ("dimensional", {}),
    ],
)
def test_a_streamed_file_scores_as_the_network_says(encoder, sound, tmp_path, monkeypatch, task, parameters):
    predictor = load_predictor(save_model(encoder, tmp_path / "model.keras", task, **parameters))
    monkeypatch.setattr(utterance_encoder, "BLOCK_FRAMES", 64)
    ((_, found),) = predictor.predict_files([sound], average_speeds=False)
    speech = stream_speech(sound, "normalized")
    spectrogram = np.concatenate(list(stream_spectrogram(speech, predictor.spectrogram)), axis=1)
    outputs = predictor.model.predict_on_batch(fill_up(spectrogram, predictor.spectrogram)[np.newaxis, ..., np.newaxis])
    np.testing.assert_allclose(found.scores, np.concatenate(keras.tree.flatten(outputs), axis=1)[0], atol=1e-4)


def test_the_file_holds_stock_layers_alone(model):
    plain = keras.models.load_model(model, compile=False, safe_mode=True)
    assert plain.input_shape == (None, 512, None, 1) and plain.output_shape == (None, 3)


def test_scores_are_averaged_over_the_speeds(model, encoder, sound):
    predictor = load_predictor(model)
    columns = choose_statistics(predictor.metadata["parameters"], encoder.statistics)
    embedded = np.stack([encoder.embed_file(sound, speed) for speed in (1.0, 0.9)])[..., columns]
    expected = predictor.model.get_layer("head").predict_on_batch(embedded).mean(axis=0)
    np.testing.assert_allclose(predictor.predict_file(sound).scores, expected, atol=1e-5)


@pytest.mark.parametrize(("gain", "before", "after"), [(0.25, 0, 0), (1.0, 48_000, 16_000)])
def test_gain_and_silence_around_change_next_to_nothing(model, sound, tmp_path, gain, before, after):
    predictor, waveform = load_predictor(model), soundfile.read(sound, dtype="float32")[0]
    soundfile.write(tmp_path / "b.wav", np.pad(gain * waveform, (before, after)), 16_000, subtype="FLOAT")
    np.testing.assert_allclose(
        predictor.predict_file(tmp_path / "b.wav").scores, predictor.predict_file(sound).scores, atol=0.01
    )


def test_windows_show_the_speech_over_time(model, sound):
    ((_, found),) = load_predictor(model).predict_files([sound], windows=(3.0, 1.0))
    assert len(found.chunk_scores) == 3 and found.chunk_seconds == 3.0
    np.testing.assert_allclose(found.start_seconds, [1, 2, 3], atol=0.02)  # where the speech begins, to 3 s before it ends
    np.testing.assert_allclose(found.edges_seconds, [1, 3, 4, 6], atol=0.02)
    np.testing.assert_allclose(found.chunk_scores.sum(axis=1), 1, atol=1e-5)


def test_a_recording_shorter_than_a_window_is_one(model, tmp_path):
    soundfile.write(tmp_path / "b.wav", np.random.default_rng(0).standard_normal(8_000) / 10, 16_000)
    ((_, found),) = load_predictor(model).predict_files([tmp_path / "b.wav"], windows=(3.0, 1.0))
    np.testing.assert_allclose(found.chunk_scores[0], found.scores, atol=1e-6)
    np.testing.assert_allclose(found.edges_seconds, [0, 0.5])


def test_a_bad_file_is_an_outcome_among_others(model, sound, tmp_path):
    (tmp_path / "bad.wav").write_bytes(b"RIFF")
    outcomes = dict(load_predictor(model).predict_files([sound, tmp_path / "bad.wav", sound]))
    assert "bad.wav" in str(outcomes[tmp_path / "bad.wav"]) and abs(outcomes[sound].scores.sum() - 1) < 1e-5


def run(*argv):
    from began.command_line import run_script

    return run_script(predict.main, predict.make_parser(), [str(word) for word in argv])


def test_answers_are_restricted_to_the_labels_that_can_occur(model, sound, capsys):
    assert run("--model", model, sound, "--labels", "joy, neutral", "--output", "csv") == 0
    header, row = (line.split(",") for line in capsys.readouterr().out.splitlines())
    scores = dict(zip(header[-4:-1], map(float, row[-4:-1]), strict=True))
    assert scores["anger"] == 0 and scores["joy"] + scores["neutral"] == pytest.approx(1, abs=1e-3)
    assert run("--model", model, sound, "--labels", "joy,rage") == 2
    assert "at least two of anger, joy, neutral" in capsys.readouterr().err


def test_the_timeline_and_a_picture(model, sound, tmp_path, capsys):
    assert run("--model", model, sound, "--timeline", "--window", 2, "--hop", 1, "--plot", tmp_path / "pictures") == 0
    assert capsys.readouterr().out.count(" s  ") == 4
    assert (tmp_path / "pictures" / "a.png").stat().st_size > 10_000
    assert run("--model", model, sound, "--timeline", "--hop", 9) == 2


@pytest.mark.parametrize("option", ["--window", "--hop"])
def test_windows_that_nothing_shows_are_refused(model, sound, capsys, option):
    assert run("--model", model, sound, option, 1) == 2
    assert f"{option}: found neither --timeline nor --plot; expected" in capsys.readouterr().err


@pytest.fixture(scope="module")
def broken_off(tmp_path_factory):
    """Speech for 3 s, then nothing but noise at 1e-4 of full scale for 6 s, then speech for 3 s."""
    path, generator = tmp_path_factory.mktemp("pause") / "pause.wav", np.random.default_rng(0)
    loudness = np.repeat([0.1, 1e-4, 0.1], np.multiply([3, 6, 3], 16_000))
    soundfile.write(path, loudness * generator.standard_normal(len(loudness)), 16_000, subtype="FLOAT")
    return path


@pytest.mark.parametrize("task", ["categorical", "dimensional"])
def test_nothing_is_claimed_for_windows_without_speech(encoder, broken_off, tmp_path, capsys, task):
    model = save_model(encoder, tmp_path / "model.keras", task)
    words = ["--model", model, broken_off, "--timeline", "--hop", 3, "--output"]
    assert run(*words, "text") == 0
    lines = capsys.readouterr().out.splitlines()[1:]
    assert [line.strip() for line in lines[1:3]] == ["3.0–6.0 s  no speech", "6.0–9.0 s  no speech"]
    assert len(lines) == 4 and not [line for line in (lines[0], lines[3]) if "no speech" in line]
    assert run(*words, "json") == 0
    (entry,) = json.loads(capsys.readouterr().out)
    for number, row in enumerate(entry["timeline"]):
        scores = list(row["probabilities"].values()) if task == "categorical" else [row["arousal"], row["valence"]]
        assert [score is None for score in scores] == [number in (1, 2)] * len(scores)
        assert ("prediction" in row and row["prediction"] is None) == (task == "categorical" and number in (1, 2))
        assert row["notes"] == (["no speech"] if number in (1, 2) else [])
    for form, n_before in (("csv", 2), ("audformat", 1)):
        assert run(*words, form) == 0
        table = list(csv.reader(io.StringIO(capsys.readouterr().out)))[n_before:]
        for row, is_pause in zip(table, (False, True, True, False), strict=True):
            assert (row[-1] == "no speech", not any(row[-3:-1])) == (is_pause, is_pause)
    assert run(*words, "text", "--plot", tmp_path) == 0
    assert (tmp_path / "pause.png").stat().st_size > 10_000


def test_pauses_at_the_ends_of_a_window_do_not_count(model, broken_off, tmp_path):
    predictor, waveform = load_predictor(model), soundfile.read(broken_off, dtype="float32")[0]
    soundfile.write(tmp_path / "b.wav", waveform[:48_000], 16_000, subtype="FLOAT")
    ((_, alone),) = predictor.predict_files([tmp_path / "b.wav"], average_speeds=False)
    ((_, found),) = predictor.predict_files([broken_off], windows=(6.0, 6.0))
    np.testing.assert_allclose(found.chunk_speech_seconds, [3, 3], atol=0.02)
    np.testing.assert_allclose(found.chunk_scores[0], alone.scores, atol=0.01)


def test_behind_the_literal_front_end_all_of_a_window_is_heard(model, broken_off):
    predictor, samples = load_predictor(model), soundfile.read(broken_off, dtype="float32")[0]
    for front_end, seconds in (("literal", 12.0), ("normalized", 6.2)):
        reader = UtteranceReader(predictor.model, SpectrogramConfig.of(front_end), predictor.metadata["parameters"])
        assert reader._hear([samples], 1.0)[1] == pytest.approx(seconds, abs=0.05)


def test_a_long_pause_inside_a_recording_hardly_changes_its_answer(model, broken_off, tmp_path, monkeypatch):
    """Speech, 6 s of next to nothing, speech: heard as if the pause had 0.2 s."""
    predictor, waveform = load_predictor(model), soundfile.read(broken_off, dtype="float32")[0]
    shortened = np.concatenate([waveform[: 48_000 + 1_600], waveform[-48_000 - 1_600 :]])
    soundfile.write(tmp_path / "b.wav", shortened, 16_000, subtype="FLOAT")
    expected = predictor.predict_file(tmp_path / "b.wav")
    found = predictor.predict_file(broken_off)
    np.testing.assert_allclose(found.scores, expected.scores, atol=0.01)
    assert found.distance == pytest.approx(expected.distance, rel=0.01)
    monkeypatch.setattr(utterance_predictor, "shorten_pauses", lambda blocks, gain, speed: blocks)
    assert predictor.predict_file(broken_off).distance != pytest.approx(expected.distance, rel=0.05)


def test_speech_that_a_beep_makes_silent_is_noted(model, tmp_path):
    """The loud sound is all that is heard."""
    speech = np.random.default_rng(0).standard_normal(48_000) / 1_000
    beep = 0.5 * np.sin(2 * np.pi * 1_000 * np.arange(4_800) / 16_000)
    predictor, notes = load_predictor(model), []
    for parts in ([speech], [beep, speech], [beep, speech, beep]):
        soundfile.write(tmp_path / "a.wav", np.concatenate(parts), 16_000, subtype="FLOAT")
        notes.append(predictor.notes_on(predictor.predict_file(tmp_path / "a.wav")))
    assert notes == [[], ["heard: 0.3 of 3.3 s"], ["heard: 0.8 of 3.6 s"]]


def test_windows_that_the_model_is_not_sure_of_are_noted(model, sound):
    predictor = load_predictor(model)
    predictor.metadata["calibration"] = {"far_distance": 0.0}
    ((_, found),) = predictor.predict_files([sound], windows=(3.0, 1.0))
    certain = np.tile([0.0, 0.4, 0.6], (3, 1))
    found = replace(found, chunk_scores=np.where([[True], [False], [False]], 1 / 3, certain))
    assert [predictor.notes_on_chunk(found, number) for number in range(3)] == [["unsure"], [], []]


@pytest.mark.parametrize(("seconds", "notes"), [(0.006, "short: 0.006 s"), (0.1, "short: 0.1 s"), (0.31, None)])
def test_short_recordings_are_noted_in_every_form(model, tmp_path, capsys, seconds, notes):
    n_samples = round(seconds * 16_000)
    soundfile.write(tmp_path / "a.wav", np.random.default_rng(0).standard_normal(n_samples) / 10, 16_000)
    expected = [f"{notes} of speech", "unsure"] if notes else []
    assert run("--model", model, tmp_path, "--timeline", "--output", "json") == 0
    (entry,) = json.loads(capsys.readouterr().out)
    assert entry["notes"] == entry["timeline"][0]["notes"] == expected and entry["prediction"] in LABELS
    for form in ("csv", "audformat", "text"):
        assert run("--model", model, tmp_path, "--output", form) == 0
        last = capsys.readouterr().out.splitlines()[-1]
        assert last.endswith(("  — " if form == "text" else "; ").join(expected)) and ("unsure" in last) == bool(notes)


def test_a_syllable_in_a_window_is_noted(model, tmp_path):
    loudness = np.repeat([0.1, 0, 0.1], [48_000, 46_400, 1_600])
    soundfile.write(tmp_path / "a.wav", loudness * np.random.default_rng(0).standard_normal(96_000), 16_000)
    predictor = load_predictor(model)
    ((_, found),) = predictor.predict_files([tmp_path / "a.wav"], windows=(3.0, 3.0))
    assert [predictor.notes_on_chunk(found, number) for number in range(2)] == [[], ["short: 0.1 s of speech", "unsure"]]


def test_about_says_what_the_model_is(model, capsys):
    assert run("--model", model, "--about") == 0
    text = capsys.readouterr().out
    assert "kind: utterance" in text and "labels: anger, joy, neutral" in text and "corpus: toy" in text


def test_one_of_the_allowed_answers_is_given_also_where_all_have_no_probability(model):
    predictor = load_predictor(model).restrict(["joy", "neutral"])
    scores = predictor._restrict(np.array([[1.0, 0.0, 0.0], [0.5, 0.1, 0.4]]))
    np.testing.assert_allclose(scores, [[0, 0.5, 0.5], [0, 0.2, 0.8]])
    none, some = (SimpleNamespace(scores=row, distance=None, speech_seconds=None, unrestricted=None) for row in scores)
    assert predictor.notes_on(none) == [NO_CHOICE] and predictor.notes_on(some) == []
    assert output_formats._describe(predictor, scores[0]).startswith("joy 50 %")  # the first of equals, as in other formats


@pytest.mark.parametrize(
    ("joy_and_neutral", "note"),
    [
        ((0.5, 0.4), None),
        ((0.06, 0.05), None),
        ((0.005, 0.002), "all chosen answers together had 0.7 %"),
        ((3e-5, 1e-5), "all chosen answers together had less than 0.1 %"),
    ],
)
def test_what_little_the_chosen_answers_had_is_noted(model, sound, joy_and_neutral, note):
    predictor = load_predictor(model)
    ((_, found),) = predictor.predict_files([sound], windows=(3.0, 1.0))
    scores = np.array([1 - sum(joy_and_neutral), *joy_and_neutral])
    certain = replace(found, scores=scores, chunk_scores=np.stack([scores, found.chunk_scores[1], found.chunk_scores[2]]))
    restricted = predictor.restrict(["joy", "neutral"])
    prediction = restricted.restrict_prediction(certain)
    assert restricted.notes_on(prediction) == restricted.notes_on_chunk(prediction, 0) == ([note] if note else [])
    assert restricted.notes_on_chunk(prediction, 1) == [] == predictor.notes_on(certain)


@pytest.mark.parametrize(
    "change",
    [
        {"speeds": []},
        {"speeds": [40]},
        {"parameters": {"filters": 0}},
        {"parameters": {"blocks": "first"}},
        {"labels": ["anger"] * 3},
        {"kind": "word"},
    ],
)
def test_a_damaged_description_is_refused(model, tmp_path, change, capsys):
    import shutil

    from began.keras_file import read_attached_json

    path = tmp_path / "model.keras"
    shutil.copy(model, path)
    attach_json(path, "head", {**read_attached_json(model, "head"), **change})
    assert run("--model", path, path) == 2
    assert "model.keras: found " in capsys.readouterr().err


def test_exported_as_a_saved_model_it_gives_the_same(model, tmp_path):
    assert run("--model", model, "--export", "saved_model", "--export-to", tmp_path / "exported") == 0
    assert (tmp_path / "exported" / "head.json").is_file()


def test_adapting_takes_the_recordings_mean_for_that_of_the_training_part(model, encoder, sound, tmp_path, capsys):
    generator = np.random.default_rng(5)
    for number in range(10):
        soundfile.write(tmp_path / f"{number}.wav", generator.standard_normal(20_000) / 10, 16_000)
    paths = sorted(tmp_path.iterdir())
    predictor = load_predictor(model)
    columns = choose_statistics(predictor.metadata["parameters"], encoder.statistics)
    head = predictor.model.get_layer("head")
    trained = np.asarray(head.get_layer("normalization").mean).reshape(40, 1, -1)
    mean = np.mean([encoder.embed_file(path)[..., columns] for path in paths], axis=0)
    expected = head.predict_on_batch((encoder.embed_file(sound)[..., columns] - mean + trained)[np.newaxis])[0]
    ((_, found),) = predictor.predict_files([sound], average_speeds=False, adapt_to=paths)
    np.testing.assert_allclose(found.scores, expected, atol=1e-4)
    assert run("--model", model, sound, "--adapt", tmp_path) == 0
    paths[0].unlink()
    capsys.readouterr()
    assert run("--model", model, sound, "--adapt", tmp_path, "--output", "csv") == 2
    said = capsys.readouterr()
    assert "found 9 recordings; expected at least 10" in said.err and said.out == ""


def test_adapting_holds_the_statistics_of_few_recordings_at_a_time(model, monkeypatch):
    class Statistics(np.ndarray):
        __hash__ = object.__hash__

    predictor, held = load_predictor(model), weakref.WeakSet()

    def embed(reader, path):
        held.add(statistics := np.ones((1, 40, 1, len(reader._columns)), np.float32).view(Statistics))
        assert len(held) <= 3
        return statistics

    monkeypatch.setattr(utterance_predictor, "load_recording", lambda path: path)
    monkeypatch.setattr(UtteranceReader, "_embed", embed)
    UtteranceReader(predictor.model, predictor.spectrogram, predictor.metadata["parameters"], adapt_to=[Path("a.wav")] * 20)


@pytest.mark.parametrize(("far_distance", "notes"), [(1e9, []), (0.0, ["unlike the training recordings"])])
def test_recordings_far_from_the_training_data_are_noted(model, sound, tmp_path, capsys, far_distance, notes):
    described = load_predictor(model)
    described.metadata["calibration"] = {"far_distance": far_distance}
    save_predictor(tmp_path / "model.keras", described)
    loaded = load_predictor(tmp_path / "model.keras")
    prediction = loaded.predict_file(sound)
    assert prediction.distance > 0 and [note for note in loaded.notes_on(prediction) if note != "unsure"] == notes
    even, certain = np.full(3, 1 / 3), np.array([0.0, 0.4, 0.6])
    assert "unsure" in loaded.notes_on(replace(prediction, scores=even))
    assert "unsure" not in loaded.notes_on(replace(prediction, scores=certain))
    assert load_predictor(model).notes_on(replace(prediction, scores=even)) == []  # it was not calibrated
    assert run("--model", tmp_path / "model.keras", sound, "--output", "json") == 0
    assert json.loads(capsys.readouterr().out)[0]["notes"] == loaded.notes_on(prediction)
    assert run("--model", tmp_path / "model.keras", sound) == 0
    assert ("unlike the training recordings" in capsys.readouterr().out) == bool(notes)


def test_a_strangers_calibration_is_refused(model, tmp_path):
    described = load_predictor(model)
    described.metadata["calibration"] = {"far_distance": "near"}
    save_predictor(tmp_path / "model.keras", described)
    with pytest.raises(InputError, match="calibration that cannot be used"):
        load_predictor(tmp_path / "model.keras")
