"""Exports a predictor to ONNX (`began.onnx_network`) or to TensorFlow's SavedModel (Keras' `export`)."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from began.errors import InputError
from began.files import StrPath, is_there, write_atomically
from began.onnx_graph import fill_up_input
from began.onnx_network import load_onnx_network
from began.startup import start_backend
from began.utterance_encoder import STEP, fill_up, find_silence
from classifiers.head_parameters import UTTERANCE
from classifiers.predictor import Predictor, load_predictor

SUFFIXES = {"onnx": ".onnx", "saved_model": "_saved_model"}
TOLERANCE = 1e-4
"""Largest difference of a score between a model and its export."""

CHECKED_FRAMES = (12 * STEP, 8 * STEP - 2, 5)
"""Lengths of spectrograms that a model of any length and its export are compared on: of seconds, and no multiples of STEP."""


def export_model(model_path: StrPath, form: str, to: StrPath | None = None) -> Path:
    """Writes a predictor in another format, checks that it gives the same numbers, and returns where it is.

    The input is a batch of spectrograms as `began.spectrogram.compute_spectrograms` makes them, of heads on utterances with any
    number of frames: the export fills them up itself (`began.utterance_encoder.fill_up`). What else a user of it must know
    (labels, speeds, spectrogram settings) goes with it: as `head.json` in a SavedModel's folder, as the metadata property
    `head` of an ONNX file. docs/recordings.md has an example.

    Args:
        model_path, form: model.keras, and a key of SUFFIXES.
        to: a file (onnx) or folder (saved_model) that does not exist yet; beside the model by default.
    Raises:
        InputError: not a predictor, the place is taken or cannot be written, or the export gives other numbers.
    """
    model_path = Path(model_path)
    to = Path(to) if to is not None else model_path.with_name(model_path.stem + SUFFIXES[form])
    if is_there(to):
        raise InputError.about(to, "that it exists already", "a free place", "remove it, or choose another with --export-to")
    start_backend(["tensorflow"])
    predictor = load_predictor(model_path)
    export, run = (_export_onnx, _run_onnx) if form == "onnx" else (_export_saved_model, _run_saved_model)
    with write_atomically(to) as temporary:
        export(model_path, predictor, temporary)
        for n_frames in CHECKED_FRAMES if predictor.kind == UTTERANCE else (predictor.spectrogram.n_frames,):
            largest = _measure_difference(predictor, n_frames, lambda spectrograms: run(temporary, spectrograms))
            if not largest <= TOLERANCE:
                found = f"scores that differ by {largest:g} for spectrograms of {n_frames} frames"
                raise InputError.about(to, found, f"at most {TOLERANCE:g}", "use the .keras file")
    return to


def _measure_difference(predictor: Predictor, n_frames: int, run: Callable[[np.ndarray], list[Any]]) -> float:
    """Returns the largest difference between the scores of a predictor and those that its export gives for the same input."""
    import keras

    spectrograms = np.random.default_rng(n_frames).uniform(-1, 1, (3, predictor.spectrogram.n_bins, n_frames))
    spectrograms = spectrograms.astype(np.float32)
    read = spectrograms
    if predictor.kind == UTTERANCE:
        read = np.stack([fill_up(spectrogram, predictor.spectrogram) for spectrogram in spectrograms])
    expected, found = (
        keras.tree.flatten(predictor.model(read[..., np.newaxis], training=False)),
        run(spectrograms[..., np.newaxis]),
    )
    if [tuple(output.shape) for output in found] != [tuple(output.shape) for output in expected]:
        return np.inf
    return max(float(np.abs(a - b).max()) for a, b in zip(found, expected, strict=True))


def _export_saved_model(model_path: Path, predictor: Predictor, folder: Path) -> None:
    import keras
    import tensorflow as tf

    def serve(spectrograms: Any) -> Any:
        if predictor.kind == UTTERANCE:
            n_missing = -tf.shape(spectrograms)[2] % STEP
            silence = find_silence(predictor.spectrogram)
            spectrograms = tf.pad(spectrograms, [(0, 0), (0, 0), (0, n_missing), (0, 0)], constant_values=silence)
        return predictor.model(spectrograms, training=False)

    archive = keras.export.ExportArchive()
    archive.track(predictor.model)
    archive.add_endpoint(
        "serve", serve, [tf.TensorSpec(predictor.model.input_shape, tf.float32, predictor.model.inputs[0].name)]
    )
    archive.write_out(folder, verbose=False)
    (folder / "head.json").write_text(json.dumps(predictor.metadata, indent=1, sort_keys=True), encoding="utf-8")


def _export_onnx(model_path: Path, predictor: Predictor, path: Path) -> None:
    import onnx

    graph = load_onnx_network(model_path).model
    if predictor.kind == UTTERANCE:
        fill_up_input(graph, STEP, find_silence(predictor.spectrogram))
    onnx.helper.set_model_props(graph, {"head": json.dumps(predictor.metadata, sort_keys=True)})
    onnx.save(graph, path, format="protobuf")  # whatever the name ends in


def _run_onnx(path: Path, spectrograms: np.ndarray) -> list[Any]:
    import onnxruntime

    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    return session.run(None, {session.get_inputs()[0].name: spectrograms})


def _run_saved_model(folder: Path, spectrograms: np.ndarray) -> list[Any]:
    import keras
    import tensorflow as tf

    loaded = tf.saved_model.load(str(folder))  # kept: its variables live as long as it does
    return keras.tree.flatten(loaded.serve(spectrograms))
