"""One style for every picture: size, title and file, heat maps, words. Made without pyplot, so that none needs a display."""

import contextlib
import textwrap
from collections.abc import Iterator
from typing import Any

import matplotlib.style
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.image import AxesImage

from began.files import StrPath, write_atomically
from classifiers.picture import save_figure

# Okabe and Ito's palette, told apart with every common colour blindness.
BLUE, ORANGE, GREEN, RED, SKY, PURPLE = "#0072B2", "#E69F00", "#009E73", "#D55E00", "#56B4E9", "#CC79A7"
BLACK, GREY = "#222222", "#767676"
COLOURS = (BLUE, RED, GREEN, ORANGE, PURPLE, SKY)
MARKERS = ("o", "s", "^", "D", "v", "P")

STYLE = {
    "figure.dpi": 100,
    "savefig.dpi": 160,
    "figure.facecolor": "white",
    "figure.constrained_layout.use": True,
    "figure.titlesize": 11,
    "figure.titleweight": "bold",
    "font.family": "sans-serif",
    "font.size": 10,
    "text.parse_math": False,  # a dollar sign in a name starts no formula
    "axes.titlesize": 10,
    "axes.labelsize": 10,
    "xtick.labelsize": 9,
    "ytick.labelsize": 9,
    "legend.fontsize": 9,
    "legend.frameon": False,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": "#555555",
    "axes.grid": True,
    "grid.color": "#DDDDDD",
    "grid.linewidth": 0.7,
    "axes.axisbelow": True,
    "lines.linewidth": 1.6,
    "errorbar.capsize": 3,
    "image.interpolation": "nearest",
}


@contextlib.contextmanager
def make_figure(
    size: tuple[float, float], path: StrPath | None = None, title: str = "", note: str = "", **grid: Any
) -> Iterator[tuple[Figure, Any]]:
    """Yields a figure in the project's style and its axes; puts title and note around what was drawn, and saves it.

    Args:
        size: width and height in inches.
        path: where to save it; None: nowhere.
        title, note: above the picture, and below it in small print.
        grid: how ``Figure.subplots`` divides it.
    """
    with matplotlib.style.context(STYLE, after_reset=True):
        figure = Figure(figsize=size)
        yield figure, figure.subplots(**grid)
        if title:
            figure.suptitle(_wrap(title, 10 * size[0]), x=0.01, ha="left")
        if note:
            figure.supxlabel(_wrap(note, 16 * size[0]), x=0.01, ha="left", fontsize=8, color=GREY)
        if path is not None:
            with write_atomically(path) as temporary:
                # Without the version of Matplotlib inside, the same data give the same file.
                save_figure(figure, temporary, metadata={"Software": None} if str(path).endswith(".png") else None)


def _wrap(text: str, width: float) -> str:
    return "\n".join(textwrap.fill(line, int(width)) for line in text.splitlines())


def draw_heat_map(
    axes: Axes, values: pd.DataFrame, below: pd.DataFrame | None = None, colours: str = "Blues", highest: float = 100
) -> AxesImage:
    """Draws a table as cells coloured from 0 to `highest`, their numbers in them, those of `below` smaller; NaN stays blank."""
    # Square cells would leave the layout a margin that it miscounts, and cut off the names of the axes.
    image = axes.imshow(values, cmap=colours, vmin=0, vmax=highest, aspect="auto")
    for row, column in np.argwhere(values.notna().to_numpy()):
        value = values.iat[row, column]
        dark = np.dot(image.to_rgba(value)[:3], (0.299, 0.587, 0.114)) < 0.5
        style: dict[str, Any] = {"ha": "center", "va": "center", "color": "white" if dark else BLACK}
        axes.text(column, row - 0.12 * (below is not None), f"{value:.0f}", fontsize=9, **style)
        if below is not None:
            axes.text(column, row + 0.26, f"{below.iat[row, column]:.0f}", fontsize=7, **style)
    axes.set_xticks(range(values.shape[1]), map(shorten_name, values.columns))
    axes.set_yticks(range(values.shape[0]), map(shorten_name, values.index))
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    axes.grid(False)
    return image


def shorten_name(name: object, limit: int = 24) -> str:
    """Returns a name that leaves room for the picture beside it: the middle of a long one is left out."""
    text = str(name)
    return text if len(text) <= limit else f"{text[: limit // 2]}…{text[len(text) + limit // 2 + 1 - limit :]}"


def words(name: str) -> str:
    """Returns a name of the code as words."""
    proper = {"began": "BEGAN", "egemaps": "eGeMAPS", "compare": "ComParE", "emodb": "EmoDB", "savee": "SAVEE"}
    return " ".join(proper.get(word, word) for word in str(name).split("_"))
