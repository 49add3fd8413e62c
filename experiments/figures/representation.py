"""Two-dimensional maps of the embedding."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from experiments.figures.style import MARKERS, add_titles, make_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# Tol's muted palette: ten colours that stay apart with every common colour blindness.
_TEN = ("#332288", "#CC6677", "#44AA99", "#DDCC77", "#882255", "#88CCEE", "#117733", "#AA4499", "#999933", "#222222")


def plot_map(
    points: np.ndarray,
    colourings: Mapping[str, pd.Series],
    title: str = "",
    note: str = "",
    path: str | os.PathLike | None = None,
) -> Figure:
    """Draws the same points once for every colouring.

    Args:
        points: float, shape (n, 2).
        colourings: name -> a category for every point.  Beyond ten categories the largest are coloured, the others stay grey.
    """
    with make_figure((4.3 * len(colourings), 4.9), path) as figure:
        for axes, (name, values) in zip(figure.subplots(1, len(colourings), squeeze=False)[0], colourings.items(), strict=True):
            values = pd.Series(values).reset_index(drop=True).astype(str)
            categories = sorted(values.value_counts(sort=True).index[: len(_TEN)])
            others = ~values.isin(categories)
            if others.any():
                axes.scatter(*points[others].T, s=7, color="#D5D5D5", linewidths=0, label="others")
            for position, category in enumerate(categories):
                axes.scatter(
                    *points[values == category].T,
                    s=16,
                    color=_TEN[position],
                    alpha=0.75,
                    marker=MARKERS[position % len(MARKERS)],
                    linewidths=0,
                    label=category,
                )
            axes.set_title(name, fontweight="normal", loc="center")
            axes.set_xticks([])
            axes.set_yticks([])
            axes.spines[:].set_visible(True)
            axes.spines[:].set_color("#CCCCCC")
            axes.legend(
                loc="upper center",
                bbox_to_anchor=(0.5, -0.02),
                ncols=4,
                markerscale=1.4,
                handletextpad=0.2,
                columnspacing=0.9,
                labelcolor="black",
                fontsize=8,
            )
        add_titles(figure, None, title, note)
    return figure
