"""What carries over to another corpus? Trained on EmoDB, tested on SAVEE, and the other way round, on the classes of both.

    python -m experiments.transfer --emodb-dir data/EmoDB --savee-dir data/SAVEE --encoder ENCODER --results-dir my-results

The other corpus gives no labels, or 5, 10 or 20 labelled utterances, drawn anew for every run. Beside them stand these
utterances alone; and "adapted": no labels, but mean and spread of the recordings brought to those of the corpus that was
trained on. Nothing is searched: parameters are the defaults. The scores are in my-results/tables/transfer.md. What was
finished is not done again. Methods and numbers of labels can be chosen with --methods and --shots.
"""

import argparse
import sys
from pathlib import Path

from began.command_line import GOES_ON, run_script
from began.errors import printable
from experiments.corpora import open_corpus
from experiments.evaluation.condition import SHOTS
from experiments.evaluation.conditions import DIRECTIONS, TRAININGS, TRANSFER_METHODS, carried_over
from experiments.evaluation.methods import check_conditions
from experiments.evaluation.options import add_run_options, make_base_parser, read_settings
from experiments.evaluation.transfer_runs import measure_transfer
from experiments.reporting.render import render


def make_parser() -> argparse.ArgumentParser:
    """Returns the parser of the command line."""
    parser = make_base_parser("experiments.transfer", __doc__)
    add = parser.add_argument
    add("--emodb-dir", type=Path, required=True, help="the folder of EmoDB (holds wav/)")
    add("--savee-dir", type=Path, required=True, help="the folder of SAVEE (holds AudioData/, or flat files)")
    add("--encoder", type=Path, required=True, help="encoder.keras of the pre-training, components.npz beside it")
    add("--methods", nargs="+", choices=TRANSFER_METHODS, default=TRANSFER_METHODS, help="default: all")
    add("--shots", nargs="+", type=int, choices=SHOTS, default=SHOTS, help="labelled utterances (default: all of these)")
    add_run_options(parser, runs=5)
    return parser


def main(arguments: argparse.Namespace) -> None:
    settings = read_settings(arguments)
    conditions = [
        carried_over(*direction, method, training, shots)
        for method in dict.fromkeys(arguments.methods)
        for direction in DIRECTIONS
        for training, numbers in TRAININGS.items()
        for shots in numbers
        if shots in arguments.shots
    ]
    check_conditions(conditions, settings, "--methods")
    corpora = {"emodb": open_corpus("emodb", arguments.emodb_dir), "savee": open_corpus("savee", arguments.savee_dir)}
    measure_transfer(conditions, corpora, settings)
    render(settings.results_dir)
    print(printable(f"wrote {settings.results_dir / 'transfer'} and {settings.results_dir / 'tables' / 'transfer.md'}"))


if __name__ == "__main__":
    sys.exit(run_script(main, make_parser(), kept=GOES_ON))
