"""Whatever its user's own defaults are, the project computes the same, or says which of them stands in the way."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from began.command_line import run_script
from began.errors import InputError, name_cause
from began.startup import choose_backend

ROOT = Path(__file__).resolve().parents[1]

KERAS_JSON = {
    "of other defaults": json.dumps(
        {"backend": "torch", "floatx": "float16", "epsilon": 0.1, "image_data_format": "channels_first", "nnx_enabled": True}
    ),
    "of impossible values": json.dumps({"floatx": "float8"}),
    "that is no record": "[]",
}


@pytest.mark.parametrize(("content", "where"), [*((name, "HOME") for name in KERAS_JSON), ("that is no record", "KERAS_HOME")])
def test_defaults_of_keras_do_not_count(tmp_path, content, where):
    folder = tmp_path / ".keras" if where == "HOME" else tmp_path
    folder.mkdir(exist_ok=True)
    (folder / "keras.json").write_text(KERAS_JSON[content], encoding="utf-8")
    environment = {name: value for name, value in os.environ.items() if name != "KERAS_HOME"}
    environment |= {where: str(tmp_path), "KERAS_MAX_EPOCHS": "1", "KERAS_MAX_STEPS_PER_EPOCH": "1", "KERAS_NNX_ENABLED": "1"}
    code = (
        "from began.startup import start_backend\nstart_backend()\nimport keras\n"
        "print(keras.backend.backend(), keras.config.floatx(), keras.config.epsilon(), keras.config.image_data_format(),"
        " keras.config.max_epochs(), keras.config.max_steps_per_epoch())"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, env=environment, capture_output=True, text=True)
    assert done.stdout.split() == ["tensorflow", "float32", "1e-07", "channels_last", "None", "None"], done.stderr


@pytest.mark.parametrize(("backend", "expected"), [("torch", "tensorflow or jax"), ("nonsense", "tensorflow or jax")])
def test_a_backend_that_nothing_runs_on(backend, expected, monkeypatch):
    monkeypatch.setenv("KERAS_BACKEND", backend)
    found = f"^environment variable KERAS_BACKEND: found '{backend}'; expected {expected} for this. Unset that variable"
    with pytest.raises(InputError, match=found):
        choose_backend()


def test_a_backend_that_is_not_installed(monkeypatch):
    monkeypatch.setenv("KERAS_BACKEND", "jax")
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(InputError, match="KERAS_BACKEND: found 'jax', which is not installed; .* Pip install jax, or unset"):
        choose_backend()


def test_no_backend_named(monkeypatch):
    for value in ("", "tensorflow"):
        monkeypatch.setenv("KERAS_BACKEND", value)
        assert choose_backend() == "tensorflow"


def test_heads_are_refused_on_another_backend_before_the_work_starts(tiny_corpora, tiny_encoder, tmp_path, monkeypatch, capsys):
    from experiments import table3_emodb

    monkeypatch.setenv("KERAS_BACKEND", "jax")
    words = ["--data-dir", str(tiny_corpora / "EmoDB"), "--encoder", str(tiny_encoder), "--results-dir", str(tmp_path / "r")]
    assert run_script(table3_emodb.main, table3_emodb.make_parser(), words) == 2
    assert "KERAS_BACKEND: found 'jax'; expected tensorflow" in capsys.readouterr().err
    assert not (tmp_path / "r").exists()


# ------------------------------------------------------------------------------------------------ the cause of an error


def fail_in_graph():
    import tensorflow as tf

    @tf.function
    def fail(x):
        raise ValueError(f"the cause,\nwith shape {x.shape}")

    fail(tf.zeros(3))


def fail_in_layer():
    import keras

    keras.layers.Dense(2)(keras.ops.zeros(3))


def fail_in_operation():
    import tensorflow as tf

    @tf.function
    def fail(x):
        tf.debugging.assert_less(x, 0.0, message="the cause")
        return x

    fail(tf.zeros(3))


@pytest.mark.parametrize(
    ("fail", "cause"),
    [
        (fail_in_graph, "ValueError: the cause, with shape (3,)"),
        (fail_in_layer, "expected min_ndim=2, found ndim=1"),
        (fail_in_operation, "the cause"),
    ],
)
def test_a_cause_is_named_on_one_line(fail, cause):
    with pytest.raises(Exception) as caught:  # noqa: B017, PT011 - whatever TensorFlow and Keras raise
        fail()
    named = name_cause(caught.value)
    assert cause in named
    assert named.isprintable() and "user code" not in named and 'File "' not in named


def test_an_error_without_a_message_is_named_after_its_kind():
    assert name_cause(KeyError()) == "KeyError"
