"""Pictures of where a condition errs."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from experiments.figures.style import BLACK, BLUE, COLOURS, GREY, MARKERS, RED, SKY, add_titles, make_figure, words

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def plot_recall(recalls: pd.DataFrame, title: str = "", note: str = "", path: str | os.PathLike | None = None) -> Figure:
    """Draws the recall of every emotion, a marker a condition, ± standard deviation over runs.

    Args:
        recalls: columns ``condition``, ``target``, ``accuracy`` and ``sd`` in percent.
    """
    conditions = list(dict.fromkeys(recalls["condition"]))
    order = recalls.groupby("target")["accuracy"].mean().sort_values(ascending=False).index
    with make_figure((7.6, 4.2), path) as figure:
        axes = figure.subplots()
        for position, condition in enumerate(conditions):
            rows = recalls[recalls["condition"] == condition].set_index("target").reindex(order)
            shift = (position - (len(conditions) - 1) / 2) * min(0.16, 0.7 / len(conditions))
            spread = None if rows["sd"].isna().all() else rows["sd"]
            axes.errorbar(
                np.arange(len(order)) + shift,
                rows["accuracy"],
                yerr=spread,
                linestyle="none",
                markersize=6,
                fmt=MARKERS[position % len(MARKERS)],
                color=COLOURS[position % len(COLOURS)],
                label=words(condition),
            )
        axes.set_xticks(range(len(order)), order)
        axes.set(ylabel="recall (%)", ylim=(0, 104))
        axes.grid(True, axis="y")
        if len(conditions) > 1:
            axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.1), ncols=3)
        add_titles(figure, axes, title, note)
    return figure


def plot_speaker_emotions(
    recalls: pd.DataFrame, title: str = "", note: str = "", path: str | os.PathLike | None = None
) -> Figure:
    """Draws recall by speaker and emotion as a heat map with the numbers in it; blank where nobody spoke.

    Args:
        recalls: columns ``speaker``, ``target``, ``accuracy`` (percent) and ``utterances``.
    """
    values = recalls.pivot(index="speaker", columns="target", values="accuracy")
    sizes = recalls.pivot(index="speaker", columns="target", values="utterances")
    with make_figure((1.8 + 0.85 * values.shape[1], 1.5 + 0.42 * values.shape[0]), path) as figure:
        axes = figure.subplots()
        image = axes.imshow(values, cmap="RdYlBu", vmin=0, vmax=100, aspect="auto")
        for row, column in np.ndindex(*values.shape):
            value, size = values.iat[row, column], sizes.iat[row, column]
            if np.isfinite(value):
                axes.text(
                    column,
                    row,
                    f"{value:.0f}",
                    ha="center",
                    va="center",
                    fontsize=9,
                    color="white" if value < 12 or value > 88 else BLACK,
                    alpha=1 if size >= 3 else 0.55,
                )
        axes.set_xticks(range(values.shape[1]), values.columns, rotation=30, ha="right", rotation_mode="anchor")
        axes.set_yticks(range(values.shape[0]), values.index)
        axes.set(xlabel="true emotion", ylabel="speaker")
        axes.tick_params(length=0)
        axes.spines[:].set_visible(False)
        bar = figure.colorbar(image, ax=axes, fraction=0.046, pad=0.03)
        bar.set_label("recall (%), pale: fewer than 3 utterances")
        bar.outline.set_visible(False)
        add_titles(figure, axes, title, note)
    return figure


def plot_groups(
    groups: pd.DataFrame,
    column: str,
    title: str = "",
    xlabel: str = "",
    note: str = "",
    path: str | os.PathLike | None = None,
) -> Figure:
    """Draws a bar a group of utterances: accuracy ± standard deviation over runs, the number of utterances above it.

    Args:
        groups: the column named, ``accuracy`` and ``sd`` in percent, ``utterances``.
    """
    with make_figure((max(5.0, 1.4 + 0.9 * len(groups)), 3.8), path) as figure:
        axes = figure.subplots()
        spread = None if groups["sd"].isna().all() else groups["sd"].fillna(0)
        axes.bar(
            range(len(groups)),
            groups["accuracy"],
            width=0.62,
            color=SKY,
            yerr=spread,
            error_kw={"ecolor": "#4A4A4A", "elinewidth": 1.1},
        )
        for position, row in enumerate(groups.itertuples(index=False)):
            axes.annotate(f"n = {row.utterances}", (position, 2), ha="center", fontsize=8, color=BLACK)
        axes.set_xticks(range(len(groups)), groups[column].astype(str))
        axes.set(xlabel=xlabel or words(column), ylabel="utterance accuracy (%)", ylim=(0, 104))
        axes.grid(True, axis="y")
        add_titles(figure, axes, title, note)
    return figure


def plot_levels(table: pd.DataFrame, title: str = "", note: str = "", path: str | os.PathLike | None = None) -> Figure:
    """Draws chunk and utterance accuracy of every fold, joined by a line: what pooling over chunks gains.

    Args:
        table: columns ``fold``, ``chunk`` and ``utterance`` in percent.
    """
    table = table.sort_values("utterance").reset_index(drop=True)
    with make_figure((6.4, 1.5 + 0.34 * len(table)), path) as figure:
        axes = figure.subplots()
        axes.hlines(table.index, table["chunk"], table["utterance"], color=GREY, linewidth=1.4)
        axes.plot(table["chunk"], table.index, "o", color="white", markeredgecolor=BLUE, markersize=7, label="chunk")
        axes.plot(table["utterance"], table.index, "o", color=BLUE, markersize=7, label="utterance")
        axes.set_yticks(table.index, table["fold"])
        axes.set(xlabel="accuracy (%), mean over runs", ylabel="held-out speaker")
        axes.grid(True, axis="x")
        axes.margins(y=0.08)
        axes.legend(loc="lower right", frameon=True, facecolor="white", edgecolor="none")
        add_titles(figure, axes, title, note)
    return figure


def plot_confidence(table: pd.DataFrame, title: str = "", note: str = "", path: str | os.PathLike | None = None) -> Figure:
    """Draws accuracy against the probability that the head gave its answer; on the diagonal it is as sure as right.

    Args:
        table: columns ``probability`` and ``accuracy`` in percent.
    """
    with make_figure((4.6, 4.4), path) as figure:
        axes = figure.subplots()
        axes.plot([0, 100], [0, 100], color=GREY, linestyle="--", linewidth=1, label="as sure as right")
        axes.plot(table["probability"], table["accuracy"], "o-", color=RED, label="measured")
        axes.set(xlabel="probability of the prediction (%)", ylabel="right (%)", xlim=(0, 102), ylim=(0, 102), aspect="equal")
        axes.grid(True)
        axes.legend(loc="upper left")
        add_titles(figure, axes, title, note)
    return figure
