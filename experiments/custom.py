"""The machinery of the tables on your own recordings: search, runs, report, and a model for `classifiers.predict`.

    python -m experiments.custom --manifest my.csv --encoder ENCODER --protocol kfold --folds 5 --name mine

The manifest is a CSV file, `file,label[,speaker][,split]` or `file,arousal,valence[,speaker][,split]`, one row per sound file,
with paths relative to itself; `start` and `end`, in seconds, may mark a part of a file. Protocols: `official`, the split that
the manifest names; `loso`, leave one speaker out; `kfold`, folds without a speaker on both sides where there are as many
speakers as folds; `speaker-dependent`, every speaker alone, 60 % train, 40 % test. Labels, arousal and valence, or both are
learnt: whatever the manifest has.
"""

import argparse
import sys
from dataclasses import replace
from pathlib import Path
from shlex import quote

from began.command_line import GOES_ON, run_script
from began.errors import InputError, counted, printable
from classifiers.metrics import CATEGORICAL, DIMENSIONAL
from experiments.corpora import introduce, load
from experiments.corpora.folders import check_audio
from experiments.corpora.record import UNKNOWN_SPEAKER, Corpus
from experiments.evaluation import options
from experiments.evaluation.condition import HEADS, Condition
from experiments.evaluation.evaluation_loop import evaluate
from experiments.evaluation.methods import check_conditions
from experiments.evaluation.runs import RunFolder
from experiments.reporting.render import render

EXPERIMENT = "custom"
PROTOCOLS = {"official": "official", "loso": "leave_one_speaker_out", "kfold": "k_fold", "speaker-dependent": "per_speaker"}
"""Name on the command line -> key of `experiments.evaluation.condition.PROTOCOLS`."""
DEFAULT_FOLDS = 5


def make_parser() -> argparse.ArgumentParser:
    """Returns the parser of the command line."""
    parser = options.make_base_parser("experiments.custom", __doc__)
    parser.set_defaults(results_dir=options.OWN_RESULTS)
    add = parser.add_argument_group("own data set").add_argument
    add("--manifest", type=Path, required=True, metavar="CSV", help="names your recordings")
    add("--protocol", choices=tuple(PROTOCOLS), required=True, help="what is trained on and tested on")
    add("--folds", type=int, help=f"of the protocol kfold (default: {DEFAULT_FOLDS})")
    add("--name", required=True, help=f"folder of these runs, in {EXPERIMENT}/ under the results folder")
    options.add_method_options(parser)
    options.add_training_options(parser)
    return parser


def main(arguments: argparse.Namespace) -> None:
    settings = options.read_settings(arguments)
    folder = RunFolder(settings.results_dir, EXPERIMENT, arguments.name).path
    corpus = load("manifest", arguments.manifest)
    condition = describe_condition(arguments, corpus)
    check_conditions([condition], settings)
    introduce(corpus)
    parts = set(corpus.utterances.get("split", []))
    if arguments.protocol == "official" and "test" not in parts and "validation" in parts:
        print("note: no part test, so the part validation is tested on, and nothing is selected on it", flush=True)
    check_audio(corpus)  # which may take long
    models = evaluate([condition], corpus, settings)
    written = render(settings.results_dir)
    print(printable(f"wrote {folder} and {settings.results_dir / 'tables' / 'custom.md'}"))
    for model in models:
        print(printable(f"try it: python -m classifiers.predict --model {quote(str(model))} FILE_OR_FOLDER"))
    if condition.method not in HEADS:
        print("no model is left behind: --method utterance or head makes one for classifiers.predict")
    if pictures := [path for path in written if path.name.startswith(f"{EXPERIMENT}_{arguments.name}_")]:
        where = pictures[0].parent / f"{EXPERIMENT}_{arguments.name}_*.png"
        print(printable(f"{counted(len(pictures), 'picture')}: {where}"))


def describe_condition(arguments: argparse.Namespace, corpus: Corpus) -> Condition:
    """Returns what is to be run, after checking that the manifest has what it takes.

    Raises:
        InputError: --folds without kfold or fewer than two, a protocol by speakers without speakers, a single class, or an
            option about classes without labels.
    """
    protocol, table = arguments.protocol, corpus.utterances
    if arguments.folds is not None and (protocol != "kfold" or arguments.folds < 2):
        found = f"{arguments.folds} with --protocol {protocol}"
        raise InputError.about("--folds", found, "at least 2, and --protocol kfold", "correct or leave it out")
    by_speaker = protocol in ("loso", "speaker-dependent") or arguments.normalize_speakers
    if by_speaker and (n_unknown := list(table["speaker"]).count(UNKNOWN_SPEAKER)):
        asked = "--normalize-speakers" if arguments.normalize_speakers else f"the protocol {protocol}"
        found = f"{counted(n_unknown, 'recording')} of unknown speakers" if n_unknown < len(table) else "no column speaker"
        action = "name the speakers, or use the protocol kfold without that option"
        raise InputError.about(arguments.manifest, found, f"the speaker of each, for {asked}", action)
    if "label" in table and len(corpus.labels) < 2:
        found, action = f"one class only ({corpus.labels[0]})", "add recordings of other classes"
        raise InputError.about(arguments.manifest, found, "at least two", action)
    if "label" not in table and (protocol == "speaker-dependent" or arguments.class_weight != "none"):
        weighted = f"--class-weight {arguments.class_weight}"
        asked = "the protocol speaker-dependent" if protocol == "speaker-dependent" else weighted
        raise InputError.about(arguments.manifest, "no column label", f"one, for {asked}", "add it, or leave that out")
    tasks = tuple(task for task, column in ((CATEGORICAL, "label"), (DIMENSIONAL, "arousal")) if column in table)
    folds = (arguments.folds or DEFAULT_FOLDS) if protocol == "kfold" else 0
    record = Condition(EXPERIMENT, arguments.name, corpus="manifest", protocol=PROTOCOLS[protocol], folds=folds, tasks=tasks)
    return replace(options.choose_method(record, arguments), name=arguments.name, searched_as="")  # it has a search of its own


if __name__ == "__main__":
    sys.exit(run_script(main, make_parser(), kept=GOES_ON))
