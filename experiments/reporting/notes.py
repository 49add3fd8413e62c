"""What a reader must know beside a condition's scores: how the data are split, and notes."""

from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any

from began.errors import counted
from classifiers.metrics import TASKS
from experiments.evaluation.condition import HEADS, Condition
from experiments.evaluation.conditions import EXPERIMENTS, find_condition
from experiments.reporting.summary import CUSTOM, Results, find_base

SYNTHETIC_NOTICE = "synthetic speech: not comparable with the paper"
OTHER_RECORDINGS = "not the published corpus, so not compared with the paper:"

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


def describe_protocol(results: Results, experiment: str, condition: str) -> str:
    """Returns how the data are split, and the settings, in one line."""
    settings, record = results.settings(experiment, condition), _find_record(results, experiment, condition)
    config: dict[str, Any] = dict(settings[0]) if settings else {"method": "", "protocol": record.protocol_text}
    if config.get("method", "head") in HEADS and not config.get("max_evals"):
        config["defaults"] = "default"
    pooling = config.get("pooling") or {}
    config["pooling"] = ", ".join(f"{pooling[task]} ({task})" for task in record.tasks if task in pooling)
    texts = [text.format(config[key]) for key, text in _SETTINGS.items() if config.get(key)]
    if find_condition(experiment, condition) is None and config.get("method"):  # whose name need not tell
        texts.append(f"method {config['method']}")
    return "; ".join([*texts, *(["without altered copies"] if config.get("altered_copies") is False else [])])


def list_notes(results: Results, experiment: str, condition: str) -> tuple[str, ...]:
    """Returns what a reader must know beside a condition's scores."""
    settings = results.settings(experiment, condition)
    notes = [SYNTHETIC_NOTICE] if results.is_synthetic(experiment, condition) else []
    record = _find_record(results, experiment, condition)
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
    if (own := _find_encoders(results, experiment, condition)) and len(_find_encoders(results, experiment)) > 1:
        which = " and ".join(sha256[:8] for sha256 in sorted(own))
        notes.append(f"on the encoder {which}, others of this table on another one")
    if (base := find_base(experiment, condition)) and results.are_on_other_sounds(experiment, condition, base):
        notes.append(f"on other recordings than {base}, so not compared with it")
    elif base and base != condition and results.settings(experiment, base):
        paired, n_runs = results.find_runs_to_pair(experiment, condition, base), len(settings)
        if paired == []:
            notes.append(f"not compared with {base}: no run has the same seed")
        elif paired and len(paired) < max(n_runs, len(results.settings(experiment, base))):
            notes.append(f"compared with {base} over the {counted(len(paired), 'run')} that both have done")
    if n_unfinished := results.unfinished[experiment, condition]:
        notes.append(f"{n_unfinished} unfinished run{'s' if n_unfinished > 1 else ''} left out")
    return tuple(notes)


def join_notes(results: Results, experiment: str, conditions: Iterable[str]) -> str:
    """Returns the notes of several conditions in one line, each once."""
    return "; ".join(dict.fromkeys(note for name in conditions for note in list_notes(results, experiment, name)))


def _find_encoders(results: Results, experiment: str, condition: str | None = None) -> set[str]:
    """Returns the hashes of the encoders that users named for a condition, or for all of an experiment.

    Empty for conditions with an encoder of their own, and for own data sets, which are not compared with one another.
    """
    if experiment == CUSTOM.name:
        return set()
    named = {name for name in results.conditions(experiment) if condition in (None, name)}
    named = {name for name in named if not _find_record(results, experiment, name).encoder}
    hashes = {config.get("encoder_sha256") for name in named for config in results.settings(experiment, name)}
    return {sha256 for sha256 in hashes if sha256}


def _find_record(results: Results, experiment: str, condition: str) -> Condition:
    """Returns the record of a condition; for a name that the user chose, one with the options of its runs."""
    if known := find_condition(experiment, condition):
        return known
    own = Condition(experiment, condition, corpus="own", tasks=TASKS)
    alike = next(iter(EXPERIMENTS[experiment].conditions.values())) if experiment in EXPERIMENTS else own
    config = next(iter(results.settings(experiment, condition)), {})
    options = {name: config[name] for name in ("method", "search", "normalize_speakers") if name in config}
    return replace(alike, name=condition, **options)
