"""The runs under a results folder, each file read once, and one tidy table of what their scores come to.

Averages bear names of their own: ± is the sample standard deviation over runs, which differ in their seeds; a 95 % interval is
Student's t over speakers, and tells how a score, or a difference between two conditions, would come out for other speakers.
"""

import functools
from collections import Counter
from pathlib import Path
from typing import NamedTuple

import pandas as pd

from began.files import StrPath
from experiments.corpora.record import MEAN_OVER_FOLDS, MEAN_OVER_SPEAKERS, POOLED
from experiments.evaluation import runs
from experiments.evaluation.condition import draws_test_part_per_run, has_speakers_as_folds
from experiments.evaluation.conditions import BEYOND_THE_PAPER, EXPERIMENTS, Experiment
from experiments.evaluation.predictions import class_columns
from experiments.evaluation.searches import read_trials
from experiments.reporting.intervals import Interval, range_of, t_interval

RECALL = "unweighted_average_recall"
CUSTOM = Experiment("custom", "Own data sets", columns={}, conditions={})
RECORDS = {**EXPERIMENTS, **BEYOND_THE_PAPER, CUSTOM.name: CUSTOM}
"""Experiment -> its record; own data sets have one without conditions."""

_KEYS = ["experiment", "condition", "metric", "level"]
_AVERAGES = [*_KEYS, "scope", "mean", "sd_over_runs", "n_runs"]
_SUMMARY = [*_AVERAGES, "ci_low", "ci_high", "n_speakers", "base"]
_SUMMARY += ["difference_to_base", "difference_ci_low", "difference_ci_high"]
_PARAMETERS_SHOWN = (
    "loss epochs filters n_convolutions kernel_frequency pooling dropout dense_units optimizer learning_rate "
    "batch_size blocks C"
).split()


def select(table: pd.DataFrame, **values: object) -> pd.DataFrame:
    """Returns the rows whose columns have the given values."""
    for name, value in values.items():
        table = table[table[name] == value]
    return table


class TestPart(NamedTuple):
    """What was tested on: utterances of each fold, and the share of each class, the most frequent one first.

    `n_answers` is the number of classes that could be answered: the test part may lack some of them.
    """

    sizes: dict[str, int]
    shares: pd.Series
    n_answers: int

    @property
    def lines(self) -> dict[str, float]:
        """Returns accuracies, in percent, that need no ear: of guessing, and of always naming the most frequent class."""
        if self.shares.empty:
            return {}
        chance = f"chance, {self.n_answers} classes"
        return {chance: 100 / self.n_answers, f"always “{self.shares.index[0]}”": 100 * self.shares.iloc[0]}


class Results:
    """The complete runs under a results folder; each file is read when it is first needed. An absent folder holds none.

    Attributes:
        predictions, trials: return, for an experiment and a condition, the predictions of its runs
            (`experiments.evaluation.runs.read_predictions`), and the trials of its searches (`read_trials`).
    """

    def __init__(self, results_dir: StrPath) -> None:
        self.results_dir = Path(results_dir)
        self.predictions = functools.cache(functools.partial(runs.read_predictions, self.results_dir))
        self.trials = functools.cache(functools.partial(read_trials, self.results_dir))

    @functools.cached_property
    def metrics(self) -> pd.DataFrame:
        """Every score of every complete run, columns `experiments.evaluation.runs.METRICS_COLUMNS`."""
        return runs.read_metrics(self.results_dir)

    @functools.cached_property
    def configs(self) -> dict[tuple[str, str], dict[int, dict]]:
        """(experiment, condition) -> run -> the content of config.json."""
        found: dict[tuple[str, str], dict[int, dict]] = {}
        for run in runs.find_runs(self.results_dir):
            found.setdefault((run.experiment, run.condition), {})[run.run] = run.read_config()
        return found

    @functools.cached_property
    def unfinished(self) -> Counter[tuple[str, str]]:
        """(experiment, condition) -> number of runs that were begun and are not complete."""
        begun = runs.find_runs(self.results_dir, complete=False)
        return Counter((run.experiment, run.condition) for run in begun if not run.is_complete)

    @functools.cached_property
    def by_fold(self) -> dict[tuple[str, str, str, str], pd.Series]:
        """(experiment, condition, metric, level) -> test scores by fold, means over runs."""
        test = self.metrics[(self.metrics["split"] == "test") & (self.metrics["fold"] != POOLED)]
        means = test.groupby([*_KEYS, "fold"], sort=False)["value"].mean()
        return {key: folds.droplevel(_KEYS) for key, folds in means.groupby(_KEYS, sort=False)}

    @functools.cached_property
    def scores(self) -> pd.DataFrame:
        """The summary: one row per experiment, condition, metric, level and scope, columns _SUMMARY, fractions.

        The scope is "pooled", a fold, or the mean over the speakers (over the folds where these are not one speaker each). The
        mean over the speakers has an interval over them and, paired over them, the difference to the experiment's base.
        """
        test = self.metrics[self.metrics["split"] == "test"]
        each = test.groupby([*_KEYS, "fold"], sort=False)["value"].agg(["mean", "std", "count"]).reset_index()
        of_runs = test[test["fold"] != POOLED].groupby([*_KEYS, "run"], sort=False)["value"].mean()
        over_runs = of_runs.groupby(_KEYS, sort=False).agg(["std", "count"])
        means = []
        for key, folds in self.by_fold.items():
            mean, low, high, n = t_interval(folds, *range_of(key[2]))
            with_speakers, base = self.has_speakers_as_folds(*key[:2]), find_base(*key[:2])
            scope = MEAN_OVER_SPEAKERS if with_speakers else MEAN_OVER_FOLDS
            row = dict(zip(_AVERAGES, (*key, scope, mean, *over_runs.loc[key]), strict=True))
            if with_speakers:
                paired = self.compare(*key[:2], base, *key[2:]) if base != key[1] else Interval()
                row |= {"ci_low": low, "ci_high": high, "n_speakers": n, "base": base}
                row |= {"difference_to_base": paired.mean, "difference_ci_low": paired.low, "difference_ci_high": paired.high}
            means += [row] if len(folds) > 1 else []
        return pd.concat([each.set_axis(_AVERAGES, axis=1), pd.DataFrame(means)]).reindex(columns=_SUMMARY)

    def conditions(self, experiment: str) -> list[str]:
        """Returns the conditions of an experiment with complete runs, those with a record first, in their order."""
        present = [condition for name, condition in self.configs if name == experiment]
        known = RECORDS[experiment].conditions
        return [name for name in known if name in present] + [name for name in present if name not in known]

    def settings(self, experiment: str, condition: str) -> list[dict]:
        """Returns config.json of each run of a condition."""
        return [*self.configs.get((experiment, condition), {}).values()]

    def is_synthetic(self, experiment: str, condition: str | None = None) -> bool:
        """True when any run of the condition (or of the experiment) is on synthetic speech."""
        names = self.conditions(experiment) if condition is None else [condition]
        return any(config.get("synthetic") for name in names for config in self.settings(experiment, name))

    def is_comparable(self, experiment: str, condition: str) -> bool:
        """True where all runs of a condition are on the recordings that are published."""
        others = any(config.get("n_unpublished") for config in self.settings(experiment, condition))
        return not others and not self.is_synthetic(experiment, condition)

    def main_level(self, experiment: str, condition: str) -> str:
        """Returns "utterance", or "chunk" where chunks were split and an utterance has no score of its own."""
        levels = select(self.metrics, experiment=experiment, condition=condition)["level"]
        return "chunk" if set(levels) == {"chunk"} else "utterance"

    def by_run_and_fold(self, experiment: str, condition: str, metric: str, level: str) -> pd.DataFrame:
        """Returns test scores, one row per run, one column per fold, pooled left out."""
        chosen = select(self.metrics, experiment=experiment, condition=condition, split="test", level=level, metric=metric)
        return chosen[chosen["fold"] != POOLED].pivot(index="run", columns="fold", values="value")

    def test_part(self, experiment: str, condition: str) -> TestPart:
        """Returns what the first run of a condition was tested on; of arousal and valence, it has no classes."""
        predictions = self.predictions(experiment, condition)
        if predictions.empty:
            return TestPart({}, pd.Series(dtype=float), 0)
        first = predictions[predictions["run"] == predictions["run"].min()]
        sizes = first["fold"].value_counts(sort=False).to_dict()
        if "target" not in first:
            return TestPart(sizes, pd.Series(dtype=float), 0)
        shares = first["target"].value_counts(normalize=True).sort_index().sort_values(ascending=False, kind="stable")
        return TestPart(sizes, shares, len(class_columns(predictions)) or len(shares))

    def compare(
        self, experiment: str, condition: str, base: str, metric: str = "accuracy", level: str = "utterance"
    ) -> Interval:
        """Returns how far a condition lies above another, paired over the speakers, as a fraction.

        Each speaker counts once, with the mean over the runs: nothing where the folds are not one speaker each, nor where the
        recordings are not the same.
        """
        differences = self.subtract(experiment, condition, base, metric, level)
        return Interval() if differences is None else t_interval(differences, -1.0, 1.0)

    def subtract(
        self, experiment: str, condition: str, base: str, metric: str = "accuracy", level: str = "utterance"
    ) -> pd.Series | None:
        """Returns what `compare` averages, one number per speaker; None where there is nothing to compare."""
        if self.are_on_other_sounds(experiment, condition, base):
            return None
        keys = [(experiment, name, metric, level) for name in (condition, base)]
        if not all(key in self.by_fold and self.has_speakers_as_folds(*key[:2]) for key in keys):
            return None
        if (runs_of_both := self.find_runs_to_pair(experiment, condition, base)) is None:
            return self.by_fold[keys[0]] - self.by_fold[keys[1]]
        if not runs_of_both:
            return None
        ours, others = (self.by_run_and_fold(*key).loc[runs_of_both].mean() for key in keys)
        return ours - others

    def find_runs_to_pair(self, experiment: str, condition: str, base: str) -> list[int] | None:
        """Returns the runs that two conditions have both done, with the same seed; None where all runs have one test part."""
        if not any(draws_test_part_per_run(config.get("protocol")) for config in self.settings(experiment, condition)):
            return None
        ours, others = (self.configs.get((experiment, name), {}) for name in (condition, base))
        return [run for run in ours if run in others and ours[run].get("seed") == others[run].get("seed")]

    def are_on_other_sounds(self, experiment: str, *conditions: str) -> bool:
        """True where the runs of some conditions name different recordings; runs of an earlier version name none."""
        settings = [config for name in conditions for config in self.settings(experiment, name)]
        return len({config["sounds_sha256"] for config in settings if "sounds_sha256" in config}) > 1

    def has_speakers_as_folds(self, experiment: str, condition: str) -> bool:
        """True where every fold is one speaker."""
        return any(has_speakers_as_folds(config.get("protocol")) for config in self.settings(experiment, condition))


def find_base(experiment: str, condition: str) -> str:
    """Returns the condition that another one is compared with; "" where there is none."""
    return EXPERIMENTS[experiment].find_base(condition) if experiment in EXPERIMENTS else ""


def best_trials(trials: pd.DataFrame) -> pd.DataFrame:
    """Returns the best trial of every search with the parameters that matter most, one row per fold (and task)."""
    trials = trials.assign(loss=pd.to_numeric(trials["loss"], errors="coerce")).dropna(subset=["loss"])
    keys = [name for name in ("task", "fold", "search") if name in trials and trials[name].nunique() > 1]
    best = trials.loc[trials.groupby(keys, sort=False)["loss"].idxmin()] if keys else trials.nsmallest(1, "loss")
    shown = [name for name in keys if name != "search"] + [name for name in _PARAMETERS_SHOWN if name in best]
    return best[shown].reset_index(drop=True)


def validation_and_test(results: Results, experiment: str, condition: str) -> pd.DataFrame:
    """Returns the UAR that each fold's search selected on, and the test UAR, in percent, means over runs.

    The columns are ``fold``, ``validation`` and ``test``; folds without both are left out.
    """
    chosen = select(results.metrics, experiment=experiment, condition=condition, metric=RECALL, level="utterance")
    scores = 100 * chosen.pivot_table(index="fold", columns="split", values="value", aggfunc="mean")
    return scores.reindex(columns=["validation", "test"]).dropna().rename_axis(columns=None).reset_index()
