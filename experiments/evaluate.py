"""Scores a trained model on another corpus than it was trained on: other speakers, another language, other recordings.

    python -m experiments.evaluate --model results/table3_emodb/utterance_head/model.keras --corpus savee --data-dir data/SAVEE
    python -m experiments.evaluate --model results/table3_emodb/utterance_head/model.keras --manifest my.csv

prints accuracy and unweighted average recall (UAR), of all recordings and as the mean over the speakers with its 95 % interval;
the same for always giving the most frequent class; the expected calibration error; and scores by class and speaker. Models of
arousal and valence get concordance correlation coefficients (CCC). Manifests are those of `experiments.custom`.

Labels that the corpus writes in another way than the model are matched by --map angry=anger. Recordings of a class that the
model does not have are left out, with a warning. Where the model has classes that the corpus lacks, all is scored twice: with
all its answers, and restricted to the shared classes, as `classifiers.predict --labels` does. The folder evaluate/NAME of the
results keeps config.json, predictions.csv (predictions_restricted.csv), pictures and metrics.csv.
"""

import argparse
import hashlib
import os
import re
import sys
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd

from began import published_networks
from began.command_line import run_script
from began.errors import InputError, printable
from began.files import lock_folder, sha256_of
from began.sound_hashes import SoundHashes
from began.startup import start_backend
from classifiers.description import read_description
from classifiers.metrics import CATEGORICAL
from classifiers.predictor import load_predictor
from experiments.corpora import open_corpus
from experiments.corpora.duplicates import describe_duplicates, read_sounds, refuse_changed
from experiments.corpora.manifest_file import SPLITS
from experiments.corpora.record import Corpus
from experiments.evaluation import trained_model
from experiments.evaluation.condition import CORPUS_TITLES
from experiments.evaluation.options import OWN_RESULTS, RESULTS, Settings, make_base_parser
from experiments.evaluation.resuming import refuse_other_sounds, write_sounds
from experiments.evaluation.runs import RunFolder
from experiments.reporting.consistency import read_scored
from experiments.reporting.error_analysis import count_confusions, measure_reliability
from experiments.reporting.model_scores import ANSWERS, describe_scores

EXPERIMENT = "evaluate"
FILES = ("predictions", "predictions_restricted")
MAX_NAME_BYTES = 200
"""Of a folder's name that is made here, but for its hash; file systems take 255."""


def make_parser() -> argparse.ArgumentParser:
    """Returns the parser of the command line."""
    folders = f"default: {RESULTS}; with --manifest {OWN_RESULTS}, which git ignores"
    parser = make_base_parser("experiments.evaluate", __doc__, results_help=folders)
    parser.set_defaults(results_dir=None)
    add = parser.add_argument
    model = "model.keras or model-dimensional.keras, as every table writes them (default: the published one)"
    add("--model", type=Path, default=published_networks.MODEL, help=model)
    corpus = parser.add_mutually_exclusive_group(required=True)
    corpus.add_argument("--manifest", type=Path, metavar="CSV", help="names your recordings")
    corpus.add_argument("--corpus", choices=tuple(CORPUS_TITLES), help="a corpus that needs no manifest, with --data-dir")
    add("--data-dir", type=Path, help="the folder of --corpus")
    add("--map", nargs="+", action="extend", default=[], metavar="LABEL=CLASS", help="label of the corpus = class of the model")
    add("--split", choices=sorted(set(SPLITS.values())), help="score this part of the corpus alone")
    add("--name", help=f"folder in {EXPERIMENT}/ under the results folder (default: named after model, corpus, split and map)")
    return parser


def main(arguments: argparse.Namespace) -> None:
    if (arguments.corpus is None) != (arguments.data_dir is None):
        raise InputError.about("--data-dir", "one of it and --corpus", "both, or --manifest alone", "add or leave out one")
    results_dir = arguments.results_dir or (OWN_RESULTS if arguments.manifest else RESULTS)
    if arguments.name is not None:
        RunFolder(results_dir, EXPERIMENT, arguments.name)  # refused before the corpus is read, not after it
    renamed = _read_map(arguments.map)
    description = read_description(arguments.model)
    corpus = _open(arguments)
    labels, left_out, by_case = description.get("labels", []), {}, {}
    if description["task"] == CATEGORICAL:
        corpus, left_out, by_case = trained_model.match_classes(corpus, labels, renamed)
    elif "arousal" not in corpus.utterances or renamed:
        found = "--map" if renamed else f"no columns arousal and valence in {corpus.name}"
        expected = "no --map" if renamed else "these columns"
        action = "leave out --map" if renamed else "give another corpus or model"
        raise InputError.about(arguments.model, found, f"{expected}, for the model predicts arousal and valence", action)
    settings = Settings(results_dir)
    hashes = SoundHashes(settings.cache_dir)
    corpus = read_sounds(corpus, hashes)
    for line in trained_model.describe_warnings(corpus, description, left_out, arguments.split):
        print(f"warning: {line}")
    if by_case:
        print(
            printable(
                f"note: taken for classes of the model: {', '.join(f'{label} for {by_case[label]}' for label in by_case)}"
            )
        )
    for line in describe_duplicates(corpus.utterances):
        print(f"note: {line}")
    config = _describe(arguments, description, corpus, renamed)
    folder = RunFolder(settings.results_dir, EXPERIMENT, arguments.name or _name(arguments, description, corpus, renamed))
    refuse_other_sounds(settings.results_dir, folder.path, corpus)
    with lock_folder(folder.path):
        hashes.save()
        folder.start(config)
        write_sounds(settings.results_dir, corpus)
        if not folder.is_complete:
            start_backend()
            tables = trained_model.predict_corpus(load_predictor(arguments.model), corpus)
            refuse_changed(corpus, hashes)
            for name, table in zip(FILES, tables, strict=False):
                folder.write_table(name, table)
            _draw(folder, tables, f"{config['model']} on {config['corpus']}")
        is_restricted = not set(labels) <= set(corpus.labels)
        tables = [read_scored(folder, name, corpus, labels) for name in FILES[: 1 + is_restricted]]
        metrics = trained_model.tabulate_metrics(tables, description["task"], labels, EXPERIMENT, folder.condition)
        folder.finish(metrics)  # in a later call, too: they are what the predictions give
    heading = f"{config['model']}, trained on {config['trained_on']}, on {config['corpus']}:"
    scores = describe_scores(metrics, tables, description["task"])
    print(printable(f"\n{heading}\n\n{scores}\n\nwrote {folder.path}", keep="\n"))


def _read_map(pairs: Sequence[str]) -> dict[str, str]:
    """Returns label of the corpus -> class of the model, from what the command line gives."""
    renamed: dict[str, str] = {}
    for pair in pairs:
        label, separator, name = (part.strip() for part in pair.rpartition("="))
        if not separator or not label or not name or label in renamed:
            found = f"{label} twice" if label in renamed else repr(pair)
            raise InputError.about("--map", found, "LABEL=CLASS, each label once", "write --map angry=anger sad=sadness")
        renamed[label] = name
    return renamed


def _open(arguments: argparse.Namespace) -> Corpus:
    """Returns the corpus that the command line names, or the part of it."""
    corpus = open_corpus(arguments.corpus or "manifest", arguments.data_dir or arguments.manifest)
    if arguments.split is None:
        return corpus
    table = corpus.utterances
    found = sorted(set(table["split"])) if "split" in table else []
    if arguments.split not in found:
        parts = ", ".join(found) or "no column split"
        raise InputError.about(f"--split {arguments.split}", parts, "that part", "choose another one, or leave it out")
    return replace(corpus, utterances=table[table["split"] == arguments.split].reset_index(drop=True))


def _name(arguments: argparse.Namespace, description: dict[str, Any], corpus: Corpus, renamed: Mapping[str, str]) -> str:
    """Returns the name of a folder: what the model is called, the corpus, its part, and which label is which class.

    Letters of any script are kept. Where the name is cut, nothing of the corpus' name is left, or marks of a script are lost
    (those for vowels, for one), a hash tells corpora apart.
    """
    parts = [*(str(description.get(name, "")) for name in ("experiment", "condition")), arguments.model.stem]
    words = [*(part for part in parts if part and part != "model"), "on", corpus.name, arguments.split or ""]
    words += [f"{label}_as_{renamed[label]}" for label in sorted(renamed)]
    text = unicodedata.normalize("NFC", "_".join(words))
    whole = re.sub(r"(?:[^\w.]|_)+", "_", text).strip("_.")
    plain = whole.encode()[:MAX_NAME_BYTES].decode(errors="ignore").strip("_.")
    has_lost = not re.search(r"[^\W_]", corpus.name) or any(unicodedata.category(sign)[0] == "M" for sign in text)
    return plain if plain == whole and not has_lost else f"{plain}_{hashlib.sha256(os.fsencode(text)).hexdigest()[:8]}"


def _describe(
    arguments: argparse.Namespace, description: dict[str, Any], corpus: Corpus, renamed: dict[str, str]
) -> dict[str, Any]:
    """Returns all that decides the scores: what config.json holds."""
    return {
        "corpus": CORPUS_TITLES.get(arguments.corpus, corpus.name),
        "split": arguments.split,
        "map": renamed,
        "model": "/".join(str(description[name]) for name in ("experiment", "condition") if name in description) or "model",
        "model_sha256": sha256_of(arguments.model),
        "trained_on": f"{description.get('corpus', 'unknown data')} ({description.get('n_utterances', '?')} utterances)",
        "task": description["task"],
        "labels": description.get("labels"),
        "synthetic": corpus.synthetic,
        "utterances_sha256": corpus.sha256,
        "sounds_sha256": corpus.sounds_sha256,
    }


def _draw(folder: RunFolder, tables: Sequence[pd.DataFrame], title: str) -> None:
    """Draws the confusions and how sure the model was, or arousal and valence."""
    from experiments import figures

    if "prediction" not in tables[0]:
        figures.plot_arousal_valence(tables[0], path=folder.path / "arousal_valence.png", title=title)
        return
    for suffix, answers, table in zip(("", "_restricted"), ANSWERS.values(), tables, strict=False):
        heading = f"{title}, {answers}" if len(tables) > 1 else title
        figures.plot_confusion(count_confusions(table), path=folder.path / f"confusion{suffix}.png", title=heading)
        figures.plot_reliability(measure_reliability(table), path=folder.path / f"calibration{suffix}.png", title=heading)


def run() -> int:
    """Runs the command as the program `began-evaluate`."""
    return run_script(main, make_parser())


if __name__ == "__main__":
    sys.exit(run())
