"""The methods by name, and what a run of each is bound to."""

import os
from collections.abc import Sequence
from pathlib import Path

from began.encoder import read_config
from began.errors import InputError
from began.files import read_attached_json, sha256_of
from experiments.corpora.record import Corpus
from experiments.evaluation import baselines, head_per_second, utterance_statistics
from experiments.evaluation.conditions import CORPORA, METHODS, Condition
from experiments.evaluation.data import Data, Trainer
from experiments.evaluation.options import Settings


def check_conditions(conditions: Sequence[Condition], settings: Settings, option: str = "--conditions") -> None:
    """Refuses what cannot be run before long work starts, and names settings without effect.

    Args:
        conditions: to be run.
        settings: of the command line.
        option: that the conditions were chosen with.
    Raises:
        InputError: --class-weight where classes are not weighted, --tail drop where every utterance is needed, or an encoder
            that is missing or damaged.
    """
    for condition in conditions:
        found, without = f"it with {condition.name}", f"leave it out, or name {option} without those"
        if settings.class_weight and "class_weight" not in METHODS[condition.method]:
            raise InputError.about(f"--class-weight {settings.class_weight}", found, "only what weighs classes", without)
        if condition.method == "statistics" and settings.tail == "drop":
            raise InputError.about("--tail drop", found, "every utterance", "leave it out")
        if condition.method == "statistics" and condition.chunk_split:
            expected = "utterance_split: statistics know no chunks"
            raise InputError.about("--method statistics", condition.name, expected, without)
        if (encoder := settings.find_encoder(condition)) is not None:
            describe_encoder(encoder)
    if all(condition.method == "statistics" for condition in conditions):
        given, default = vars(settings), vars(Settings(settings.results_dir))
        unused = [name for name in ("max_evals", "epochs", "spark_master", "pooling") if given[name] != default[name]]
        if unused:
            options = {"pooling": "--class-pooling and --dimension-pooling"}
            shown = ", ".join(options.get(name, f"--{name.replace('_', '-')}") for name in unused)
            print(f"note: {shown}: of the heads, without effect with --method statistics")


def prepare(condition: Condition, corpus: Corpus, settings: Settings) -> tuple[Data, Trainer]:
    """Returns the data that a condition's method works on, and its trainer."""
    if condition.method == "whole":
        from experiments.evaluation import fine_tuning  # which imports Keras

        return fine_tuning.prepare(condition, corpus, settings)
    others = {"head": head_per_second.prepare, "statistics": utterance_statistics.prepare}
    return others.get(condition.method, baselines.prepare)(condition, corpus, settings)


def describe_run(condition: Condition, corpus: Corpus, settings: Settings) -> dict[str, object]:
    """Returns all that decides the scores of a run: what config.json holds, and what a run that goes on must agree with.

    Neither the number of runs nor that of processes is among it: they change nothing.

    Raises:
        InputError: no such encoder, or one that is damaged.
    """
    title = CORPORA.get(condition.corpus, corpus.name)
    config: dict[str, object] = {"corpus": title, "protocol": condition.protocol_text, **condition.options}
    encoder = settings.find_encoder(condition)
    if encoder is not None:
        config |= {**describe_encoder(encoder, condition.initial_weights), "tail": settings.tail}
    config |= {name: getattr(settings, name) for name in METHODS[condition.method]}
    if not condition.search:
        config.pop("max_evals", None)
    if "class_weight" in config:
        config["class_weight"] = condition.class_weight or settings.class_weight
    if corpus.missing is not None:
        config["n_missing"] = len(corpus.missing)
    if n_copies := int(corpus.utterances.duplicated("sound").sum()):
        config["n_copies"] = n_copies
    if (backend := os.environ.get("KERAS_BACKEND", "tensorflow")) != "tensorflow":
        config["backend"] = backend
    bound = {"utterances_sha256": corpus.sha256, "sounds_sha256": corpus.sounds_sha256}
    return {**config, "seed": settings.seed, "synthetic": corpus.synthetic, **bound}


def describe_encoder(path: Path, initial_weights: bool = False) -> dict[str, object]:
    """Returns the hash of an encoder, or with initial weights its architecture; a note where its training is not finished.

    Raises:
        InputError: no such file, or damaged.
    """
    training = read_attached_json(path, "pretraining", default={})
    spectrogram = read_config(path).to_dict()
    if initial_weights:
        sizes = {name: training.get(name) for name in ("base_filters", "latent_size")}
        return {"architecture": sizes, "spectrogram": spectrogram}
    done, epochs = training.get("epochs_done", 0), training.get("epochs", 0)
    note = {"note": f"unfinished encoder: {done:g} of {epochs} epochs"} if done < epochs else {}
    return {"encoder_sha256": sha256_of(path), "spectrogram": spectrogram, **note}
