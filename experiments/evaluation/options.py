"""The options that commands share, checked and resolved before anything heavy is imported."""

import argparse
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType

from began.chunks import TAILS
from began.encoder import OUTPUTS
from began.errors import InputError
from began.front_end import FRONT_ENDS
from began.startup import count_cores
from classifiers.metrics import AGGREGATIONS, CATEGORICAL, DIMENSIONAL
from experiments.evaluation.condition import METHODS, Condition, as_ensemble, with_method

RESULTS, OWN_RESULTS = Path("results"), Path("my-results")
"""The project's own results; and those on a user's recordings, which git ignores: no clone publishes them by mistake."""

MAX_ENSEMBLE = 10
"""Heads that are made into one: more change little, and a head has at most 1024 filters."""


@dataclass(frozen=True)
class Settings:
    """What a user chose, whatever the condition.

    Attributes:
        results_dir: where everything is written.
        encoder: file of the encoder; None where conditions name their own.
        runs: executions (paper, section 4: 10).
        max_evals: trials of a search.
        epochs: of training, at most (paper, section 3.3: 100).
        tail: see `began.chunks.cut_chunks`.
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

    @property
    def cache_dir(self) -> Path:
        """Where features are kept, and what is known of the sound files."""
        return self.results_dir / "cache" / "features"

    def find_encoder(self, condition: Condition) -> Path | None:
        """Returns the file of a condition's encoder: its own under the results folder, or the one that the user named."""
        if not METHODS[condition.method].needs_encoder:
            return None
        if condition.encoder:
            return self.results_dir / "pretrain_librispeech" / condition.encoder / "encoder.keras"
        return self.encoder


def make_base_parser(
    module: str, description: str, data_dir: str | None = None, results_help: str = "default: %(default)s"
) -> argparse.ArgumentParser:
    """Returns a command's parser with --results-dir and, where `data_dir` says what it holds, --data-dir."""
    parser = argparse.ArgumentParser(prog=f"python -m {module}", description=description)
    data = parser.add_argument_group("data").add_argument
    if data_dir is not None:
        data("--data-dir", type=Path, required=True, help=f"the folder of {data_dir}")
    data("--results-dir", type=Path, default=RESULTS, help=results_help)
    return parser


def make_table_parser(module: str, description: str, data_dir: str) -> argparse.ArgumentParser:
    """Returns the parser of a table: all options of this module."""
    parser = make_base_parser(module, description, data_dir)
    add_method_options(parser)
    add_training_options(parser)
    return parser


def add_method_options(parser: argparse.ArgumentParser) -> None:
    """Adds the options of representation, method and search."""
    add = parser.add_argument_group("representation").add_argument
    add("--encoder", type=Path, required=True, help="encoder.keras of the pre-training, components.npz beside it")
    features = "what --method head takes: last convolutional map (default), embedding, or all blocks"
    add("--features", choices=OUTPUTS, default="map", help=features)
    method = (
        "utterance: a convolutional head on the whole utterance (default); head: on one second at a time, the paper's most "
        "literal reading; statistics: of all blocks over the utterance, with a linear support vector machine"
    )
    add("--method", choices=("utterance", "head", "statistics"), default="utterance", help=method)
    front_end = (
        "input of the methods on whole utterances: normalized, speech without silent ends at one level (default); trimmed, "
        "the same at its own level (default where each speaker is alone, as in table 1); or literal, all that was recorded"
    )
    add("--front-end", choices=FRONT_ENDS, help=front_end)
    augment = (
        "train --method utterance also on copies with noise and behind random channels (default, but for --front-end "
        "literal); without them, the condition has a name of its own"
    )
    add("--augment", action=argparse.BooleanOptionalAction, help=augment)
    ensemble = "with --method utterance: make heads of so many seeds into one, as a condition of its own (default: 1, up to 10)"
    add("--ensemble", type=int, default=1, metavar="N", help=ensemble)
    normalize = "with --method statistics: standardise the utterances of each speaker, those of the test speaker included, "
    add("--normalize-speakers", action="store_true", help=normalize + "without their labels")
    add = parser.add_argument_group("search", "of the heads; the few choices of the statistics are all tried").add_argument
    add("--max-evals", type=int, default=20, help="trials (the authors' code: 20)")
    add("--spark-master", help="URL of a Spark cluster to search on (needs pyspark)")


def add_training_options(parser: argparse.ArgumentParser, runs: int = 10) -> None:
    """Adds the options of chunking, training and scoring."""
    add = add_run_options(parser, runs)
    add("--epochs", type=int, default=100, help="of heads on one second and whole networks, at most (default: 100)")
    tail = "the samples behind the last full second (default: overlap, loses no utterance)"
    add("--tail", choices=TAILS, default="overlap", help=tail)
    add("--class-pooling", choices=AGGREGATIONS, default="mean", help="from chunks to utterances")
    dimensions = "the same for arousal and valence (the authors' code: median)"
    add("--dimension-pooling", choices=AGGREGATIONS, default="median", help=dimensions)
    weights = "weight of a class in the loss: the same for all (none, the default), or larger for rare classes"
    add("--class-weight", choices=("none", "balanced"), default="none", help=weights)


def add_run_options(parser: argparse.ArgumentParser, runs: int) -> Callable[..., argparse.Action]:
    """Adds the options of how often, from which seed and on how many processes; returns what adds others of the training."""
    add = parser.add_argument_group("training").add_argument
    add("--runs", type=int, default=runs, help=f"executions (default: {runs}; paper, section 4: 10)")
    add("--seed", type=int, default=0, help="that the random choices of all runs derive from (default: 0)")
    add("--workers", type=int, default=count_cores(), help="processes (default: one per core)")
    return add


def read_settings(arguments: argparse.Namespace) -> Settings:
    """Returns the settings that a command line gives.

    Raises:
        InputError: a number is out of range.
    """
    given = vars(arguments)
    for name in ("runs", "max_evals", "epochs", "workers"):
        if given.get(name, 1) < 1:
            raise InputError.about(f"--{name.replace('_', '-')}", given[name], "at least 1", "give a positive number")
    if not 0 <= arguments.seed < 2**31:
        raise InputError.about("--seed", arguments.seed, "0 to 2147483647", "give another number")
    names = ("results_dir", "encoder", "runs", "max_evals", "epochs", "tail", "seed", "workers", "spark_master")
    settings = Settings(**{name: given[name] for name in names if name in given})
    if "class_pooling" not in given:
        return settings
    return replace(
        settings,
        pooling={CATEGORICAL: arguments.class_pooling, DIMENSIONAL: arguments.dimension_pooling},
        class_weight=None if arguments.class_weight == "none" else arguments.class_weight,
    )


def choose_method(condition: Condition, arguments: argparse.Namespace) -> Condition:
    """Returns a condition with the method that the command line asks for.

    Raises:
        InputError: options that do not go together.
    """
    if arguments.method != "head" and arguments.features != "map":
        found = f"--features {arguments.features}"
        raise InputError.about(f"--method {arguments.method}", found, "all blocks", "leave it out, or add --method head")
    of_one_method = (
        ("--normalize-speakers", arguments.normalize_speakers, "statistics"),
        ("--augment" if arguments.augment else "--no-augment", arguments.augment is not None, "utterance"),
        (f"--ensemble {arguments.ensemble}", arguments.ensemble != 1, "utterance"),
    )
    for option, is_given, method in of_one_method:
        if is_given and arguments.method != method:
            found = f"it with --method {arguments.method}"
            raise InputError.about(option, found, f"--method {method}, which alone takes it", "leave it out, or add that")
    if arguments.augment and arguments.front_end == "literal":
        expected = "--front-end normalized or trimmed: literal has no such copies"
        raise InputError.about("--augment", "it with --front-end literal", expected, "leave it out")
    if arguments.front_end and arguments.method == "head":
        expected = "a method on whole utterances: heads on one second hear what their encoder was trained on"
        raise InputError.about(f"--front-end {arguments.front_end}", "it with --method head", expected, "leave it out")
    if not 1 <= arguments.ensemble <= MAX_ENSEMBLE:
        raise InputError.about("--ensemble", arguments.ensemble, f"1 to {MAX_ENSEMBLE}", "give another number")
    if arguments.method == "head":
        return replace(condition, features=arguments.features)
    has_copies = arguments.front_end != "literal"
    chosen = with_method(
        condition,
        arguments.method,
        normalize_speakers=arguments.normalize_speakers,
        altered_copies=not has_copies or arguments.augment is not False,
    )
    chosen = replace(chosen, front_end=arguments.front_end or chosen.front_end)
    if arguments.method == "statistics":
        return chosen
    chosen = replace(chosen, altered_copies=chosen.altered_copies and has_copies)
    return as_ensemble(chosen, arguments.ensemble) if arguments.ensemble > 1 else chosen
