"""One style for every picture: colours, sizes, titles, words.

Figures are made without pyplot, so that nothing depends on a display; Matplotlib is imported when the first picture is
drawn.
"""

from __future__ import annotations

import contextlib
import os
import textwrap
from collections.abc import Iterator
from typing import TYPE_CHECKING

from began.files import write_atomically

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Okabe and Ito's palette, told apart with every common colour blindness.
BLUE, ORANGE, GREEN, RED, SKY, PURPLE, YELLOW, BLACK = (
    "#0072B2",
    "#E69F00",
    "#009E73",
    "#D55E00",
    "#56B4E9",
    "#CC79A7",
    "#F0E442",
    "#222222",
)
COLOURS = (BLUE, RED, GREEN, ORANGE, PURPLE, SKY)
MARKERS = ("o", "s", "^", "D", "v", "P")
GREY = "#767676"

STYLE = {
    "figure.dpi": 100,
    "savefig.dpi": 160,
    "figure.facecolor": "white",
    "figure.constrained_layout.use": True,
    "font.family": "sans-serif",
    "font.size": 10,
    "axes.titlesize": 11,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.labelsize": 10,
    "xtick.labelsize": 9,
    "ytick.labelsize": 9,
    "legend.fontsize": 9,
    "legend.frameon": False,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": "#555555",
    "axes.grid": False,
    "grid.color": "#DDDDDD",
    "grid.linewidth": 0.7,
    "axes.axisbelow": True,
    "lines.linewidth": 1.6,
    "errorbar.capsize": 3,
    "image.interpolation": "nearest",
}


@contextlib.contextmanager
def make_figure(size: tuple[float, float], path: str | os.PathLike | None) -> Iterator[Figure]:
    """Yields an empty figure in the house style (inches), and saves it when the block ends well."""
    import matplotlib as mpl
    from matplotlib.figure import Figure

    with mpl.rc_context({**mpl.rcParamsDefault, "backend": mpl.rcParams["backend"], **STYLE}):
        figure = Figure(figsize=size)
        yield figure
        if path is not None:
            with write_atomically(path) as temporary:
                # Without the version of Matplotlib inside, the same data give the same file.
                figure.savefig(temporary, metadata={"Software": None} if str(path).endswith(".png") else None)


def add_titles(figure: Figure, axes: Axes | None, title: str, note: str = "") -> None:
    """Puts a title above the picture (or one of its axes), and a note in small print below."""
    if title:
        if axes is None:
            figure.suptitle(title, x=0.01, ha="left", fontsize=11, fontweight="bold")
        else:
            axes.set_title(title, pad=12)
    if note:
        note = "\n".join(textwrap.fill(line, int(16 * figure.get_figwidth())) for line in note.splitlines())
        figure.supxlabel(note, fontsize=8, color=GREY, x=0.01, ha="left")


def words(name: str) -> str:
    """Returns a name of the code as words."""
    proper = {"began": "BEGAN", "svc": "SVC", "omg": "OMG", "cnn": "CNN", "egemaps": "eGeMAPS"}
    return " ".join(proper.get(word, word) for word in str(name).split("_"))


def count(number: int, noun: str) -> str:
    """Returns a number with its noun, in the plural where it must be."""
    return f"{number} {noun}{'' if number == 1 else 's'}"


def scientific(value: float) -> str:
    """Returns a number in scientific notation, as Matplotlib's mathtext."""
    mantissa, exponent = f"{value:.1e}".split("e")
    return f"${float(mantissa):g}\\times10^{{{int(exponent)}}}$"
