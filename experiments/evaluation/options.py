"""The options that commands share, checked and resolved before anything heavy is imported."""

from __future__ import annotations

import argparse
import os
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType

from began.audio import TAILS
from began.errors import InputError
from classifiers.metrics import CATEGORICAL, DIMENSIONAL
from experiments.evaluation.conditions import Condition

POOLINGS = ("mean", "median")


@dataclass(frozen=True)
class Settings:
    """What a user chose, whatever the condition.

    Attributes:
        results_dir: where everything is written.
        encoder: file of the encoder; None where conditions name their own.
        runs: executions (paper, section 4: 10).
        max_evals: trials of a search.
        epochs: of training, at most (paper, section 3.3: 100).
        tail: see `began.audio.cut_chunks`.
        pooling: task -> how the score of an utterance comes from those of its chunks.
        class_weight: "balanced", or None.
        seed: of everything.
        workers: processes.
        spark_master: URL of a Spark cluster to search on, or None.
    """

    results_dir: Path
    encoder: Path | None = None
    runs: int = 10
    max_evals: int = 20
    epochs: int = 100
    tail: str = "overlap"
    pooling: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({CATEGORICAL: "mean", DIMENSIONAL: "median"}))
    class_weight: str | None = None
    seed: int = 0
    workers: int = 1
    spark_master: str | None = None


def make_base_parser(module: str, description: str, data_dir: str | None = None) -> argparse.ArgumentParser:
    """Returns a command's parser with the options --data-dir and --results-dir.

    Args:
        module: the command's name.
        description: its docstring.
        data_dir: what --data-dir holds; None leaves that option out.
    """
    parser = argparse.ArgumentParser(
        prog=f"python -m {module}", description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    data = parser.add_argument_group("data")
    if data_dir is not None:
        data.add_argument("--data-dir", type=Path, required=True, help=f"the folder of {data_dir}")
    data.add_argument("--results-dir", type=Path, default=Path("results"), help="default: results")
    return parser


def make_table_parser(module: str, description: str, data_dir: str) -> argparse.ArgumentParser:
    """Returns the parser of a table: all options of this module."""
    parser = make_base_parser(module, description, data_dir)
    add_method_options(parser)
    add_training_options(parser)
    return parser


def add_method_options(parser: argparse.ArgumentParser) -> None:
    """Adds the options of representation and search."""
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
        help="head: the paper's, on one second at a time (default); statistics: of all blocks over the utterance, with a "
        "linear support vector machine",
    )
    representation.add_argument(
        "--normalize-speakers",
        action="store_true",
        help="with --method statistics: standardise the utterances of each speaker, those of the test speaker included, "
        "without their labels",
    )
    search = parser.add_argument_group("search", "of the heads; the few choices of the statistics are all tried")
    search.add_argument("--max-evals", type=int, default=20, help="trials (the authors' code: 20)")
    search.add_argument("--spark-master", help="URL of a Spark cluster to search on (needs pyspark)")


def add_training_options(parser: argparse.ArgumentParser, runs: int = 10) -> None:
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
    training.add_argument("--class-pooling", choices=POOLINGS, default="mean", help="from chunks to utterances")
    training.add_argument(
        "--dimension-pooling",
        choices=POOLINGS,
        default="median",
        help="the same for arousal and valence (the authors' code: median)",
    )
    training.add_argument("--class-weight", choices=("none", "balanced"), default="none")
    training.add_argument("--seed", type=int, default=0)
    training.add_argument("--workers", type=int, default=os.cpu_count(), help="processes (default: one per core)")


def read_settings(arguments: argparse.Namespace) -> Settings:
    """Returns the settings that a command line gives.

    Raises:
        InputError: a number is out of range.
    """
    given = vars(arguments)
    for name in ("runs", "max_evals", "epochs", "workers"):
        if given.get(name, 1) < 1:
            option = f"--{name.replace('_', '-')}"
            raise InputError.about(option, found=given[name], expected="at least 1", action="give a positive number")
    if not 0 <= arguments.seed < 2**31:
        raise InputError.about("--seed", found=arguments.seed, expected="0 to 2147483647", action="give another number")
    names = ("results_dir", "encoder", "runs", "max_evals", "epochs", "tail", "seed", "workers", "spark_master")
    return Settings(
        **{name: given[name] for name in names if name in given},
        pooling={CATEGORICAL: arguments.class_pooling, DIMENSIONAL: arguments.dimension_pooling},
        class_weight=None if arguments.class_weight == "none" else arguments.class_weight,
    )


def choose_method(condition: Condition, arguments: argparse.Namespace, name: str | None = None) -> Condition:
    """Returns a table's condition with the method that the command line asks for, under its own name.

    Args:
        condition: with a head.
        arguments: with the options of `add_method_options`.
        name: of the results' folder; None takes the record's, with the method behind it.
    Raises:
        InputError: options that do not go together.
    """
    if arguments.method == "head":
        if arguments.normalize_speakers:
            raise InputError.about(
                "--normalize-speakers", found="it with --method head", expected="--method statistics", action="add that"
            )
        return replace(condition, name=name or condition.name, features=arguments.features)
    if arguments.features != "map":
        raise InputError.about(
            "--method statistics", found=f"--features {arguments.features}", expected="all blocks", action="leave it out"
        )
    normalized = arguments.normalize_speakers
    suffix = "_utterance_statistics" + "_speaker_normalized" * normalized
    return replace(
        condition,
        name=name or condition.name + suffix,
        description="statistics over the utterance, linear SVM" + ", each speaker standardised" * normalized,
        method="statistics",
        normalize_speakers=normalized,
    )
