"""Whatever its user's own defaults are, the project computes the same, or says which of them stands in the way."""

from __future__ import annotations

import importlib
import json
import os
import pwd
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pytest
import soundfile

from began.command_line import run_script
from began.errors import InputError, name_cause
from began.startup import choose_backend, set_environment

ROOT = Path(__file__).resolve().parents[1]

KERAS_JSON = {
    "of other defaults": json.dumps(
        {"backend": "torch", "floatx": "float16", "epsilon": 0.1, "image_data_format": "channels_first", "nnx_enabled": True}
    ),
    "of impossible values": json.dumps({"floatx": "float8"}),
}


@pytest.mark.parametrize(("content", "where"), [("of other defaults", "HOME"), ("of impossible values", "KERAS_HOME")])
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


OTHER_DEFAULTS = {
    "a precision": ({"floatx": "float16"}, "found backend tensorflow, floatx float16, image_data_format channels_last"),
    "an order": (
        {"image_data_format": "channels_first"},
        "found backend tensorflow, floatx float32, image_data_format channels_f",
    ),
    "no backend": ({"backend": "nonsense"}, "found what Keras cannot be imported with"),
    "a fault": ({"epsilon": 1}, "found what Keras cannot be imported with (Invalid `epsilon`"),
    "no record": ([], "found what Keras cannot be imported with"),
    "what changes nothing": ({"epsilon": 1e-3}, "float32 channels_last"),
}


@pytest.mark.parametrize(("name", "where"), zip(OTHER_DEFAULTS, 3 * ("HOME", "KERAS_HOME"), strict=True))
def test_a_program_of_ones_own_is_told_of_defaults_under_which_networks_compute_something_else(tmp_path, name, where):
    content, said = OTHER_DEFAULTS[name]
    file = tmp_path / (".keras/keras.json" if where == "HOME" else "keras.json")
    file.parent.mkdir(exist_ok=True)
    file.write_text(json.dumps(content), encoding="utf-8")
    environment = {name: value for name, value in os.environ.items() if name != "KERAS_HOME"}
    code = (
        "from began.network_file import load_network\nfrom began.published_networks import ENCODER\nload_network(ENCODER)\n"
        "import keras\nprint(keras.config.floatx(), keras.config.image_data_format())"
    )
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, cwd=ROOT, env=environment | {where: str(tmp_path)}, capture_output=True, text=True)
    if name == "what changes nothing":
        assert done.stdout.strip() == said, done.stderr
    else:
        assert f"InputError: {file}: {said}" in done.stderr
        assert "expected backend tensorflow or jax, floatx float32, image_data_format channels_last. Correct" in done.stderr


def test_what_keeps_keras_from_being_imported_is_not_blamed_on_a_file_that_is_not_there(tmp_path, monkeypatch):
    from began.startup import check_keras

    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    monkeypatch.setitem(sys.modules, "keras", None)  # as of a broken installation
    with pytest.raises(ImportError):
        check_keras()
    (tmp_path / "keras.json").write_text("{}", encoding="utf-8")
    with pytest.raises(InputError, match="keras.json: found what Keras cannot be imported with"):
        check_keras()


def test_a_backend_that_nothing_runs_on(monkeypatch):
    monkeypatch.setenv("KERAS_BACKEND", "torch")
    found = "^environment variable KERAS_BACKEND: found 'torch'; expected tensorflow or jax for this. Unset that variable"
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


# ------------------------------------------------------------------------------------------------ the machine at hand


def print_after_start(expression: str, **environment: str) -> str:
    code = f"import os\nfrom began.startup import set_environment\nset_environment()\nprint({expression})"
    given = {name: value for name, value in os.environ.items() if name not in ("NUMBA_CACHE_DIR", "XDG_CACHE_HOME")}
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, env=given | environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_numba_has_a_place_of_its_own_where_home_is_not_writable(tmp_path):
    """As in a container that runs under any user's number; librosa could not be imported."""
    variable, elsewhere = "os.environ.get('NUMBA_CACHE_DIR')", "/dev/null/home"
    assert print_after_start(variable, HOME=str(tmp_path)) == "None"
    assert print_after_start(variable, HOME=elsewhere, NUMBA_CACHE_DIR=str(tmp_path)) == str(tmp_path)
    folder = print_after_start(variable, HOME=elsewhere, TMPDIR=str(tmp_path))
    assert Path(folder).parent == tmp_path and not Path(folder).exists()  # it ends with the command
    private = f"oct(os.stat({variable}).st_mode)"
    assert print_after_start(private, HOME=elsewhere, TMPDIR=str(tmp_path)) == "0o40700"


@pytest.mark.parametrize("home", ["of another user", "none"])
def test_a_home_that_cannot_be_looked_into_ends_no_command(home, forbid, tmp_path, monkeypatch):
    """As that of root where it is not root who runs the command, and where the user's number has no name."""
    for name in ("NUMBA_CACHE_DIR", "XDG_CACHE_HOME", "HOME"):
        monkeypatch.setenv(name, "set, so that it is restored")
        monkeypatch.delenv(name)
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", None)
    if home == "none":
        monkeypatch.setattr(pwd, "getpwuid", {}.__getitem__)
    else:
        monkeypatch.setenv("HOME", str(tmp_path / "home" / "root"))
        (tmp_path / "home" / "root").mkdir(parents=True)
        forbid(tmp_path / "home" / "root")
    set_environment()
    assert Path(os.environ["NUMBA_CACHE_DIR"]).parent == tmp_path


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="processes cannot be bound to cores here")
def test_workers_are_as_many_as_cores_may_be_used():
    code = (
        "import os\nos.sched_setaffinity(0, [min(os.sched_getaffinity(0))])\nfrom experiments import table3_emodb\n"
        "print(table3_emodb.make_parser().parse_args(['--data-dir', 'x', '--encoder', 'y']).workers)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.stdout == "1\n", done.stderr


def test_output_that_is_not_utf_8(tmp_path):
    """Names of files and labels and our own dashes are escaped, not refused."""
    soundfile.write(tmp_path / "ä.wav", np.tile([0.1, -0.1], 800), 16_000)
    soundfile.write(tmp_path / "silent.wav", np.zeros(1600), 16_000)
    (tmp_path / "my.csv").write_text("file,label\nä.wav,Ärger\nsilent.wav,Ärger\n", encoding="utf-8")
    command = [sys.executable, "-m", "experiments.check", "manifest", str(tmp_path / "my.csv")]
    environment = {**os.environ, "PYTHONIOENCODING": "ascii"}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert done.returncode == 1 and "label: \\xc4rger 2" in done.stdout, done.stderr


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


@pytest.mark.parametrize(
    ("module", "words", "about"),
    [
        ("classifiers.predict", ["--plot", "p", ""], "argument 3, behind p"),
        ("classifiers.predict", [""], "argument 1"),
        ("classifiers.predict", ["--export", "onnx", "--export-to", ""], "argument 4, behind --export-to"),
        ("classifiers.predict", ["a.wav", "--model="], "--model"),
        ("classifiers.predict", ["--", "", "a.wav"], "argument 2, behind --"),
        ("experiments.embed", ["", "--output", "a.npz"], "argument 1"),
        ("experiments.evaluate", ["--manifest", "a.csv", "--name", ""], "argument 4, behind --name"),
        ("experiments.report", ["--results-dir", ""], "argument 2, behind --results-dir"),
    ],
)
def test_empty_arguments_are_refused(module, words, about, tmp_path, monkeypatch, capsys):
    """As a path, one is the current folder, which nobody named: a variable of the shell was not set."""
    monkeypatch.chdir(tmp_path)
    command = importlib.import_module(module)
    assert run_script(command.main, command.make_parser(), words) == 2
    out, err = capsys.readouterr()
    assert not out and err.startswith(f"error: {about}: found an empty argument; expected a value. ")
    assert not list(tmp_path.iterdir())
