"""The options that all tables share, and what they check before anything heavy is imported."""

from __future__ import annotations

import argparse
import os
from collections.abc import Mapping
from pathlib import Path

from began.audio import TAILS
from began.encoder import read_config
from began.errors import InputError
from began.files import read_attached_json, sha256_of

POOLINGS = ("mean", "median", "mode")

SETTINGS = {
    "head": ("max_evals", "epochs", "search", "pooling", "class_weight"),
    "statistics": ("class_weight",),
    "whole": ("epochs", "pooling"),
    "functionals": (),
    "majority": (),
}
"""Method (`experiments.evaluation.methods.prepare_method`) -> the settings that, beside the seed, decide what it gives."""


def make_table_parser(module: str, description: str, corpus: str) -> argparse.ArgumentParser:
    """Returns a table's parser.

    Args:
        module: the script's name.
        description: its docstring.
        corpus: what --data-dir holds.
    """
    parser = argparse.ArgumentParser(
        prog=f"python -m {module}", description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    data = parser.add_argument_group("data")
    data.add_argument("--data-dir", type=Path, required=True, help=f"the folder of {corpus}")
    data.add_argument("--results-dir", type=Path, default=Path("results"), help="default: results")
    add_table_arguments(parser)
    return parser


def add_table_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options of representation, search and training."""
    representation = parser.add_argument_group("representation")
    representation.add_argument("--encoder", type=Path, required=True, help="encoder.keras of the pre-training")
    representation.add_argument(
        "--features",
        choices=("map", "embedding", "blocks"),
        default="map",
        help="what the heads read: last convolutional map (default), embedding, or all blocks",
    )
    representation.add_argument(
        "--method",
        choices=("head", "statistics"),
        default="head",
        help="head: the paper's, tuned and trained on the representation (default); statistics: of "
        "all blocks over the utterance, and a linear SVM (experiments/utterance_statistics.py)",
    )
    representation.add_argument(
        "--normalize-speakers",
        action="store_true",
        help="with --method statistics: standardise each speaker's utterances, all of the test "
        "speaker's among them, though none of their labels",
    )
    search = parser.add_argument_group("search", "of the heads; the statistics' few choices are all tried")
    search.add_argument("--max-evals", type=int, default=20, help="trials (the authors' code: 20)")
    search.add_argument(
        "--search",
        choices=("per_fold", "once"),
        default="per_fold",
        help="per_fold: in every fold's own training part (default); once: in the first fold's, cheaper "
        "and optimistic, and the table says so",
    )
    search.add_argument("--spark-master", help="URL of a Spark cluster to search on (needs pyspark)")
    add_training_arguments(parser)


def add_training_arguments(parser: argparse.ArgumentParser, runs: int = 10) -> None:
    """Adds the options of chunking, training and scoring."""
    training = parser.add_argument_group("training")
    training.add_argument("--runs", type=int, default=runs, help=f"executions (default: {runs}; paper, section 4: 10)")
    training.add_argument("--epochs", type=int, default=100, help="at most (paper, section 3.3: 100)")
    training.add_argument(
        "--tail",
        choices=TAILS,
        default="overlap",
        help="the samples behind the last full second (default: overlap, loses no utterance)",
    )
    training.add_argument("--class-pooling", choices=POOLINGS, default="mean", help="utterance score from its chunks'")
    training.add_argument(
        "--dimension-pooling",
        choices=POOLINGS,
        default="median",
        help="the same for arousal and valence (the authors' code: median)",
    )
    training.add_argument("--class-weight", choices=("none", "balanced"), default="none")
    training.add_argument("--seed", type=int, default=0)
    training.add_argument("--workers", type=int, default=os.cpu_count(), help="processes (default: one a core)")


def check_training_arguments(arguments: argparse.Namespace) -> None:
    """Checks and completes the options of `add_training_arguments`.

    Raises:
        InputError: a number is not positive.
    """
    for name, value in (("max_evals", 1), ("spark_master", None)):  # of scripts that search nothing
        vars(arguments).setdefault(name, value)
    for name in ("runs", "max_evals", "epochs", "workers"):
        if getattr(arguments, name) < 1:
            raise InputError.about(
                f"--{name.replace('_', '-')}",
                found=getattr(arguments, name),
                expected="at least 1",
                action="give a positive number",
            )
    if not 0 <= arguments.seed < 2**31:
        raise InputError.about("--seed", found=arguments.seed, expected="0 to 2147483647", action="give another number")
    arguments.pooling = {"categorical": arguments.class_pooling, "dimensional": arguments.dimension_pooling}
    arguments.class_weight = None if arguments.class_weight == "none" else arguments.class_weight


def check_class_weight(arguments: argparse.Namespace, method_of: Mapping[str, str], option: str) -> None:
    """Refuses --class-weight where it would do nothing, after `check_training_arguments`.

    Args:
        arguments: with class_weight.
        method_of: name of everything that is to be run -> its method.
        option: that the names were given with.

    Raises:
        InputError: a method does not weigh classes.
    """
    unweighted = [name for name, method in method_of.items() if "class_weight" not in SETTINGS[method]]
    if arguments.class_weight and unweighted:
        raise InputError.about(
            f"--class-weight {arguments.class_weight}",
            found=f"it with {', '.join(unweighted)}",
            expected="only what weighs classes",
            action=f"leave it out, or name {option} without those",
        )


def check_table_arguments(arguments: argparse.Namespace) -> dict[str, object]:
    """Completes the options, and returns what a run folder says about them.

    Raises:
        InputError: a number is not positive, options do not go together, or the encoder is not a file of this project.
    """
    check_training_arguments(arguments)
    if arguments.method == "statistics":
        if arguments.tail == "drop" or arguments.features != "map":
            raise InputError.about(
                "--method statistics",
                found=f"--tail {arguments.tail} --features {arguments.features}",
                expected="every utterance, and all blocks",
                action="leave out --tail and --features",
            )
        arguments.features = "frames"
        _name_unused(arguments)
    elif arguments.normalize_speakers:
        raise InputError.about(
            "--normalize-speakers",
            found="it with --method head",
            expected="--method statistics",
            action="add that, or leave it out",
        )
    spectrogram = read_config(arguments.encoder)
    return {
        **describe_encoder(arguments.encoder),
        "spectrogram": spectrogram.to_dict(),
        "features": arguments.features,
        "tail": arguments.tail,
        **({"normalize_speakers": arguments.normalize_speakers} if arguments.method == "statistics" else {}),
    }


def _name_unused(arguments: argparse.Namespace) -> None:
    """Says which options were given that the method "statistics" does not look at."""
    parser = argparse.ArgumentParser()
    add_table_arguments(parser)
    unused = [
        f"--{name.replace('_', '-')}"
        for name in ("max_evals", "search", "spark_master", "epochs", "class_pooling", "dimension_pooling")
        if getattr(arguments, name) != parser.get_default(name)
    ]
    if unused:
        print(f"note: {', '.join(unused)}: of the heads, without effect with --method statistics")


def name_condition(arguments: argparse.Namespace, name: str) -> str:
    """Returns a condition's name, which tells the method unless it is the paper's."""
    suffix = "_speaker_normalized" if arguments.normalize_speakers else ""
    return name if arguments.method == "head" else f"{name}_utterance_statistics{suffix}"


def seed_splits(arguments: argparse.Namespace, run: int) -> int:
    """Returns the seed of a run's folds.

    Runs of heads share their folds, and so one search. A support vector machine draws nothing at random: its runs differ in
    how the inner folds are dealt (and, with `experiments.custom --protocol kfold`, the outer ones).
    """
    return arguments.seed if arguments.method == "head" else arguments.seed + run


def describe_architecture(path: Path) -> dict[str, object]:
    """Returns what a run folder says where an encoder gives its layers and spectrograms, but not its weights.

    Raises:
        InputError: no such file, or damaged.
    """
    training = read_attached_json(path, "pretraining", default={})
    return {
        "architecture": {
            "base_filters": training.get("base_filters"),
            "latent_size": training.get("latent_size"),
            "spectrogram": read_config(path).to_dict(),
        }
    }


def describe_encoder(path: Path) -> dict[str, object]:
    """Returns what a run folder says about an encoder: its hash, and a note where its training was not finished.

    Raises:
        InputError: no such file, or damaged.
    """
    training = read_attached_json(path, "pretraining", default={})
    done, epochs = training.get("epochs_done", 0), training.get("epochs", 0)
    return {
        "encoder_sha256": sha256_of(path),
        "note": f"unfinished encoder: {done:g} of {epochs} epochs" if done < epochs else "",
    }
