"""How much of EmoDB's emotions is recognised in altered recordings: softer, noisy, from a telephone, compressed, in a room, …

    python -m experiments.robustness --data-dir data/EmoDB --encoder ENCODER --results-dir my-results

For each method one classifier per speaker, with default parameters, is trained on the other speakers' recordings as they are,
and scores this speaker's, as recorded and altered. my-results/tables/robustness.md has the accuracies, and in how many
recordings the answer changed. What was finished is not done again. The methods and alterations can be chosen with --methods
and --alterations.
"""

import argparse
import sys
from pathlib import Path

from began.command_line import GOES_ON, run_script
from began.errors import printable
from experiments.corpora import open_corpus
from experiments.evaluation.alterations import ALTERATIONS, UNALTERED
from experiments.evaluation.conditions import ROBUST_METHODS, on_altered
from experiments.evaluation.methods import check_conditions
from experiments.evaluation.options import Settings, make_base_parser
from experiments.evaluation.robustness_runs import EPOCHS, measure_robustness
from experiments.reporting.render import render


def make_parser() -> argparse.ArgumentParser:
    """Returns the parser of the command line."""
    parser = make_base_parser("experiments.robustness", __doc__, "EmoDB (holds wav/)")
    add = parser.add_argument
    add("--encoder", type=Path, required=True, help="encoder.keras of the pre-training, components.npz beside it")
    add("--methods", nargs="+", choices=tuple(ROBUST_METHODS), default=[*ROBUST_METHODS], help="default: all")
    names = f"of {', '.join(ALTERATIONS)} (default: all); {UNALTERED} is always among them"
    add("--alterations", nargs="+", choices=tuple(ALTERATIONS), default=[*ALTERATIONS], metavar="NAME", help=names)
    return parser


def main(arguments: argparse.Namespace) -> None:
    settings = Settings(arguments.results_dir, arguments.encoder, runs=1, epochs=EPOCHS)
    methods = list(dict.fromkeys(arguments.methods))
    alterations = list(dict.fromkeys([UNALTERED, *arguments.alterations]))  # the first is what others are compared with
    check_conditions([on_altered(method, UNALTERED) for method in methods], settings, "--methods")
    measure_robustness(methods, alterations, open_corpus("emodb", arguments.data_dir), settings)
    render(settings.results_dir)
    print(printable(f"wrote {settings.results_dir / 'robustness'} and {settings.results_dir / 'tables' / 'robustness.md'}"))


if __name__ == "__main__":
    sys.exit(run_script(main, make_parser(), kept=GOES_ON))
