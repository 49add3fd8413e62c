"""Table 3: does a representation of English speech carry over to German? EmoDB, leave one speaker out.

    python -m experiments.table3_emodb --data-dir EmoDB --encoder ENCODER --results-dir results

The paper reports 72 % accuracy (Deb & Dandapat: 83.8 and 85.1 %). Each of the ten speakers is the test part once;
for every one the head's hyper-parameters are searched on the other nine speakers (each third of them is validated on
by a head trained on the others), and the head is then trained on all nine. Ten runs with other seeds. The paper does
not say whether chunks or utterances were scored: both are reported.
"""

from __future__ import annotations

import argparse
import sys

from began.command_line import run_script
from experiments.corpora import load
from experiments.corpora.files import check_audio
from experiments.evaluation.options import SETTINGS, check_table_arguments, make_table_parser, name_condition, seed_splits

EXPERIMENT = "table3_emodb"
SEEN = "the search's ranges were narrowed with a look at four speakers' test scores"
"""What the table has to say about the heads; the statistics were designed with a look at all speakers' scores."""


def make_parser() -> argparse.ArgumentParser:
    """Returns the parser of the command line."""
    parser = make_table_parser(f"experiments.{EXPERIMENT}", __doc__, "EmoDB (holds wav/)")
    parser.add_argument(
        "--condition",
        help="folder of these runs under results/table3_emodb (default: named after the method)",
    )
    return parser


def main(arguments: argparse.Namespace) -> None:
    from experiments.evaluation.runs import RunFolder

    config = check_table_arguments(arguments)
    name = arguments.condition or name_condition(arguments, "head_per_second").removeprefix("head_per_second_")
    RunFolder(arguments.results_dir, EXPERIMENT, name)  # refuses a name that cannot be a folder's
    corpus = load("emodb", arguments.data_dir)
    check_audio(corpus)
    print(corpus.describe())

    from experiments.evaluation.evaluate import Condition, evaluate
    from experiments.evaluation.methods import prepare_table
    from experiments.evaluation.protocols import leave_one_speaker_out

    leave_one_speaker_out(corpus.utterances, arguments.seed)  # a split that cannot be made is refused before long work starts
    data, train = prepare_table(corpus, arguments)
    condition = Condition(
        EXPERIMENT,
        name,
        train=train,
        settings=SETTINGS[arguments.method],
        levels=("utterance",) if train else ("chunk", "utterance"),
        make_splits=lambda run: leave_one_speaker_out(corpus.utterances, seed_splits(arguments, run)),
    )
    seen = SEEN if train is None else ""
    folder = evaluate(
        data,
        condition,
        arguments,
        {
            **config,
            "note": "; ".join(filter(None, (config["note"], seen))),
            "selected_after_test": train is not None,
            "corpus": "EmoDB",
            "protocol": "leave one speaker out",
        },
    )

    from experiments.reporting.render import render

    render(arguments.results_dir)
    print(f"wrote {folder} and {arguments.results_dir / 'tables'}")


if __name__ == "__main__":
    sys.exit(run_script(main, make_parser()))
