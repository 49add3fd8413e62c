"""What makes the score? Named differences to one base configuration, EmoDB, leave one speaker out.

    python -m experiments.ablations --data-dir data/EmoDB --results-dir my-results

The base is a BEGAN after 16 epochs, its last map, and the default head without a search. Every head differs from it in one
point; other ways of recognising stand beside them (experiments/evaluation/conditions.py). All encoders that are compared have
trained for those 16 epochs, so that none is ahead; the published one, which has trained for 100, is a condition of its own.
Encoders are looked for in pretrain_librispeech/<name> of the results folder; the help says how each is made. A condition whose
encoder is not there is left out, and named, unless its runs are complete.
"""

import argparse
import sys

from began.command_line import run_script
from began.errors import InputError, printable
from experiments.corpora import open_corpus
from experiments.evaluation.conditions import ENCODERS, EXPERIMENTS
from experiments.evaluation.evaluate import evaluate
from experiments.evaluation.methods import check_conditions
from experiments.evaluation.options import add_training_options, make_base_parser, read_settings
from experiments.evaluation.runs import find_runs
from experiments.reporting.render import render

EXPERIMENT = EXPERIMENTS["ablations"]


def make_parser() -> argparse.ArgumentParser:
    """Returns the parser of the command line."""
    parser = make_base_parser("experiments.ablations", __doc__, "EmoDB (holds wav/)")
    parser.epilog = "\n".join(["encoders:", *(f"  {name}: {_how_to_make(name)}" for name in ENCODERS)])
    names = tuple(EXPERIMENT.conditions)
    told = f"some of them (default: all): {', '.join(names)}"
    parser.add_argument("--conditions", nargs="+", choices=names, default=names, metavar="NAME", help=told)
    add_training_options(parser, runs=5)
    return parser


def main(arguments: argparse.Namespace) -> None:
    settings = read_settings(arguments)
    chosen = [EXPERIMENT.conditions[name] for name in arguments.conditions]
    encoders = {condition: settings.find_encoder(condition) for condition in chosen}
    present = [condition for condition, encoder in encoders.items() if encoder is None or encoder.is_file()]
    if not present:
        action = f"run {_how_to_make(chosen[0].encoder)} first"
        raise InputError.about(encoders[chosen[0]], "no such file", "an encoder", action)
    check_conditions(present, settings)
    evaluate(present, open_corpus("emodb", arguments.data_dir), settings)
    render(settings.results_dir)
    for condition in chosen:
        complete = find_runs(settings.results_dir, EXPERIMENT.name, condition.name)
        if condition not in present and len(complete) < settings.runs:
            print(f"left out: {condition.name}; make its encoder with {_how_to_make(condition.encoder)}")
    print(printable(f"wrote {settings.results_dir / EXPERIMENT.name} and {settings.results_dir / 'tables'}"))


def _how_to_make(encoder: str) -> str:
    return f"python -m experiments.pretrain_librispeech … {ENCODERS[encoder]} --name {encoder}"


if __name__ == "__main__":
    sys.exit(run_script(main, make_parser()))
