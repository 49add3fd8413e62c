"""Pictures that hold conditions against one another: ablations, label efficiency."""

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from experiments.figures.style import BLUE, COLOURS, GREY, MARKERS, RED, make_figure, words


def plot_label_efficiency(table: pd.DataFrame, **options: Any) -> Figure:
    """Draws accuracy by share of the labels, one line per method; columns method, percent, mean, sd_over_runs, in percent."""
    with make_figure((6.6, 4.4), **options) as (figure, axes):
        order = table.groupby("method")["mean"].mean().sort_values(ascending=False).index
        for method, colour, marker in zip(order, COLOURS, MARKERS, strict=False):
            rows = table[table["method"] == method].sort_values("percent")
            mean, spread = rows["mean"], rows["sd_over_runs"].fillna(0)
            axes.fill_between(rows["percent"], mean - spread, mean + spread, color=colour, alpha=0.18, linewidth=0)
            axes.plot(rows["percent"], mean, color=colour, marker=marker, markersize=5, label=words(method))
        ticks = sorted(table["percent"].unique())
        axes.set_xscale("log")
        axes.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
        axes.minorticks_off()
        axes.set(xlabel="labelled training utterances used (%, logarithmic)", ylabel="utterance accuracy (%)")
        axes.legend(loc="best", title="mean, band ± over runs", alignment="left")
    return figure


def plot_ablations(table: pd.DataFrame, reference: tuple[str, float] | None = None, **options: Any) -> Figure | None:
    """Draws each condition's accuracy, best on top, and beside it the difference to the base; intervals are over speakers.

    That of always naming the most frequent class, far below, is left out: all others would lie close together.
    Nothing is drawn where it is the only one.

    Args:
        table: columns ``condition``, ``mean``, ``ci_low``, ``ci_high``, ``base``, ``difference_to_base``,
            ``difference_ci_low``, ``difference_ci_high`` in percent.
        reference: name and value (percent) of a published score, drawn as a line.
    """
    table = table[table["condition"] != "majority"].sort_values("mean", kind="stable").reset_index(drop=True)
    if table.empty:
        return None
    base = table["base"].iloc[0]
    colours = [RED if condition == base else BLUE for condition in table["condition"]]
    differences = ["difference_to_base", "difference_ci_low", "difference_ci_high"]
    with make_figure((9.4, 1.8 + 0.3 * len(table)), ncols=2, sharey=True, **options) as (figure, (left, right)):
        for axes, columns, sign in ((left, ["mean", "ci_low", "ci_high"], ""), (right, differences, "+")):
            middle, low, high = table[columns].to_numpy(float).T
            axes.hlines(table.index, low, high, color=colours, linewidth=2.2)
            axes.scatter(middle, table.index, color=colours, s=30, zorder=3)
            for row in np.flatnonzero(np.isfinite(middle)):
                place = {"xycoords": ("axes fraction", "data"), "va": "center", "fontsize": 8}
                axes.annotate(f"{middle[row]:{sign}.1f}".replace("-", "−"), (1.01, row), **place)
            axes.grid(False, axis="y")
            axes.tick_params(axis="y", length=0)
        left.set_yticks(table.index, [words(name) for name in table["condition"]])
        left.set(xlabel="accuracy (%), mean over speakers", ylim=(-0.6, len(table) - 0.1))
        right.set(xlabel=f"points above {words(base)}")
        right.axvline(0, color=RED, linewidth=0.8, alpha=0.6)
        if reference is not None:
            left.axvline(reference[1], color=GREY, linestyle="--", linewidth=1.1)
            place = {"xytext": (-4, 0), "textcoords": "offset points", "fontsize": 8, "ha": "right", "va": "bottom"}
            left.annotate(f"{reference[0]}, {reference[1]:g}", (reference[1], len(table) - 0.55), color=GREY, **place)
    return figure
