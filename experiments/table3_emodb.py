"""Table 3: does a representation of English speech carry over to German? EmoDB, leave one speaker out.

    python -m experiments.table3_emodb --data-dir EmoDB --encoder ENCODER --results-dir results

The paper reports 72 % accuracy (Deb & Dandapat: 83.8 and 85.1 %). Each of the ten speakers is the test part once;
for every one the head's hyper-parameters are searched on two of the other nine speakers, and the head is then
trained on all nine. Ten runs with other seeds. The paper does not say whether chunks or utterances were scored:
both are reported.
"""

from __future__ import annotations

import argparse
import sys

from began.command_line import run_script
from experiments.arguments import check_table_arguments, make_table_parser
from experiments.corpora import load
from experiments.corpora.base import check_audio

EXPERIMENT = "table3_emodb"


def make_parser() -> argparse.ArgumentParser:
    """Returns the parser of the command line."""
    parser = make_table_parser(f"experiments.{EXPERIMENT}", __doc__, "EmoDB (holds wav/)")
    parser.add_argument("--condition", default="paper", help="folder of these runs under results/table3_emodb")
    return parser


def main(arguments: argparse.Namespace) -> None:
    from experiments.runs import RunFolder

    config = check_table_arguments(arguments)
    RunFolder(arguments.results_dir, EXPERIMENT, arguments.condition)  # refuses a name that cannot be a folder's
    corpus = load("emodb", arguments.data_dir)
    check_audio(corpus)
    print(corpus.describe())

    from experiments.evaluation import Condition, evaluate
    from experiments.protocols import leave_one_speaker_out
    from experiments.representations import represent

    splits = leave_one_speaker_out(corpus.utterances, arguments.seed)
    data = represent(corpus, arguments.encoder, arguments.results_dir, arguments.features, arguments.tail)
    condition = Condition(EXPERIMENT, arguments.condition, make_splits=lambda run: splits)
    folder = evaluate(data, condition, arguments, {**config, "corpus": "EmoDB", "protocol": "leave one speaker out"})

    from experiments.report import render

    render(arguments.results_dir)
    print(f"wrote {folder} and {arguments.results_dir / 'tables'}")


if __name__ == "__main__":
    sys.exit(run_script(main, make_parser()))
