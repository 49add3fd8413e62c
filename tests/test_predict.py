"""From sound to emotion: one self-contained file, any number of files at constant memory, output for people and programs."""

import csv
import gc
import io
import json
import os
import re
import shutil
import sys
import time
import tracemalloc
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import soundfile
from fabricated import fill_with_noise

from began import published_networks
from began.audio import read_audio
from began.chunks import cut_chunks
from began.command_line import run_script
from began.errors import InputError
from began.find_sounds import FOREIGN_SUFFIXES, find_sounds
from began.keras_file import attach_json, read_attached_json
from began.media_fragments import CHANNELS, name_channel
from began.spectrogram import SpectrogramConfig, compute_spectrograms
from classifiers import export, picture, predict, predictor
from classifiers.metrics import aggregate_chunks

keras = pytest.importorskip("keras")

from began.encoder import CHUNKS_PER_STEP, freeze  # noqa: E402
from began.networks import build_encoder  # noqa: E402
from classifiers.heads import build_head  # noqa: E402

LABELS = ["anger", "joy", "neutral"]
TASKS = {"categorical": 3, "dimensional": 2}


def make_head(task, feature_shape):
    generator = np.random.default_rng(4)
    statistics = generator.normal(size=(64, 8)), generator.uniform(0.01, 0.1, (64, 8))
    return fill_with_noise(build_head(task, feature_shape, TASKS[task], {}, 3, statistics))


def as_columns(outputs):
    return np.concatenate(keras.tree.flatten(outputs), axis=1)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Kind -> encoder, head, and the file of both."""
    folder = tmp_path_factory.mktemp("models")
    everything = {}
    for task in TASKS:
        encoder = freeze(build_encoder(base_filters=2, latent_size=4, seed=1), SpectrogramConfig(), "f" * 64)
        head = make_head(task, encoder.feature_shape)
        metadata = {"task": task, "tail": "overlap", "aggregation": "mean", "corpus": "toy", "parameters": {}, "best_epoch": 7}
        if task == "categorical":
            metadata["labels"] = LABELS
        predictor.save_predictor(folder / f"{task}.keras", predictor.build_predictor(encoder, head, metadata))
        everything[task] = encoder, head, folder / f"{task}.keras"
    return everything


@pytest.fixture(scope="module")
def loaded(made):
    return {task: predictor.load_predictor(path) for task, (_, _, path) in made.items()}


@pytest.fixture(scope="module")
def sounds(tmp_path_factory):
    """Six files that can be used, of several lengths and formats, in a folder with a folder."""
    folder = tmp_path_factory.mktemp("sounds")
    (folder / "deeper").mkdir()
    generator = np.random.default_rng(0)
    for name, seconds, rate in (
        ("a.wav", 0.4, 16_000),
        ("b.flac", 1.0, 16_000),
        ("c.wav", 2.6, 8_000),
        ("d.ogg", 3.0, 44_100),
        ("e.wav", 70.2, 16_000),
        ("deeper/f.aiff", 1.2, 22_050),
    ):
        soundfile.write(folder / name, 0.1 * generator.standard_normal(int(seconds * rate)), rate)
    return folder


@pytest.fixture
def bad(tmp_path):
    """A folder with one good file and five that cannot be used."""
    folder = tmp_path / "bad"
    folder.mkdir()
    (folder / "empty.wav").touch()
    (folder / "text.wav").write_text("this is no sound")
    soundfile.write(folder / "good.wav", 0.1 * np.random.default_rng(1).standard_normal(20_000), 16_000)
    soundfile.write(folder / "nan.wav", np.full(20_000, np.nan, np.float32), 16_000, subtype="FLOAT")
    soundfile.write(folder / "nothing.wav", np.zeros(0), 16_000)
    soundfile.write(folder / "silent.wav", np.zeros(20_000), 16_000)
    return folder


def run(*argv):
    return run_script(predict.main, predict.make_parser(), [str(word) for word in argv])


# ------------------------------------------------------------------------------------------------------- the model


@pytest.mark.parametrize("task", TASKS)
def test_keras_alone_opens_the_file_and_gives_what_encoder_and_head_give(made, sounds, task):
    encoder, head, path = made[task]
    chunks = cut_chunks(read_audio(sounds / "c.wav"))
    model = keras.models.load_model(path, safe_mode=True)
    outputs = model.predict(compute_spectrograms(chunks, SpectrogramConfig())[..., None], verbose=0)
    np.testing.assert_allclose(as_columns(outputs), as_columns(head(encoder.embed(chunks))), atol=1e-5)
    assert model.input_shape == (None, 512, 32, 1)


def test_times_are_those_of_the_file_where_the_front_end_cuts(tmp_path):
    """A head on one second whose encoder was trained behind another front end than the literal one."""
    encoder = freeze(build_encoder(base_filters=2, latent_size=4, seed=1), SpectrogramConfig.of("normalized"), "f" * 64)
    metadata = {"task": "categorical", "tail": "overlap", "aggregation": "mean", "corpus": "toy", "parameters": {}}
    head = make_head("categorical", encoder.feature_shape)
    model = predictor.build_predictor(encoder, head, {**metadata, "best_epoch": 7, "labels": LABELS})
    sound = np.zeros(6 * 16_000)
    sound[24_000 : 24_000 + 41_600] = 0.1 * np.random.default_rng(0).standard_normal(41_600)
    soundfile.write(tmp_path / "a.wav", sound, 16_000)
    found = model.predict_file(tmp_path / "a.wav")
    np.testing.assert_allclose(found.start_seconds, [1.5, 2.5, 3.1], atol=0.005)
    assert found.seconds == 6


@pytest.mark.parametrize("front_end", ["literal", "trimmed", "normalized"])
def test_seconds_without_speech_are_marked_and_count_as_before(tmp_path, front_end):
    encoder = freeze(build_encoder(base_filters=2, latent_size=4, seed=1), SpectrogramConfig.of(front_end), "f" * 64)
    metadata = {"task": "categorical", "tail": "overlap", "aggregation": "mean", "corpus": "toy", "parameters": {}}
    head = make_head("categorical", encoder.feature_shape)
    model = predictor.build_predictor(encoder, head, {**metadata, "labels": LABELS})
    loudness = np.repeat([0.01, 1e-6, 0.01], 16_000)
    soundfile.write(tmp_path / "a.wav", loudness * np.random.default_rng(0).standard_normal(48_000), 16_000, subtype="FLOAT")
    ((_, found),) = model.predict_files([tmp_path / "a.wav"], windows=(3.0, 1.0))
    assert list(found.has_speech) == [True, False, True]
    np.testing.assert_array_equal(found.scores, model.predict_file(tmp_path / "a.wav").scores)


def test_a_network_with_other_layers_is_refused(tmp_path):
    inputs = keras.Input((512, None, 1))
    keras.Model(inputs, predictor.load_predictor(published_networks.MODEL).model(inputs)).save(tmp_path / "other.keras")
    attach_json(tmp_path / "other.keras", "head", read_attached_json(published_networks.MODEL, "head"))
    with pytest.raises(InputError, match=r"other\.keras: found a network with other layers \(.*bands.*\); expected"):
        predictor.load_predictor(tmp_path / "other.keras")


def test_the_file_says_what_its_user_needs(made):
    description = predictor.read_description(made["categorical"][2])
    expected = {
        "task": "categorical",
        "labels": LABELS,
        "spectrogram": SpectrogramConfig().to_dict(),
        "encoder_sha256": "f" * 64,
        "features": "map",
        "tail": "overlap",
        "aggregation": "mean",
        "corpus": "toy",
        "best_epoch": 7,
    }
    assert expected.items() <= description.items()
    assert set(description) - set(expected) == {"parameters"}


def test_a_head_that_does_not_fit_is_refused(made):
    encoder, head, _ = made["categorical"]
    with pytest.raises(InputError, match="features of shape"):
        predictor.build_predictor(encoder, build_head("categorical", (64, 4, 6), 3), {"task": "categorical", "labels": LABELS})
    with pytest.raises(InputError, match="one per output"):
        predictor.build_predictor(encoder, head, {"task": "categorical", "labels": ["anger", "joy"]})


# ------------------------------------------------------------------------------------------------------ prediction


@pytest.mark.parametrize("task", TASKS)
def test_a_file_is_scored_by_chunk_and_as_a_whole(made, loaded, sounds, task):
    encoder, head, _ = made[task]
    prediction = loaded[task].predict_file(sounds / "c.wav")
    expected = as_columns(head(encoder.embed(cut_chunks(read_audio(sounds / "c.wav")))))
    np.testing.assert_allclose(prediction.chunk_scores, expected, atol=1e-5)
    np.testing.assert_allclose(prediction.scores, aggregate_chunks(expected, np.zeros(3), "mean", task)[0], atol=1e-5)
    assert prediction.seconds == pytest.approx(2.6)
    np.testing.assert_allclose(prediction.start_seconds, [0, 1, 1.6])
    np.testing.assert_allclose(prediction.end_seconds, [1, 2, 2.6])


def test_a_file_shorter_than_a_second_is_one_chunk(loaded, sounds):
    prediction = loaded["categorical"].predict_file(sounds / "a.wav")
    assert prediction.chunk_scores.shape == (1, 3)
    assert (prediction.start_seconds[0], prediction.end_seconds[0]) == (0.0, pytest.approx(0.4))


def test_files_share_steps_and_keep_their_order_and_scores(loaded, sounds, bad, monkeypatch):
    paths = [*sorted(sounds.glob("*.*")), *sorted(bad.iterdir()), sounds / "deeper" / "f.aiff"]
    alone = {path: loaded["categorical"].predict_file(path) for path in paths if bad not in path.parents}
    steps = []
    real = predictor.Predictor.predict_chunks
    monkeypatch.setattr(
        predictor.Predictor, "predict_chunks", lambda self, chunks: steps.append(len(chunks)) or real(self, chunks)
    )
    scored = []
    outcomes = dict(loaded["categorical"].predict_files(paths, scored.append))
    assert list(outcomes) == paths
    for path, prediction in alone.items():
        np.testing.assert_allclose(outcomes[path].chunk_scores, prediction.chunk_scores, atol=1e-6)
        np.testing.assert_array_equal(outcomes[path].start_seconds, prediction.start_seconds)
    assert [path.name for path, outcome in outcomes.items() if isinstance(outcome, InputError)] == [
        "empty.wav",
        "nan.wav",
        "nothing.wav",
        "silent.wav",
        "text.wav",
    ]
    # 1 + 1 + 3 + 3 + 71 chunks, good.wav's 2, f.aiff's 2; of a file that is no use, no chunk.
    assert steps == scored == [64, 19]  # full steps as soon as there are enough


def test_memory_does_not_grow_with_a_files_length(loaded, tmp_path, monkeypatch):
    path = tmp_path / "long.wav"
    soundfile.write(path, np.tile(0.1 * np.random.default_rng(0).standard_normal(8_000), 400), 8_000)
    most = 0
    real = predictor.Predictor.predict_chunks

    def watch(self, chunks):
        nonlocal most
        most = max(most, len(chunks))
        return real(self, chunks)

    monkeypatch.setattr(predictor.Predictor, "predict_chunks", watch)
    assert len(loaded["categorical"].predict_file(path).chunk_scores) == 400
    assert most == CHUNKS_PER_STEP


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="counts open files in /proc, as Linux has it")
def test_bad_files_from_a_pipe_stay_neither_open_nor_in_memory(loaded, tmp_path):
    soundfile.write(tmp_path / "a.wav", np.zeros(80_000), 16_000)
    content = (tmp_path / "a.wav").read_bytes()
    (tmp_path / "a.wav").write_bytes(content[:40] + b"\xff" * 4 + content[44:])  # whose length the writer did not know
    tracemalloc.start()
    gc.disable()  # nothing is left to it
    try:
        outcomes = loaded["categorical"].predict_files([tmp_path / "a.wav"] * 20, windows=(1.0, 1.0))
        assert all(isinstance(outcome, InputError) for _, outcome in outcomes)
        n_open, (held, _) = len(list(Path("/proc/self/fd").iterdir())), tracemalloc.get_traced_memory()
        outcomes = loaded["categorical"].predict_files([tmp_path / "a.wav"] * 20, windows=(1.0, 1.0))
        assert len(list(outcomes)) == 20
        assert len(list(Path("/proc/self/fd").iterdir())) == n_open
        assert tracemalloc.get_traced_memory()[0] - held < 1_000_000
    finally:
        gc.enable()
        tracemalloc.stop()


def test_a_model_that_drops_tails_says_so_for_a_short_file(made, sounds):
    encoder, head, _ = made["categorical"]
    model = predictor.build_predictor(encoder, head, {**GOOD, "tail": "drop"})
    with pytest.raises(InputError, match="at least a second"):
        model.predict_file(sounds / "a.wav")
    np.testing.assert_array_equal(model.predict_file(sounds / "c.wav").start_seconds, [0, 1])


# ---------------------------------------------------------------------------------------------------- command line


def test_text_says_emotion_probabilities_and_each_second(made, sounds, capsys):
    assert run("--model", made["categorical"][2], sounds / "c.wav", "--timeline") == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 4 and lines[0].startswith(str(sounds / "c.wav"))
    assert all(label in line for line in lines for label in LABELS)
    assert [line.split(" s ")[0].strip() for line in lines[1:]] == ["0.0–1.0", "1.0–2.0", "1.6–2.6"]
    assert run("--model", made["dimensional"][2], sounds / "c.wav") == 0
    assert "arousal +" in capsys.readouterr().out


@pytest.mark.parametrize("task", TASKS)
def test_csv_is_clean_and_complete(made, loaded, sounds, capsys, task):
    assert run("--model", made[task][2], sounds, "--output", "csv", "--timeline") == 0
    rows = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    whole = [row for row in rows if row["level"] == "utterance"]
    assert [Path(row["file"]).name for row in whole] == ["a.wav", "b.flac", "c.wav", "d.ogg", "e.wav", "f.aiff"]
    assert len(rows) - len(whole) == 1 + 1 + 3 + 3 + 71 + 2
    prediction = loaded[task].predict_file(sounds / "c.wav")
    found = [float(whole[2][name]) for name in loaded[task].columns]
    np.testing.assert_allclose(found, prediction.scores, atol=1e-3)
    assert ("prediction" in whole[0]) == (task == "categorical")


@pytest.mark.parametrize("task", TASKS)
def test_json_is_one_list(made, sounds, capsys, task):
    assert run("--model", made[task][2], sounds / "a.wav", sounds / "c.wav", "--output", "json", "--timeline") == 0
    first, second = json.loads(capsys.readouterr().out)
    assert first["file"] == str(sounds / "a.wav") and len(second["timeline"]) == 3
    if task == "categorical":
        assert second["prediction"] == max(second["probabilities"], key=second["probabilities"].get)
        assert sum(second["timeline"][0]["probabilities"].values()) == pytest.approx(1, abs=1e-3)
    else:
        assert 0 <= second["arousal"] <= 1 and -1 <= second["timeline"][0]["valence"] <= 1


@pytest.mark.parametrize("n_done", [0, 1])
def test_json_that_is_interrupted_can_be_parsed(made, sounds, capsys, monkeypatch, n_done):
    predict_files = predictor.Predictor.predict_files

    def press(self, paths, *options):
        yield from predict_files(self, paths[:n_done], *options)
        raise KeyboardInterrupt

    monkeypatch.setattr(predictor.Predictor, "predict_files", press)
    assert run("--model", made["categorical"][2], sounds / "a.wav", sounds / "c.wav", "--output", "json") == 130
    assert [entry["file"] for entry in json.loads(capsys.readouterr().out)] == [str(sounds / "a.wav")][:n_done]


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("timeline", [False, True])
def test_audformat_has_one_segment_per_row(made, loaded, sounds, capsys, task, timeline):
    words = ["--model", made[task][2], sounds / "a.wav", sounds / "c.wav", "--output", "audformat"]
    assert run(*words, *["--timeline"] * timeline) == 0
    rows = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    times = ["0 days 00:00:00", "0 days 00:00:01", "0 days 00:00:01.600000", "0 days 00:00:02.600000"]
    spans = [(times[0], times[1]), ("0 days 00:00:01", "0 days 00:00:02"), (times[2], times[3])] if timeline else [times[::3]]
    assert [(row["start"], row["end"]) for row in rows[1:]] == [tuple(span) for span in spans]
    prediction = loaded[task].predict_file(sounds / "c.wav")
    expected = prediction.chunk_scores[-1] if timeline else prediction.scores
    np.testing.assert_allclose([float(rows[-1][name]) for name in loaded[task].columns], expected, atol=1e-3)
    assert rows[-1].get("emotion") == loaded[task].label_of(expected) and rows[0]["file"] == str(sounds / "a.wav")


@pytest.mark.extras
@pytest.mark.parametrize("timeline", [False, True])
def test_audformat_loads_what_is_written_for_it(made, sounds, tmp_path, capsys, timeline):
    audformat = pytest.importorskip("audformat")
    words = ["--model", made["categorical"][2], sounds / "c.wav", "--output", "audformat"]
    assert run(*words, *["--timeline"] * timeline) == 0
    (tmp_path / "emotions.csv").write_text(capsys.readouterr().out)
    table = audformat.utils.read_csv(tmp_path / "emotions.csv")
    assert audformat.is_segmented_index(table) and list(table.columns) == ["emotion", *LABELS, "notes"]
    assert table.index.get_level_values("end").total_seconds().max() == 2.6


@pytest.mark.parametrize("output", ["text", "csv", "json"])
def test_bad_files_are_reported_and_skipped(made, bad, capsys, output):
    assert run("--model", made["categorical"][2], bad, "--output", output) == 1
    out, err = capsys.readouterr()
    assert out.count("good.wav") == 1 and "silent" not in out
    assert err.count("skipped: ") == 5 and "5 of 6 files" in err
    for said in ("0 bytes", "cannot be decoded", "not finite", "without samples", "silence"):
        assert said in err
    if output == "json":
        assert len(json.loads(out)) == 1


@pytest.mark.parametrize("how", ["folder", "files"])
def test_files_of_telephones_and_without_a_header_count_as_failures(made, bad, capsys, how, monkeypatch):
    """One beside the others: whatever is in it, it is named, with what to do. Here, without PyAV."""
    monkeypatch.setitem(sys.modules, "av", None)
    kept = [path for path in bad.iterdir() if path.name == "good.wav"]
    for path in set(bad.iterdir()) - set(kept):
        path.unlink()
    foreign = [bad / f"my voice{suffix}" for suffix in (*FOREIGN_SUFFIXES, ".RAW", ".M4A")]
    for path in foreign:
        path.write_bytes((b"\0\0\0\x1cftypM4A " if path.suffix.lower() != ".raw" else b"") + bytes(3_000))
    assert run("--model", made["categorical"][2], *([bad] if how == "folder" else [*foreign, *kept])) == 1
    out, err = capsys.readouterr()
    assert out.count("good.wav") == 1 and f"{len(foreign)} of {len(foreign) + 1} files" in err
    for path in foreign:
        is_raw = path.suffix.lower() == ".raw"
        found = "samples without a header" if is_raw else "a file of the kind MP4 or M4A, which needs the package av"
        assert f"{path.name}: found {found}" in err
    install = "Install it: pip install av; or convert it, for example: ffmpeg -i 'my voice.m4a' 'my voice.wav'."
    assert install in err
    assert "ffmpeg -f s16le -ar 16000 -ac 1 -i 'my voice.raw' 'my voice.wav'" in err


def test_only_bad_files_still_give_a_json_list(made, bad, capsys):
    assert run("--model", made["categorical"][2], bad / "text.wav", "--output", "json") == 1
    assert json.loads(capsys.readouterr().out) == []


def test_strange_names_are_printable(made, tmp_path, monkeypatch, capfdbinary):
    name = "caf\udce9 \x1b[31m$x$ 'a,b'.wav"
    soundfile.write(os.fsencode(tmp_path / name), 0.1 * np.random.default_rng(0).standard_normal(16_000), 16_000)
    for output in ("text", "csv", "json"):
        assert run("--model", made["categorical"][2], tmp_path, "--output", output, "--plot", tmp_path / "p") == 0
        written, said = capfdbinary.readouterr()
        # A table here is a file, with names as they lie on the disk, to be joined with others.
        assert b"caf\xe9 \x1b" in written if output == "csv" else b"\x1b" not in written
        if output == "csv":
            with pytest.raises(UnicodeDecodeError):
                pd.read_csv(io.BytesIO(written))
            (found,) = pd.read_csv(io.BytesIO(written), encoding_errors="surrogateescape")["file"]
            assert found == str(tmp_path / name)
        assert (b"note: 1 file name in another encoding than UTF-8 (" in said) == (output == "csv")
    assert len(list((tmp_path / "p").iterdir())) == 1
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)
    assert run("--model", made["categorical"][2], tmp_path, "--output", "csv") == 0
    written = capfdbinary.readouterr().out
    assert b"\x1b" not in written and written.count(b"\n") == 2


def test_names_that_a_spreadsheet_would_run_are_marked(made, tmp_path, monkeypatch, capsys):
    """As in a folder that was sent, and in a model of a stranger."""
    model = tmp_path / "model.keras"
    shutil.copy(made["categorical"][2], model)
    head = read_attached_json(model, "head")
    attach_json(
        model, "head", head | {"labels": [f"{start}cmd()" for start, _ in zip("=@+-abc", head["labels"], strict=False)]}
    )
    monkeypatch.chdir(tmp_path)
    soundfile.write("=cmd().wav", 0.1 * np.random.default_rng(0).standard_normal(16_000), 16_000)
    assert run("--model", model, "=cmd().wav", "--output", "csv") == 0
    table = list(csv.reader(io.StringIO(capsys.readouterr().out)))
    assert table[1][0] == "./=cmd().wav" and Path(table[1][0]).is_file()
    assert not [cell for row in table for cell in row if cell.startswith(("=", "@", "+", "-"))]


def test_folders_are_searched_once_and_hidden_files_left_out(sounds, tmp_path, monkeypatch):
    (tmp_path / ".hidden").mkdir()
    for name in ("x.WAV", "._x.wav", ".hidden/y.wav", "z.txt"):
        (tmp_path / name).touch()
    assert find_sounds([tmp_path]) == [tmp_path / "x.WAV"]
    (tmp_path / "linked").symlink_to(sounds)
    (tmp_path / "around").symlink_to(tmp_path)
    (tmp_path / "again").symlink_to(sounds)
    assert [path.name for path in find_sounds([tmp_path])] == ["x.WAV", *(path.name for path in find_sounds([sounds]))]
    for name in ("again", "linked", "around"):
        (tmp_path / name).unlink()
    assert len(find_sounds([sounds, sounds / "a.wav", sounds])) == 6
    monkeypatch.chdir(sounds)
    assert find_sounds([sounds / "a.wav", sounds / "deeper" / ".." / "a.wav", Path("a.wav")]) == [sounds / "a.wav"]


@pytest.mark.parametrize("suffix", [".wave", ".mp2", ".aifc", ".sph", ".NIST", ".m4v", ".mkv", ".weba"])
def test_folders_are_searched_for_all_that_is_read(tmp_path, suffix):
    (tmp_path / f"a{suffix}").touch()
    assert find_sounds([tmp_path]) == [tmp_path / f"a{suffix}"]


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        ([], "at least one sound file or folder"),
        (["--export-to", "x"], "--export onnx"),
        (["a.wav", "--export-to", "x"], "--export onnx"),
        (["a.wav", "b.wav"], r"cannot be found \(2\)"),
        (["{folder}"], "without sound files"),
    ],
)
def test_mistakes_get_one_message(made, tmp_path, capsys, argv, said):
    argv = [word.replace("{folder}", str(tmp_path)) for word in argv]
    assert run("--model", made["categorical"][2], *argv) == 2
    out, err = capsys.readouterr()
    assert out == "" and re.search(said, err)


@pytest.mark.parametrize(
    "option", [("--window", 5), ("--hop", 1), ("--single-pass",), ("--adapt", ".")], ids=lambda words: words[0]
)
def test_what_a_model_of_seconds_would_ignore_is_refused(made, sounds, capsys, option):
    assert run("--model", made["categorical"][2], sounds / "c.wav", "--timeline", *option) == 2
    assert f"{option[0]}: found a model that reads one second at a time" in capsys.readouterr().err


@pytest.mark.skipif(os.geteuid() == 0, reason="nothing is unwritable for root")
def test_a_folder_for_pictures_that_cannot_be_written_is_refused(made, sounds, tmp_path):
    tmp_path.chmod(0o500)
    assert run("--model", made["categorical"][2], sounds, "--plot", tmp_path / "p") == 2


# ------------------------------------------------------------------------------------------------- files not ours


GOOD = {
    "task": "categorical",
    "labels": LABELS,
    "spectrogram": SpectrogramConfig().to_dict(),
    "tail": "overlap",
    "aggregation": "mean",
    "parameters": {},
    "best_epoch": 1,
}


@pytest.mark.parametrize(
    "change",
    [
        {"task": "other"},
        {"task": None},
        {"tail": "fold"},
        {"aggregation": ["mean"]},
        {"labels": None},
        {"labels": "ab"},
        {"labels": ["a"]},
        {"labels": ["a", 3, "c"]},
        {"labels": ["a", "b", "\x1b[2J"]},
        {"spectrogram": None},
        {"spectrogram": {}},
        {"spectrogram": {**SpectrogramConfig().to_dict(), "hop_length": 0}},
        {"spectrogram": {**SpectrogramConfig().to_dict(), "n_fft": "many"}},
        {"spectrogram": {**SpectrogramConfig().to_dict(), "db_min": "low"}},
        {"labels": ["a", "b"]},
        {"spectrogram": {**SpectrogramConfig().to_dict(), "n_fft": 512}},
    ],
)
def test_a_file_with_a_wrong_description_is_refused(made, tmp_path, change):
    shutil.copy(made["categorical"][2], tmp_path / "m.keras")
    attach_json(tmp_path / "m.keras", "head", {**GOOD, **change})
    with pytest.raises(InputError, match="m.keras"):
        predictor.load_predictor(tmp_path / "m.keras")


def test_a_head_without_its_encoder_is_refused(made, tmp_path):
    head = made["categorical"][1]
    plain = keras.Model(head.input, head.output)  # never compiled, and so saved without an optimiser
    predictor.save_predictor(tmp_path / "head.keras", predictor.Predictor(plain, GOOD))
    with pytest.raises(InputError, match="one from a spectrogram"):
        predictor.load_predictor(tmp_path / "head.keras")


def test_a_damaged_file_is_refused(made, tmp_path):
    content = made["categorical"][2].read_bytes()
    for name, damaged in (("half.keras", content[: len(content) // 2]), ("text.keras", b"hello"), ("no.keras", b"")):
        (tmp_path / name).write_bytes(damaged)
        with pytest.raises(InputError, match=name):
            predictor.load_predictor(tmp_path / name)


# -------------------------------------------------------------------------------------------------------- pictures


@pytest.mark.parametrize("task", TASKS)
def test_a_picture_is_drawn_for_each_file(made, sounds, tmp_path, capsys, task):
    assert run("--model", made[task][2], sounds / "a.wav", sounds / "c.wav", "--plot", tmp_path / "p") == 0
    for name in ("a.png", "c.png"):
        assert (tmp_path / "p" / name).read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize("name", ["你好.wav", "a -1.wav"])
def test_pictures_of_any_name_are_drawn_without_warnings(loaded, sounds, tmp_path, monkeypatch, name):
    shutil.copy(sounds / "a.wav", tmp_path / name)
    prediction = loaded["dimensional"].predict_file(tmp_path / name)
    assert picture._title(prediction, loaded["dimensional"]).startswith(f"{name}: arousal ")
    with warnings.catch_warnings(action="error"):
        picture.plot_prediction(prediction, loaded["dimensional"], tmp_path / "a.png")


def test_long_files_are_drawn_too(loaded, sounds, tmp_path, monkeypatch):
    monkeypatch.setattr(picture, "MAX_CELLS", 10)
    monkeypatch.setattr(picture, "MAX_COLUMNS", 50)
    for task in TASKS:
        picture.plot_prediction(loaded[task].predict_file(sounds / "e.wav"), loaded[task], tmp_path / f"{task}.png")
        assert (tmp_path / f"{task}.png").exists()


def test_pictures_of_equal_names_get_a_number(tmp_path):
    paths = [tmp_path / "a.wav", tmp_path / "b" / "A.wav", tmp_path / "a.flac"]
    assert [path.name for path in predict.name_pictures(paths, tmp_path).values()] == ["a.png", "A-2.png", "a-3.png"]


def test_pictures_of_long_names_can_be_written(tmp_path):
    longest = "é" * 125  # in UTF-8, 250 bytes
    paths = [Path(name_channel(f"{longest}{end}", channel)) for end in ("b.wav", "a.wav") for channel in CHANNELS]
    names = predict.name_pictures([*paths, Path("caf\udce9" + "x" * 240 + ".wav")], tmp_path)
    for name in names.values():
        name.touch()
    assert len(list(tmp_path.iterdir())) == 5 and all(
        name.name.startswith(("é" * 100, "caf\udce9x")) for name in names.values()
    )


def test_pictures_of_thousands_of_equal_names_are_named_at_once(tmp_path):
    paths = [Path("audio-3.wav"), *(Path(f"{number}/{'Audio' if number % 2 else 'audio'}.wav") for number in range(5_000))]
    started = time.monotonic()
    names = [picture.name for picture in predict.name_pictures(paths, tmp_path).values()]
    assert names[:5] == ["audio-3.png", "audio.png", "Audio-2.png", "audio-4.png", "Audio-5.png"]
    assert len({name.lower() for name in names}) == len(paths)
    assert time.monotonic() - started < 5


@pytest.mark.parametrize(
    ("text", "labels"),
    [("a, b", ["a", "b"]), ('joy, "fear, mild"', ["joy", "fear, mild"]), ("", [""]), ("a,,b", ["a", "", "b"])],
)
def test_labels_are_split_as_csv_is(text, labels):
    assert predict.make_parser().parse_args(["x.wav", "--labels", text]).labels == labels
    known = {"labels": ["joy", "fear, mild", "anger"]}
    if labels == ["joy", "fear, mild"]:
        assert predict.choose_labels(labels, known) == labels
    else:
        found = "found .*an empty label" if "" in labels else "found a, b"
        with pytest.raises(InputError, match=f"{found}.*at least two of joy; fear, mild; anger.*in quotes: --labels 'one,"):
            predict.choose_labels(labels, known)


def test_labels_in_another_case_are_taken_for_the_models_with_a_note(capsys):
    known = {"labels": ["anger", "sadness", "Joy", "joy"]}
    assert predict.choose_labels(["anger", "Sadness"], known) == ["anger", "sadness"]
    assert capsys.readouterr().err == "note: taken for classes of the model: Sadness for sadness\n"
    assert predict.choose_labels(["Joy", "anger"], known) == ["Joy", "anger"] and not capsys.readouterr().err
    assert predict.choose_labels(None, {"task": "dimensional", "labels": None}) == []
    for labels in (["anger", "JOY"], ["anger", "Anger"], ["", ""]):  # either of two; one alone; none
        with pytest.raises(InputError, match="expected at least two of anger, sadness, Joy, joy"):
            predict.choose_labels(labels, known)


def test_the_envelope_holds_every_sample_and_the_spectrogram_every_level(tmp_path):
    rate = 16_000
    waveform = np.zeros(3 * rate, np.float32)
    waveform[rate + 100] = 0.5
    waveform[2 * rate :] = 0.25 * np.sin(2 * np.pi * 1000 * np.arange(rate) / rate)
    soundfile.write(tmp_path / "a.wav", waveform, rate, subtype="FLOAT")
    low, high = picture.measure_envelope(tmp_path / "a.wav", 3.0, 30)
    assert high[:20].argmax() == 10 and high.max() == 0.5 and low[20:].min() == pytest.approx(-0.25, abs=1e-4)
    for config in (SpectrogramConfig(), SpectrogramConfig(magnitude="linear")):
        decibels = picture.measure_spectrogram(tmp_path / "a.wav", 3.0, config)
        assert decibels.shape == (512, 94) and np.isfinite(decibels).all()
        assert decibels[64, 80] == pytest.approx(20 * np.log10(0.25), abs=0.1 if config.magnitude == "linear" else 8.1)


# ---------------------------------------------------------------------------------------------------------- export


@pytest.mark.parametrize("task", TASKS)
def test_a_saved_model_gives_the_same_numbers(made, tmp_path, capsys, task):
    import tensorflow as tf

    path = made[task][2]
    assert run("--model", path, "--export", "saved_model", "--export-to", tmp_path / "exported") == 0
    assert "same numbers" in capsys.readouterr().err
    spectrograms = np.random.default_rng(1).uniform(-1, 1, (2, 512, 32, 1)).astype(np.float32)
    loaded = tf.saved_model.load(str(tmp_path / "exported"))  # kept: its variables live as long as it does
    found = loaded.serve(spectrograms)
    for ours, theirs in zip(tf.nest.flatten(keras.models.load_model(path)(spectrograms)), tf.nest.flatten(found), strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-5)
    assert json.loads((tmp_path / "exported" / "head.json").read_text())["task"] == task
    assert run("--model", path, "--export", "saved_model", "--export-to", tmp_path / "exported") == 2
    assert "exists already" in capsys.readouterr().err


@pytest.mark.parametrize(
    "option", [("--labels", "anger,neutral"), ("--adapt", "."), ("--single-pass",), ("--about",)], ids=lambda words: words[0]
)
def test_what_an_export_would_ignore_is_refused(tmp_path, capsys, option):
    assert run("--export", "saved_model", "--export-to", tmp_path / "exported", *option) == 2
    assert f"{option[0]}: found it with --export" in capsys.readouterr().err and not list(tmp_path.iterdir())


def test_an_onnx_file_ends_in_onnx(tmp_path, capsys, monkeypatch):
    assert run("--export", "onnx", "--export-to", tmp_path / "x.txt") == 2
    assert "x.txt; expected a name that ends in .onnx. Choose another name." in capsys.readouterr().err
    monkeypatch.setattr(export, "export_model", lambda model, form, to: to)
    for form, name in (("onnx", "x.ONNX"), ("saved_model", "folder")):
        assert run("--export", form, "--export-to", tmp_path / name) == 0


@pytest.mark.parametrize("option", [("--timeline",), ("--plot", "pictures"), ("--speakers-from-folders",)], ids=lambda o: o[0])
def test_what_an_export_without_recordings_would_ignore_is_refused(tmp_path, monkeypatch, capsys, option):
    monkeypatch.chdir(tmp_path)
    assert run("--export", "saved_model", *option) == 2
    assert f"{option[0]}: found --export without recordings" in capsys.readouterr().err and not list(tmp_path.iterdir())


def test_an_export_with_other_numbers_is_not_kept(made, tmp_path, monkeypatch):
    monkeypatch.setattr(export, "_run_saved_model", lambda folder, spectrograms: [np.zeros((3, 3))])
    with pytest.raises(InputError, match="differ by"):
        export.export_model(made["categorical"][2], "saved_model", tmp_path / "exported")
    assert list(tmp_path.iterdir()) == []


def test_the_published_model_is_the_default_and_exports_here(sounds, tmp_path, monkeypatch, capsys):
    """It may lie in a folder of installed packages, where nobody writes or looks."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(export, "export_model", lambda model, form, to: (tmp_path / to).write_text(str(model)) and to)
    assert run(sounds / "a.wav", "--export", "saved_model") == 0
    assert re.match(r".*a\.wav  (anger|boredom|disgust|fear|happiness|neutral|sadness) +\d+ %", capsys.readouterr().out)
    assert (tmp_path / "model_saved_model").read_text().endswith("results/table3_emodb/utterance_head/model.keras")


@pytest.mark.parametrize("task", TASKS)
def test_onnx_gives_the_same_numbers(made, tmp_path, task):
    onnx = pytest.importorskip("onnx")
    pytest.importorskip("onnxruntime")
    path = export.export_model(made[task][2], "onnx", tmp_path / "m.onnx")
    properties = {entry.key: entry.value for entry in onnx.load(path).metadata_props}
    assert json.loads(properties["head"])["task"] == task


# ------------------------------------------------------------------------------------------------------ real speech


def test_real_speech_of_a_real_corpus(made, shared_data, capsys):
    paths = sorted((shared_data / "EmoDB" / "wav").glob("*.wav"))[:5]
    assert run("--model", made["categorical"][2], *paths, "--output", "csv") == 0
    assert len(capsys.readouterr().out.splitlines()) == 6
