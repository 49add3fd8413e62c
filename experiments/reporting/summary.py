"""The runs under a results folder, each file read once, and one tidy table of what their scores come to.

Averages bear names of their own: ± is the sample standard deviation over runs, which differ in their seeds; a 95 % interval is
Student's t over speakers, and tells how a score, or a difference between two conditions, would come out for other speakers.
"""

import functools
import math
import os
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from began.errors import counted
from classifiers.metrics import TASKS
from experiments.corpora.record import MEAN_OVER_FOLDS, MEAN_OVER_SPEAKERS
from experiments.evaluation import runs
from experiments.evaluation.condition import HEADS, Condition, draws_test_part_per_run, has_speakers_as_folds
from experiments.evaluation.conditions import BEYOND_THE_PAPER, EXPERIMENTS, Experiment, find_condition
from experiments.evaluation.predictions import class_columns
from experiments.evaluation.runs import POOLED
from experiments.evaluation.searches import read_trials

RECALL = "unweighted_average_recall"
SYNTHETIC_NOTICE = "synthetic speech: not comparable with the paper"
OTHER_RECORDINGS = "not the published corpus, so not compared with the paper:"

_CUSTOM = Experiment("custom", "Own data sets", columns={}, conditions={})
RECORDS = {**EXPERIMENTS, **BEYOND_THE_PAPER, _CUSTOM.name: _CUSTOM}
"""Experiment -> its record; own data sets have one without conditions."""

_KEYS = ["experiment", "condition", "metric", "level"]
_AVERAGES = [*_KEYS, "scope", "mean", "sd_over_runs", "n_runs"]
_SUMMARY = [*_AVERAGES, "ci_low", "ci_high", "n_speakers", "base"]
_SUMMARY += ["difference_to_base", "difference_ci_low", "difference_ci_high"]
# Key of config.json -> words.
_SETTINGS = {
    "protocol": "{}",
    "max_evals": "{} trials per search",
    "defaults": "{} parameters",
    "epochs": "at most {} epochs",
    "features": "head on the {}",
    "front_end": "front end {}",
    "class_weight": "class weights: {}",
    "ensemble_size": "{} seeds made into one",
    "pooling": "chunks pooled by their {}",
}
_COUNTS: dict[str, Callable[[int], str]] = {
    "n_missing": lambda n: f"{counted(n, 'utterance')} without audio left out",
    "n_without_chunks": lambda n: f"{counted(n, 'utterance')} shorter than a chunk left out",
    "n_unpublished": lambda n: f"{OTHER_RECORDINGS} {n} are absent or added",
    "n_copies": lambda n: (
        f"{counted(n, 'recording')} with the same sound as another one, none of them on both sides of a split"
    ),
    "n_shared_speakers": lambda n: f"{counted(n, 'speaker')} {'are' if n > 1 else 'is'} trained and tested on",
}
"""Key of config.json -> what a reader must know where it is more than 0."""
_PARAMETERS_SHOWN = (
    "loss epochs filters n_convolutions kernel_frequency pooling dropout dense_units optimizer learning_rate "
    "batch_size blocks C"
).split()


class Interval(NamedTuple):
    """Mean of n values with its 95 % t interval; NaN where there are fewer than three."""

    mean: float = math.nan
    low: float = math.nan
    high: float = math.nan
    n: int = 0

    def in_percent(self, name: str) -> dict[str, float]:
        """Returns the mean under a name, and the ends of the interval, in percent."""
        return {name: 100 * self.mean, f"{name}_ci_low": 100 * self.low, f"{name}_ci_high": 100 * self.high}


def t_interval(values: Iterable[float], lowest: float = -math.inf, highest: float = math.inf) -> Interval:
    """Returns mean ± t(0.975, n - 1) · sd / √n, cut off at the lowest and the highest value that the mean can have."""
    finite = pd.Series(values, dtype=float).dropna()
    mean, n = finite.mean(), len(finite)
    if n < 3:
        return Interval(mean, n=n)
    from scipy.special import stdtrit

    half = float(stdtrit(n - 1, 0.975)) * finite.std(ddof=1) / math.sqrt(n)
    return Interval(mean, max(mean - half, lowest), min(mean + half, highest), n)


def crossed_interval(table: pd.DataFrame, lowest: float = -math.inf, highest: float = math.inf) -> Interval:
    """Returns the mean of a table with its 95 % interval over other rows and other columns, both drawn at random.

    The variance of the mean is that of the two-way random-effects model without replication: with mean squares of rows,
    columns and residuals, (MS_rows + MS_columns − MS_residual) / n, its degrees of freedom by Satterthwaite (1946). Where
    columns differ by less than the residuals do, the interval is that of the row means; and the reverse.

    Args:
        table: at least three rows and two columns, such as one per speaker and one per encoder; otherwise there is no interval.
    """
    values = table.to_numpy(dtype=float)
    (n_rows, n_columns), mean = values.shape, float(values.mean()) if values.size else math.nan
    if n_rows < 3 or n_columns < 2 or not np.isfinite(values).all():
        return Interval(mean, n=n_rows)
    from scipy.special import stdtrit

    of_rows, of_columns = values.mean(axis=1, keepdims=True), values.mean(axis=0, keepdims=True)
    df = np.array([n_rows - 1, n_columns - 1, (n_rows - 1) * (n_columns - 1)])
    squares = np.array(
        [np.square(part).sum() for part in (of_rows - mean, of_columns - mean, values - of_rows - of_columns + mean)]
    )
    rows, columns, residual = squares * [n_columns, n_rows, 1] / df
    candidates = [(rows, df[0]), (columns, df[1])]
    if rows + columns > residual:
        both = rows + columns - residual
        candidates.append((both, both**2 / (np.array([rows, columns, residual]) ** 2 / df).sum()))
    variance, freedom = max(candidates)
    half = float(stdtrit(freedom, 0.975)) * math.sqrt(variance / values.size)
    return Interval(mean, max(mean - half, lowest), min(mean + half, highest), n_rows)


def select(table: pd.DataFrame, **values: object) -> pd.DataFrame:
    """Returns the rows whose columns have the given values."""
    for name, value in values.items():
        table = table[table[name] == value]
    return table


class TestPart(NamedTuple):
    """What classes were tested on: utterances of each fold, the share of each class, the most frequent one first.

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
    """The complete runs under a results folder; each file is read when it is first needed. An absent folder holds none."""

    def __init__(self, results_dir: str | os.PathLike) -> None:
        self.results_dir = Path(results_dir)
        self._tables: dict[tuple[str, ...], pd.DataFrame] = {}

    @functools.cached_property
    def metrics(self) -> pd.DataFrame:
        """Every score of every complete run, columns `experiments.evaluation.runs.METRICS_COLUMNS`."""
        return runs.read_metrics(self.results_dir)

    @functools.cached_property
    def configs(self) -> dict[tuple[str, str, int], dict]:
        """(experiment, condition, run) -> the content of config.json."""
        return runs.read_configs(self.results_dir)

    @functools.cached_property
    def _of_condition(self) -> dict[tuple[str, str], dict[int, dict]]:
        """(experiment, condition) -> run -> the content of config.json."""
        found: dict[tuple[str, str], dict[int, dict]] = {}
        for (experiment, condition, run), config in self.configs.items():
            found.setdefault((experiment, condition), {})[run] = config
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

    def predictions(self, experiment: str, condition: str) -> pd.DataFrame:
        """Returns the predictions of a condition's complete runs."""
        return self._read_once(runs.read_predictions, experiment, condition)

    def trials(self, experiment: str, condition: str) -> pd.DataFrame:
        """Returns the trials of a condition's searches."""
        return self._read_once(read_trials, experiment, condition)

    def _read_once(self, read: Callable[..., pd.DataFrame], *names: str) -> pd.DataFrame:
        key = read.__name__, *names
        if key not in self._tables:
            self._tables[key] = read(self.results_dir, *names)
        return self._tables[key]

    def conditions(self, experiment: str) -> list[str]:
        """Returns the conditions of an experiment with complete runs, those with a record first, in their order."""
        present = [condition for name, condition in self._of_condition if name == experiment]
        known = RECORDS[experiment].conditions
        return [name for name in known if name in present] + [name for name in present if name not in known]

    def settings(self, experiment: str, condition: str) -> list[dict]:
        """Returns config.json of each run of a condition."""
        return [*self._of_condition.get((experiment, condition), {}).values()]

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
        """Returns what the first run of a condition of classes was tested on."""
        predictions = self.predictions(experiment, condition)
        if "target" not in predictions:
            return TestPart({}, pd.Series(dtype=float), 0)
        first = predictions[predictions["run"] == predictions["run"].min()]
        sizes, shares = first["fold"].value_counts(sort=False).to_dict(), first["target"].value_counts(normalize=True)
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
        if self._are_on_other_sounds(experiment, condition, base):
            return None
        keys = [(experiment, name, metric, level) for name in (condition, base)]
        if not all(key in self.by_fold and self.has_speakers_as_folds(*key[:2]) for key in keys):
            return None
        if (runs_of_both := self._find_runs_to_pair(experiment, condition, base)) is None:
            return self.by_fold[keys[0]] - self.by_fold[keys[1]]
        if not runs_of_both:
            return None
        ours, others = (self.by_run_and_fold(*key).loc[runs_of_both].mean() for key in keys)
        return ours - others

    def _find_runs_to_pair(self, experiment: str, condition: str, base: str) -> list[int] | None:
        """Returns the runs that two conditions have both done, with the same seed; None where all runs have one test part."""
        if not any(draws_test_part_per_run(config.get("protocol")) for config in self.settings(experiment, condition)):
            return None
        ours, others = (self._of_condition.get((experiment, name), {}) for name in (condition, base))
        return [run for run in ours if run in others and ours[run].get("seed") == others[run].get("seed")]

    def _are_on_other_sounds(self, experiment: str, condition: str, base: str) -> bool:
        """True where the runs of two conditions name different recordings; runs of an earlier version name none."""
        settings = [*self.settings(experiment, condition), *self.settings(experiment, base)]
        return len({config["sounds_sha256"] for config in settings if "sounds_sha256" in config}) > 1

    def _encoders(self, experiment: str, condition: str | None = None) -> set[str]:
        """Returns the hashes of the encoders that users named for a condition, or for all of an experiment.

        Empty for conditions with an encoder of their own, and for own data sets, which are not compared with one another.
        """
        if experiment == _CUSTOM.name:
            return set()
        named = {name for name in self.conditions(experiment) if condition in (None, name)}
        named = {name for name in named if not self._record(experiment, name).encoder}
        hashes = {config.get("encoder_sha256") for name in named for config in self.settings(experiment, name)}
        return {sha256 for sha256 in hashes if sha256}

    def protocol(self, experiment: str, condition: str) -> str:
        """Returns how the data are split, and the settings, in one line."""
        settings, record = self.settings(experiment, condition), self._record(experiment, condition)
        config: dict[str, Any] = dict(settings[0]) if settings else {"method": "", "protocol": record.protocol_text}
        if config.get("method", "head") in HEADS and not config.get("max_evals"):
            config["defaults"] = "default"
        pooling = config.get("pooling") or {}
        config["pooling"] = ", ".join(f"{pooling[task]} ({task})" for task in record.tasks if task in pooling)
        texts = [text.format(config[key]) for key, text in _SETTINGS.items() if config.get(key)]
        if find_condition(experiment, condition) is None and config.get("method"):  # whose name need not tell
            texts.append(f"method {config['method']}")
        return "; ".join([*texts, *(["without altered copies"] if config.get("altered_copies") is False else [])])

    def notes(self, experiment: str, condition: str) -> tuple[str, ...]:
        """Returns what a reader must know beside a condition's scores."""
        settings = self.settings(experiment, condition)
        notes = [SYNTHETIC_NOTICE] if self.is_synthetic(experiment, condition) else []
        record = self._record(experiment, condition)
        front_end = next((config["front_end"] for config in settings if "front_end" in config), record.front_end)
        notes += replace(record, front_end=front_end).notes
        for key, say in _COUNTS.items():
            if n := max((config.get(key) or 0 for config in settings), default=0):
                notes.append(say(n))
        notes += sorted({str(config["note"]) for config in settings if config.get("note")})
        first, missing = next(iter(settings), {}), object()
        keys = sorted({key for config in settings for key in config} - {"seed", "note"})
        if differing := [key for key in keys if any(one.get(key, missing) != first.get(key, missing) for one in settings)]:
            notes.append(f"settings differ between runs: {', '.join(differing)}")
        if (own := self._encoders(experiment, condition)) and len(self._encoders(experiment)) > 1:
            which = " and ".join(sha256[:8] for sha256 in sorted(own))
            notes.append(f"on the encoder {which}, others of this table on another one")
        if (base := find_base(experiment, condition)) and self._are_on_other_sounds(experiment, condition, base):
            notes.append(f"on other recordings than {base}, so not compared with it")
        elif base and base != condition and self.settings(experiment, base):
            paired, n_runs = self._find_runs_to_pair(experiment, condition, base), len(settings)
            if paired == []:
                notes.append(f"not compared with {base}: no run has the same seed")
            elif paired and len(paired) < max(n_runs, len(self.settings(experiment, base))):
                notes.append(f"compared with {base} over the {counted(len(paired), 'run')} that both have done")
        if n_unfinished := self.unfinished[experiment, condition]:
            notes.append(f"{n_unfinished} unfinished run{'s' if n_unfinished > 1 else ''} left out")
        return tuple(notes)

    def joined_notes(self, experiment: str, conditions: Iterable[str]) -> str:
        """Returns the notes of several conditions in one line, each once."""
        return "; ".join(dict.fromkeys(note for name in conditions for note in self.notes(experiment, name)))

    def _record(self, experiment: str, condition: str) -> Condition:
        """Returns the record of a condition; for a name that the user chose, one with the options of its runs."""
        if known := find_condition(experiment, condition):
            return known
        own = Condition(experiment, condition, corpus="own", tasks=TASKS)
        alike = next(iter(EXPERIMENTS[experiment].conditions.values())) if experiment in EXPERIMENTS else own
        config = next(iter(self.settings(experiment, condition)), {})
        options = {name: config[name] for name in ("method", "search", "normalize_speakers") if name in config}
        return replace(alike, name=condition, **options)

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


def range_of(metric: str) -> tuple[float, float]:
    """Returns the lowest and the highest value that a metric can have; arousal lies in [0, 1], valence in [-1, 1]."""
    if metric.startswith("mean_squared"):
        return 0.0, 4.0
    return (-1.0 if metric.startswith(("concordance", "pearson")) else 0.0), 1.0
