"""The semi-supervised claim: how many labels does a head need? EmoDB, leave one speaker out, fewer and fewer labels.

    python -m experiments.label_efficiency --data-dir EmoDB --encoder ENCODER --results-dir results

5, 10, 25, 50 and 100 % of the labelled training utterances, drawn afresh for every run (at least one per class and inner fold),
for three networks: frozen BEGAN encoder with a head, frozen initial weights with a head, and the same network trained from
scratch. The test part is always the whole held-out speaker. Head parameters are the defaults; nothing is searched.
"""

import argparse
import sys
from pathlib import Path

from began.command_line import run_script
from began.errors import InputError, printable
from experiments.corpora import open_corpus
from experiments.evaluation.conditions import LABEL_EFFICIENCY, PERCENTS, at_share
from experiments.evaluation.evaluate import evaluate
from experiments.evaluation.methods import check_conditions
from experiments.evaluation.options import add_training_options, make_base_parser, read_settings
from experiments.reporting.render import render

EXPERIMENT = "label_efficiency"


def make_parser() -> argparse.ArgumentParser:
    """Returns the parser of the command line."""
    parser = make_base_parser("experiments.label_efficiency", __doc__, "EmoDB (holds wav/)")
    parser.add_argument("--encoder", type=Path, required=True, help="encoder.keras of the pre-training")
    parser.add_argument("--encoders", nargs="+", choices=tuple(LABEL_EFFICIENCY), default=tuple(LABEL_EFFICIENCY))
    parser.add_argument("--percents", nargs="+", type=int, default=PERCENTS)
    add_training_options(parser, runs=5)
    return parser


def main(arguments: argparse.Namespace) -> None:
    settings = read_settings(arguments)
    for percent in arguments.percents:
        if not 1 <= percent <= 100:
            raise InputError.about("--percents", percent, "1 to 100", "give whole percents")
    conditions = [at_share(LABEL_EFFICIENCY[name], percent) for name in arguments.encoders for percent in arguments.percents]
    check_conditions(conditions, settings, "--encoders")
    evaluate(conditions, open_corpus("emodb", arguments.data_dir), settings)
    render(settings.results_dir)
    print(printable(f"wrote {settings.results_dir / EXPERIMENT} and {settings.results_dir / 'tables'}"))


if __name__ == "__main__":
    sys.exit(run_script(main, make_parser()))
