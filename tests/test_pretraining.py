"""Pre-training as a whole: resumable to the bit, watchable, and stopped in time when it goes wrong."""

from __future__ import annotations

import functools
import json
import os
import random
import re
import shutil
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import keras
import numpy as np
import pandas as pd
import pytest
import soundfile

from began import callbacks, checkpoint, precision, pretraining
from began.callbacks import find_trouble, measure_diversity
from began.checkpoint import read_checkpoint, write_checkpoint
from began.command_line import run_script
from began.dataset import ChunkStore
from began.errors import InputError
from began.keras_file import read_attached_json
from began.pretraining import build_began, pretrain
from began.pretraining_settings import AUTO, FLOAT32, MIXED, PretrainingSettings, Schedule
from began.startup import start_backend
from tests.pretrain_small import SMALL

ROOT = Path(__file__).resolve().parents[1]
COLUMNS = [
    "epoch",
    "step",
    "reconstruction_loss",
    "generator_loss",
    "k",
    "convergence_measure",
    "learning_rate",
    "diversity",
    "chunks_per_second",
]
EPOCHS = 4
SETTINGS = PretrainingSettings(**SMALL, epochs=EPOCHS)


@pytest.fixture(scope="module")
def store(small_store_folder) -> ChunkStore:
    return ChunkStore(small_store_folder)


@pytest.fixture(scope="module")
def uninterrupted(store, tmp_path_factory) -> Path:
    """The folder of a training that ran through."""
    folder = tmp_path_factory.mktemp("uninterrupted")
    start_backend()
    (folder / "lines.txt").write_text("")
    with open(folder / "lines.txt", "a") as lines:
        pretrain(store, folder, SETTINGS, report=lambda line: print(line, file=lines))
    return folder


def assert_same_state(first: Path, second: Path) -> None:
    a, b = (np.load(folder / "checkpoint.npz") for folder in (first, second))
    assert a.files == b.files
    for name in a.files:
        if name != "state":
            np.testing.assert_array_equal(a[name], b[name], err_msg=name)


def start(*arguments: object, **options) -> subprocess.Popen:
    return subprocess.Popen([sys.executable, *map(str, arguments)], cwd=ROOT, stdout=subprocess.PIPE, text=True, **options)


def test_killed_and_resumed_equals_uninterrupted(store, uninterrupted, tmp_path):
    """kill -9 of a real process, then the same training to its end: the weights of the one that ran on."""
    process = start("tests/pretrain_small.py", store.folder, tmp_path, EPOCHS)
    rounds = 0
    for line in process.stdout:
        rounds += line.startswith("epoch")
        if rounds == 3:
            break
    process.kill()  # while it draws, or has begun the next round
    process.wait()
    assert (tmp_path / "checkpoint.npz").exists()
    if (tmp_path / "encoder.keras").exists():  # of an epoch that was finished, and it says so
        assert read_attached_json(tmp_path / "encoder.keras", "pretraining")["epochs_done"] < EPOCHS
    lines = []
    pretrain(store, tmp_path, SETTINGS, report=lines.append)
    assert read_attached_json(tmp_path / "encoder.keras", "pretraining")["epochs_done"] == EPOCHS
    assert "from epoch 0.00" not in lines[0]
    assert_same_state(uninterrupted, tmp_path)
    ours, theirs = (
        pd.read_csv(folder / "history.csv").drop(columns="chunks_per_second") for folder in (tmp_path, uninterrupted)
    )
    pd.testing.assert_frame_equal(ours, theirs)
    for name in ("encoder", "decoder", "generator"):
        ours, theirs = (keras.models.load_model(folder / f"{name}.keras") for folder in (tmp_path, uninterrupted))
        for a, b in zip(ours.get_weights(), theirs.get_weights(), strict=True):
            np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize(("steps", "per_call"), [(573, 3), (64, 32), (33, 11), (31, 31), (37, 1), (1, 1)])
def test_calls_of_an_accelerator_divide_a_round(monkeypatch, steps, per_call):
    monkeypatch.setattr(pretraining, "has_accelerator", lambda: False)
    assert pretraining._count_steps_per_call(steps) == 1
    monkeypatch.setattr(pretraining, "has_accelerator", lambda: True)
    assert pretraining._count_steps_per_call(steps) == per_call


def test_several_steps_per_call_give_the_same_training(store, uninterrupted, tmp_path, monkeypatch):
    calls, train_batch_end = [], callbacks.RoundReport.on_train_batch_end
    monkeypatch.setattr(pretraining, "_count_steps_per_call", lambda steps_per_round: steps_per_round)
    monkeypatch.setattr(
        callbacks.RoundReport, "on_train_batch_end", lambda self, *a, **k: calls.append(a) or train_batch_end(self, *a, **k)
    )
    pretrain(store, tmp_path, SETTINGS)
    schedule = Schedule.of(store.steps_per_epoch(SETTINGS.batch_size), SETTINGS)
    assert len(calls) == schedule.n_rounds
    assert schedule.steps_per_round > 1
    assert_same_state(uninterrupted, tmp_path)


def test_history_log_and_networks_are_written(uninterrupted):
    history = pd.read_csv(uninterrupted / "history.csv")
    schedule = Schedule.of(7, SETTINGS)
    assert (schedule.rounds_per_epoch, schedule.steps_per_round, schedule.n_rounds) == (3, 3, 12)
    assert list(history.columns) == COLUMNS
    assert len(history) == schedule.n_rounds
    assert history["step"].iloc[-1] == schedule.n_rounds * schedule.steps_per_round == 36
    assert history["epoch"].iloc[-1] == EPOCHS
    assert np.isfinite(history).all(axis=None)
    assert list((uninterrupted / "logs").glob("events*"))
    lines = (uninterrupted / "lines.txt").read_text()
    for word in ("L(x)", "L(G(z))", "k ", "M_global", "chunks/s"):
        assert word in lines
    assert not list(uninterrupted.glob(".writing-*"))


def test_finished_training_goes_on_with_more_epochs(store, uninterrupted, tmp_path):
    pretrain(store, tmp_path, PretrainingSettings(**SMALL, epochs=2), report=str)
    again = pretrain(store, tmp_path, PretrainingSettings(**SMALL, epochs=2), report=str)
    assert again == tmp_path / "encoder.keras"
    pretrain(store, tmp_path, SETTINGS, report=str)
    assert_same_state(uninterrupted, tmp_path)


def test_encoder_loads_without_this_project(uninterrupted):
    """Stock layers only, and safe_mode holds."""
    model = keras.models.load_model(uninterrupted / "encoder.keras", safe_mode=True)
    assert model.output_shape == (None, 4) and [layer.name for layer in model.layers][-3:] == ["map", "flatten", "embedding"]
    with zipfile.ZipFile(uninterrupted / "encoder.keras") as archive:
        config = archive.read("config.json").decode()
    assert {module.partition(".")[0] for module in re.findall(r'"module": "(.*?)"', config)} == {"keras"}
    assert not re.search(r'"registered_name": "[^"]*>', config)  # of classes of other packages
    assert read_attached_json(uninterrupted / "encoder.keras", "spectrogram")["n_fft"] == 64
    assert read_attached_json(uninterrupted / "encoder.keras", "pretraining")["gamma"] == 0.7


# ------------------------------------------------------------------------------------------------------- checkpoints

WRITE_FOREVER = """
import sys
from pathlib import Path
from began.checkpoint import write_checkpoint
from began.pretraining import PretrainingSettings, build_began
model = build_began(PretrainingSettings(base_filters=2, latent_size=4), (32, 8, 1))
for number in range(100_000):
    write_checkpoint(Path(sys.argv[1]) / "checkpoint.npz", model, {"round": number})
    if number == 0:
        print("ready", flush=True)
"""


def test_checkpoint_is_never_half_written(tmp_path):
    model = build_began(PretrainingSettings(base_filters=2, latent_size=4), (32, 8, 1))
    chance = random.Random(0)
    process = start("-c", WRITE_FOREVER, tmp_path)
    assert process.stdout.readline() == "ready\n"
    for _ in range(30):
        time.sleep(chance.uniform(0.0, 0.01))
        assert read_checkpoint(tmp_path / "checkpoint.npz", model)["round"] >= 0  # while the other process writes
    process.kill()
    process.communicate()
    assert read_checkpoint(tmp_path / "checkpoint.npz", model)["round"] > 0


def test_failed_write_keeps_the_checkpoint_from_before(tmp_path, monkeypatch):
    model = build_began(PretrainingSettings(base_filters=2, latent_size=4), (32, 8, 1))
    write_checkpoint(tmp_path / "checkpoint.npz", model, {"round": 1})

    def fill_the_disk(file, **arrays):
        file.write(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(checkpoint.np, "savez", fill_the_disk)
    with pytest.raises(InputError, match="No space left"):
        write_checkpoint(tmp_path / "checkpoint.npz", model, {"round": 2})
    assert read_checkpoint(tmp_path / "checkpoint.npz", model) == {"round": 1}
    assert [path.name for path in tmp_path.iterdir()] == ["checkpoint.npz"]


DAMAGES = {
    "cut": lambda whole: whole[: len(whole) // 2],
    "empty": lambda whole: b"",
    "text": lambda whole: b"text",
    "a header without its end": lambda whole: whole.replace(b"}", b" ", 1),
    "a header out of line": lambda whole: whole.replace(b"{'descr", b"  {\n }\n", 1),
}


def test_damaged_checkpoint_is_refused(tmp_path):
    model, path = build_began(SETTINGS, (32, 8, 1)), tmp_path / "checkpoint.npz"
    write_checkpoint(path, model, {})
    whole = path.read_bytes()
    for name, damage in DAMAGES.items():
        path.write_bytes(damage(whole))
        assert path.read_bytes() != whole, name
        with pytest.raises(InputError, match="damaged checkpoint"):
            read_checkpoint(path, model)


def test_an_empty_checkpoint_is_a_damaged_one_to_a_training(store, tmp_path):
    (tmp_path / "checkpoint.npz").touch()
    with pytest.raises(InputError, match="damaged checkpoint"):
        pretrain(store, tmp_path, SETTINGS, report=str)


def test_checkpoint_of_another_network_is_refused(tmp_path):
    write_checkpoint(tmp_path / "a.npz", build_began(PretrainingSettings(base_filters=3), (32, 8, 1)), {})
    with pytest.raises(InputError, match="another network"):
        read_checkpoint(tmp_path / "a.npz", build_began(PretrainingSettings(base_filters=2), (32, 8, 1)))


# ---------------------------------------------------------------------------------------------------------- precision


def stored_precision(folder: Path) -> str:
    return json.loads(str(np.load(folder / "checkpoint.npz")["state"]))["precision"]


def train(store: ChunkStore, folder: Path, precision: str, epochs: int = 1) -> list[str]:
    """Trains a little, and returns the lines that were reported."""
    lines = []
    pretrain(store, folder, PretrainingSettings(**SMALL, epochs=epochs, precision=precision), report=lines.append)
    return lines


def test_mixed_precision_is_kept_and_its_networks_are_float32(store, tmp_path, monkeypatch):
    monkeypatch.setattr(pretraining, "choose_precision", None)  # what has begun is never measured
    monkeypatch.setattr(precision, "MIN_STEPS", 0)
    train(store, tmp_path / "resumed", MIXED)
    train(store, tmp_path / "resumed", AUTO, epochs=2)
    train(store, tmp_path / "whole", MIXED, epochs=2)
    assert stored_precision(tmp_path / "resumed") == MIXED
    assert_same_state(tmp_path / "resumed", tmp_path / "whole")
    with pytest.raises(InputError, match="a training in mixed_bfloat16; expected one in float32"):
        train(store, tmp_path / "resumed", FLOAT32, epochs=3)
    for name in ("encoder", "decoder", "generator"):
        path = tmp_path / "resumed" / f"{name}.keras"
        network = keras.models.load_model(path)
        assert read_attached_json(path, "pretraining")["precision"] == MIXED
        assert {layer.dtype_policy.name for layer in network.layers} == {FLOAT32}
        assert keras.backend.standardize_dtype(network(np.zeros((1, *network.input_shape[1:]))).dtype) == FLOAT32
        assert MIXED not in json.dumps(network.get_config(), default=str)


def test_checkpoint_from_before_there_was_a_choice_is_float32(store, tmp_path):
    model = build_began(SETTINGS, (32, 8, 1))
    write_checkpoint(tmp_path / "checkpoint.npz", model, {"round": 1, "plateau": {}, "rows": []})
    with pytest.raises(InputError, match="a training in float32; expected one in mixed_bfloat16"):
        train(store, tmp_path, MIXED)
    train(store, tmp_path, AUTO)
    assert stored_precision(tmp_path) == FLOAT32
    assert "precision" not in read_attached_json(tmp_path / "encoder.keras", "pretraining")


NONE = "no amx_bf16 or avx512_bf16 and no accelerator here: bfloat16 would be several times slower"


@pytest.mark.skipif(not Path("/proc/cpuinfo").exists(), reason="no /proc/cpuinfo")
@pytest.mark.parametrize("flag", ["amx_bf16", "avx512_bf16"])
def test_the_processor_is_named_with_its_flags(monkeypatch, flag):
    cpuinfo = f"processor\t: 0\nmodel name\t: A Processor\nflags\t\t: fpu avx avx2 {flag} amx_tile\n"
    monkeypatch.setattr(Path, "read_text", lambda self, **options: cpuinfo)
    assert precision.describe_processor() == f"A Processor, avx2, {flag}" and precision.find_bfloat16() == flag


@pytest.mark.parametrize(
    ("flag", "n_replicas", "n_steps", "gain", "expected", "reason"),
    [
        ("amx_bf16", 1, 9, 2.0, MIXED, "a step in mixed_bfloat16 is 2.00 times as fast as in float32"),
        ("amx_bf16", 1, 9, 1.05, FLOAT32, "a step in mixed_bfloat16 is 1.05 times as fast as in float32"),
        ("amx_bf16", 1, 8, None, FLOAT32, "measuring does not pay for 8 steps"),
        ("amx_bf16", 2, 9, None, FLOAT32, "on several devices, which could choose differently"),
        ("", 1, 9, None, FLOAT32, NONE),
    ],
)
def test_auto_takes_the_faster_and_measures_only_where_it_may_pay(
    store, monkeypatch, flag, n_replicas, n_steps, gain, expected, reason
):
    monkeypatch.setattr(precision, "find_bfloat16", lambda: flag)
    monkeypatch.setattr(keras.distribution, "list_devices", lambda: ["cpu:0"])
    monkeypatch.setattr(precision, "MIN_STEPS", 9)
    monkeypatch.setattr(precision, "measure_gain", lambda build, batch: 1 / (1 / gain))
    settings = PretrainingSettings(**SMALL, precision=AUTO)
    measure = functools.partial(pretraining._measure_precision, settings, store, str)
    assert precision.settle_precision(None, AUTO, n_replicas, n_steps, measure) == (expected, reason)


def test_a_training_says_its_precision_and_goes_on_in_it(store, tmp_path, monkeypatch):
    monkeypatch.setattr(precision, "find_bfloat16", lambda: "amx_bf16")
    monkeypatch.setattr(precision, "MIN_STEPS", 9)  # as many as it takes
    monkeypatch.setattr(precision, "measure_gain", lambda build, batch: 2.0)
    for epochs, reason in ((1, "a step in mixed_bfloat16 is 2.00 times as fast as in float32"), (2, "as this training began")):
        lines = train(store, tmp_path, AUTO, epochs)
        assert stored_precision(tmp_path) == MIXED
        assert [line for line in lines if line.startswith("precision")] == [f"precision {MIXED}: {reason}"]


def test_measuring_leaves_no_trace(store, tmp_path, monkeypatch):
    gains = []
    monkeypatch.setattr(precision, "find_bfloat16", lambda: "amx_bf16")
    monkeypatch.setattr(precision, "MIN_STEPS", 0)
    measure = precision.measure_gain
    monkeypatch.setattr(precision, "measure_gain", lambda *arguments: gains.append(measure(*arguments)) or 2.0)
    train(store, tmp_path / "measured", AUTO)
    train(store, tmp_path / "told", MIXED)
    assert gains[0] > 0
    assert_same_state(tmp_path / "measured", tmp_path / "told")
    first, second = (tmp_path / name / "encoder.keras" for name in ("measured", "told"))
    assert first.read_bytes() == second.read_bytes()


# ---------------------------------------------------------------------------------------------------- what goes wrong


@pytest.mark.parametrize("poisoned", ["data", "weights"])
def test_not_finite_stops_and_keeps_the_last_good_checkpoint(store, tmp_path, monkeypatch, poisoned):
    if poisoned == "data":
        original = ChunkStore.batches

        def batches(self, *arguments, **named):
            for number, batch in enumerate(original(self, *arguments, **named)):
                yield batch * np.float32(np.nan if number == 4 else 1)

        monkeypatch.setattr(ChunkStore, "batches", batches)
    else:
        # The losses of a round's last step are finite, and what the step has made of the weights is not.
        class Poison(callbacks.StopWhenNotFinite):
            def on_train_batch_end(self, batch, logs=None):
                super().on_train_batch_end(batch, logs)
                if int(self.model.optimizer.iterations) == 6:
                    self.model.trainable_variables[0].assign(self.model.trainable_variables[0] * float("inf"))

        monkeypatch.setattr("began.pretraining.StopWhenNotFinite", Poison)
    with pytest.raises(InputError, match="not finite.*last good checkpoint is kept"):
        pretrain(store, tmp_path, SETTINGS, report=str)
    assert len(pd.read_csv(tmp_path / "history.csv")) == 1
    model = build_began(SETTINGS, (32, 8, 1))
    assert read_checkpoint(tmp_path / "checkpoint.npz", model)["round"] == 1
    assert all(np.isfinite(variable).all() for variable in model.variables)
    if (tmp_path / "encoder.keras").exists():  # of an epoch that was finished, and it says so
        assert read_attached_json(tmp_path / "encoder.keras", "pretraining")["epochs_done"] < EPOCHS


def rows(k: list[float], step: int = 5_000, diversity: float = 0.5) -> list[dict[str, float]]:
    return [{"k": value, "step": step, "diversity": diversity} for value in k]


def test_an_encoder_that_could_not_be_opened_again_is_not_trained(store, tmp_path, monkeypatch):
    monkeypatch.setattr("began.pretraining.MAX_NETWORK_BYTES", pretraining.MAX_JSON_BYTES)
    with pytest.raises(InputError, match="base filters: found 2, an encoder of .* MB; expected at most"):
        pretrain(store, tmp_path, PretrainingSettings(**SMALL))
    assert not list(tmp_path.iterdir())


def test_warnings():
    assert find_trouble(rows([0.1] * 8)) == []
    assert find_trouble(rows([0.5, 0.5, 0.0])) == []
    assert "k has been 0" in find_trouble(rows([0.3] + [0.0] * 5))[0]
    assert "k has been 1" in find_trouble(rows([1.0] * 5))[0]
    assert find_trouble(rows([0.0] * 5, step=300)) == []  # k starts at 0
    assert "mode collapse" in find_trouble(rows([0.2] * 3, diversity=0.001))[0]
    assert find_trouble(rows([0.2] * 3, step=100, diversity=0.001)) == []


def test_warning_is_reported(store, tmp_path, monkeypatch):
    monkeypatch.setattr(callbacks, "COLLAPSE_AFTER_STEPS", 0)
    monkeypatch.setattr(callbacks, "COLLAPSED_DIVERSITY", 1e9)
    lines = []
    pretrain(store, tmp_path, PretrainingSettings(**SMALL, epochs=1), report=lines.append)
    assert any(line.startswith("warning: generated chunks are nearly identical") for line in lines)


def test_a_damaged_chunk_ends_the_training_with_its_name(small_store_folder, tmp_path):
    """Also where TensorFlow reads it, which has errors of its own."""
    folder = Path(shutil.copytree(small_store_folder, tmp_path / "store"))
    shard = folder / "shard-00000.npy"
    content, rows = bytearray(shard.read_bytes()), np.load(shard, mmap_mode="r")
    content[rows.offset + rows[0].nbytes + 77] ^= 1  # in chunk 1, which is not among the pictured ones
    shard.write_bytes(content)
    with pytest.raises(InputError, match=r"shard-00000.npy: found a damaged shard \(chunk 1 has another checksum"):
        pretrain(ChunkStore(folder), tmp_path / "run", SETTINGS, report=lambda line: None)
    assert not (tmp_path / "run" / "encoder.keras").exists()


def test_diversity():
    real = np.random.default_rng(0).normal(size=(8, 4, 4))
    assert measure_diversity({"real": real, "generated": np.repeat(real[:1], 8, axis=0)}) < 1e-9
    assert measure_diversity({"real": real, "generated": real / 2}) == pytest.approx(0.5)
    assert np.isnan(measure_diversity({"real": real}))


# ------------------------------------------------------------------------------------------------------ learning rate


def run_plateau(plateau, model, measures) -> list[float]:
    plateau.set_model(model)
    plateau.on_train_begin()
    rates = []
    for epoch, measure in enumerate(measures):
        plateau.on_epoch_end(epoch, {"convergence_measure": measure})
        rates.append(float(model.optimizer.learning_rate))
    return rates


def test_learning_rate_is_halved_when_the_measure_stalls_down_to_a_floor():
    model = build_began(PretrainingSettings(base_filters=2, latent_size=4, learning_rate=8e-4), (32, 8, 1))
    plateau = callbacks.ResumablePlateau(patience=2, min_lr=2e-4)
    rates = run_plateau(plateau, model, [0.5, 0.4, 0.41, 0.42, 0.41, 0.40, 0.43, 0.44, 0.45, 0.46])
    np.testing.assert_allclose(rates, [8e-4] * 3 + [4e-4] * 2 + [2e-4] * 5, rtol=1e-6)


def test_plateau_remembers_across_a_restart():
    measures = [0.5, 0.4, 0.41, 0.39999, 0.42, 0.3]
    model = build_began(PretrainingSettings(base_filters=2, latent_size=4), (32, 8, 1))
    whole = run_plateau(callbacks.ResumablePlateau(patience=3, min_lr=0.0), model, measures)
    model.optimizer.learning_rate = 5e-5
    first = callbacks.ResumablePlateau(patience=3, min_lr=0.0)
    rates = run_plateau(first, model, measures[:3])
    second = callbacks.ResumablePlateau(patience=3, min_lr=0.0, remembered=json.loads(json.dumps(first.state)))
    assert rates + run_plateau(second, model, measures[3:]) == whole
    assert whole[-1] < whole[0]


# --------------------------------------------------------------------------------------------------------- the script


@pytest.fixture(scope="module")
def librispeech(tmp_path_factory) -> Path:
    """A miniature corpus in LibriSpeech's layout, of noise: 2 speakers, 4 utterances."""
    root = tmp_path_factory.mktemp("LibriSpeech")
    for speaker, chapter in ((11, 21), (12, 22)):
        folder = root / "train-clean-100" / str(speaker) / str(chapter)
        folder.mkdir(parents=True)
        for number in range(2):
            noise = 0.1 * np.random.default_rng(number + speaker).normal(size=16_000 * 9)
            soundfile.write(folder / f"{speaker}-{chapter}-{number:04d}.flac", noise, 16_000)
    return root


def script(librispeech: Path, results: Path, *options: object) -> list[str]:
    return [
        "-m",
        "experiments.pretrain_librispeech",
        "--data-dir",
        str(librispeech),
        "--results-dir",
        str(results),
        "--base-filters",
        "1",
        "--latent-size",
        "2",
        *map(str, options),
    ]


def in_process(librispeech: Path, results: Path, *options: object) -> tuple:
    """Returns what `run_script` takes to run the command in this process."""
    from experiments import pretrain_librispeech

    return pretrain_librispeech.main, pretrain_librispeech.make_parser(), script(librispeech, results, *options)[2:]


def test_script_runs_without_a_warning(librispeech, tmp_path, capsys):
    done = subprocess.run(
        [sys.executable, *script(librispeech, tmp_path, "--epochs", 2)], cwd=ROOT, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""  # no warning, no note of a library, and no progress bar where there is no terminal
    folder = tmp_path / "pretrain_librispeech" / "began"
    assert done.stdout.splitlines()[-2:] == [f"wrote {folder / name}" for name in ("encoder.keras", "components.npz")]
    assert "warn" not in done.stdout.lower()
    written = {path.name for path in folder.iterdir()}
    assert {
        "config.json",
        "environment.json",
        "history.csv",
        "encoder.keras",
        "decoder.keras",
        "generator.keras",
        "checkpoint.npz",
        "convergence.png",
        "pictures",
        "logs",
    } <= written
    environment = json.loads((folder / "environment.json").read_text())
    assert environment["flags"]["TF_DETERMINISTIC_OPS"] == "1" and environment["precision"] == "float32"
    assert run_script(*in_process(librispeech, tmp_path, "--epochs", 2, "--gamma", 0.5)) == 2
    assert "gamma" in capsys.readouterr().err


def test_the_environment_tells_the_precision(librispeech, tmp_path):
    """The one that was settled, which the settings need not name: of a training that goes on, the one that it began with."""
    path = tmp_path / "pretrain_librispeech" / "began" / "environment.json"
    for epochs, options in ((1, ("--precision", MIXED)), (2, ())):
        assert run_script(*in_process(librispeech, tmp_path, "--epochs", epochs, *options)) == 0
        environment = json.loads(path.read_text(encoding="utf-8"))
        assert environment["precision"] == MIXED and len(environment.get("resumed", [])) == epochs - 1


def test_a_refused_run_binds_nobody_and_a_finished_encoder_without_checkpoint_is_complete(librispeech, tmp_path, capsys):
    folder = tmp_path / "pretrain_librispeech" / "began"

    def run(*options: object) -> int:
        return run_script(*in_process(librispeech, tmp_path, "--epochs", 1, *options))

    assert run("--batch-size", 4096) == 2
    assert run() == 0
    (folder / "checkpoint.npz").unlink()  # as in a clone
    before = (folder / "encoder.keras").read_bytes()
    assert run() == 0
    assert "complete after 1 epochs; nothing to do" in capsys.readouterr().out
    assert run("--precision", "float32") == 0
    assert run("--precision", "mixed_bfloat16") == 2
    assert "a training in float32; expected one in mixed_bfloat16" in capsys.readouterr().err
    assert (folder / "encoder.keras").read_bytes() == before
    assert run("--epochs", 2) == 2
    assert "without the checkpoint to go on from" in capsys.readouterr().err
    assert (folder / "encoder.keras").read_bytes() == before


@pytest.mark.parametrize("given", ["a folder", "a manifest"])
def test_speech_of_ones_own(librispeech, tmp_path, capsys, given):
    paths = sorted(librispeech.rglob("*.flac"))
    mine = tmp_path / "mine"
    for number, path in enumerate(paths):
        (mine / "deep" / str(number)).mkdir(parents=True)
        shutil.copy(path, mine / "deep" / str(number) / f"take {number}.flac")
    data, n_files, note = mine, 5, "note: 1 of 5 recordings last less than a second and are left out"
    if given == "a manifest":
        data, n_files, note = mine / "mine.csv", 4, ""
        data.write_text("file,start,end\n" + "".join(f"deep/{n}/take {n}.flac,0,8\n" for n in range(4)), encoding="utf-8")
    else:
        soundfile.write(mine / "short.wav", 0.1 * np.random.default_rng(0).standard_normal(9000), 16_000)
    assert run_script(*in_process(data, tmp_path / "results", "--epochs", 1)) == 0
    said = capsys.readouterr().out
    assert f"mine: {n_files} utterances; speakers unknown" in said
    assert note in said and ("less than a second" in said) == bool(note)
    folder = tmp_path / "results" / "pretrain_librispeech" / "began"
    assert json.loads((folder / "config.json").read_text(encoding="utf-8"))["corpus"] == "mine"
    card = (folder / "README.md").read_text(encoding="utf-8")
    assert f"| data | {n_files} utterances of mine, 16 kHz |" in card and "LibriSpeech" not in card and "CC BY" not in card
    if given == "a folder":
        (mine / "deep" / "voice.m4a").write_bytes(bytes(99))
        assert run_script(*in_process(data, tmp_path / "others", "--epochs", 1)) == 2
        assert "voice.m4a" in capsys.readouterr().err


@pytest.mark.parametrize(("samples", "found"), [(9_000, "no recording of a second or more"), (0, "without samples")])
def test_recordings_that_are_refused_leave_no_folder_behind(tmp_path, capsys, samples, found):
    (tmp_path / "mine").mkdir()
    soundfile.write(tmp_path / "mine" / "a.wav", 0.1 * np.random.default_rng(0).standard_normal(samples), 16_000)
    assert run_script(*in_process(tmp_path / "mine", tmp_path / "results")) == 2
    assert found in capsys.readouterr().err and not (tmp_path / "results").exists()


def test_the_published_card_is_what_is_written_today(tmp_path):
    from experiments.reporting.model_card import write_model_card

    published = ROOT / "results" / "pretrain_librispeech" / "began"
    for name in ("config.json", "history.csv", "encoder.keras"):
        (tmp_path / "began").mkdir(exist_ok=True)
        shutil.copy(published / name, tmp_path / "began" / name)
    assert write_model_card(tmp_path / "began").read_text(encoding="utf-8") == (published / "README.md").read_text(
        encoding="utf-8"
    )


def test_the_card_of_an_autoencoder_names_no_noise(tmp_path):
    """Which its generator, that it does not have, would be fed with."""
    from began.keras_file import attach_json, read_attached_json
    from experiments.reporting.model_card import write_model_card

    for name in ("config.json", "history.csv", "encoder.keras"):
        shutil.copy(ROOT / "results" / "pretrain_librispeech" / "began" / name, tmp_path / name)
    training = read_attached_json(tmp_path / "encoder.keras", "pretraining")
    assert "batch 16, shared noise, seed 0" in write_model_card(tmp_path).read_text(encoding="utf-8")
    attach_json(tmp_path / "encoder.keras", "pretraining", training | {"adversarial": False})
    assert "| training | Adam 5e-05, batch 16, seed 0 |" in write_model_card(tmp_path).read_text(encoding="utf-8")


def test_a_training_goes_on_with_its_own_recordings_only(librispeech, tmp_path, capsys):
    """Also after the prepared chunks, and config.json, were removed."""
    corpus, results = Path(shutil.copytree(librispeech, tmp_path / "data")), tmp_path / "results"

    def run(epochs: int) -> int:
        return run_script(*in_process(corpus, results, "--epochs", epochs))

    assert run(1) == 0
    folder, path = results / "pretrain_librispeech" / "began", next(corpus.rglob("11-21-0001.flac"))
    config = json.loads((folder / "config.json").read_text())
    assert len(config["sounds_sha256"]) == 64
    whole, before = path.read_bytes(), {file: file.read_bytes() for file in folder.glob("*.*")}
    soundfile.write(path, soundfile.read(path)[0][::-1], 16_000)
    assert run(2) == 2
    assert f"changed since: 1 of 4 ({path})" in capsys.readouterr().err
    shutil.rmtree(results / "cache")
    assert run(2) == 2
    assert "began: found a run on recordings that have changed since: 1 of 4 (11-21-0001)" in capsys.readouterr().err
    (folder / "config.json").unlink()
    assert run(2) == 2
    assert "checkpoint.npz: found the checkpoint of a training on other recordings" in capsys.readouterr().err
    before.pop(folder / "config.json")
    assert all(file.read_bytes() == content for file, content in before.items() if file.name != "environment.json")
    path.write_bytes(whole)
    shutil.rmtree(results / "cache")
    (folder / "config.json").write_text(json.dumps({key: config[key] for key in config if key != "sounds_sha256"}))
    assert run(2) == 0  # of an earlier version, which did not know its sounds


REFUSED = {
    ("--learning-rate", "0"): ("--learning-rate",),
    ("--learning-rate", "nan"): ("--learning-rate",),
    ("--gamma", "1.5"): ("--gamma",),
    ("--epochs", "-1"): ("--epochs",),
    ("--lambda-k", "-1"): ("--lambda-k",),
    ("--seed", "-1"): ("--seed",),
    ("--batch-size", "0"): ("--batch-size",),
    ("--name", "a/b"): ("'a/b'",),
    ("--subsets", "train-clean-360"): ("train-clean-360",),
    ("--workers", "here"): ("HOST:PORT",),
    ("--workers", "a:1,b:2"): ("--worker-index",),
    ("--worker-index", "0"): ("--workers",),
    ("--devices", "0"): ("--devices",),
    ("--data-dir", "/nowhere"): ("no such folder",),
    ("--data-dir", "damaged"): ("0001.flac", "0002.flac"),
}
"""Options of a command that is refused -> words of the message."""

REFUSE = """
import contextlib, io, json, sys
from began.command_line import run_script
from experiments import pretrain_librispeech as script
refused = []
for words in json.load(sys.stdin):
    with contextlib.redirect_stderr(io.StringIO()) as said, contextlib.redirect_stdout(io.StringIO()):
        code = run_script(script.main, script.make_parser(), words)
    refused.append([code, said.getvalue(), sorted({"tensorflow", "keras"} & set(sys.modules))])
print(json.dumps(refused))
"""


@pytest.fixture(scope="module")
def refused(librispeech, tmp_path_factory) -> dict[tuple[str, ...], list]:
    """Exit code, message and heavy imports of each of these commands, given one after the other to a process of their own."""
    folder = tmp_path_factory.mktemp("refused")
    corpus = folder / "damaged" / "train-clean-100" / "11" / "21"
    corpus.mkdir(parents=True)
    whole = next(librispeech.rglob("*.flac")).read_bytes()
    for number, content in enumerate((whole, b"", whole[:2000])):
        (corpus / f"11-21-{number:04d}.flac").write_bytes(content)
    commands = [script(librispeech, folder / "results", *options)[2:] for options in REFUSED]
    done = subprocess.run(
        [sys.executable, "-c", REFUSE],
        input=json.dumps(commands),
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return dict(zip(REFUSED, json.loads(done.stdout), strict=True))


@pytest.mark.parametrize("options", REFUSED, ids=" ".join)
def test_bad_options_and_damaged_files_are_refused_before_tensorflow_is_imported(refused, options):
    code, said, imported = refused[options]
    assert code == 2 and said.startswith("error: ") and not imported
    assert all(words in said for words in REFUSED[options])
