"""The semi-supervised claim: how many labels does a head need? EmoDB or SAVEE, with fewer and fewer of their labels.

    python -m experiments.label_efficiency --corpus emodb --data-dir EmoDB --encoder ENCODER --results-dir my-results
    python -m experiments.label_efficiency --corpus savee --data-dir SAVEE --encoder ENCODER --results-dir my-results

5, 10, 25, 50 and 100 % of the labelled training utterances (SAVEE: 33, 67 and 100 %), drawn afresh for every run, at least one
per class and inner fold: for a head on a frozen BEGAN's encoder, on one with initial weights, for a network trained from
scratch, and for hand-crafted features. EmoDB leaves one speaker out; on SAVEE one model per speaker is trained and tested, as
in table 1. The test part is always whole. Parameters of heads are the defaults; nothing of them is searched. from_scratch takes
hours.
"""

import argparse
import sys
from pathlib import Path

from began.command_line import GOES_ON, run_script
from began.errors import InputError, printable
from experiments.corpora import open_corpus
from experiments.evaluation.conditions import LABEL_EFFICIENCY, PERCENTS, at_share
from experiments.evaluation.evaluation_loop import evaluate
from experiments.evaluation.functionals import find_missing_package
from experiments.evaluation.methods import check_conditions
from experiments.evaluation.options import add_training_options, make_base_parser, read_settings
from experiments.reporting.render import render

EXPERIMENT = "label_efficiency"


def make_parser() -> argparse.ArgumentParser:
    """Returns the parser of the command line."""
    parser = make_base_parser("experiments.label_efficiency", __doc__, "the corpus")
    add, names = parser.add_argument, tuple(LABEL_EFFICIENCY["emodb"])
    add("--corpus", choices=tuple(LABEL_EFFICIENCY), default="emodb", help="default: emodb")
    add("--encoder", type=Path, required=True, help="encoder.keras of the pre-training, components.npz beside it")
    add("--methods", nargs="+", choices=names, default=names, help="default: all")
    shares = "; ".join(f"{name}: {' '.join(map(str, percents))}" for name, percents in PERCENTS.items())
    add("--percents", nargs="+", type=int, help=f"shares of the labels (default: {shares})".replace("%", "%%"))
    add_training_options(parser, runs=5)
    return parser


def main(arguments: argparse.Namespace) -> None:
    settings = read_settings(arguments)
    percents = arguments.percents or PERCENTS[arguments.corpus]
    for percent in percents:
        if not 1 <= percent <= 100:
            raise InputError.about("--percents", percent, "1 to 100", "give whole percents")
    compared = LABEL_EFFICIENCY[arguments.corpus]
    missing = {name: find_missing_package(compared[name].method) for name in dict.fromkeys(arguments.methods)}
    present = [name for name, package in missing.items() if package is None] or list(missing)  # which says what is missing
    conditions = [at_share(compared[name], percent) for name in present for percent in percents]
    check_conditions(conditions, settings, "--methods")
    evaluate(conditions, open_corpus(arguments.corpus, arguments.data_dir), settings)
    render(settings.results_dir)
    for name, package in missing.items():
        if package is not None:
            print(f"left out: {name}; first pip install {package}")
    print(printable(f"wrote {settings.results_dir / EXPERIMENT} and {settings.results_dir / 'tables'}"))


if __name__ == "__main__":
    sys.exit(run_script(main, make_parser(), kept=GOES_ON))
