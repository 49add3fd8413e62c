"""The tables' machinery on your own recordings: search, runs, report, and a model for `classifiers.predict`.

    python -m experiments.custom --manifest my.csv --encoder ENCODER --protocol kfold --folds 5 --name mine

The manifest is a CSV file, `file,label[,speaker][,split]` or `file,arousal,valence[,speaker][,split]`, a row a sound
file, with paths relative to itself. Protocols: `official`, the split that the manifest names; `loso`, leave one
speaker out; `kfold`, folds without a speaker on both sides where there are as many speakers as folds;
`speaker-dependent`, every speaker alone, 60 % train, 40 % test. Labels, arousal and valence, or both are learnt:
whatever the manifest has.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from began.command_line import run_script
from began.errors import InputError
from began.files import sha256_of
from experiments.corpora import load
from experiments.corpora.files import check_audio
from experiments.evaluation.options import SETTINGS, add_table_arguments, check_table_arguments, seed_splits

if TYPE_CHECKING:
    from experiments.corpora.record import Corpus
    from experiments.evaluation.protocols import Split

EXPERIMENT = "custom"
PROTOCOLS = {
    "official": "the split that the manifest names",
    "loso": "leave one speaker out",
    "kfold": "{folds} folds",
    "speaker-dependent": "each speaker alone, 60 % train, 40 % test",
}
DEFAULT_FOLDS = 5


def make_parser() -> argparse.ArgumentParser:
    """Returns the parser of the command line."""
    parser = argparse.ArgumentParser(
        prog=f"python -m experiments.{EXPERIMENT}", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    data = parser.add_argument_group("data")
    data.add_argument("--manifest", type=Path, required=True, metavar="CSV", help="names your recordings")
    data.add_argument("--protocol", choices=tuple(PROTOCOLS), required=True, help="what is trained on and tested on")
    data.add_argument("--folds", type=int, help=f"of the protocol kfold (default: {DEFAULT_FOLDS})")
    data.add_argument("--name", required=True, help=f"folder of these runs under results/{EXPERIMENT}")
    data.add_argument("--results-dir", type=Path, default=Path("results"), help="default: results")
    add_table_arguments(parser)
    return parser


def main(arguments: argparse.Namespace) -> None:
    from experiments.evaluation.runs import RunFolder

    config = check_table_arguments(arguments)
    folder = RunFolder(arguments.results_dir, EXPERIMENT, arguments.name).path
    corpus = load("manifest", arguments.manifest)
    check_protocol(arguments, corpus)
    check_audio(corpus, progress=True)
    print(corpus.describe())
    for note in corpus.notes:
        print(f"note: {note}")

    from experiments.evaluation.evaluate import CATEGORICAL, DIMENSIONAL, Condition, evaluate
    from experiments.evaluation.final_model import FILES
    from experiments.evaluation.methods import prepare_table

    folds = arguments.folds or DEFAULT_FOLDS
    make_splits(arguments, corpus, 1)  # a split that cannot be made is refused before long work starts
    tasks = tuple(task for task, column in ((CATEGORICAL, "label"), (DIMENSIONAL, "arousal")) if column in corpus.utterances)
    data, train = prepare_table(corpus, arguments)
    condition = Condition(
        EXPERIMENT,
        arguments.name,
        tasks=tasks,
        train=train,
        settings=SETTINGS[arguments.method],
        levels=("utterance",) if train else ("chunk", "utterance"),
        make_splits=lambda run: make_splits(arguments, corpus, run),
    )
    evaluate(
        data,
        condition,
        arguments,
        {
            **config,
            "corpus": corpus.name,
            "protocol": PROTOCOLS[arguments.protocol].format(folds=folds),
            "manifest_sha256": sha256_of(arguments.manifest),
        },
    )

    from experiments.reporting.render import render

    render(arguments.results_dir)
    print(f"wrote {folder} and {arguments.results_dir / 'tables'}")
    for task in tasks if train is None else ():
        print(f"try it: python -m classifiers.predict --model {folder / FILES[task]} FILE_OR_FOLDER")


def check_protocol(arguments: argparse.Namespace, corpus: Corpus) -> None:
    """Checks that the manifest says what the protocol has to know.

    Raises:
        InputError: --folds without kfold or fewer than two, a protocol by speakers without speakers, one class only.
    """
    if arguments.folds is not None and (arguments.protocol != "kfold" or arguments.folds < 2):
        raise InputError.about(
            f"--folds {arguments.folds}",
            found=f"it with --protocol {arguments.protocol}",
            expected="at least 2, with --protocol kfold",
            action="correct or leave it out",
        )
    table = corpus.utterances
    if (arguments.protocol in ("loso", "speaker-dependent") or arguments.normalize_speakers) and set(table["speaker"]) == {
        "unknown"
    }:
        asked = "--normalize-speakers" if arguments.normalize_speakers else f"the protocol {arguments.protocol}"
        raise InputError.about(
            arguments.manifest,
            found="no column speaker",
            expected=f"one, for {asked}",
            action="add the column, or leave that out and use the protocol kfold",
        )
    if arguments.protocol == "speaker-dependent" and "label" not in table:
        raise InputError.about(
            arguments.manifest,
            found="no column label",
            expected="one: the protocol speaker-dependent keeps the shares of the classes",
            action="use the protocol kfold or loso",
        )
    if arguments.class_weight and "label" not in table:
        raise InputError.about(
            arguments.manifest,
            found="no column label",
            expected=f"one, for --class-weight {arguments.class_weight}",
            action="leave that out",
        )
    if "label" in table and len(corpus.labels) < 2:
        raise InputError.about(
            arguments.manifest,
            found=f"one class only ({corpus.labels[0]})",
            expected="at least two",
            action="add recordings of other classes",
        )


def make_splits(arguments: argparse.Namespace, corpus: Corpus, run: int) -> list[Split]:
    """Returns the folds of a run; the speaker-dependent ones are drawn anew each run, as in Table 1.

    With the method "statistics", whose runs differ in their seed alone, those of kfold are, too.

    Raises:
        InputError: the recordings are too few for the protocol.
    """
    from experiments.evaluation import protocols

    table, seed = corpus.utterances, seed_splits(arguments, run)
    if arguments.protocol == "official":
        return protocols.official(table, seed)
    if arguments.protocol == "loso":
        return protocols.leave_one_speaker_out(table, seed)
    if arguments.protocol == "kfold":
        folds = arguments.folds or DEFAULT_FOLDS
        if folds > len(table):
            raise InputError.about(
                "--folds",
                found=f"{folds} for {len(table)} recordings",
                expected="at most as many as recordings",
                action="choose fewer",
            )
        return protocols.k_fold(table, folds, seed)
    return protocols.per_speaker(table, arguments.seed + run)


if __name__ == "__main__":
    sys.exit(run_script(main, make_parser()))
