"""Where a condition errs: by emotion, speaker and length, from the predictions of its runs."""

import numpy as np
import pandas as pd

from experiments.evaluation.predictions import class_columns


def count_confusions(predictions: pd.DataFrame) -> pd.DataFrame:
    """Returns counts over all runs: rows are true classes, columns predicted ones."""
    labels = sorted(set(predictions["target"]) | set(predictions["prediction"]))
    counts = pd.crosstab(predictions["target"], predictions["prediction"])
    return counts.reindex(index=labels, columns=labels, fill_value=0)


def rank_confusions(predictions: pd.DataFrame) -> pd.DataFrame:
    """Returns the eight most frequent confusions: ``true``, ``predicted``, and their ``share`` (% of the true class) and
    ``errors`` (% of all errors)."""
    pairs = count_confusions(predictions).stack().rename("count").rename_axis(["true", "predicted"]).reset_index()
    pairs["share"] = 100 * pairs["count"] / pairs.groupby("true")["count"].transform("sum")
    pairs = pairs[(pairs["true"] != pairs["predicted"]) & (pairs["count"] > 0)]
    pairs["errors"] = 100 * pairs["count"] / max(pairs["count"].sum(), 1)
    ranked = pairs.sort_values(["count", "true", "predicted"], ascending=[False, True, True])
    return ranked.head(8).drop(columns="count").reset_index(drop=True)


def recall_by(predictions: pd.DataFrame, *columns: str) -> pd.DataFrame:
    """Returns ``accuracy`` and its ``sd`` over the runs (percent; NaN for one run) by the columns named, and ``utterances``."""
    right = predictions.assign(right=100.0 * (predictions["target"] == predictions["prediction"]))
    by_run = right.groupby([*columns, "run"], observed=True)["right"].agg(["mean", "size"]).reset_index()
    groups = by_run.groupby(list(columns), observed=True)
    return groups.agg(accuracy=("mean", "mean"), sd=("mean", "std"), utterances=("size", "max")).reset_index()


def group_lengths(seconds: pd.Series) -> pd.Series:
    """Returns the range that each length lies in, as ordered categories such as "1.5–2 s"."""
    edges = (1.5, 2, 2.5, 3, 4)
    between = [f"{low:g}–{high:g} s" for low, high in zip(edges, edges[1:], strict=False)]
    labels = [f"< {edges[0]:g} s", *between, f"≥ {edges[-1]:g} s"]
    return pd.cut(seconds, [-np.inf, *edges, np.inf], right=False, labels=labels)


def measure_reliability(predictions: pd.DataFrame, n_bins: int = 5) -> pd.DataFrame:
    """Returns how often predictions, with one probability column per class, are right at which probability.

    One row for each of n_bins equally full bins: mean ``probability`` and ``accuracy`` in percent, number of ``predictions``.
    """
    top = predictions[class_columns(predictions)].max(axis=1)
    frame = pd.DataFrame({"probability": 100 * top, "accuracy": 100.0 * (predictions["target"] == predictions["prediction"])})
    # Ranks, not values: equal probabilities must not make a bin vanish.
    bins = np.minimum((top.rank(method="first") - 1) * n_bins // len(top), n_bins - 1)
    groups = frame.groupby(bins)
    return groups.mean().assign(predictions=groups.size()).reset_index(drop=True)


def average_runs(predictions: pd.DataFrame) -> pd.DataFrame:
    """Returns ``target`` and ``prediction`` of all runs together, their scores (a column per class) averaged, by utterance."""
    by_utterance = predictions.groupby("utterance")
    averaged = by_utterance[class_columns(predictions)].mean().idxmax(axis=1)
    return pd.DataFrame({"target": by_utterance["target"].first(), "prediction": averaged})


def share_right(predictions: pd.DataFrame) -> pd.Series:
    """Returns in which share of the runs each utterance was right, by utterance."""
    right = predictions["target"] == predictions["prediction"]
    return right.groupby(predictions["utterance"]).mean().rename("share_right")
