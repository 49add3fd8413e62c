"""Table 2: does the representation work in the wild? OMG-Emotion, seven emotions, arousal and valence, official split.

    python -m experiments.table2_omg --data-dir OMG --encoder ENCODER --results-dir my-results

The paper reports F-score 0.73, CCC 0.17 (arousal) and 0.16 (valence); baseline 0.39, 0.07 and 0.04; best audio entry of the
challenge 0.29 and 0.36. Trained on the official training part, tested on the validation part. 23 of its 46 source videos also
occur in training: the condition source_disjoint leaves those out of training. The conditions that end in _test train on both
parts, are tested on the test part, and need omg_TestVideos_WithLabels.csv, which was published after the challenge.
"""

import argparse
import sys
from pathlib import Path

from began.command_line import GOES_ON, run_script
from began.errors import InputError, printable
from experiments.corpora import omg, open_corpus
from experiments.evaluation.conditions import EXPERIMENTS, OMG_PROTOCOLS, TEST_PART
from experiments.evaluation.evaluation_loop import evaluate
from experiments.evaluation.methods import check_conditions
from experiments.evaluation.options import choose_method, make_table_parser, read_settings
from experiments.reporting.render import render

EXPERIMENT = EXPERIMENTS["table2_omg"]
DEFAULT = ("official", "source_disjoint")
ALL = ("official", *OMG_PROTOCOLS)


def make_parser() -> argparse.ArgumentParser:
    """Returns the parser of the command line."""
    parser = make_table_parser("experiments.table2_omg", __doc__, "OMG-Emotion (holds VIDEO/utterance_N.wav)")
    parser.add_argument("--annotations-dir", type=Path, help="where the official CSV files lie (default: --data-dir)")
    parser.add_argument("--conditions", nargs="+", choices=ALL, default=DEFAULT, help=f"default: {', '.join(DEFAULT)}")
    return parser


def main(arguments: argparse.Namespace) -> None:
    settings = read_settings(arguments)
    conditions = [choose_method(EXPERIMENT.conditions[name], arguments) for name in arguments.conditions]
    check_conditions(conditions, settings)
    corpus = open_corpus("omg", arguments.data_dir, annotations_dir=arguments.annotations_dir)
    if any(name.endswith(TEST_PART) for name in arguments.conditions) and "test" not in set(corpus.utterances["split"]):
        expected = f"{omg.TEST_WITH_LABELS} and the sound of its utterances"
        raise InputError.about(arguments.data_dir, "no labelled test part", expected, "leave the conditions …_test out")
    evaluate(conditions, corpus, settings)
    render(settings.results_dir)
    print(printable(f"wrote {settings.results_dir / EXPERIMENT.name} and {settings.results_dir / 'tables'}"))


if __name__ == "__main__":
    sys.exit(run_script(main, make_parser(), kept=GOES_ON))
