"""Pictures of the hyper-parameter search."""

from __future__ import annotations

import math
import os
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from experiments.figures.style import GREY, RED, SKY, add_titles, make_figure, words

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_LOSSES = {"categorical": "1 − UAR, validation utterances", "dimensional": "1 − mean CCC, validation utterances"}
# Columns of trials.csv that are not hyper-parameters.
_NOT_PARAMETERS = frozenset(
    {
        "experiment",
        "condition",
        "run",
        "fold",
        "trial",
        "loss",
        "status",
        "epochs",
        "best_epoch",
        "epoch",
        "seconds",
        "seed",
        "search",
        "task",
        "error",
    }
)


def plot_search(trials: pd.DataFrame, title: str = "", note: str = "", path: str | os.PathLike | None = None) -> Figure:
    """Draws loss by trial with the best so far, a thin line a search and their median in bold.

    Args:
        trials: column ``loss`` and, where there are several searches, ``run`` and ``fold``; in the order of the trials.
    """
    searches = _searches(trials)
    with make_figure((6.8, 4.2), path) as figure:
        axes = figure.subplots()
        longest = max((len(losses) for losses in searches), default=0)
        best = np.full((len(searches), longest), np.nan)
        for row, losses in enumerate(searches):
            number = np.arange(1, len(losses) + 1)
            axes.scatter(
                number,
                losses,
                s=14,
                color=SKY,
                alpha=max(0.12, min(0.8, 8 / len(searches))),
                linewidths=0,
                label="a trial" if row == 0 else None,
            )
            # A trial that failed has no loss; before the first that succeeded there is no best one.
            best[row, : len(losses)] = np.fmin.accumulate(losses)
            best[row, len(losses) :] = best[row, len(losses) - 1]
            if len(searches) > 1:
                axes.step(
                    number,
                    best[row, : len(losses)],
                    where="post",
                    color=GREY,
                    linewidth=0.7,
                    alpha=max(0.12, min(0.6, 10 / len(searches))),
                    label="best so far, each search" if row == 0 else None,
                )
        if np.isfinite(best).any():
            label = f"best so far, median of {len(searches)} searches" if len(searches) > 1 else "best so far"
            axes.step(np.arange(1, longest + 1), pd.DataFrame(best).median(), where="post", color=RED, linewidth=2, label=label)
            finite = np.concatenate(searches)
            finite = finite[np.isfinite(finite)]
            # A trial that diverged must not flatten the rest.
            low, high = finite.min(), np.quantile(finite, 0.97)
            axes.set_ylim(low - 0.05 * (high - low) - 1e-3, high + 0.1 * (high - low) + 1e-3)
        axes.set(xlabel="trial", ylabel=_loss_name(trials))
        axes.xaxis.get_major_locator().set_params(integer=True)
        axes.grid(True)
        # Below the axes, where it hides no trial.
        legend = axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.15), ncols=3)
        for handle in legend.legend_handles:
            handle.set_alpha(0.9)
        add_titles(figure, axes, title, note)
    return figure


def plot_search_parameters(
    trials: pd.DataFrame, title: str = "", note: str = "", path: str | os.PathLike | None = None
) -> Figure | None:
    """Draws the marginal effect of each searched parameter on the loss; None when no parameter varied.

    Losses are taken relative to the median of their own search, so that folds of unlike difficulty compare.  Categories
    show their trials with median and quartiles; numbers show trials with a running median.
    """
    trials = trials[np.isfinite(pd.to_numeric(trials["loss"], errors="coerce"))].reset_index(drop=True)
    keys = [name for name in ("run", "fold") if name in trials]
    loss = trials["loss"].astype(float)
    if keys:
        loss = loss - trials.groupby(keys, dropna=False)["loss"].transform("median").astype(float)
    names = [
        name
        for name in trials.columns
        if name not in _NOT_PARAMETERS
        and not name.startswith(("validation", "test"))
        and trials[name].astype(str).replace({"": np.nan, "nan": np.nan, "None": np.nan}).nunique() > 1
    ]
    if not names:
        return None
    n_columns = min(3 if len(names) <= 9 else 4, len(names))
    n_rows = math.ceil(len(names) / n_columns)
    limits = np.quantile(loss, [0.01, 0.97]) + np.array([-0.02, 0.05])
    with make_figure((3.3 * n_columns, 0.6 + 2.5 * n_rows), path) as figure:
        grid = figure.subplots(n_rows, n_columns, squeeze=False, sharey=True)
        for axes, name in zip(grid.ravel(), names, strict=False):
            _marginal(axes, trials[name], loss, name)
            axes.set_ylim(*limits)
            axes.grid(True, axis="y")
        for axes in grid.ravel()[len(names) :]:
            axes.set_visible(False)
        for line in grid:
            line[0].set_ylabel("loss − median of the search" if keys else _loss_name(trials), fontsize=8)
        add_titles(figure, None, title, note)
    return figure


def plot_validation_against_test(
    scores: pd.DataFrame, title: str = "", note: str = "", path: str | os.PathLike | None = None
) -> Figure:
    """Draws the score that a search selected on against the test score, a point a fold (mean over runs).

    Args:
        scores: columns ``fold``, ``validation`` and ``test`` in percent.
    """
    with make_figure((4.8, 4.5), path) as figure:
        axes = figure.subplots()
        both = scores[["validation", "test"]].to_numpy(float)
        ends = np.array([np.nanmin(both) - 4, min(np.nanmax(both) + 4, 102)])
        axes.plot(ends, ends, color=GREY, linestyle="--", linewidth=1)
        axes.scatter(scores["validation"], scores["test"], s=30, color=RED, linewidths=0)
        for row in scores.itertuples(index=False):
            axes.annotate(row.fold, (row.validation, row.test), xytext=(5, 3), textcoords="offset points", fontsize=8)
        axes.set(xlabel="validation UAR (%), selected on", ylabel="test UAR (%)", xlim=ends, ylim=ends, aspect="equal")
        axes.grid(True)
        add_titles(figure, axes, title, note)
    return figure


def distinct_searches(trials: pd.DataFrame) -> pd.DataFrame:
    """Returns trials without the searches that a later run shares with an earlier one (same fold, same losses)."""
    keys = [name for name in ("run", "fold", "task") if name in trials]
    if "run" not in keys or "loss" not in trials:
        return trials
    seen, kept = set(), []
    for key, group in trials.groupby(keys, sort=False, dropna=False):
        search = (*key[1:], *group["loss"].astype(str))
        if search not in seen:
            seen.add(search)
            kept.append(group)
    return pd.concat(kept) if kept else trials


def _loss_name(trials: pd.DataFrame) -> str:
    tasks = set(trials["task"]) if "task" in trials else set()
    return _LOSSES.get(next(iter(tasks)), "validation loss") if len(tasks) == 1 else "validation loss"


def _searches(trials: pd.DataFrame) -> list[np.ndarray]:
    keys = [name for name in ("run", "fold") if name in trials]
    groups = [group for _, group in trials.groupby(keys, sort=False, dropna=False)] if keys else [trials]
    order = "trial" if "trial" in trials else None
    return [
        pd.to_numeric((group.sort_values(order) if order else group)["loss"], errors="coerce").to_numpy(float)
        for group in groups
    ]


def _marginal(axes: Axes, values: pd.Series, loss: pd.Series, name: str) -> None:
    alpha = float(np.clip(150 / max(len(values), 1), 0.18, 0.6))
    numbers = pd.to_numeric(values, errors="coerce")
    present = values.notna() & ~values.astype(str).isin(("", "nan", "None"))
    if numbers[present].notna().all() and numbers[present].nunique() > 6:
        x, y = numbers[present].to_numpy(float), loss[present].to_numpy(float)
        axes.scatter(x, y, s=9, color=SKY, alpha=alpha, linewidths=0)
        order = np.argsort(x, kind="stable")
        window = max(3, len(x) // 6)
        smooth = pd.Series(y[order]).rolling(window, center=True, min_periods=2).median()
        # One value where several trials share one: the order among those is chance.
        axes.plot(np.unique(x), smooth.groupby(x[order]).median(), color=RED)
        # Drawn log-uniformly: many octaves, and the median far below the mean.
        if (x > 0).all() and x.max() / x.min() > 30 and np.median(x) < 0.6 * x.mean():
            axes.set_xscale("log")
    else:
        # A parameter that its trial did not use is a category of its own.
        text = values.where(present, "unused").map(_category)
        labels = sorted(text.unique(), key=_category_order)
        for position, label in enumerate(labels):
            y = loss[text == label].to_numpy(float)
            shift = np.linspace(-0.22, 0.22, len(y)) if len(y) > 1 else np.zeros(1)
            axes.scatter(position + shift, y, s=9, color=SKY, alpha=alpha, linewidths=0)
            low, middle, high = np.quantile(y, [0.25, 0.5, 0.75])
            axes.plot([position, position], [low, high], color=RED, linewidth=2)
            axes.plot(position, middle, "o", color=RED, markersize=5)
        crowded = max(len(label) for label in labels) * len(labels) > 26
        # Slanted words would reach below the neighbour's axes, and push it aside.
        axes.set_xticks(range(len(labels)), [label.replace("_", "\n") if crowded else label for label in labels])
        axes.set_xlim(-0.5, len(labels) - 0.5)
    axes.set_title(words(name), fontsize=9, fontweight="normal", loc="center")
    axes.tick_params(labelsize=8)


def _category(value: Any) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def _category_order(label: str) -> tuple[int, float, str]:
    try:
        return 0, float(label), label
    except ValueError:
        return (2 if label == "unused" else 1), 0.0, label
