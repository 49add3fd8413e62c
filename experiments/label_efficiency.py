"""The semi-supervised claim: how many labels does a head need? EmoDB, leave one speaker out, fewer and fewer labels.

    python -m experiments.label_efficiency --data-dir EmoDB --encoder ENCODER --results-dir results

5, 10, 25, 50 and 100 % of the labelled training utterances, drawn afresh for every run (at least one a class and inner
fold), for three networks: frozen BEGAN encoder with a head, frozen random encoder with a head, and the same network trained
from scratch. The test part is always the whole held-out speaker. Head parameters are the defaults; nothing is searched.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from began.command_line import run_script
from began.errors import InputError
from experiments.corpora import load
from experiments.corpora.files import check_audio
from experiments.evaluation.options import (
    SETTINGS,
    add_training_arguments,
    check_class_weight,
    check_training_arguments,
    describe_architecture,
    describe_encoder,
)

if TYPE_CHECKING:
    import pandas as pd

    from experiments.evaluation.protocols import Split

EXPERIMENT = "label_efficiency"
PERCENTS = (5, 10, 25, 50, 100)
ENCODERS = {"began": ("head", False), "initial_weights": ("head", True), "from_scratch": ("whole", True)}
"""Name -> (method, starts from initial weights)."""


def make_parser() -> argparse.ArgumentParser:
    """Returns the parser of the command line."""
    parser = argparse.ArgumentParser(
        prog=f"python -m experiments.{EXPERIMENT}", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data-dir", type=Path, required=True, help="the folder of EmoDB (holds wav/)")
    parser.add_argument("--encoder", type=Path, required=True, help="encoder.keras of the pre-training")
    parser.add_argument("--results-dir", type=Path, default=Path("results"), help="default: results")
    parser.add_argument("--encoders", nargs="+", choices=tuple(ENCODERS), default=tuple(ENCODERS))
    parser.add_argument("--percents", nargs="+", type=int, default=PERCENTS)
    add_training_arguments(parser, runs=5)
    return parser


def main(arguments: argparse.Namespace) -> None:
    check_training_arguments(arguments)
    check_class_weight(arguments, {name: ENCODERS[name][0] for name in arguments.encoders}, "--encoders")
    arguments.search = "fixed"
    for percent in arguments.percents:
        if not 1 <= percent <= 100:
            raise InputError.about("--percents", found=percent, expected="1 to 100", action="give whole percents")
    encoder, architecture = describe_encoder(arguments.encoder), describe_architecture(arguments.encoder)
    corpus = load("emodb", arguments.data_dir)
    check_audio(corpus)
    print(corpus.describe())

    from experiments.evaluation.evaluate import Condition, evaluate
    from experiments.evaluation.methods import prepare_method

    for name in arguments.encoders:
        method, random = ENCODERS[name]
        data, train = prepare_method(method, arguments.encoder, corpus, arguments, random=random)
        for percent in arguments.percents:
            print(f"\n{name}, {percent} % of the labels")
            condition = Condition(
                EXPERIMENT,
                name_condition(name, percent),
                train=train,
                settings=SETTINGS[method],
                make_splits=lambda run, percent=percent: draw_splits(corpus.utterances, percent, arguments.seed, run),
            )
            # The default head was picked with a look at EmoDB's test scores, and the figure has to say so.
            evaluate(
                data,
                condition,
                arguments,
                {
                    "corpus": "EmoDB",
                    "protocol": f"leave one speaker out, {percent} % of the training labels",
                    **(architecture if random else encoder),
                    "method": method,
                    "tail": arguments.tail,
                    "selected_after_test": True,
                },
            )

    from experiments.reporting.render import render

    render(arguments.results_dir)
    print(f"wrote {arguments.results_dir / EXPERIMENT} and {arguments.results_dir / 'tables'}")


def name_condition(encoder: str, percent: int) -> str:
    """Returns the name of the folder of a network's runs with a share of the labels."""
    return f"{encoder}_{percent:03d}"


def name_conditions() -> list[str]:
    """Returns the names of all that the script runs by default."""
    return [name_condition(encoder, percent) for encoder in ENCODERS for percent in PERCENTS]


def draw_splits(utterances: pd.DataFrame, percent: int, seed: int, run: int) -> list[Split]:
    """Returns leave-one-speaker-out folds with a part of their training utterances.

    Drawn from each inner fold's validation part, at least one a class: so every inner fold has something to select on.
    """
    import numpy as np

    from experiments.evaluation.protocols import Inner, check_split, leave_one_speaker_out

    labels = utterances["label"].to_numpy()
    splits = []
    for number, split in enumerate(leave_one_speaker_out(utterances, seed)):
        generator = np.random.default_rng([seed, run, number, percent])

        kept = []
        for rows in (inner.validation for inner in split.inner):
            for label in np.unique(labels[rows]):
                members = generator.permutation(rows[labels[rows] == label])
                kept.extend(members[: max(1, round(len(members) * percent / 100))])
        inner = tuple(Inner(*(rows[np.isin(rows, kept)] for rows in fold)) for fold in split.inner)
        part = replace(split, inner=inner)
        splits.append(check_split(part, utterances, disjoint="speaker"))
    return splits


if __name__ == "__main__":
    sys.exit(run_script(main, make_parser()))
