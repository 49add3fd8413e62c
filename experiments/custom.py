"""The machinery of the tables on your own recordings: search, runs, report, and a model for `classifiers.predict`.

    python -m experiments.custom --manifest my.csv --encoder ENCODER --protocol kfold --folds 5 --name mine

The manifest is a CSV file, `file,label[,speaker][,split]` or `file,arousal,valence[,speaker][,split]`, one row per sound file,
with paths relative to itself. Protocols: `official`, the split that the manifest names; `loso`, leave one speaker out; `kfold`,
folds without a speaker on both sides where there are as many speakers as folds; `speaker-dependent`, every speaker alone, 60 %
train, 40 % test. Labels, arousal and valence, or both are learnt: whatever the manifest has.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from began.command_line import run_script
from began.errors import InputError
from classifiers.metrics import CATEGORICAL, DIMENSIONAL
from experiments.corpora import load, open_corpus
from experiments.evaluation.conditions import Condition
from experiments.evaluation.methods import check_conditions
from experiments.evaluation.options import (
    add_method_options,
    add_training_options,
    choose_method,
    make_base_parser,
    read_settings,
)
from experiments.evaluation.runs import RunFolder

if TYPE_CHECKING:
    from experiments.corpora.record import Corpus

EXPERIMENT = "custom"
PROTOCOLS = {"official": "official", "loso": "leave_one_speaker_out", "kfold": "k_fold", "speaker-dependent": "per_speaker"}
"""Name on the command line -> key of `experiments.evaluation.conditions.PROTOCOLS`."""
DEFAULT_FOLDS = 5


def make_parser() -> argparse.ArgumentParser:
    """Returns the parser of the command line."""
    parser = make_base_parser("experiments.custom", __doc__)
    data = parser.add_argument_group("own data set")
    data.add_argument("--manifest", type=Path, required=True, metavar="CSV", help="names your recordings")
    data.add_argument("--protocol", choices=tuple(PROTOCOLS), required=True, help="what is trained on and tested on")
    data.add_argument("--folds", type=int, help=f"of the protocol kfold (default: {DEFAULT_FOLDS})")
    data.add_argument("--name", required=True, help=f"folder of these runs under results/{EXPERIMENT}")
    add_method_options(parser)
    add_training_options(parser)
    return parser


def main(arguments: argparse.Namespace) -> None:
    settings = read_settings(arguments)
    folder = RunFolder(settings.results_dir, EXPERIMENT, arguments.name).path
    condition = describe_condition(arguments, load("manifest", arguments.manifest))
    check_conditions([condition], settings)
    corpus = open_corpus("manifest", arguments.manifest)
    for note in corpus.notes:
        print(f"note: {note}")

    from experiments.evaluation.evaluate import evaluate
    from experiments.reporting.render import render

    models = evaluate([condition], corpus, settings)
    render(settings.results_dir)
    print(f"wrote {folder} and {settings.results_dir / 'tables'}")
    for model in models:
        print(f"try it: python -m classifiers.predict --model {model} FILE_OR_FOLDER")


def describe_condition(arguments: argparse.Namespace, corpus: Corpus) -> Condition:
    """Returns what is to be run, after checking that the manifest says what it takes.

    Raises:
        InputError: --folds without kfold or fewer than two, a protocol by speakers without speakers, a single class, or an
            option about classes without labels.
    """
    protocol, table = arguments.protocol, corpus.utterances
    if arguments.folds is not None and (protocol != "kfold" or arguments.folds < 2):
        raise InputError.about(
            f"--folds {arguments.folds}",
            found=f"it with --protocol {protocol}",
            expected="at least 2, with --protocol kfold",
            action="correct or leave it out",
        )

    def refuse(found: str, expected: str, action: str) -> InputError:
        return InputError.about(arguments.manifest, found=found, expected=expected, action=action)

    by_speaker = protocol in ("loso", "speaker-dependent") or arguments.normalize_speakers
    if by_speaker and set(table["speaker"]) == {"unknown"}:
        asked = "--normalize-speakers" if arguments.normalize_speakers else f"the protocol {protocol}"
        raise refuse("no column speaker", f"one, for {asked}", "add it, or use the protocol kfold without that option")
    for asked, needed in (
        ("the protocol speaker-dependent", protocol == "speaker-dependent"),
        (f"--class-weight {arguments.class_weight}", arguments.class_weight != "none"),
    ):
        if needed and "label" not in table:
            raise refuse("no column label", f"one, for {asked}", "add it, or leave that out")
    if "label" in table and len(corpus.labels) < 2:
        raise refuse(f"one class only ({corpus.labels[0]})", "at least two", "add recordings of other classes")
    tasks = tuple(task for task, column in ((CATEGORICAL, "label"), (DIMENSIONAL, "arousal")) if column in table)
    folds = (arguments.folds or DEFAULT_FOLDS) if protocol == "kfold" else 0
    record = Condition(EXPERIMENT, arguments.name, corpus="manifest", protocol=PROTOCOLS[protocol], folds=folds, tasks=tasks)
    return choose_method(record, arguments, arguments.name)


if __name__ == "__main__":
    sys.exit(run_script(main, make_parser()))
