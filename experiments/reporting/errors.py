"""Where a condition errs: by emotion, speaker, length and level, from the predictions of its runs."""

from __future__ import annotations

import numpy as np
import pandas as pd

from experiments.reporting.results import Results


def count_confusions(predictions: pd.DataFrame) -> pd.DataFrame:
    """Returns counts over all runs: rows are true classes, columns predicted ones."""
    labels = sorted(set(predictions["target"]) | set(predictions["prediction"]))
    counts = pd.crosstab(predictions["target"], predictions["prediction"])
    return counts.reindex(index=labels, columns=labels, fill_value=0)


def rank_confusions(predictions: pd.DataFrame, n: int = 8) -> pd.DataFrame:
    """Returns the most frequent confusions: columns ``true``, ``predicted``, ``share`` (% of the true class) and
    ``errors`` (% of all errors)."""
    counts = count_confusions(predictions)
    pairs = counts.stack().rename("count").rename_axis(["true", "predicted"]).reset_index()
    totals = pairs.groupby("true")["count"].transform("sum")
    pairs["share"] = 100 * pairs["count"] / totals
    pairs = pairs[(pairs["true"] != pairs["predicted"]) & (pairs["count"] > 0)]
    pairs["errors"] = 100 * pairs["count"] / max(pairs["count"].sum(), 1)
    ranked = pairs.sort_values(["count", "true", "predicted"], ascending=[False, True, True])
    return ranked.head(n).drop(columns="count").reset_index(drop=True)


def recall_by(predictions: pd.DataFrame, *columns: str) -> pd.DataFrame:
    """Returns the share of right predictions in groups of utterances, mean and standard deviation over the runs.

    Args:
        predictions: columns ``run``, ``target``, ``prediction`` and those named.
    Returns:
        The named columns, ``accuracy`` and ``sd`` (percent; NaN for one run), ``utterances`` (of one run).
    """
    right = predictions.assign(right=100.0 * (predictions["target"] == predictions["prediction"]))
    by_run = right.groupby([*columns, "run"], observed=True)["right"].agg(["mean", "size"]).reset_index()
    groups = by_run.groupby(list(columns), observed=True)
    return groups.agg(accuracy=("mean", "mean"), sd=("mean", "std"), utterances=("size", "max")).reset_index()


def group_lengths(seconds: pd.Series, edges: tuple[float, ...] = (1.5, 2, 2.5, 3, 4)) -> pd.Series:
    """Returns in which range of lengths each utterance falls, as ordered categories such as "1.5–2 s"."""
    labels = [
        f"< {edges[0]:g} s",
        *(f"{low:g}–{high:g} s" for low, high in zip(edges, edges[1:], strict=False)),
        f"≥ {edges[-1]:g} s",
    ]
    return pd.cut(seconds, [-np.inf, *edges, np.inf], right=False, labels=labels)


def chunk_against_utterance(results: Results, experiment: str, condition: str, metric: str = "accuracy") -> pd.DataFrame:
    """Returns mean scores over the runs, percent, a row a fold: columns ``chunk``, ``utterance`` and ``gain``."""
    table = pd.DataFrame(
        {level: 100 * results.by_run_and_fold(experiment, condition, metric, level).mean() for level in ("chunk", "utterance")}
    )
    return table.assign(gain=table["utterance"] - table["chunk"]).rename_axis("fold").reset_index()


def confidence(predictions: pd.DataFrame, n_bins: int = 5) -> pd.DataFrame:
    """Returns how often predictions are right, by the probability that the head gave them.

    Args:
        predictions: with a probability column a class.
    Returns:
        A row for each of n_bins equally full bins: mean ``probability`` and ``accuracy`` in percent, ``predictions``.
    """
    labels = [name for name in count_confusions(predictions).columns if name in predictions]
    top = predictions[labels].max(axis=1)
    frame = pd.DataFrame({"probability": 100 * top, "accuracy": 100.0 * (predictions["target"] == predictions["prediction"])})
    # Ranks, not values: equal probabilities must not make a bin vanish.
    bins = np.minimum((top.rank(method="first") - 1) * n_bins // len(top), n_bins - 1)
    groups = frame.groupby(bins)
    return groups.mean().assign(predictions=groups.size()).reset_index(drop=True)


def average_runs(predictions: pd.DataFrame) -> pd.DataFrame:
    """Returns what all runs together predict: their scores of an utterance averaged, as an ensemble does.

    Args:
        predictions: of runs that test the same utterances; with a score column a class.
    Returns:
        A row an utterance: ``target`` and ``prediction``, by utterance.
    """
    labels = [name for name in count_confusions(predictions).columns if name in predictions]
    by_utterance = predictions.groupby("utterance")
    return pd.DataFrame({"target": by_utterance["target"].first(), "prediction": by_utterance[labels].mean().idxmax(axis=1)})


def share_right(predictions: pd.DataFrame) -> pd.Series:
    """Returns in how many runs each utterance was right, as a fraction, by utterance."""
    right = predictions["target"] == predictions["prediction"]
    return right.groupby(predictions["utterance"]).mean().rename("share_right")
