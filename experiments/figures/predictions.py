"""Pictures of predictions: confusion matrices, arousal and valence, speakers."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from experiments.figures.style import BLACK, BLUE, GREY, PURPLE, RED, SKY, add_titles, count, make_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def plot_confusion(counts: pd.DataFrame, title: str = "", note: str = "", path: str | os.PathLike | None = None) -> Figure:
    """Draws a confusion matrix: colour and percentage by true class (rows sum to 100 %), counts below.

    Args:
        counts: rows are true classes, columns predicted ones, values counts.
        note: a line below the picture, such as the number of runs.
    """
    labels = [str(label) for label in counts.index]
    values = counts.to_numpy(dtype=float)
    totals = values.sum(axis=1, keepdims=True)
    shares = np.divide(values, totals, out=np.zeros_like(values), where=totals > 0)
    size = 1.9 + 0.68 * len(labels)
    with make_figure((size + 0.6, size), path) as figure:
        axes = figure.subplots()
        # Square cells would leave the layout a margin that it miscounts, and cut the axis' name off.
        image = axes.imshow(100 * shares, cmap="Blues", vmin=0, vmax=100, aspect="auto")
        for row, column in np.ndindex(*shares.shape):
            colour = "white" if shares[row, column] > 0.65 else BLACK
            axes.text(
                column,
                row - 0.13,
                f"{100 * shares[row, column]:.0f}",
                ha="center",
                va="center",
                color=colour,
                fontsize=10,
                fontweight="bold" if row == column else "normal",
            )
            axes.text(column, row + 0.25, f"{values[row, column]:.0f}", ha="center", va="center", color=colour, fontsize=7)
        axes.set_xticks(
            range(len(labels)), [str(label) for label in counts.columns], rotation=35, ha="right", rotation_mode="anchor"
        )
        axes.set_yticks(range(len(labels)), labels)
        axes.set(xlabel="predicted", ylabel="true")
        axes.tick_params(length=0)
        axes.spines[:].set_visible(False)
        bar = figure.colorbar(image, ax=axes, fraction=0.046, pad=0.03)
        bar.set_label("% of the true class (below: count over all runs)")
        bar.outline.set_visible(False)
        add_titles(figure, axes, title, note)
    return figure


def plot_arousal_valence(
    predictions: pd.DataFrame, title: str = "", note: str = "", path: str | os.PathLike | None = None
) -> Figure:
    """Draws predicted against true arousal and valence, with the line of agreement and the fitted line.

    Args:
        predictions: columns arousal_target, arousal_prediction, valence_target, valence_prediction.
    """
    from classifiers.metrics import concordance_correlation_coefficient

    with make_figure((8.4, 4.3), path) as figure:
        for axes, name, limits, colour in zip(
            figure.subplots(1, 2), ("arousal", "valence"), ((0, 1), (-1, 1)), (BLUE, RED), strict=True
        ):
            pair = predictions[[f"{name}_target", f"{name}_prediction"]].dropna()
            target, prediction = pair.iloc[:, 0].to_numpy(float), pair.iloc[:, 1].to_numpy(float)
            axes.plot(limits, limits, color=GREY, linestyle="--", linewidth=1, label="agreement")
            alpha = float(np.clip(60 / max(len(target), 1), 0.05, 0.6))
            axes.scatter(target, prediction, s=12, alpha=alpha, color=colour, linewidths=0, rasterized=True)
            if len(target) > 1 and np.ptp(target) > 0:
                slope, offset = np.polyfit(target, prediction, 1)
                ends = np.array([target.min(), target.max()])
                axes.plot(ends, slope * ends + offset, color=BLACK, label="least-squares line")
            if len(target):
                axes.set_title(f"{name}: CCC {concordance_correlation_coefficient(target, prediction):.2f}")
            margin = 0.03 * (limits[1] - limits[0])
            axes.set(
                xlabel=f"true {name}",
                ylabel=f"predicted {name}",
                aspect="equal",
                xlim=(limits[0] - margin, limits[1] + margin),
                ylim=(limits[0] - margin, limits[1] + margin),
            )
            axes.grid(True)
            axes.legend(loc="upper left")
        add_titles(figure, None, title, note)
    return figure


def plot_speakers(
    scores: pd.DataFrame,
    marks: Mapping[str, Mapping[str, tuple[float, float]]] | None = None,
    lines: Mapping[str, float] | None = None,
    title: str = "",
    xlabel: str = "speaker",
    ylabel: str = "accuracy (%)",
    note: str = "",
    path: str | os.PathLike | None = None,
) -> Figure:
    """Draws a bar a speaker (mean over runs, ± standard deviation), with published marks or lines.

    Args:
        scores: one row a run, one column a speaker, percent.
        marks: published system -> speaker -> (value, standard deviation or NaN), percent.
        lines: name -> one value for all speakers, percent, drawn across.
    """
    speakers = [str(name) for name in scores.columns]
    x = np.arange(len(speakers))
    with make_figure((max(6.2, 1.6 + 0.72 * len(speakers)), 4.6), path) as figure:
        axes = figure.subplots()
        spread = scores.std(ddof=1).to_numpy() if len(scores) > 1 else None
        axes.bar(
            x,
            scores.mean().to_numpy(),
            width=0.62,
            color=SKY,
            yerr=spread,
            error_kw={"ecolor": "#4A4A4A", "elinewidth": 1.1},
            label=f"ours ({'mean ± sd, ' * (len(scores) > 1)}{count(len(scores), 'run')})",
        )
        for position, (system, values) in enumerate((marks or {}).items()):
            known = [name for name in speakers if name in values]
            place = [speakers.index(name) + (position - (len(marks) - 1) / 2) * 0.2 for name in known]
            deviation = np.array([values[name][1] for name in known], dtype=float)
            axes.errorbar(
                place,
                [values[name][0] for name in known],
                yerr=None if np.isnan(deviation).all() else deviation,
                fmt=("^", "D", "v")[position % 3],
                color=(BLACK, RED, PURPLE)[position % 3],
                markersize=6,
                linestyle="none",
                elinewidth=1.3,
                label=system,
            )
        for position, (name, value) in enumerate((lines or {}).items()):
            axes.axhline(
                value,
                color=(BLACK, RED, PURPLE)[position % 3],
                linestyle=("--", ":", "-.")[position % 3],
                linewidth=1.2,
                label=f"{name}, {value:.1f} %",
            )
        axes.set_xticks(x, speakers)
        axes.set(xlabel=xlabel, ylabel=ylabel, ylim=(0, 104), xlim=(-0.6, len(speakers) - 0.4))
        axes.grid(True, axis="y")
        handles, labels = axes.get_legend_handles_labels()
        order = sorted(range(len(labels)), key=lambda position: not labels[position].startswith("ours"))
        axes.legend(
            [handles[position] for position in order],
            [labels[position] for position in order],
            loc="upper center",
            bbox_to_anchor=(0.5, -0.17),
            ncols=1 if len(speakers) < 6 else 2,
        )
        add_titles(figure, axes, title, note)
    return figure
