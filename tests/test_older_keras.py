"""Saved networks open in Keras 3.5 and later: what `make test-extras` puts under build/ is asked itself."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import keras
import numpy as np
import pytest
from fabricated import fill_with_noise

from began.encoder import load_frozen_encoder
from began.files import sha256_of
from began.keras_file import NEW_IN_KERAS
from classifiers.description import read_description
from classifiers.heads import build_head
from classifiers.predictor import build_predictor, save_predictor
from experiments.evaluation.conditions import find_condition
from experiments.evaluation.runs import find_runs

ROOT = Path(__file__).resolve().parents[1]
PUBLISHED = sorted((ROOT / "results").rglob("*.keras"))
VERSIONS = ("3.5.0", "3.10.0", "3.14.1")
HEADS = {
    "categorical": {},
    "dimensional": {},
    "with-everything": {"input_dropout": 0.1, "dense_units": 4, "dense_dropout": 0.1, "pooling": "mean_max_time"},
    "without-convolution": {"n_convolutions": 0, "pooling": "max_time"},
}


@pytest.fixture(scope="module")
def saved(tmp_path_factory, tiny_encoder) -> list[Path]:
    """The networks that are published, and new ones of every kind of layer."""
    folder = tmp_path_factory.mktemp("saved")
    encoder = load_frozen_encoder(tiny_encoder)
    for name, parameters in HEADS.items():
        task = "dimensional" if name == "dimensional" else "categorical"
        n_channels = encoder.feature_shape[-1]
        statistics = np.zeros((encoder.feature_shape[0], n_channels)), np.ones((encoder.feature_shape[0], n_channels))
        head = fill_with_noise(build_head(task, encoder.feature_shape, 2, parameters, 3, statistics))
        metadata = {"task": task, "labels": ["a", "b"], "tail": "overlap", "aggregation": "mean"}
        save_predictor(folder / f"{name}.keras", build_predictor(encoder, head, metadata))
    return [*PUBLISHED, tiny_encoder, *sorted(folder.glob("*.keras"))]


def test_no_file_names_what_older_versions_do_not_know(saved):
    assert len(PUBLISHED) >= 5
    for path in saved:
        config = zipfile.ZipFile(path).read("config.json").decode()
        assert not [name for name in NEW_IN_KERAS if f'"{name}"' in config], path


def test_members_that_say_something_stay(tmp_path):
    """They cannot be left out: the file then needs the Keras that wrote it."""
    from began.keras_file import attach_json

    with zipfile.ZipFile(tmp_path / "a.keras", "w") as archive:
        archive.writestr("config.json", '{"config": {"input_axes": [0], "output_axes": null, "seed": null}}')
    attach_json(tmp_path / "a.keras", "head", {})
    assert json.loads(zipfile.ZipFile(tmp_path / "a.keras").read("config.json")) == {
        "config": {"input_axes": [0], "seed": None}
    }


CODE = """
import sys, keras, numpy as np
folder, *paths = sys.argv[1:]
for number, path in enumerate(paths):
    model = keras.models.load_model(path)
    np.savez(f"{folder}/{number}.npz", *keras.tree.flatten(model.predict_on_batch(np.load(f"{folder}/{number}.npy"))))
print(keras.__version__)
"""


@pytest.fixture(scope="module")
def predicted(saved) -> list[tuple[np.ndarray, list[np.ndarray]]]:
    """Of each network an input, and what it makes of it in our version."""
    pairs = []
    for path in saved:
        model = keras.models.load_model(path)
        shape = [2, *(size or 96 for size in model.input_shape[1:])]  # of any length: three seconds
        given = np.random.default_rng(0).uniform(-1, 1, shape).astype(np.float32)
        pairs.append((given, keras.tree.flatten(model.predict_on_batch(given))))
    return pairs


@pytest.mark.extras
@pytest.mark.parametrize("version", VERSIONS)
def test_older_versions_open_them_and_give_the_same(saved, request, version, tmp_path):
    package = ROOT / "build" / f"keras-{version}"
    if not package.is_dir():
        pytest.skip(f"no Keras {version}: make test-extras installs it")
    predicted = request.getfixturevalue("predicted")  # which takes longer than to see that there is nothing to compare with
    for number, (given, _) in enumerate(predicted):
        np.save(tmp_path / f"{number}.npy", given)
    environment = {**os.environ, "PYTHONPATH": str(package)}
    command = [sys.executable, "-c", CODE, str(tmp_path), *map(str, saved)]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert done.stdout.strip() == version, done.stderr
    for number, (_, expected) in enumerate(predicted):
        with np.load(tmp_path / f"{number}.npz") as theirs:
            for name, ours in zip(theirs.files, expected, strict=True):
                np.testing.assert_allclose(theirs[name], ours, atol=1e-5, err_msg=str(saved[number]))


def test_runs_and_models_name_the_encoders_that_are_published():
    """A file that is written anew gets another hash, and would leave its runs behind."""
    folder, bound = ROOT / "results", set()
    hashes = {path.parent.name: sha256_of(path) for path in (folder / "pretrain_librispeech").glob("*/encoder.keras")}
    for run in find_runs(folder):
        name = find_condition(run.experiment, run.condition).encoder or "began"  # the latter by the user
        if name in hashes and (sha256 := run.read_config().get("encoder_sha256")):
            assert sha256 == hashes[name], run.path
            bound.add(name)
    assert bound == hashes.keys() and len(hashes) >= 5
    assert read_description(folder / "table3_emodb/utterance_head/model.keras")["encoder_sha256"] == hashes["began"]
    for name, sha256 in hashes.items():
        assert sha256 in (folder / "pretrain_librispeech" / name / "README.md").read_text(encoding="utf-8")
