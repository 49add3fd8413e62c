"""Pictures of what was predicted, and where it errs: by emotion, speaker, length and confidence."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from classifiers.metrics import concordance_correlation_coefficient
from experiments.figures.style import (
    BLACK,
    BLUE,
    COLOURS,
    GREY,
    MARKERS,
    PURPLE,
    RED,
    SKY,
    draw_heat_map,
    make_figure,
    shorten_name,
    words,
)

MANY_SPEAKERS = 12
"""More bars than this stand close together, their names upright."""


def plot_confusion(counts: pd.DataFrame, **options: Any) -> Figure:
    """Draws a confusion matrix of counts: rows true classes (of which the percent are), columns predicted ones.

    Classes that nothing belongs to have no row.
    """
    counts = counts[counts.sum(axis=1) > 0]
    shares = 100 * counts.div(counts.sum(axis=1), axis=0)
    size = max(4.2, 1.9 + 0.68 * len(counts))
    with make_figure((size + 0.6, size), **options) as (figure, axes):
        _draw_by_class(axes, shares, counts, "% of the true class (below: count over all runs)", rotation=35)
        axes.set(xlabel="predicted", ylabel="true")
    return figure


def plot_arousal_valence(predictions: pd.DataFrame, **options: Any) -> Figure:
    """Draws predicted against true values with a fitted line; columns {arousal,valence}_{target,prediction}.

    The CCC is the mean over the runs, as in tables, where a column `run` tells them apart.
    """
    panels = ("arousal", (0, 1), BLUE), ("valence", (-1, 1), RED)
    with make_figure((8.4, 4.3), ncols=2, **options) as (figure, grid):
        for axes, (name, limits, colour) in zip(grid, panels, strict=True):
            known = predictions.dropna(subset=[f"{name}_target", f"{name}_prediction"])
            target, prediction = known[[f"{name}_target", f"{name}_prediction"]].to_numpy(float).T
            axes.plot(limits, limits, color=GREY, linestyle="--", linewidth=1, label="agreement")
            alpha = float(np.clip(60 / max(len(target), 1), 0.05, 0.6))
            axes.scatter(target, prediction, s=12, alpha=alpha, color=colour, linewidths=0, rasterized=True)
            if len(target) > 1 and np.ptp(target) > 0:
                slope, offset = np.polyfit(target, prediction, 1)
                ends = np.array([target.min(), target.max()])
                axes.plot(ends, slope * ends + offset, color=BLACK, label="least-squares line")
            if len(target):
                runs = known["run"] if "run" in known else np.zeros(len(known))
                correlations = [
                    concordance_correlation_coefficient(target[runs == run], prediction[runs == run]) for run in np.unique(runs)
                ]
                axes.set_title(f"{name}: CCC {pd.Series(correlations).mean():.2f}")
            axes.set(xlabel=f"true {name}", ylabel=f"predicted {name}", aspect="equal")
            axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.14), ncols=2)  # no place inside is sure to be free
    return figure


def plot_speakers(
    scores: pd.DataFrame,
    marks: Mapping[str, Mapping[str, tuple[float, float]]] | None = None,
    lines: Mapping[str, float] | None = None,
    xlabel: str = "speaker",
    ylabel: str = "accuracy (%)",
    **options: Any,
) -> Figure:
    """Draws one bar per speaker (mean over runs, ± standard deviation), with published marks or lines; all in percent.

    Args:
        scores: one row per run, one column per speaker.
        marks: published system -> speaker -> (value, standard deviation or NaN).
        lines: name -> one value for all speakers, drawn across.
    """
    speakers = [str(name) for name in scores.columns]
    styles = ((BLACK, "^", "--"), (RED, "D", ":"), (PURPLE, "v", "-."))
    width = 0.72 if len(speakers) <= MANY_SPEAKERS else 0.3
    with make_figure((max(6.2, 1.6 + width * len(speakers)), 4.6), **options) as (figure, axes):
        label = f"ours (mean ± sd, {len(scores)} runs)" if len(scores) > 1 else "ours (1 run)"
        _draw_bars(axes, speakers, scores.mean(), scores.std(), label)
        for position, (system, values) in enumerate((marks or {}).items()):
            known = [name for name in speakers if name in values]
            place = [speakers.index(name) + (position - (len(marks) - 1) / 2) * 0.2 for name in known]
            mean, spread = np.array([values[name] for name in known], dtype=float).reshape(-1, 2).T
            colour, marker, _ = styles[position % 3]
            style = {"color": colour, "markersize": 6, "elinewidth": 1.3, "linestyle": "none"}
            axes.errorbar(place, mean, yerr=spread, marker=marker, label=system, **style)
        for position, (name, value) in enumerate((lines or {}).items()):
            colour, _, line = styles[position % 3]
            axes.axhline(value, color=colour, linestyle=line, linewidth=1.2, label=f"{name}, {value:.1f} %")
        axes.set(xlabel=xlabel, ylabel=ylabel)
        slanted = axes.get_xticklabels()[0].get_rotation() > 0  # names of any length stand below the bars, the legend above
        location, anchor = ("lower center", (0.5, 1)) if slanted else ("upper center", (0.5, -0.17))
        axes.legend(loc=location, bbox_to_anchor=anchor, ncols=1 if len(speakers) < 6 else 2)
    return figure


def plot_recall(recalls: pd.DataFrame, **options: Any) -> Figure:
    """Draws the recall of every emotion, one marker per condition, ± standard deviation over runs.

    The columns are ``condition``, ``target``, ``accuracy`` and ``sd``, in percent.
    """
    conditions = list(dict.fromkeys(recalls["condition"]))
    emotions = recalls.groupby("target")["accuracy"].mean().sort_values(ascending=False).index
    with make_figure((7.6, 4.2), **options) as (figure, axes):
        for position, condition in enumerate(conditions):
            rows = recalls[recalls["condition"] == condition].set_index("target").reindex(emotions)
            x = np.arange(len(emotions)) + (position - (len(conditions) - 1) / 2) * min(0.16, 0.7 / len(conditions))
            style = {"marker": MARKERS[position % len(MARKERS)], "color": COLOURS[position % len(COLOURS)]}
            axes.errorbar(x, rows["accuracy"], yerr=rows["sd"], linestyle="none", label=words(condition), **style)
        axes.set_xticks(range(len(emotions)), emotions)
        axes.set(ylabel="recall (%)", ylim=(0, 104))
        axes.grid(False, axis="x")
        if len(conditions) > 1:
            axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.1), ncols=3)
    return figure


def plot_speaker_emotions(recalls: pd.DataFrame, **options: Any) -> Figure:
    """Draws recall by speaker and emotion; columns ``speaker``, ``target``, ``accuracy`` (percent) and ``utterances``."""
    table = recalls.pivot(index="speaker", columns="target", values=["accuracy", "utterances"])
    values, sizes = table["accuracy"], table["utterances"]
    size = max(4.2, 1.8 + 0.85 * values.shape[1]), max(3.6, 1.5 + 0.42 * values.shape[0])
    with make_figure(size, **options) as (figure, axes):
        _draw_by_class(axes, values, sizes, "recall (%); below: utterances", rotation=30, colours="RdYlBu")
        axes.set(xlabel="true emotion", ylabel="speaker")
    return figure


def plot_groups(groups: pd.DataFrame, column: str, xlabel: str = "", **options: Any) -> Figure:
    """Draws one bar per group of utterances, which a column names; columns ``accuracy``, ``sd`` (percent), ``utterances``."""
    with make_figure((max(5.0, 1.4 + 0.9 * len(groups)), 3.8), **options) as (figure, axes):
        _draw_bars(axes, groups[column].astype(str), groups["accuracy"], groups["sd"])
        for position, number in enumerate(groups["utterances"]):
            axes.text(position, 2, f"n = {number}", ha="center", fontsize=8, color=BLACK)
        axes.set(xlabel=xlabel or words(column), ylabel="utterance accuracy (%)")
    return figure


def plot_reliability(table: pd.DataFrame, **options: Any) -> Figure:
    """Draws accuracy by the probability that the head gave its answer; columns ``probability`` and ``accuracy`` in percent."""
    with make_figure((4.6, 4.4), **options) as (figure, axes):
        axes.plot([0, 100], [0, 100], color=GREY, linestyle="--", linewidth=1, label="perfect calibration")
        axes.plot(table["probability"], table["accuracy"], "o-", color=RED, label="measured")
        axes.set(
            xlabel="probability of the prediction (%)", ylabel="accuracy (%)", xlim=(0, 102), ylim=(0, 102), aspect="equal"
        )
        axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.14), ncols=2)  # no place inside is sure to be free
    return figure


def _draw_bars(axes: Axes, names: Sequence[str], percent: pd.Series, spread: pd.Series, label: str | None = None) -> None:
    """Draws a bar for every name, with ± `spread` where that is no NaN."""
    thin = {"ecolor": "#4A4A4A", "elinewidth": 1.1}
    axes.bar(range(len(names)), percent, width=0.62, color=SKY, yerr=spread, error_kw=thin, label=label)
    names = [shorten_name(name) for name in names]
    if rotation := 90 if len(names) > MANY_SPEAKERS else _tilt(names):
        axes.set_xticks(range(len(names)), names, rotation=rotation, ha="right", va="center", rotation_mode="anchor")
    else:
        axes.set_xticks(range(len(names)), names)
    axes.set(ylim=(0, 104), xlim=(-0.6, len(names) - 0.4))
    axes.grid(False, axis="x")


def _tilt(names: Sequence[str]) -> int:
    """Returns the angle at which neighbouring names do not run into each other, in degrees."""
    return 30 if max(map(len, names), default=0) > 9 else 0


def _draw_by_class(axes: Axes, percent: pd.DataFrame, counts: pd.DataFrame, bar: str, rotation: int, **options: Any) -> None:
    """Draws a heat map with slanted names of classes and a colour bar, of which `bar` tells what it is."""
    image = draw_heat_map(axes, percent, counts, **options)
    axes.set_xticks(
        range(percent.shape[1]), map(shorten_name, percent.columns), rotation=rotation, ha="right", rotation_mode="anchor"
    )
    axes.figure.colorbar(image, ax=axes, fraction=0.046, pad=0.03, label=bar).outline.set_visible(False)
