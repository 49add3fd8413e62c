"""Pictures of a BEGAN: its convergence, and spectrograms that it sees and makes."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from experiments.figures.style import BLACK, BLUE, GREEN, PURPLE, RED, add_titles, make_figure, scientific

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def plot_convergence(history: pd.DataFrame, title: str = "", note: str = "", path: str | os.PathLike | None = None) -> Figure:
    """Draws a BEGAN's training: losses and convergence measure, k, learning rate, by step.

    Args:
        history: columns step, reconstruction_loss, generator_loss, k, convergence_measure, learning_rate; what is
            absent or empty is left out, and what a training without a generator does not have (its loss is 0 throughout).
    """
    history = history.dropna(axis="columns", how="all")
    if "generator_loss" in history and not history["generator_loss"].any():
        history = history.drop(columns=["generator_loss", "convergence_measure", "k"], errors="ignore")
    step = history["step"].to_numpy(float)
    heights = {"losses": 3.0, "k": 1.4, "learning_rate": 1.0}
    heights = {panel: height for panel, height in heights.items() if panel == "losses" or panel in history}
    with make_figure((7.6, 1.0 + sum(heights.values())), path) as figure:
        panels = dict(
            zip(
                heights,
                figure.subplots(len(heights), 1, sharex=True, squeeze=False, height_ratios=list(heights.values()))[:, 0],
                strict=True,
            )
        )
        top = panels["losses"]
        for column, label, colour, style in (
            ("convergence_measure", r"convergence measure $M_{global}$", BLACK, "-"),
            ("reconstruction_loss", r"reconstruction loss $L(x)$", BLUE, "-"),
            ("generator_loss", r"generator loss $L(G(z))$", RED, "--"),
        ):
            if column in history:
                _line(top, step, history[column].to_numpy(float), label, colour, style)
        top.set(ylabel="mean absolute error", ylim=(0, None))
        top.legend(loc="upper right")
        if "k" in panels:
            middle = panels["k"]
            _line(middle, step, history["k"].to_numpy(float), "", GREEN, "-")
            middle.set(ylabel=r"balance $k_t$", ylim=(-0.03, max(0.1, 1.1 * float(np.nanmax(history["k"])))))
        if "learning_rate" in panels:
            bottom = panels["learning_rate"]
            bottom.step(step, history["learning_rate"], where="post", color=PURPLE)
            bottom.set(ylabel="learning rate", yscale="log")
            rates = history["learning_rate"].to_numpy(float)
            bottom.set_ylim(rates.min() / 2, rates.max() * 2)
            marks = sorted({float(f"{rate:.3g}") for rate in rates})
            if len(marks) <= 4:
                bottom.set_yticks(marks, [scientific(mark) for mark in marks])
                bottom.minorticks_off()
        lowest = list(panels.values())[-1]
        lowest.set_xlabel("training step")
        lowest.xaxis.set_major_formatter(lambda value, _: f"{value:,.0f}".replace(",", "\u2009"))
        for axes in panels.values():
            axes.grid(True)
            axes.margins(x=0.01)
        figure.align_ylabels()
        add_titles(figure, top, title, note)
    return figure


def plot_spectrograms(
    rows: Mapping[str, np.ndarray],
    path: str | os.PathLike | None = None,
    title: str = "",
    sample_rate_hz: int = 16000,
    seconds: float = 1.0,
    columns: Sequence[str] = (),
) -> Figure:
    """Draws a grid of chunks' spectrograms on one colour scale, a named row each.

    Args:
        rows: name (real, reconstructed, generated) -> float, shape (n, n_bins, n_frames) or (n, n_bins, n_frames, 1),
            the network's normalised units.
        columns: headings, one a column.
    """
    arrays = {name: np.asarray(values, dtype=float) for name, values in rows.items()}
    arrays = {name: values[..., 0] if values.ndim == 4 else values for name, values in arrays.items()}
    n = max(len(values) for values in arrays.values())
    everything = np.concatenate([values.ravel() for values in arrays.values()])
    # The extreme half per mille would darken everything else.
    low, high = np.nanquantile(everything, [0.0005, 0.9995])
    with make_figure((1.5 + 1.12 * n, 0.9 + 2.0 * len(arrays)), path) as figure:
        grid = figure.subplots(len(arrays), n, squeeze=False, sharex=True, sharey=True)
        image = None
        for line, (name, values) in zip(grid, arrays.items(), strict=True):
            for column, axes in enumerate(line):
                axes.tick_params(labelsize=7, length=2)
                if column >= len(values):
                    axes.set_visible(False)
                    continue
                image = axes.imshow(
                    values[column],
                    origin="lower",
                    aspect="auto",
                    cmap="magma",
                    vmin=low,
                    vmax=high,
                    extent=(0, seconds, 0, sample_rate_hz / 2000),
                )
                axes.set_xticks([0, seconds], ["0", f"{seconds:g}"])
                axes.set_yticks(np.linspace(0, sample_rate_hz / 2000, 5))
            line[0].set_ylabel(f"{name}\nfrequency (kHz)", fontsize=9)
        for axes in grid[-1]:
            axes.set_xlabel("time (s)", fontsize=8)
        for axes, heading in zip(grid[0], columns, strict=False):
            axes.set_title(heading, fontsize=9, fontweight="normal", loc="center")
        bar = figure.colorbar(image, ax=grid.ravel().tolist(), fraction=0.03, pad=0.015, shrink=0.6)
        bar.set_label("normalised magnitude", fontsize=8)
        bar.ax.tick_params(labelsize=7)
        bar.outline.set_visible(False)
        add_titles(figure, None, title)
    return figure


def draw_pretraining(
    pictured: Mapping[str, np.ndarray], history: pd.DataFrame | Sequence[Mapping[str, float]], folder: str | os.PathLike
) -> list[Path]:
    """Draws how far a pre-training has come, and returns the paths.

    ``convergence.png`` and ``pictures/latest.png`` are drawn anew each time; ``pictures/step_<N>.png`` stays, after 1,
    2, 4, 8, ... calls, so that a long training leaves a handful of them.

    Args:
        pictured: rows of spectrograms, as `plot_spectrograms` takes them; may be empty.
        history: rows of history.csv so far.
        folder: the run folder.
    """
    folder = Path(folder)
    history = pd.DataFrame(history)
    step = int(history["step"].iloc[-1]) if len(history) else 0
    drawn = []
    if pictured:
        names = ["latest"]
        if len(history) & (len(history) - 1) == 0:  # a power of two
            names.append(f"step_{step:07d}")
        for name in names:
            drawn.append(folder / "pictures" / f"{name}.png")
            plot_spectrograms(pictured, drawn[-1], title=f"after {step:,} steps".replace(",", "\u2009"))
    if len(history):
        drawn.append(folder / "convergence.png")
        plot_convergence(history, title="Pre-training: convergence", path=drawn[-1])
    return drawn


def _line(axes: Axes, x: np.ndarray, y: np.ndarray, label: str, colour: str, style: str) -> None:
    if len(x) < 3:
        axes.plot(x, y, color=colour, marker="o", markersize=4, linestyle="none")
    if len(x) > 200:  # many points: the raw curve faintly, a running mean over it
        axes.plot(x, y, color=colour, linewidth=0.5, alpha=0.3)
        y = pd.Series(y).rolling(max(5, len(x) // 60), center=True, min_periods=1).mean().to_numpy()
    axes.plot(x, y, color=colour, linestyle=style, label=label or None)
