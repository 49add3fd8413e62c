"""Complete runs as tidy scores with their settings, and how scores are summarised over runs.

Scores are means over runs; ± is the sample standard deviation over runs, and the 95 % interval is Student's t over
the same runs.  It tells how repeatable a score is, not how it would come out for other speakers.
"""

from __future__ import annotations

import functools
import math
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from began.errors import InputError
from experiments.evaluation import runs

# The conditions that a full reproduction has; absent ones are listed as not run.
EXPECTED = {
    "table1_savee": ("utterance_split", "chunk_split_leaking"),
    "table2_omg": ("official", "source_disjoint"),
    "table3_emodb": ("head_per_second", "utterance_statistics", "utterance_statistics_speaker_normalized"),
}
SYNTHETIC_NOTICE = "synthetic speech: not comparable with the paper"

METRIC_NAMES = {
    "accuracy": "accuracy",
    "unweighted_average_recall": "UAR",
    "binary_accuracy": "binary accuracy (mean over the class outputs)",
    "f1_micro": "F1 micro (= accuracy; the challenge's official F)",
    "f1_macro": "F1 macro",
    "f1_weighted": "F1 weighted",
    "fbeta_0.5_macro": "F-beta 0.5 macro",
    "fbeta_0.5_rounded": "F-beta 0.5 of rounded outputs",
    "concordance_correlation_coefficient": "CCC, pooled over utterances",
    "concordance_correlation_coefficient_per_video": "CCC, mean over videos",
    "mean_squared_error": "mean squared error",
    "pearson_correlation": "Pearson correlation",
}

_PROTOCOLS = {
    ("table1_savee", None): "each speaker alone, about 60 % of the utterances train and 40 % test, stratified, "
    "a fresh split a run",
    ("table1_savee", "chunk_split_leaking"): "LEAKING: chunks instead of utterances are split 60/40, so that chunks of "
    "one utterance lie on both sides",
    ("table2_omg", "official"): "official training part, tested on the official validation part (23 of its 46 videos' "
    "links also occur in training)",
    ("table2_omg", "source_disjoint"): "videos of links that also occur in training are left out of it",
    ("table3_emodb", None): "leave one speaker out, ten folds",
}
_SEARCHES = {
    "per_fold": "one search per fold, inside its training part (honest)",
    "once": "one search for all folds (optimistic)",
    "fixed": "no search: fixed hyper-parameters",
    "none": "no search",
}
# Settings that may differ between the runs of one condition without making it two conditions.
_PER_RUN = frozenset(
    {"run", "runs", "seed", "workers", "spark_master", "data_dir", "results_dir", "cache_dir", "encoder", "note"}
)


@dataclass(frozen=True)
class Summary:
    """Mean, sample standard deviation and 95 % t interval of n values; NaN where n is too small."""

    mean: float
    sd: float
    n: int
    low: float
    high: float


def summarise(values: Iterable[float]) -> Summary:
    """Returns mean, sample standard deviation (n - 1) and the 95 % interval mean ± t(0.975, n - 1) · sd / √n.

    Args:
        values: one value a run, or a fold; those that are not finite are left out.
    """
    values = [float(value) for value in values if math.isfinite(value)]
    n = len(values)
    if n == 0:
        return Summary(math.nan, math.nan, 0, math.nan, math.nan)
    mean = math.fsum(values) / n
    if n == 1:
        return Summary(mean, math.nan, 1, math.nan, math.nan)
    sd = math.sqrt(math.fsum((value - mean) ** 2 for value in values) / (n - 1))
    half = _t_quantile(n - 1) * sd / math.sqrt(n)
    return Summary(mean, sd, n, mean - half, mean + half)


@functools.lru_cache
def _t_quantile(degrees: int) -> float:
    from scipy.special import stdtrit

    return float(stdtrit(degrees, 0.975))


@dataclass(frozen=True)
class Results:
    """The complete runs under a results folder: tidy scores and settings, and where their predictions lie."""

    metrics: pd.DataFrame
    configs: Mapping[tuple[str, str, int], dict]
    unfinished: Mapping[tuple[str, str], int]
    results_dir: Path | None = None

    @classmethod
    def read(cls, results_dir: str | os.PathLike) -> Results:
        """Reads every complete run.

        Raises:
            InputError: no such folder, or a damaged file in it.
        """
        if not Path(results_dir).is_dir():
            raise InputError.about(
                results_dir,
                found="no such folder",
                expected="a results folder",
                action="give --results-dir the folder that the experiments wrote",
            )
        unfinished: dict[tuple[str, str], int] = {}
        for run in runs.find_runs(results_dir, complete=False):
            if not run.is_complete:
                key = (run.experiment, run.condition)
                unfinished[key] = unfinished.get(key, 0) + 1
        return cls(runs.read_metrics(results_dir), runs.read_configs(results_dir), unfinished, Path(results_dir))

    def without_synthetic(self) -> Results:
        """Returns the same without runs on synthetic speech."""
        configs = {key: config for key, config in self.configs.items() if not config.get("synthetic")}
        keys = pd.MultiIndex.from_frame(self.metrics[["experiment", "condition", "run"]])
        return Results(self.metrics[[key in configs for key in keys]], configs, self.unfinished, self.results_dir)

    def conditions(self, experiment: str) -> list[str]:
        """Returns the conditions of an experiment with complete runs, the expected ones first."""
        present = sorted({condition for name, condition, _ in self.configs if name == experiment})
        expected = [condition for condition in EXPECTED.get(experiment, ()) if condition in present]
        return expected + [condition for condition in present if condition not in expected]

    def settings(self, experiment: str, condition: str) -> list[dict]:
        """Returns config.json of each run of a condition."""
        return [config for key, config in sorted(self.configs.items()) if key[:2] == (experiment, condition)]

    def is_synthetic(self, experiment: str, condition: str | None = None) -> bool:
        """True when any run of the condition (or of the experiment) is on synthetic speech."""
        return any(
            config.get("synthetic")
            for key, config in self.configs.items()
            if key[0] == experiment and condition in (None, key[1])
        )

    def by_run(self, experiment: str, condition: str, metric: str, level: str, fold: str = runs.POOLED) -> pd.Series:
        """Returns test scores by number of the run, for one fold."""
        chosen = self._select(experiment, condition, metric, level, self.metrics["fold"] == fold)
        return chosen.set_index("run")["value"]

    def by_run_and_fold(self, experiment: str, condition: str, metric: str, level: str) -> pd.DataFrame:
        """Returns test scores, one row a run, one column a fold, pooled left out."""
        chosen = self._select(experiment, condition, metric, level, self.metrics["fold"] != runs.POOLED)
        return chosen.pivot(index="run", columns="fold", values="value")

    def metric_names(self, experiment: str) -> list[str]:
        """Returns the metrics that an experiment's runs hold, in the order of METRIC_NAMES, unknown ones last."""
        found = set(self.metrics.loc[self.metrics["experiment"] == experiment, "metric"])
        known = [name for name in METRIC_NAMES if name in found]
        return known + sorted(found - set(known))

    def _select(self, experiment: str, condition: str, metric: str, level: str, fold: pd.Series) -> pd.DataFrame:
        table = self.metrics
        return table[
            (table["experiment"] == experiment)
            & (table["condition"] == condition)
            & (table["split"] == "test")
            & (table["metric"] == metric)
            & (table["level"] == level)
            & fold
        ]

    def protocol(self, experiment: str, condition: str) -> str:
        """Returns one line: how the data were split, and the settings that were searched and trained with."""
        settings = self.settings(experiment, condition)
        first = settings[0] if settings else {}
        parts = [
            _PROTOCOLS.get((experiment, _split_of(condition)))
            or str(first.get("protocol", ""))
            or _PROTOCOLS.get((experiment, None), "")
        ]
        if "search" in first:
            parts.append(_SEARCHES.get(str(first["search"]), f"search: {first['search']}"))
        if first.get("max_evals") and first.get("search") not in ("none", "fixed"):
            parts.append(f"{first['max_evals']} trials")
        if first.get("epochs"):
            parts.append(f"{first['epochs']} epochs")
        if first.get("features") == "frames":
            parts.append("the encoder's blocks pooled over the utterance, linear SVM; blocks and C from inner folds")
        elif first.get("features", "map") != "map":
            parts.append(f"heads read: {first['features']}")
        if first.get("class_weight"):
            parts.append(f"class weights: {first['class_weight']}")
        pooling = first.get("pooling")
        if isinstance(pooling, Mapping):
            metrics = self.metric_names(experiment)
            tasks = {
                "categorical": ("classes", "accuracy" in metrics),
                "dimensional": ("arousal and valence", "mean_squared_error_arousal" in metrics),
            }
            pooling = ", ".join(f"{how} ({tasks[task][0]})" for task, how in pooling.items() if tasks.get(task, ("", False))[1])
        if pooling:
            parts.append(f"utterance score from its chunks': {pooling}")
        return "; ".join(part for part in parts if part)

    def note(self, experiment: str, condition: str) -> str:
        """Returns what must be known beside a score: synthetic, leaking, chosen after the test, mixed, unfinished."""
        settings = self.settings(experiment, condition)
        notes = []
        if self.is_synthetic(experiment, condition):
            notes.append(SYNTHETIC_NOTICE)
        if "leaking" in condition or any(config.get("leaking") for config in settings):
            notes.append("LEAKING")
        if any(config.get("search") == "once" for config in settings):
            notes.append("optimistic: one search for all folds")
        if any(config.get("selected_after_test") for config in settings):
            notes.append("chosen after looking at test scores")
        if any(config.get("normalize_speakers") for config in settings):
            notes.append("each speaker's recordings, the tested ones too, are standardised together, without labels")
        missing_audio = {config["n_missing"] for config in settings if config.get("n_missing")}
        if missing_audio:
            notes.append(f"{max(missing_audio)} utterances without audio left out")
        without_chunks = max((config.get("n_without_chunks", 0) for config in settings), default=0)
        if without_chunks:
            notes.append(f"{without_chunks} utterances shorter than a chunk left out")
        notes += sorted({str(config["note"]) for config in settings if config.get("note")})
        missing = object()
        keys = {key for config in settings for key in config} - _PER_RUN
        mixed = sorted(
            key for key in keys if any(config.get(key, missing) != settings[0].get(key, missing) for config in settings)
        )
        if mixed:
            notes.append(f"settings differ between runs: {', '.join(mixed)}")
        left_out = self.unfinished.get((experiment, condition), 0)
        if left_out:
            notes.append(f"{left_out} unfinished run{'s' if left_out > 1 else ''} left out")
        return "; ".join(notes)

    def main_level(self, experiment: str, condition: str) -> str:
        """Returns "utterance", or "chunk" where chunks were split and an utterance has no score of its own."""
        chosen = (self.metrics["experiment"] == experiment) & (self.metrics["condition"] == condition)
        return "chunk" if set(self.metrics.loc[chosen, "level"]) == {"chunk"} else "utterance"


def describe_protocol(experiment: str, condition: str) -> str:
    """Returns how a condition of the paper's tables splits its data, whether or not it has been run."""
    return _PROTOCOLS.get((experiment, _split_of(condition))) or _PROTOCOLS.get((experiment, None), "")


def _split_of(condition: str) -> str:
    """Returns a condition's name without the method, see `experiments.evaluation.options.name_condition`."""
    return condition.removesuffix("_speaker_normalized").removesuffix("_utterance_statistics")
