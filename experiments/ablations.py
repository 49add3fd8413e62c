"""What makes the score? Named differences to base configurations: EmoDB, leave one speaker out, and SAVEE, each speaker alone.

    python -m experiments.ablations --corpus emodb --data-dir data/EmoDB --results-dir my-results
    python -m experiments.ablations --corpus savee --data-dir data/SAVEE --results-dir my-results

A base is the default head on a BEGAN after 16 epochs, without a search: on the whole utterance, and on EmoDB also on one second
at a time, where it reads the last map. Most conditions differ from their base in one point
(experiments/evaluation/conditions.py). All encoders that are compared have trained for those 16 epochs, so that none is ahead;
the published one has trained for 100, and is a condition of its own. Encoders of two more seeds stand beside the first, each
with initial weights and an autoencoder of that seed. Encoders are looked for in pretrain_librispeech/<name> of the results
folder; the help says how each is made. A condition whose encoder or package is not there is left out, and named, unless its
runs are complete.
"""

import argparse
import sys

from began.command_line import GOES_ON, run_script
from began.components import components_path, has_components
from began.errors import InputError, printable
from began.files import is_file
from experiments.corpora import open_corpus
from experiments.evaluation.condition import ON_UTTERANCES, Condition
from experiments.evaluation.conditions import ENCODERS, EXPERIMENTS
from experiments.evaluation.evaluation_loop import evaluate
from experiments.evaluation.functionals import find_missing_package
from experiments.evaluation.methods import check_conditions
from experiments.evaluation.options import RESULTS, Settings, add_training_options, make_base_parser, read_settings
from experiments.evaluation.runs import find_runs
from experiments.reporting.render import render

EXPERIMENT = EXPERIMENTS["ablations"]
CORPORA = tuple(dict.fromkeys(condition.corpus for condition in EXPERIMENT.conditions.values()))


def make_parser() -> argparse.ArgumentParser:
    """Returns the parser of the command line."""
    parser = make_base_parser("experiments.ablations", __doc__, "the corpus")
    parser.epilog = "\n".join(["encoders:", *(f"  {name}: {_how_to_make(name)}" for name in ENCODERS)])
    names = tuple(EXPERIMENT.conditions)
    parser.add_argument("--corpus", choices=CORPORA, default=CORPORA[0], help=f"default: {CORPORA[0]}")
    told = f"some of them (default: all of the corpus): {', '.join(names)}"
    parser.add_argument("--conditions", nargs="+", choices=names, metavar="NAME", help=told)
    add_training_options(parser, runs=5)
    return parser


def main(arguments: argparse.Namespace) -> None:
    settings = read_settings(arguments)
    of_corpus = {name: one for name, one in EXPERIMENT.conditions.items() if one.corpus == arguments.corpus}
    for name in arguments.conditions or ():
        if name not in of_corpus:
            corpus = EXPERIMENT.conditions[name].corpus
            raise InputError.about("--conditions", name, f"one of --corpus {arguments.corpus}", f"give --corpus {corpus}")
    chosen = [of_corpus[name] for name in arguments.conditions or of_corpus]
    missing = {condition: _find_missing(condition, settings) for condition in chosen}
    present = [condition for condition in chosen if missing[condition] is None]
    if not present:
        raise InputError(f"{chosen[0].name}: found that it cannot be run; expected what it needs. First {missing[chosen[0]]}.")
    check_conditions(present, settings)
    evaluate(present, open_corpus(arguments.corpus, arguments.data_dir), settings)
    render(settings.results_dir)
    for condition in chosen:
        complete = find_runs(settings.results_dir, EXPERIMENT.name, condition.name)
        if missing[condition] and len(complete) < settings.runs:
            print(f"left out: {condition.name}; first {missing[condition]}")
    print(printable(f"wrote {settings.results_dir / EXPERIMENT.name} and {settings.results_dir / 'tables'}"))


def _find_missing(condition: Condition, settings: Settings) -> str | None:
    """Returns what has to be done before a condition can be run, if anything."""
    if package := find_missing_package(condition.method):
        return f"pip install {package}"
    encoder = settings.find_encoder(condition)
    if encoder is None or (is_file(encoder) and (condition.method not in ON_UTTERANCES or has_components(encoder))):
        return None
    missing = components_path(encoder) if is_file(encoder) else encoder
    published = RESULTS / encoder.relative_to(settings.results_dir).parent
    copied = f"copy the folder {published}, or " if has_components(published / "encoder.keras") else ""
    return f"{copied}run {_how_to_make(condition.encoder)}: there is no {missing}"


def _how_to_make(encoder: str) -> str:
    return f"python -m experiments.pretrain_librispeech … {ENCODERS[encoder]} --name {encoder}"


if __name__ == "__main__":
    sys.exit(run_script(main, make_parser(), kept=GOES_ON))
