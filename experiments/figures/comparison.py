"""Pictures that hold conditions against one another: ablations, label efficiency."""

from __future__ import annotations

import math
import os
from typing import TYPE_CHECKING

import pandas as pd

from experiments.figures.style import BLACK, BLUE, COLOURS, GREY, MARKERS, RED, add_titles, make_figure, words

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def plot_label_efficiency(
    table: pd.DataFrame, title: str = "", note: str = "", path: str | os.PathLike | None = None
) -> Figure:
    """Draws accuracy against the share of labelled training utterances, a line an encoder, bands ± sd over runs.

    Args:
        table: from `experiments.reporting.tables.label_efficiency`: encoder, percent, accuracy, accuracy_sd, n_runs.
    """
    with make_figure((6.6, 4.4), path) as figure:
        axes = figure.subplots()
        order = table.groupby("encoder")["accuracy"].mean().sort_values(ascending=False).index
        for position, encoder in enumerate(order):
            rows = table[table["encoder"] == encoder].sort_values("percent")
            colour, marker = COLOURS[position % len(COLOURS)], MARKERS[position % len(MARKERS)]
            mean, spread = rows["accuracy"].to_numpy(), rows["accuracy_sd"].fillna(0).to_numpy()
            axes.fill_between(rows["percent"], mean - spread, mean + spread, color=colour, alpha=0.18, linewidth=0)
            axes.plot(rows["percent"], mean, color=colour, marker=marker, markersize=5, label=words(encoder))
        ticks = sorted(table["percent"].unique())
        axes.set_xscale("log")
        axes.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
        axes.minorticks_off()
        axes.set(xlabel="labelled training utterances used (%, logarithmic)", ylabel="utterance accuracy (%)")
        axes.grid(True)
        axes.legend(loc="best", title="encoder (mean, band ± sd over runs)", alignment="left")
        add_titles(figure, axes, title, note)
    return figure


def plot_ablations(
    table: pd.DataFrame,
    reference: tuple[str, float] | None = None,
    title: str = "",
    note: str = "",
    path: str | os.PathLike | None = None,
) -> Figure:
    """Draws a forest plot: a condition a line, its mean accuracy with the 95 % interval, best on top, the base marked.

    Args:
        table: from `experiments.reporting.tables.ablations`.
        reference: name and value (percent) of a published score, drawn as a line.
    """
    table = table.iloc[::-1].reset_index(drop=True)
    with make_figure((7.6, 1.5 + 0.42 * len(table)), path) as figure:
        axes = figure.subplots()
        for row, record in enumerate(table.itertuples(index=False)):
            colour = RED if record.condition == record.base else BLUE
            low, high = record.accuracy_ci_low, record.accuracy_ci_high
            if not math.isnan(low):
                axes.plot([low, high], [row, row], color=colour, linewidth=2.2, solid_capstyle="round")
            axes.plot(record.accuracy, row, marker="o", color=colour, markersize=6)
            edge = record.accuracy if math.isnan(high) else high
            axes.annotate(
                f"{record.accuracy:.1f}",
                (edge, row),
                xytext=(6, 0),
                textcoords="offset points",
                va="center",
                fontsize=8,
                color=BLACK,
                bbox={"facecolor": "white", "edgecolor": "none", "pad": 0.6},
            )
        if reference is not None:
            axes.axvline(reference[1], color=GREY, linestyle="--", linewidth=1.1)
            axes.annotate(
                f"{reference[0]}, {reference[1]:g}",
                (reference[1], len(table) - 0.45),
                xytext=(-4, 0),
                textcoords="offset points",
                fontsize=8,
                color=GREY,
                ha="right",
                va="bottom",
            )
        base = table.loc[table["condition"] == table["base"], "accuracy"]
        if len(base):
            axes.axvline(base.iloc[0], color=RED, linewidth=0.8, alpha=0.5)
        axes.set_yticks(range(len(table)), [words(name) for name in table["condition"]])
        axes.set_ylim(-0.6, len(table) - (0.1 if reference else 0.4))
        axes.set(xlabel="utterance accuracy (%), mean and 95 % interval over runs")
        axes.grid(True, axis="x")
        axes.tick_params(axis="y", length=0)
        axes.margins(x=0.08)
        add_titles(figure, axes, title, note)
    return figure
