"""Table 1: how well does a head do that knows its speaker? SAVEE, each of the four speakers alone, 60 % train, 40 % test.

    python -m experiments.table1_savee --data-dir SAVEE --encoder ENCODER --results-dir results

The paper reports 80.69, 80.96, 80.15 and 82.46 % for DC, JE, JK and KL (Ashwin et al.: 79, 78, 76 and 80 %). Every
run draws a fresh split of utterances, stratified by emotion; hyper-parameters are searched inside its training
part. The paper does not say whether utterances or chunks were split. Splitting chunks puts parts of one utterance
on both sides: the condition chunk_split_leaking shows how much of a score that explains, and is no result.
"""

from __future__ import annotations

import argparse
import sys

from began.command_line import run_script
from began.errors import InputError
from experiments.corpora import load
from experiments.corpora.files import check_audio
from experiments.evaluation.options import SETTINGS, check_table_arguments, make_table_parser, name_condition

EXPERIMENT = "table1_savee"
CONDITIONS = ("utterance_split", "chunk_split_leaking")


def make_parser() -> argparse.ArgumentParser:
    """Returns the parser of the command line."""
    parser = make_table_parser(f"experiments.{EXPERIMENT}", __doc__, "SAVEE (holds AudioData/, or DC_a01.wav …)")
    parser.add_argument(
        "--conditions",
        nargs="+",
        choices=CONDITIONS,
        help="default: both; with --method statistics, which knows no chunks, utterance_split",
    )
    return parser


def main(arguments: argparse.Namespace) -> None:
    config = check_table_arguments(arguments)
    conditions = arguments.conditions or (CONDITIONS if arguments.method == "head" else CONDITIONS[:1])
    if arguments.method != "head" and "chunk_split_leaking" in conditions:
        raise InputError.about(
            "--conditions",
            found="chunk_split_leaking with --method statistics",
            expected="utterance_split",
            action="leave one of them out: statistics are of whole utterances",
        )
    corpus = load("savee", arguments.data_dir)
    check_audio(corpus)
    print(corpus.describe())

    from experiments.evaluation.evaluate import Condition, evaluate
    from experiments.evaluation.methods import prepare_table
    from experiments.evaluation.protocols import per_speaker

    per_speaker(corpus.utterances, arguments.seed + 1)  # a split that cannot be made is refused before long work starts
    utterances, train = prepare_table(corpus, arguments)
    config |= {"corpus": "SAVEE", "protocol": "each speaker alone, 60 % train, 40 % test"}
    for name in conditions:
        leaking = name == "chunk_split_leaking"
        data = utterances.as_chunks() if leaking else utterances
        levels = ("utterance",) if train else ("chunk",) if leaking else ("chunk", "utterance")
        condition = Condition(
            EXPERIMENT,
            name_condition(arguments, name),
            levels=levels,
            train=train,
            settings=SETTINGS[arguments.method],
            make_splits=lambda run, data=data: per_speaker(data.corpus.utterances, arguments.seed + run),
        )
        evaluate(data, condition, arguments, config)

    from experiments.reporting.render import render

    render(arguments.results_dir)
    print(f"wrote {arguments.results_dir / EXPERIMENT} and {arguments.results_dir / 'tables'}")


if __name__ == "__main__":
    sys.exit(run_script(main, make_parser()))
