"""Pictures of the search for hyper-parameters."""

import math
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from classifiers.metrics import CATEGORICAL, DIMENSIONAL
from experiments.figures.style import GREY, RED, SKY, make_figure, shorten_name, words

_LOSSES = {CATEGORICAL: "1 − UAR, validation utterances", DIMENSIONAL: "1 − mean CCC, validation utterances"}
_SEARCH = ["fold", "task", "search"]
"""Columns whose values together name one search."""
_NOT_PARAMETERS = {"experiment", "condition", *_SEARCH, "trial", "loss", "status", "epochs", "seconds", "seed", "error"}


def plot_search(trials: pd.DataFrame, **options: Any) -> Figure:
    """Draws the loss by trial of searches for one task (from `searches.read_trials`), a thin line each, and their median."""
    searches = trials.groupby(_SEARCH, sort=False, dropna=False)["loss"]
    losses = pd.concat([loss.reset_index(drop=True) for _, loss in searches], axis=1)
    losses.index += 1  # shape (n_trials, n_searches)
    # A trial that failed has no loss; before the first that succeeded there is no best one.
    best, n = losses.cummin().ffill(), losses.shape[1]
    with make_figure((6.8, 4.2), **options) as (figure, axes):
        style = {"markersize": 4, "markeredgewidth": 0, "linestyle": "none", "alpha": np.clip(8 / n, 0.12, 0.8)}
        axes.plot(losses, marker="o", color=SKY, label=["one trial"] + ["_"] * (n - 1), **style)
        if n > 1:
            style = {"color": GREY, "linewidth": 0.7, "alpha": np.clip(10 / n, 0.12, 0.6)}
            axes.step(best.index, best, where="post", label=["best so far, each search"] + ["_"] * (n - 1), **style)
        label = f"best so far, median of {n} searches" if n > 1 else "best so far"
        axes.step(best.index, best.median(axis=1), where="post", color=RED, linewidth=2, label=label)
        if losses.notna().any(axis=None):
            # A trial that diverged must not flatten the rest.
            low, high = np.nanquantile(losses, [0, 0.97])
            axes.set_ylim(low - 0.05 * (high - low) - 1e-3, high + 0.1 * (high - low) + 1e-3)
        axes.set(xlabel="trial", ylabel=_LOSSES[trials["task"].iloc[0]])
        axes.xaxis.get_major_locator().set_params(integer=True)
        legend = axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.15), ncols=3)
        for handle in legend.legend_handles:
            handle.set_alpha(0.9)
    return figure


def plot_search_parameters(trials: pd.DataFrame, **options: Any) -> Figure | None:
    """Draws the marginal effect of each searched parameter on the loss (from `searches.read_trials`); None when none varied.

    Losses are relative to the median of their own search, so that folds of unlike difficulty compare. Categories show
    their trials with median and quartiles; numbers show trials with a running median.
    """
    trials = trials.dropna(subset="loss").reset_index(drop=True)
    names = [name for name in trials.columns.difference(_NOT_PARAMETERS, sort=False) if trials[name].nunique() > 1]
    if not names:
        return None
    loss = trials["loss"] - trials.groupby(_SEARCH, dropna=False)["loss"].transform("median")
    n_columns = min(3 if len(names) <= 9 else 4, len(names))
    n_rows = math.ceil(len(names) / n_columns)
    low, high = np.quantile(loss, [0.01, 0.97])
    size = 3.3 * n_columns, 0.6 + 2.5 * n_rows
    with make_figure(size, nrows=n_rows, ncols=n_columns, sharey=True, squeeze=False, **options) as (figure, grid):
        for axes, name in zip(grid.flat, names, strict=False):
            is_number = pd.api.types.is_numeric_dtype(trials[name]) and trials[name].nunique() > 6
            (_draw_numbers if is_number else _draw_categories)(axes, trials[name], loss)
            axes.set(title=words(name), ylim=(low - 0.02, high + 0.05))
            axes.grid(False, axis="x")
            axes.tick_params(labelsize=8)
        for axes in grid.flat[len(names) :]:
            axes.set_visible(False)
        for line in grid:
            line[0].set_ylabel("loss − median of the search", fontsize=8)
    return figure


def _style_dots(n_trials: int) -> dict[str, Any]:
    return {"s": 9, "color": SKY, "alpha": np.clip(150 / n_trials, 0.18, 0.6), "linewidths": 0}


def _draw_numbers(axes: Axes, values: pd.Series, loss: pd.Series) -> None:
    axes.scatter(values, loss, **_style_dots(len(values)))
    table = pd.DataFrame({"value": values, "loss": loss}).dropna().sort_values("value", kind="stable")
    table["smooth"] = table["loss"].rolling(max(3, len(table) // 6), center=True, min_periods=2).median()
    # One point where several trials share a value: the order among those is chance.
    axes.plot(table.groupby("value")["smooth"].median(), color=RED)
    # Searched on a logarithmic scale: many octaves, and the median far below the mean.
    if values.min() > 0 and values.max() / values.min() > 30 and values.median() < 0.6 * values.mean():
        axes.set_xscale("log")
        axes.xaxis.set_major_formatter("{x:g}")


def _draw_categories(axes: Axes, values: pd.Series, loss: pd.Series) -> None:
    present = sorted(values.dropna().unique(), key=lambda value: (isinstance(value, str), value))
    groups = {f"{value:.3g}" if isinstance(value, float) else str(value): loss[values == value] for value in present}
    if values.isna().any():  # a parameter that its trial did not use is a category of its own
        groups["unused"] = loss[values.isna()]
    for position, group in enumerate(groups.values()):
        axes.scatter(position + np.linspace(-0.22, 0.22, len(group)), group, **_style_dots(len(values)))
        low, middle, high = group.quantile([0.25, 0.5, 0.75])
        axes.plot([position, position], [low, high], color=RED, linewidth=2)
        axes.plot(position, middle, "o", color=RED, markersize=5)
    # Slanted words would reach below the neighbour's axes, and push it aside.
    crowded = max(map(len, groups)) * len(groups) > 26
    names = [name.replace("_", "\n") if crowded else name for name in groups]
    axes.set_xticks(range(len(names)), names)
    axes.set_xlim(-0.5, len(names) - 0.5)


def plot_validation_against_test(scores: pd.DataFrame, **options: Any) -> Figure:
    """Draws the score that a search selected on and the test score; columns ``fold``, ``validation``, ``test`` in percent."""
    with make_figure((4.8, 4.5), **options) as (figure, axes):
        both = scores[["validation", "test"]]
        ends = np.array([both.min(axis=None) - 4, min(both.max(axis=None) + 4, 102)])
        axes.plot(ends, ends, color=GREY, linestyle="--", linewidth=1)
        axes.scatter(scores["validation"], scores["test"], s=30, color=RED, linewidths=0)
        for row in scores.itertuples(index=False):
            axes.annotate(
                shorten_name(row.fold, 16), (row.validation, row.test), xytext=(5, 3), textcoords="offset points", fontsize=8
            )
        axes.set(xlabel="validation UAR (%), selected on", ylabel="test UAR (%)", xlim=ends, ylim=ends, aspect="equal")
    return figure
