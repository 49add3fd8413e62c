"""Features of sound files in other people's hands: as an array, in a scikit-learn pipeline, as a file, and through HEAR."""

import csv
import importlib.util
import pickle
import re
import shutil
import sys
import types

import numpy as np
import pandas as pd
import pytest
import soundfile
from documents import ROOT, find_blocks

keras = pytest.importorskip("keras")

from sklearn.base import clone  # noqa: E402
from sklearn.linear_model import LogisticRegression  # noqa: E402
from sklearn.model_selection import LeaveOneGroupOut, cross_validate  # noqa: E402
from sklearn.pipeline import make_pipeline  # noqa: E402
from sklearn.utils.estimator_checks import check_estimator  # noqa: E402

from began import published_networks  # noqa: E402
from began.command_line import run_script  # noqa: E402
from began.encoder import LAYERS, load_frozen_encoder  # noqa: E402
from began.errors import InputError  # noqa: E402
from began.find_sounds import list_files  # noqa: E402
from began.front_end import stream_speech  # noqa: E402
from began.keras_file import attach_json, read_attached_json  # noqa: E402
from began.networks import build_encoder  # noqa: E402
from began.representation import embed, represent_corpus, represent_utterances  # noqa: E402
from began.spectrogram import stream_spectrogram  # noqa: E402
from began.transformer import SpeechFeatures  # noqa: E402
from began.utterance_encoder import UtteranceEncoder  # noqa: E402
from began.utterance_features import FEATURES, choose_windows, open_features  # noqa: E402
from experiments import embed as command  # noqa: E402

N_CHANNELS = 2 + 4 + 6 + 8
"""Of the four blocks of the tiny encoder together."""


@pytest.fixture(scope="module")
def sounds(tmp_path_factory):
    """Six recordings, two of each of three speakers: one soft and even, one in syllables."""
    folder, generator = tmp_path_factory.mktemp("sounds"), np.random.default_rng(0)
    paths = []
    for speaker in "abc":
        for kind, frequency in (("even", 0.0), ("syllables", 4.0)):
            time = np.arange(40_000) / 16_000
            envelope = 0.05 + np.abs(np.sin(np.pi * frequency * time)) if frequency else 0.1
            paths.append(folder / f"{speaker}_{kind}.wav")
            soundfile.write(paths[-1], envelope * generator.uniform(-0.5, 0.5, len(time)), 16_000)
    return paths


# ------------------------------------------------------------------------------------------------------------ as arrays


def test_features_are_the_chosen_statistics_of_the_speech(tiny_encoder, sounds):
    encoder = UtteranceEncoder.of(load_frozen_encoder(tiny_encoder), "normalized")
    speech = stream_spectrogram(stream_speech(sounds[1], "normalized"), encoder.config)
    whole = encoder.embed(speech)[:, 0]  # (40, n_statistics): block 1 has 2 channels, mean first
    found = embed([sounds[0], str(sounds[1])], tiny_encoder)
    assert found.shape == (2, 40 * 3 * N_CHANNELS) and found.dtype == np.float32
    names = open_features(tiny_encoder).names
    assert len(set(names)) == found.shape[1]
    for name, value in (
        ("block1_deviation_channel0_band0", whole[0, 2]),
        ("block1_deviation_channel1_band7", whole[7, 3]),
        ("block1_maximum_channel0_band39", whole[39, 4]),
        ("block2_deviation_channel3_band5", whole[5, 8 + 4 + 3]),
        ("block4_minimum_channel7_band39", whole[39, 4 * N_CHANNELS - 1]),
    ):
        assert found[1, names.index(name)] == np.float32(np.float16(value)), name


def test_all_features_have_names_that_say_what_they_are(tiny_encoder, sounds):
    features = open_features(tiny_encoder, statistics=FEATURES)
    row = dict(zip(features.names, features.embed_file(sounds[1]), strict=True))
    assert len(row) == 40 * (4 * N_CHANNELS + 4 * 40)
    of_blocks = features.encoder.embed_file(sounds[1])[:, 0, -160:].reshape(40, 4, 40)
    assert row["block2_correlations_component9_component3"] == np.float32(np.float16(of_blocks[3, 1, 9]))
    assert row["block2_correlations_component9_component3"] == row["block2_correlations_component3_component9"]
    assert row["block2_correlations_component3_component3"] == pytest.approx(1, abs=0.1)


def test_the_cache_gives_the_same_and_is_used(tiny_encoder, sounds, tmp_path, monkeypatch):
    direct = embed(sounds, tiny_encoder)
    np.testing.assert_array_equal(embed(sounds[:3], tiny_encoder, cache_dir=tmp_path), direct[:3])
    np.testing.assert_array_equal(embed(sounds, tiny_encoder, cache_dir=tmp_path), direct)
    monkeypatch.setattr(UtteranceEncoder, "embed_file", None)  # whatever is asked for now lies there
    np.testing.assert_array_equal(embed(sounds[::-1], tiny_encoder, cache_dir=tmp_path), direct[::-1])


def test_a_file_in_the_place_of_the_cache_is_named(tiny_encoder, sounds, tmp_path):
    (tmp_path / "x.wav").touch()
    for cache_dir in (tmp_path / "x.wav", tmp_path / "x.wav" / "cache"):
        with pytest.raises(InputError, match=r"/x\.wav: found a file; expected a folder\."):
            SpeechFeatures(tiny_encoder, cache_dir=cache_dir).transform(sounds[:1])


def test_another_encoder_under_the_same_name_is_opened(tiny_encoder, sounds, tmp_path):
    path = tmp_path / "encoder.keras"
    path.write_bytes(tiny_encoder.read_bytes())
    before = embed(sounds[0], path)
    model = keras.models.load_model(path)
    model.set_weights([weights * 2 for weights in model.get_weights()])
    spectrogram = read_attached_json(path, "spectrogram")
    model.save(path)
    attach_json(path, "spectrogram", spectrogram)
    assert np.abs(embed(sounds[0], path) - before).max() > 0.01


def test_no_files_give_no_rows(tiny_encoder):
    assert embed([], tiny_encoder).shape == (0, 40 * 3 * N_CHANNELS)


@pytest.mark.parametrize("convert", [str, lambda path: path])
def test_one_path_in_place_of_a_list(tiny_encoder, sounds, tmp_path, convert):
    """Its letters are no files, nor is the folder that its first letter names."""
    one = convert(sounds[0])
    encoder = load_frozen_encoder(tiny_encoder)
    assert embed(one, tiny_encoder).shape[0] == 1
    assert set(represent_corpus(encoder, one, tmp_path).utterance) == {0}
    assert len(represent_utterances(UtteranceEncoder.of(encoder), one, tmp_path)) == 1
    assert list_files(one) == [one]


@pytest.mark.parametrize("files", [["a.wav", 3], None, 3, np.array("a.wav"), pd.DataFrame({"a": ["a.wav"], "b": ["b.wav"]})])
def test_what_is_no_path_is_refused(files):
    with pytest.raises(InputError, match=r"(?s)files: found .+ \(\w+\); expected paths of sound files"):
        list_files(files)


def test_paths_may_be_a_column():
    table = pd.DataFrame({"path": ["a.wav", "b.wav"]})
    for column in (table, table["path"], table.to_numpy(), table["path"].to_numpy()):
        assert list_files(column) == ["a.wav", "b.wav"]


@pytest.mark.parametrize(
    ("options", "found"),
    [
        ({"statistics": ["median"]}, "statistics: found median; expected some of mean, deviation"),
        ({"statistics": []}, "statistics: found none"),
        ({"front_end": "loud"}, "front_end: found loud; expected some of literal, trimmed, normalized"),
        ({"encoder": "no.keras"}, "no.keras: found no such file"),
    ],
)
def test_settings_that_cannot_be(options, found):
    with pytest.raises(InputError, match=found):
        embed([], **options)


def test_a_window_is_an_utterance_of_its_own(tiny_encoder, tmp_path):
    """Times count from the beginning of the file, and the last window ends where the speech does."""
    speech = np.random.default_rng(0).uniform(-0.5, 0.5, 56_000)
    soundfile.write(tmp_path / "a.wav", np.pad(speech, (16_000, 32_000)), 16_000)
    features = open_features(tiny_encoder)
    starts, ends, rows = zip(*features.embed_windows(tmp_path / "a.wav", 2.0, 1.0), strict=True)
    np.testing.assert_allclose(starts, [1.0, 2.0, 2.5], atol=0.01)
    np.testing.assert_allclose(ends, np.add(starts, 2.0), atol=1e-9)
    levelled = np.concatenate(list(stream_speech(tmp_path / "a.wav", "normalized")))
    for row, window in zip(rows, (levelled[:32_000], levelled[16_000:48_000], levelled[-32_000:]), strict=True):
        np.testing.assert_array_equal(row, features.embed_speech([window]))
    ((start, end, row),) = features.embed_windows(tmp_path / "a.wav", 30.0, 30.0)
    assert (round(start, 1), round(end, 1)) == (1.0, 4.5)
    np.testing.assert_array_equal(row, features.embed_file(tmp_path / "a.wav"))


def test_pauses_at_the_ends_of_a_window_do_not_count(tiny_encoder, tmp_path):
    """Features of a window that is half a pause are those of its speech alone."""
    speech, pause = np.random.default_rng(0).uniform(-0.5, 0.5, (2, 32_000)) * [[1.0], [1e-4]]
    soundfile.write(tmp_path / "a.wav", speech, 16_000)
    soundfile.write(tmp_path / "b.wav", np.concatenate([speech, pause, speech]), 16_000)
    features = open_features(tiny_encoder)
    (start, end, row), _ = features.embed_windows(tmp_path / "b.wav", 4.0, 4.0)
    assert (round(start, 1), round(end, 1)) == (0.0, 4.0)
    np.testing.assert_allclose(row, features.embed_file(tmp_path / "a.wav"), atol=0.05)
    assert np.abs(row - features.embed_speech([np.concatenate([speech, pause])])).max() > 0.2  # what it would be with the pause


def test_the_published_encoder_is_the_default(sounds):
    assert published_networks.ENCODER.is_file() and published_networks.MODEL.is_file()
    np.testing.assert_array_equal(embed(sounds[:1]), embed(sounds[:1], published_networks.ENCODER))


# --------------------------------------------------------------------------------------------------- in scikit-learn


def test_a_pipeline_is_cross_validated_on_paths(tiny_encoder, sounds, tmp_path):
    files = np.array([str(path) for path in sounds])
    labels = np.array([path.stem.split("_")[1] for path in sounds])
    classifier = make_pipeline(SpeechFeatures(tiny_encoder, cache_dir=tmp_path / "cache"), LogisticRegression())
    scores = cross_validate(
        classifier, files, labels, groups=[path.stem[0] for path in sounds], cv=LeaveOneGroupOut(), error_score="raise"
    )
    assert list(scores["test_score"]) == [1, 1, 1]


def test_the_transformer_is_one(tiny_encoder, sounds):
    transformer = SpeechFeatures(tiny_encoder, statistics=("mean",), front_end="literal")
    again = pickle.loads(pickle.dumps(clone(transformer)))
    assert again.get_params() == transformer.get_params()
    expected = embed(sounds[:2], tiny_encoder, statistics=["mean"], front_end="literal")
    table = pd.DataFrame({"file": [str(path) for path in sounds[:2]]})
    for files in (sounds[:2], table["file"], table[["file"]], table["file"].to_numpy()):
        np.testing.assert_array_equal(again.fit_transform(files), expected)
    names = again.get_feature_names_out()
    assert names.shape == (expected.shape[1],) and names[0] == "block1_mean_channel0_band0"
    framed = again.set_output(transform="pandas").transform(sounds[:2])
    assert list(framed.columns) == list(names)


def test_the_checks_of_scikit_learn(tiny_encoder):
    """Those for estimators that take strings."""
    results = check_estimator(SpeechFeatures(tiny_encoder), on_fail=None, on_skip=None)
    assert {result["status"] for result in results} >= {"passed"}
    assert not [(result["check_name"], result["exception"]) for result in results if result["status"] == "failed"]


# -------------------------------------------------------------------------------------------------------- as a command


def run(*argv):
    return run_script(command.main, command.make_parser(), [str(word) for word in argv])


@pytest.mark.parametrize("suffix", [".npz", ".NPZ", ".csv"])
def test_the_command_writes_what_the_function_gives(tiny_encoder, sounds, tmp_path, capsys, suffix):
    output = tmp_path / "new" / f"features{suffix}"
    assert run(*sounds[:2], "--encoder", tiny_encoder, "--output", output) == 0
    assert f"wrote 2 rows of {120 * N_CHANNELS} features of 2 files" in capsys.readouterr().err
    expected, names = embed(sounds[:2], tiny_encoder), open_features(tiny_encoder).names
    if suffix.lower() == ".npz":
        with np.load(output, allow_pickle=False) as found:
            np.testing.assert_array_equal(found["features"], expected)
            assert list(found["names"]) == names and list(found["files"]) == [str(path) for path in sounds[:2]]
            assert list(found["start_seconds"]) == [0, 0] and list(found["end_seconds"]) == [2.5, 2.5]
    else:
        with open(output, encoding="utf-8", newline="") as file:
            header, *rows = csv.reader(file)
        assert header == ["file", "start_seconds", "end_seconds", *names]
        assert [row[:3] for row in rows] == [[str(path), "0.0", "2.5"] for path in sounds[:2]]
        np.testing.assert_allclose(np.array([row[3:] for row in rows], np.float32), expected, rtol=5.1e-4)
        said = f"features to {command.SIGNIFICANT_DIGITS} significant digits, seconds to {command.DECIMALS} decimals"
        assert said in command.__doc__ and said in (ROOT / "docs" / "features.md").read_text(encoding="utf-8")


def test_the_command_writes_parts(tiny_encoder, sounds, tmp_path):
    for per, options, times in (
        ("second", [], [(0, 1), (1, 2), (1.5, 2.5)]),
        ("window", ["--window", 2, "--hop", 0.5], [(0, 2), (0.5, 2.5)]),
    ):
        assert run(sounds[0], "--encoder", tiny_encoder, "--per", per, *options, "--output", tmp_path / f"{per}.npz") == 0
        with np.load(tmp_path / f"{per}.npz") as found:
            np.testing.assert_allclose(np.stack([found["start_seconds"], found["end_seconds"]], 1), times, atol=0.02)
            assert found["features"].shape == (len(times), 120 * N_CHANNELS)


def test_names_that_are_not_utf_8(tiny_encoder, sounds, tmp_path, capsys, monkeypatch):
    """A CSV file holds their bytes, and it is said how it is read; Parquet has text alone, which is said before the work."""
    path = tmp_path / "caf\udce9.wav"
    shutil.copy(sounds[0], path)
    find_spec = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *more: name == "pyarrow" or find_spec(name, *more))
    for suffix, code in ((".csv", 0), (".npz", 0), (".parquet", 2)):
        assert run(path, "--output", tmp_path / f"a{suffix}", "--encoder", tiny_encoder) == code
        said = capsys.readouterr().err
        assert ("note: 1 file name in another encoding than UTF-8 (" in said) == (suffix == ".csv")
    assert "caf\\udce9.wav: found 1 name in another encoding; expected names in UTF-8" in said
    with pytest.raises(UnicodeDecodeError):
        pd.read_csv(tmp_path / "a.csv")
    assert pd.read_csv(tmp_path / "a.csv", encoding_errors="surrogateescape")["file"].tolist() == [str(path)]
    assert np.load(tmp_path / "a.npz")["files"].tolist() == [str(path)]


def test_windows_shorter_than_the_default_hop_follow_each_other():
    assert choose_windows(0.8, None) == (0.8, 0.8) and choose_windows(2.0, None) == (2.0, 1.0)


def test_windows_without_speech_are_left_out_and_counted(tiny_encoder, tmp_path, capsys):
    loudness = np.repeat([0.1, 1e-4, 0.1], np.multiply([3, 6, 3], 16_000))
    waveform = loudness * np.random.default_rng(0).standard_normal(len(loudness))
    soundfile.write(tmp_path / "a.wav", waveform, 16_000, subtype="FLOAT")
    for front_end in ("normalized", "trimmed", "literal"):
        words = ["--per", "window", "--hop", 3, "--front-end", front_end, "--output", tmp_path / f"{front_end}.npz"]
        assert run(tmp_path / "a.wav", "--encoder", tiny_encoder, *words) == 0
        assert "note: 2 windows without speech left out" in capsys.readouterr().err
        with np.load(tmp_path / f"{front_end}.npz") as found:
            np.testing.assert_allclose(found["start_seconds"], [0, 9], atol=0.02)


def test_bad_files_are_left_out_and_named(tiny_encoder, sounds, tmp_path, capsys):
    (tmp_path / "bad.wav").write_text("no sound")
    assert run(tmp_path / "bad.wav", sounds[0], "--encoder", tiny_encoder, "--output", tmp_path / "a.npz") == 1
    said = capsys.readouterr().err
    assert "skipped:" in said and "bad.wav" in said and "1 of 2 files could not be used" in said
    with np.load(tmp_path / "a.npz") as found:
        assert list(found["files"]) == [str(sounds[0])]
    assert run(tmp_path / "bad.wav", "--encoder", tiny_encoder, "--output", tmp_path / "b.npz") == 1
    assert not (tmp_path / "b.npz").exists()


@pytest.mark.parametrize(
    ("options", "found"),
    [
        (["--output", "features.txt"], "--output: found features.txt; expected a file ending in .npz, .csv, .parquet"),
        (["--output", "a.npz", "--encoder", "no.keras"], "no.keras: found no such file"),
        (["--output", "a.npz", "--hop", "9"], "found --window 3 --hop 9"),
        (["--output", "a.npz", "--per", "window", "--window", "0.4"], "found --window 0.4 --hop 0.4"),
        (["--output", "a.npz", "--hop", "1"], "--hop: found it with --per file; expected --per window. Add --per window"),
        (["--output", "a.npz", "--window", "2", "--per", "second"], "--window: found it with --per second"),
        (["--output", "/proc/no/a.npz"], "--output: found /proc/no, a folder that cannot be written to"),
        (["--output", "{sound}/a.npz"], "--output: found {sound}, a file; expected a writable folder"),
        (["no.wav", "--output", "a.npz"], "no.wav: no such file or folder"),
        (["--output", "{sound}.csv"], ".csv, which is there; expected a file that is not there yet"),
    ],
)
def test_arguments_are_checked_first(sounds, monkeypatch, capsys, options, found):
    monkeypatch.setattr(command, "start_backend", None)
    sounds[0].with_suffix(".wav.csv").write_text("somebody's")
    options = [option.replace("{sound}", str(sounds[0])) for option in options]
    assert run(*([] if "no.wav" in options else [sounds[0]]), *options) == 2
    sounds[0].with_suffix(".wav.csv").unlink()
    assert found.replace("{sound}", str(sounds[0])) in capsys.readouterr().err


@pytest.mark.parametrize("statistics", [["deviation"], ["correlations"]])
def test_an_encoder_that_is_not_there_gets_one_message_whatever_is_asked_of_it(statistics, tmp_path):
    with pytest.raises(InputError, match=r"encodr\.keras: found no such file; expected a \.keras file of this project"):
        open_features(tmp_path / "encodr.keras", statistics=statistics)


# ------------------------------------------------------------------------------------------------------- through HEAR


@pytest.mark.parametrize(("number", "factor"), enumerate((2, 4, 8, 8)))
def test_where_the_middle_of_what_a_frame_sees_lies(number, factor):
    """Of block 1 at 2i + 1, which the timestamps are; of deeper blocks, and of bins as of frames, farther on."""
    encoder = build_encoder((96, 96, 1), base_filters=2, latent_size=2, seed=0)  # a frame of block 4 sees less than that
    block, i = keras.Model(encoder.input, encoder.get_layer(LAYERS[number][-1]).output), 48 // factor
    for axis in (1, 2):
        impulses = np.zeros((97, 96, 96, 1), np.float32)  # the last one is silence
        for n in range(96):
            np.moveaxis(impulses[n], axis - 1, 0)[n] = 1.0
        outputs = np.take(block.predict(impulses, batch_size=49, verbose=0), i, axis=axis).reshape(97, -1)
        seen = np.flatnonzero(np.abs(outputs[:-1] - outputs[-1]).max(axis=1) > 1e-9)
        assert seen[0] > 0 and seen[-1] < 95
        assert (seen[0] + seen[-1]) / 2 == factor * i + factor - 1


def test_scenes_and_timestamps(tiny_encoder, sounds):
    from began import hear

    model = hear.load_model(str(tiny_encoder))
    assert (model.sample_rate, model.scene_embedding_size, model.timestamp_embedding_size) == (16_000, 2400, 40 * N_CHANNELS)
    audio = np.stack([soundfile.read(path, dtype="float32")[0] for path in sounds[:2]])
    scenes = hear.get_scene_embeddings(audio, model)
    np.testing.assert_allclose(scenes, embed(sounds[:2], tiny_encoder), atol=1e-3)
    frames, milliseconds = (np.asarray(one) for one in hear.get_timestamp_embeddings(audio, model))
    assert frames.shape == (2, 40, 40 * N_CHANNELS) and milliseconds.shape == (2, 40)  # 79 frames of 32 ms
    np.testing.assert_allclose(milliseconds, [np.arange(40) * 64 + 32] * 2)
    of_all = open_features(tiny_encoder, statistics=["mean"]).embed_speech  # over all frames that are filled up to 80
    gain = np.concatenate(list(stream_speech(sounds[0], "normalized")))[100] / audio[0][100]
    first = frames[0, :, :80].reshape(40, 40, 2).mean(axis=0)
    np.testing.assert_allclose(first.ravel(), of_all([audio[0] * gain]).reshape(40, -1)[:, :2].ravel(), atol=1e-3)


def test_sounds_without_speech_have_embeddings_too(tiny_encoder):
    from began import hear

    model = hear.load_model(str(tiny_encoder))
    for audio in (np.zeros((2, 100), np.float32), np.zeros((1, 1), np.float32), np.zeros((0, 100), np.float32)):
        assert hear.get_scene_embeddings(audio, model).shape == (len(audio), 2400)
        assert hear.get_timestamp_embeddings(audio, model)[0].shape == (len(audio), 1, 40 * N_CHANNELS)


@pytest.mark.parametrize(
    ("audio", "found"),
    [
        (np.zeros(16_000), r"audio: found the shape \(16000,\); expected \(n_sounds, n_samples\)"),
        (np.zeros((2, 0)), r"the shape \(2, 0\)"),
        ([[0.1, 0.2], [0.1]], r"audio: found no array of numbers \(.*\); expected .* all of the same length\."),
        ([["a.wav"]], "audio: found no array of numbers"),
        (np.array([[0.1, 0.2], [np.nan, 0.1]]), "values in row 1 that are no finite numbers"),
        (np.array([[0, 1], [9, -32768]], np.int16), r"values up to 32768 in row 1; expected .* \(16 bits: 32768\)"),
    ],
)
def test_what_is_no_batch_of_sounds_for_hear(tiny_encoder, audio, found):
    from began import hear

    model = hear.load_model(str(tiny_encoder))
    for embed_audio in (hear.get_scene_embeddings, hear.get_timestamp_embeddings):
        with pytest.raises(InputError, match=found):
            embed_audio(audio, model)


# --------------------------------------------------------------------------------------------------------- the extras


@pytest.mark.extras
def test_the_score_of_the_readme(shared_data, sounds, tmp_path, monkeypatch, capsys):
    """A minute or two, so not among the tests of every day."""
    document = ROOT / "docs" / "features.md"
    (snippet,) = (block for block in find_blocks(ROOT / "README.md", "python") if "cross_val_score" in block)
    (tmp_path / "data").symlink_to(shared_data)
    for name in ("one.wav", "two.flac"):
        shutil.copy(sounds[0], tmp_path / name)
    monkeypatch.chdir(tmp_path)
    exec(compile(snippet, "README.md", "exec"), {})
    (shown,) = re.findall(r"\.mean\(\)\)  # (\S+)$", snippet, re.MULTILINE)
    assert f"{float(capsys.readouterr().out.split()[-1]):.3f}" == shown
    assert f"It prints {shown}," in document.read_text(encoding="utf-8")
    results = (ROOT / "results" / "tables" / "table3.md").read_text(encoding="utf-8")
    head = re.search(r"averages over speeds, is 0\.(\d\d)(\d)\.", document.read_text(encoding="utf-8")).groups()
    assert re.search(rf"^\| `utterance_head`.*\| {head[0]}\.{head[1]} \(", results, re.MULTILINE)


@pytest.mark.extras
def test_the_validator_of_hear(tiny_encoder, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "torch", types.ModuleType("torch"))  # imported for models of PyTorch; ours is none
    validate = pytest.importorskip("hearvalidator.validate")
    monkeypatch.undo()
    keras.utils.set_random_seed(0)  # it draws noise, which is refused without a seed once a command has run in this process
    with pytest.warns(UserWarning, match="50ms"):  # a suggestion for music
        validate.ValidateModel("began.hear", str(tiny_encoder))()
    assert "Checking get_scene_embeddings" in capsys.readouterr().out


@pytest.mark.extras
def test_the_command_writes_parquet(tiny_encoder, sounds, tmp_path):
    pytest.importorskip("pyarrow")
    assert run(*sounds[:2], "--encoder", tiny_encoder, "--output", tmp_path / "a.parquet") == 0
    table = pd.read_parquet(tmp_path / "a.parquet")
    assert list(table["file"]) == [str(path) for path in sounds[:2]] and list(table["end_seconds"]) == [2.5, 2.5]
    np.testing.assert_array_equal(table[open_features(tiny_encoder).names], embed(sounds[:2], tiny_encoder))
