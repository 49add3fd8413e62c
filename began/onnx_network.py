"""Networks as ONNX graphs, run by ONNX Runtime: predicting then starts in a second, where TensorFlow takes five.

The graph is built from layers and weights each time a .keras file is opened, in milliseconds: it works for every saved model
and cannot be stale, and a stranger's file supplies numbers and layer names, which `began.network_file` checks, never a graph.
"""

from __future__ import annotations

import tempfile
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from began.files import StrPath
from began.network_file import UnknownLayer, check_weights, read_network, refuse_damaged
from began.onnx_graph import Layer, Weights, find_input, list_layers, list_weights, make_model
from began.precision import has_accelerator


class OnnxNetwork:
    """A network of a file, or a part of it, with the methods of a Keras model that this project calls."""

    def __init__(self, layer: Layer, weights: Weights, group: str = "") -> None:
        """Takes what `load_onnx_network` reads; nothing is made before it is asked for.

        Args:
            layer: Keras' configuration of a Functional model.
            weights: of the file, by their path in it.
            group: where this network's weights lie, ending in "/".
        """
        self._layer, self._weights, self._group = layer, weights, group

    @cached_property
    def _made(self) -> tuple[Any, list[tuple[int | None, ...]]]:
        return make_model(self._layer, self._weights, self._group)

    @property
    def model(self) -> Any:
        """The graph, an `onnx.ModelProto`: from the name of Keras' input to output_0, output_1 …"""
        return self._made[0]

    @property
    def input_shape(self) -> tuple[int | None, ...]:
        """With None for what may vary."""
        return tuple(find_input(self._layer)["batch_shape"])

    @property
    def output_shape(self) -> tuple[int | None, ...] | list[tuple[int | None, ...]]:
        """Of the output, or of all where there are several."""
        shapes = self._made[1]
        return shapes[0] if len(shapes) == 1 else shapes

    def get_layer(self, name: str) -> OnnxNetwork:
        """Returns a layer of this network; one that is no network itself has weights alone."""
        for layer, group in list_layers(self._layer, self._group):
            if layer["name"] == name:
                return OnnxNetwork(layer, self._weights, group)
        raise ValueError(f"no layer {name}")

    def get_weights(self) -> list[np.ndarray]:
        """Returns the weights of a layer."""
        return list_weights(self._weights, self._group)

    def predict_on_batch(self, inputs: np.ndarray) -> Any:
        """Returns the output, or the list of outputs, for float32 inputs of `input_shape`."""
        outputs = self._session.run(None, {self._session.get_inputs()[0].name: inputs})
        return outputs[0] if len(outputs) == 1 else outputs

    @cached_property
    def _session(self) -> Any:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.enable_cpu_mem_arena = False  # it would keep twice what the largest batch took: 0.6 GB, not 0.4
        # Threads that wait for work would keep the cores busy that the next spectrogram is computed on.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        return onnxruntime.InferenceSession(self.model.SerializeToString(), options, providers=["CPUExecutionProvider"])


def load_onnx_network(path: StrPath) -> OnnxNetwork:
    """Returns the network of a .keras file, refused under the same conditions as by `began.network_file.load_network`.

    Raises:
        InputError: see there.
        UnknownLayer: it has a layer or a setting that no graph is made of here; Keras may open it.
    """
    import h5py

    with refuse_damaged(path):
        config, content = read_network(path)
        check_weights(content)
        weights: Weights = {}
        with h5py.File(content) as file:
            file.visititems(lambda name, item: weights.update({name: item[()]}) if isinstance(item, h5py.Dataset) else None)
        network = OnnxNetwork(config, weights)
        _ = network.model  # made now, so that what is wrong with the file is found now
        return network


def as_onnx(model: Any) -> Any:
    """Returns a network of Keras as an `OnnxNetwork`, or as it is where there is an accelerator, or a layer without a node.

    It is for batches of one: on a processor with AVX2, oneDNN within TensorFlow convolves these by matrix products, which takes
    several times as long per input as its kernel for larger batches.
    """
    if isinstance(model, OnnxNetwork) or has_accelerator():
        return model
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "network.keras")
        model.save(path)
        try:
            return load_onnx_network(path)
        except UnknownLayer:
            return model
