"""Pictures of a BEGAN: its convergence, spectrograms that it sees and makes, a map of its embedding."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from began.audio import SAMPLE_RATE
from experiments.figures.style import BLACK, BLUE, GREEN, MARKERS, PURPLE, RED, make_figure

# Tol's muted palette: ten colours that stay apart with every common colour blindness.
_TEN = ("#332288", "#CC6677", "#44AA99", "#DDCC77", "#882255", "#88CCEE", "#117733", "#AA4499", "#999933", "#222222")


def plot_convergence(history: pd.DataFrame, **options: Any) -> Figure:
    """Draws losses, convergence measure, k and learning rate by step, from the rows of history.csv.

    Left out is what is absent or empty, and what a training without a generator (its loss is 0 throughout) does not have.
    """
    history = history.dropna(axis="columns", how="all")
    if "generator_loss" in history and not history["generator_loss"].any():
        history = history.drop(columns=["generator_loss", "convergence_measure", "k"], errors="ignore")
    step = history["step"].to_numpy(float)
    heights = {"losses": 3.0, "k": 1.4, "learning_rate": 1.0}
    heights = {panel: height for panel, height in heights.items() if panel == "losses" or panel in history}
    rows: dict[str, Any] = {"nrows": len(heights), "height_ratios": [*heights.values()], "sharex": True, "squeeze": False}
    with make_figure((7.6, 1.0 + sum(heights.values())), **rows, **options) as (figure, grid):
        panels = dict(zip(heights, grid[:, 0], strict=True))
        for column, label, colour, style in (
            ("convergence_measure", "convergence measure M_global", BLACK, "-"),
            ("reconstruction_loss", "reconstruction loss L(x)", BLUE, "-"),
            ("generator_loss", "generator loss L(G(z))", RED, "--"),
        ):
            if column in history:
                _draw_line(panels["losses"], step, history[column], colour, label=label, linestyle=style)
        panels["losses"].set(ylabel="mean absolute error", ylim=(0, None))
        panels["losses"].legend(loc="upper right")
        if "k" in panels:
            _draw_line(panels["k"], step, history["k"], GREEN)
            panels["k"].set(ylabel="balance k", ylim=(-0.03, max(0.1, 1.1 * history["k"].max())))
        if "learning_rate" in panels:
            rates = history["learning_rate"]
            panels["learning_rate"].step(step, rates, where="post", color=PURPLE)
            panels["learning_rate"].set(ylabel="learning rate", yscale="log", ylim=(rates.min() / 2, rates.max() * 2))
            # Rates that were used, in place of powers of ten; of many the lowest and the highest.
            ticks = sorted(rates.unique())
            ticks = ticks if len(ticks) <= 4 else [ticks[0], ticks[-1]]
            digits: dict[str, Any] = {"precision": 3, "fractional": False, "trim": "-"}
            panels["learning_rate"].set_yticks(ticks, [np.format_float_positional(tick, **digits) for tick in ticks])
            panels["learning_rate"].minorticks_off()
        grid[-1, 0].set_xlabel("training step")
        grid[-1, 0].xaxis.set_major_formatter(lambda value, _: _with_thin_spaces(value))
        for axes in grid[:, 0]:
            axes.margins(x=0.01)
        figure.align_ylabels()
    return figure


def _draw_line(axes: Axes, x: np.ndarray, y: pd.Series, colour: str, **style: Any) -> None:
    if len(x) < 3:
        axes.plot(x, y, color=colour, marker="o", markersize=4, linestyle="none")
    if len(x) > 200:  # many points: the raw curve faintly, a running mean over it
        axes.plot(x, y, color=colour, linewidth=0.5, alpha=0.3)
        y = y.rolling(max(5, len(x) // 60), center=True, min_periods=1).mean()
    axes.plot(x, y, color=colour, **style)


def _with_thin_spaces(number: float) -> str:
    return f"{number:,.0f}".replace(",", "\u2009")


def plot_spectrograms(rows: Mapping[str, np.ndarray], columns: Sequence[str] = (), **options: Any) -> Figure:
    """Draws spectrograms of one-second chunks on one colour scale, one row for each name.

    Args:
        rows: name -> float, shape (n, n_bins, n_frames), in the network's normalised units.
        columns: a heading for each column.
    """
    rows = {name: np.asarray(values, dtype=float) for name, values in rows.items()}
    n = max(map(len, rows.values()))
    # The extreme half per mille would darken everything else.
    low, high = np.nanquantile(np.concatenate([*rows.values()]), [0.0005, 0.9995])
    highest_khz = SAMPLE_RATE / 2000
    shape: dict[str, Any] = {"nrows": len(rows), "ncols": n, "squeeze": False, "sharex": True, "sharey": True}
    with make_figure((1.5 + 1.12 * n, 0.9 + 2.0 * len(rows)), **shape, **options) as (figure, grid):
        for line, (name, values) in zip(grid, rows.items(), strict=True):
            for axes, value in zip(line, values, strict=False):
                place = {"origin": "lower", "aspect": "auto", "extent": (0, 1, 0, highest_khz)}
                image = axes.imshow(value, cmap="magma", vmin=low, vmax=high, **place)
                axes.set(xticks=[0, 1], yticks=np.linspace(0, highest_khz, 5))
                axes.tick_params(labelsize=7, length=2)
                axes.grid(False)
            for axes in line[len(values) :]:
                axes.set_visible(False)
            line[0].set_ylabel(f"{name}\nfrequency (kHz)", fontsize=9)
        for axes in grid[-1]:
            axes.set_xlabel("time (s)", fontsize=8)
        for axes, heading in zip(grid[0], columns, strict=False):
            axes.set_title(heading, fontsize=9)
        bar = figure.colorbar(image, ax=grid.ravel().tolist(), fraction=0.03, pad=0.015, shrink=0.6)
        bar.set_label("normalised magnitude", fontsize=8)
        bar.ax.tick_params(labelsize=7)
        bar.outline.set_visible(False)
    return figure


def plot_map(points: np.ndarray, colourings: Mapping[str, pd.Series], **options: Any) -> Figure:
    """Draws the same points, shape (n, 2), once for every colouring: name -> a category for every point.

    Beyond ten categories the largest are coloured, the others stay grey.
    """
    with make_figure((4.3 * len(colourings), 4.9), ncols=len(colourings), squeeze=False, **options) as (figure, grid):
        for axes, (name, values) in zip(grid[0], colourings.items(), strict=True):
            values = values.astype(str).to_numpy()
            categories = sorted(pd.Series(values).value_counts().index[: len(_TEN)])
            others = ~np.isin(values, categories)
            if others.any():
                axes.scatter(*points[others].T, s=7, color="#D5D5D5", linewidths=0, label="others")
            for position, category in enumerate(categories):
                style = {"color": _TEN[position], "marker": MARKERS[position % len(MARKERS)], "alpha": 0.75}
                axes.scatter(*points[values == category].T, s=16, linewidths=0, label=category, **style)
            axes.set(title=name, xticks=[], yticks=[])
            axes.spines[:].set(visible=True, color="#CCCCCC")
            close = {"handletextpad": 0.2, "columnspacing": 0.9, "fontsize": 8}
            axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.02), ncols=4, markerscale=1.4, **close)
    return figure


def draw_pretraining(pictured: Mapping[str, np.ndarray], history: pd.DataFrame, folder: Path) -> None:
    """Draws how far a pre-training has come into its run folder.

    ``convergence.png`` and ``pictures/latest.png`` are drawn anew each time; ``pictures/step_<N>.png`` stays, after 1,
    2, 4, 8, ... calls, so that a long training leaves a handful of them.

    Args:
        pictured: rows of spectrograms, as `plot_spectrograms` takes them.
        history: rows of history.csv so far, at least one.
    """
    step, is_power_of_two = int(history["step"].iloc[-1]), len(history) & (len(history) - 1) == 0
    for name in ("latest", f"step_{step:07d}") if is_power_of_two else ("latest",):
        path = folder / "pictures" / f"{name}.png"
        plot_spectrograms(pictured, path=path, title=f"after {_with_thin_spaces(step)} steps")
    plot_convergence(history, title="Pre-training: convergence", path=folder / "convergence.png")
