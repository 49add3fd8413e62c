"""Table 1: how well does a head do on the speaker that it was trained on? SAVEE, one model per speaker, 60 % train, 40 % test.

    python -m experiments.table1_savee --data-dir SAVEE --encoder ENCODER --results-dir my-results

The paper reports 80.69, 80.96, 80.15 and 82.46 % for DC, JE, JK and KL (Ashwin et al.: 79, 78, 76 and 80 %). Every run draws a
fresh split of utterances, stratified by emotion; hyper-parameters are searched inside its training part. The paper does not say
whether utterances or chunks were split. Splitting chunks puts parts of one utterance on both sides: the condition
chunk_split_leaking shows how much of a score that explains, and is no result.
"""

import argparse
import sys

from began.command_line import GOES_ON, run_script
from began.errors import printable
from experiments.corpora import open_corpus
from experiments.evaluation.conditions import EXPERIMENTS
from experiments.evaluation.evaluation_loop import evaluate
from experiments.evaluation.methods import check_conditions
from experiments.evaluation.options import choose_method, make_table_parser, read_settings
from experiments.reporting.render import render

EXPERIMENT = EXPERIMENTS["table1_savee"]
CONDITIONS = ("utterance_split", "chunk_split_leaking")


def make_parser() -> argparse.ArgumentParser:
    """Returns the parser of the command line."""
    parser = make_table_parser("experiments.table1_savee", __doc__, "SAVEE (holds AudioData/, or DC_a01.wav …)")
    help_text = "default: utterance_split, and with --method head both"
    parser.add_argument("--conditions", nargs="+", choices=CONDITIONS, help=help_text)
    return parser


def main(arguments: argparse.Namespace) -> None:
    settings = read_settings(arguments)
    names = arguments.conditions or (CONDITIONS if arguments.method == "head" else CONDITIONS[:1])
    conditions = [choose_method(EXPERIMENT.conditions[name], arguments) for name in names]
    check_conditions(conditions, settings)
    evaluate(conditions, open_corpus("savee", arguments.data_dir), settings)
    render(settings.results_dir)
    print(printable(f"wrote {settings.results_dir / EXPERIMENT.name} and {settings.results_dir / 'tables'}"))


if __name__ == "__main__":
    sys.exit(run_script(main, make_parser(), kept=GOES_ON))
