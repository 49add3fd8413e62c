"""Networks as ONNX graphs give what Keras gives, of every kind of model and for every length, and start without TensorFlow."""

from __future__ import annotations

import json
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
import soundfile
from documents import ROOT, find_blocks
from fabricated import draw_components, fill_with_noise

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")

from began.command_line import run_script  # noqa: E402
from began.encoder import load_frozen_encoder, run_network  # noqa: E402
from began.errors import InputError  # noqa: E402
from began.keras_file import attach_json  # noqa: E402
from began.network_file import UnknownLayer, load_network  # noqa: E402
from began.networks import build_decoder, build_encoder  # noqa: E402
from began.onnx_network import OnnxNetwork, load_onnx_network  # noqa: E402
from began.spectrogram import SpectrogramConfig  # noqa: E402
from began.utterance_encoder import UtteranceEncoder, fill_up, run_on_any_length  # noqa: E402
from classifiers import export, predict  # noqa: E402
from classifiers.head_parameters import KINDS, SECOND, UTTERANCE, choose_statistics, resolve_parameters  # noqa: E402
from classifiers.heads import build_head  # noqa: E402
from classifiers.predictor import build_predictor, load_predictor, save_predictor  # noqa: E402
from classifiers.utterance_predictor import UtteranceReader  # noqa: E402

PUBLISHED = ROOT / "results" / "table3_emodb" / "utterance_head" / "model.keras"
HEADS = {
    SECOND: [
        {},
        {"input_dropout": 0.1, "dense_units": 4, "dense_dropout": 0.1, "pooling": "mean_max_time", "input_pool_time": 3},
        {"n_convolutions": 0, "pooling": "max_time"},
    ],
    UTTERANCE: [
        {},
        {"n_convolutions": 0, "input_dropout": 0.0, "dropout": 0.0},
        {"correlations": "none", "statistics": "spread_mean"},
        {"blocks": "first", "kernel_frequency": 9},  # whose last window is filled up
    ],
}
CASES = [(kind, "categorical", parameters) for kind in KINDS for parameters in HEADS[kind]]
CASES += [(kind, "dimensional", {}) for kind in KINDS]  # they differ in their outputs alone


@pytest.fixture(scope="module")
def encoder(tmp_path_factory):
    path = tmp_path_factory.mktemp("encoder") / "encoder.keras"
    fill_with_noise(build_encoder(base_filters=3, latent_size=8, seed=1)).save(path)
    attach_json(path, "spectrogram", SpectrogramConfig.of("normalized").to_dict())
    return load_frozen_encoder(path)


def save_model(encoder, path: Path, kind: str, task: str, parameters: dict) -> Path:
    resolved = resolve_parameters(task, parameters, kind)
    metadata = {"task": task, "kind": kind, "parameters": resolved, "tail": "overlap", "aggregation": "mean"}
    if kind == UTTERANCE:
        encoder = UtteranceEncoder.of(encoder, components=draw_components(3))
        shape = (40, 1, len(choose_statistics(resolved, encoder.statistics)))
        metadata["speeds"] = [1.0, 0.9]
    else:
        shape = encoder.feature_shape
    if task == "categorical":
        metadata["labels"] = ["anger", "joy", "neutral"]
    generator = np.random.default_rng(0)
    sizes = shape[0], shape[2]
    normalization = generator.normal(size=sizes), generator.uniform(0.5, 2.0, sizes)
    head = fill_with_noise(build_head(task, shape, 3 if task == "categorical" else 2, parameters, 1, normalization, kind))
    save_predictor(path, build_predictor(encoder, head, metadata))
    return path


@pytest.fixture(scope="module")
def model(encoder, tmp_path_factory):
    return save_model(encoder, tmp_path_factory.mktemp("model") / "model.keras", UTTERANCE, "categorical", {})


@pytest.fixture(scope="module")
def sounds(tmp_path_factory):
    """Twelve recordings of one to six seconds."""
    folder, generator = tmp_path_factory.mktemp("sounds"), np.random.default_rng(0)
    for number in range(12):
        n = 16_000 + number * 7_001
        speech = (0.02 + np.abs(np.sin(np.arange(n) / (500 + 50 * number)))) * generator.standard_normal(n) / 10
        soundfile.write(folder / f"{number}.wav", speech, 16_000)
    return folder


def as_list(outputs) -> list[np.ndarray]:
    return outputs if isinstance(outputs, list) else [outputs]


@pytest.mark.parametrize(("kind", "task", "parameters"), CASES)
def test_a_graph_gives_what_keras_gives(encoder, tmp_path, kind, task, parameters):
    path = save_model(encoder, tmp_path / "m.keras", kind, task, parameters)
    network, expected = load_onnx_network(path), load_network(path)
    assert network.input_shape == expected.input_shape
    assert as_list(network.output_shape) == as_list(expected.output_shape)
    for n_frames in (32,) if kind == SECOND else (8, 96, 200):
        x = np.random.default_rng(n_frames).uniform(-1, 1, (2, 512, n_frames, 1)).astype(np.float32)
        for ours, theirs in zip(as_list(network.predict_on_batch(x)), as_list(expected.predict_on_batch(x)), strict=True):
            np.testing.assert_allclose(ours, theirs, atol=1e-5)
    if kind == SECOND:
        np.testing.assert_allclose(run_network(network, x[..., 0]), run_network(expected, x[..., 0]), atol=1e-5)


def test_parts_of_a_network(model):
    network, expected = load_onnx_network(model), load_network(model)
    x = np.random.default_rng(0).uniform(-1, 1, (1, 512, 104, 1)).astype(np.float32)
    bands, theirs = network.get_layer("bands"), expected.get_layer("bands")
    assert bands.output_shape == theirs.output_shape
    for a, b in zip(run_on_any_length(bands, x), run_on_any_length(theirs, x), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-5)
    for a, b in zip(
        network.get_layer("head").get_layer("normalization").get_weights(),
        expected.get_layer("head").get_layer("normalization").get_weights(),
        strict=True,
    ):
        np.testing.assert_array_equal(a, b)


def test_a_reader_runs_the_network_that_it_was_given(model):
    """What --runtime tensorflow opens is not run by ONNX Runtime."""
    parameters = resolve_parameters("categorical", {}, UTTERANCE)
    for load in (load_network, load_onnx_network):
        encoder = UtteranceReader(load(model), SpectrogramConfig.of("normalized"), parameters)._encoder
        assert encoder.graph is None and isinstance(encoder.model, OnnxNetwork) == (load is load_onnx_network)


def test_the_published_encoder():
    path = ROOT / "results" / "pretrain_librispeech" / "began" / "encoder.keras"
    x = np.random.default_rng(0).uniform(-1, 1, (3, 512, 32, 1)).astype(np.float32)
    np.testing.assert_allclose(
        load_onnx_network(path).predict_on_batch(x), load_network(path).predict_on_batch(x), atol=1e-4, rtol=1e-5
    )


# ------------------------------------------------------------------------------------------------------------- predict


def run(*words) -> int:
    return run_script(predict.main, predict.make_parser(), [str(word) for word in words])


def predict_both(capsys, *words) -> list[list[dict]]:
    """Returns what both runtimes say."""
    said = []
    for runtime in ("onnx", "tensorflow"):
        assert run(*words, "--output", "json", "--runtime", runtime) == 0
        said.append(json.loads(capsys.readouterr().out))
    return said


def assert_equal_predictions(ours: list[dict], theirs: list[dict]) -> None:
    for a, b in zip(ours, theirs, strict=True):
        rows = [(a, b), *zip(a.get("timeline", []), b.get("timeline", []), strict=True)]
        for x, y in rows:
            assert x["probabilities"] == pytest.approx(y["probabilities"], abs=1e-4)


@pytest.mark.parametrize("options", [(), ("--timeline", "--window", 1), ("--single-pass",), ("--adapt",)])
def test_both_runtimes_say_the_same(model, sounds, capsys, options):
    options = (*options, sounds) if options == ("--adapt",) else options
    ours, theirs = predict_both(capsys, "--model", model, sounds, *options)
    assert len(ours) == 12
    assert_equal_predictions(ours, theirs)


def test_a_head_on_seconds_says_the_same(encoder, sounds, tmp_path, capsys):
    path = save_model(encoder, tmp_path / "m.keras", SECOND, "categorical", {})
    assert_equal_predictions(*predict_both(capsys, "--model", path, sounds, "--timeline"))


def test_real_recordings_get_the_same_scores(shared_data, capsys):
    paths = sorted((shared_data / "EmoDB" / "wav").glob("*.wav"))[::60]
    assert len({path.name[:2] for path in paths}) > 5  # speakers
    assert_equal_predictions(*predict_both(capsys, "--model", PUBLISHED, *paths, "--timeline"))


def test_predicting_imports_neither_tensorflow_nor_keras(model, sounds):
    code = (
        "import sys; from classifiers import predict; from began.command_line import run_script; "
        "code = run_script(predict.main, predict.make_parser(), sys.argv[1:]); "
        "assert not {'tensorflow', 'keras', 'librosa', 'matplotlib', 'pandas'} & set(sys.modules); sys.exit(code)"
    )
    words = ["--model", model, sounds / "1.wav", "--timeline", "--window", "1"]
    done = subprocess.run([sys.executable, "-c", code, *map(str, words)], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    assert done.stderr == "" and "1.wav" in done.stdout


def test_keras_runs_what_no_graph_is_made_of(model, sounds, monkeypatch, capsys):
    def refuse(path):
        raise UnknownLayer("LayerOfTomorrow")

    monkeypatch.setattr(predict, "load_onnx_network", refuse)
    assert run("--model", model, sounds / "1.wav") == 0
    assert run("--model", model, sounds / "1.wav", "--runtime", "onnx") == 2
    assert "a network with LayerOfTomorrow, which it cannot run" in capsys.readouterr().err


def test_auto_takes_keras_where_its_backend_is_chosen(model, sounds, monkeypatch):
    monkeypatch.setattr(predict, "load_onnx_network", None)
    monkeypatch.setenv("KERAS_BACKEND", "tensorflow")
    assert run("--model", model, sounds / "1.wav") == 0


# -------------------------------------------------------------------------------------------------------------- export


@pytest.fixture(scope="module", params=["onnx", "saved_model"])
def exported(request, model, tmp_path_factory):
    """How an exported model is run."""
    path = export.export_model(model, request.param, tmp_path_factory.mktemp("exported") / "model.onnx")
    run_exported = export._run_onnx if request.param == "onnx" else export._run_saved_model
    return lambda spectrograms: run_exported(path, spectrograms)


@pytest.mark.parametrize("n_frames", [8, 62, 51, 59, 1])
def test_an_export_takes_any_number_of_frames(model, exported, n_frames):
    """It fills them up as the commands do."""
    predictor = load_predictor(model)
    x = np.random.default_rng(n_frames).uniform(-1, 1, (2, 512, n_frames)).astype(np.float32)
    filled = np.stack([fill_up(spectrogram, predictor.spectrogram) for spectrogram in x])
    expected = predictor.model.predict_on_batch(filled[..., np.newaxis])
    np.testing.assert_allclose(exported(x[..., np.newaxis])[0], expected, atol=1e-5)


def test_an_export_that_answers_some_lengths_otherwise_is_not_kept(model, tmp_path, monkeypatch):
    monkeypatch.setattr(export, "fill_up_input", lambda graph, multiple, value: None)
    with pytest.raises(InputError, match="for spectrograms of 62 frames"):
        export.export_model(model, "onnx", tmp_path / "m.onnx")
    assert not list(tmp_path.iterdir())


def test_an_exported_graph_is_valid(model, tmp_path):
    path = export.export_model(model, "onnx", tmp_path / "m.json")  # an ending under which ONNX would write text
    onnx.checker.check_model(path, full_check=True)
    (output,) = onnx.load(path, format="protobuf").graph.output
    assert [size.dim_value for size in output.type.tensor_type.shape.dim] == [0, 3]  # 0: not known


def test_the_documented_use_of_an_export_gives_what_predict_gives(model, sounds, tmp_path, monkeypatch):
    (snippet,) = (found for found in find_blocks(ROOT / "docs" / "recordings.md", "python") if "onnxruntime" in found)
    export.export_model(model, "onnx", tmp_path / "model.onnx")
    predictor = load_predictor(model, load_onnx_network)
    monkeypatch.chdir(tmp_path)
    for path in sorted(sounds.iterdir())[:5]:
        (tmp_path / "one.wav").write_bytes(path.read_bytes())
        names: dict = {}
        exec(compile(snippet, "recordings.md", "exec"), names)
        np.testing.assert_allclose(np.mean(names["scores"], axis=0), predictor.predict_file(path).scores, atol=1e-5)


# ------------------------------------------------------------------------------------------------------- strangers' files


def alter(source: Path, target: Path, change) -> Path:
    """Copies a .keras file with another configuration."""
    with zipfile.ZipFile(source) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    config = json.loads(members["config.json"])
    change(config["config"])
    members["config.json"] = json.dumps(config).encode()
    with zipfile.ZipFile(target, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return target


def find(config: dict, name: str) -> dict:
    return next(layer for layer in config["layers"] if layer["name"] == name)


def double_forever(config: dict) -> None:
    """Forty layers, each of which puts what came before it twice side by side."""
    pooled = find(config, "pooled")
    reference = {"class_name": "__keras_tensor__", "config": {"shape": [None, 40, 120], "keras_history": ["pooled", 0, 0]}}
    for number in range(40):
        reference["config"]["keras_history"][0] = f"twice{number - 1}" if number else "pooled"
        layer = {**pooled, "name": f"twice{number}", "config": {**pooled["config"], "name": f"twice{number}"}}
        layer["inbound_nodes"] = [{"args": [[json.loads(json.dumps(reference))] * 2], "kwargs": {}}]
        config["layers"].insert(config["layers"].index(find(config, "utterance")), layer)


def name_another_layer(config: dict) -> None:
    find(config, "pooled")["class_name"] = "Lambda"


def name_another_weight(config: dict) -> None:
    find(config, "bands")["config"]["layers"].pop(1)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (double_forever, "in the middle of its network"),
        (name_another_layer, r"the layers \['Lambda'\]"),
        (name_another_weight, "cannot be loaded"),
    ],
)
def test_hostile_networks_are_refused(model, tmp_path, change, said):
    path = alter(model, tmp_path / "m.keras", change)
    with pytest.raises(InputError, match=said):
        load_predictor(path, load_onnx_network)


def test_settings_that_no_graph_is_made_of_are_named(model, tmp_path):
    def dilate(config: dict) -> None:
        find(find(config, "bands")["config"], "map")["config"]["dilation_rate"] = [2, 2]

    with pytest.raises(UnknownLayer, match=r"dilation_rate \[2, 2\]"):
        load_onnx_network(alter(model, tmp_path / "m.keras", dilate))
    build_decoder((32, 8, 1), 2, 4).save(tmp_path / "decoder.keras")
    with pytest.raises(UnknownLayer, match="UpSampling2D"):
        load_onnx_network(tmp_path / "decoder.keras")
