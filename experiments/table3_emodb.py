"""Table 3: does a representation of English speech carry over to German? EmoDB, leave one speaker out.

    python -m experiments.table3_emodb --data-dir EmoDB --encoder ENCODER --results-dir my-results

The paper reports 72 % accuracy (Deb & Dandapat: 83.8 and 85.1 %). Each of the ten speakers is the test part once; for every one
the hyper-parameters of the head are searched on the other nine speakers (three inner folds: heads trained on two thirds of them
are validated on the other third), and the head is then trained on all nine. Ten runs with other seeds. The paper does not say
whether chunks or utterances were scored: both are reported.
"""

import argparse
import sys
from dataclasses import replace

from began.command_line import GOES_ON, run_script
from began.errors import InputError, printable
from experiments.corpora import open_corpus
from experiments.evaluation.conditions import EXPERIMENTS, find_condition
from experiments.evaluation.evaluation_loop import evaluate
from experiments.evaluation.methods import check_conditions
from experiments.evaluation.options import choose_method, make_table_parser, read_settings
from experiments.evaluation.runs import RunFolder
from experiments.reporting.render import render

EXPERIMENT = EXPERIMENTS["table3_emodb"]


def make_parser() -> argparse.ArgumentParser:
    """Returns the parser of the command line."""
    parser = make_table_parser("experiments.table3_emodb", __doc__, "EmoDB (holds wav/)")
    help_text = "folder of these runs under results/table3_emodb (default: named after the method)"
    parser.add_argument("--condition", help=help_text)
    return parser


def main(arguments: argparse.Namespace) -> None:
    settings = read_settings(arguments)
    condition = choose_method(EXPERIMENT.conditions["head_per_second"], arguments)
    if arguments.condition not in (None, condition.name):
        known = find_condition(EXPERIMENT.name, arguments.condition)
        if known and replace(known, name=condition.name, description=condition.description, encoder="") != condition:
            found, action = "the name of runs with another method", "choose another name"
            raise InputError.about(
                f"--condition {arguments.condition}", found, f"{condition.name}, or a name of your own", action
            )
        if known and known.encoder not in ("", settings.encoder.resolve().parent.name):
            expected = f"…/{known.encoder}/encoder.keras"
            raise InputError.about(f"--condition {arguments.condition}", settings.encoder, expected, "choose another name")
        condition = replace(condition, name=arguments.condition)
    check_conditions([condition], settings)
    folder = RunFolder(settings.results_dir, EXPERIMENT.name, condition.name).path
    evaluate([condition], open_corpus("emodb", arguments.data_dir), settings)
    render(settings.results_dir)
    print(printable(f"wrote {folder} and {settings.results_dir / 'tables'}"))


if __name__ == "__main__":
    sys.exit(run_script(main, make_parser(), kept=GOES_ON))
