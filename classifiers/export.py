"""Exports a predictor to ONNX (`began.onnx_network`) or to TensorFlow's SavedModel (Keras' `export`)."""

import json
from pathlib import Path
from typing import Any

import numpy as np

from began.errors import InputError
from began.files import StrPath, is_there, write_atomically
from began.onnx_network import load_onnx_network
from began.startup import start_backend
from began.utterance_encoder import STEP
from classifiers.predictor import Predictor, load_predictor

SUFFIXES = {"onnx": ".onnx", "saved_model": "_saved_model"}
TOLERANCE = 1e-4
"""Largest difference of a score between a model and its export."""


def export_model(model_path: StrPath, form: str, to: StrPath | None = None) -> Path:
    """Writes a predictor in another format, checks that it gives the same numbers, and returns where it is.

    The input is a batch of spectrograms as `began.spectrogram.compute_spectrograms` makes them; what else a user of the
    export must know (labels, spectrogram settings) goes with it: as `head.json` in a SavedModel's folder, as the
    metadata property `head` of an ONNX file.

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
    import keras

    predictor = load_predictor(model_path)
    shape = [size or 12 * STEP for size in predictor.model.input_shape[1:]]  # of any length: that of three seconds
    spectrograms = np.random.default_rng(0).uniform(-1, 1, (3, *shape)).astype(np.float32)
    expected = keras.tree.flatten(predictor.model(spectrograms, training=False))
    export, run = (_export_onnx, _run_onnx) if form == "onnx" else (_export_saved_model, _run_saved_model)
    with write_atomically(to) as temporary:
        export(model_path, predictor, temporary)
        found = run(temporary, spectrograms)
        same_shapes = [tuple(output.shape) for output in found] == [tuple(output.shape) for output in expected]
        largest = max(float(np.abs(a - b).max()) for a, b in zip(found, expected, strict=True)) if same_shapes else np.inf
        if not largest <= TOLERANCE:
            raise InputError.about(to, f"scores that differ by {largest:g}", f"at most {TOLERANCE:g}", "use the .keras file")
    return to


def _export_saved_model(model_path: Path, predictor: Predictor, folder: Path) -> None:
    predictor.model.export(folder, format="tf_saved_model", verbose=False)
    (folder / "head.json").write_text(json.dumps(predictor.metadata, indent=1, sort_keys=True), encoding="utf-8")


def _export_onnx(model_path: Path, predictor: Predictor, path: Path) -> None:
    import onnx

    graph = load_onnx_network(model_path).model
    onnx.helper.set_model_props(graph, {"head": json.dumps(predictor.metadata, sort_keys=True)})
    onnx.save(graph, path)


def _run_onnx(path: Path, spectrograms: np.ndarray) -> list[Any]:
    import onnxruntime

    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    return session.run(None, {session.get_inputs()[0].name: spectrograms})


def _run_saved_model(folder: Path, spectrograms: np.ndarray) -> list[Any]:
    import keras
    import tensorflow as tf

    loaded = tf.saved_model.load(str(folder))  # kept: its variables live as long as it does
    return keras.tree.flatten(loaded.serve(spectrograms))
