"""What the hyper-parameter searches found, and whether validation foretold the test."""

from __future__ import annotations

import pandas as pd

from experiments.reporting.results import Results

PARAMETERS_SHOWN = (
    "loss",
    "epochs",
    "filters",
    "n_convolutions",
    "kernel_frequency",
    "pooling",
    "dropout",
    "dense_units",
    "optimizer",
    "learning_rate",
    "batch_size",
    "blocks",
    "C",
)


def best_trials(trials: pd.DataFrame) -> pd.DataFrame:
    """Returns the best trial of every search with the parameters that matter most, a row a fold (and run, if several).

    Args:
        trials: with column ``loss``, and ``run``, ``fold`` and ``task`` where there are several.
    """
    trials = trials.assign(loss=pd.to_numeric(trials["loss"], errors="coerce")).dropna(subset=["loss"])
    keys = [name for name in ("run", "task", "fold") if name in trials and trials[name].nunique() > 1]
    best = trials.loc[trials.groupby(keys, sort=False)["loss"].idxmin()] if keys else trials.nsmallest(1, "loss")
    return best[[*keys, *(name for name in PARAMETERS_SHOWN if name in best)]].reset_index(drop=True)


def validation_and_test(
    results: Results, experiment: str, condition: str, metric: str = "unweighted_average_recall"
) -> pd.DataFrame:
    """Returns the score that each fold's search selected on beside the fold's test score, percent, means over runs.

    Returns:
        Columns ``fold``, ``validation``, ``test``; folds without both are left out.
    """
    table = results.metrics
    chosen = table[
        (table["experiment"] == experiment)
        & (table["condition"] == condition)
        & (table["metric"] == metric)
        & (table["level"] == "utterance")
    ]
    scores = 100 * chosen.pivot_table(index="fold", columns="split", values="value", aggfunc="mean")
    scores = scores.reindex(columns=["validation", "test"])
    return scores.dropna().rename_axis(columns=None).reset_index()
