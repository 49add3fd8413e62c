"""A predictor for programs that do not speak Keras: ONNX, or TensorFlow's SavedModel, through Keras' own export."""

from __future__ import annotations

import importlib.util
import json
import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from began.errors import InputError
from began.files import write_atomically

SUFFIXES = {"onnx": ".onnx", "saved_model": "_saved_model"}
TOLERANCE = 1e-4
"""Largest difference of a score between a model and its export."""


def export_model(model_path: str | os.PathLike[str], form: str, to: str | os.PathLike[str] | None = None) -> Path:
    """Writes a predictor in another format, checks that it gives the same numbers, and returns where it is.

    The input is a batch of spectrograms as `began.spectrogram.compute_spectrograms` makes them; what else a user of the
    export must know (labels, spectrogram settings) goes with it: as `head.json` in a SavedModel's folder, as the
    metadata property `head` of an ONNX file.

    Args:
        model_path: model.keras.
        form: "onnx" or "saved_model".
        to: a file (onnx) or folder (saved_model) that does not exist yet; beside the model by default.
    Raises:
        InputError: not a predictor, the place is taken or cannot be written, ONNX's packages are not installed, or the
            export gives other numbers.
    """
    model_path = Path(model_path)
    to = Path(to) if to is not None else model_path.with_name(model_path.stem + SUFFIXES[form])
    if to.exists():
        raise InputError.about(
            to,
            found="that it exists already",
            expected="a free place",
            action="remove it, or choose another place with --export-to",
        )
    if form == "onnx":
        absent = [name for name in ("tf2onnx", "onnx", "onnxruntime") if importlib.util.find_spec(name) is None]
        if absent:
            raise InputError.about(
                "--export onnx",
                found=f"no {', '.join(absent)} in this Python",
                expected="tf2onnx, onnx and onnxruntime",
                action="install them (pip install tf2onnx onnx onnxruntime), or use --export saved_model",
            )
    from began.startup import start_backend

    start_backend()

    from classifiers.predictor import load_predictor

    head = load_predictor(model_path)
    spectrograms = np.random.default_rng(0).uniform(-1, 1, (3, *head.model.input_shape[1:])).astype(np.float32)
    expected = [np.asarray(output) for output in _as_list(head.model(spectrograms, training=False))]
    if form == "onnx":
        with write_atomically(to) as temporary:
            _export_onnx(head.model, head.metadata, temporary)
            _compare(to, _run_onnx(temporary), spectrograms, expected)
    else:
        with _fresh_folder(to) as folder:
            head.model.export(folder, format="tf_saved_model", verbose=False)
            (folder / "head.json").write_text(json.dumps(head.metadata, indent=1, sort_keys=True), encoding="utf-8")
            _compare(to, _run_saved_model(folder), spectrograms, expected)
    return to


def _export_onnx(model: Any, metadata: dict[str, Any], path: Path) -> None:
    import onnx

    # Normalization holds its statistics as tensors, which the converter would turn into further inputs; arrays become
    # constants.
    for layer in model._flatten_layers():
        if type(layer).__name__ == "Normalization":
            layer.mean, layer.variance = np.asarray(layer.mean), np.asarray(layer.variance)
    model.export(path, format="onnx", verbose=False)
    exported = onnx.load(path)
    onnx.helper.set_model_props(exported, {"head": json.dumps(metadata, sort_keys=True)})
    onnx.save(exported, path)


def _run_onnx(path: Path) -> Callable[[np.ndarray], list[np.ndarray]]:
    import onnxruntime

    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    return lambda spectrograms: session.run(None, {session.get_inputs()[0].name: spectrograms})


def _run_saved_model(folder: Path) -> Callable[[np.ndarray], list[np.ndarray]]:
    import tensorflow as tf

    loaded = tf.saved_model.load(str(folder))
    return lambda spectrograms: [output.numpy() for output in _as_list(loaded.serve(spectrograms))]


@contextmanager
def _fresh_folder(path: Path) -> Iterator[Path]:
    """Yields a temporary folder that becomes `path` when the block ends well, and vanishes when it does not."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".writing-", dir=path.parent) as working:
            yield Path(working, path.name)
            os.replace(Path(working, path.name), path)
    except OSError as error:
        raise InputError.about(
            path,
            found=f"that it cannot be written ({error.strerror or error})",
            expected="a writable folder with free space",
            action="choose another place with --export-to",
        ) from error


def _as_list(outputs: Any) -> list[Any]:
    return list(outputs) if isinstance(outputs, (list, tuple)) else [outputs]


def _compare(
    path: Path, run: Callable[[np.ndarray], list[np.ndarray]], spectrograms: np.ndarray, expected: list[np.ndarray]
) -> None:
    found = run(spectrograms)
    same_shapes = [output.shape for output in found] == [output.shape for output in expected]
    largest = max(float(np.abs(a - b).max()) for a, b in zip(found, expected, strict=True)) if same_shapes else np.inf
    if not largest <= TOLERANCE:
        raise InputError.about(
            path,
            found=f"scores that differ by {largest:g} from the model's",
            expected=f"at most {TOLERANCE:g}",
            action="use the .keras file",
        )
