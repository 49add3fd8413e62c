"""Table 2: does the representation work in the wild? OMG-Emotion, seven emotions, arousal and valence, official split.

    python -m experiments.table2_omg --data-dir OMG --encoder ENCODER --results-dir results

The paper reports F-score 0.73, CCC 0.17 (arousal) and 0.16 (valence); baseline 0.39, 0.07 and 0.04; best audio
entry of the challenge 0.29 and 0.36. Trained on the official training part, tested on the validation part (the test
part's labels were published after the challenge; where they are there, that part is left alone). 23 of its 46 source
videos also occur in training: the condition source_disjoint leaves those out of training.
"""

from __future__ import annotations

import argparse
import functools
import sys
from pathlib import Path

from began.command_line import run_script
from experiments.corpora import load
from experiments.corpora.files import check_audio
from experiments.evaluation.options import SETTINGS, check_table_arguments, make_table_parser, name_condition, seed_splits

EXPERIMENT = "table2_omg"
CONDITIONS = {"official": None, "source_disjoint": "video"}
"""Name -> column that training and test must not share."""


def make_parser() -> argparse.ArgumentParser:
    """Returns the parser of the command line."""
    parser = make_table_parser(f"experiments.{EXPERIMENT}", __doc__, "OMG-Emotion (holds VIDEO/utterance_N.wav)")
    parser.add_argument("--annotations-dir", type=Path, help="where the official CSV files lie (default: --data-dir)")
    parser.add_argument("--conditions", nargs="+", choices=tuple(CONDITIONS), default=tuple(CONDITIONS))
    return parser


def main(arguments: argparse.Namespace) -> None:
    config = check_table_arguments(arguments)
    corpus = load("omg", arguments.data_dir, annotations_dir=arguments.annotations_dir)
    check_audio(corpus)
    print(corpus.describe())

    from experiments.evaluation.evaluate import CATEGORICAL, DIMENSIONAL, Condition, evaluate
    from experiments.evaluation.methods import prepare_table
    from experiments.evaluation.protocols import Split, official

    def make_splits(name: str, run: int = 0) -> list[Split]:
        return official(corpus.utterances, seed_splits(arguments, run), disjoint=CONDITIONS[name], test_part="validation")

    for name in arguments.conditions:  # a split that cannot be made is refused before long work starts
        make_splits(name)
    data, train = prepare_table(corpus, arguments)
    config |= {
        "corpus": "OMG-Emotion",
        "protocol": "official training part, tested on the official validation part",
        "n_missing": 0 if corpus.missing is None else len(corpus.missing),
    }
    for name in arguments.conditions:
        condition = Condition(
            EXPERIMENT,
            name_condition(arguments, name),
            tasks=(CATEGORICAL, DIMENSIONAL),
            train=train,
            make_splits=functools.partial(make_splits, name),
            levels=("utterance",) if train else ("chunk", "utterance"),
            settings=SETTINGS[arguments.method],
        )
        evaluate(data, condition, arguments, config)

    from experiments.reporting.render import render

    render(arguments.results_dir)
    print(f"wrote {arguments.results_dir / EXPERIMENT} and {arguments.results_dir / 'tables'}")


if __name__ == "__main__":
    sys.exit(run_script(main, make_parser()))
