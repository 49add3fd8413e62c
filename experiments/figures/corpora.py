"""Pictures of corpora: who speaks how much, how long utterances are, and how they are cut."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from experiments.figures.style import BLACK, BLUE, COLOURS, GREY, SKY, add_titles, make_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def plot_labels(utterances: pd.DataFrame, title: str = "", note: str = "", path: str | os.PathLike | None = None) -> Figure:
    """Draws how many utterances of each label every speaker has, as a heat map with the counts in it.

    Args:
        utterances: columns ``speaker`` and ``label``.
    """
    counts = pd.crosstab(utterances["speaker"], utterances["label"])
    with make_figure((1.8 + 0.85 * counts.shape[1], 1.5 + 0.38 * counts.shape[0]), path) as figure:
        axes = figure.subplots()
        axes.imshow(counts, cmap="Blues", vmin=0, vmax=max(1.6 * counts.to_numpy().max(), 1), aspect="auto")
        for row, column in np.ndindex(*counts.shape):
            axes.text(column, row, str(counts.iat[row, column]), ha="center", va="center", fontsize=9, color=BLACK)
        totals = counts.sum()
        axes.set_xticks(range(counts.shape[1]), [f"{label}\n({totals[label]})" for label in counts.columns])
        axes.set_yticks(range(counts.shape[0]), counts.index)
        axes.set(ylabel="speaker")
        axes.tick_params(length=0)
        axes.spines[:].set_visible(False)
        add_titles(figure, axes, title, note)
    return figure


def plot_lengths(
    seconds: Mapping[str, pd.Series], title: str = "", note: str = "", path: str | os.PathLike | None = None
) -> Figure:
    """Draws how long utterances are, a histogram a corpus, with the median.

    Args:
        seconds: corpus -> length of every utterance.
    """
    with make_figure((7.6, 1.0 + 1.5 * len(seconds)), path) as figure:
        grid = figure.subplots(len(seconds), 1, squeeze=False)[:, 0]
        for position, (axes, (name, values)) in enumerate(zip(grid, seconds.items(), strict=True)):
            colour = COLOURS[position % len(COLOURS)]
            axes.hist(values, bins=40, color=colour, alpha=0.75)
            axes.axvline(values.median(), color=BLACK, linewidth=1.2)
            axes.annotate(
                f"median {values.median():.1f} s",
                (values.median(), 0.97),
                xycoords=("data", "axes fraction"),
                xytext=(5, 0),
                textcoords="offset points",
                fontsize=8,
                va="top",
                bbox={"facecolor": "white", "edgecolor": "none", "alpha": 0.75, "pad": 1},
            )
            axes.set(ylabel=f"{name}\nutterances", xlim=(0, None), ylim=(0, 1.2 * axes.get_ylim()[1]))  # room for the words
            axes.grid(True, axis="y")
        grid[-1].set_xlabel("length (s)")
        add_titles(figure, grid[0], title, note)
    return figure


def plot_chunking(
    waveform: np.ndarray,
    chunk_starts: np.ndarray,
    sample_rate_hz: int = 16000,
    title: str = "",
    note: str = "",
    path: str | os.PathLike | None = None,
) -> Figure:
    """Draws a waveform and, below it, the 1-s chunks that are cut from it.

    Args:
        waveform: float, shape (n_samples,).
        chunk_starts: first sample of every chunk.
    """
    seconds = np.arange(len(waveform)) / sample_rate_hz
    with make_figure((7.6, 2.6), path) as figure:
        top, bottom = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
        top.plot(seconds, waveform, color=BLUE, linewidth=0.5)
        top.set(ylabel="amplitude", xlim=(0, max(seconds[-1], 1)))
        for number, start in enumerate(np.asarray(chunk_starts) / sample_rate_hz):
            bottom.barh(-(number % 2), 1, left=start, height=0.8, color=SKY, edgecolor="white")
            bottom.text(start + 0.5, -(number % 2), f"chunk {number + 1}", ha="center", va="center", fontsize=8)
            top.axvline(start, color=GREY, linewidth=0.7, linestyle=":")
        bottom.set(xlabel="time (s)", ylim=(-1.5, 0.5))
        bottom.set_yticks([])
        bottom.spines["left"].set_visible(False)
        add_titles(figure, top, title, note)
    return figure
