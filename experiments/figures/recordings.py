"""Pictures of corpora: who speaks how much, how long utterances are, and how they are cut."""

from collections.abc import Mapping
from itertools import cycle
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from began.audio import SAMPLE_RATE
from experiments.figures.style import BLACK, BLUE, COLOURS, GREY, SKY, draw_heat_map, make_figure


def plot_labels(utterances: pd.DataFrame, **options: Any) -> Figure:
    """Draws how many utterances of each label every speaker has; columns ``speaker`` and ``label``."""
    counts = pd.crosstab(utterances["speaker"], utterances["label"])
    counts.columns = [f"{label}\n({total})" for label, total in counts.sum().items()]
    with make_figure((1.8 + 0.85 * counts.shape[1], 1.5 + 0.38 * counts.shape[0]), **options) as (figure, axes):
        draw_heat_map(axes, counts, highest=max(1.6 * counts.to_numpy().max(), 1))
        axes.set(ylabel="speaker")
    return figure


def plot_lengths(seconds: Mapping[str, pd.Series], **options: Any) -> Figure:
    """Draws a histogram of the length of utterances, in seconds, for every corpus, with the median."""
    with make_figure((7.6, 1.0 + 1.5 * len(seconds)), nrows=len(seconds), squeeze=False, **options) as (figure, grid):
        for axes, (name, values), colour in zip(grid[:, 0], seconds.items(), cycle(COLOURS), strict=False):
            axes.hist(values, bins=40, color=colour, alpha=0.75)
            axes.axvline(values.median(), color=BLACK, linewidth=1.2)
            axes.set(title=f"{name}: median {values.median():.1f} s", ylabel="utterances", xlim=(0, None))
        grid[-1, 0].set_xlabel("length (s)")
    return figure


def plot_chunking(waveform: np.ndarray, chunk_starts: np.ndarray, **options: Any) -> Figure:
    """Draws a waveform, shape (n_samples,), at 16 kHz, and the one-second chunks that start at the samples named."""
    seconds = np.arange(len(waveform)) / SAMPLE_RATE
    with make_figure((7.6, 2.6), nrows=2, sharex=True, height_ratios=(3, 1), **options) as (figure, (top, bottom)):
        top.plot(seconds, waveform, color=BLUE, linewidth=0.5)
        top.set(ylabel="amplitude", xlim=(0, max(seconds[-1], 1)))
        for number, start in enumerate(np.asarray(chunk_starts) / SAMPLE_RATE):
            row = -(number % 2)
            bottom.barh(row, 1, left=start, height=0.8, color=SKY, edgecolor="white")
            bottom.text(start + 0.5, row, f"chunk {number + 1}", ha="center", va="center", fontsize=8)
            top.axvline(start, color=GREY, linewidth=0.7, linestyle=":")
        bottom.set(xlabel="time (s)", ylim=(-1.5, 0.5), yticks=[])
        bottom.spines["left"].set_visible(False)
    return figure
