"""What makes the score? Named differences to one base configuration, EmoDB, leave one speaker out.

    python -m experiments.ablations --data-dir EmoDB --results-dir results

The base is a BEGAN after 16 epochs, its last map, and the default head without a search: every condition differs from it in one
point (experiments/evaluation/conditions.py). All encoders that are compared have trained for those 16 epochs, so that none is
ahead; the published one, which has trained for 100, is a condition of its own. Encoders are looked for in
results/pretrain_librispeech/<name>; the help says how each is made. A condition whose encoder is not there is left out, and
named.
"""

import argparse
import sys

from began.command_line import run_script
from began.errors import InputError
from experiments.corpora import open_corpus
from experiments.evaluation.conditions import BASE_ENCODER, ENCODERS, EXPERIMENTS
from experiments.evaluation.evaluate import evaluate
from experiments.evaluation.methods import check_conditions
from experiments.evaluation.options import add_training_options, make_base_parser, read_settings
from experiments.reporting.render import render

EXPERIMENT = EXPERIMENTS["ablations"]


def make_parser() -> argparse.ArgumentParser:
    """Returns the parser of the command line."""
    parser = make_base_parser("experiments.ablations", __doc__, "EmoDB (holds wav/)")
    parser.epilog = "\n".join(["encoders:", *(f"  {name}: {_how_to_make(name)}" for name in ENCODERS)])
    names = tuple(EXPERIMENT.conditions)
    parser.add_argument("--conditions", nargs="+", choices=names, default=names)
    add_training_options(parser, runs=5)
    return parser


def main(arguments: argparse.Namespace) -> None:
    settings = read_settings(arguments)
    chosen = [EXPERIMENT.conditions[name] for name in arguments.conditions]
    base = settings.find_encoder(EXPERIMENT.conditions[EXPERIMENT.base])
    if not base.is_file():
        raise InputError.about(base, "no such file", "the base's encoder", f"run {_how_to_make(BASE_ENCODER)} first")
    encoders = {condition: settings.find_encoder(condition) for condition in chosen}
    present = [condition for condition, encoder in encoders.items() if encoder is None or encoder.is_file()]
    check_conditions(present, settings)
    evaluate(present, open_corpus("emodb", arguments.data_dir), settings)
    render(settings.results_dir)
    for condition in chosen:
        if condition not in present:
            print(f"left out: {condition.name}; make its encoder with {_how_to_make(condition.encoder)}")
    print(f"wrote {settings.results_dir / EXPERIMENT.name} and {settings.results_dir / 'tables'}")


def _how_to_make(encoder: str) -> str:
    return f"python -m experiments.pretrain_librispeech … {ENCODERS[encoder]} --name {encoder}"


if __name__ == "__main__":
    sys.exit(run_script(main, make_parser()))
