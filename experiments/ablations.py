"""What makes the score? Named differences to two base configurations, EmoDB, leave one speaker out.

    python -m experiments.ablations --data-dir data/EmoDB --results-dir my-results

Both are the default head on a BEGAN after 16 epochs, without a search: on the whole utterance, and on one second at a time,
where it reads the last map. Most conditions differ from their base in one point (experiments/evaluation/conditions.py). All
encoders that are compared have trained for those 16 epochs, so that none is ahead; the published one has trained for 100, and
is a condition of its own. Encoders of two more seeds stand beside the first, each with initial weights of its own. Encoders
are looked for in pretrain_librispeech/<name> of the results folder; the help says how each is made. A condition whose encoder
or package is not there is left out, and named, unless its runs are complete.
"""

import argparse
import sys

from began.command_line import run_script
from began.components import has_components
from began.errors import InputError, printable
from experiments.corpora import open_corpus
from experiments.evaluation.conditions import ENCODERS, EXPERIMENTS, ON_UTTERANCES, Condition
from experiments.evaluation.evaluation_loop import evaluate
from experiments.evaluation.functionals import find_missing_package
from experiments.evaluation.methods import check_conditions
from experiments.evaluation.options import Settings, add_training_options, make_base_parser, read_settings
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
    missing = {condition: _find_missing(condition, settings) for condition in chosen}
    present = [condition for condition in chosen if missing[condition] is None]
    if not present:
        raise InputError(f"{chosen[0].name}: found that it cannot be run; expected what it needs. First {missing[chosen[0]]}.")
    check_conditions(present, settings)
    evaluate(present, open_corpus("emodb", arguments.data_dir), settings)
    render(settings.results_dir)
    for condition in chosen:
        complete = find_runs(settings.results_dir, EXPERIMENT.name, condition.name)
        if missing[condition] and len(complete) < settings.runs:
            print(f"left out: {condition.name}; first {missing[condition]}")
    print(printable(f"wrote {settings.results_dir / EXPERIMENT.name} and {settings.results_dir / 'tables'}"))


def _find_missing(condition: Condition, settings: Settings) -> str | None:
    """Returns what has to be done before a condition can be run, if anything."""
    if package := find_missing_package(condition.method):
        return f"pip install {package}"
    encoder = settings.find_encoder(condition)
    is_whole = encoder is None or encoder.is_file() and (condition.method not in ON_UTTERANCES or has_components(encoder))
    return None if is_whole else f"run {_how_to_make(condition.encoder)}"


def _how_to_make(encoder: str) -> str:
    return f"python -m experiments.pretrain_librispeech … {ENCODERS[encoder]} --name {encoder}"


if __name__ == "__main__":
    sys.exit(run_script(main, make_parser()))
