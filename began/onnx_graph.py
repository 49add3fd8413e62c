"""Networks of .keras files as ONNX graphs: the nodes that each layer becomes."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from began.network_file import MAX_OUTPUT_VALUES, UnknownLayer

OPSET, IR_VERSION = 18, 10
"""Of 2022 and 2024: what other programs of today read."""

KERAS_EPSILON = 1e-7
"""The smallest deviation that Keras' Normalization divides by."""

PROBED_FRAMES = 32
"""Frames that an input of any length has, those of a second, where the sizes of all layers' outputs are checked."""

Layer = dict[str, Any]
Weights = dict[str, np.ndarray]

# ------------------------------------------------------------------------------------------------------------ Keras' side


_GROUPS = {name: name.lower() for name in ("Conv2D", "Dense", "Normalization", "Functional")} | {"EinsumDense": "einsum_dense"}
"""Class -> name of its weights' group, to which Keras adds a number from the second on."""


def list_layers(layer: Layer, group: str) -> Iterator[tuple[Layer, str]]:
    """Yields the layers of a Functional network with the groups of their weights."""
    counts: dict[str, int] = {}
    for inner in layer["config"]["layers"]:
        name = _GROUPS.get(inner["class_name"], "")
        number = counts[name] = counts.get(name, -1) + 1
        yield inner, f"{group}layers/{name}{f'_{number}' if number else ''}/"


def list_weights(weights: Weights, group: str) -> list[np.ndarray]:
    """Returns the weights of one group, in Keras' order."""
    found = []
    while (name := f"{group}vars/{len(found)}") in weights:
        found.append(weights[name])
    return found


def find_input(layer: Layer) -> dict[str, Any]:
    """Returns the settings of a network's only input."""
    (inputs,) = (inner["config"] for inner in layer["config"]["layers"] if inner["class_name"] == "InputLayer")
    return inputs


def _as_list(references: list[Any]) -> list[list[Any]]:
    """Returns references to layers' outputs, [name, node, number], of which Keras writes a single one without a list."""
    return [references] if isinstance(references[0], str) else references


def _walk(arguments: Any) -> Iterator[Any]:
    """Yields the tensors, as ["name", node, number], and the numbers in the arguments of a layer's call."""
    if isinstance(arguments, list):
        for argument in arguments:
            yield from _walk(argument)
    elif isinstance(arguments, dict):
        yield arguments["config"]["keras_history"]
    else:
        yield arguments


# ------------------------------------------------------------------------------------------------------------- ONNX's side


class _Graph:
    """A graph in the making: nodes and constants, whose results have names."""

    def __init__(self, prefix: str = "") -> None:
        """Takes what all names begin with, where the nodes stand beside those of another graph."""
        self.prefix = prefix
        self.nodes: list[Any] = []
        self.constants: list[Any] = []

    def add(self, operator: str, *inputs: str | np.ndarray | float, **attributes: Any) -> str:
        """Adds a node, and returns its result's name; inputs that are no names become constants."""
        from onnx import helper

        names = [given if isinstance(given, str) else self._constant(given) for given in inputs]
        result = f"{self.prefix}{operator.lower()}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(operator, names, [result], **attributes))
        return result

    def _constant(self, value: np.ndarray | float) -> str:
        from onnx import numpy_helper

        array = value if isinstance(value, np.ndarray) else np.array(value, np.float32)
        name = f"{self.prefix}constant_{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.ascontiguousarray(array), name))
        return name

    def add_network(self, layer: Layer, weights: Weights, group: str, inputs: str) -> list[str]:
        """Adds a Functional network, and returns its outputs' names."""
        results: dict[str, list[str]] = {}
        for inner, inner_group in list_layers(layer, group):
            name, class_name = inner["name"], inner["class_name"]
            if class_name == "InputLayer":
                results[name] = [inputs]
                continue
            (node,) = inner["inbound_nodes"]
            given = [results[value[0]][value[2]] if isinstance(value, list) else value for value in _walk(node["args"])]
            if class_name == "Functional":
                results[name] = self.add_network(inner, weights, inner_group, *given)
            elif class_name in _LAYERS:
                results[name] = [_LAYERS[class_name](self, inner["config"], given, list_weights(weights, inner_group))]
            else:
                raise UnknownLayer(class_name)
        return [results[name][number] for name, _, number in _as_list(layer["config"]["output_layers"])]


def make_model(layer: Layer, weights: Weights, group: str) -> tuple[Any, list[tuple[int | None, ...]]]:
    """Returns the graph of a network, and the shapes of its outputs, None where they vary.

    Raises:
        ValueError: an output within it is larger than any of this project's.
    """
    from onnx import TensorProto, helper

    graph, inputs = _Graph(), find_input(layer)
    results = graph.add_network(layer, weights, group, inputs["name"])
    outputs = [f"output_{number}" for number in range(len(results))]
    identities = [helper.make_node("Identity", [result], [output]) for result, output in zip(results, outputs, strict=True)]

    def make(sizes: Sequence[int | str], shapes: Sequence[Sequence[int | None] | None] = (None,) * len(outputs)) -> Any:
        given = helper.make_tensor_value_info(inputs["name"], TensorProto.FLOAT, sizes)
        returned = [
            helper.make_tensor_value_info(output, TensorProto.FLOAT, shape)
            for output, shape in zip(outputs, shapes, strict=True)
        ]
        content = helper.make_graph([*graph.nodes, *identities], layer["config"]["name"], [given], returned, graph.constants)
        return helper.make_model(content, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION)

    shape, longest = inputs["batch_shape"], (1, 1, PROBED_FRAMES, 1)
    once, twice = (
        _infer_shapes(make([size or times * n for size, n in zip(shape, longest, strict=True)]), outputs) for times in (1, 2)
    )
    shapes = [tuple(a if a == b else None for a, b in zip(*pair, strict=True)) for pair in zip(once, twice, strict=True)]
    return make([size or f"axis{axis}" for axis, size in enumerate(shape)], shapes), shapes


def fill_up_input(model: Any, multiple: int, value: float) -> None:
    """Puts nodes in front of a graph of spectrograms that fill these up behind their last frame, in place.

    Args:
        model: what `make_model` returns, of an input (n, n_bins, n_frames, 1).
        multiple, value: of how many frames there must be a multiple, and what those hold that are added.
    """
    graph, front = model.graph, _Graph("fill_up_")
    given = graph.input[0].name
    n_missing = front.add("Mod", front.add("Neg", front.add("Shape", given, start=2, end=3)), np.array([multiple]))
    behind_frames = front.add("Concat", np.zeros(6, np.int64), n_missing, np.zeros(1, np.int64), axis=0)
    filled = front.add("Pad", given, behind_frames, value)
    for node in graph.node:
        node.input[:] = [filled if name == given else name for name in node.input]
    nodes = [*front.nodes, *graph.node]
    del graph.node[:]
    graph.node.extend(nodes)
    graph.initializer.extend(front.constants)


def _infer_shapes(model: Any, outputs: Sequence[str]) -> list[list[int]]:
    """Returns the shapes of some results for an input of a known shape, after a look at the sizes of all."""
    from onnx import shape_inference

    graph = shape_inference.infer_shapes(model, strict_mode=True, data_prop=True).graph
    shapes = {
        value.name: [size.dim_value for size in value.type.tensor_type.shape.dim]
        for value in (*graph.value_info, *graph.output)
    }
    for node in model.graph.node:
        if not 0 < math.prod(shapes.get(node.output[0], [0])) <= 2 * MAX_OUTPUT_VALUES:
            raise ValueError(f"an output of shape {shapes.get(node.output[0])} in the middle of its network")
    return [shapes[name] for name in outputs]


_Convert = Callable[[_Graph, dict[str, Any], list[Any], list[np.ndarray]], str]


def _require(config: dict[str, Any], **settings: Any) -> None:
    """Raises UnknownLayer where a layer has other settings than these."""
    for name, value in settings.items():
        if config.get(name, value) != value:
            raise UnknownLayer(f"{name} {config[name]!r}")


def _activate(graph: _Graph, config: dict[str, Any], x: str) -> str:
    activation = config["activation"]
    if activation not in ("linear", "elu", "tanh", "softmax"):
        raise UnknownLayer(f"activation {activation!r}")
    return x if activation == "linear" else graph.add(activation.capitalize(), x)


def _channels_first(graph: _Graph, operator: str, inputs: Sequence[Any], config: dict[str, Any], **attributes: Any) -> str:
    """Adds a node that wants channels before bins and frames; ONNX Runtime merges the transpositions of consecutive ones."""
    _require(config, data_format="channels_last")
    attributes |= {"strides": config["strides"], "auto_pad": {"same": "SAME_UPPER", "valid": "VALID"}[config["padding"]]}
    first = graph.add("Transpose", inputs[0], perm=[0, 3, 1, 2])
    return graph.add("Transpose", graph.add(operator, first, *inputs[1:], **attributes), perm=[0, 2, 3, 1])


def _convolution(graph: _Graph, config: dict[str, Any], inputs: list[Any], weights: list[np.ndarray]) -> str:
    _require(config, groups=1, dilation_rate=[1, 1], use_bias=True)
    kernel, bias = weights
    return _activate(graph, config, _channels_first(graph, "Conv", [*inputs, kernel.transpose(3, 2, 0, 1), bias], config))


def _pooling(operator: str) -> _Convert:
    return lambda graph, config, inputs, _: _channels_first(graph, operator, inputs, config, kernel_shape=config["pool_size"])


def _dense(graph: _Graph, config: dict[str, Any], inputs: list[Any], weights: list[np.ndarray]) -> str:
    _require(config, use_bias=True)
    return _activate(graph, config, graph.add("Add", graph.add("MatMul", inputs[0], weights[0]), weights[1]))


def _einsum_dense(graph: _Graph, config: dict[str, Any], inputs: list[Any], weights: list[np.ndarray]) -> str:
    _require(config, bias_axes=None)
    return _activate(graph, config, graph.add("Einsum", inputs[0], weights[0], equation=config["equation"]))


def _normalization(graph: _Graph, config: dict[str, Any], inputs: list[Any], weights: list[np.ndarray]) -> str:
    _require(config, invert=False, axis=[1, 3])
    mean, variance = (np.expand_dims(values, (0, 2)) for values in weights[:2])
    deviation = np.maximum(np.sqrt(variance), np.float32(KERAS_EPSILON))
    return graph.add("Div", graph.add("Sub", inputs[0], mean), deviation)


def _rescaling(graph: _Graph, config: dict[str, Any], inputs: list[Any], _: list[np.ndarray]) -> str:
    return graph.add("Add", graph.add("Mul", inputs[0], config["scale"]), config["offset"])


def _zero_padding(graph: _Graph, config: dict[str, Any], inputs: list[Any], _: list[np.ndarray]) -> str:
    _require(config, data_format="channels_last")
    (top, bottom), (left, right) = config["padding"]
    return graph.add("Pad", inputs[0], np.array([0, top, left, 0, 0, bottom, right, 0]))


def _reshape(graph: _Graph, config: dict[str, Any], inputs: list[Any], _: list[np.ndarray]) -> str:
    return graph.add("Reshape", inputs[0], np.array([0, *config["target_shape"]]))  # 0: as it is, the batch


def _reduction(operator: str) -> _Convert:
    def convert(graph: _Graph, config: dict[str, Any], inputs: list[Any], _: list[np.ndarray]) -> str:
        _require(config, initial=None)
        return graph.add(operator, inputs[0], np.array([config["axis"]]), keepdims=int(config["keepdims"]))

    return convert


def _elementwise(operator: str) -> _Convert:
    return lambda graph, config, inputs, _: graph.add(operator, *inputs)


def _along_axis(operator: str) -> _Convert:
    return lambda graph, config, inputs, _: graph.add(operator, inputs[0], np.array([config["axis"]]))


def _ones_like(graph: _Graph, config: dict[str, Any], inputs: list[Any], _: list[np.ndarray]) -> str:
    return graph.add("Expand", 1.0, graph.add("Shape", inputs[0]))


_LAYERS: dict[str, _Convert] = {
    "Conv2D": _convolution,
    "AveragePooling2D": _pooling("AveragePool"),
    "MaxPooling2D": _pooling("MaxPool"),
    "Dense": _dense,
    "EinsumDense": _einsum_dense,
    "Normalization": _normalization,
    "Rescaling": _rescaling,
    "ZeroPadding2D": _zero_padding,
    "Reshape": _reshape,
    "Flatten": lambda graph, config, inputs, _: graph.add("Flatten", inputs[0]),
    "Concatenate": lambda graph, config, inputs, _: graph.add("Concat", *inputs, axis=config["axis"]),
    "Einsum": lambda graph, config, inputs, _: graph.add("Einsum", *inputs, equation=config["subscripts"]),
    **{name: lambda graph, config, inputs, _: inputs[0] for name in ("Identity", "Dropout", "SpatialDropout2D")},
    **{name: _reduction(f"Reduce{name}") for name in ("Mean", "Max", "Min", "Sum")},
    "Squeeze": _along_axis("Squeeze"),
    "ExpandDims": _along_axis("Unsqueeze"),
    "Square": lambda graph, config, inputs, _: graph.add("Mul", inputs[0], inputs[0]),
    "OnesLike": _ones_like,
    "Sqrt": _elementwise("Sqrt"),
    "Add": _elementwise("Add"),
    "Subtract": _elementwise("Sub"),
    "Multiply": _elementwise("Mul"),
    "Divide": _elementwise("Div"),
    "TrueDivide": _elementwise("Div"),
}
"""Keras' class -> what makes its nodes of a graph, its settings, its inputs and its weights, and returns their result."""
