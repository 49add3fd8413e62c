"""The picture of the architecture: every shape and layer in it is read from the networks that are drawn."""

from __future__ import annotations

import math
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from experiments.figures.style import BLACK, BLUE, GREEN, GREY, ORANGE, PURPLE, make_figure

if TYPE_CHECKING:
    import keras
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_WIDTH, _HEIGHT = 9.3, 8.9  # all lengths in inches
_LEFT, _PITCH = 0.5, 0.745
_GROUPS = (
    (r"block(\d+)_.*", r"block\1"),
    (r"normalization|stem", "stem"),
    (r"mean|max|mean_max", "pooling"),
    (r"(arousal|valence)(_tanh)?", "outputs"),
)
"""Names of layers -> the stage that they belong to; any other layer is a stage of its own."""
_CONTINUE = ("map", "reshape")
"""Layers that belong to the stage before them."""


@dataclass(frozen=True)
class Stage:
    """Layers that are drawn as one body.

    Attributes:
        shape: what comes out of them, without the batch: (n_bins, n_frames, n_channels) or (n,).
        words: what they do, in short lines.
    """

    shape: tuple[int, ...]
    words: str = ""


def read_stages(model: keras.Model) -> list[Stage]:
    """Returns a network's input and its stages, in their order; what only flattens or drops out is none."""
    groups: dict[str, list[Any]] = {}
    for layer in _flatten(model):
        if type(layer).__name__ in ("InputLayer", "Flatten") or "Dropout" in type(layer).__name__:
            continue
        name = next(
            (re.sub(f"^(?:{pattern})$", stage, layer.name) for pattern, stage in _GROUPS if re.fullmatch(pattern, layer.name)),
            layer.name,
        )
        if layer.name in _CONTINUE:
            name = next(reversed(groups))
        groups.setdefault(name, []).append(layer)
    stages = [Stage(tuple(model.input_shape[1:]))]
    for name, layers in groups.items():
        shape = (len(model.outputs),) if name == "outputs" else tuple(layers[-1].output.shape[1:])
        stages.append(Stage(shape, describe_layers(layers)))
    return stages


def _flatten(model: keras.Model) -> list[Any]:
    return [inner for layer in model.layers for inner in (_flatten(layer) if hasattr(layer, "layers") else [layer])]


def describe_layers(layers: Sequence[Any]) -> str:
    """Returns what a stage's layers do, in short lines."""
    lines: list[str] = []
    convolutions = [layer for layer in layers if hasattr(layer, "kernel_size")]
    if convolutions:
        number = f"{len(convolutions)} " if len(convolutions) > 1 else ""
        lines.append(f"{number}conv {_times(convolutions[0].kernel_size)}")
    for layer in layers:
        task = type(layer).__name__
        if task == "Normalization":
            lines.append("standardise")
        elif task in ("AveragePooling2D", "MaxPooling2D"):
            name = "mean" if task.startswith("Average") else "max"
            lines.append(f"{name} {_times(layer.pool_size)}")
        elif task == "UpSampling2D":
            lines.append(f"enlarge {_times(layer.size)}")
        elif task == "Dense":
            lines += ["dense"] if "dense" not in lines else []
        if max(getattr(layer, "strides", (1,))) > 1 and convolutions:
            lines.append(f"stride {layer.strides[0] if len(set(layer.strides)) == 1 else _times(layer.strides)}")
        activation = getattr(getattr(layer, "activation", None), "__name__", "linear")
        if task == "Dense" and activation != "linear" and activation not in lines:
            lines.append(activation)
    return "\n".join(lines)


def _times(numbers: Sequence[int]) -> str:
    return "×".join(str(number) for number in numbers)


def draw_architecture(path: str | os.PathLike | None = None) -> Figure:
    """Draws the networks that are built where nothing else is asked for."""
    from began.networks import build_decoder, build_encoder, build_generator
    from began.pretraining import PretrainingSettings
    from classifiers.heads import build_head
    from experiments.corpora.emodb import LABELS

    sizes = {"base_filters": PretrainingSettings.base_filters, "latent_size": PretrainingSettings.latent_size, "seed": 0}
    encoder = build_encoder(**sizes)
    map_shape = encoder.get_layer("map").output.shape[1:]
    heads = {
        "emotion\nprobability of each;\nmean over the seconds\nof an utterance": ("categorical", len(LABELS)),
        "arousal, valence\nmedian over the seconds\nof an utterance": ("dimensional", 2),
    }
    return plot_architecture(
        encoder,
        build_decoder(**sizes),
        build_generator(**sizes),
        {name: build_head(task, map_shape, n_outputs) for name, (task, n_outputs) in heads.items()},
        path,
    )


def plot_architecture(
    encoder: keras.Model,
    decoder: keras.Model,
    generator: keras.Model,
    heads: Mapping[str, keras.Model],
    path: str | os.PathLike | None = None,
) -> Figure:
    """Draws the BEGAN with its losses, and below it the frozen encoder with two heads on its last map.

    A body is as high as there are frequency bins, as deep as there are frames (both logarithmic) and as wide as there are
    channels. Below it stand its shape and the layers that made it.

    Args:
        heads: what comes out of a head, the first line as its name -> the head.
    """
    with make_figure((_WIDTH, _HEIGHT), path) as figure:
        figure.set_layout_engine("none")
        axes = figure.add_axes((0, 0, 1, 1))
        axes.set(xlim=(0, _WIDTH), ylim=(0, _HEIGHT))
        axes.axis("off")
        _draw_pretraining(axes, *(read_stages(network) for network in (encoder, decoder, generator)))
        _draw_heads(axes, read_stages(encoder)[:-1], {name: read_stages(head)[1:] for name, head in heads.items()})
    return figure


def _draw_pretraining(axes: Axes, encoder: list[Stage], decoder: list[Stage], generator: list[Stage]) -> None:
    _write_title(axes, 8.72, "1  Pre-training on speech without labels: a BEGAN")
    upper, lower, gap = 7.42, 4.72, 6.03
    first = _LEFT + _PITCH
    noise = _draw_stages(axes, _LEFT, upper, [Stage(generator[0].shape, "noise z")], GREY)
    made = _draw_stages(axes, first, upper, generator[1:], ORANGE, noise)
    _draw_bracket(axes, first, len(generator) - 1, upper, "generator G", ORANGE)
    _write(axes, made + 0.1, upper + 0.22, "G(z)", size=9)
    _draw_path(axes, [(made + 0.03, upper), (made + 0.3, upper), (made + 0.3, gap), (_LEFT, gap), (_LEFT, lower + 0.86)])

    seen = _draw_stages(axes, _LEFT, lower, [Stage(encoder[0].shape, "speech x,\nor G(z)")], GREY)
    code = _draw_stages(axes, first, lower, encoder[1:], BLUE, seen)
    middle = first + _PITCH * (len(encoder) - 1)
    rebuilt = _draw_stages(axes, middle, lower, decoder[1:], GREEN, code)
    _draw_bracket(axes, first, len(encoder) - 1, lower, "discriminator D: encoder", BLUE)
    _draw_bracket(axes, middle, len(decoder) - 1, lower, "discriminator D: decoder", GREEN)

    box = (made + 0.65, upper - 1.02, _WIDTH - 0.15, upper + 0.85)
    _draw_box(axes, box)
    lines = (
        (0.22, r"$L(v) = \mathrm{mean}\,|v - D(v)|$", "error of the autoencoder D"),
        (0.66, r"$L(x) - k\,L(G(z))$", "what D minimises"),
        (1.1, r"$L(G(z))$", "what G minimises"),
        (1.54, r"$k \leftarrow k + \lambda\,(\gamma\,L(x) - L(G(z)))$", "keeps the two in balance"),
    )
    for down, formula, meaning in lines:
        _write(axes, box[0] + 0.15, box[3] - down, formula, size=10)
        _write(axes, box[0] + 0.15, box[3] - down - 0.19, meaning, size=8, color=GREY)
    assert rebuilt < _WIDTH
    last = middle + _PITCH * (len(decoder) - 2)
    _draw_path(axes, [(last, lower + 0.92), (last, box[1] - 0.03)])
    _write(axes, last - 0.08, gap - 0.08, "D(x), D(G(z))", size=9, ha="right")


def _draw_heads(axes: Axes, encoder: list[Stage], heads: Mapping[str, list[Stage]]) -> None:
    axes.plot([0.15, _WIDTH - 0.15], [3.4, 3.4], color="#DDDDDD", linewidth=1)
    _write_title(axes, 3.12, "2  Emotion from the frozen encoder: a small head for each corpus")
    middle = 1.55
    seen = _draw_stages(axes, _LEFT, middle, [Stage(encoder[0].shape, "a second\nof speech")], GREY)
    frozen = [*(Stage(stage.shape) for stage in encoder[1:-1]), Stage(encoder[-1].shape, "what the\nheads read")]
    end = _draw_stages(axes, _LEFT + _PITCH, middle, frozen, BLUE, seen, alpha=0.45)
    _draw_bracket(axes, _LEFT + _PITCH, len(encoder) - 1, middle, "encoder, frozen", BLUE)
    start = _LEFT + _PITCH * len(encoder) + 0.3
    for y, (name, stages) in zip((2.35, 0.85), heads.items(), strict=True):
        done = _draw_stages(axes, start, y, stages, PURPLE, (end, middle), below=0.36)
        title, *lines = name.split("\n")
        _write(axes, done + 0.15, y + 0.16, title, size=10, fontweight="bold")
        _write(axes, done + 0.15, y + 0.02, "\n".join(lines), size=8, color=GREY, va="top")
    _write(
        axes,
        0.15,
        0.24,
        "Height: frequency bins; depth: frames; width: channels.\n"
        "The heads' sizes are the defaults; the tables search their own.",
        size=8,
        color=GREY,
    )


def _draw_stages(
    axes: Axes,
    x: float,
    y: float,
    stages: Sequence[Stage],
    colour: str,
    start: float | tuple[float, float] | None = None,
    alpha: float = 1.0,
    below: float = 0.72,
) -> float:
    """Draws bodies side by side, an arrow before each, their text at one height; returns where the last one ends.

    Args:
        x, y: centre of the first.
        start: where the first one's arrow comes from, at the same height if it is one number.
        below: how far below y the text begins.
    """
    end = start if start is None or isinstance(start, tuple) else (start, y)
    for stage in stages:
        height, depth, width = _measure(stage.shape)
        left, bottom = x - (width + depth) / 2, y - (height + depth) / 2
        if end is not None:
            _draw_path(axes, [(end[0] + 0.03, end[1]), (left - 0.03, y)])
        _draw_body(axes, (left, bottom), (width, height, depth), colour, alpha)
        _write(axes, x, y - below, _times(stage.shape), size=8, ha="center", va="top")
        _write(axes, x, y - below - 0.16, stage.words, size=7.2, ha="center", va="top", color=GREY)
        end = (left + width + depth, y)
        x += _PITCH
    return end[0]


def _measure(shape: tuple[int, ...]) -> tuple[float, float, float]:
    n_bins, n_frames, n_channels = shape if len(shape) == 3 else (shape[0], 1, 1)
    return 0.12 * math.log2(n_bins) + 0.07, 0.028 * math.log2(n_frames) + 0.03, 0.06 + 0.03 * math.sqrt(n_channels)


def _draw_body(axes: Axes, corner: tuple[float, float], size: tuple[float, float, float], colour: str, alpha: float) -> None:
    from matplotlib.colors import to_rgb
    from matplotlib.patches import Polygon

    (x, y), (width, height, depth) = corner, size
    shift = depth
    faces = (
        ([(x, y), (x + width, y), (x + width, y + height), (x, y + height)], 0.35),
        (
            [
                (x, y + height),
                (x + width, y + height),
                (x + width + shift, y + height + shift),
                (x + shift, y + height + shift),
            ],
            0.65,
        ),
        (
            [(x + width, y), (x + width + shift, y + shift), (x + width + shift, y + height + shift), (x + width, y + height)],
            0.0,
        ),
    )
    for corners, white in faces:
        shade = [1 - (1 - part) * (1 - white) * alpha for part in to_rgb(colour)]
        axes.add_patch(Polygon(corners, facecolor=shade, edgecolor=BLACK, linewidth=0.6, joinstyle="round"))


def _draw_path(axes: Axes, points: Sequence[tuple[float, float]]) -> None:
    """Draws a line with an arrow at its end."""
    axes.plot(*zip(*points[:-1], strict=True), color=BLACK, linewidth=1, solid_joinstyle="miter")
    axes.annotate(
        "",
        xy=points[-1],
        xytext=points[-2],
        arrowprops={"arrowstyle": "-|>", "color": BLACK, "linewidth": 1, "shrinkA": 0, "shrinkB": 0, "mutation_scale": 8},
    )


def _draw_bracket(axes: Axes, x: float, n_stages: int, y: float, name: str, colour: str) -> None:
    """Draws a line over as many stages as a network has, and its name on it; x and y are the first one's centre."""
    left, right, top = x - 0.42 * _PITCH, x + _PITCH * (n_stages - 1) + 0.42 * _PITCH, y + 0.9
    axes.plot([left, left, right, right], [top - 0.06, top, top, top - 0.06], color=colour, linewidth=1.6)
    _write(axes, (left + right) / 2, top + 0.04, name, size=10, ha="center", va="bottom", fontweight="bold")


def _draw_box(axes: Axes, box: tuple[float, float, float, float]) -> None:
    from matplotlib.patches import Rectangle

    left, bottom, right, top = box
    axes.add_patch(
        Rectangle((left, bottom), right - left, top - bottom, facecolor="#F6F7F8", edgecolor="#BBBBBB", linewidth=0.8)
    )


def _write_title(axes: Axes, y: float, text: str) -> None:
    _write(axes, 0.15, y, text, size=11, fontweight="bold")


def _write(axes: Axes, x: float, y: float, text: str, size: float, **style: Any) -> None:
    axes.text(x, y, text, fontsize=size, **{"color": BLACK, "ha": "left", "va": "center", "linespacing": 1.15, **style})
